"""Optimisers, and learning-rate schedules that are pure functions of the step: nothing to save, nothing to drift."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bench.recipes import Pretrain


def optimizer(method: nn.Module, recipe: Pretrain) -> torch.optim.Optimizer:
    """The recipe's optimiser. Biases and norms (tensors of one axis) have no weight decay, nor LARS's trust ratio."""
    weights = [p for p in method.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in method.parameters() if p.requires_grad and p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    rate, decay = recipe.lr, recipe.weight_decay
    match recipe.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=rate, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(groups, lr=rate, weight_decay=decay)
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=0.9, weight_decay=decay)
        case "lars":
            from lightly.utils.lars import LARS

            lars: torch.optim.Optimizer = LARS(groups, lr=rate, momentum=0.9, weight_decay=decay)
            return lars


def learning_rate(recipe: Pretrain, step: int, steps: int) -> float:
    """Rate of optimiser step `step` in [0, steps): linear warm-up from the first step, then the schedule.

    Cosine falls to zero over the steps after the warm-up (Loshchilov and Hutter 2017, eq. 5, one cycle); "step"
    multiplies by `decay` at each of `milestones`, which are shares of all steps.
    """
    warmup = round(recipe.warmup_epochs * steps / recipe.epochs)
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    match recipe.schedule:
        case "cosine":
            return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
        case "step":
            return recipe.lr * recipe.decay ** _passed(recipe.milestones, step / steps)
        case "constant":
            return recipe.lr


def _passed(milestones: Sequence[float], share: float) -> int:
    return sum(share >= milestone for milestone in milestones)
