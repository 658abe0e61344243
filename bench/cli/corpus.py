"""Commands about pretraining corpora: building one, looking at one, and what LVM-Med's was made of."""

import sys
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, final

import typer

from bench.cli import DataRoot, GridOption, Json, app
from bench.cli.show import as_json, as_table
from bench.errors import BenchError

corpus_app = typer.Typer(no_args_is_help=True, help="Corpora to pretrain on.", rich_markup_mode=None)
app.add_typer(corpus_app, name="corpus")

Root = Annotated[
    str | None, typer.Option("--data", help="Folder with the sources' folders; before BENCH_DATA and the file.")
]
Folder = Annotated[str, typer.Argument(metavar="FOLDER", help="A corpus that was built.")]

EVERY = 0.2  # seconds between two lines of progress
SHOWN = 5  # refused files that a person is shown; refused.csv has all


@corpus_app.command()
def build(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="What the corpus is made of, a TOML file.")],
    out: Annotated[str, typer.Option("--out", metavar="FOLDER", help="Folder to build into; empty, or unfinished.")],
    data: Root = None,
    json: Json = False,
) -> None:
    """Decode every image once and store it, with a manifest. Files that cannot be used are left out and listed.

    JSON: corpus.json of the folder: `size`, `storage`, `images`, `copies`, `sources` with counts, `refused`.
    """
    from bench.data.corpus import build as build_corpus
    from bench.data.manifest import read_about

    build_corpus(Path(spec), Path(out), data_root=Path(data) if data else None, progress=_Line())
    about = read_about(Path(out))
    if json:
        as_json(about)
    else:
        _sources(about)
        _refused(about, Path(out))


@corpus_app.command()
def show(
    folder: Folder,
    verify: Annotated[bool, typer.Option("--verify", help="Read everything and compare its hashes.")] = False,
    figure: Annotated[
        str | None, typer.Option("--figure", metavar="FILE.png", help="Draw a contact sheet to this file.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what a corpus holds: images by source, modality and organ, their size, and what was refused.

    JSON: corpus.json, and `modalities`, `organs` (images and copies of each), `bytes`; with --verify `verified`.
    """
    from bench.data import overview

    place = Path(folder)
    about = overview.describe(place)
    if verify:
        overview.verify(place)
        about["verified"] = True
    if figure:
        from bench.data.sheet import draw_sheet  # brings torch

        draw_sheet(place, Path(figure))
        about["figure"] = figure
    if json:
        as_json(about)
        return
    _sources(about)
    for name in ("modalities", "organs"):
        as_table([{name: key or "not said", **counts} for key, counts in about[name].items()])
    _say(f"{about['size']} pixels squared, {about['storage']}, {about['bytes'] / 1e6:.1f} MB")
    _refused(about, place)
    if verify:
        _say("verified: manifest and pixels are those that were built")


@corpus_app.command()
def catalog(data: Root = None, json: Json = False) -> None:
    """List the 55 data sets of LVM-Med's corpus, as its paper prints them and as they are, and which are on disk.

    JSON: a list of objects with the columns of Table 13, `listed`, `unit`, `actual`, `note`, `folder` and `files`.
    """
    import os
    from dataclasses import asdict

    from bench.data.catalog import on_disk, read_catalog

    entries = read_catalog()
    found = on_disk(entries, Path(data or os.environ.get("BENCH_DATA") or "data"))
    rows: list[dict[str, Any]] = []
    for entry in entries:
        place = found.get(entry.number)
        rows.append({**asdict(entry), "folder": place and place.folder, "files": place.files if place else 0})
    if json:
        as_json(rows)
        return
    as_table([_brief(row) for row in rows])
    _say(f"{len(rows)} data sets, {sum(entry.total for entry in entries)} in all as printed; {len(found)} on disk")


def _leak(one: dict[str, Any]) -> dict[str, Any]:
    alike = "same bytes" if one["kind"] == "same" else f"near: {one['distance']} bits of 256"
    return {"of the corpus": one["image"], "scored": f"{one['scored']}: {one['scored_case']}", "alike": alike}


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    modality = f"{row['modality']}: rather {row['actual']}" if row["actual"] else row["modality"]
    listed = f"{row['listed']} {row['unit']}" if row["listed"] else "no list"
    return {
        "": row["number"],
        "name": row["name"],
        "topic": row["topic"],
        "modality": modality,
        "split": "yes" if row["split"] else "no",
        "total": row["total"],
        "released list": listed,
        "on disk": f"{row['files']} files" if row["folder"] else "",
    }


def _sources(about: dict[str, Any]) -> None:
    columns = ("cases", "drawn", "images", "copies", "empty", "refused", "absent")
    rows = [
        {"source": f"{name} (phantom)" if counts["phantom"] else name, "modality": counts["modality"]}
        | {column: counts[column] for column in columns}
        for name, counts in about["sources"].items()
    ]
    total = {column: sum(row[column] for row in rows) for column in columns}
    as_table([*rows, {"source": "in all", "modality": "", **total}])


def _refused(about: dict[str, Any], folder: Path) -> None:
    for one in about["refused"][:SHOWN]:
        _say(f"left out: {one['source']}: {one['path']}: {one['reason']}")
    if len(about["refused"]) > SHOWN:
        _say(f"... and {len(about['refused']) - SHOWN} more, in {folder / 'refused.csv'}")


def _say(text: str) -> None:
    print(text)  # noqa: T201


@final
class _Line:
    """A line of progress that is written over, where a person is looking."""

    def __init__(self) -> None:
        self._last = -EVERY

    def __call__(self, what: str, done: int, of: int) -> None:
        now = monotonic()
        if sys.stderr.isatty() and (done == of or now - self._last >= EVERY):
            self._last = now
            print(f"\r{what}: {done} of {of}\x1b[K", end="\n" if done == of else "", file=sys.stderr, flush=True)  # noqa: T201


@corpus_app.command()
def audit(
    folder: Annotated[
        str | None, typer.Argument(metavar="[FOLDER]", help="A corpus or a folder of images; default: the grid's own.")
    ] = None,
    grid: GridOption = "bench.toml",
    data: DataRoot = None,
    json: Json = False,
) -> None:
    """List what a corpus has in common with the images that the grid scores on. `bench run` leaves all of it out.

    Exit code 1 if there is anything. JSON: by corpus `leaks`, `cases`, `looked_at`, `threshold`, `left_out`.
    """
    from bench.config import load
    from bench.sources import find_sources
    from bench.store import Store

    config = load(Path(grid), data=data)
    named = [str(Path(folder).absolute())] if folder else None
    sources = find_sources(config, Store(config.store), named).values()
    if broken := [source.error for source in sources if source.error and source.name in (named or [source.name])]:
        raise BenchError("; ".join(broken))
    found = {s.name: {**s.audit, "left_out": s.excluded} for s in sources if s.audit}
    if json:
        as_json(found)
    for name, told in {} if json else found.items():
        _say(f"{name}: {told['looked_at'][0]} images against {told['looked_at'][1]} scored ones")
        as_table([_leak(one) for one in told["leaks"]], empty="nothing in common")
        _say(f"{told['left_out']} images are left out, of {len(told['cases'])} cases on both sides")
    if any(told["leaks"] or told["cases"] for told in found.values()):
        raise typer.Exit(1)
