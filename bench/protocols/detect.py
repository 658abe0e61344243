"""Detection: a Faster R-CNN that starts from the encoder, all of it trained, scored by COCO's average precision.

As in LVM-Med (arXiv:2306.11925, appendix B): images resized to squares of 512 px, Adam at a constant rate; gradients
clipped to norm 1 and images mirrored at random, as in its release. Its random crops, its oversampling of rare classes
and its frozen first stage are left out, since they are of one backbone or one data set, and so is its testing at 800
px. The epoch is picked on validation, by the primary metric of the task; the test is looked at once.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from bench.data.boxes import OUTSIDE, inside
from bench.data.images import read_size
from bench.detections import Found, collect
from bench.errors import BenchError
from bench.protocols._coco import check
from bench.protocols._data import images as decoded
from bench.protocols._detectors import Recipe, build
from bench.random import generator, seed_library
from bench.spec import Case, Context, Encoder, Scores, protocol

BATCH = 16  # images of a forward pass without gradient

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Boxed:
    """Images of a split as squares, and the boxes of each in their pixels."""

    images: UInt8[Tensor, "n 3 s s"]
    boxes: tuple[Float[Tensor, "_ 4"], ...]
    labels: tuple[Int64[Tensor, " _"], ...]
    native: tuple[tuple[int, int], ...]  # height and width of each image as it is stored
    mended: int = 0  # boxes that were cut to their image

    def batch(
        self, rows: Int64[Tensor, " b"], mirrored: Tensor, device: str
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Images, boxes and labels on the device, some of them mirrored from left to right."""
        size, chosen = self.images.shape[-1], self.images[rows]
        chosen = torch.where(mirrored[:, None, None, None], chosen.flip(-1), chosen)
        boxes = [self.boxes[row] for row in rows.tolist()]
        boxes = [flipped(of, size) if turn else of for of, turn in zip(boxes, mirrored.tolist(), strict=True)]
        labels = [self.labels[row].to(device) for row in rows.tolist()]
        return chosen.to(device), [of.to(device) for of in boxes], labels


def flipped(boxes: Float[Tensor, "m 4"], size: int) -> Float[Tensor, "m 4"]:
    """Boxes of an image of `size` pixels, mirrored from left to right with it."""
    left, top, right, bottom = boxes.unbind(1)
    return torch.stack([size - right, top, size - left, bottom], 1)


def parts(context: Context, size: int) -> dict[str, Boxed]:
    """The three splits at one size. Raises BenchError for a box that reaches out of its image."""
    pixels, found, start = torch.from_numpy(decoded(context, size)), {}, 0
    for name, cases in context.splits:
        of = [_placed(case, size) for case in cases]
        boxes, labels, native, mended = zip(*of, strict=True)
        found[name] = Boxed(pixels[start : start + len(cases)], boxes, labels, native, sum(mended))
        start += len(cases)
        if name != "val" and not sum(map(len, boxes)):
            raise BenchError(f"detect: no {name} image of {context.task.name} has a box")
    return found


def _placed(case: Case, size: int) -> tuple[Tensor, Tensor, tuple[int, int], int]:
    """The boxes of a case in pixels of its square, their classes, the size of the stored image, and how many were cut.

    Where no file told the size, this is where boxes that reach out of the image are seen.
    """
    native = read_size(case.image)
    frame = case.frame or native
    cut = [inside(box, frame) for box in case.boxes]
    edges = [(box.left, box.top, box.right, box.bottom) for box, _ in cut]
    scale = torch.tensor([size / frame[1], size / frame[0]] * 2)
    boxes = torch.tensor(edges, dtype=torch.float32).reshape(-1, 4) * scale
    labels = torch.tensor([box.label for box in case.boxes], dtype=torch.int64)
    return boxes, labels, native, sum(changed for _, changed in cut)


class Trainer:
    """A detector and what trains it: Adam at a constant rate, clipped gradients, and images mirrored at random."""

    def __init__(
        self, model: Any, lr: float, weight_decay: float, clip: float, flip: float, draws: torch.Generator
    ) -> None:
        self.model, self.clip, self.flip, self.draws = model, clip, flip, draws
        self.optimiser = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay, fused=True)

    def epoch(self, data: Boxed, batch_size: int, device: str) -> float:
        """One pass in an order of its own; the mean loss of a step."""
        self.model.train()
        losses = []
        for rows in torch.randperm(len(data.images), generator=self.draws).split(batch_size):
            mirrored = torch.rand(len(rows), generator=self.draws) < self.flip
            loss = self.model.losses(*data.batch(rows, mirrored, device))
            self.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            self.optimiser.step()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())


