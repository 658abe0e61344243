"""COCO's average precision by faster-coco-eval, which what is kept of a detection is held against."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.detections import Detections, Found
from bench.errors import BenchError

Array = np.ndarray[Any, np.dtype[Any]]

SAME = 1e-6


def average_precision(
    found: Sequence[Found], truth: Sequence[tuple[Array, Array]], classes: Sequence[str]
) -> dict[str, float]:
    """`map`, `map50` and `map75` of what was found in each image; nan where none has an object.

    The truth of an image are its boxes (m, 4), as in `Found`, and their class indices (m,).
    """
    from faster_coco_eval import COCO, COCOeval_faster

    images = [{"id": number, "width": 1, "height": 1} for number in range(1, len(truth) + 1)]
    objects = [
        {"image_id": number, "category_id": int(label) + 1, "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0}
        for number, (boxes, labels) in enumerate(truth, 1)
        for bbox, label in zip(sides(boxes), labels, strict=True)
    ]
    marks = [
        {"image_id": number, "category_id": int(label) + 1, "bbox": bbox, "score": float(score)}
        for number, one in enumerate(found, 1)
        for bbox, score, label in zip(sides(one.boxes), one.scores, one.labels, strict=True)
    ]
    if not marks or not objects:
        return dict.fromkeys(("map", "map50", "map75"), 0.0 if objects else math.nan)
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    annotations = [{"id": number, **one} for number, one in enumerate(objects, 1)]
    there = COCO({"images": images, "annotations": annotations, "categories": categories})
    evaluation = COCOeval_faster(there, there.loadRes(marks), "bbox")
    evaluation.run()
    return dict(zip(("map", "map50", "map75"), map(float, evaluation.stats[:3]), strict=True))


def sides(boxes: Array) -> list[list[float]]:
    """Left, top, width and height of boxes given by their edges."""
    edges = np.asarray(boxes, np.float64).reshape(-1, 4)
    whole: list[list[float]] = np.concatenate([edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1).tolist()
    return whole


def check(kept: Detections, found: Sequence[Found], truth: Sequence[tuple[Array, Array]]) -> None:
    """Raise BenchError where the matches that are kept give another average precision than faster-coco-eval."""
    for metric, value in average_precision(found, truth, kept.classes).items():
        if not np.isclose(kept.value(metric), value, rtol=0, atol=SAME, equal_nan=True):
            raise BenchError(f"detect: {metric} is {value} by faster-coco-eval and {kept.value(metric)} as it is kept")
