"""Optimisers and schedules, against values worked out by hand."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.optim import learning_rate, optimizer
from bench.recipes import Pretrain

RECIPE = Pretrain(lr=0.8, epochs=10, warmup_epochs=2.0, weight_decay=0.5)


def rates(recipe, steps):
    return [learning_rate(recipe, step, steps) for step in range(steps)]


def test_warm_up_then_half_a_cosine():
    # 20 steps, of which 2 epochs of 10 are 4 steps of warm-up; 16 steps are left, and at half of them cos is 0.
    found = rates(RECIPE, 20)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert found[8] == pytest.approx(0.8 * (1 + 2**-0.5) / 2)  # a quarter of the way: cos(pi / 4)
    assert found[12] == pytest.approx(0.4)
    assert found[16] == pytest.approx(0.8 * (1 - 2**-0.5) / 2)
    assert found[19] == pytest.approx(0.8 * 0.5 * (1 - 0.9807852804032304))  # cos(15 pi / 16)
    assert found[3:] == sorted(found[3:], reverse=True)
    assert learning_rate(RECIPE, 20, 20) == pytest.approx(0.0)  # where a step after the last would be


def test_milestones_are_shares_of_all_steps():
    recipe = replace(RECIPE, schedule="step", milestones=(0.5, 0.9), warmup_epochs=0.0)
    assert rates(recipe, 10) == pytest.approx([0.8] * 5 + [0.08] * 4 + [0.008])
    assert rates(replace(recipe, milestones=()), 10) == pytest.approx([0.8] * 10)


def test_constant_and_a_warm_up_of_no_step():
    recipe = replace(RECIPE, schedule="constant", warmup_epochs=1.0)
    assert rates(recipe, 20) == pytest.approx([0.4, 0.8] + [0.8] * 18)
    assert rates(replace(recipe, warmup_epochs=0.0), 3) == [0.8] * 3
    assert rates(replace(recipe, schedule="cosine", warmup_epochs=10.0), 4) == pytest.approx([0.2, 0.4, 0.6, 0.8])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)
        self.teacher = nn.Linear(4, 2).requires_grad_(False)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "lars"])
def test_every_optimiser_takes_a_step(name):
    torch.manual_seed(0)
    net = Net()
    before = {k: v.clone() for k, v in net.named_parameters()}
    found = optimizer(net, replace(RECIPE, optimizer=name, lr=0.1))
    assert type(found).__name__.lower() == name
    net(torch.randn(8, 3, 8, 8)).square().sum().backward()
    found.step()
    # conv.bias is the one whose gradient is zero: batch-norm takes the mean away again.
    moved = {k for k, v in net.named_parameters() if not torch.allclose(v, before[k], atol=1e-7)} - {"conv.bias"}
    assert moved == {"conv.weight", "norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert all(p.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "lars"])
def test_biases_and_norms_have_no_decay_and_what_is_frozen_is_left_out(name):
    net = Net()
    groups = optimizer(net, replace(RECIPE, optimizer=name)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    found = {k: decay.get(id(p)) for k, p in net.named_parameters()}
    none = dict.fromkeys(("conv.bias", "norm.weight", "norm.bias", "head.bias"), 0.0)
    assert found == {"conv.weight": 0.5, "head.weight": 0.5, "teacher.weight": None, "teacher.bias": None, **none}
    assert all(group["lr"] == 0.8 for group in groups)
    assert all(group["momentum"] == 0.9 for group in groups if name in ("sgd", "lars"))


def test_lars_scales_weights_by_their_trust_and_nothing_else():
    # You, Gitman and Ginsburg 2017, eq. 6: rate * 0.001 * |w| / (|g| + decay * |w|) * (g + decay * w).
    net = nn.Linear(2, 1)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[3.0, 4.0]]))  # norm 5
        net.bias.copy_(torch.tensor([1.0]))
    net.weight.grad, net.bias.grad = torch.tensor([[0.0, 2.5]]), torch.tensor([2.0])
    optimizer(net, Pretrain(optimizer="lars", lr=10.0, weight_decay=0.5)).step()
    trust = 0.001 * 5 / (2.5 + 0.5 * 5)
    expected = torch.tensor([[3.0, 4.0]]) - 10 * trust * torch.tensor([[1.5, 4.5]])
    torch.testing.assert_close(net.weight, expected)
    torch.testing.assert_close(net.bias, torch.tensor([1.0 - 10 * 2.0]))
