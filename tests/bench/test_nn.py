"""What methods share: views of one size go through the encoder together, and a teacher's momentum rises."""

from dataclasses import replace

import pytest
import torch

from bench.checks import SIZE, pictures
from bench.encoders.timm import TimmEncoder
from bench.nn import embed, gathered, rising
from bench.random import generator
from bench.spec import Views
from bench.views import draw_views


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return TimmEncoder("test_resnet", image_size=SIZE).eval()


def views_of(encoder, **settings):
    images = torch.from_numpy(pictures(3))
    return draw_views(images, Views(**settings), SIZE, mean=encoder.mean, std=encoder.std, generator=generator("embed"))


@torch.no_grad()
def test_embed_gives_each_view_what_a_pass_of_its_own_gives(encoder):
    views = views_of(encoder, local_crops=3)
    sizes = [view.images.shape[2] for view in views]
    assert sizes == [32, 32, 14, 14, 14]
    for found, view in zip(embed(encoder, views), views, strict=True):
        alone = encoder(view.images)
        torch.testing.assert_close(found.pooled, alone.pooled)
        assert [level.shape for level in found.maps] == [level.shape for level in alone.maps]
        for one, other in zip(found.maps, alone.maps, strict=True):
            torch.testing.assert_close(one, other)


@torch.no_grad()
def test_embed_keeps_the_order_of_views_of_mixed_sizes(encoder):
    whole, half, other, quarter = views_of(encoder, global_crops=4)
    views = [whole, replace(half, images=half.images[..., :16, :16]), other, quarter]
    for found, view in zip(embed(encoder, views), views, strict=True):
        torch.testing.assert_close(found.pooled, encoder(view.images).pooled)


def test_embed_passes_views_of_one_size_at_once(encoder):
    """In training, batch-norm sees both global crops as one batch."""
    views = views_of(encoder.train())
    together = encoder(torch.cat([view.images for view in views])).pooled.chunk(2)
    for found, wanted in zip(embed(encoder, views), together, strict=True):
        torch.testing.assert_close(found.pooled, wanted)


def test_a_momentum_rises_along_a_cosine_from_its_start_to_1():
    assert [rising(0.996, progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([0.996, 0.998, 1.0], abs=1e-12)
    assert rising(0.9, 1 / 3) == pytest.approx(0.925)  # (1 + cos 60 degrees) / 2 is 3/4
    steps = [rising(0.99, step / 10) for step in range(11)]
    assert steps == sorted(steps)


def test_one_process_gathers_its_own_rows_without_a_gradient():
    rows = torch.randn(3, 2, requires_grad=True)
    assert torch.equal(gathered(rows), rows)
    assert not gathered(rows).requires_grad