@torch.no_grad()
def find(model: Any, data: Boxed, device: str) -> list[Found]:
    """What is found in each image, in evaluation mode, in pixels of the square."""
    model.eval()
    return [one for batch in data.images.split(BATCH) for one in model.find(batch.to(device))]


def truth_of(data: Boxed) -> list[tuple[Array, Array]]:
    """Boxes and class indices of each image."""
    return [(boxes.numpy(), labels.numpy()) for boxes, labels in zip(data.boxes, data.labels, strict=True)]


@protocol(
    "detect",
    title="Faster R-CNN on the encoder, trained together",
    target="box",
    packages={
        "detectron2": "git clone https://github.com/facebookresearch/detectron2 && "
        "pip install --no-build-isolation ./detectron2"
    },
)
def detect(
    encoder: Encoder, context: Context, *, engine: str = "torchvision", lr: float = 1e-4, epochs: int = 40,
    batch_size: int = 16, image_size: int = 512, weight_decay: float = 1e-4, clip: float = 1.0, flip: float = 0.5,
    train_norm: bool = False, width: int = 256, hidden: int = 1024, regions: int = 512,
) -> Scores:  # fmt: skip
    """`engine` is torchvision or detectron2; `width`, `hidden` and `regions` are those of `Recipe`.

    `image_size` 0: the encoder's. With `train_norm` batch-norm of the encoder sees the batches.
    """
    info, size = context.task, image_size or encoder.image_size
    seed_library("detection", info.name, context.seed)
    model = build(engine, encoder, len(info.classes), Recipe(width, hidden, regions), train_norm=train_norm)
    if size % model.pyramid.multiple:
        raise BenchError(
            f"detect: image_size = {size} must be a multiple of {model.pyramid.multiple} px for this encoder"
        )
    model = model.to(context.device, memory_format=torch.channels_last)
    data = parts(context, size)
    trainer = Trainer(model, lr, weight_decay, clip, flip, generator("detection order", info.name, context.seed))
    best, kept, state = -1.0, 0, model.state_dict()
    for epoch in range(1, epochs + 1):
        loss = trainer.epoch(data["train"], batch_size, context.device)
        if not math.isfinite(loss):
            raise BenchError(f"detect: the loss is {loss} in epoch {epoch}; try a lower lr than {lr:g}")
        value = validated(model, data["val"], context)
        if value >= best:
            best, kept = value, epoch
            state = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
        context.progress("epochs", epoch, epochs)
    model.load_state_dict(state)
    mended = sum(part.mended for part in data.values())
    chosen = {"epoch": kept, "val": best, **({OUTSIDE: mended} if mended else {})}
    return _scored(find(model, data["test"], context.device), data["test"], context, chosen)


def validated(model: Any, data: Boxed, context: Context) -> float:
    """The task's primary metric on validation; 0 where no image of it has an object, so that the last epoch is kept."""
    names, found = [case.id for case in context.splits.val], find(model, data, context.device)
    value = collect(names, context.task.classes, found, truth_of(data)).value(context.task.primary)
    return 0.0 if math.isnan(value) else value


def _scored(found: list[Found], data: Boxed, context: Context, chosen: dict[str, Any]) -> Scores:
    """Matches for the statistics and, for figures, boxes in pixels of each image as it is stored."""
    size, truth = data.images.shape[-1], truth_of(data)
    detections = collect([case.id for case in context.splits.test], context.task.classes, found, truth)
    check(detections, found, truth)
    edges = [one.boxes * np.array([w, h, w, h]) / size for one, (h, w) in zip(found, data.native, strict=True)]
    return Scores(
        cases=detections.cases,
        values={"f1": detections.agreement()},
        predictions={
            "box_image": np.repeat(np.arange(len(found)), [len(one.scores) for one in found]),
            "box_edges": np.concatenate(edges).astype(np.float32),
            "box_score": np.concatenate([one.scores for one in found]),
            "box_label": np.concatenate([one.labels for one in found]),
        },
        chosen=chosen,
        detections=detections,
    )
