"""Tokens of a vision transformer are timm's; what is left out or hidden is not seen; masks are as large as asked."""

import pytest
import torch

from bench.encoders.timm import TimmEncoder
from bench.encoders.tokens import block_mask, encode, pool, prefix_tokens

SIZE, PATCH, SIDE = 32, 8, 4
BACKBONES = {  # and how many tokens come before the patches
    "test_vit patch_size=8": 1,
    "test_vit patch_size=8 reg_tokens=3": 4,
    "test_vit2 patch_size=8": 1,  # a register and no class token
    "test_vit patch_size=8 class_token=False global_pool='avg'": 0,
    "vit_tiny_patch16_224 patch_size=8 depth=2 pre_norm=True": 1,
}
CLASS = "test_vit patch_size=8"


def encoder_of(backbone):
    torch.manual_seed(0)
    return TimmEncoder(backbone, image_size=SIZE).double().eval()


def images_of(size=SIZE, batch=3):
    torch.manual_seed(1)
    return torch.randn(batch, 3, size, size, dtype=torch.float64)


def repainted(images, mask):
    """The images with other pixels in the patches of a mask (b p)."""
    side = images.shape[2] // PATCH
    pixels = mask.view(-1, 1, side, side).repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
    return images.where(~pixels, torch.randn_like(images))


def some(batch=3, patches=SIDE**2):
    torch.manual_seed(2)
    return torch.rand(batch, patches) < 0.4


@pytest.mark.parametrize("size", [32, 48, 16])
@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_with_nothing_hidden_the_tokens_are_timms(backbone, size):
    encoder, images = encoder_of(backbone), images_of(size)
    tokens = encode(encoder, images)
    count = BACKBONES[backbone]
    assert prefix_tokens(encoder) == count
    assert tokens.prefix.shape[1] == count
    assert tokens.patches.shape[1] == (size // PATCH) ** 2
    torch.testing.assert_close(torch.cat(tokens, 1), encoder.model.forward_features(images))
    nothing = torch.zeros(3, (size // PATCH) ** 2, dtype=torch.bool)
    token = torch.ones(tokens.patches.shape[2], dtype=torch.float64)
    for one, other in zip(encode(encoder, images, hidden=nothing, mask_token=token), tokens, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_tokens_are_pooled_into_what_the_encoder_is_evaluated_by(backbone):
    encoder, images = encoder_of(backbone), images_of()
    torch.testing.assert_close(pool(encoder, encode(encoder, images)), encoder(images).pooled)


@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_patches_that_are_kept_come_in_the_order_asked_for(backbone):
    """Attention has no order but that of the positions, which each patch takes along."""
    encoder, images = encoder_of(backbone), images_of()
    order = torch.stack([torch.randperm(SIDE**2) for _ in images])
    whole, shuffled = encode(encoder, images), encode(encoder, images, keep=order)
    torch.testing.assert_close(shuffled.prefix, whole.prefix)
    torch.testing.assert_close(shuffled.patches, whole.patches.take_along_dim(order[..., None], 1))
    few, again = order[:, :5], torch.randperm(5)
    one, other = (encode(encoder, images, keep=kept) for kept in (few, few[:, again]))
    torch.testing.assert_close(other.prefix, one.prefix)
    torch.testing.assert_close(other.patches, one.patches[:, again])
    assert not torch.allclose(one.patches, whole.patches.take_along_dim(few[..., None], 1))


@torch.no_grad()
def test_pixels_of_patches_left_out_are_not_seen():
    encoder, images = encoder_of(CLASS), images_of()
    keep = torch.stack([torch.randperm(SIDE**2)[:6] for _ in images])
    left_out = torch.ones(3, SIDE**2, dtype=torch.bool).scatter(1, keep, False)
    for one, other in zip(
        encode(encoder, images, keep=keep), encode(encoder, repainted(images, left_out), keep=keep), strict=True
    ):
        assert torch.equal(one, other)
    seen = encode(encoder, repainted(images, ~left_out), keep=keep)
    assert not torch.allclose(seen.patches, encode(encoder, images, keep=keep).patches)


@pytest.mark.parametrize("backbone", BACKBONES)
@torch.no_grad()
def test_pixels_of_hidden_patches_are_not_seen(backbone):
    encoder, images, hidden = encoder_of(backbone), images_of(), some()
    token = torch.randn(encoder.dim, dtype=torch.float64)
    found = encode(encoder, images, hidden=hidden, mask_token=token)
    assert found.patches.shape[1] == SIDE**2
    blind = encode(encoder, repainted(images, hidden), hidden=hidden, mask_token=token)
    assert all(torch.equal(one, other) for one, other in zip(found, blind, strict=True))
    for other in (
        encode(encoder, images),
        encode(encoder, images, hidden=hidden, mask_token=2 * token),
        encode(encoder, repainted(images, ~hidden), hidden=hidden, mask_token=token),
    ):
        assert not torch.allclose(found.patches, other.patches)


@torch.no_grad()
def test_a_hidden_patch_keeps_its_place():
    """With every patch hidden, patches differ by their positions alone."""
    encoder, images = encoder_of(CLASS), images_of()
    hidden = torch.ones(3, SIDE**2, dtype=torch.bool)
    patches = encode(encoder, images, hidden=hidden, mask_token=torch.zeros(64, dtype=torch.float64)).patches
    torch.testing.assert_close(patches[0], patches[1])
    assert torch.pdist(patches[0]).min() > 1e-6


def masks_of(seed, *arguments):
    torch.manual_seed(seed)
    return block_mask(*arguments, "cpu")


@pytest.mark.parametrize("side", [4, 14, 16])
@pytest.mark.parametrize("ratio", [(0.1, 0.5), (0.3, 0.3), (0.0, 0.0), (1.0, 1.0)])
def test_masks_hide_a_share_within_the_range(side, ratio):
    shares = torch.cat([masks_of(seed, 8, side, ratio, 1.0).flatten(1).float().mean(1) for seed in range(10)])
    one = 1 / side**2
    assert shares.min() >= max(one, ratio[0] - one)
    assert shares.max() <= max(one, ratio[1] + one / 2)


def test_the_shares_are_spread_evenly_over_the_batch():
    shares = masks_of(0, 5, 16, (0.1, 0.5), 1.0).flatten(1).float().mean(1).sort().values
    torch.testing.assert_close(shares, torch.linspace(0.1, 0.5, 5), atol=0.03, rtol=0)


@pytest.mark.parametrize(("probability", "hidden"), [(0.0, 0), (0.25, 2), (0.5, 4), (1.0, 8)])
def test_as_many_images_are_masked_as_asked_for(probability, hidden):
    masks = masks_of(0, 8, 14, (0.1, 0.5), probability)
    assert masks.shape == (8, 14, 14)
    assert int(masks.flatten(1).any(1).sum()) == hidden


def test_masks_follow_the_seed():
    one, same, other = (masks_of(seed, 8, 14, (0.1, 0.5), 0.5) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(one.flatten(1).any(1), other.flatten(1).any(1))


def test_masks_are_blocks():
    """Most neighbours of a hidden patch are hidden too; of patches drawn singly 3 in 10 would be."""
    masks = masks_of(0, 20, 14, (0.3, 0.3), 1.0)
    pairs = (masks[:, 1:] & masks[:, :-1]).sum() + (masks[:, :, 1:] & masks[:, :, :-1]).sum()
    ends = 2 * masks.sum()  # of pairs that a hidden patch begins, but for those at the border
    assert pairs / ends > 0.6
