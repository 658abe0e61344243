"""VICReg's loss against a slow loop of the paper's equations 1 to 6, scaled as its algorithm 1 scales them."""

import math
from dataclasses import replace

import pytest
import torch

from bench.checks import small, views_of
from bench.registry import discover

PLUGIN = discover().get("method", "vicreg", where="tests")


def invariance(first, second):
    """Eq. 5, and a mean over features too."""
    squares = [(a - b) ** 2 for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True)]
    return sum(squares) / len(squares)


def covariance(rows, i, j):
    """An entry of eq. 3."""
    means = [sum(row[k] for row in rows) / len(rows) for k in (i, j)]
    return sum((row[i] - means[0]) * (row[j] - means[1]) for row in rows) / (len(rows) - 1)


def variance_term(rows):
    """Eq. 1 with the standard deviation of eq. 2: a hinge at 1."""
    d = len(rows[0])
    return sum(max(0.0, 1 - math.sqrt(covariance(rows, i, i) + 1e-4)) for i in range(d)) / d


def covariance_term(rows):
    """Eq. 4."""
    d = len(rows[0])
    return sum(covariance(rows, i, j) ** 2 for i in range(d) for j in range(d) if i != j) / d


def vicreg(first, second, weights):
    """Eq. 6; of the variances of the two views the mean is taken, of their covariances the sum."""
    terms = (
        invariance(first, second),
        (variance_term(first) + variance_term(second)) / 2,
        covariance_term(first) + covariance_term(second),
    )
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))


def build(**settings):
    method = PLUGIN.load()(small(PLUGIN).encoder, **dict(PLUGIN.load().info.small) | settings)
    return method.double().train()


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)], ids=str)
def test_the_loss_is_equation_6(weights):
    method = build(**dict(zip(("invariance", "variance", "covariance"), weights, strict=True)))
    with torch.no_grad():
        method.head.layers[-1].weight.mul_(3)  # some deviations on either side of the hinge
    views = [replace(view, images=view.images.double()) for view in views_of(method, "equation", 6)]
    found = method.loss(views).item()
    with torch.no_grad():
        first, second = (method.head(method.encoder(view.images).pooled).tolist() for view in views)
    deviations = [math.sqrt(covariance(first, i, i)) for i in range(16)]
    assert min(deviations) < 1 < max(deviations)
    assert found == pytest.approx(vicreg(first, second, weights), rel=1e-5)


def test_both_views_learn():
    method = build()
    views = [replace(v, images=v.images.double().requires_grad_()) for v in views_of(method, "gradient", 4)]
    method.loss(views).backward()
    assert all(view.images.grad.abs().max() > 0 for view in views)


def test_defaults_are_the_papers():
    assert PLUGIN.settings == {"invariance": 25.0, "variance": 25.0, "covariance": 1.0, "dim": 8192}
