"""Every SSL method trains in mixed precision, which is what a GPU has unless the grid says otherwise."""

import math
from dataclasses import replace

import pytest
import torch

from bench.checks import RECIPE, pictures, small
from bench.pretrain import pretrain
from bench.registry import discover

METHODS = [p for p in discover().all("method") if p.decorator == "ssl_method"]
HALF = replace(RECIPE, epochs=1, precision="bf16", checkpoint_minutes=10.0)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _without_onednn(monkeypatch):
    """Its bfloat16 gradients on 1 x 1 maps are now and then NaN on a CPU (torch 2.11 and 2.15)."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)


@pytest.mark.parametrize("plugin", METHODS, ids=lambda plugin: plugin.name)
def test_a_method_trains_in_bfloat16(plugin):
    trained = pretrain(lambda: small(plugin), pictures(32), HALF, views=plugin.load().views, seed=0)
    first = small(plugin).encoder.state_dict()
    assert math.isfinite(trained.history["loss"][0])
    assert all(value.dtype == first[name].dtype for name, value in trained.weights.items())
    assert any(not torch.equal(value, first[name]) for name, value in trained.weights.items())
