"""A radar: spokes from the top on clockwise, what it says at the end of each, a line for each method."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.leaderboard.plots import canvas
from bench.leaderboard.plots.canvas import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INNER = 0.25  # of the radius, where the worst is: methods are told apart there too
AWAY = 0.1  # inches from the end of a spoke to its words
SIZE = 6.5  # points
STROKE: dict[str, Any] = {"linewidth": 1.1, "markersize": 4.5, "markerfacecolor": "none", "clip_on": False}


class Spoke(NamedTuple):
    """An axis: its name, its metric, its ends in words; and how far out each method is, from 0 to 1, nan for a gap."""

    name: str
    metric: str
    ends: str
    reach: tuple[float, ...]


def draw(
    axes: "Axes", spokes: Sequence[Spoke], looks: Sequence[Look], radius: float, size: tuple[float, float]
) -> None:
    """Fill axes of a size in inches with a radar of that radius; a method with a gap is open on both sides of it."""
    turns = [math.pi / 2 - 2 * math.pi * place / len(spokes) for place in range(len(spokes))]
    axes.set_axis_off()
    axes.set_xlim(-size[0] / 2 / radius, size[0] / 2 / radius)
    axes.set_ylim(-size[1] / 2 / radius, size[1] / 2 / radius)
    circle = [math.pi * part / 90 for part in range(181)]
    for ring in (INNER, 1.0):
        axes.plot(*_places(circle, [ring] * len(circle)), color="0.75", linewidth=0.5)
    for turn, spoke in zip(turns, spokes, strict=True):
        axes.plot(*_places([turn] * 2, [0.0, 1.0]), color="0.75", linewidth=0.5)
        _write(axes, turn, spoke, radius, _room(turn, len(spokes), radius, size[0]))
    for place, look in enumerate(looks):
        reach = [INNER + (1 - INNER) * spoke.reach[place] for spoke in spokes]
        line = _places([*turns, turns[0]], [*reach, reach[0]])
        axes.plot(*line, look.dash, color=look.colour, marker=look.mark, **STROKE)


def _places(turns: Sequence[float], reach: Sequence[float]) -> tuple[list[float], list[float]]:
    pairs = list(zip(turns, reach, strict=True))
    return [out * math.cos(turn) for turn, out in pairs], [out * math.sin(turn) for turn, out in pairs]


def _upright(turn: float) -> bool:
    return abs(math.cos(turn)) < 0.1


def _room(turn: float, spokes: int, radius: float, width: float) -> float:
    """Inches for words: beside the radar to the edge, above and below it between the neighbours."""
    if not _upright(turn):
        return width / 2 - radius * abs(math.cos(turn)) - AWAY
    return min(width, 2 * radius * math.sin(2 * math.pi / spokes) - AWAY) if spokes > 4 else width


def _write(axes: "Axes", turn: float, spoke: Spoke, radius: float, room: float) -> None:
    x, y, far, width = math.cos(turn), math.sin(turn), 1 + AWAY / radius, canvas.letters(room, SIZE)
    side = "center" if _upright(turn) else "left" if x > 0 else "right"
    level = "center" if abs(y) < 0.5 else "bottom" if y > 0 else "top"
    last = f"{spoke.metric} {spoke.ends}"
    said = [canvas.name(spoke.name, width)]
    said += [last] if len(last) <= width else [*canvas.folded(spoke.metric, width), *canvas.folded(spoke.ends, width)]
    axes.text(x * far, y * far, "\n".join(said), ha=side, va=level, fontsize=SIZE, linespacing=1.05)
