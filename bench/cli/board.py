"""The board of a grid or of a store, in every format. Importing it imports no torch."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import DataRoot, Json, app
from bench.cli.look import results_of
from bench.cli.show import as_json
from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.leaderboard.table import Result, Table


class Format(StrEnum):
    """How a leaderboard is written."""

    terminal = "terminal"
    md = "md"
    latex = "latex"
    csv = "csv"
    json = "json"


@app.command()
def leaderboard(
    grid: Annotated[
        str, typer.Argument(metavar="GRID", help="A grid, or a store: a folder of records.")
    ] = "bench.toml",
    data: DataRoot = None,
    metric: Annotated[
        str, typer.Option("--metric", help="Show this in place of each task's primary metric, such as release_dice.")
    ] = "",
    format: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.terminal,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="With --format latex: a whole document, for pdflatex.")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Set what papers print beside it, out of best, means and ranks.")
    ] = False,
    json: Json = False,
) -> None:
    """Draw the board from the store: mean ± std over seeds, 95 % interval over test cases, the best in bold.

    Of a grid it shows every cell, done or not; of a store what there is, which needs neither plug-ins nor data. With
    --metric there are only the tasks that have it. As LaTeX it needs the packages booktabs and siunitx.

    --published adds the rows that `bench published ls` lists, in the columns of their task, protocol and metric: how
    far they are from what was measured, and how likely each printed win is none. Phantoms have nothing beside them.

    JSON: a list with one table for real and one for phantom data, never mixed; with --published each has `published`:
    `rows`, `differences`, `claims`, `assumed`.
    """
    if standalone and (json or format is not Format.latex):
        raise BenchError("--standalone is of LaTeX alone: add --format latex, or leave it out")
    found = results_of(grid, data, metric)
    beside = None
    if published:
        from bench.cli.published import setter

        beside = setter(grid, data)
    draw(found, Format.json if json else format, standalone=standalone, beside=beside)


def draw(
    found: "list[Result]",
    format: Format,
    *,
    standalone: bool = False,
    beside: "Callable[[Table], Table] | None" = None,
) -> None:
    """Print the boards of these results; `standalone`: as a LaTeX document; `beside` adds printed rows to a board."""
    from bench.leaderboard import formats, latex, screen
    from bench.leaderboard.table import build
    from bench.leaderboard.words import EMPTY

    tables = tuple(map(beside, build(found))) if beside else build(found)
    if format is Format.json:
        as_json(formats.json(tables))
    elif format is Format.terminal:
        from rich.console import Console

        console = Console()
        for table in tables:
            console.print(screen.terminal(table, width=console.width))
    elif standalone:
        print(latex.standalone(tables), end="")  # noqa: T201
        return
    else:
        write = {Format.md: formats.markdown, Format.csv: formats.csv, Format.latex: latex.latex}[format]
        print("\n".join(write(table) for table in tables), end="")  # noqa: T201
    if not tables and format is not Format.json:
        print(EMPTY)  # noqa: T201
