"""The board of a grid or of a store, in every format. Importing it imports no torch."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import DataRoot, GridOrStore, Json, app
from bench.cli.boards import Asked, Boards, boards
from bench.cli.history import History, Since, changed_since, say_since, since_facts
from bench.cli.look import Only
from bench.cli.show import json_text
from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.leaderboard.table import Table


class Format(StrEnum):
    """How a leaderboard is written."""

    terminal = "terminal"
    md = "md"
    latex = "latex"
    csv = "csv"
    parquet = "parquet"
    json = "json"
    html = "html"


ENDINGS = {f".{format}": format for format in Format if format is not Format.terminal} | {".tex": Format.latex}
FILES = (Format.parquet, Format.html)  # nothing to read in a terminal


@app.command()
def leaderboard(
    grid: GridOrStore = "bench.toml",
    data: DataRoot = None,
    metric: Annotated[
        str, typer.Option("--metric", help="Show this in place of each task's primary metric, such as release_dice.")
    ] = "",
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            metavar="NAME",
            help="Rows, columns, metrics of a table of LVM-Med's paper: paper-table-2 to 5, 11, 12.",
        ),
    ] = "",
    only: Only = "",
    group: Annotated[str, typer.Option("--group", help="Only this group of rows.")] = "",
    family: Annotated[str, typer.Option("--family", help="Only this family of columns.")] = "",
    sort: Annotated[
        str, typer.Option("--sort", metavar="BY", help="Order rows in their groups by method, mean, or a column.")
    ] = "",
    format: Annotated[Format | None, typer.Option("--format", help="How to write it; default: by --out.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there.")] = None,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="With --format latex: a whole document, for pdflatex.")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Set what papers print beside it, out of best, means and ranks.")
    ] = False,
    since: Since = "",
    json: Json = False,
) -> None:
    """Draw the board from the store: mean ± std over seeds, 95 % interval, the best and all that are not worse in bold.

    Of a grid it shows every cell, done or not; of a store what there is, which needs neither plug-ins nor data. With
    --metric there are only the tasks that have it. What is selected is a board of its own: its best are best. As LaTeX
    it needs the packages booktabs and siunitx; as HTML it is one file that needs no network.

    --since says below what has changed of the cells since then, and which part of their keys.

    --published adds the rows that `bench published ls` lists, in the columns of their task, protocol and metric: how
    far they are from what was measured, and how likely each printed win is none. Phantoms have nothing beside them.

    JSON: a list with one table for real and one for phantom data, never mixed; with --published each has `published`:
    `rows`, `differences`, `claims`, `assumed`. With --since: {"tables": that list, "since": as of `bench diff`, with
    `then` and `now` for `a` and `b`}.
    """
    form = _format(format, out, json=json, standalone=standalone)
    if since and form not in (Format.terminal, Format.json):
        raise BenchError(f"--since is told at a terminal and in JSON, and not in {form}: leave one of them out")
    asked = Asked(grid, data, metric, layout, only, group, family, sort, published)
    found = boards(asked)
    history = changed_since(asked, since) if since else None
    if form is Format.terminal:
        show(found.tables)
        if history:
            say_since(history)
    elif out:
        from bench.files import write_whole

        write_whole(out, written(found, form, standalone=standalone, history=history))
        print(out)  # noqa: T201
    else:
        sys.stdout.buffer.write(written(found, form, standalone=standalone, history=history))
        sys.stdout.flush()


def _format(format: Format | None, out: Path | None, *, json: bool, standalone: bool) -> Format:
    """The format that is meant. Raises BenchError for options that do not go together."""
    if out and out.suffix not in ENDINGS and not (format or json):
        raise unknown("ending", out.suffix, ENDINGS, where=f"--out {out}")
    meant = Format.json if json else format or (ENDINGS[out.suffix] if out else Format.terminal)
    if standalone and meant is not Format.latex:
        raise BenchError("--standalone is of LaTeX alone: add --format latex, or leave it out")
    if out and meant is Format.terminal:
        raise BenchError(f"--out {out}: a terminal's board is no file; choose another --format, such as md")
    if not out and meant in FILES and sys.stdout.isatty():
        raise BenchError(f"--format {meant}: is nothing to read in a terminal; add --out board.{meant}")
    return meant


def show(tables: "tuple[Table, ...]") -> None:
    """Print boards for a reader at a terminal."""
    from rich.console import Console

    from bench.leaderboard import screen
    from bench.leaderboard.words import EMPTY

    console = Console()
    for table in tables:
        console.print(screen.terminal(table, width=console.width))
    if not tables:
        print(EMPTY)  # noqa: T201


def written(found: Boards, form: Format, *, standalone: bool = False, history: History | None = None) -> bytes:
    """The boards as a file of any format but a terminal's."""
    from bench.leaderboard import formats, latex, parquet
    from bench.leaderboard.words import EMPTY

    tables = found.tables
    if form is Format.parquet:
        return parquet.parquet(tables)
    if form is Format.json:
        told = formats.json(tables)
        return json_text({"tables": told, "since": since_facts(history)} if history else told).encode()
    if form is Format.html:
        return _page(found).encode()
    if standalone:
        return latex.standalone(tables).encode()
    write = {Format.md: formats.markdown, Format.csv: formats.csv, Format.latex: latex.latex}[form]
    return ("\n".join(write(table) for table in tables) or f"{EMPTY}\n").encode()


def _page(found: Boards) -> str:
    from bench.leaderboard.page import page
    from bench.leaderboard.ranking import rank

    return page(found.tables, found.results, found.records(), rank(found.results), title=found.name)
