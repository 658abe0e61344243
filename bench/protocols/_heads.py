"""Heads on frozen features, one for each learning rate of a grid, all trained in one batched pass.

Every head starts from the same weights and sees the same batches, so a grid costs little more than one of its members.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from bench.errors import BenchError
from bench.protocols._data import Labelled

Layers = list[tuple[Tensor, Tensor]]  # weight (l i o) and bias (l 1 o), with a head for each l


@dataclass(frozen=True)
class Fitted:
    """The head that did best on validation: with which learning rate, after which epoch, how well."""

    layers: Layers
    lr: float
    epoch: int
    accuracy: float
    loss: float


def forward(layers: Layers, inputs: Float[Tensor, "b d"]) -> Float[Tensor, "l b c"]:
    """Logits of every head; a ReLU between layers."""
    (first, bias), *others = layers
    # All heads see the same inputs, so their first layers are one matrix, side by side.
    side_by_side = first.movedim(0, 1).flatten(1)
    hidden: Tensor = (inputs @ side_by_side).unflatten(1, first.shape[::2]).movedim(1, 0) + bias
    for weight, bias in others:
        hidden = torch.baddbmm(bias, hidden.relu(), weight)
    return hidden


def fit(
    train: Labelled,
    val: Labelled,
    *,
    sizes: Sequence[int],
    rates: Sequence[float],
    epochs: int,
    batch_size: int,
    weight_decay: float,
    generator: torch.Generator,
) -> Fitted:
    """Train a head of layer `sizes` (features, hidden ..., classes) for each of `rates`, with Adam and cross-entropy.

    The head and the epoch with the highest validation accuracy are kept, of equals the one with the lowest loss; a head
    that diverges is never kept. Raises BenchError if all of them do.
    """
    layers = [_draw(i, o, len(rates), train.inputs, generator) for i, o in pairwise(sizes)]
    adam = Adam([p for layer in layers for p in layer], rates, weight_decay)
    best: Fitted | None = None
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(train.inputs), generator=generator).to(train.inputs.device)
        for rows in order.split(batch_size):
            adam.step(_loss(forward(layers, train.inputs[rows]), train.targets[rows]).sum())
        with torch.no_grad():
            logits = forward(layers, val.inputs)
            losses, right = _loss(logits, val.targets), (logits.argmax(-1) == val.targets).float().mean(-1)
        for number, (loss, accuracy) in enumerate(zip(losses.tolist(), right.tolist(), strict=True)):
            if math.isfinite(loss) and (best is None or (accuracy, -loss) > (best.accuracy, -best.loss)):
                kept = [
                    (w[number : number + 1].detach().clone(), b[number : number + 1].detach().clone())
                    for w, b in layers
                ]
                best = Fitted(kept, rates[number], epoch, accuracy, loss)
    if best is None:
        raise BenchError(f"no head has a finite loss on validation, at any of the rates {', '.join(map(str, rates))}")
    return best


def _draw(inputs: int, outputs: int, heads: int, like: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """torch.nn.Linear's own start (uniform within 1/sqrt(inputs)), the same for every head."""
    bound = inputs**-0.5
    drawn = torch.rand(inputs + 1, outputs, generator=generator) * 2 * bound - bound
    weight, bias = (t.expand(heads, *t.shape).to(like.device, copy=True) for t in (drawn[:-1], drawn[-1:]))
    return weight.contiguous().requires_grad_(), bias.contiguous().requires_grad_()


def _loss(logits: Float[Tensor, "l b c"], targets: Int[Tensor, " b"]) -> Float[Tensor, " l"]:
    """Mean cross-entropy of each head."""
    heads, batch, classes = logits.shape
    each = functional.cross_entropy(logits.reshape(-1, classes), targets.repeat(heads), reduction="none")
    return each.reshape(heads, batch).mean(-1)


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) with a rate for each slice of the first axis, and L2 weight decay.

    torch.optim.Adam takes one rate a tensor; with this, a grid of rates is one tensor and one step.
    """

    def __init__(self, parameters: Sequence[Tensor], rates: Sequence[float], weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.rates = torch.tensor(rates, device=parameters[0].device)[:, None, None]
        self.weight_decay = weight_decay
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
        self.count = 0

    def step(self, loss: Tensor, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        """One update towards a lower loss."""
        self.count += 1
        grads = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            for parameter, grad, (first, second) in zip(self.parameters, grads, self.moments, strict=True):
                slope = grad.add(parameter, alpha=self.weight_decay) if self.weight_decay else grad
                first.lerp_(slope, 1 - betas[0])
                second.mul_(betas[1]).addcmul_(slope, slope, value=1 - betas[1])
                scale = (second / (1 - betas[1] ** self.count)).sqrt_().add_(eps)
                parameter.sub_(self.rates * first / (1 - betas[0] ** self.count) / scale)
