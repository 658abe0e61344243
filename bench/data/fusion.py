"""Weighted boxes fusion of what several raters drew: Solovyev, Wang & Gabruseva 2021, arXiv:1910.13302, section 3.

Raters weigh the same and have no confidence, so that a fused box is the mean of those it stands for.
"""

from collections.abc import Sequence
from statistics import fmean

from bench.spec import Box


def fuse(boxes: Sequence[Box], least: float = 0.2) -> tuple[Box, ...]:
    """The boxes of an image with those that show the same fused; classes stay apart. In the order they first come in.

    In turn, each box joins the fused one of its class that it overlaps most, if their intersection over union exceeds
    `least`, and moves it; otherwise it starts one of its own.
    """
    groups: list[list[Box]] = []
    fused: list[Box] = []
    for box in boxes:
        near = [(overlap(box, mean), -number) for number, mean in enumerate(fused) if mean.label == box.label]
        best, number = max(near, default=(0.0, 0))
        if best > least:
            groups[-number].append(box)
            fused[-number] = _mean(groups[-number])
        else:
            groups.append([box])
            fused.append(_mean([box]))
    return tuple(fused)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, in [0, 1]."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    areas = [(box.right - box.left) * (box.bottom - box.top) for box in (one, other)]
    return both / (sum(areas) - both)


def _mean(group: Sequence[Box]) -> Box:
    left, top, right, bottom = map(fmean, zip(*((b.left, b.top, b.right, b.bottom) for b in group), strict=True))
    return Box(group[0].label, left, top, right, bottom, place=group[0].place)
