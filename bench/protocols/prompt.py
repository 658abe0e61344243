"""Segmentation by a box: SAM's decoder on the frozen encoder under test, trained or as it is, scored case by case.

As in LVM-Med (arXiv:2306.11925, section 4.1 and tables 7, 8 and 11), after MedSAM (arXiv:2304.12306): image and prompt
encoder rest, the mask decoder is trained on boxes around the truth with Dice and cross-entropy, Adam and gradients
clipped to norm 1. Boxes come from the truth, at test time too, so these numbers are never compared with those of
networks that find the structure themselves. Their offsets are drawn once and kept with the predictions.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from bench.data.folders import is_volume
from bench.data.segments import Slices, read_pair, slices
from bench.errors import BenchError
from bench.metrics import Array, released, segmentation
from bench.protocols._prompting import LOW, Embedder, PromptDecoder, Prompts, prompts
from bench.random import generator, seed_library
from bench.spec import Case, Context, Encoder, Scores, protocol

EPSILON = 1e-6
BATCH = 32  # prompts of a pass without gradient


class Rule(NamedTuple):
    """How boxes are drawn: how far sides are pushed outward, and whether all structures of a slice are one."""

    push: Sequence[int] = (0, 19)
    merged: bool = False


class Part:
    """The slices of a split with their prompts and embeddings: those of slices that have a prompt, in order."""

    def __init__(self, embedder: Embedder, cases: tuple[Case, ...], context: Context, size: int, rule: Rule) -> None:
        self.cases, self.size, self.merged = cases, size, rule.merged
        self.data: Slices = slices(cases, context.task, size, context.fingerprint, context.cache / "segments")
        first = np.searchsorted(self.data.of, self.data.of)
        names = [
            f"{cases[of].id}/{row - start}" for row, (of, start) in enumerate(zip(self.data.of, first, strict=True))
        ]
        self.labels = np.minimum(self.data.truth, 1) if rule.merged else self.data.truth
        self.asked: Prompts = prompts(self.labels, names, context, rule.push)
        shown = np.unique(self.asked.rows)
        self.place = np.searchsorted(shown, self.asked.rows)  # of each prompt among the embeddings
        self.embeddings = embedder.kept(self.data, shown.tolist(), cases, context)

    def inputs(self, chosen: Any, device: str) -> tuple[Tensor, Tensor]:
        """Embeddings and boxes of some prompts."""
        kept = torch.from_numpy(np.ascontiguousarray(self.embeddings[self.place[chosen]])).to(device)
        return kept.float(), torch.from_numpy(self.asked.boxes[chosen]).to(device)

    def truth(self, chosen: Any, device: str) -> Float[Tensor, "b h w"]:
        """The masks that are asked for, on the decoder's grid (nearest)."""
        masks = self.labels[self.asked.rows[chosen]] == self.asked.classes[chosen][:, None, None]
        side = self.size // LOW
        return functional.interpolate(torch.from_numpy(masks)[:, None].float(), (side, side))[:, 0].to(device)


def mask_loss(logits: Float[Tensor, "b h w"], truth: Float[Tensor, "b h w"]) -> Float[Tensor, ""]:
    """1 - soft Dice, its mean over masks, and binary cross-entropy."""
    likely = logits.sigmoid()
    both, sizes = (likely * truth).sum((1, 2)), (likely + truth).sum((1, 2))
    dice = ((2 * both + EPSILON) / (sizes + EPSILON)).mean()
    return 1 - dice + functional.binary_cross_entropy_with_logits(logits, truth)


class Recipe(NamedTuple):
    """How a mask decoder is trained."""

    lr: float
    epochs: int
    batch_size: int
    clip: float


def train(decoder: PromptDecoder, part: Part, val: Part, context: Context, recipe: Recipe) -> dict[str, Any]:
    """Train the mask decoder and keep the epoch with the best Dice on `val`, of equals the later one."""
    lr, epochs, batch_size, clip = recipe
    weights = [weight for weight in decoder.parameters() if weight.requires_grad]
    optimiser, draws = torch.optim.Adam(weights, lr=lr), generator("prompt order", context.task.name, context.seed)
    best, kept, state = -1.0, 0, decoder.state_dict()
    for epoch in range(1, epochs + 1):
        decoder.train()
        for rows in torch.randperm(len(part.place), generator=draws).split(batch_size):
            logits = decoder(*part.inputs(rows.numpy(), context.device))
            loss = mask_loss(logits, part.truth(rows.numpy(), context.device))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, clip)
            optimiser.step()
        if (found := _dice(decoder, val, context)) >= best:
            best, kept = found, epoch
            state = {name: value.detach().clone() for name, value in decoder.state_dict().items()}
        context.progress("epochs", epoch, epochs)
    decoder.load_state_dict(state)
    return {"epoch": kept, "val_dice": best}


