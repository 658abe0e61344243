"""SimCLR's loss against a slow double loop of the paper's equation 1."""

import math
from dataclasses import replace

import pytest
import torch

from bench.checks import small, views_of
from bench.registry import discover

PLUGIN = discover().get("method", "simclr", where="tests")


def nt_xent(first, second, temperature):
    """The mean of eq. 1 over all ordered positive pairs (Chen et al. 2020), in double precision and plain Python."""
    z = first.double().tolist() + second.double().tolist()
    n = len(first)

    def sim(u, v):
        return sum(a * b for a, b in zip(u, v, strict=True)) / (math.hypot(*u) * math.hypot(*v))

    losses = []
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        others = sum(math.exp(sim(z[i], z[k]) / temperature) for k in range(2 * n) if k != i)
        losses.append(-math.log(math.exp(sim(z[i], z[j]) / temperature) / others))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("batch", [2, 9])
def test_the_loss_is_equation_1(batch, temperature):
    method = small(PLUGIN).eval()  # batch-norm would give each pass another vector
    method.criterion.temperature = temperature
    views = views_of(method, "equation", batch)
    with torch.no_grad():
        first, second = (method.head(method.encoder(view.images).pooled) for view in views)
        found = method.loss(views).item()
        swapped = method.loss(views[::-1]).item()
    assert first.shape == (batch, 8)
    assert found == pytest.approx(nt_xent(first, second, temperature), abs=1e-5)
    assert swapped == pytest.approx(found, abs=1e-6)


def test_settings_reach_the_loss_and_the_head():
    method = PLUGIN.load()(small(PLUGIN).encoder, temperature=0.2, hidden=32, dim=4)
    assert method.criterion.temperature == 0.2
    assert [tuple(p.shape) for p in method.head.parameters() if p.ndim == 2] == [(32, method.encoder.dim), (4, 32)]
    assert PLUGIN.settings == {"temperature": 0.1, "hidden": 2048, "dim": 128}  # the paper's


def test_views_that_agree_have_a_lower_loss_than_views_that_do_not():
    method = small(PLUGIN).eval()
    views = views_of(method, "agree", 8)
    turned = replace(views[0], images=views[0].images.roll(1, 0))
    with torch.no_grad():
        assert method.loss([views[0], views[0]]) < method.loss([views[0], turned])
