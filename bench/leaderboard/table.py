"""From results to tables: what each cell of a leaderboard says, before any format is chosen.

A table holds raw numbers in the unit of the metric; `Column.scale` alone decides how a reader is shown them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from bench.leaderboard.intervals import described, ends, other_cases
from bench.leaderboard.names import Scale, scale_of
from bench.stats import interval, mean_and_std

if TYPE_CHECKING:
    from bench.detections import Detections
    from bench.leaderboard.beside import Beside

STATES = ("done", "failed", "pending")
RESAMPLES = 1000  # of what is recomputed from detections; means over cases have 10 000
ROUNDING = 1e-12  # means that differ by less are the same number, summed in another order


@dataclass(frozen=True, eq=False)
class Result:
    """One seed of one cell of the grid; done, it holds the primary metric of each test case, else none.

    `found` of `official` cases of the task's data set are there (0 of 0: unknown). Raises ValueError, naming the
    cell, for values that cannot be averaged: a state that does not exist, a value that is missing or not finite.
    """

    method: str
    task: str
    protocol: str
    seed: int
    state: str  # "done", "failed" or "pending"
    metric: str
    phantom: bool
    found: int
    official: int
    cases: tuple[str, ...]
    values: Float[np.ndarray, " cases"]
    higher_is_better: bool = True
    seen: int = 0  # test cases whose image is also a training image of the task, as published
    collapsed: bool = False  # whether the pretraining behind it did
    part: bool = False  # of what another result tells whole, and so in no mean over columns
    strata: tuple[str, ...] = ()  # of the cases, where they are resampled within those
    detections: "Detections | None" = None  # in place of values, of a metric that is no mean over cases

    def __post_init__(self) -> None:
        """Refuse what cannot be averaged."""
        bad = int(np.count_nonzero(~np.isfinite(self.values)))
        if self.state not in STATES:
            raise ValueError(f"{self.name}: state is {self.state!r}, not one of {', '.join(STATES)}")
        if len(self.cases) != len(self.values) and self.detections is None:
            raise ValueError(f"{self.name}: {len(self.cases)} cases but {len(self.values)} values")
        if self.strata and len(self.strata) != len(self.cases):
            raise ValueError(f"{self.name}: {len(self.cases)} cases but {len(self.strata)} strata")
        if (self.state == "done") != bool(self.cases):
            raise ValueError(f"{self.name}: {self.state}, with {len(self.cases)} cases")
        if bad:
            raise ValueError(f"{self.name}: {bad} of {len(self.values)} values are not finite (NaN or infinite)")

    @property
    def mean(self) -> float:
        """The metric over all cases."""
        return self.detections.value(self.metric) if self.detections else float(np.asarray(self.values, float).mean())

    @property
    def name(self) -> str:
        """Its human id, as on the command line and in the store."""
        return f"{self.method}/{self.task}/{self.protocol}/{self.seed}"


@dataclass(frozen=True)
class Column:
    """A task under a protocol, its primary metric, and how much of the task's data set was there."""

    task: str
    protocol: str
    metric: str
    higher_is_better: bool
    found: int
    official: int
    seen: int = 0  # test cases whose image is also a training image, at most
    part: bool = False  # of what another column tells whole, and so in no mean over columns

    @property
    def name(self) -> str:
        """As in a cell's id."""
        return f"{self.task}/{self.protocol}"

    @property
    def partial(self) -> bool:
        """Whether the data are known not to be the official data set: some missing, or some too many."""
        return self.official > 0 and self.found != self.official

    @property
    def completeness(self) -> str:
        """In words: "1600 of 2594", or "unknown"."""
        return f"{self.found} of {self.official}" if self.official > 0 else "unknown"

    @property
    def scale(self) -> Scale:
        """How its numbers are shown."""
        return scale_of(self.metric)


@dataclass(frozen=True)
class Cell:
    """A method entry in a column: raw numbers over the seeds that are done, None where they are not defined.

    `state` is "done" (every seed), "partial" (some), "failed" (none, and at least one failed), "pending", "absent" (the
    grid does not ask for it) or "published" (as others print it). `std` needs two seeds, `low` and `high` two cases.
    """

    state: str
    done: tuple[int, ...] = ()  # seeds
    failed: tuple[int, ...] = ()
    pending: tuple[int, ...] = ()
    cases: int = 0
    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    best: bool = False

    @property
    def seeds(self) -> int:
        """How many seeds the grid asks for."""
        return len(self.done) + len(self.failed) + len(self.pending)


