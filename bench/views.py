"""Random views of a batch, drawn on the device the model is on, with the geometry of each crop.

Every image has its own random numbers, drawn on the CPU and then moved, so that a seed means the same on every device.
Order and distributions are those of torchvision's transforms as lightly's `SimCLRTransform` chains them (Chen et al.
2020, arXiv:2002.05709, appendix A): crop and resize, flips, colour jitter, grey, blur, solarise, normalise.

On a CPU the result is the same byte for byte whatever the number of threads and the other images in the batch. So there
nothing is a matrix product or a convolution, which may add in another order, and nothing fuses a multiplication with an
addition (`alpha=`, `addcmul`, `lerp`), which a build of torch may do in the body of a loop and not in its tail.

Pixels are floats in [0, 255] until they are normalised.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import groupby
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from torch import Tensor

from bench.nn import View
from bench.spec import Views
from bench.transfer import sent
from bench.view_matrices import blur_by_matrices, crop_by_matrices

TRIES = 10  # torchvision's, before it falls back to a central crop
SMALL = 144  # pixels; on a CPU smaller views are rendered 64 at once (fewer calls), larger ones singly (in the cache)
DEVICE_CHUNK = 2**25  # pixels rendered at once on other devices, to bound the memory of intermediates

Pixels = Float[Tensor, "n 3 h w"]  # in [0, 255]
Factor = Float[Tensor, "n 1 1 1"]  # one number an image


def draw_views(
    images: UInt8[Tensor, "b 3 H W"],
    views: Views,
    size: int,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    generator: torch.Generator,
    numbers: Int64[Tensor, " b"] | None = None,
    multiple: int = 1,
) -> list[View]:
    """One random view of each image for each crop of `views`: global crops of `size` pixels, then local crops.

    `mean` and `std` are of pixels in [0, 1]; `generator` is a CPU generator, the only source of randomness. `numbers`
    are the images' places in the corpus (without: in the batch). A size of local crops that is not given is a
    `multiple` of pixels. Images in channels_last memory (as a decoder leaves them) are cropped faster.
    """
    numbers = sent(torch.arange(len(images)) if numbers is None else numbers, images.device)
    local = views.local_size or max(1, round(size * 96 / 224 / multiple)) * multiple
    crops = range(views.global_crops + views.local_crops)
    draws = [draw_parameters(len(images), images.shape[2:], views, k, generator) for k in crops]
    rendered: list[Tensor] = []
    for side, alike in groupby(crops, key=lambda k: size if k < views.global_crops else local):
        together = Draw(*map(torch.cat, zip(*(draws[k] for k in alike), strict=True)))
        with torch.autocast(images.device.type, enabled=False):  # in bfloat16 the matrices would coarsen the pixels
            rendered += render(images, together, side, views, mean, std).split(len(images))
    extent = torch.tensor(images.shape[2:]).repeat(2)
    boxes = [sent(draw.boxes.float() / extent, images.device) for draw in draws]
    flips = [sent(draw.flips, images.device) for draw in draws]
    return [View(*parts, numbers) for parts in zip(rendered, boxes, flips, strict=True)]


class Draw(NamedTuple):
    """The random numbers of one view of each of b images, on the CPU; or of several, one after the other."""

    boxes: Int64[Tensor, "b 4"]  # top, left, height, width in pixels of the source
    flips: Bool[Tensor, "b 2"]  # left to right, top to bottom
    order: Int64[Tensor, "b 4"]  # the colour operations (indices of JITTER) from first to last; -1: none
    factors: Float[Tensor, "b 4"]  # of brightness, contrast, saturation; the turn of the hue
    grey: Bool[Tensor, " b"]
    sigma: Float[Tensor, " b"]  # of the blur, in pixels of the view; 0: none
    solarise: Bool[Tensor, " b"]


def draw_parameters(b: int, source: Sequence[int], views: Views, k: int, generator: torch.Generator) -> Draw:
    """Those of view `k` of b images of `source` (height, width) pixels: as many whatever the settings of `views`."""

    def unit(*shape: int) -> Float64[Tensor, "..."]:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    def within(interval: tuple[float, float], *shape: int) -> Float64[Tensor, "..."]:
        return interval[0] + (interval[1] - interval[0]) * unit(*shape)

    scale = views.global_scale if k < views.global_crops else views.local_scale
    log_aspect = (math.log(views.aspect[0]), math.log(views.aspect[1]))
    boxes = _crop_boxes(within(scale, b, TRIES), within(log_aspect, b, TRIES), unit(b, 2), source, views.aspect)
    flips = unit(b, 2) < torch.tensor([views.flip, views.vertical_flip])
    order = unit(b, 4).argsort(1)
    strength = torch.tensor(views.jitter, dtype=torch.float64)
    centre = torch.tensor([1.0, 1.0, 1.0, 0.0])
    low = (centre - strength).maximum(centre - 1)  # no negative brightness, contrast or saturation
    factors = low + (centre + strength - low) * unit(b, 4)
    jittered = unit(b, 1) < views.jitter_prob
    grey = unit(b) < views.grey_prob
    blurred = unit(b) < _probability(views.blur_prob, k)
    sigma = within(views.blur_sigma, b) * blurred
    solarise = unit(b) < _probability(views.solarise_prob, k)
    order = torch.where(jittered & (strength[order] > 0), order, -1)
    return Draw(boxes, flips, order, factors.float(), grey, sigma.float(), solarise)


def _probability(p: float | tuple[float, ...], k: int) -> float:
    """That of view `k`: a tuple has one a global crop, and its last goes for the crops beyond it."""
    return p[min(k, len(p) - 1)] if isinstance(p, tuple) else p


def _crop_boxes(
    areas: Float64[Tensor, "b tries"],
    log_aspects: Float64[Tensor, "b tries"],
    places: Float64[Tensor, "b 2"],
    source: Sequence[int],
    aspect: tuple[float, float],
) -> Int64[Tensor, "b 4"]:
    """Top, left, height and width as torchvision's `RandomResizedCrop` finds them: the first try that fits the source.

    `areas` are fractions of the source's, `places` in [0, 1) choose among the positions that are left. If no try fits,
    the crop is central and the largest that keeps within `aspect`.
    """
    height, width = source
    areas, aspects = areas * (height * width), log_aspects.exp()
    central = torch.tensor([min(height, round(width / aspect[0])), min(width, round(height * aspect[1]))])
    sizes = torch.stack([(areas / aspects).sqrt().round(), (areas * aspects).sqrt().round()], dim=-1).long()
    sizes = torch.cat([sizes, central.expand(len(areas), 1, 2)], dim=1)
    room = torch.tensor([height, width]) - sizes
    chosen = ((sizes > 0) & (room >= 0)).all(-1).int().argmax(1)
    sizes, room = (t[torch.arange(len(areas)), chosen] for t in (sizes, room))
    corner = torch.where(chosen[:, None] < areas.shape[1], (places * (room + 1)).long(), room // 2)
    return torch.cat([corner, sizes], dim=1)


@torch.no_grad()
def render(
    images: UInt8[Tensor, "b 3 H W"], draw: Draw, size: int, views: Views, mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "n 3 {size} {size}"]:
    """The views that `draw` describes, normalised. Chunks keep the intermediates in the cache, and small elsewhere."""
    out = torch.empty(len(draw.boxes), 3, size, size, device=images.device)
    shift, scale = (sent(255 * torch.tensor(c).view(3, 1, 1), images.device) for c in (mean, std))
    taps = blur_taps(draw.sigma)
    step = _chunk(size, images.device)
    soften = blur if images.device.type == "cpu" else blur_by_matrices
    for first in range(0, len(out), step):
        part = slice(first, first + step)
        x, one = out[part], Draw(*(numbers[part] for numbers in draw))
        _cut(images, one, first, x)
        order, reach = one.order.tolist(), int((taps[part] > 0).any(0).sum()) - 1
        factors, weights = (sent(t, x.device)[..., None, None, None] for t in (one.factors, taps[part]))
        for place in range(4):
            for kind, adjust in enumerate(JITTER):
                _apply(adjust, x, [kinds[place] == kind for kinds in order], factors[:, kind])
        _apply(grey, x, one.grey.tolist())
        _apply(partial(soften, reach=reach), x, (one.sigma > 0).tolist(), weights)
        _apply(partial(solarise, threshold=255 * views.solarise_threshold), x, one.solarise.tolist())
        x.sub_(shift).div_(scale)
    return out


def _cut(images: UInt8[Tensor, "b 3 H W"], draw: Draw, first: int, out: Pixels) -> None:
    """Crop into `out` the views from number `first` on: b of them, one of each image, then b others."""
    done = 0
    while done < len(out):
        image = (first + done) % len(images)
        count = min(len(images) - image, len(out) - done)
        rows = slice(done, done + count)
        crop(images[image : image + count], draw.boxes[rows], draw.flips[rows], out[rows])
        done += count


def _chunk(size: int, device: torch.device) -> int:
    """How many views of `size` pixels to render at once: the fastest of 1, 16, 64 and 128 on a CPU."""
    return max(1, DEVICE_CHUNK // size**2) if device.type != "cpu" else 64 if size < SMALL else 1


def _apply(change: Callable[..., Tensor], x: Pixels, hit: list[bool], *parameters: Tensor) -> None:
    """Change in place the images of `x` that are hit, each with its own parameters; the others cost nothing."""
    rows = [i for i, yes in enumerate(hit) if yes]
    if len(rows) == len(x):
        change(x, *parameters)
    elif rows:
        index = sent(torch.tensor(rows), x.device)
        x.index_copy_(0, index, change(x.index_select(0, index), *(p.index_select(0, index) for p in parameters)))


def crop(
    images: UInt8[Tensor, "n 3 H W"], boxes: Int64[Tensor, "n 4"], flips: Bool[Tensor, "n 2"], out: Pixels
) -> None:
    """Cut `boxes`, resize them to the size of `out` and mirror them.

    Bilinear, antialiased over the box alone: Pillow's and torchvision's filter. On a CPU torch resizes 8-bit images one
    by one, rounding as Pillow does, in half to a fifth of the time of the matrices that do it on other devices; the
    two differ by 1.1 of 255 at most.
    """
    if images.device.type != "cpu":
        return crop_by_matrices(images, boxes, flips, out)
    for i, (top, left, height, width) in enumerate(boxes.tolist()):
        box = images[i : i + 1, :, top : top + height, left : left + width]
        resized = F.interpolate(box, out.shape[2:], mode="bilinear", antialias=True)
        out[i] = resized[0].flip([axis for axis, yes in zip((2, 1), flips[i].tolist(), strict=True) if yes])
    return None


def brightness(x: Pixels, factor: Factor) -> Pixels:
    """`factor` times the image; this and the operations below work in place."""
    return x.mul_(factor).clamp_(max=255)


def contrast(x: Pixels, factor: Factor) -> Pixels:
    """Away from (factor > 1) or towards the image's mean grey level."""
    # one axis at a time: reducing an only image to an only number splits the sum among threads
    return _blend(x, luminance(x).mean(3, keepdim=True).mean(2, keepdim=True), factor)


