"""Faster R-CNN (Ren et al. 2015, arXiv:1506.01497) on an encoder's pyramid, by two engines behind one seam.

A detector is a module with `losses(images, boxes, labels) -> scalar` and `find(images) -> Found of each`; images are
8-bit squares, boxes lie in their pixels. torchvision is always there; detectron2 is not on the package index and has to
be built, so its half is in `_detectron2`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from bench.detections import Found
from bench.errors import unknown
from bench.nn import Encoder
from bench.protocols._pooling import POINTS, Pooling
from bench.protocols._pyramids import Pyramid

ENGINES = ("torchvision", "detectron2")
SCALE = 8  # of anchors, in strides: 32 to 512 pixels at strides 4 to 64
RATIOS = (0.5, 1.0, 2.0)
POOL = 7  # cells a side that a region is pooled to


@dataclass(frozen=True)
class Recipe:
    """What the detector's two stages look like; the defaults are both engines'."""

    width: int = 256  # channels of the pyramid
    hidden: int = 1024  # of the two layers of the box head
    regions: int = 512  # an image that the box head is trained on
    score: float = 0.05  # below which nothing is found
    overlap: float = 0.5  # of two boxes of a class, from which on the likelier one alone is kept
    most: int = 100  # boxes an image


class Detector(Protocol):
    """What an engine gives: a torch module with these two."""

    def losses(
        self, images: UInt8[Tensor, "b 3 s s"], boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> Float[Tensor, ""]:
        """The sum of the four losses of Faster R-CNN, each of both stages' class and box."""

    def find(self, images: UInt8[Tensor, "b 3 s s"]) -> list[Found]:
        """The boxes of each image, in its pixels, with scores and class indices."""


def build(engine: str, encoder: Encoder, classes: int, recipe: Recipe, *, train_norm: bool) -> Any:
    """A detector of that engine. First weights are drawn from torch's global generator. Raises BenchError."""
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES, where="detect")
    pyramid = Pyramid(encoder, recipe.width, train_norm=train_norm)
    if engine == "torchvision":
        return Torchvision(pyramid, classes, recipe)
    from bench.protocols._detectron2 import Detectron2

    return Detectron2(pyramid, classes, recipe)


class Torchvision(nn.Module):
    """torchvision's two stages, fed with batches that need no resizing."""

    def __init__(self, pyramid: Pyramid, classes: int, recipe: Recipe) -> None:
        super().__init__()
        from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead
        from torchvision.models.detection.rpn import AnchorGenerator
        from torchvision.ops import MultiScaleRoIAlign

        anchors = AnchorGenerator(
            tuple((SCALE * stride,) for stride in pyramid.strides), (RATIOS,) * len(pyramid.strides)
        )
        names = [str(number) for number in range(len(pyramid.strides) - 1)]  # the last map is for proposals alone
        self.network = FasterRCNN(
            pyramid,
            rpn_anchor_generator=anchors,
            box_roi_pool=MultiScaleRoIAlign(names, POOL, sampling_ratio=POINTS),
            box_head=TwoMLPHead(recipe.width * POOL**2, recipe.hidden),
            box_predictor=FastRCNNPredictor(recipe.hidden, classes + 1),
            box_score_thresh=recipe.score,
            box_nms_thresh=recipe.overlap,
            box_detections_per_img=recipe.most,
            box_batch_size_per_image=recipe.regions,
        )
        heads = self.network.roi_heads
        heads.box_roi_pool = Pooling(heads.box_roi_pool, pyramid.strides[: len(names)], POOL)
        self.pyramid = pyramid

    def losses(
        self, images: UInt8[Tensor, "b 3 s s"], boxes: Sequence[Tensor], labels: Sequence[Tensor]
    ) -> Float[Tensor, ""]:
        """Class 0 is torchvision's background."""
        targets = [{"boxes": b, "labels": of + 1} for b, of in zip(boxes, labels, strict=True)]
        found: dict[str, Tensor] = self._run(images, targets)[1]
        return torch.stack(list(found.values())).sum()

    def find(self, images: UInt8[Tensor, "b 3 s s"]) -> list[Found]:
        """As stated by `Detector`."""
        found = self._run(images, None)[0]
        return [as_found(one["boxes"], one["scores"], one["labels"] - 1) for one in found]

    def _run(
        self, images: UInt8[Tensor, "b 3 s s"], targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        from torchvision.models.detection.image_list import ImageList

        pixels = self.pyramid.encoder.normalise(images).contiguous(memory_format=torch.channels_last)
        sizes = [(images.shape[2], images.shape[3])] * len(images)
        maps = self.pyramid(pixels)
        regions, first = self.network.rpn(ImageList(pixels, sizes), maps, targets)
        found, second = self.network.roi_heads(maps, regions, sizes, targets)
        return found, {**first, **second}


def as_found(boxes: Float[Tensor, "k 4"], scores: Float[Tensor, " k"], labels: Int64[Tensor, " k"]) -> Found:
    """On the CPU, as numpy has them."""
    return Found(boxes.float().cpu().numpy(), scores.float().cpu().numpy(), labels.cpu().numpy())