@dataclass(frozen=True)
class Row:
    """A method entry; `mean`, over the columns, is given only where every cell is done and all have one metric."""

    method: str
    cells: tuple[Cell, ...]
    mean: float | None
    collapsed: tuple[int, ...] = ()  # seeds whose pretraining collapsed
    source: str = ""  # of numbers that others printed; none: measured here

    @property
    def complete(self) -> bool:
        """Whether every cell is done, with all its seeds; what others printed has no more to come."""
        return bool(self.source) or all(cell.state == "done" for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """One leaderboard, of real or of phantom data, never both."""

    phantom: bool
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]  # every seed the grid asks for, in its order
    level: float
    interval: str  # the method, in words
    beside: "Beside | None" = None  # what is said of printed rows, which come last

    @property
    def name(self) -> str:
        """The kind of data: "real" or "phantom"."""
        return "phantom" if self.phantom else "real"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its columns, each once."""
        return _metrics(self.columns)

    @property
    def averaged(self) -> bool:
        """Whether a mean over columns means anything: they share one metric."""
        return len(self.metrics) == 1


def build(results: Sequence[Result], *, level: float = 0.95) -> tuple[Table, ...]:
    """One table per kind of data, real before phantom; rows and columns in the order their results first come in.

    The best of a column are those with its best mean among cells with every seed done: ties are all best. Raises
    ValueError, naming the cell or column, where a seed comes twice, the seeds of a cell were scored on different cases,
    or a column has two metrics. No results, no table.
    """
    return tuple(_table(kind, level) for kind in kinds(results))


def kinds(results: Sequence[Result]) -> list[list[Result]]:
    """The results on real data and those on phantoms, which never share a table; only what there is."""
    apart = [[result for result in results if result.phantom is phantom] for phantom in (False, True)]
    return [kind for kind in apart if kind]


def _table(results: list[Result], level: float) -> Table:
    grid: dict[tuple[str, str], dict[str, list[Result]]] = {}
    for result in results:
        grid.setdefault((result.task, result.protocol), {}).setdefault(result.method, []).append(result)
    methods = list(dict.fromkeys(result.method for result in results))
    columns = tuple(_column([r for of_method in cells.values() for r in of_method]) for cells in grid.values())
    averaged = len(_metrics(columns)) == 1
    by_column = [
        _mark_best([_cell(cells.get(method, []), level) for method in methods], column)
        for cells, column in zip(grid.values(), columns, strict=True)
    ]
    rows = tuple(
        Row(method, cells, _mean_over_columns(cells, columns) if averaged else None, _collapsed(results, method))
        for method, cells in zip(methods, zip(*by_column, strict=True), strict=True)
    )
    how = described(any(result.detections for result in results))
    return Table(results[0].phantom, columns, rows, tuple(dict.fromkeys(r.seed for r in results)), level, how)


def _collapsed(results: list[Result], method: str) -> tuple[int, ...]:
    return tuple(sorted({result.seed for result in results if result.collapsed and result.method == method}))


def _column(results: list[Result]) -> Column:
    """The column of these results; where they saw different amounts of data, the least complete is told."""
    first = results[0]
    metrics = {(result.metric, result.higher_is_better) for result in results}
    if len(metrics) > 1:
        said = ", ".join(f"{m} ({'higher' if up else 'lower'} is better)" for m, up in sorted(metrics))
        raise ValueError(f"{first.task}/{first.protocol}: its results have different metrics: {said}")
    known = [result for result in results if result.official > 0]
    # What was scored counts; what is only planned speaks for a column in which nothing is done yet.
    known = [result for result in known if result.state == "done"] or known
    least = min(known, key=lambda result: result.found / result.official, default=first)
    seen = max(result.seen for result in results)
    return Column(
        first.task, first.protocol, first.metric, first.higher_is_better, least.found, least.official, seen, first.part
    )


def _cell(results: list[Result], level: float) -> Cell:
    _seeds_agree(results)
    done, failed, pending = (tuple(r.seed for r in results if r.state == state) for state in STATES)
    if not done:
        return Cell("failed" if failed else "pending" if pending else "absent", failed=failed, pending=pending)
    finished = [result for result in results if result.state == "done"]
    mean, std = mean_and_std(np.array([result.mean for result in finished]))
    low, high = _interval(finished, mean, level)
    state, ends = "partial" if failed or pending else "done", (_defined(low), _defined(high))
    return Cell(state, done, failed, pending, len(finished[0].cases), mean, _defined(std), *ends)


def _interval(finished: list[Result], mean: float, level: float) -> tuple[float, float]:
    """Over cases, of the `mean` over seeds, each of which is resampled with the same draws."""
    if all(result.detections for result in finished):
        drawn = [r.detections.resampled(r.metric, resamples=RESAMPLES) for r in finished if r.detections]
        return ends(np.mean(drawn, axis=0), mean, finished[0].metric, len(finished[0].cases), level)
    values = np.stack([np.asarray(result.values, np.float64) for result in finished])
    return interval(values.mean(axis=0), finished[0].strata or None, level=level)


def _seeds_agree(results: list[Result]) -> None:
    seen: set[int] = set()
    for result in results:
        if result.seed in seen:
            raise ValueError(f"{result.name}: two results for one seed")
        seen.add(result.seed)
    done = [result for result in results if result.state == "done"]
    for result in done[1:]:
        if detail := other_cases(result.cases, done[0].cases):
            raise ValueError(f"{result.name}: scored on other cases than {done[0].name}: {detail}")


def _mark_best(cells: list[Cell], column: Column) -> list[Cell]:
    means = [cell.mean for cell in cells if cell.state == "done" and cell.mean is not None]
    if not means:
        return cells
    top = max(means) if column.higher_is_better else min(means)
    return [replace(cell, best=cell.state == "done" and _equal(cell.mean, top)) for cell in cells]


def _equal(mean: float | None, top: float) -> bool:
    return mean is not None and math.isclose(mean, top, rel_tol=ROUNDING, abs_tol=ROUNDING)


def _metrics(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column.metric for column in columns if not column.part))


def _mean_over_columns(cells: tuple[Cell, ...], columns: Sequence[Column]) -> float | None:
    own = [cell for cell, column in zip(cells, columns, strict=True) if not column.part]
    means = [cell.mean for cell in own if cell.state == "done" and cell.mean is not None]
    return math.fsum(means) / len(means) if len(means) == len(own) else None


def _defined(number: float) -> float | None:
    return None if math.isnan(number) else number
