"""Names beside marks, none over another: of the free places about a mark the nearest, with a line to it from afar."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from bench.leaderboard.plots import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEAR = 5.0  # points from the middle of a mark to its name, which needs no line
RADII = (NEAR, 11.0, 17.0, 24.0, 32.0, 42.0, 54.0, 68.0, 84.0, 104.0, 128.0)
TURNS = (0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 68, 292, 112, 248)  # degrees; beside is read best
MARK = 4.0  # points about the middle of a mark that stay free

Spot = tuple[float, float]


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    bottom: float
    right: float
    top: float


def place(axes: "Axes", marks: Sequence[Spot], names: Sequence[str], lines: Sequence[Box] = ()) -> tuple[int, ...]:
    """Write the names beside their marks, given in the data's numbers; `lines`, in pixels, are kept free too.

    The axes have their final size. Returns those, by index, that were not written, for there was no room.
    """
    pixel = axes.figure.dpi / 72
    frame = Box(*map(float, axes.get_window_extent().extents))
    spots: list[Spot] = [(float(x), float(y)) for x, y in map(axes.transData.transform, marks)]
    taken, left = [*(_about(spot, MARK * pixel) for spot in spots), *lines], list[int]()
    for index, (spot, mark, name) in enumerate(zip(spots, marks, names, strict=True)):
        note = axes.annotate(name, mark, (0, 0), textcoords="offset points", ha="center", va="center", zorder=5)
        note.set_fontsize(canvas.SMALL)
        size = note.get_window_extent()
        found = _free(spot, (float(size.width), float(size.height)), taken, frame, pixel)
        if found is None:
            note.remove()
            left.append(index)
            continue
        box, leader = found
        middle = (box.left + box.right) / 2 - spot[0], (box.bottom + box.top) / 2 - spot[1]
        note.set_position((middle[0] / pixel, middle[1] / pixel))
        if len(leader):
            end = ((float(leader[-1, 0]) - spot[0]) / pixel, (float(leader[-1, 1]) - spot[1]) / pixel)
            line = {"arrowstyle": "-", "linewidth": 0.5, "color": canvas.GREY, "shrinkA": 0, "shrinkB": MARK}
            axes.annotate("", mark, end, textcoords="offset points", arrowprops=line, zorder=1)
        taken += [box, *(Box(*square) for square in leader.tolist())]
    return tuple(left)


def _free(
    spot: Spot, size: Spot, taken: Sequence[Box], frame: Box, pixel: float
) -> tuple[Box, Float[np.ndarray, "squares 4"]] | None:
    """The nearest box that meets nothing, and what the line to it takes; None where there is no such box."""
    others, own = np.array(taken), np.array([_about(spot, pixel)])
    apart = others[~_meet(own, others)[0]]  # a line begins at its mark, whatever lies on that
    boxes = _candidates(spot, size, pixel)
    inside = (boxes[:, :2] >= frame[:2]).all(axis=1) & (boxes[:, 2:] <= frame[2:]).all(axis=1)
    for index in np.flatnonzero(inside & ~_meet(boxes, others).any(axis=1)).tolist():
        box = Box(*boxes[index].tolist())
        leader = _line(spot, box, pixel) if index >= len(TURNS) else np.zeros((0, 4))
        if not _meet(leader, apart).any():
            return box, leader
    return None


def _meet(
    boxes: Float[np.ndarray, "boxes 4"], others: Float[np.ndarray, "others 4"]
) -> Bool[np.ndarray, "boxes others"]:
    """Which overlap which."""
    one, other = boxes[:, None], others[None]
    both = np.logical_and(one[..., :2] < other[..., 2:], other[..., :2] < one[..., 2:])
    return both[..., 0] & both[..., 1]


def _about(spot: Spot, reach: float) -> Box:
    return Box(spot[0] - reach, spot[1] - reach, spot[0] + reach, spot[1] + reach)


def _candidates(spot: Spot, size: Spot, pixel: float) -> Float[np.ndarray, "boxes 4"]:
    """Boxes of that size in all directions from a mark, the nearest first; a side or corner is so far away."""
    turns = np.radians(TURNS)
    ways = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    sides = np.where(np.abs(ways) < 0.3, 0.0, np.sign(ways)) * np.array(size) / 2
    middles = np.array(spot) + sides + np.array(RADII)[:, None, None] * pixel * ways
    return np.concatenate([middles - np.array(size) / 2, middles + np.array(size) / 2], axis=2).reshape(-1, 4)


def _line(spot: Spot, box: Box, pixel: float) -> Float[np.ndarray, "squares 4"]:
    """The straight way from a mark to the nearest point of a box, in squares so close that no type fits between."""
    start = np.array(spot)
    end = np.clip(start, box[:2], box[2:])
    steps = max(1, int(np.hypot(*(end - start)) / (4 * pixel)))
    along = start + (end - start) * np.arange(1, steps + 1)[:, None] / steps
    return np.concatenate([along, along + 0.5 * pixel], axis=1)
