"""How good methods are against what they cost, with the Pareto front: those of which no other is as good for less."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import BenchError
from bench.leaderboard.expense import Expense, front
from bench.leaderboard.plots import canvas, remarks
from bench.leaderboard.plots.scatter import Axis, Point, scatter
from bench.leaderboard.table import Row, Table
from bench.leaderboard.words import capitalised, measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHTS = (3.6, 5.0, 7.0, 10.0)  # inches to draw on: the first at which all names have room
UNNAMED = ("an unnamed device",)


class Kind(NamedTuple):
    """A cost: what it is called, its unit, what is to be said of it, where it is told, and on which devices."""

    words: str
    unit: str
    note: str
    value: Callable[[Expense], float | int | None]
    devices: Callable[[Expense], tuple[str, ...]] = lambda of: ()
    cheaper_is_less: bool = True


KINDS = {
    "hours": Kind(
        *("time of pretraining", "h", "time: that of one seed on a clock, mean over seeds"),
        *(lambda of: of.pretraining_hours, lambda of: of.pretrained_on or UNNAMED),
    ),
    "evaluation": Kind(
        *("time of evaluation", "h", "time: that of one seed on a clock, in the columns of the score, mean over seeds"),
        *(lambda of: of.evaluation_hours, lambda of: of.evaluated_on or UNNAMED),
    ),
    "parameters": Kind(
        *("parameters of the encoder", "parameters", "parameters: of the encoder that is evaluated, without a head"),
        lambda of: of.parameters,
    ),
    "images": Kind(
        *("speed of pretraining", "images/s", "speed: mean over seeds; faster is cheaper"),
        *(lambda of: of.images_per_second, lambda of: of.pretrained_on or UNNAMED, False),
    ),
}


@canvas.style()
def draw(table: Table, told: Callable[[Table], Mapping[str, Expense]], by: str, file: Path) -> None:
    """Write the figure; `told` says what the rows of a table have cost, here in those columns that the mean is over.

    Raises BenchError where there is nothing to draw of it, and as `curves.save`.
    """
    kind = KINDS[by]
    _require_one_metric(table)
    points = _points(table, told(_counted(table)), kind)
    _require_known(points, kind, by)
    devices = list(dict.fromkeys(device for point in points for device in point.devices))
    chosen = _front(points, table, kind) if len(devices) < 2 else ()
    axis = Axis(kind.words, kind.unit, [point.cost for point in points if point.cost is not None], devices)
    notes, nameless = _notes(table, points, chosen, kind, devices), dict[float, tuple[int, ...]]()

    def drawn(height: float, *said: str) -> "Figure":
        figure, _ = canvas.sheet(height, _title(table, kind), [*said, *notes], phantom=table.phantom)
        nameless[height] = scatter(figure, points, chosen, axis, _measured(table))
        return figure

    for height in HEIGHTS:
        figure = drawn(height)
        if not nameless[height]:
            break
    else:  # so many at one place that no height would do
        height = min(HEIGHTS, key=lambda height: len(nameless[height]))
        figure = drawn(height, f"no room for the names of {', '.join(points[i].method for i in nameless[height])}")
    canvas.save(figure, file)


# ------------------------------------------------------------------------------------------- what is drawn


def _require_one_metric(table: Table) -> None:
    if len(table.columns) > 1 and not table.averaged:
        metrics = ", ".join(table.metrics) or "parts of a whole"
        raise BenchError(
            f"no mean over columns, which are of {metrics}: --task and --protocol take one column, --metric one metric"
        )


def _own(table: Table) -> tuple[int, ...]:
    """The columns that the mean is over, by index; a single column is its own mean."""
    return table.averaged_over or (0,)


def _counted(table: Table) -> Table:
    """The columns that count alone: hours in others are of no number that is shown."""
    own = _own(table)
    rows = [replace(row, cells=tuple(row.cells[index] for index in own)) for row in table.rows]
    return replace(table, columns=tuple(table.columns[index] for index in own), rows=tuple(rows))


def _points(table: Table, expenses: Mapping[str, Expense], kind: Kind) -> list[Point]:
    """Of the methods that are complete; of the others there is no mean."""
    factor, found = table.columns[_own(table)[0]].scale.factor, list[Point]()
    for row in table.rows:
        score, expense = _score(row, table), expenses.get(row.method)
        if score is None or not math.isfinite(score):
            continue
        cost = kind.value(expense) if expense else None
        seeds = [factor * mean for mean in _per_seed(row, table)]
        ends = (min(seeds), max(seeds)) if seeds else (math.nan, math.nan)
        devices = kind.devices(expense) if expense and cost is not None else ()
        found.append(Point(row.method, None if cost is None else float(cost), factor * score, ends, devices))
    return found


def _score(row: Row, table: Table) -> float | None:
    """Over all columns, or in the only one; none of a method that is not complete."""
    if len(table.columns) == 1:
        return row.cells[0].mean if row.cells[0].state == "done" else None
    return row.mean


def _per_seed(row: Row, table: Table) -> list[float]:
    """Means over the columns, of each seed that is done in all of them."""
    cells = [dict(zip(cell.done, cell.seed_means, strict=True)) for cell in (row.cells[index] for index in _own(table))]
    shared = set.intersection(*(set(cell) for cell in cells))
    return [statistics.fmean(cell[seed] for cell in cells) for seed in sorted(shared)]


def _require_known(points: Sequence[Point], kind: Kind, by: str) -> None:
    if not points:
        raise BenchError("no method is complete, so none has a mean to set against its cost")
    if all(point.cost is None for point in points):
        others = ", ".join(name for name in KINDS if name != by)
        raise BenchError(f"no record tells the {kind.words} of any method: --by {by} has nothing to draw; try {others}")


def _front(points: Sequence[Point], table: Table, kind: Kind) -> tuple[int, ...]:
    return front(
        [point.cost for point in points],
        [point.score for point in points],
        cheaper_is_less=kind.cheaper_is_less,
        higher_is_better=table.columns[_own(table)[0]].higher_is_better,
    )


# ------------------------------------------------------------------------------------------- what is said


def _title(table: Table, kind: Kind) -> str:
    return f"{capitalised(measure(table.columns[_own(table)[0]]))} against {kind.words}, {remarks.data(table)}"


def _measured(table: Table) -> str:
    """The axis of scores."""
    own = _own(table)
    first = table.columns[own[0]]
    of = remarks.full(first) if len(own) == 1 else f"mean of {len(own)} columns"
    return f"{measure(first)}, {of} ({remarks.better(first)})"


def _notes(
    table: Table, points: Sequence[Point], chosen: Sequence[int], kind: Kind, devices: Sequence[str]
) -> list[str]:
    line = (
        "; vertical line: from the lowest to the highest of them" if any(p.ends[0] < p.ends[1] for p in points) else ""
    )
    notes = [f"{remarks.seeds(table)}{line}", remarks.cases(table, _own(table)), kind.note]
    if chosen:
        notes.append("disc, broken line: Pareto front, of which no other method is as good for less; ring: the others")
    if len(devices) > 1:
        named = "; ".join(f"[{number}] {device}" for number, device in enumerate(devices, start=1))
        notes.append(f"no front, for times on different devices cannot be compared: {named}")
    left = [
        remarks.full(column)
        for index, column in enumerate(table.columns)
        if not column.part and index not in _own(table)
    ]
    notes += [f"not in the mean, for some cells are missing: {', '.join(left)}"] if left else []
    gone = [row.method for row in table.rows if row.method not in {point.method for point in points}]
    return notes + ([f"incomplete, and so without a mean: {', '.join(gone)}"] if gone else [])
