"""Barlow Twins' loss against a slow loop of the paper's equations 1 and 2."""

import math
from dataclasses import replace

import pytest
import torch

from bench.checks import small, views_of
from bench.registry import discover

PLUGIN = discover().get("method", "barlow_twins", where="tests")


def standardised(column):
    """Mean 0 and variance 1 over the batch; the 1e-5 is the batch-norm's of the paper's algorithm 1."""
    mean = sum(column) / len(column)
    variance = sum((x - mean) ** 2 for x in column) / len(column)
    return [(x - mean) / math.sqrt(variance + 1e-5) for x in column]


def redundancy(first, second, lambda_):
    """Eq. 1 of the cross-correlations of eq. 2, of two lists of projections."""
    a, b = ([standardised(column) for column in zip(*rows, strict=True)] for rows in (first, second))
    total = 0.0
    for i in range(len(a)):
        for j in range(len(b)):
            correlation = sum(x * y for x, y in zip(a[i], b[j], strict=True)) / len(first)
            total += (1 - correlation) ** 2 if i == j else lambda_ * correlation**2
    return total


def build(**settings):
    method = PLUGIN.load()(small(PLUGIN).encoder, **dict(PLUGIN.load().info.small) | settings)
    return method.double().train()


@torch.no_grad()
def projections(method, views):
    return [method.head(method.encoder(view.images).pooled).tolist() for view in views]


@pytest.mark.parametrize(("lambda_", "batch"), [(5e-3, 6), (1.0, 3)])
def test_the_loss_is_equation_1(lambda_, batch):
    method = build(lambda_=lambda_)
    views = [replace(view, images=view.images.double()) for view in views_of(method, "equation", batch)]
    found = method.loss(views).item()
    assert found == pytest.approx(redundancy(*projections(method, views), lambda_), rel=1e-5)
    assert method.loss(views[::-1]).item() == pytest.approx(found, rel=1e-9)


def test_both_views_learn():
    """The gradient is that of both projections: there is no teacher and no stop-gradient."""
    method = build()
    views = [replace(v, images=v.images.double().requires_grad_()) for v in views_of(method, "gradient", 4)]
    method.loss(views).backward()
    assert all(view.images.grad.abs().max() > 0 for view in views)


def test_defaults_are_the_papers():
    assert PLUGIN.settings == {"lambda_": 5e-3, "dim": 8192}
