"""DINO's loss against a slow loop of the paper's equation 3; its centre, teacher and schedules by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.checks import SIZE, TOKENS, small, views_of
from bench.encoders.timm import TimmEncoder
from bench.registry import discover

PLUGIN = discover().get("method", "dino", where="tests")


@pytest.fixture
def method():
    """In double precision, with a teacher that is not its student, a centre that is not 0, and few local crops."""
    method = small(PLUGIN).double().eval()
    method.views = replace(method.views, local_crops=2)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in method.teacher.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
        method.criterion.center.normal_().mul_(0.1)
    return method


def pictures_of(method, name, batch=4):
    return [replace(view, images=view.images.double()) for view in views_of(method, name, batch)]


def softmax(row):
    exponents = [math.exp(x - max(row)) for x in row]
    return [x / sum(exponents) for x in exponents]


@torch.no_grad()
def outputs(encoder, head, views):
    return [head(encoder(view.images).pooled).tolist() for view in views]


def distillation(wanted, given, center, temperature, student_temperature=0.1):
    """Eq. 3 as a mean over the pairs of a teacher's view and another view of the student's, and over the images."""
    terms = []
    for t, targets in enumerate(wanted):
        for s, guesses in enumerate(given):
            if s == t:
                continue
            for target, guess in zip(targets, guesses, strict=True):
                p = softmax([(x - c) / temperature for x, c in zip(target, center, strict=True)])
                q = softmax([x / student_temperature for x in guess])
                terms.append(-sum(a * math.log(b) for a, b in zip(p, q, strict=True)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize(("progress", "temperature"), [(0.0, 0.04), (0.15, 0.055), (0.3, 0.07), (1.0, 0.07)])
def test_the_loss_is_equation_3_with_a_teacher_that_warms_up(method, progress, temperature):
    method.progress = progress
    views, center = pictures_of(method, "equation"), method.criterion.center.flatten().tolist()
    found = method.loss(views).item()
    wanted = outputs(method.teacher.encoder, method.teacher.head, views[:2])
    given = outputs(method.encoder, method.head, views)
    assert len(given) == 4
    assert found == pytest.approx(distillation(wanted, given, center, temperature), rel=1e-5)


def test_the_center_follows_the_teachers_mean_output(method):
    """Eq. 4 with momentum 0.9."""
    views, before = pictures_of(method, "center"), method.criterion.center.flatten()
    method.loss(views)
    rows = torch.tensor(outputs(method.teacher.encoder, method.teacher.head, views[:2]), dtype=torch.float64).flatten(
        0, 1
    )
    assert len(rows) == 8
    torch.testing.assert_close(method.criterion.center.flatten(), 0.9 * before + 0.1 * rows.mean(0))
    assert "criterion.center" in method.state_dict()


def test_nothing_flows_into_the_teacher(method):
    method.loss(pictures_of(method, "gradient")).backward()
    assert all(w.grad is None for w in method.teacher.parameters())
    assert all(w.grad is not None for w in method.encoder.parameters())


@pytest.mark.parametrize(("progress", "momentum"), [(0.0, 0.996), (0.5, 0.998), (1.0, 1.0)])
def test_the_teacher_follows_with_a_momentum_that_rises_to_1(method, progress, momentum):
    pairs = ((method.encoder, method.teacher.encoder, 2.0), (method.head, method.teacher.head, 3.0))
    for student, teacher, value in pairs:
        for weight in student.parameters():
            nn.init.constant_(weight, value)
        for weight in teacher.parameters():
            nn.init.constant_(weight, 1.0)
    method.after_step(progress)
    for _, teacher, value in pairs:
        wanted = momentum + (1 - momentum) * value
        assert all(torch.allclose(w, torch.full_like(w, wanted), rtol=1e-9) for w in teacher.parameters())


@pytest.mark.parametrize(("progress", "learns"), [(0.0, False), (0.009, False), (0.011, True)])
def test_the_last_layer_rests_at_first(method, progress, learns):
    method.progress = progress
    method.loss(pictures_of(method, "rest")).backward()
    gradients = [w.grad for w in method.head.last_layer.parameters() if w.requires_grad]
    assert any(g is not None and bool(g.any()) for g in gradients) is learns
    assert method.head.layers[0].weight.grad.any()


def test_the_teacher_begins_as_its_student_and_is_what_is_kept():
    method = small(PLUGIN)
    assert method.trained() is method.teacher.encoder
    for own, other in ((method.teacher.encoder, method.encoder), (method.teacher.head, method.head)):
        assert all(torch.equal(a, b) for a, b in zip(own.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("backbone", ["test_resnet", TOKENS])
def test_the_head_of_a_transformer_has_no_batch_norm(backbone):
    settings = PLUGIN.load().info.small
    head = PLUGIN.load()(TimmEncoder(backbone, image_size=SIZE), **settings).head
    assert any(isinstance(layer, nn.BatchNorm1d) for layer in head.modules()) is (backbone != TOKENS)


def test_defaults_are_the_papers():
    paper = {"teacher_temperature": (0.04, 0.07), "warmup": 0.3, "rest": 0.01, "momentum": 0.996}
    sizes = {"hidden": 2048, "bottleneck": 256, "dim": 65536}
    assert PLUGIN.settings == {**paper, **sizes}
