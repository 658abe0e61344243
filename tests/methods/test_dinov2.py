"""DINOv2's loss put together again from slow loops of DINO's, iBOT's and KoLeo's terms; its centres and schedules."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.checks import SIZE, TOKENS, views_of
from bench.encoders.timm import TimmEncoder
from bench.encoders.tokens import block_mask, encode, pool
from bench.registry import discover

PLUGIN = discover().get("method", "dinov2", where="tests")
REGISTER = "test_vit2 patch_size=8"  # a register, no class token, the mean of the patches


def build(backbone=TOKENS, **settings):
    """In double precision, with a teacher that is not its student, centres that are not 0, and two local crops."""
    torch.manual_seed(0)
    encoder = TimmEncoder(backbone, image_size=SIZE)
    method = PLUGIN.load()(encoder, **dict(PLUGIN.load().info.small) | settings).double().eval()
    method.views = replace(method.views, local_crops=2)
    with torch.no_grad():
        for weight in [*method.teacher.parameters(), method.mask_token]:
            weight.add_(0.05 * torch.randn_like(weight))
        for center in (method.image_loss.center, method.patch_loss.center.center):
            center.normal_().mul_(0.1)
    return method


def pictures_of(method, name, batch=4):
    return [replace(view, images=view.images.double()) for view in views_of(method, name, batch)]


def seeded_loss(method, views, seed=3):
    """The loss, and the masks that it drew: of the two global crops, one image after the other."""
    torch.manual_seed(seed)
    loss = method.loss(views)
    torch.manual_seed(seed)
    count, side = 2 * len(views[0].images), SIZE // 8
    return loss, block_mask(count, side, method.mask_ratio, method.masked, "cpu").flatten(1)


def softmax(row):
    exponents = [math.exp(x - max(row)) for x in row]
    return [x / sum(exponents) for x in exponents]


def cross_entropy(target, guess, center, temperature):
    """Of one image or patch; the student's temperature is 0.1."""
    p = softmax([(x - c) / temperature for x, c in zip(target, center, strict=True)])
    q = softmax([x / 0.1 for x in guess])
    return -sum(a * math.log(b) for a, b in zip(p, q, strict=True))


def koleo(rows):
    """Minus the mean log of the distance of each vector, at unit length, to its nearest (section 4)."""
    units = [[x / math.hypot(*row) for x in row] for row in rows]
    nearest = [min(math.dist(u, v) for j, v in enumerate(units) if j != i) for i, u in enumerate(units)]
    return -sum(math.log(d) for d in nearest) / len(nearest)


@torch.no_grad()
def tokens_of(method, views, mask):
    """The teacher's and the student's tokens: of whole global crops, of masked ones and of whole local ones."""
    whole = torch.cat([view.images for view in views[:2]])
    student = encode(method.encoder, whole, hidden=mask, mask_token=method.mask_token)
    return (
        encode(method.teacher.encoder, whole),
        student,
        encode(method.encoder, torch.cat([v.images for v in views[2:]])),
    )


@torch.no_grad()
def reference(method, views, mask, temperature):
    centers = [c.flatten().tolist() for c in (method.image_loss.center, method.patch_loss.center.center)]
    teacher, student, smaller = tokens_of(method, views, mask)
    wanted = method.teacher.head[0](pool(method.teacher.encoder, teacher)).chunk(2)
    images = [*pool(method.encoder, student).chunk(2), *pool(method.encoder, smaller).chunk(2)]
    given = [method.heads[0](image) for image in images]
    pairs = [(t, s) for t in range(2) for s in range(4) if s != t]
    dino = [
        cross_entropy(target, guess, centers[0], temperature)
        for t, s in pairs
        for target, guess in zip(wanted[t].tolist(), given[s].tolist(), strict=True)
    ]
    ibot = 0.0
    for image, hidden in enumerate(mask):
        targets, guesses = (
            head(tokens.patches[image, hidden]).tolist()
            for head, tokens in ((method.teacher.head[1], teacher), (method.heads[1], student))
        )
        terms = [cross_entropy(t, g, centers[1], temperature) for t, g in zip(targets, guesses, strict=True)]
        ibot += sum(terms) / max(1, len(terms)) / len(mask)
    return sum(dino) / len(dino) + ibot + method.koleo * sum(koleo(image.tolist()) for image in images[:2])