@torch.no_grad()
def predict(decoder: PromptDecoder, part: Part, chosen: Array, device: str) -> Float[Tensor, "k h w"]:
    """Logits of some prompts, on the decoder's grid."""
    decoder.eval()
    side = part.size // LOW
    found = [
        decoder(*part.inputs(rows, device)).cpu() for rows in np.array_split(chosen, -(-len(chosen) // BATCH) or 1)
    ]
    return torch.cat(found) if len(chosen) else torch.zeros(0, side, side)


def _dice(decoder: PromptDecoder, part: Part, context: Context) -> float:
    everything = np.arange(len(part.place))
    found, truth = predict(decoder, part, everything, context.device) > 0, part.truth(everything, "cpu") > 0
    both, sizes = (found & truth).sum((1, 2)), found.sum((1, 2)) + truth.sum((1, 2))
    return float(((2 * both + EPSILON) / (sizes + EPSILON)).mean())


def class_map(logits: Float[Tensor, "k h w"], classes: Array, shape: tuple[int, int]) -> UInt8[Array, "y x"]:
    """The class of each pixel of a slice: of the masks, resized (bilinear), that hold it the likeliest; else 0."""
    if not len(logits):
        return np.zeros(shape, np.uint8)
    large = functional.interpolate(logits[None], shape, mode="bilinear", align_corners=False)[0]
    best = large.argmax(0)
    return np.where(large.amax(0) > 0, classes[best.numpy()], 0).astype(np.uint8)


def score(
    decoder: PromptDecoder, part: Part, number: int, context: Context
) -> tuple[dict[str, float], dict[str, Array]]:
    """Both conventions' values for a case; its predicted classes on the native grid, and its boxes.

    `release_dice`, or for volumes `release_iou`, is that of all structures as one, on the decoder's grid; of a volume
    the mean over its slices, where one without a structure has no box and counts as 1.
    """
    case, info = part.cases[number], context.task
    low, high = np.searchsorted(part.data.of, [number, number + 1])
    mine = np.flatnonzero((part.asked.rows >= low) & (part.asked.rows < high))
    logits, pair = predict(decoder, part, mine, context.device), read_pair(case, info)
    native, overlaps = np.zeros(pair.truth.shape, np.uint8), list[float]()
    metric = "iou" if is_volume(case.image) else "dice"
    for row in range(low, high):
        own = np.flatnonzero(part.asked.rows[mine] == row)
        native[row - low] = class_map(logits[own], part.asked.classes[mine][own], pair.truth.shape[1:])
        found, truth = (logits[own] > 0).any(0).numpy(), (part.truth(mine[own], "cpu") > 0).any(0).numpy()
        overlaps.append(released(found.astype(np.uint8), truth.astype(np.uint8), (1,), metric))
    shown = np.minimum(pair.truth, 1) if part.merged else pair.truth
    predicted, truth, inside = native, shown, pair.region
    if not is_volume(case.image):
        predicted, truth, inside = native[0], truth[0], None if inside is None else inside[0]
    regions = {"all": (1,)} if part.merged else info.scored
    values = segmentation(predicted, truth, regions, spacing=pair.spacing, inside=inside)
    values[f"release_{metric}"] = float(np.mean(overlaps))
    asked = np.column_stack([part.asked.rows[mine] - low, part.asked.classes[mine], part.asked.boxes[mine]])
    return values, {"mask": native, "boxes": asked.astype(np.float32)}


def evaluate(encoder: Encoder, context: Context, image_size: int, rule: Rule, recipe: Recipe | None) -> Scores:
    """Train as `recipe` says, or not at all, and score `test` once."""
    embedder = Embedder(encoder)
    if len(rule.push) != 2 or not 0 <= rule.push[0] <= rule.push[1]:
        raise BenchError(f"prompt: push is the least and the most pixels of 256, 0 or more, got {list(rule.push)}")
    size = image_size or encoder.image_size
    seed_library("prompt", context.task.name, context.seed)
    decoder = PromptDecoder(size, getattr(encoder, "decoder_file", None)).to(context.device)
    chosen: dict[str, Any] = {"decoder": decoder.loaded or "drawn"}
    if recipe:
        train_, val = (Part(embedder, cases, context, size, rule) for _, cases in list(context.splits)[:2])
        for part, what in ((train_, "training"), (val, "validation")):
            if not len(part.place):
                raise BenchError(f"prompt: no {what} case shows a structure, so there is no box to learn from")
        chosen |= train(decoder, train_, val, context, recipe)
    test = Part(embedder, context.splits.test, context, size, rule)
    rows, kept = list[dict[str, float]](), dict[str, Array]()
    for number in range(len(test.cases)):
        values, predicted = score(decoder, test, number, context)
        rows.append(values)
        kept[f"boxes_{number}"] = predicted["boxes"]
        if context.keep_predictions:
            kept[f"mask_{number}"] = predicted["mask"]
        context.progress("cases", number + 1, len(test.cases))
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return Scores(
        cases=tuple(case.id for case in test.cases),
        values={name: np.array([row[name] for row in rows]) for name in names},
        predictions=kept,
        chosen=chosen,
    )


@protocol(
    "prompt",
    title="SAM's decoder, trained on boxes around the truth",
    target="mask",
    on_request=True,
    family="prompt-based",
)
def prompt(
    encoder: Encoder, context: Context, *, lr: float = 3e-4, epochs: int = 20, batch_size: int = 16,
    image_size: int = 0, clip: float = 1.0, push: Sequence[int] = (0, 19), merged: bool = False,
) -> Scores:  # fmt: skip
    """`image_size` 0: the encoder's. `push` is that of LVM-Med's release, which also has all structures `merged`."""
    return evaluate(encoder, context, image_size, Rule(push, merged), Recipe(lr, epochs, batch_size, clip))


@protocol(
    "prompt_zero_shot",
    title="SAM's decoder as it is, on such boxes",
    target="mask",
    on_request=True,
    family="prompt-based",
)
def prompt_zero_shot(
    encoder: Encoder, context: Context, *, image_size: int = 0, push: Sequence[int] = (0, 19), merged: bool = False
) -> Scores:
    """Nothing is trained."""
    return evaluate(encoder, context, image_size, Rule(push, merged), None)
