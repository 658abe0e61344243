"""Segmentation: a decoder on the encoder's maps, trained with it or alone, scored case by case on the native grid.

As in LVM-Med (arXiv:2306.11925, appendix B, tables 7 and 8): Dice and cross-entropy, Adam at a constant rate, gradients
clipped to norm 1, no augmentation, the epoch picked on validation. Volumes are trained on slice by slice, with as many
slices that show a structure as do not, and scored whole. Two conventions are computed from the same predictions:

- strict: probabilities are resized to the native grid, and every region of each case is scored there (`bench.metrics`);
- `release_dice` or `release_iou`: what LVM-Med's released code computes, on the resized grid, of the classes it scores.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from bench.data.folders import is_volume
from bench.data.segments import Slices, read_pair, slices
from bench.metrics import Array, released, segmentation
from bench.protocols._decoders import Segmenter
from bench.random import generator, seed_library
from bench.spec import Case, Context, Encoder, Scores, protocol

BATCH = 32  # slices of a forward pass without gradient
EPSILON = 1e-6  # of the soft Dice, as released


def dice_and_cross_entropy(logits: Float[Tensor, "b c h w"], truth: Int64[Tensor, "b h w"]) -> Float[Tensor, ""]:
    """Cross-entropy plus 1 - soft Dice, the mean over all classes, background too, of sums over the whole batch."""
    shown = functional.one_hot(truth, logits.shape[1]).movedim(3, 1)
    likely = logits.softmax(1)
    both, sizes = (likely * shown).sum((0, 2, 3)), (likely + shown).sum((0, 2, 3))
    return functional.cross_entropy(logits, truth) + 1 - ((2 * both + EPSILON) / (sizes + EPSILON)).mean()


def epoch_order(shown: Array, volumes: bool, draws: torch.Generator) -> Int64[Tensor, " n"]:
    """The slices of an epoch, shuffled: all of pictures; of volumes those that show a structure and as many others."""
    with_one = torch.from_numpy(np.flatnonzero(shown))
    others = torch.from_numpy(np.flatnonzero(~shown))
    if volumes and len(with_one):
        others = others[torch.randperm(len(others), generator=draws)[: len(with_one)]]
    chosen = torch.cat([with_one, others]).sort().values
    return chosen[torch.randperm(len(chosen), generator=draws)]


def as_input(images: UInt8[Array, "b c h w"], device: str) -> UInt8[Tensor, "b 3 h w"]:
    """Grey slices as RGB, on the device."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).expand(-1, 3, -1, -1)


class Trainer:
    """A segmenter and what trains it."""

    def __init__(self, model: Segmenter, lr: float, batch_size: int, clip: float, device: str) -> None:
        self.model, self.batch_size, self.clip, self.device = model, batch_size, clip, device
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.Adam(self.weights, lr=lr)

    def epoch(self, data: Slices, order: Int64[Tensor, " n"]) -> None:
        """One pass in the given order; a last batch of one slice is left out, which batch-norm cannot take."""
        self.model.train()
        for rows in (part.numpy() for part in order.split(self.batch_size)):
            if len(rows) == 1 < len(order):
                continue
            truth = torch.from_numpy(data.truth[rows]).to(self.device).long()
            loss = dice_and_cross_entropy(self.model(as_input(data.images[rows], self.device)), truth)
            self.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.weights, self.clip)
            self.optimiser.step()


@torch.no_grad()
def predict(model: nn.Module, images: UInt8[Array, "n c h w"], device: str) -> Iterator[Float[Tensor, "c h w"]]:
    """Class probabilities of each slice, in evaluation mode."""
    model.eval()
    for start in range(0, len(images), BATCH):
        yield from model(as_input(images[start : start + BATCH], device)).float().softmax(1).cpu()


def classes_of(probabilities: Float[Tensor, "c h w"], shape: tuple[int, int] | None = None) -> UInt8[Array, "y x"]:
    """The likeliest class of each pixel, of probabilities resized (bilinear) to `shape`."""
    if shape and shape != tuple(probabilities.shape[1:]):
        probabilities = functional.interpolate(probabilities[None], shape, mode="bilinear", align_corners=False)[0]
    return probabilities.argmax(0).to(torch.uint8).numpy()


