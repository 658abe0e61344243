"""How far the surfaces of two masks lie apart: the 95 % Hausdorff distance, and the surface Dice at a tolerance.

The surface of a mask is made of its pixels with a neighbour across a face that lies outside the mask or the grid.
Distances run between the centres of pixels. Huttenlocher, Klanderman & Rucklidge, Comparing images using the Hausdorff
distance, IEEE TPAMI 15, 1993 (a quantile in the place of the maximum); Nikolov et al., Deep learning to achieve
clinically applicable segmentation of head and neck anatomy, arXiv:1809.04430 (surface Dice), with each pixel of a
surface counted as one, as Seidlitz et al., arXiv:2111.05408, do.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

_ROUNDING = 1e-6  # relative: three steps of 0.1 mm are within 0.3 mm, also where a header holds 0.1 in single precision


def compare(
    predicted: Bool[np.ndarray, "*grid"], truth: Bool[np.ndarray, "*grid"], spacing: Sequence[float], tolerance: float
) -> tuple[float, float]:
    """`hd95` in mm, at least 0, and `nsd` in [0, 1] at `tolerance` mm, of two masks of any number of dimensions.

    `spacing` is the size of a pixel in mm along each axis of the masks, in their order. Two empty masks agree: 0 mm and
    1. Where one is empty: the diagonal of the grid, pixels and all, which no distance within it reaches, and 0.

    Raises ValueError for a spacing that is not one positive number for each axis.
    """
    if len(spacing) != predicted.ndim or not all(0 < size < math.inf for size in spacing):
        raise ValueError(f"spacing is {tuple(spacing)}, not a positive number for each of {predicted.ndim} dimensions")
    found, there = predicted.any(), truth.any()
    if not found and not there:
        return 0.0, 1.0
    if not found or not there:
        return math.hypot(*(n * size for n, size in zip(predicted.shape, spacing, strict=True))), 0.0
    to_truth, to_predicted = _distances(predicted, truth, spacing)
    return hd95(to_truth, to_predicted), nsd(to_truth, to_predicted, tolerance)


def hd95(to_truth: Float[np.ndarray, " p"], to_predicted: Float[np.ndarray, " t"]) -> float:
    """The larger of the 95th percentiles, between order statistics by a line, of the distances in each direction."""
    return float(max(np.percentile(to_truth, 95), np.percentile(to_predicted, 95)))


def nsd(to_truth: Float[np.ndarray, " p"], to_predicted: Float[np.ndarray, " t"], tolerance: float) -> float:
    """Share of the pixels of both surfaces that lie within `tolerance` of the other."""
    limit = tolerance * (1 + _ROUNDING)
    within = np.count_nonzero(to_truth <= limit) + np.count_nonzero(to_predicted <= limit)
    return float(within / (len(to_truth) + len(to_predicted)))


def _distances(
    predicted: Bool[np.ndarray, "*grid"], truth: Bool[np.ndarray, "*grid"], spacing: Sequence[float]
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " t"]]:
    """From each surface pixel of `predicted` to the nearest of `truth`, and from each of `truth`, in mm; none empty.

    A tree of the surface's pixels is 3 to 7 times faster here than a distance transform of the box that holds them, and
    no slower for noise. Not balancing it saves up to half where many coordinates are equal, as on a grid.
    """
    from scipy.spatial import cKDTree

    box = _box(predicted | truth)  # beyond it both are background, as they are beyond the grid: nothing changes
    p, t = (_points(_surface(mask[box]), spacing) for mask in (predicted, truth))
    tree_p, tree_t = (cKDTree(points, balanced_tree=False, compact_nodes=False) for points in (p, t))
    return tree_t.query(p)[0], tree_p.query(t)[0]


def _box(mask: Bool[np.ndarray, "..."]) -> tuple[slice, ...]:
    """The smallest box that holds the pixels of a mask that is not empty."""
    axes = range(mask.ndim)
    taken = (np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes)
    return tuple(slice(indices[0], indices[-1] + 1) for indices in taken)


def _surface(mask: Bool[np.ndarray, "*grid"]) -> Bool[np.ndarray, "*grid"]:
    """What erosion by a cross takes away, eight times faster than scipy.ndimage erodes."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        along, kept = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)  # views
        kept[1:] &= along[:-1]
        kept[:-1] &= along[1:]
        kept[0] = kept[-1] = False
    inner ^= mask
    return inner


def _points(mask: Bool[np.ndarray, "..."], spacing: Sequence[float]) -> Float[np.ndarray, "n d"]:
    """Where the pixels of a mask lie, in mm. (Flat indices are found five times faster than those of each axis.)"""
    indices = np.unravel_index(np.flatnonzero(mask), mask.shape)
    return np.stack([along * size for along, size in zip(indices, spacing, strict=True)], axis=1)
