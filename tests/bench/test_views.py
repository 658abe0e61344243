"""The views against torchvision, Pillow and lightly; their geometry; what may not change them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from scipy.stats import ks_2samp
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as reference

from bench import view_matrices as matrices
from bench import views as module
from bench.spec import Views
from bench.views import draw_parameters, draw_views, render

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
STILL = Views(flip=0.0, jitter_prob=0.0, grey_prob=0.0, blur_prob=0.0)  # crops and nothing else
BUSY = Views(local_crops=1, jitter_prob=0.9, grey_prob=0.3, blur_prob=0.7, solarise_prob=0.3, vertical_flip=0.5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(n: int, height: int = 60, width: int = 60) -> Tensor:
    """Smooth colourful 8-bit images with some noise on them."""
    coarse = torch.rand(n, 3, 6, 6, generator=seeded(1))
    smooth = F.interpolate(coarse, (height, width), mode="bicubic", antialias=True)
    return (255 * smooth + 20 * torch.randn(smooth.shape, generator=seeded(2))).clamp(0, 255).byte()


def pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def first(images: Tensor, views: Views, size: int = 32, seed: int = 0) -> Tensor:
    return draw_views(images, views, size, **PLAIN, generator=seeded(seed))[0].images


def pixels(seed: int = 0) -> Tensor:
    """Four float images in [0, 255] with the hard cases: grey, black, white, saturated and equal channels."""
    x = 255 * torch.rand(4, 3, 24, 29, generator=seeded(seed))
    x[0, :, :8] = x[0, :1, :8]
    x[1, 0], x[1, :, :3], x[1, :, 3:6] = x[1, 1], 0, 255
    x[2, 2] = 0
    return x


@pytest.mark.parametrize("source", [(160, 160), (97, 301)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.05, 0.4)])
def test_crops_are_distributed_as_torchvision_draws_them(source: tuple[int, int], scale: tuple[float, float]) -> None:
    n, image = 4000, torch.empty(1, *source)
    ours = draw_parameters(n, source, Views(global_scale=scale), 0, seeded()).boxes.double()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3]) for _ in range(n)]
    theirs = torch.tensor(drawn).double()
    for a, b in zip(_crop_statistics(ours, source), _crop_statistics(theirs, source), strict=True):
        assert ks_2samp(a, b).pvalue > 0.01


def _crop_statistics(boxes: Tensor, source: tuple[int, int]) -> list[Tensor]:
    top, left, height, width = boxes.T
    places = [top / (source[0] - height).clamp(min=1), left / (source[1] - width).clamp(min=1)]
    return [top, left, height * width, width / height, *places]


@pytest.mark.parametrize("source", [(40, 200), (200, 40), (50, 60)])
def test_a_source_that_no_try_fits_is_cropped_in_its_centre(source: tuple[int, int]) -> None:
    views = Views(global_scale=(2.0, 2.0))
    expected = RandomResizedCrop.get_params(torch.empty(1, *source), [2.0, 2.0], [3 / 4, 4 / 3])
    assert draw_parameters(3, source, views, 0, seeded()).boxes.tolist() == [list(expected)] * 3


@pytest.mark.parametrize("size", [16, 33, 64])
def test_a_crop_is_resized_as_torchvision_and_pillow_do(size: int) -> None:
    images = photographs(12, 50, 70)
    boxes = draw_parameters(12, (50, 70), STILL, 0, seeded()).boxes
    flips = torch.zeros(12, 2, dtype=torch.bool)
    eight_bit, exact = torch.empty(2, 12, 3, size, size)
    module.crop(images, boxes, flips, eight_bit)
    matrices.crop_by_matrices(images, boxes, flips, exact)
    for i, box in enumerate(boxes.tolist()):
        where = {"size": [size, size], "antialias": True}
        assert torch.equal(eight_bit[i], reference.resized_crop(images[i], *box, **where).float())
        by_pillow = reference.pil_to_tensor(reference.resized_crop(pillow(images[i]), *box, size=[size, size]))
        assert (eight_bit[i] - by_pillow).abs().max() <= 1
        assert (exact[i] - reference.resized_crop(images[i].float(), *box, **where)).abs().max() < 1e-3
    assert (eight_bit - exact).abs().max() < 1.1


def test_flips_are_alike_in_both_ways_to_crop() -> None:
    images, out = photographs(4, 50, 70), torch.empty(2, 4, 3, 32, 32)
    flips = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
    for crop, target in zip((module.crop, matrices.crop_by_matrices), out, strict=True):
        crop(images, draw_parameters(4, (50, 70), STILL, 0, seeded()).boxes, flips, target)
    assert (out[0] - out[1]).abs().max() < 1.1


def test_geometry_tells_where_each_pixel_comes_from() -> None:
    down, across = torch.arange(120.0)[:, None].expand(120, 200), torch.arange(200.0).expand(120, 200)
    images = torch.stack([down, across, down]).byte().expand(40, 3, 120, 200)
    views = replace(STILL, flip=0.5, vertical_flip=0.5, global_scale=(0.2, 1.0), local_crops=1)
    steps = (torch.arange(32) + 0.5) / 32
    for view in draw_views(images, views, 32, **PLAIN, generator=seeded())[:2]:
        assert view.flips.any(0).all()
        assert not view.flips.all(0).any()
        for image, (top, left, height, width), (mirrored, upended) in zip(
            view.images * 255, view.boxes, view.flips, strict=True
        ):
            rows = 120 * (top + height * (steps.flip(0) if upended else steps)) - 0.5
            columns = 200 * (left + width * (steps.flip(0) if mirrored else steps)) - 0.5
            inside = slice(2, -2)  # at the border of a box the triangle is cut off
            assert (image[0, inside, inside] - rows[inside, None]).abs().max() < 1.5
            assert (image[1, inside, inside] - columns[inside]).abs().max() < 1.5


@pytest.mark.parametrize("factor", [0.0, 0.2, 0.9, 1.0, 1.1, 1.8])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_jitter_is_torchvisions(name: str, factor: float) -> None:
    expected = getattr(reference, f"adjust_{name}")(pixels() / 255, factor) * 255
    ours = getattr(module, name)(pixels(), torch.full((4, 1, 1, 1), factor))
    assert (ours - expected).abs().max() < 0.03  # torchvision's grey weights sum to 0.9999


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.07, 0.33, 0.5])
def test_hue_is_torchvisions(turn: float) -> None:
    expected = reference.adjust_hue(pixels() / 255, turn) * 255
    assert (module.hue(pixels(), torch.full((4, 1, 1, 1), turn)) - expected).abs().max() < 2e-3


def test_jitter_comes_in_the_order_drawn_for_each_image() -> None:
    images, views = photographs(30), replace(STILL, jitter_prob=0.8)
    draw = draw_parameters(30, (60, 60), views, 0, seeded())
    assert len({tuple(order) for order in draw.order.tolist()}) > 8
    ours, unjittered = (
        render(images, d, 32, views, *PLAIN.values()) for d in (draw, draw._replace(order=-(draw.order**0)))
    )
    for i, order in enumerate(draw.order.tolist()):
        expected = unjittered[i]
        for kind in order:
            if kind >= 0:
                expected = getattr(reference, f"adjust_{module.JITTER[kind].__name__}")(
                    expected, draw.factors[i, kind].item()
                )
        assert (ours[i] - expected).abs().max() < 2e-3


def test_jitter_factors_span_their_ranges() -> None:
    draw = draw_parameters(5000, (60, 60), Views(jitter=(0.8, 1.5, 0.0, 0.1)), 0, seeded())
    expected = torch.tensor([[0.2, 0.0, 1.0, -0.1], [1.8, 2.5, 1.0, 0.1]])
    assert torch.allclose(torch.stack([draw.factors.amin(0), draw.factors.amax(0)]), expected, atol=2e-3)
    assert (draw.order == 2).sum() == 0  # of no strength: left out
    for kind in (0, 1, 3):
        assert (draw.order == kind).any(1).float().mean() == pytest.approx(0.8, abs=0.02)
        assert ((draw.order == kind).float().mean(0) - 0.2).abs().max() < 0.02  # any place is as likely


def test_grey_and_solarise_are_pillows_and_torchvisions() -> None:
    images = photographs(3)
    for image, ours in zip(images, module.grey(images.float()), strict=True):
        assert (ours - torch.from_numpy(np.array(pillow(image).convert("L")))).abs().max() < 0.51
    assert torch.equal(module.solarise(images.float(), 127.5), reference.solarize(images, 128).float())


def blurred(x: Tensor, sigma: list[float]) -> Tensor:
    taps = module.blur_taps(torch.tensor(sigma))
    return module.blur(x, taps[..., None, None, None], taps.shape[1] - 1)


@pytest.mark.parametrize("sigma", [0.1, 0.4, 0.8, 1.3, 2.0])
@pytest.mark.parametrize("shape", [(24, 29), (64, 64), (70, 33)])
def test_blur_is_pillows(shape: tuple[int, int], sigma: float) -> None:
    images = photographs(3, *shape)
    ours = blurred(images.float(), [0.3, sigma, 1.0])[1]
    padded = pillow(F.pad(images[1:2].float(), (9, 9, 9, 9), mode="replicate").byte()[0])
    theirs = reference.pil_to_tensor(padded.filter(ImageFilter.GaussianBlur(sigma)))[:, 9:-9, 9:-9]
    assert (ours - theirs).abs().max() < 3  # Pillow rounds to 8 bits after each box


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_views_look_like_lightlys() -> None:
    from lightly.transforms import SimCLRTransform

    images = photographs(12, 80, 80)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    transform = SimCLRTransform(input_size=48, gaussian_blur=0.5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        np.random.seed(0)
        theirs = torch.stack([view for image in images for _ in range(25) for view in transform(pillow(image))])
    repeated = images.repeat_interleave(25, 0)
    ours = torch.cat([v.images for v in draw_views(repeated, Views(), 48, mean=mean, std=std, generator=seeded())])
    for name, a in _looks(ours).items():
        assert ks_2samp(a, _looks(theirs)[name]).pvalue > 0.01, name


def _looks(views: Tensor) -> dict[str, Tensor]:
    """Numbers of each view: level, contrast, colour and detail, the last two at one contrast."""
    spread = views.std((1, 2, 3))
    return {
        "level": views.mean((1, 2, 3)),
        "red": views[:, 0].mean((1, 2)),
        "blue": views[:, 2].mean((1, 2)),
        "contrast": spread,
        "colour": views.std(1).mean((1, 2)) / spread,
        "detail": views.diff(dim=3).abs().mean((1, 2, 3)) / spread,
        "asymmetry": (views[..., :24] - views[..., 24:]).mean((1, 2, 3)) / spread,
    }


def test_global_crops_come_first_and_local_crops_have_their_size() -> None:
    images = photographs(2)
    views = Views(global_crops=2, local_crops=3)
    for local_size, side in ((0, 24), (20, 20)):
        drawn = draw_views(images, replace(views, local_size=local_size), 56, **PLAIN, generator=seeded())
        assert [view.images.shape[-1] for view in drawn] == [56, 56, side, side, side]
    areas = [draw_parameters(500, (60, 60), views, k, seeded()).boxes[:, 2:].prod(1).max() / 3600 for k in (1, 2)]
    assert areas[0] > 0.9
    assert 0.35 < areas[1] < 0.45


def test_each_view_has_its_own_probabilities() -> None:
    views = Views(global_crops=2, local_crops=2, blur_prob=(1.0, 0.1), solarise_prob=(0.0, 0.2))
    draws = [draw_parameters(4000, (60, 60), views, k, seeded(k)) for k in range(4)]
    assert [(d.sigma > 0).float().mean().item() for d in draws] == pytest.approx([1, 0.1, 0.1, 0.1], abs=0.02)
    assert [d.solarise.float().mean().item() for d in draws] == pytest.approx([0, 0.2, 0.2, 0.2], abs=0.02)
    assert draws[0].grey.float().mean() == pytest.approx(0.2, abs=0.02)
    assert draws[0].flips.float().mean(0).tolist() == pytest.approx([0.5, 0], abs=0.03)
    assert (draws[0].sigma.min(), draws[0].sigma.max()) == pytest.approx((0.1, 2.0), abs=0.01)


@pytest.mark.parametrize("size", [33, 64, 190])  # torch splits work on 2**15 numbers or more: a plane of 190 pixels
def test_neither_threads_nor_neighbours_change_a_byte(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images, draw, drawn = photographs(8, 90, 100), draw_parameters(8, (90, 100), BUSY, 0, seeded()), {}
    for threads, chunk in ((1, 8), (1, 1), (1, 3), (2, 8), (2, 1), (3, 1)):
        torch.set_num_threads(threads)
        monkeypatch.setattr(module, "_chunk", lambda size, device, chunk=chunk: chunk)
        drawn[threads, chunk] = render(images, draw, size, BUSY, *PLAIN.values())
    assert [key for key, view in drawn.items() if not torch.equal(view, drawn[1, 8])] == []


def test_a_seed_fixes_every_byte_and_nothing_global_is_touched() -> None:
    images, state = photographs(4), torch.get_rng_state()
    assert torch.equal(first(images, BUSY), first(images.contiguous(memory_format=torch.channels_last), BUSY))
    assert not torch.equal(first(images, BUSY), first(images, BUSY, seed=1))
    assert torch.equal(state, torch.get_rng_state())


def test_each_image_and_each_view_has_its_own_numbers() -> None:
    images = photographs(1).expand(20, 3, 60, 60)
    drawn = torch.cat([view.images for view in draw_views(images, Views(), 32, **PLAIN, generator=seeded())])
    assert len(drawn.flatten(1).unique(dim=0)) == 40
    crops = [draw_parameters(5, (60, 60), views, 0, seeded()).boxes for views in (STILL, BUSY)]
    assert torch.equal(*crops)  # whatever the probabilities


def test_grey_images_stay_grey() -> None:
    images = photographs(30)[:, :1].expand(30, 3, 60, 60)
    grey = first(images, replace(BUSY, jitter_prob=1.0))
    assert (grey - grey[:, :1]).abs().max() < 1e-5


def test_autocast_changes_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "crop", matrices.crop_by_matrices)  # the products of devices other than the CPU
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = first(photographs(4), BUSY)
    assert torch.equal(inside, first(photographs(4), BUSY))


class OneDevice(TorchDispatchMode):
    """Refuses an operation on tensors of two devices, unless it copies or they are scalars, as CUDA does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and t.dim()]
        assert "copy" in func.__name__ or len({t.device for t in tensors}) < 2, func
        return func(*args, **(kwargs or {}))


def test_all_that_is_drawn_moves_to_the_device_of_the_images() -> None:
    images = torch.empty(6, 3, 50, 70, dtype=torch.uint8, device="meta")
    with OneDevice():
        drawn = draw_parameters(6, (50, 70), BUSY, 0, seeded())
        view = render(images, drawn, 32, BUSY, *PLAIN.values())
    assert (view.device.type, view.shape) == ("meta", (6, 3, 32, 32))
