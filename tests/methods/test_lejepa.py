"""LeJEPA's loss against slow loops: the distance to the mean of the global views, and Epps and Pulley's statistic."""

import cmath
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.checks import small, views_of
from bench.nn import embed
from bench.registry import discover

PLUGIN = discover().get("method", "lejepa", where="tests")
SLICES = 5


def build(**settings):
    method = PLUGIN.load()(small(PLUGIN).encoder, **dict(PLUGIN.load().info.small) | {"slices": SLICES} | settings)
    method.views = replace(method.views, local_crops=3)
    return method.double().train()  # with batch-norm the projections have a spread


def seeded_loss(method, views):
    """The loss, and the lines that it drew: rows of unit length."""
    torch.manual_seed(7)
    loss = method.loss(views)
    torch.manual_seed(7)
    lines = torch.randn(8, SLICES, dtype=torch.float64).T.tolist()
    return loss.item(), [[x / math.hypot(*line) for x in line] for line in lines]


@torch.no_grad()
def projections(method, views):
    """A list of rows for each view."""
    return [method.head(features.pooled).tolist() for features in embed(method.encoder, views)]


def discrepancy(numbers, t):
    """How far the characteristic function of some numbers is from a standard Gaussian's at t, in its window."""
    empirical = sum(cmath.exp(1j * t * x) for x in numbers) / len(numbers)
    return abs(empirical - math.exp(-t * t / 2)) ** 2 * math.exp(-t * t / 2)


def epps_pulley(numbers, knots):
    """N times the integral over [-3, 3], by the trapezoidal rule with `knots` from 0 on (section 4.2.3)."""
    t = np.linspace(-3, 3, 2 * knots - 1)
    return len(numbers) * np.trapezoid([discrepancy(numbers, x) for x in t], t)


def sigreg(views, lines, knots):
    """The mean over views and lines."""
    statistics = [
        epps_pulley([sum(a * b for a, b in zip(row, line, strict=True)) for row in rows], knots)
        for rows in views
        for line in lines
    ]
    return sum(statistics) / len(statistics)


def distance_to_the_global_mean(views):
    means = [[(a + b) / 2 for a, b in zip(*rows, strict=True)] for rows in zip(*views[:2], strict=True)]
    squares = [
        (x - m) ** 2
        for rows in views
        for row, mean in zip(rows, means, strict=True)
        for x, m in zip(row, mean, strict=True)
    ]
    return sum(squares) / len(squares)


@pytest.mark.parametrize("lambda_", [0.05, 0.0, 1.0])
def test_the_loss_mixes_sigreg_and_the_distance(lambda_):
    method = build(lambda_=lambda_)
    views = [replace(view, images=view.images.double()) for view in views_of(method, "equation", 5)]
    found, lines = seeded_loss(method, views)
    rows = projections(method, views)
    wanted = lambda_ * sigreg(rows, lines, 17) + (1 - lambda_) * distance_to_the_global_mean(rows)
    assert found == pytest.approx(wanted, rel=1e-5)


def test_seventeen_knots_are_enough_for_the_integral():
    method = build(lambda_=1.0)
    views = [replace(view, images=view.images.double()) for view in views_of(method, "knots", 5)]
    found, lines = seeded_loss(method, views)
    assert found == pytest.approx(sigreg(projections(method, views), lines, 201), rel=5e-3)


def test_a_gaussian_has_less_to_answer_for_than_a_collapsed_batch():
    sigreg_of = build().criterion.sigreg
    torch.manual_seed(0)
    gaussian = torch.randn(256, 8, dtype=torch.float64)
    losses = [sigreg_of(batch).item() for batch in (gaussian, 0 * gaussian, 3 * gaussian)]
    assert losses[0] < 0.02 * min(losses[1:])


def test_every_view_learns():
    """There is no teacher and no stop-gradient, on the mean of the global views either."""
    method = build(lambda_=0.0)
    views = [replace(v, images=v.images.double().requires_grad_()) for v in views_of(method, "gradient", 3)]
    method.loss(views).backward()
    assert all(view.images.grad.abs().max() > 0 for view in views)
    rows = [torch.tensor(r, requires_grad=True, dtype=torch.float64) for r in projections(method, views)]
    stacked = torch.stack(rows)
    ((stacked - stacked[:2].mean(0)) ** 2).mean().backward()
    grads = torch.autograd.grad(
        method.criterion(local_proj=stacked[2:], global_proj=stacked[:2]), rows, allow_unused=False
    )
    for row, found in zip(rows, grads, strict=True):
        torch.testing.assert_close(found, row.grad)


def test_settings():
    assert PLUGIN.settings == {"lambda_": 0.05, "slices": 1024, "hidden": 2048, "dim": 64}