@pytest.mark.parametrize("backbone", [TOKENS, REGISTER])
@pytest.mark.parametrize(("progress", "temperature"), [(0.15, 0.055), (0.6, 0.07)])
def test_the_loss_is_its_three_terms(backbone, progress, temperature):
    method = build(backbone)
    method.progress = progress
    views = pictures_of(method, "terms")
    before = method.state_dict()
    centers = {name: value.clone() for name, value in before.items() if name.endswith("center")}
    found, mask = seeded_loss(method, views)
    assert 0 < mask.any(1).sum() < len(mask)
    method.load_state_dict({**method.state_dict(), **centers})
    assert found.item() == pytest.approx(reference(method, views, mask, temperature), rel=1e-5)


def test_with_no_mask_there_is_no_patch_term():
    method = build(masked=0.0, koleo=0.0)
    views = pictures_of(method, "none")
    centers = {name: value.clone() for name, value in method.state_dict().items() if name.endswith("center")}
    found, mask = seeded_loss(method, views)
    assert not mask.any()
    method.load_state_dict({**method.state_dict(), **centers})
    assert found.item() == pytest.approx(reference(method, views, mask, 0.04), rel=1e-5)


def test_both_centers_follow_what_their_teachers_gave():
    """The image's over both global crops, the patches' over those that were hidden; momentum 0.9."""
    method = build()
    views = pictures_of(method, "centers")
    before = [method.image_loss.center.flatten().clone(), method.patch_loss.center.center.flatten().clone()]
    _, mask = seeded_loss(method, views)
    teacher, _, _ = tokens_of(method, views, mask)
    with torch.no_grad():
        outputs = [
            method.teacher.head[0](pool(method.teacher.encoder, teacher)),
            method.teacher.head[1](teacher.patches[mask]),
        ]
    assert [len(rows) for rows in outputs] == [8, int(mask.sum())]
    for center, old, rows in zip(
        (method.image_loss.center, method.patch_loss.center.center), before, outputs, strict=True
    ):
        torch.testing.assert_close(center.flatten(), 0.9 * old + 0.1 * rows.mean(0))


def test_pixels_of_hidden_patches_reach_the_teacher_alone():
    """With a teacher that says the same of every image, the loss does not know what is behind the masks."""
    method = build()
    views = pictures_of(method, "pixels")
    loss, mask = seeded_loss(method, views)
    hidden = mask.view(-1, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3).chunk(2)
    behind = [
        *(replace(v, images=v.images.where(~at, -v.images)) for v, at in zip(views[:2], hidden, strict=True)),
        *views[2:],
    ]
    assert seeded_loss(build(), behind)[0].item() != pytest.approx(loss.item(), rel=1e-6)
    for head, center in zip(
        method.teacher.head, (method.image_loss.center, method.patch_loss.center.center), strict=True
    ):
        nn.init.zeros_(head.last_layer.weight_g)
        center.zero_()
    assert seeded_loss(method, behind)[0].item() == pytest.approx(seeded_loss(method, views)[0].item(), rel=1e-9)


def test_nothing_flows_into_the_teacher():
    method = build()
    seeded_loss(method, pictures_of(method, "gradient"))[0].backward()
    assert all(w.grad is None for w in method.teacher.parameters())
    assert all(w.grad is not None for w in [*method.encoder.parameters(), method.mask_token])


@pytest.mark.parametrize(("progress", "learns"), [(0.0, False), (0.009, False), (0.011, True)])
def test_the_last_layers_rest_at_first(progress, learns):
    method = build()
    method.progress = progress
    seeded_loss(method, pictures_of(method, "rest"))[0].backward()
    for head in method.heads:
        for name, weight in head.last_layer.named_parameters():
            assert (weight.grad is not None and bool(weight.grad.any())) is learns, name
        assert head.layers[0].weight.grad.any()


@pytest.mark.parametrize(("progress", "momentum"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0)])
def test_the_teacher_follows_with_a_momentum_that_rises_to_1(progress, momentum):
    method = build(momentum=0.9)
    pairs = ((method.encoder, method.teacher.encoder, 2.0), (method.heads, method.teacher.head, 3.0))
    for student, teacher, value in pairs:
        for weight in student.parameters():
            nn.init.constant_(weight, value)
        for weight in teacher.parameters():
            nn.init.constant_(weight, 1.0)
    method.after_step(progress)
    for _, teacher, value in pairs:
        wanted = momentum + (1 - momentum) * value
        assert all(torch.allclose(w, torch.full_like(w, wanted), rtol=1e-9) for w in teacher.parameters())
    assert method.trained() is method.teacher.encoder