def saturation(x: Pixels, factor: Factor) -> Pixels:
    """Away from (factor > 1) or towards each pixel's grey level."""
    return _blend(x, luminance(x), factor)


def _blend(x: Pixels, other: Tensor, factor: Factor) -> Pixels:
    return x.mul_(factor).add_(other.mul_(1 - factor)).clamp_(0, 255)


def luminance(x: Pixels) -> Float[Tensor, "n 1 h w"]:
    """The grey level of ITU-R BT.601, in Pillow's weights: they sum to 1, torchvision's to 0.9999."""
    red, green, blue = x[:, :1], x[:, 1:2], x[:, 2:]
    return red.mul(0.299).add_(green.mul(0.587)).add_(blue.mul(0.114))


def hue(x: Pixels, turn: Factor) -> Pixels:
    """Turn the hue of HSV by `turn` of the circle, in [-0.5, 0.5], at the same value and chroma.

    Without HSV's six cases: a channel is a piecewise linear function of the distance of the hue from the channel's own.
    """
    red, green, blue = x.unbind(1)
    least, most = torch.minimum(green, blue), torch.maximum(green, blue)
    middle, highest = torch.minimum(red, most), torch.maximum(red, most)
    lowest = torch.minimum(middle, least)
    chroma = highest - lowest
    # the hue in turns is |base + (middle - least) / (6 chroma)|, with a base for each order of the three channels
    swapped = green.lt(blue).to(x.dtype)
    base = red.lt(most).to(x.dtype).mul_(swapped.mul(2).sub_(1 / 3)).sub_(swapped)
    angle = middle.sub_(least).div_(chroma.mul(6).add_(1e-20)).add_(base).abs_()
    angle = angle.add_(turn[:, 0] % 1).frac_().mul_(6)
    opposite = torch.tensor([3, 2, 4], dtype=x.dtype)  # of red's hue, then green's and blue's own, in sixths of a turn
    opposite = sent(opposite, x.device).view(3, 1, 1)
    share = (angle[:, None] - opposite).abs_().sub_(2).clamp_(-1, 0).mul_(chroma[:, None])
    torch.add(highest, share[:, 0], out=red)
    torch.sub(lowest[:, None], share[:, 1:], out=x[:, 1:])
    return x


