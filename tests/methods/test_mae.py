"""MAE's loss against slow loops over patches and pixels: what is seen, what is painted, and what is asked for."""

import math
from dataclasses import replace

import pytest
import torch

from bench.checks import SIZE, TOKENS, views_of
from bench.encoders.timm import TimmEncoder
from bench.encoders.tokens import encode
from bench.registry import discover

PLUGIN = discover().get("method", "mae", where="tests")
PATCH, SIDE = 8, SIZE // 8
BACKBONES = [TOKENS, "test_vit2 patch_size=8"]  # a class token; a register and no class token


def build(backbone=TOKENS, **settings):
    torch.manual_seed(0)
    encoder = TimmEncoder(backbone, image_size=SIZE)
    method = PLUGIN.load()(encoder, **dict(PLUGIN.load().info.small) | settings).double().eval()
    torch.nn.init.normal_(method.paint.weight)  # what is painted is as large as what is asked for
    return method


def pictures_of(method, name, batch=3):
    (view,) = views_of(method, name, batch)
    return replace(view, images=view.images.double())


def seeded_loss(method, view, seed=5):
    """The loss, and the order in which it drew the patches of each image: those that are kept come first."""
    torch.manual_seed(seed)
    loss = method.loss([view])
    torch.manual_seed(seed)
    return loss, torch.rand(len(view.images), SIDE**2).argsort(1)


def pixels(image, patch):
    """Those of a patch, numbered row by row: down, across, then channels."""
    top, left = PATCH * (patch // SIDE), PATCH * (patch % SIDE)
    return [image[c, top + y, left + x].item() for y in range(PATCH) for x in range(PATCH) for c in range(3)]


def normalised(values):
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / math.sqrt(variance + 1e-6) for v in values]


@torch.no_grad()
def reference(method, view, order, kept):
    """The mean squared error over the patches left out; the decoder sees a mask token in the place of each of them."""
    seen = encode(method.encoder, view.images, keep=order[:, :kept])
    prefix, errors = seen.prefix.shape[1], []
    for i, image in enumerate(view.images):
        sequence = [method.project(token) for token in seen.prefix[i]]
        for patch in range(SIDE**2):
            place = order[i].tolist().index(patch)
            token = method.project(seen.patches[i, place]) if place < kept else method.decoder.mask_token[0, 0]
            sequence.append(token)
        decoded = method.decoder.decode(torch.stack(sequence)[None] + method.decoder.pos_embed)[0, prefix:]
        for patch in order[i, kept:].tolist():
            painted = method.paint(decoded[patch]).tolist()
            wanted = pixels(image, patch)
            wanted = normalised(wanted) if method.normalise else wanted
            errors += [(p - w) ** 2 for p, w in zip(painted, wanted, strict=True)]
    return sum(errors) / len(errors)


def change(view, order, which, edit):
    """The view with `edit` applied to the patches numbered by a slice of each image's order."""
    images = view.images.clone()
    for i in range(len(images)):
        for patch in order[i, which].tolist():
            top, left = PATCH * (patch // SIDE), PATCH * (patch % SIDE)
            at = (i, slice(None), slice(top, top + PATCH), slice(left, left + PATCH))
            images[at] = edit(images[at])
    return replace(view, images=images)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("ratio", "kept", "normalise"), [(0.75, 4, False), (0.5, 8, True)])
def test_the_loss_is_the_error_of_the_patches_left_out(backbone, ratio, kept, normalise):
    method = build(backbone, ratio=ratio, normalise=normalise)
    view = pictures_of(method, "equation")
    found, order = seeded_loss(method, view)
    assert found.item() == pytest.approx(reference(method, view, order, kept), rel=1e-5)


def test_a_patch_left_out_counts_only_by_what_is_left_of_it_when_normalised():
    """The encoder does not see it, and its target is its own: brighter and of more contrast it is the same target."""
    method = build(normalise=True)
    view = pictures_of(method, "out")
    loss, order = seeded_loss(method, view)
    brighter = change(view, order, slice(4, None), lambda patch: (1 + 3 * torch.rand(())) * patch + torch.randn(()))
    assert seeded_loss(method, brighter)[0].item() == pytest.approx(loss.item(), rel=1e-4)
    others = change(view, order, slice(4, None), lambda patch: patch.flip(2))
    assert seeded_loss(method, others)[0].item() != pytest.approx(loss.item(), rel=1e-4)


def test_a_patch_that_is_kept_counts_only_by_what_the_encoder_makes_of_it():
    method = build()
    view = pictures_of(method, "kept")
    loss, order = seeded_loss(method, view)
    edited = change(view, order, slice(0, 4), lambda patch: patch.flip(2))
    assert seeded_loss(method, edited)[0].item() != pytest.approx(loss.item(), rel=1e-9)
    torch.nn.init.zeros_(method.project.weight)  # now nothing of the encoder reaches the decoder
    assert seeded_loss(method, edited)[0].item() == seeded_loss(method, view)[0].item()


def test_each_image_has_patches_of_its_own():
    method = build()
    _, order = seeded_loss(method, pictures_of(method, "own"))
    assert len({tuple(row) for row in order[:, :4].sort(1).values.tolist()}) > 1


def test_the_decoders_positions_are_fixed_and_its_mask_token_learns():
    method = build()
    seeded_loss(method, pictures_of(method, "gradient"))[0].backward()
    assert not method.decoder.pos_embed.requires_grad
    assert method.decoder.mask_token.grad.any()
    assert all(w.grad is not None for w in [*method.project.parameters(), *method.paint.parameters()])


def test_one_patch_is_seen_at_least():
    method = build(ratio=0.99)
    assert method.kept == 1
    assert seeded_loss(method, pictures_of(method, "one"))[0].isfinite()


def test_defaults_are_the_papers_but_for_the_floor():
    assert PLUGIN.settings == {"ratio": 0.75, "normalise": False, "dim": 512, "depth": 8, "heads": 16}
