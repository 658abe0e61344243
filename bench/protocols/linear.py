"""Linear evaluation: the encoder is frozen, batch-norm statistics too, and a head is trained on its features.

`linear` is the single layer of the LVM-Med paper's Table 5, `linear_mlp` the two hidden layers of its Table 12. The
rate is chosen on validation from a grid, because one rate favours whichever encoder has features of the right length.
"""

from collections.abc import Sequence

import torch

from bench.errors import BenchError
from bench.protocols._data import Labelled, features, scores
from bench.protocols._heads import fit, forward
from bench.random import generator
from bench.spec import Context, Encoder, Scores, protocol

# Ten rates, three a decade, through the paper's 5e-4.
RATES = (5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2)


def rates(lr: float | Sequence[float] | None) -> tuple[float, ...]:
    """The rates to try: the grid, one that is pinned, or the user's own list. Raises BenchError."""
    chosen = RATES if lr is None else tuple(lr) if isinstance(lr, list | tuple) else (lr,)
    if not chosen or not all(type(rate) in (int, float) and 0 < rate < float("inf") for rate in chosen):
        raise BenchError(f"lr: expected a number above 0, or a list of such, got {lr!r}")
    return tuple(float(rate) for rate in chosen)


def frozen(
    encoder: Encoder, context: Context, hidden: Sequence[int], lr: float | Sequence[float] | None, epochs: int,
    batch_size: int, weight_decay: float, image_size: int,
) -> Scores:  # fmt: skip
    """Fit heads on the training features, choose on validation, score on test."""
    tried = rates(lr)
    parts = {
        name: Labelled(part.inputs.to(context.device), part.targets.to(context.device))
        for name, part in features(encoder, context, image_size or encoder.image_size).items()
    }
    best = fit(
        parts["train"],
        parts["val"],
        sizes=(encoder.dim, *hidden, len(context.task.classes)),
        rates=tried,
        epochs=epochs,
        batch_size=batch_size,
        weight_decay=weight_decay,
        generator=generator("linear", context.task.name, context.seed),
    )
    with torch.inference_mode():
        probabilities = forward(best.layers, parts["test"].inputs)[0].softmax(-1)
    return scores(context, probabilities, {"lr": best.lr, "epoch": best.epoch, "val_accuracy": best.accuracy})


@protocol("linear", title="one layer on frozen features")
def linear(
    encoder: Encoder, context: Context, *, lr: float | Sequence[float] | None = None, epochs: int = 20,
    batch_size: int = 64, weight_decay: float = 0.0, image_size: int = 0,
) -> Scores:  # fmt: skip
    """`lr` pins the rate (the paper: 5e-4) or lists those to choose from; None: ten. `image_size` 0: the encoder's."""
    return frozen(encoder, context, (), lr, epochs, batch_size, weight_decay, image_size)


@protocol("linear_mlp", title="two hidden layers on frozen features")
def linear_mlp(
    encoder: Encoder, context: Context, *, hidden: Sequence[int] = (512, 256),
    lr: float | Sequence[float] | None = None, epochs: int = 20, batch_size: int = 64, weight_decay: float = 0.0,
    image_size: int = 0,
) -> Scores:  # fmt: skip
    """As `linear`, with `hidden` layers: 512-256 for the brain tumours and 512-128 for FGADR (Table 12)."""
    return frozen(encoder, context, hidden, lr, epochs, batch_size, weight_decay, image_size)
