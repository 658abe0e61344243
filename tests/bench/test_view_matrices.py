"""What views are made by on a GPU, held against what they are made by on a CPU."""

import pytest
import torch
from torch import Tensor

from bench import view_matrices, views
from bench.spec import Views

BUSY = Views(global_crops=2, local_crops=3, jitter_prob=0.9, grey_prob=0.3, blur_prob=0.7, solarise_prob=0.3)
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def noise(*shape: int) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    """The precision that a GPU has."""
    monkeypatch.setattr(view_matrices, "precision", lambda device: torch.float16)


@pytest.mark.parametrize("shape", [(40, 40), (9, 33)])
@pytest.mark.parametrize("sigma", [[0.3, 2.0, 1.1], [0.1, 0.2, 0.5]])
def test_blur_is_that_of_the_cpu(shape: tuple[int, int], sigma: list[float]) -> None:
    images, taps = noise(3, 3, *shape).float(), views.blur_taps(torch.tensor(sigma))[..., None, None, None]
    reach = int((taps > 0).any(0).sum()) - 1
    expected = views.blur(images.clone(), taps, reach)
    assert (view_matrices.blur_by_matrices(images, taps, reach) - expected).abs().max() < 1e-3


def test_a_reach_beyond_the_view_is_all_border() -> None:
    images, taps = noise(1, 3, 2, 2).float(), views.blur_taps(torch.tensor([2.0]))[..., None, None, None]
    expected = views.blur(images.clone(), taps, 5)
    assert (view_matrices.blur_by_matrices(images, taps, 5) - expected).abs().max() < 1e-3


def test_half_precision_is_finer_than_eight_bits(half: None) -> None:
    images, draw = noise(6, 3, 80, 90), views.draw_parameters(6, (80, 90), BUSY, 0, torch.Generator().manual_seed(1))
    crops = torch.empty(6, 3, 32, 32), torch.empty(6, 3, 32, 32)
    view_matrices.crop_by_matrices(images, draw.boxes, draw.flips, crops[0])
    taps = views.blur_taps(torch.tensor([0.1, 0.5, 1.0, 1.5, 2.0, 0.7]))[..., None, None, None]
    blurred = view_matrices.blur_by_matrices(crops[0].clone(), taps, taps.shape[1] - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view_matrices, "precision", lambda device: torch.float32)
        view_matrices.crop_by_matrices(images, draw.boxes, draw.flips, crops[1])
        exact = view_matrices.blur_by_matrices(crops[0].clone(), taps, taps.shape[1] - 1)
    assert (crops[0] - crops[1]).abs().max() < 0.25
    assert (blurred - exact).abs().max() < 0.25
    assert (crops[0] - crops[1]).abs().max() > 0  # it is what was asked for


def test_views_that_are_made_together_are_those_made_one_by_one() -> None:
    images, draws = noise(5, 3, 50, 60), torch.Generator().manual_seed(2)
    together = views.draw_views(images, BUSY, 40, **PLAIN, generator=torch.Generator().manual_seed(2))
    assert [view.images.shape[2] for view in together] == [40, 40, 17, 17, 17]
    for k, view in enumerate(together):
        one = views.draw_parameters(5, (50, 60), BUSY, k, draws)
        assert torch.equal(view.images, views.render(images, one, view.images.shape[2], BUSY, *PLAIN.values()))
        assert torch.equal(view.flips, one.flips)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_a_chunk_may_hold_parts_of_two_views(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(5, 3, 50, 60)
    whole = views.draw_views(images, BUSY, 40, **PLAIN, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(views, "_chunk", lambda size, device: chunk)
    parts = views.draw_views(images, BUSY, 40, **PLAIN, generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(one.images, other.images) for one, other in zip(whole, parts, strict=True))
