"""A row for each method: its mean, with the bar of an interval, rings for its seeds, and in numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.leaderboard.plots import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP = 0.27  # inches of a row of one line


@dataclass(frozen=True)
class Line:
    """A method in such a figure: what is nan is not drawn, and `text` says it in numbers or why there are none."""

    name: str
    value: float
    ends: tuple[float, float] = (math.nan, math.nan)
    dots: tuple[float, ...] = ()
    text: str = ""


def height(lines: Sequence[Line], width: int = 30) -> float:
    """Inches that they need, with an axis below."""
    return 0.55 + sum(_tall(line, width) for line in lines)


def draw(axes: "Axes", lines: Sequence[Line], unit: str, *, width: int = 30, bare: bool = False) -> None:
    """The lines from above, numbers to the right; `unit` is said of the axis, `bare` leaves the names out."""
    places, top = list[float](), 0.0
    for line in lines:
        tall = _tall(line, width)
        places.append(top - tall / 2)
        top -= tall
    for place, line in zip(places, lines, strict=True):
        _line(axes, place, line)
    axes.set_ylim(top, 0)
    axes.set_yticks(places, [""] * len(lines) if bare else [canvas.name(line.name, width) for line in lines])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)
    axes.set_xlabel(unit)
    canvas.open_frame(axes, along="x")
    if any(line.text for line in lines):
        beside = axes.secondary_yaxis("right")
        beside.set_yticks(places, [line.text for line in lines])
        beside.tick_params(axis="y", length=0, labelsize=canvas.SMALL)
        beside.spines["right"].set_visible(False)


def _tall(line: Line, width: int) -> float:
    return STEP + 0.13 * (canvas.name(line.name, width).count("\n"))


def _line(axes: "Axes", place: float, line: Line) -> None:
    """The mean on its bar and, below it so that neither hides the other, the seeds."""
    low, high = line.ends
    place += 0.06 * bool(line.dots)
    if math.isfinite(low) and math.isfinite(high):
        axes.plot([low, high], [place, place], color="black", linewidth=1.2, marker="|", markersize=5, zorder=2)
    if math.isfinite(line.value):
        axes.plot(line.value, place, "D", markersize=4, color="black", zorder=4)
    for number, dot in enumerate(line.dots):  # of equal ones the rims are seen
        y = place - 0.11 - 0.025 * (number % 2)
        axes.plot(dot, y, "o", markersize=4, markerfacecolor="none", markeredgecolor=canvas.COLOURS[2], zorder=3)
