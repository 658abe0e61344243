"""Methods as marks between a cost and a score: those of the front as discs on its steps, and names beside all of them.

Those of which the cost is not known stand in a strip beside the others, by their score alone.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from bench.leaderboard.plots import canvas, labels
from bench.leaderboard.plots.labels import Box, Spot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STRIP = 0.3  # of the width of the others
WIDE, NARROW = 24, 16  # letters of a line of a name, and in the strip
LOG = 8.0  # times the least that the largest cost is, from which on the axis is logarithmic
# From how much on, by what, and in which unit a cost is told.
UNITS = {
    "h": ((1.0, 1.0, "h"), (1 / 60, 60.0, "min"), (0.0, 3600.0, "s")),
    "parameters": ((1e6, 1e-6, "million"), (0.0, 1.0, "number")),
    "images/s": ((0.0, 1.0, "images/s"),),
}


@dataclass(frozen=True)
class Point:
    """A method: its cost, None where no record tells; its score as readers see it; the scores of its worst and best
    seed, nan where they are not known; and the devices of its cost.
    """

    method: str
    cost: float | None
    score: float
    ends: tuple[float, float]
    devices: tuple[str, ...]


class Axis:
    """The costs, in a unit that makes their numbers neither long nor small, and what is said of them."""

    def __init__(self, words: str, unit: str, costs: Sequence[float], devices: Sequence[str]) -> None:
        self.words, self.devices = words, devices
        self.factor, unit = next((factor, name) for least, factor, name in UNITS[unit] if max(costs) >= least)
        self.low, self.high = self.factor * min(costs), self.factor * max(costs)
        self.log = self.high > LOG * self.low
        where = "on several devices" if len(devices) > 1 else "".join(devices)
        self.label = f"{words} ({unit}){where and ', '}{where}"

    def limits(self) -> tuple[float, float]:
        """The ends of the axis, with a margin for names."""
        if self.log:
            margin = (self.high / self.low) ** 0.12
            return self.low / margin, self.high * margin
        margin = 0.12 * (self.high - self.low) or 0.3 * self.high
        return max(0.0, self.low - margin), self.high + margin

    def name(self, point: Point, width: int) -> str:
        """Of a point, with the number of its device where there are several."""
        numbers = "".join(f" [{self.devices.index(device) + 1}]" for device in point.devices)
        return canvas.name(point.method + numbers * (len(self.devices) > 1), width)


def scatter(
    figure: "Figure", points: Sequence[Point], chosen: Sequence[int], axis: Axis, measured: str
) -> tuple[int, ...]:
    """Draw it all, with those that are `chosen` for the front from the cheapest on.

    Returns the points, by index, of which the name had no room.
    """
    apart = any(point.cost is None for point in points)
    widths = [1.0, STRIP][: 1 + apart]
    parts = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
    _lay(parts[0], axis, measured)
    if apart:
        _lay_strip(parts[1], f"{axis.words}\nnot known")
    spots = [(0.1 if point.cost is None else axis.factor * point.cost, point.score) for point in points]
    for index, (point, spot) in enumerate(zip(points, spots, strict=True)):
        _mark(parts[int(point.cost is None)], spot, point.ends, full=index in chosen)
    low, high = parts[0].get_ylim()
    parts[0].set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    steps = _steps([spots[index] for index in chosen], axis)
    if steps:
        parts[0].plot([x for x, _ in steps], [y for _, y in steps], "--", color=canvas.GREY, linewidth=0.9, zorder=1)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # so that names stay where there was room for them
    left = list[int]()
    for strip, part in enumerate(parts):
        group = [index for index, point in enumerate(points) if (point.cost is None) == bool(strip)]
        group.sort(key=lambda index: index not in chosen)  # the front has its names before the others
        names = [axis.name(points[index], NARROW if strip else WIDE) for index in group]
        bars = [(spots[index][0], points[index].ends) for index in group]
        lines = list(_taken(part, bars, () if strip else steps))
        left += [group[place] for place in labels.place(part, [spots[index] for index in group], names, lines)]
    return tuple(left)


def _lay(axes: "Axes", axis: Axis, measured: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if axis.log:
        axes.set_xscale("log")
        wide = axis.high > 1000 * axis.low
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(*axis.limits())
    axes.set_xlabel(axis.label)
    axes.set_ylabel(measured)
    canvas.open_frame(axes, along="both")


def _lay_strip(axes: "Axes", words: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.set_xlabel(words)
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)
    canvas.open_frame(axes, along="y")


def _mark(axes: "Axes", spot: Spot, ends: Spot, *, full: bool) -> None:
    """A disc or a ring, with a line from its worst to its best seed."""
    if math.isfinite(ends[0]):
        axes.plot([spot[0]] * 2, ends, color=canvas.COLOURS[5], linewidth=1.2, zorder=2)
    face, edge = ("black", "black") if full else ("white", canvas.COLOURS[2])
    axes.plot(*spot, "o", markersize=5, markerfacecolor=face, markeredgecolor=edge, zorder=3)


def _steps(best: Sequence[Spot], axis: Axis) -> list[Spot]:
    """The front as stairs, from the cheapest on to the dear end of the axis: the best score that so much buys."""
    if not best:
        return []
    low, high = axis.limits()
    dear = high if best[-1][0] > best[0][0] else low if best[-1][0] < best[0][0] else None
    stairs = [best[0]]
    for spot in best[1:]:
        stairs += [(spot[0], stairs[-1][1]), spot]
    return stairs if dear is None else [*stairs, (dear, stairs[-1][1])]


def _taken(axes: "Axes", bars: Sequence[tuple[float, Spot]], steps: Sequence[Spot]) -> Iterator[Box]:
    """The lines over which no name is written, in pixels."""
    pairs = [((x, low), (x, high)) for x, (low, high) in bars if math.isfinite(low)]
    for first, second in [*pairs, *pairwise(steps)]:
        (a, b), (c, d) = axes.transData.transform([first, second]).tolist()
        yield Box(min(a, c) - 1, min(b, d) - 1, max(a, c) + 1, max(b, d) + 1)
