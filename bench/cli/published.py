"""Commands on the numbers that papers print: list them, add a file of them, ask what their wins are worth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import GridOption, Json, app
from bench.cli.show import as_json, as_table
from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.keys import Parts
    from bench.leaderboard.beside import Identity
    from bench.leaderboard.published import Published
    from bench.registry import Registry

AGREEMENT, SPREAD = 0.6, 0.4  # as in bench.leaderboard.outperformance, which says why

command = typer.Typer(no_args_is_help=True, help="Numbers that papers print: list, add, and ask what wins are worth.")
app.add_typer(command, name="published")


@command.command()
def ls(grid: GridOption = "bench.toml", json: Json = False) -> None:
    """List the files of printed numbers: those that ship, and those in published/ beside the grid.

    JSON: a list of objects with `file`, `sources`, `tables`, `numbers`, `methods`, `tasks`.
    """
    from bench.leaderboard.published import files

    loaded = [(path, numbers([path], grid)) for path in files(Path(grid))]
    if json:
        as_json([{"file": path} | _facts(rows) for path, rows in loaded])
        return
    shown = [{"file": path.name} | _facts(rows) for path, rows in loaded]
    as_table(
        [{k: v if isinstance(v, int) else ", ".join(v) if k != "file" else v for k, v in s.items()} for s in shown]
    )


@command.command()
def add(
    file: Annotated[Path, typer.Argument(help="A CSV file; docs/guide.md names its columns.")],
    grid: GridOption = "bench.toml",
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
    json: Json = False,
) -> None:
    """Check a file of printed numbers and copy it to published/ beside the grid, where boards find it.

    JSON: {"file", "sources", "tables", "numbers", "methods", "tasks"}.
    """
    from bench.files import write_whole
    from bench.leaderboard.published import FOLDER, distinct, files

    if file.suffix != ".csv":
        raise BenchError(f"{file}: is not called .csv, and would not be found; rename it")
    rows = numbers([file], grid)
    place = Path(grid).parent / FOLDER / file.name
    if place.exists() and not force:
        raise BenchError(f"{place}: exists already; --force replaces it")
    others = [path for path in files(Path(grid)) if path.resolve() != place.resolve()]
    distinct([*numbers(others, grid), *rows])
    write_whole(place, file.read_bytes())
    if json:
        as_json({"file": place} | _facts(rows))
    else:
        print(f"{place}: {len(rows)} numbers; bench leaderboard --published sets them beside what is measured")  # noqa: T201


@command.command("claims")
def claims_(
    agreement: Annotated[
        float,
        typer.Option("--agreement", min=0.0, max=0.99, help="Correlation of two methods' scores over test cases."),
    ] = AGREEMENT,
    spread: Annotated[
        float,
        typer.Option("--spread", min=0.01, max=1.0, help="Standard deviation of scores, as a share of the largest."),
    ] = SPREAD,
    grid: GridOption = "bench.toml",
    json: Json = False,
) -> None:
    """How likely each printed win is none: the best method of a column against the best other one, from means alone.

    JSON: {"claims": [{"column", "metric", "source", "table", "first", "second", "difference", "cases", "probability"
    (of being no better; null: not known), "why"}], "assumed": {"agreement", "spread", "said"}}.
    """
    from bench.leaderboard.formats import claim_facts
    from bench.leaderboard.outperformance import LARGE, assumed, claims
    from bench.leaderboard.published import files

    found = claims(numbers(files(Path(grid)), grid), agreement=agreement, spread=spread)
    said = assumed(agreement, spread)
    if json:
        told = {"agreement": agreement, "spread": spread, "said": said}
        as_json({"claims": [claim_facts(claim) for claim in found], "assumed": told})
        return
    as_table([_claim_row(claim) for claim in found], empty="no column in which two methods are printed")
    known = [claim.probability for claim in found if claim.probability is not None]
    large = sum(probability > LARGE for probability in known)
    print(f"{large} of {len(known)} wins have a probability above {LARGE:g} of being none")  # noqa: T201
    print(said)  # noqa: T201


def known(parts: "Iterable[tuple[str, Parts]]", grid: str) -> "dict[str, Identity]":
    """By label, what the rows of a grid, or of a store, are, from what went into their keys."""
    from bench.leaderboard.beside import identities

    return identities(parts, {plugin.name: plugin.settings for plugin in _registry(grid).all("method")})


def numbers(paths: list[Path], grid: str) -> "list[Published]":
    """The numbers of files, checked against the tasks and protocols that there are."""
    from bench.leaderboard.published import load

    tasks, protocols = ({plugin.name for plugin in _registry(grid).all(kind)} for kind in ("task", "protocol"))
    return load(paths, tasks, protocols)


def _registry(grid: str) -> "Registry":
    from bench.config import registry_of
    from bench.registry import discover

    return registry_of(Path(grid)) if Path(grid).is_file() else discover()


def _facts(rows: "list[Published]") -> dict[str, Any]:
    return {
        "sources": list(dict.fromkeys(row.source for row in rows)),
        "tables": list(dict.fromkeys(row.table for row in rows)),
        "numbers": len(rows),
        "methods": len({row.name for row in rows}),
        "tasks": len({task.partition("@")[0] for row in rows for task in row.tasks}),
    }


def _claim_row(claim: Any) -> dict[str, Any]:
    from bench.leaderboard.names import scale_of
    from bench.leaderboard.sentences import amount, chance

    of = claim.first
    return {
        "table": of.table,
        "column": " / ".join(of.column),
        "first": of.name,
        "second": claim.second.name,
        "difference": amount(claim.difference, scale_of(of.metric)),
        "cases": claim.cases,
        "no better": claim.why if claim.probability is None else chance(claim.probability),
    }
