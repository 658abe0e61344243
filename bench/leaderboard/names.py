"""What metrics are called, in which unit they are shown, and which way is better. A structure may follow, after `_`."""

import math
from dataclasses import dataclass

from bench.detections import BY_CLASS

# Fractions in the store and percentages on a board.
PERCENT = ("accuracy", "dice", "iou", "nsd", "release_", "map", *BY_CLASS, "froc", "f1")
MILLIMETRES = ("hd95",)
LOWER = ("hd95", "log_loss")
LABELS = {
    **{"dice": "Dice", "iou": "IoU", "hd95": "HD95", "nsd": "NSD at 2 mm"},
    **{"map": "mAP", "map50": "mAP50", "map75": "mAP75", "ap": "AP", "ap50": "AP50", "f1": "F1 of an image"},
    "froc": "FROC sensitivity",
}


@dataclass(frozen=True)
class Scale:
    """How a metric is shown: times `factor`, with `decimals` for a mean and one fewer for its interval."""

    factor: float
    decimals: int
    unit: str


def scale_of(metric: str) -> Scale:
    """How a metric is shown."""
    if metric.startswith(PERCENT):
        return Scale(100.0, 2, "%")
    return Scale(1.0, 2, "mm") if metric.startswith(MILLIMETRES) else Scale(1.0, 4, "")


def higher_is_better(metric: str) -> bool:
    """Whether more of a metric is better."""
    return not metric.startswith(LOWER)


def bounds(metric: str) -> tuple[float, float]:
    """The least and the most that a metric can be, in the unit of the store."""
    if metric.startswith(PERCENT):
        return 0.0, 1.0
    return (0.0 if metric.startswith(LOWER) else -math.inf), math.inf


def label(metric: str) -> str:
    """A metric as a reader knows it: `iou_heart` is IoU, heart, and `release_dice` Dice as LVM-Med's code has it."""
    if metric.startswith("release_"):
        return f"{label(metric.removeprefix('release_'))} as LVM-Med's code computes it"
    name, _, structure = metric.partition("_")
    return f"{LABELS[name]}{structure and ', '}{structure}" if name in LABELS else metric
