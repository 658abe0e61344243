"""From results to tables: one for real and one for phantom data, with every mark that a reader needs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from bench.leaderboard import verdicts
from bench.leaderboard.catalogue import FAMILIES, GROUPS
from bench.leaderboard.gaps import common
from bench.leaderboard.intervals import Ends, described, of_column, other_cases
from bench.leaderboard.result import STATES, Result, kinds
from bench.leaderboard.table import Cell, Column, Row, Table
from bench.stats import mean_and_std

ROUNDING = 1e-12  # means that differ by less are the same number, summed in another order


def build(results: Sequence[Result], *, level: float = 0.95) -> tuple[Table, ...]:
    """One table per kind of data, real before phantom.

    Rows and columns come in the order of their results, those of a group and of a family together. The best of a column
    are those with its best mean among cells with every seed done: ties are all best. Alike are the best and those that
    no paired test, corrected for all pairs of the column, tells from every best; so is what cannot be tested. Raises
    ValueError, naming the cell or column, where a seed comes twice, the seeds of a cell were scored on different cases,
    or a column has two metrics. No results, no table.
    """
    return tuple(_table(kind, level) for kind in kinds(results))


def _table(results: list[Result], level: float) -> Table:
    grid: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        of_column = grid.setdefault(result.column or f"{result.task}/{result.protocol}", {})
        of_column.setdefault(result.row or result.method, []).append(result)
    groups = {result.row or result.method: result.group for result in results}
    methods = _ordered(groups, GROUPS)
    shown = {name: _column([r for cell in cells.values() for r in cell]) for name, cells in grid.items()}
    names = _ordered({name: column.family for name, column in shown.items()}, FAMILIES)
    columns = tuple(shown[name] for name in names)
    in_groups = [groups[method] for method in methods]
    by_column = [_cells([grid[name].get(m, []) for m in methods], shown[name], in_groups, level) for name in names]
    rows = [
        Row(method, cells, None, _collapsed(results, method), group=groups[method])
        for method, cells in zip(methods, zip(*by_column, strict=True), strict=True)
    ]
    tests = _tests(results) if any(cell.p is not None for row in rows for cell in row.cells) else ()
    seeds = tuple(dict.fromkeys(r.seed for r in results))
    how = described(results)
    return _with_means(Table(results[0].phantom, columns, tuple(rows), seeds, level, how, tests=tests))


def _with_means(table: Table) -> Table:
    """The table with its means, over the columns of the common sub-grid: a row with a gap there gets none."""
    own = [index for index, column in enumerate(table.columns) if not column.part]
    full = np.array([[row.cells[index].state == "done" for index in own] for row in table.rows], bool)
    if not table.averaged or not own:
        return replace(table, averaged_over=(), rows=tuple(replace(row, mean=None) for row in table.rows))
    kept, inside = common(full.reshape(-1, len(own)))
    over = tuple(own[index] for index in inside.tolist())
    rows = [
        replace(row, mean=_mean(row.cells[place].mean for place in over) if index in kept.tolist() else None)
        for index, row in enumerate(table.rows)
    ]
    return replace(table, averaged_over=over, rows=tuple(rows))


def _mean(means: Iterable[float | None]) -> float | None:
    found = [mean for mean in means if mean is not None]
    return math.fsum(found) / len(found) if found else None


def _ordered(found: dict[str, str], order: Sequence[str]) -> list[str]:
    """The names, those of one kind together: kinds that are known in their order, others as they come."""
    kinds_ = list(dict.fromkeys([*(kind for kind in order if kind in found.values()), *found.values()]))
    return sorted(found, key=lambda name: kinds_.index(found[name]))


def _collapsed(results: list[Result], method: str) -> tuple[int, ...]:
    own = (result for result in results if (result.row or result.method) == method)
    return tuple(sorted({result.seed for result in own if result.collapsed}))


def _tests(results: list[Result]) -> tuple[str, ...]:
    done = [result for result in results if result.state == "done"]
    kinds_ = dict.fromkeys(verdicts.BOOTSTRAP if result.detections else verdicts.SIGN_FLIP for result in done)
    seeds = [verdicts.SEEDS] if len({result.seed for result in done}) > 1 else []
    return (*kinds_, *seeds, "adjusted by Holm for all pairs of a column")


# ---------------------------------------------------------------------------------------------- a column


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
    return Column(
        task=first.task,
        protocol="" if first.column and "/" not in first.column else first.protocol,
        metric=first.metric,
        higher_is_better=first.higher_is_better,
        found=least.found,
        official=least.official,
        seen=max(result.seen for result in results),
        part=first.part,
        family=first.family,
    )


def _cells(of: list[list[Result]], column: Column, groups: Sequence[str], level: float) -> list[Cell]:
    """The cells of a column, a method each, whose `groups` are."""
    for results in of:
        _seeds_agree(results)
    done = [[result for result in results if result.state == "done"] for results in of]
    ends = of_column(done, level)
    cells = [_cell(*each, column) for each in zip(of, done, ends, strict=True)]
    whole = [index for index, cell in enumerate(cells) if cell.state == "done"]
    p = np.full((len(of), len(of)), math.nan)
    p[np.ix_(whole, whole)] = verdicts.adjusted([done[index] for index in whole])
    return _marked(cells, column, p, groups)


def _cell(results: list[Result], finished: list[Result], ends: Ends, column: Column) -> Cell:
    done, failed, pending = (tuple(r.seed for r in results if r.state == state) for state in STATES)
    name = next((r.name.rpartition("/")[0] for r in results), "")
    if not finished:
        state = "failed" if failed else "pending" if pending else "absent"
        return Cell(state, failed=failed, pending=pending, id=name)
    means = np.array([result.mean for result in finished])
    mean, std = mean_and_std(means)
    return Cell(
        state="partial" if failed or pending else "done",
        done=done,
        failed=failed,
        pending=pending,
        cases=len(finished[0].cases),
        mean=mean,
        std=_defined(std),
        low=_defined(ends[0]),
        high=_defined(ends[1]),
        seed_means=tuple(means.tolist()),
        records=tuple(result.record for result in finished),
        marks=_marks(finished, column),
        id=name,
    )


def _marks(results: list[Result], column: Column) -> tuple[str, ...]:
    """Which of `MARKS` a cell has."""
    has = {
        "partial data": column.partial,
        "seen in training": any(result.seen for result in results),
        "may have seen": any(result.may_have_seen for result in results),
        "release": column.metric.startswith("release_"),
        "collapsed": any(result.collapsed for result in results),
    }
    return tuple(mark for mark, there in has.items() if there)


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


def _marked(
    cells: list[Cell], column: Column, p: Float[np.ndarray, "methods methods"], groups: Sequence[str]
) -> list[Cell]:
    """The cells of a column with the best, those that are not shown to be worse, and the best of each group."""
    tops = {}
    for group in set(groups):
        own = [c for c, of in zip(cells, groups, strict=True) if of == group and c.state == "done"]
        tops[group] = _top(own, column) if len(own) > 1 else None  # one alone leads nothing
    top = _top(cells, column)
    best = [index for index, cell in enumerate(cells) if cell.state == "done" and _equal(cell.mean, top)]
    found = []
    for index, (cell, group) in enumerate(zip(cells, groups, strict=True)):
        if cell.state == "done":
            against = [float(p[index, other]) for other in best if other != index and not math.isnan(p[index, other])]
            first, nearest = index in best, max(against, default=math.nan)
            alike = not nearest < 1 - verdicts.LEVEL or first  # one that cannot be tested is not shown to be worse
            leads = _equal(cell.mean, tops[group])
            cell = replace(cell, best=first, alike=alike, leads=leads, p=None if first else _defined(nearest))
        found.append(cell)
    return found


def _top(cells: Iterable[Cell], column: Column) -> float | None:
    means = [cell.mean for cell in cells if cell.state == "done" and cell.mean is not None]
    return (max(means) if column.higher_is_better else min(means)) if means else None


def _equal(mean: float | None, top: float | None) -> bool:
    return mean is not None and top is not None and math.isclose(mean, top, rel_tol=ROUNDING, abs_tol=ROUNDING)


def _defined(number: float) -> float | None:
    return None if math.isnan(number) else number
