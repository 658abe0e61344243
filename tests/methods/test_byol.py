"""BYOL's loss against a slow loop of the paper's equation 2, and its teacher by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.checks import small, views_of
from bench.registry import discover

PLUGIN = discover().get("method", "byol", where="tests")


@pytest.fixture
def method():
    """In double precision, with a teacher that is not its student."""
    method = small(PLUGIN).double().eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in method.teacher.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return method


def pictures_of(method, name, batch=5):
    return [replace(view, images=view.images.double()) for view in views_of(method, name, batch)]


def distance(one, other):
    """Eq. 2: the squared distance of two vectors at unit length."""
    lengths = math.hypot(*one), math.hypot(*other)
    return sum((a / lengths[0] - b / lengths[1]) ** 2 for a, b in zip(one, other, strict=True))


@torch.no_grad()
def reference(method, views):
    """Each view predicts the teacher's projection of the other one; summed over the two, mean over the images."""
    encoder, projector = method.teacher.encoder, method.teacher.head
    total = 0.0
    for here, there in ((0, 1), (1, 0)):
        predicted = method.predictor(method.projector(method.encoder(views[here].images).pooled)).tolist()
        wanted = projector(encoder(views[there].images).pooled).tolist()
        total += sum(distance(p, w) for p, w in zip(predicted, wanted, strict=True)) / len(predicted)
    return total


def test_the_loss_is_equation_2_in_both_directions(method):
    views = pictures_of(method, "equation")
    found = method.loss(views).item()
    assert found == pytest.approx(reference(method, views), rel=1e-5)
    assert method.loss(views[::-1]).item() == pytest.approx(found, rel=1e-9)


def test_nothing_flows_into_the_teacher(method):
    method.loss(pictures_of(method, "gradient")).backward()
    assert all(weight.grad is None for weight in method.teacher.parameters())
    for learner in (method.encoder, method.projector, method.predictor):
        assert all(weight.grad is not None for weight in learner.parameters())


@pytest.mark.parametrize(("progress", "momentum"), [(0.0, 0.996), (0.5, 0.998), (1.0, 1.0)])
def test_the_teacher_follows_with_a_momentum_that_rises_to_1(method, progress, momentum):
    for module, value in ((method.encoder, 2.0), (method.projector, 3.0), (method.teacher, 1.0)):
        for weight in module.parameters():
            nn.init.constant_(weight, value)
    method.after_step(progress)
    for module, student in ((method.teacher.encoder, 2.0), (method.teacher.head, 3.0)):
        wanted = momentum + (1 - momentum) * student
        assert all(torch.allclose(w, torch.full_like(w, wanted), rtol=1e-9) for w in module.parameters())


def test_the_teacher_begins_as_its_student():
    method = small(PLUGIN)
    for own, other in ((method.teacher.encoder, method.encoder), (method.teacher.head, method.projector)):
        assert all(torch.equal(a, b) for a, b in zip(own.parameters(), other.parameters(), strict=True))


def test_defaults_are_the_papers():
    assert PLUGIN.settings == {"momentum": 0.996, "hidden": 4096, "dim": 256}
