"""Commands for plug-in authors: `bench new` writes a working file, `bench check` runs the contract suite on it."""

import re
from enum import StrEnum
from keyword import iskeyword
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import GridOption, Json, app
from bench.cli.look import _registry
from bench.cli.show import as_json, as_table
from bench.errors import BenchError


class New(StrEnum):
    """What can be begun."""

    method = "method"
    task = "task"


@app.command()
def new(
    kind: Annotated[New, typer.Argument(help="method or task")],
    name: Annotated[str, typer.Argument(help="Its name, which is also the file's.")],
    out: Annotated[
        str | None, typer.Option("--out", help="Folder; default: methods/ or tasks/ of this checkout.")
    ] = None,
) -> None:
    """Write a working plug-in to start from; `bench check NAME` tells whether it keeps the contract."""
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or iskeyword(name):
        raise BenchError(
            f"`{name}`: a plug-in's name is of a-z, 0-9 and `_`, starts with a letter, and is no word of Python's"
        )
    folder = Path(out or f"{kind.value}s")
    if not folder.is_dir():
        raise BenchError(
            f'{folder}: no such folder; name one with --out, and list it in bench.toml: plugins = ["FOLDER"]'
        )
    path = folder / f"{name}.py"
    template = (Path(__file__).parent / f"new_{kind.value}.txt").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template.replace("NAME", name).replace("CLASS", name.title().replace("_", "")))
    except FileExistsError:
        raise BenchError(f"{path}: exists, and is not written over") from None
    print(f"{path}\nnext: bench check {name}")  # noqa: T201


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A method or task.")],
    grid: GridOption = "bench.toml",
    json: Json = False,
) -> None:
    """Run the contract suite on a plug-in, in seconds, on a CPU.

    JSON: a list of objects with `name`, `state` (ok or broken) and `why`.
    """
    import torch

    from bench.checks import suite
    from bench.errors import unknown

    torch.set_num_threads(1)  # the networks are so small that more threads would only wait for each other
    plugins = [p for kind in ("method", "task") for p in _registry(Path(grid)).all(kind)]
    found = [p for p in plugins if p.name == name]
    if not found:
        raise unknown("plug-in", name, (p.name for p in plugins), where="bench check")
    rows = []
    for title, contract in suite(found[0]):
        try:
            contract()
            rows.append({"name": title, "state": "ok", "why": ""})
        except Exception as exc:  # a check reports whatever a plug-in raises
            rows.append({"name": title, "state": "broken", "why": f"{type(exc).__name__}: {exc}".strip()})
    if json:
        as_json(rows)
    else:
        as_table(rows)
    if any(row["state"] == "broken" for row in rows):
        raise typer.Exit(1)
