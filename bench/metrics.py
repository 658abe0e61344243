"""Values per test case: a mean over cases is the metric, and its interval and tests are made from the same values."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from bench import surfaces

Array = np.ndarray[Any, np.dtype[Any]]


def classification(probabilities: Float[Array, "n c"], targets: Int[Array, " n"]) -> dict[str, Array]:
    """Per case: `accuracy`, 1 if the likeliest class (the first of equals) is the target, and `log_loss`, nats >= 0."""
    chance = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return {
        "accuracy": (probabilities.argmax(axis=1) == targets).astype(np.float64),
        "log_loss": -np.log(np.clip(chance, np.finfo(np.float32).tiny, 1.0)),
    }


def segmentation(
    predicted: UInt8[Array, "..."],
    truth: UInt8[Array, "..."],
    regions: Mapping[str, Sequence[int]],
    *,
    spacing: Sequence[float] | None = None,
    inside: Bool[Array, "..."] | None = None,
    tolerance: float = 2.0,
) -> dict[str, float]:
    """Agreement of two class maps of one case, (h w) or (n h w): `dice` and `iou`, in [0, 1].

    With `spacing`, the size of a pixel in mm along each axis, also `hd95`, the 95 % Hausdorff distance in mm, and
    `nsd`, the share of the surfaces within `tolerance` mm of each other (see `bench.surfaces`).

    `regions` names unions of classes; a pixel where `inside` does not hold is in none of them. The means over the
    regions come first (`dice`, `iou` ...), then the values of each region (`dice_<region>`, `iou_<region>` ...).

    All values are finite. Where a region is empty in both maps, they agree: dice, iou and nsd are 1, hd95 is 0. Where
    it is empty in one: 0, and the diagonal of the grid. Raises ValueError for shapes that differ, no regions, and a
    spacing that is not one positive number for each dimension.
    """
    _same_shape(predicted, truth)
    if inside is not None:
        _same_shape(predicted, inside)
    if not regions:
        raise ValueError("no region to score")
    values = {
        name: _agreement(_union(predicted, classes, inside), _union(truth, classes, inside), spacing, tolerance)
        for name, classes in regions.items()
    }
    metrics = next(iter(values.values()))
    means = {metric: fmean(of[metric] for of in values.values()) for metric in metrics}
    return means | {f"{metric}_{name}": value for name, of in values.items() for metric, value in of.items()}


def released(predicted: UInt8[Array, "..."], truth: UInt8[Array, "..."], classes: Sequence[int], metric: str) -> float:
    """`dice` or `iou`, in [0, 1], of the union of `classes`, as in the code released with LVM-Med (arXiv:2306.11925).

    (2 I + eps) / (S + eps) and (I + eps) / (U + eps), with eps = 1e-6, of the pixels of an image or of a volume, on the
    grid that the network saw (pixels in the intersection, both masks, the union). Two empty masks agree: 1.

    Raises ValueError for shapes that differ and another metric.
    """
    _same_shape(predicted, truth)
    both, total = _pixels(_union(predicted, classes), _union(truth, classes))
    eps = 1e-6
    if metric == "dice":
        return (2 * both + eps) / (total + eps)
    if metric == "iou":
        return (both + eps) / (total - both + eps)
    raise ValueError(f"metric is {metric!r}, not 'dice' or 'iou'")


def _same_shape(first: Array, second: Array) -> None:
    if first.shape != second.shape:
        raise ValueError(f"the shapes differ: {first.shape} and {second.shape}")


def _union(
    labels: UInt8[Array, "*grid"], classes: Sequence[int], inside: Bool[Array, "*grid"] | None = None
) -> Bool[Array, "*grid"]:
    mask = np.zeros(labels.shape, bool)
    for label in classes:
        mask |= labels == label
    if inside is not None:
        mask &= inside
    return mask


def _agreement(
    found: Bool[Array, "*grid"], there: Bool[Array, "*grid"], spacing: Sequence[float] | None, tolerance: float
) -> dict[str, float]:
    both, total = _pixels(found, there)
    values = {"dice": 2 * both / total, "iou": both / (total - both)} if total else {"dice": 1.0, "iou": 1.0}
    if spacing is not None:
        values["hd95"], values["nsd"] = surfaces.compare(found, there, spacing, tolerance)
    return values


def _pixels(found: Bool[Array, "*grid"], there: Bool[Array, "*grid"]) -> tuple[int, int]:
    """How many pixels are in both masks, and how many each has, added up."""
    return int(np.count_nonzero(found & there)), int(np.count_nonzero(found)) + int(np.count_nonzero(there))
