"""A report: the folder that a paper's supplement needs, from the records alone.

    README.md           what it is, what to keep in mind, and how to run it again
    tables/             each board in every format: real.md real.tex real.csv ... and phantom.md ..., never mixed
    figures/            the same boards drawn
    grid.toml           what was run, where a grid was given
    records.csv         every record behind a number: its key, time, device, commit and hashes
    settings.json       what went into the key of each record
    environment.json    every environment that records were made in
    SHA256SUMS          of all the other files: sha256sum -c SHA256SUMS

The same records give the same bytes: no file holds the time of its making. None holds an image, nor where anything lay
on the machine.
"""

import csv
import hashlib
import io
import json
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import sync
from bench.keys import canonical, file_digest
from bench.leaderboard import critical, formats, latex, parquet
from bench.leaderboard.page import page
from bench.leaderboard.plots import radar, ranks
from bench.leaderboard.table import Table
from bench.material import Board, Material, environment
from bench.privacy import grid_text
from bench.report_page import SUMS, readme
from bench.store import Record

OWN = {"README.md", "records.csv", "settings.json", "environment.json"}  # by which a report is known
ENDINGS = (".svg", ".pdf", ".png")
COLUMNS = (
    *("id", "key", "kind", "phantom", "started", "seconds", "peak_memory_mb", "device", "commit", "environment"),
    *("metric", "value", "cases", "scores_sha256", "encoder_sha256", "summary_sha256"),
)


Drawing = tuple[str, Callable[[Path], None]]  # the name of a figure, and what writes it to a file


def _text(write: Callable[[Table], str]) -> Callable[[Board], bytes]:
    return lambda board: write(board.table).encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _critical_difference(board: Board) -> Iterator[Drawing]:
    if board.ranking.rows:
        yield "critical-difference", partial(critical.draw, board.ranking)


def _ranks(board: Board) -> Iterator[Drawing]:
    if board.ranking.rows:
        yield "ranks", partial(ranks.draw, board.ranking)


def _radar(board: Board) -> Iterator[Drawing]:
    if any(cell.mean is not None for row in board.table.rows for cell in row.cells):
        yield "radar", partial(radar.draw, board.table)


# A format, or a figure, is a line here: what follows the name of a board, and what makes it.
TABLES: dict[str, Callable[[Board], bytes]] = {
    ".md": _text(formats.markdown),
    ".tex": _text(latex.latex),
    "-standalone.tex": _text(lambda table: latex.standalone([table])),
    ".csv": _text(formats.csv),
    ".html": lambda board: page([board.table], board.results, board.records, [board.ranking]).encode(),
    ".parquet": lambda board: parquet.parquet([board.table]),
    ".json": lambda board: _json(formats.json([board.table])),
}
FIGURES: tuple[Callable[[Board], Iterable[Drawing]], ...] = (_critical_difference, _ranks, _radar)


# ---------------------------------------------------------------------------------------------- the folder


def write(material: Material, out: Path) -> list[str]:
    """Write the folder whole or not at all, in place of an earlier report; returns its files.

    Raises BenchError where `out` holds anything else, or where it cannot be written.
    """
    if not any(result.state == "done" for result in material.results):
        raise BenchError("no cell is done, so there is nothing to report; `bench run` makes results")
    require_free(out)
    place = out.resolve()
    draft = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    try:
        draft.mkdir(parents=True)
        files = _fill(draft, material)
        require_free(out)  # drawing takes a while
        _replace(draft, place)
    except OSError as exc:
        raise BenchError(f"{exc.filename or out}: {exc.strerror}; mend that, and run the same command again") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return files


