"""The command that writes what a paper's supplement needs. Importing it imports no torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import DataRoot, GridOrStore, Json, app
from bench.cli.look import planned
from bench.cli.show import as_json

if TYPE_CHECKING:
    from bench.material import Material
    from bench.store import Record, Store


@app.command()
def report(
    grid: GridOrStore = "bench.toml",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The folder to write.")] = Path("report"),
    data: DataRoot = None,
    json: Json = False,
) -> None:
    """Write the folder that a paper's supplement needs, from the records alone.

    Tables in every format, figures, the grid, every environment, a line for each record with its hashes, check sums
    (`sha256sum -c SHA256SUMS`), and a page that says what to keep in mind and how to run it again. The same records
    give the same bytes. No image is in it, and no path of this machine.

    FOLDER is written whole or not at all. It may be there if it is empty, or an earlier report of which no file was
    changed or added, which the new one then replaces.

    JSON: {"folder", "files" (names in it), "records" (how many), "failed" (jobs of the grid that did, or cannot run, by
    id, and why)}.
    """
    from bench.report import require_free, write

    require_free(out)
    material = _of_store(Path(grid)) if Path(grid).is_dir() else _of_grid(grid, data)
    files = write(material, out)
    if json:
        as_json({"folder": out, "files": files, "records": len(material.records), "failed": material.failed})
        return
    print(f"{out}: {len(files)} files from {len(material.records)} records; begin with {out / 'README.md'}")  # noqa: T201
    if material.failed:
        print(f"of the grid failed or cannot run, as the page says: {', '.join(material.failed)}")  # noqa: T201


def _of_grid(grid: str, data: str | None) -> "Material":
    from bench.leaderboard.results import results
    from bench.material import Material
    from bench.plan import recorded

    config, _, plan = planned(grid, data)
    failed = {p.job.id: f"{p.state}: {p.why.partition(chr(10))[0]}" for p in plan if p.state in ("failed", "blocked")}
    return Material(config.name, results(plan), recorded(plan), config.path, failed)


def _of_store(folder: Path) -> "Material":
    from bench.cli.history import store_at
    from bench.leaderboard.results import stored
    from bench.leaderboard.snapshots import damaged
    from bench.material import Material

    store = store_at(folder)
    results = stored(store)
    cells = [r for r in store.newest() if r.facts["kind"] == "evaluate"]
    found = {record.key: record for cell in cells for record in (cell, *_upstream(cell.parts, store))}
    return Material("", results, list(found.values()), damaged=[one.key for one in damaged(store)])


def _upstream(parts: Any, store: "Store") -> "Iterator[Record]":
    """The pretraining of a cell's encoder, and the one that it started from."""
    from bench.keys import digest

    encoder = parts.get("encoder") or parts.get("recipe", {}).get("init")
    if isinstance(encoder, dict):
        if record := store.record(digest(encoder)):
            yield record
        yield from _upstream(encoder, store)