def grey(x: Pixels) -> Pixels:
    """Each pixel's grey level in all three channels."""
    return x.copy_(luminance(x))


def blur(x: Pixels, taps: Float[Tensor, "n t 1 1 1"], reach: int) -> Pixels:
    """Weigh each pixel and its neighbours to `reach` pixels by `taps`, first down, then across; borders repeat."""
    for axis in (2, 3):
        margin = (reach, reach, 0, 0) if axis == 3 else (0, 0, reach, reach)
        padded, length = F.pad(x, margin, mode="replicate"), x.shape[axis]
        x.mul_(taps[:, 0])
        for d in range(1, reach + 1):
            pair = padded.narrow(axis, reach - d, length) + padded.narrow(axis, reach + d, length)
            x.add_(pair.mul_(taps[:, d]))
    return x


def blur_taps(sigma: Float[Tensor, " n"]) -> Float[Tensor, "n t"]:
    """Weights of the pixels 0, 1, 2 ... away in a Gaussian blur of `sigma` pixels, as Pillow has it: three box filters.

    The boxes have soft edges, so that their variances sum to sigma^2 (Gwosdek et al., SSVM 2011, eq. 7, 11 and 14); a
    sampled Gaussian, as torchvision's, blurs less below 0.6 pixels.
    """
    variance = sigma[:, None] ** 2 / 3
    whole = (((12 * variance + 1).sqrt() - 1) / 2).floor()
    soft = (2 * whole + 1) * (3 * variance - whole * (whole + 1)) / (6 * ((whole + 1) ** 2 - variance))
    box = int(whole.max()) + 1
    once = (whole + soft + 1 - torch.arange(-box, box + 1).abs()).clamp(0, 1) / (2 * (whole + soft) + 1)
    taps = once
    for _ in range(2):
        taps = reduce(torch.add, (F.pad(taps * once[:, [i]], (i, 2 * box - i)) for i in range(2 * box + 1)))
    return taps[:, 3 * box :]


def solarise(x: Pixels, threshold: float) -> Pixels:
    """Invert the pixels from `threshold` on."""
    return x.copy_(torch.where(x >= threshold, 255 - x, x))


JITTER = (brightness, contrast, saturation, hue)