def require_free(out: Path) -> None:
    """Raise BenchError unless `out` is not there, is empty, or holds an earlier report as it was written.

    That is a folder all of whose files are in its SHA256SUMS, unchanged, those of every report among them.
    """
    elsewhere = "name another folder, or move what is there"
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BenchError(f"{out}: is no folder; {elsewhere}")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if out.resolve() == Path.cwd():
        raise BenchError(f"{out}: is the folder that you are in, and cannot be replaced; {elsewhere}")
    sums = _sums(out / SUMS)
    if not sums.keys() >= OWN:
        raise BenchError(f"{out}: is not empty, and no report that this command wrote; {elsewhere}")
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.is_symlink() or (path.is_file() and name != SUMS and name not in sums):
            raise BenchError(f"{path}: is not of the report that is there, and would be lost; {elsewhere}")
        if path.is_file() and name != SUMS and file_digest(path) != sums[name]:
            raise BenchError(f"{path}: was changed since the report was written, and would be lost; {elsewhere}")


def _sums(path: Path) -> dict[str, str]:
    """SHA-256 by name; none of a file that is not as we write it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    return {name: seal for seal, _, name in (line.partition("  ") for line in lines)}


def _replace(draft: Path, place: Path) -> None:
    """Move a folder to its place; what stood there is gone only then."""
    for path in [*draft.rglob("*"), draft]:
        sync(path)
    if not place.exists():
        draft.rename(place)
        return
    aside = place.with_name(f"{draft.name}-old")
    place.rename(aside)
    try:
        draft.rename(place)
    except OSError:
        aside.rename(place)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _fill(folder: Path, material: Material) -> list[str]:
    (folder / "tables").mkdir()
    (folder / "figures").mkdir()
    for board in material.boards:
        for ending, make in TABLES.items():
            (folder / "tables" / f"{board.table.name}{ending}").write_bytes(make(board))
        for name, draw in (drawing for figure in FIGURES for drawing in figure(board)):
            for ending in ENDINGS:
                draw(folder / "figures" / f"{board.table.name}-{name}{ending}")
    if not any((folder / "figures").iterdir()):
        (folder / "figures").rmdir()
    if material.grid:
        (folder / "grid.toml").write_text(grid_text(material.grid), encoding="utf-8")
    (folder / "records.csv").write_text(_records(material), encoding="utf-8")
    (folder / "settings.json").write_bytes(_json({r.id: r.parts for r in _sorted(material.records)}))
    listed = enumerate(material.environments, start=1)
    told = [{"number": number, "records": count, "environment": of} for number, (of, count) in listed]
    (folder / "environment.json").write_bytes(_json(told))
    made = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    (folder / "README.md").write_text(readme(material, made), encoding="utf-8")
    names = sorted([*made, "README.md"])
    sums = "".join(f"{file_digest(folder / name)}  {name}\n" for name in names)
    (folder / SUMS).write_text(sums, encoding="utf-8")
    return [*names, SUMS]


# ---------------------------------------------------------------------------------------------- records


def _sorted(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.id, record.key))


def _records(material: Material) -> str:
    numbers = {canonical(of): number for number, (of, _) in enumerate(material.environments, start=1)}
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in _sorted(material.records):
        facts, seals = record.facts, record.facts.get("files", {})
        made_in, summary = environment(record), facts.get("summary", {})
        told = {name: facts.get(name, "") for name in ("id", "kind", "started", "seconds", "peak_memory_mb")}
        told |= {"id": record.id, "key": record.key, "phantom": str(bool(facts.get("phantom"))).lower()}
        told |= {"device": made_in.get("device", ""), "commit": made_in.get("commit", "")}
        told |= {"environment": numbers[canonical(made_in)], "encoder_sha256": seals.get("encoder.safetensors", "")}
        if facts.get("kind") == "evaluate":
            metric = facts.get("primary", "")
            told |= {
                "metric": metric,
                "value": summary.get(metric, ""),
                "cases": facts.get("cases", {}).get("test", ""),
            }
            told |= {"scores_sha256": file_digest(record.file("scores.csv"))}
            told |= {"summary_sha256": hashlib.sha256(canonical(summary).encode()).hexdigest()}
        writer.writerow([told.get(name, "") for name in COLUMNS])
    return written.getvalue()
