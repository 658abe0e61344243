"""What a board is asked to show, and the tables that come of it: for every command that draws boards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.look import opened
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.leaderboard.beside import Identity
    from bench.leaderboard.layouts import Layout
    from bench.leaderboard.result import Result
    from bench.leaderboard.table import Table
    from bench.store import Record, Store


@dataclass(frozen=True)
class Asked:
    """A board of a grid or of a store; what is empty leaves nothing out."""

    grid: str
    data: str | None = None
    metric: str = ""
    layout: str = ""
    only: str = ""
    group: str = ""
    family: str = ""
    sort: str = ""
    published: bool = False


@dataclass(frozen=True)
class Boards:
    """The tables, the results that they are made of, and the store with the records of those."""

    tables: "tuple[Table, ...]"
    results: "list[Result]"
    store: "Store"
    name: str  # of the grid, or the end of the store's path

    def records(self) -> "list[Record]":
        """All that stand in the store: of cells, and of the pretrainings behind them."""
        return list(self.store.records())


def boards(asked: Asked) -> Boards:
    """The boards that are asked for. Raises BenchError."""
    from bench.cli.published import known
    from bench.leaderboard.building import build
    from bench.leaderboard.selection import chosen, ordered

    if asked.layout and asked.metric:
        raise BenchError("--layout has its own metrics: leave out --metric, or the layout")
    shape = _layout(asked)
    found = opened(asked.grid, asked.data, shape.metrics if shape else asked.metric)
    results = chosen(found.results, only=asked.only, group=asked.group, family=asked.family, where=asked.grid)
    notes: tuple[str, ...] = ()
    if shape:
        results, notes = shape.arranged(results, known(found.parts(), asked.grid))
        if not results:
            asks = ", ".join(f"{task}/{protocol}" for task, protocol in shape.metrics)
            raise BenchError(f"--layout {asked.layout}: {asked.grid} has nothing of that table, which is of {asks}")
    tables = build(results)
    if notes:
        tables = tuple(replace(table, notes=(*table.notes, *notes)) for table in tables)
    if asked.sort:
        tables = tuple(ordered(table, asked.sort) for table in tables)
    if asked.published:
        tables = tuple(map(_setter(asked.grid, shape, known(found.parts(), asked.grid)), tables))
    return Boards(tables, results, found.store, found.name)


def _layout(asked: Asked) -> "Layout | None":
    if not asked.layout:
        return None
    from bench.cli.published import numbers
    from bench.leaderboard.layouts import layout
    from bench.leaderboard.published import shipped

    return layout(asked.layout, numbers(sorted(shipped().glob("*.csv")), asked.grid))


def _setter(grid: str, shape: "Layout | None", ours: "Mapping[str, Identity]") -> "Callable[[Table], Table]":
    """What sets printed numbers beside a table, all or those of its layout; `ours` tells by label what its rows are."""
    from bench.cli.published import numbers
    from bench.leaderboard.beside import set_beside
    from bench.leaderboard.published import files

    if shape:
        return lambda table: set_beside(table, shape.printed(), shape.known(ours))
    rows = numbers(files(Path(grid)), grid)
    return lambda table: set_beside(table, rows, ours)
