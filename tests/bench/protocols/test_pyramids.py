"""Pyramids of any encoder: strides and widths, tokens of any patch, and batch-norm that keeps what it knows."""

import pytest
import torch

from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.protocols._pyramids import Pyramid, SimplePyramid, fitted

SIDE = 64
KINDS = {
    "test_resnet": (4, 8, 16, 32, 64),  # what it has at stride 2 is left out
    "test_convnext": (4, 8, 16, 32, 64),
    "test_vit patch_size=8": (4, 8, 16, 32, 64),
    "test_vit patch_size=14": (4, 8, 16, 32, 64),  # which the sides of the image are no multiples of
}


@pytest.mark.parametrize(("backbone", "strides"), KINDS.items(), ids=KINDS)
def test_maps_have_one_width_and_the_stated_strides(backbone, strides):
    pyramid = Pyramid(TimmEncoder(backbone, image_size=56 if "14" in backbone else SIDE), 12)
    maps = pyramid(torch.randn(2, 3, SIDE, SIDE))
    assert pyramid.strides == strides
    assert list(maps) == ["0", "1", "2", "3", "4"]
    assert [tuple(one.shape) for one in maps.values()] == [(2, 12, SIDE // s, SIDE // s) for s in strides]
    sum(one.square().mean() for one in maps.values()).backward()
    still = [n for n, p in pyramid.encoder.named_parameters() if p.grad is None and "norm" not in n and "fc" not in n]
    assert len(still) < 3  # such as the class token's; what the maps depend on learns


def test_images_are_resized_up_to_whole_patches():
    pixels = torch.randn(1, 3, 64, 64)
    assert fitted(pixels, 14).shape == (1, 3, 70, 70)
    assert fitted(pixels, 16) is pixels


def test_an_encoder_without_a_fitting_map_is_refused(encoder):
    with pytest.raises(BenchError, match=r"maps have strides \(2,\); it needs one of \(4, 8, 16, 32\)"):
        Pyramid(encoder(), 8)


def test_maps_that_start_late_make_a_shorter_pyramid(encoder):
    late = encoder()
    late.strides = (8,)
    late.conv.stride = (8, 8)
    pyramid = Pyramid(late, 8)
    assert (pyramid.strides, pyramid.multiple) == ((8, 16), 8)
    assert [one.shape[-1] for one in pyramid(torch.randn(1, 3, 64, 64)).values()] == [8, 4]


@pytest.mark.parametrize("train_norm", [False, True])
def test_batch_norm_of_the_encoder_learns_only_if_asked_to(encoder, train_norm):
    own = encoder()
    own.strides = (4,)
    own.conv.stride = (4, 4)
    pyramid = Pyramid(own, 8, train_norm=train_norm).train()
    before = own.norm.running_mean.clone()
    pyramid(torch.randn(2, 3, 32, 32))
    assert torch.equal(own.norm.running_mean, before) is not train_norm
    assert own.norm.weight.requires_grad  # its scale is trained all the same
    assert pyramid.maps.training


def test_levels_of_tokens_lie_where_the_tokens_do():
    """What moves by a token moves by as many pixels in every level, and outside its reach there is nothing of it."""
    simple = SimplePyramid(8, 4).eval()
    draws = torch.Generator().manual_seed(0)
    bright = torch.randn(1, 8, generator=draws)
    tokens = torch.zeros(1, 8, 12, 12)
    tokens[:, :, 4, 4] = bright
    moved = tokens.roll((2, 4), (2, 3))  # by two tokens down and four to the right
    for stride, one, other in zip((4, 8, 16, 32), simple(tokens), simple(moved), strict=False):
        step = 32 // stride
        seen = one[..., : -2 * step, : -2 * step] - one[..., -1:, -1:].mean()
        assert seen.abs().max() > 0.1
        inner = slice(2, -3 * step)
        torch.testing.assert_close(other.roll((-step, -2 * step), (2, 3))[..., inner, inner], one[..., inner, inner])
