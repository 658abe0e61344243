"""The command that draws a board for a paper. Importing it imports neither torch nor matplotlib."""

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import DataRoot, GridOrStore, Json, app
from bench.cli.look import opened
from bench.cli.show import as_json
from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Ranking
    from bench.leaderboard.result import Result
    from bench.leaderboard.table import Table
    from bench.store import Store


class Kind(StrEnum):
    """What a figure shows."""

    ranks = "ranks"
    critical = "critical"
    radar = "radar"
    cost = "cost"
    column = "column"


class By(StrEnum):
    """What a method costs."""

    hours = "hours"
    evaluation = "evaluation"
    parameters = "parameters"
    images = "images"


Drawing = tuple[str, Callable[[Path], None]]  # of "real" or "phantom" data


@app.command()
def plot(
    kind: Annotated[Kind, typer.Argument(help="What to draw.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A .png, .svg or .pdf.")],
    grid: GridOrStore = "bench.toml",
    data: DataRoot = None,
    task: Annotated[str, typer.Option("--task", metavar="T", help="Only this task.")] = "",
    protocol: Annotated[str, typer.Option("--protocol", metavar="P", help="Only this protocol.")] = "",
    metric: Annotated[
        str, typer.Option("--metric", help="Draw this in place of each task's primary metric, such as hd95.")
    ] = "",
    by: Annotated[By | None, typer.Option("--by", help="Of cost: which one. Time of pretraining if left out.")] = None,
    json: Json = False,
) -> None:
    """Draw a board as a figure: png, svg or pdf.

    ranks: the mean rank of each method over tasks, with its interval. critical: which of those ranks are told apart.
    radar: methods over the columns of each family. cost: scores against what they cost, with the Pareto front.
    column: the methods of one column, each seed, their mean and its interval; --task and --protocol choose it.

    Real and phantom data never share a figure: where there are both, FILE-real and FILE-phantom are written.

    JSON: {"figure": [FILES]}.
    """
    from bench.curves import require_figure

    if by and kind is not Kind.cost:
        raise BenchError(f"--by is of `bench plot cost` alone: leave it out of `bench plot {kind.value}`")
    require_figure(out)
    board = opened(grid, data, metric)
    found = _done(_chosen(board.results, task, protocol, grid))
    if not found:
        raise BenchError(f"{grid}: nothing is done, so there is nothing to draw; bench leaderboard {grid} says more")
    try:
        drawings = _drawings(kind, found, by or By.hours, grid, board.store)
    except ValueError as exc:  # results that cannot be put into one table
        raise BenchError(f"{grid}: {exc}") from None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise BenchError(f"{out.parent}: {exc.strerror}") from None
    files = drawn(drawings, out)
    _say_letters(found, out)
    say_files(files, json=json)


def drawn(drawings: Sequence[Drawing], out: Path) -> list[Path]:
    """The files of some figures: `out`, or where there are real and phantom data one of each, called so."""
    files = [out] if len(drawings) == 1 else [out.with_stem(f"{out.stem}-{name}") for name, _ in drawings]
    for (_, draw), file in zip(drawings, files, strict=True):
        draw(file)
    return files


def say_files(files: Sequence[Path], *, json: bool) -> None:
    """Print which figures were drawn."""
    if json:
        as_json({"figure": files})
    else:
        print("\n".join(map(str, files)))  # noqa: T201


def _done(found: "list[Result]") -> "list[Result]":
    """Those of real data, of phantoms or of both, where anything is done."""
    from bench.leaderboard.result import kinds

    return [result for part in kinds(found) if any(one.state == "done" for one in part) for result in part]


def _chosen(found: "list[Result]", task: str, protocol: str, grid: str) -> "list[Result]":
    """Of a task, of all of its sites or of one, and of a protocol."""
    of_task = [result for result in found if task in ("", result.task, result.task.partition("@")[0])]
    if not of_task and found:
        raise unknown("task", task, {result.task for result in found}, where=grid)
    chosen = [result for result in of_task if protocol in ("", result.protocol)]
    if not chosen and found:
        raise unknown("protocol", protocol, {result.protocol for result in of_task}, where=task or grid)
    return chosen


def _drawings(kind: Kind, found: "list[Result]", by: By, grid: str, store: "Store") -> list[Drawing]:
    """What is to be drawn, real before phantom. Raises BenchError where there is nothing, or more than one holds."""
    if kind in (Kind.ranks, Kind.critical):
        from bench.leaderboard import critical
        from bench.leaderboard.plots import ranks
        from bench.leaderboard.ranking import rank

        return of_rankings(critical.draw if kind is Kind.critical else ranks.draw, rank(found), grid)
    from bench.leaderboard.building import build
    from bench.leaderboard.expense import expenses
    from bench.leaderboard.plots import column, cost, radar

    tables = build(found)
    if kind is Kind.radar:
        return [(table.name, partial(radar.draw, table)) for table in tables]
    if kind is Kind.column:
        for table in tables:
            _require_one_column(table)
        return [(table.name, partial(column.draw, table)) for table in tables]
    told = partial(expenses, list(store.records()))
    return [(table.name, partial(cost.draw, table, told, by.value)) for table in tables]


def of_rankings(draw: "Callable[[Ranking, Path], None]", rankings: "Iterable[Ranking]", grid: str) -> list[Drawing]:
    """What is to be drawn of rankings. Raises BenchError where nothing is ranked."""
    drawings: list[Drawing] = [(ranking.name, partial(draw, ranking)) for ranking in rankings if ranking.rows]
    if not drawings:
        raise BenchError(f"{grid}: nothing to rank, so no figure; bench ranks {grid} says what is missing")
    return drawings


def _require_one_column(table: "Table") -> None:
    if len(table.columns) > 1:
        names = ", ".join(f"--task {one.task} --protocol {one.protocol}" for one in table.columns[:6])
        more = f" and {len(table.columns) - 6} more" if len(table.columns) > 6 else ""
        raise BenchError(f"a figure of a column takes one of {len(table.columns)}: {names}{more}")


def _say_letters(found: "Sequence[Result]", out: Path) -> None:
    """Tell of letters that are boxes in the figure; an svg leaves them to whoever shows it."""
    from bench.leaderboard.plots.canvas import without_glyph

    missing = without_glyph({name for result in found for name in (result.method, result.task)})
    if missing and out.suffix.lower() != ".svg":
        said = f"no font here has {' '.join(missing)}: drawn as boxes; an .svg keeps them as text"
        print(f"warning: {said}", file=sys.stderr)  # noqa: T201
