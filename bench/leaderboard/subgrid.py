"""The common sub-grid of a board: methods and tasks with no gap between them, as matrices; and what is left out, why.

Two protocols of a task are no two tasks: their numbers go up and down together. Over tasks they therefore count as one,
by the mean of a case's scores over them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from bench import crossed
from bench.leaderboard.gaps import common
from bench.leaderboard.intervals import other_cases
from bench.leaderboard.names import Scale, scale_of
from bench.leaderboard.result import RESAMPLES, Result

DRAWS = 1000  # resamples of cases, as many as of detections


@dataclass(frozen=True, eq=False)
class Scores:
    """All methods in a column, or in the columns of a task together; higher is better, whatever the metric."""

    task: str
    protocols: tuple[str, ...]
    metric: str
    higher_is_better: bool  # of the metric; of these numbers always
    seeds: tuple[int, ...]  # that all methods have
    cases: tuple[str, ...]
    strata: tuple[str, ...]
    per_seed: Float[np.ndarray, "methods seeds"]
    values: Float[np.ndarray, "methods seeds cases"] | None  # none of a metric that is no mean over cases,
    drawn: Float[np.ndarray, "resamples methods"] | None  # which has its means over seeds in resamples of them

    @property
    def means(self) -> Float[np.ndarray, " methods"]:
        """Over seeds and cases."""
        found: np.ndarray = self.per_seed.mean(axis=1)
        return found

    @property
    def scale(self) -> Scale:
        """How its numbers are shown."""
        return scale_of(self.metric)

    def resampled(self, number: int) -> Float[np.ndarray, "resamples methods"]:
        """Means over seeds, with the cases drawn anew, the same for all methods; each task has its own `number`."""
        if self.values is None:
            assert self.drawn is not None
            return np.where(np.isnan(self.drawn).any(axis=1, keepdims=True), self.means, self.drawn)
        of = crossed.units(len(self.cases), strata=self.strata)
        return crossed.resampled(self.values.mean(axis=1), of, resamples=DRAWS, seed=(0, number)).T


@dataclass(frozen=True, eq=False)
class Subgrid:
    """What is complete; `columns` by task and protocol, `tasks` with the protocols of a task together."""

    phantom: bool
    methods: tuple[str, ...]
    columns: tuple[Scores, ...]
    tasks: tuple[Scores, ...]
    left_out: dict[str, str] = field(default_factory=dict)  # methods and columns, with the reason
    fewer: dict[str, str] = field(default_factory=dict)  # columns of which not all seeds are used


def subgrid(results: Sequence[Result]) -> Subgrid:
    """The sub-grid of results of one kind of data: real or phantom.

    While something is missing, the method or the column with the largest share of gaps goes, a column before a method
    where they are equal. A cell is a gap where it has no seed that is done; in a column the seeds count that all
    methods have. Columns with results that cannot be put side by side go first.
    """
    grid: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        grid.setdefault(f"{result.task}/{result.protocol}", {}).setdefault(result.method, []).append(result)
    left_out = {name: why for name, of in grid.items() if (why := _unlike([r for c in of.values() for r in c]))}
    grid = {name: of for name, of in grid.items() if name not in left_out}
    methods = list(dict.fromkeys(r.method for r in results if f"{r.task}/{r.protocol}" in grid))
    kept, names, gone = _without_gaps(methods, grid)
    left_out |= gone
    columns, fewer = list[Scores](), dict[str, str]()
    for number, name in enumerate(names):
        cells = [{r.seed: r for r in grid[name][method] if _done(r)} for method in kept]
        seeds = sorted(set.intersection(*(set(cell) for cell in cells))) if cells else []
        every = sorted({result.seed for of in grid[name].values() for result in of})
        if not seeds:
            left_out[name] = "its methods have no seed in common"
            continue
        if seeds != every:
            fewer[name] = f"seeds {_list(seeds)} of {_list(every)}, which all methods have"
        columns.append(_scores(cells, seeds, number))
    return Subgrid(results[0].phantom, tuple(kept), tuple(columns), _by_task(columns), left_out, fewer)


def _without_gaps(
    methods: list[str], grid: dict[str, dict[str, list[Result]]]
) -> tuple[list[str], list[str], dict[str, str]]:
    """Methods and columns that are complete together, and why the others are not among them."""
    names = list(grid)
    full = np.array([[any(map(_done, grid[name].get(m, ()))) for name in names] for m in methods], bool)
    full = full.reshape(len(methods), len(names))
    rows, columns = common(full)
    kept, inside = [methods[row] for row in rows], [names[column] for column in columns]
    under = rows if len(rows) else np.arange(len(methods))
    gone = {
        names[c]: f"no result of {_list([methods[r] for r in under if not full[r, c]])}"
        for c in range(len(names))
        if names[c] not in inside
    }
    gone |= {
        methods[r]: f"no result in {_list([names[c] for c in columns if not full[r, c]])}"
        for r in range(len(methods) if kept else 0)
        if methods[r] not in kept
    }
    return kept, inside, gone


def _unlike(results: list[Result]) -> str:
    """Why the results of a column cannot be put side by side; nothing where they can."""
    if results[0].part:
        return "told by another column already"
    done = [result for result in results if _done(result)]
    if len(metrics := dict.fromkeys(result.metric for result in done)) > 1:
        return f"different metrics: {_list(metrics)}"
    for result in done[1:]:
        if detail := other_cases(result.cases, done[0].cases):
            return f"different cases: of {result.name} and {done[0].name} {detail}"
    if len(found := dict.fromkeys(result.found for result in done)) > 1:
        return f"different data: {' and '.join(map(str, found))} cases of the data set were found"
    return ""


def _done(result: Result) -> bool:
    return result.state == "done" and bool(np.isfinite(result.mean))


def _scores(cells: list[dict[int, Result]], seeds: list[int], number: int) -> Scores:
    one = cells[0][seeds[0]]
    sign = 1.0 if one.higher_is_better else -1.0
    chosen = [[cell[seed] for seed in seeds] for cell in cells]
    per_seed = sign * np.array([[result.mean for result in of] for of in chosen])
    values = drawn = None
    if one.detections:
        each = [[r.detections.resampled(r.metric, resamples=RESAMPLES, seed=number) for r in of if r.detections]
                for of in chosen]  # fmt: skip
        drawn = sign * np.array(each).mean(axis=1).T
    else:
        values = sign * np.array([[np.asarray(result.values, np.float64) for result in of] for of in chosen])
    return Scores(
        one.task, (one.protocol,), one.metric, one.higher_is_better, tuple(seeds), one.cases, one.strata, per_seed,
        values, drawn,
    )  # fmt: skip


def _by_task(columns: Sequence[Scores]) -> tuple[Scores, ...]:
    """Columns of a task with one metric and the same cases as one."""
    of: dict[tuple[str, str, tuple[str, ...]], list[Scores]] = {}
    for column in columns:
        of.setdefault((column.task, column.metric, column.cases), []).append(column)
    return tuple(_together(each) for each in of.values())


def _together(columns: list[Scores]) -> Scores:
    first = columns[0]
    common = sorted(set.intersection(*(set(column.seeds) for column in columns)))
    if len(columns) == 1:
        return first
    if common:
        rows = [[column.seeds.index(seed) for seed in common] for column in columns]
        per_seed = np.mean([c.per_seed[:, row] for c, row in zip(columns, rows, strict=True)], axis=0)
    else:  # each over its own
        per_seed = np.mean([column.means[:, None] for column in columns], axis=0)
    values = drawn = None
    if first.values is not None:
        each = [c.values for c in columns if c.values is not None]
        of = [v[:, row] for v, row in zip(each, rows, strict=True)] if common else [v.mean(1)[:, None] for v in each]
        values = np.mean(of, axis=0)
    else:
        drawn = np.mean([column.drawn for column in columns if column.drawn is not None], axis=0)
    protocols = tuple(protocol for column in columns for protocol in column.protocols)
    seeds = tuple(common) or first.seeds[:1]
    return replace(first, protocols=protocols, seeds=seeds, per_seed=per_seed, values=values, drawn=drawn)


def _list(names: Sequence[object] | dict[str, None]) -> str:
    """The names, or so many of them."""
    said = list(map(str, names))
    return ", ".join(said[:4]) + (f" and {len(said) - 4} more" if len(said) > 4 else "")
