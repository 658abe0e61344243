"""Commands that look and change nothing: plan, ls, show, leaderboard. None of them imports torch."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import DataRoot, GridFile, GridOption, Json, app
from bench.cli.show import as_json, as_table, duration
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.leaderboard.table import Result


class Kind(StrEnum):
    """What can be listed."""

    methods = "methods"
    tasks = "tasks"
    protocols = "protocols"
    jobs = "jobs"


class Format(StrEnum):
    """How a leaderboard is written."""

    terminal = "terminal"
    md = "md"
    csv = "csv"
    json = "json"


Only = Annotated[
    str, typer.Option("--only", metavar="GLOB", help="Only jobs whose id matches, such as 'simclr/*/knn/*'.")
]


def planned(grid_file: str, data: str | None, only: str = "") -> tuple[Any, Any, list[Any]]:
    """The grid, its store, and its jobs with what the store knows of them."""
    from bench.config import load
    from bench.plan import plan, select
    from bench.store import Store

    grid = load(Path(grid_file), data=data)
    store = Store(grid.store)
    found = plan(grid, store)
    return grid, store, select(found, only) if only else found


@app.command()
def plan(grid: GridFile = "bench.toml", data: DataRoot = None, only: Only = "", json: Json = False) -> None:
    """Show what would run, what is cached and, for each job that would run again, which part of its key changed.

    JSON: {"jobs": [{"id", "key", "state", "why"}]}; state is cached, run, failed (before) or blocked (cannot run).
    """
    _, _, found = planned(grid, data, only)
    rows = [{"id": p.job.id, "key": p.job.key, "state": p.state, "why": p.why} for p in found]
    if json:
        as_json({"jobs": rows})
        return
    counts = {state: sum(r["state"] == state for r in rows) for state in ("cached", "run", "failed", "blocked")}
    as_table(
        [{k: r[k] for k in ("state", "id", "why")} for r in rows if r["state"] != "cached"], empty="nothing to run"
    )
    print(", ".join(f"{n} {state}" for state, n in counts.items() if n))  # noqa: T201


@app.command()
def ls(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    grid: GridOption = "bench.toml",
    data: DataRoot = None,
    json: Json = False,
) -> None:
    """List methods, tasks or protocols (broken ones with the reason), or the jobs of a grid.

    JSON: a list of objects with `name`; for jobs with `id`, `key` and `state` beside it.
    """
    if kind is Kind.jobs:
        rows = [{"name": p.job.id, "state": p.state, "key": p.job.key} for p in planned(grid, data)[2]]
    else:
        rows = _plugins(kind.value[:-1], Path(grid))
    if json:
        as_json(rows)
    else:
        as_table(rows)


def _plugins(kind: str, grid: Path) -> list[dict[str, Any]]:
    rows = []
    for plugin in _registry(grid).all(kind):
        row: dict[str, Any] = {"name": plugin.name}
        if kind == "method":
            row["kind"] = {"ssl_method": "ssl", "foundation_model": "foundation"}.get(plugin.decorator, "")
            row["paper"] = plugin.info.get("paper", "")
        else:
            row["title"] = plugin.info.get("title", "")
        if kind == "task":
            row["modality"] = plugin.info.get("modality", "")
            row["protocols"] = ", ".join(plugin.info.get("protocols") or ())
        else:
            row["settings"] = ", ".join(f"{k} = {v!r}" for k, v in plugin.settings.items())
        rows.append({**row, "error": plugin.error or None})
    if not any(row["error"] for row in rows):
        return [{k: v for k, v in row.items() if k != "error"} for row in rows]
    return rows


def _registry(grid: Path) -> Any:
    """The plug-ins of a grid where there is one, whatever else is wrong in it; otherwise those installed."""
    from bench.config import registry_of
    from bench.registry import discover

    return registry_of(grid) if grid.exists() else discover()


@app.command()
def show(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="A job's id, such as simclr/brain_tumor/linear/0, or its key.")
    ],
    grid: GridOption = "bench.toml",
    data: DataRoot = None,
    json: Json = False,
) -> None:
    """Show one record: scores, settings, how it came about; or why the job failed. JSON: the record."""
    from bench.errors import unknown

    _, store, found = planned(grid, data)
    match = next((p for p in found if cell in (p.job.id, p.job.key)), None)
    if match is None:
        raise unknown("cell", cell, (p.job.id for p in found), where=grid)
    facts = match.record.facts if match.record else store.failure(match.job.key)
    if facts is None:
        raise BenchError(
            f"{cell}: not run yet ({match.why or match.state}); bench run {grid} --only {shlex.quote(match.job.id)}"
        )
    if json:
        as_json({**facts, "state": match.state})
        return
    first = ("id", "state", "error", "summary", "chosen", "cases", "seconds", "images_per_second", "data")
    ordered = {"state": match.state, **facts}
    ordered = {k: ordered[k] for k in [*(k for k in first if k in ordered), *(k for k in ordered if k not in first)]}
    as_table([{"field": k, "value": v} for k, v in _flat(ordered)])
    if match.record:
        print(match.record.folder)  # noqa: T201


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, entry in value.items():
        if isinstance(entry, list) and entry and isinstance(entry[0], dict):
            entry = {str(number): one for number, one in enumerate(entry)}
        if isinstance(entry, dict) and entry:
            rows += _flat(entry, f"{prefix}{key}.")
        elif key == "seconds":
            rows.append((prefix + "time", duration(entry)))
        else:
            rows.append((prefix + key, entry))
    return rows


@app.command()
def leaderboard(
    grid: Annotated[
        str, typer.Argument(metavar="GRID", help="A grid, or a store: a folder of records.")
    ] = "bench.toml",
    data: DataRoot = None,
    format: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.terminal,
    json: Json = False,
) -> None:
    """Draw the board from the store: mean ± std over seeds, 95 % interval over test cases, the best in bold.

    Of a grid it shows every cell, done or not; of a store what there is, which needs neither plug-ins nor data.

    JSON: a list with one table for real and one for phantom data, never mixed.
    """
    from bench.leaderboard.results import results, stored
    from bench.store import Store

    found = stored(Store(Path(grid))) if Path(grid).is_dir() else results(planned(grid, data)[2])
    draw(found, Format.json if json else format)


def draw(found: "list[Result]", format: Format) -> None:
    """Print the boards of these results."""
    from bench.leaderboard import formats
    from bench.leaderboard.table import build

    tables = build(found)
    if format is Format.json:
        as_json(formats.json(tables))
    elif format is Format.terminal:
        from rich.console import Console

        console = Console()
        for table in tables:
            console.print(formats.terminal(table, width=console.width))
    else:
        write = formats.markdown if format is Format.md else formats.csv
        print("\n".join(write(table) for table in tables), end="")  # noqa: T201
    if not tables and format is not Format.json:
        print(formats.EMPTY)  # noqa: T201
