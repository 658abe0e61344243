"""The resizing and the blurring of random views as matrix products, for a GPU: a matrix of its own for each image.

Each is linear along the rows and along the columns. There the products are of half precision, in which 8-bit levels
are exact: weights, and what comes between the two products, are rounded by a part in 2048, some 0.1 of 255, which is
less than the rounding to 8 bits after a resize on the CPU. A GPU is many times faster at these than at anything else.
"""

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from bench.transfer import sent

Pixels = Float[Tensor, "n 3 h w"]  # in [0, 255]


def precision(device: torch.device) -> torch.dtype:
    """Half on a GPU; single on a CPU, which has nothing to gain."""
    return torch.float32 if device.type == "cpu" else torch.float16


def crop_by_matrices(
    images: UInt8[Tensor, "n 3 H W"], boxes: Int64[Tensor, "n 4"], flips: Bool[Tensor, "n 2"], out: Pixels
) -> None:
    """Cut `boxes`, resize them to the size of `out` (bilinear, antialiased) and mirror them."""
    boxes, flips, kind = sent(boxes, images.device), sent(flips, images.device), precision(images.device)
    rows = _resize_matrices(boxes[:, 0], boxes[:, 2], flips[:, 1], images.shape[2], out.shape[2]).to(kind)
    columns = _resize_matrices(boxes[:, 1], boxes[:, 3], flips[:, 0], images.shape[3], out.shape[3]).to(kind)
    out.copy_(rows[:, None] @ images.to(kind) @ columns[:, None].mT)


def _resize_matrices(
    start: Int64[Tensor, " n"], length: Int64[Tensor, " n"], flip: Bool[Tensor, " n"], source: int, target: int
) -> Float[Tensor, "n {target} {source}"]:
    """Weights of the source's pixels for each target pixel: a triangle, widened by the scale where that shrinks."""
    start, length, flip = (t[:, None, None] for t in (start, length, flip))
    scale = length / target
    steps = torch.arange(target, device=start.device)[:, None]
    centres = (torch.where(flip, target - 1 - steps, steps) + 0.5) * scale
    pixels = torch.arange(source, device=start.device) - start
    weights = (1 - (pixels + 0.5 - centres).abs() / scale.clamp(min=1)).clamp(min=0)
    weights *= (pixels >= 0) & (pixels < length)
    return weights / weights.sum(-1, keepdim=True)


def blur_by_matrices(x: Pixels, taps: Float[Tensor, "n t 1 1 1"], reach: int) -> Pixels:
    """Weigh each pixel and its neighbours to `reach` pixels by `taps`, down and across, in place; borders repeat."""
    down, across = (_blur_matrices(taps[:, : reach + 1, 0, 0, 0], length)[:, None] for length in x.shape[2:])
    return x.copy_(down @ x.to(down.dtype) @ across.mT)


def _blur_matrices(taps: Float[Tensor, "n t"], length: int) -> Float[Tensor, "n {length} {length}"]:
    """Weights of all pixels of a line for each; those beyond an end go to the pixel at that end."""
    places = torch.arange(length, device=taps.device)
    none = torch.zeros_like(taps[:, :1])
    away = (places[:, None] - places).abs().clamp(max=taps.shape[1])
    matrices = torch.cat([taps, none], 1)[:, away]
    beyond = torch.cat([taps.flip(1).cumsum(1).flip(1)[:, 1:], none], 1)  # of the taps further away than each
    beyond = beyond[:, places.clamp(max=taps.shape[1] - 1)]
    matrices[:, :, 0] += beyond
    matrices[:, :, -1] += beyond.flip(1)
    return matrices.to(precision(taps.device))
