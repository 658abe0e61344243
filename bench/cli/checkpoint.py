"""Commands about weights: what a file holds and fits, and a pretrained encoder as a file for others."""

from enum import StrEnum, auto
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli import DataRoot, GridOption, Json, app
from bench.cli.look import planned_cell
from bench.cli.show import as_json, as_table
from bench.errors import BenchError

checkpoint_app = typer.Typer(
    no_args_is_help=True, help="What a file of weights holds, and encoders as files.", rich_markup_mode=None
)
app.add_typer(checkpoint_app, name="checkpoint")


class Format(StrEnum):
    """Whose names the tensors have."""

    safetensors = auto()
    timm = auto()
    torchvision = auto()
    sam = auto()


@checkpoint_app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A file of weights: .pth, .pt, .torch, .bin, .ckpt, .safetensors.")],
    backbone: Annotated[
        list[str] | None, typer.Option("--backbone", help="Compare with this timm name, and others by repeating it.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what a file holds and which backbones it fits, without running anything in it.

    JSON: an object with `name`, `sha256`, `holds` (a list with `place`, `tensors`, `parameters`, `types`, `first`) and
    `fits` (a list with `backbone`, `matched`, `of`, `source`, `why`: empty for a full match).
    """
    from dataclasses import asdict

    from bench.encoders.inspection import BACKBONES, fits, holds
    from bench.encoders.reading import read_tensors
    from bench.keys import file_digest

    mappings, sha256 = read_tensors(file), file_digest(file)
    found: dict[str, Any] = {"holds": [asdict(one) for one in holds(mappings)]}
    found["fits"] = [asdict(one) for one in fits(file, mappings, tuple(backbone or BACKBONES))]
    if json:
        as_json({"name": file.name, "sha256": sha256, **found})
        return
    print(f"{file}  sha256 {sha256}")  # noqa: T201
    as_table([{**one, **{key: ", ".join(one[key]) for key in ("types", "first")}} for one in found["holds"]])
    as_table(found["fits"], empty="fits none of the backbones that were tried; name others with --backbone")


@checkpoint_app.command()
def export(
    cell: Annotated[str, typer.Argument(metavar="CELL", help="A pretraining, or a cell that evaluates one.")],
    format: Annotated[Format, typer.Option("--format", help="Whose names the tensors have.")] = Format.timm,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Default: exports/CELL.")] = "",
    grid: GridOption = "bench.toml",
    data: DataRoot = None,
    json: Json = False,
) -> None:
    """Write a pretrained encoder as a file, with a card beside it. JSON: an object with `file` and `card`."""
    from bench.encoders.export import export as write

    store, found = planned_cell(cell, grid, data)
    job = found.job
    record = store.record(job.encoder or job.key)
    if job.kind == "evaluate" and not job.needs:
        raise BenchError(f"{job.id}: its encoder was not pretrained here; its weights are where they came from")
    if record is None:
        raise BenchError(f"{job.needs or job.id}: no record yet; bench run {grid} --only '{job.needs or job.id}'")
    place = Path(out) if out else Path("exports", record.id.replace("/", "-"))
    file, card = write(record.file("encoder.safetensors"), record.facts, format.value, place)
    if json:
        as_json({"file": file, "card": card})
    else:
        print(f"{file}\n{card}")  # noqa: T201
