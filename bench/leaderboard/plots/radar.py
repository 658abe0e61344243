"""Methods over the columns of a family, an axis each, from the worst value of the axis on its inner ring to the best.

Every axis says which two values those are, for a small difference fills it as well as a large one does. Of a family of
fewer than three columns, which would be no more than a line, each column is a row of dots for every method.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.leaderboard.names import label
from bench.leaderboard.plots import canvas, remarks, spokes
from bench.leaderboard.plots.canvas import Look
from bench.leaderboard.plots.spokes import Spoke
from bench.leaderboard.table import Row, Table
from bench.leaderboard.words import arrow, measure, named, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST, CROWDED, MOST = 3, 8, 12  # axes of a radar; with more than the second it has the whole width
RADIUS, WIDER, ROOM = 0.82, 0.15, 0.5  # inches: of a radar; of a wide one for each axis; for words above and below
HEAD, FOOT, STEP = 0.3, 0.55, 0.17  # inches: above and below a panel of dots, and of one of its rows or of a name
SHORT, LONG = 22, 30  # letters of a line of a method's name, beside dots and below radars

Box = tuple[float, float, float, float]  # left, bottom, width and height in inches
Panel = tuple[str, list[int]]  # its title, and the columns that are its axes


@canvas.style()
def draw(table: Table, file: Path) -> None:
    """Write the figure: a panel for each family of columns. Raises BenchError as `curves.save`.

    What is told whole by another column has no axis. Raises ValueError where no column has a number.
    """
    families = _families(table)
    if not families:
        raise ValueError("no column has a number")
    panels = [panel for name, columns in families.items() for panel in _panels(name, columns)]
    panels.sort(key=_round, reverse=True)  # rows of one height
    most = max(len(columns) for _, columns in panels)
    across = 1 if most > CROWDED or len(panels) == 1 else 2
    rows = [panels[start : start + across] for start in range(0, len(panels), across)]
    radius = WIDER * most if most > CROWDED else RADIUS
    radar = 2 * (radius + ROOM) + HEAD
    dots = _lines(table, SHORT) * STEP * len(table.rows) + HEAD + FOOT
    tall = [max(radar, dots) if any(map(_round, row)) else dots for row in rows]
    key = STEP * _names_down(table) if any(map(_round, panels)) else 0.0
    figure, floor = canvas.sheet(sum(tall) + key, _title(table), _notes(table, families), phantom=table.phantom)
    figure.set_layout_engine("none")
    looks, ceiling = canvas.looks(len(table.rows)), floor + key + sum(tall)
    for row, height in zip(rows, tall, strict=True):
        ceiling -= height
        for place, panel in enumerate(row):
            box = (place * canvas.WIDTH / across, ceiling, canvas.WIDTH / across, height)
            _panel(figure, box, panel, table, looks, radius)
    if key:
        _names(_axes(figure, (0.0, floor, canvas.WIDTH, key)), table, looks)
    canvas.save(figure, file)


# ------------------------------------------------------------------------------------------- what is drawn


def _families(table: Table) -> dict[str, list[int]]:
    """Columns, by index, that have a number; those of sites only where there is no other."""
    filled = [i for i in range(len(table.columns)) if not all(math.isnan(_value(row, i)) for row in table.rows)]
    found: dict[str, list[int]] = {}
    for index in [i for i in filled if not table.columns[i].part] or filled:
        found.setdefault(table.columns[index].family, []).append(index)
    return found


def _panels(name: str, columns: list[int]) -> list[Panel]:
    """Of a family: one radar, or several where its axes would be too many for one; or a panel for each column."""
    if len(columns) < FEWEST:
        return [(name, [index]) for index in columns]
    count = math.ceil(len(columns) / MOST)
    size = math.ceil(len(columns) / count)
    groups = [columns[start : start + size] for start in range(0, len(columns), size)]
    return [(f"{name} ({n} of {count})" if count > 1 else name, group) for n, group in enumerate(groups, start=1)]


def _round(panel: Panel) -> bool:
    return len(panel[1]) > 1


def _spoke(table: Table, index: int) -> Spoke:
    """The axis of a column, turned round where less is better; where all are equal, all are best."""
    column, values = table.columns[index], [_value(row, index) for row in table.rows]
    known = [value for value in values if not math.isnan(value)]
    worst, best = (min(known), max(known)) if column.higher_is_better else (max(known), min(known))
    reach = [1 + 0 * value if worst == best else (value - worst) / (best - worst) for value in values]
    ends = dict.fromkeys(number(value, column.scale, column.scale.decimals) for value in (worst, best))
    said = f"{'' if len(ends) > 1 else 'all '}{' → '.join(ends)} {column.scale.unit}".rstrip()
    return Spoke(named(column), label(column.metric), said, tuple(reach))


def _value(row: Row, index: int) -> float:
    mean = row.cells[index].mean
    return math.nan if mean is None else mean


# ------------------------------------------------------------------------------------------- what is said


def _title(table: Table) -> str:
    count = len(table.rows)
    return f"{count} method{'s' * (count > 1)} by family of columns, {remarks.data(table)}"


def _notes(table: Table, families: dict[str, list[int]]) -> list[str]:
    shown, notes = [index for columns in families.values() for index in columns], list[str]()
    if any(len(columns) >= FEWEST for columns in families.values()):
        notes.append("an axis runs from the worst of these methods (inner ring) to the best (outer ring), as it says")
    few = [f"{name} ({len(columns)})" for name, columns in families.items() if len(columns) < FEWEST]
    if few:
        notes.append(f"drawn as dots, for a radar takes {FEWEST} columns: {', '.join(few)}")
    notes += [remarks.seeds(table), remarks.cases(table, shown)]
    for row in table.rows:
        gaps = [named(table.columns[index]) for index in shown if math.isnan(_value(row, index))]
        part = [named(table.columns[index]) for index in shown if row.cells[index].state == "partial"]
        notes += [f"no number, and open there: {row.method} in {', '.join(gaps)}"] if gaps else []
        notes += [f"not all seeds are done: {row.method} in {', '.join(part)}"] if part else []
    return notes


# ------------------------------------------------------------------------------------------- drawing


def _panel(figure: "Figure", box: Box, panel: Panel, table: Table, looks: Sequence[Look], radius: float) -> None:
    name, columns = panel
    (left, floor, width, height), (wide, tall) = box, figure.get_size_inches()
    title = canvas.name(name, 40)
    figure.text((left + width / 2) / wide, (floor + height - 0.06) / tall, title, ha="center", va="top", fontsize=9)
    if _round(panel):
        size = (width, height - HEAD)
        axes = _axes(figure, (left, floor, *size))
        spokes.draw(axes, [_spoke(table, index) for index in columns], looks, radius, size)
        return
    margin = 0.2 + _inches(table, SHORT)
    inner = (left + margin, floor + FOOT, width - margin - 0.2, height - FOOT - HEAD)
    _dots(_axes(figure, inner), table, columns[0], looks)


def _axes(figure: "Figure", box: Box) -> "Axes":
    wide, tall = figure.get_size_inches()
    return figure.add_axes((box[0] / wide, box[1] / tall, box[2] / wide, box[3] / tall))


def _dots(axes: "Axes", table: Table, index: int, looks: Sequence[Look]) -> None:
    """The only column of a panel: methods below each other, each with its own mark."""
    column, places = table.columns[index], range(0, -len(table.rows), -1)
    for place, row, look in zip(places, table.rows, looks, strict=True):
        axes.plot(column.scale.factor * _value(row, index), place, color=look.colour, marker=look.mark, **spokes.STROKE)
    axes.set_yticks(list(places), [canvas.name(row.method, SHORT) for row in table.rows])
    axes.set_ylim(-len(table.rows) + 0.4, 0.6)
    axes.tick_params(axis="y", length=0, labelsize=canvas.SMALL)
    axes.margins(x=0.08)
    axes.set_xlabel(f"{canvas.name(named(column), 40)}\n{measure(column)} {arrow(column)}")
    canvas.open_frame(axes, along="both")


def _inches(table: Table, width: int) -> float:
    """What the longest line of a method's name takes."""
    letters = max(len(line) for row in table.rows for line in canvas.name(row.method, width).split("\n"))
    return 0.57 * canvas.SMALL / 72 * letters


def _names_across(table: Table) -> int:
    return max(1, int(canvas.WIDTH / (0.7 + _inches(table, LONG))))


def _names_down(table: Table) -> int:
    """Lines of type."""
    return _lines(table, LONG) * math.ceil(len(table.rows) / _names_across(table))


def _lines(table: Table, width: int) -> int:
    """Of the longest name."""
    return max(canvas.name(row.method, width).count("\n") + 1 for row in table.rows)


def _names(axes: "Axes", table: Table, looks: Sequence[Look]) -> None:
    """Which mark, line and colour is whose."""
    axes.set_axis_off()
    for row, look in zip(table.rows, looks, strict=True):
        name = canvas.name(row.method, LONG)
        axes.plot([], [], look.dash, color=look.colour, marker=look.mark, label=name, **spokes.STROKE)
    across = _names_across(table)
    axes.legend(loc="center", frameon=False, fontsize=canvas.SMALL, handlelength=3.5, ncols=across, columnspacing=1.0)
