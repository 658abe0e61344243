"""What of a board is shown, and in which order. What is chosen is a board of its own: its best are best there."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from bench.errors import BenchError, unknown
from bench.leaderboard.result import Result
from bench.leaderboard.table import Row, Table

ORDERS = ("method", "mean")  # beside the names of columns


def chosen(
    results: Sequence[Result], *, only: str = "", group: str = "", family: str = "", where: str = "the board"
) -> list[Result]:
    """The results whose cell's name matches `only` (of sites: the task's), of a group of rows, of a family of columns.

    Raises BenchError where nothing matches, with the near names.
    """
    found = list(results)
    if only:
        found = [result for result in found if _matches(result, only)]
        if results and not found:
            raise BenchError(
                f"--only {only}: matches no cell of {where}; a cell is method/task/protocol/seed, for example"
                f" {results[0].name}"
            )
    for name, value in (("group", group), ("family", family)):
        if value:
            names = dict.fromkeys(getattr(result, name) for result in results)
            if value not in names:
                raise unknown(name, value, names, where=where)
            found = [result for result in found if getattr(result, name) == value]
    return found


def _matches(result: Result, pattern: str) -> bool:
    whole = f"{result.method}/{result.task.partition('@')[0]}/{result.protocol}/{result.seed}"
    return fnmatchcase(result.name, pattern) or fnmatchcase(whole, pattern)


def ordered(table: Table, by: str) -> Table:
    """The rows of each group by their name, by their mean or by a column, the best first and gaps last.

    Raises BenchError for what is neither, with the near names.
    """
    columns = {column.name: index for index, column in enumerate(table.columns)}
    if by not in (*ORDERS, *columns):
        raise unknown("order", by, (*ORDERS, *columns), where="--sort")
    if by == "mean" and not table.averaged:
        raise BenchError("--sort mean: there is none, since metrics differ; sort by a column, or choose one --metric")
    groups = {group: place for place, group in enumerate(table.groups)}

    def key(row: Row) -> tuple[int, bool, float, str]:
        group = groups.get(row.group, len(groups))
        if by == "method":
            return group, False, 0.0, row.method
        of = table.columns[columns[by]] if by in columns else table.columns[0]
        value = row.cells[columns[by]].mean if by in columns else row.mean
        better = 0.0 if value is None else (-value if of.higher_is_better else value)
        return group, value is None, better, row.method

    measured = [row for row in table.rows if not row.source]
    return replace(table, rows=(*sorted(measured, key=key), *(row for row in table.rows if row.source)))