def validation_dice(model: nn.Module, data: Slices, regions: Any, device: str) -> float:
    """Mean over cases of the mean Dice over regions, at the size of training."""
    found = np.stack([classes_of(p) for p in predict(model, data.images, device)])
    return float(
        np.mean(
            [segmentation(found[data.of == n], data.truth[data.of == n], regions)["dice"] for n in np.unique(data.of)]
        )
    )


def score(model: nn.Module, case: Case, data: Slices, context: Context) -> tuple[dict[str, float], Array]:
    """Both conventions' values for a case, and the class numbers predicted on its native grid."""
    info = context.task
    pair = read_pair(case, info)
    likely = list(predict(model, data.images, context.device))
    small = np.stack([classes_of(p) for p in likely])
    native = np.stack([classes_of(p, pair.truth.shape[1:]) for p in likely])
    inside = pair.region
    predicted, truth = native, pair.truth
    if not is_volume(case.image):
        predicted, truth, inside = native[0], truth[0], None if inside is None else inside[0]
    values = segmentation(predicted, truth, info.scored, spacing=pair.spacing, inside=inside)
    metric, classes = info.release
    values[f"release_{metric}"] = released(small, data.truth, classes, metric)
    return values, native


def segment(
    encoder: Encoder, context: Context, decoder: str, lr: float, epochs: int, batch_size: int, image_size: int,
    clip: float, *, frozen: bool,
) -> Scores:  # fmt: skip
    """Train on `train`, keep the epoch with the best Dice on `val` (of equals the later one), and score `test` once."""
    info, size = context.task, image_size or encoder.image_size
    seed_library("segmentation", info.name, context.seed)
    model = Segmenter(encoder, len(info.classes), decoder, frozen=frozen)
    model = model.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.require_size(size, size)
    train, val, test = (
        slices(cases, info, size, context.fingerprint, context.cache / "segments") for _, cases in context.splits
    )
    trainer = Trainer(model, lr, batch_size, clip, context.device)
    draws = generator("segmentation order", info.name, context.seed)
    shown: Array = train.truth.reshape(len(train.truth), -1).max(axis=1) > 0
    volumes = len(train.of) > len(context.splits.train)
    best, kept, state = -1.0, 0, model.state_dict()
    for epoch in range(1, epochs + 1):
        trainer.epoch(train, epoch_order(shown, volumes, draws))
        found = validation_dice(model, val, info.scored, context.device)
        if found >= best:
            best, kept = found, epoch
            state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        context.progress("epochs", epoch, epochs)
    model.load_state_dict(state)
    return _scored(model, test, context, {"epoch": kept, "val_dice": best})


def _scored(model: Segmenter, data: Slices, context: Context, chosen: dict[str, Any]) -> Scores:
    """Every test case. Distances are kept where the spacing of all of them is known."""
    cases, rows, kept = context.splits.test, list[dict[str, float]](), dict[str, Array]()
    for number, case in enumerate(cases):
        values, native = score(model, case, data.part(number, 1), context)
        rows.append(values)
        if context.keep_predictions:
            kept[f"mask_{number}"] = native
        context.progress("cases", number + 1, len(cases))
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return Scores(
        cases=tuple(case.id for case in cases),
        values={name: np.array([row[name] for row in rows]) for name in names},
        predictions=kept,
        chosen=chosen,
    )


@protocol("finetune", title="encoder and decoder, trained together", target="mask")
def finetune(
    encoder: Encoder, context: Context, *, decoder: str = "auto", lr: float = 1e-4, epochs: int = 50,
    batch_size: int = 16, image_size: int = 0, clip: float = 1.0,
) -> Scores:  # fmt: skip
    """`decoder` is unet, unet++, attention_unet or transunet; auto: a U-Net, or for a transformer a TransUNet.

    A task's own recipe has the paper's size, rate, batch and epochs. `image_size` 0: the encoder's.
    """
    return segment(encoder, context, decoder, lr, epochs, batch_size, image_size, clip, frozen=False)


@protocol("frozen", title="decoder on a frozen encoder", target="mask")
def frozen(
    encoder: Encoder, context: Context, *, decoder: str = "auto", lr: float = 1e-4, epochs: int = 50,
    batch_size: int = 16, image_size: int = 0, clip: float = 1.0,
) -> Scores:  # fmt: skip
    """As `finetune`, but the encoder learns nothing, not even batch-norm statistics."""
    return segment(encoder, context, decoder, lr, epochs, batch_size, image_size, clip, frozen=True)
