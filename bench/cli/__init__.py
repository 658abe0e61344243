"""The command line: `bench COMMAND`. A command imports what it needs when called, so that help answers at once."""

import os
import sys
from typing import Annotated

import typer

from bench.errors import BenchError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Pretrain each method once, evaluate it on every task, print the table.",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
GridFile = Annotated[str, typer.Argument(metavar="GRID", help="The grid to run, a TOML file.")]
GridOrStore = Annotated[str, typer.Argument(metavar="GRID|STORE", help="A grid, or a store: a folder of records.")]
GridOption = Annotated[
    str, typer.Option("--grid", metavar="GRID", help="The grid that says what there is, a TOML file.")
]
DataRoot = Annotated[
    str | None, typer.Option("--data", help="Folder with a folder a task; before BENCH_DATA and the grid.")
]


def main() -> None:
    """Run the command line. Exit code 0: all well; 1: some job failed; 2: a mistake in what was asked."""
    from bench.cli import (  # noqa: F401
        board,
        checkpoint,
        compare,
        corpus,
        data,
        history,
        keep,
        look,
        make,
        plot,
        published,
        ranks,
        report,
        run,
        watch,
    )  # fmt: skip

    try:
        app()
    except BenchError as exc:
        print(f"bench: {exc}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except BrokenPipeError:  # `bench ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
