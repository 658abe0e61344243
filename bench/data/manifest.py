"""What a corpus holds: manifest.parquet, a row an image in the order of the pixels; corpus.json, how it came about.

Rows are written in groups as they come, so that a manifest of millions of images is never in memory. The same rows
give the same bytes with the same version of pyarrow.
"""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, final

import numpy as np

from bench.data import likeness
from bench.errors import BenchError
from bench.files import write_whole

MANIFEST, ABOUT, REFUSED, UNFINISHED = "manifest.parquet", "corpus.json", "refused.csv", "unfinished"
PIXELS = "pixels.json"  # as bench.data.storage names it, which brings torch
GROUP = 10_000  # rows that are held before they are written


def schema() -> Any:
    """The columns of a manifest, a pyarrow.Schema."""
    import pyarrow as pa

    text, whole, count = pa.string(), pa.int32(), likeness.VIEWS * likeness.WORDS
    columns = {
        "number": pa.int64(),  # place in the pixels
        "source": text,
        "modality": text,
        "organ": text,
        "case": text,  # what was drawn by: a patient, a volume, an image
        "path": text,  # relative to the folder of the source
        "slice": whole,  # in its volume, series or array; -1: the file is a picture
        "width": whole,  # of the original, in pixels
        "height": whole,
        "sha256": text,  # of a picture's file; of a slice's 8-bit pixels; a copy has its original's
        "copy": whole,  # 0: the image itself; k: its k-th copy
        "box": pa.list_(pa.float64(), 4),  # of a copy: top, left, height, width, as shares of the original; else null
        "hash": pa.list_(pa.uint64(), count),  # perceptual, of the original, or of the copy as it is stored
    }
    return pa.schema([pa.field(name, kind, nullable=name == "box") for name, kind in columns.items()])


class Row(NamedTuple):
    """An image as the manifest has it; the columns are said in `schema`."""

    source: str
    modality: str
    organ: str
    case: str
    path: str
    slice: int
    width: int
    height: int
    sha256: str
    copy: int
    box: tuple[float, float, float, float] | None
    hash: np.ndarray[Any, np.dtype[np.uint64]]


@final
class Writer:
    """Writes a manifest row by row; `count` is the number of the next. To be used in a `with` block."""

    def __init__(self, folder: Path) -> None:
        from pyarrow.parquet import ParquetWriter

        self.count = 0
        self._rows: list[tuple[Any, ...]] = []
        self._schema = schema()
        self._file = ParquetWriter(folder / MANIFEST, self._schema, compression="zstd")

    def add(self, row: Row) -> None:
        """Add the next image."""
        self._rows.append((self.count, *row))
        self.count += 1
        if len(self._rows) == GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        columns = [
            pa.array(values, kind)
            for values, kind in zip(zip(*self._rows, strict=True), self._schema.types, strict=True)
        ]
        self._file.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows.clear()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rows and kind is None:
            self._flush()
        self._file.close()


def read_manifest(folder: Path, columns: Sequence[str] | None = None) -> Any:
    """The manifest of a corpus, or some of its columns, as a pyarrow.Table ordered by number.

    Raises BenchError if it cannot be read.
    """
    import pyarrow as pa
    from pyarrow.parquet import read_table

    path = folder / MANIFEST
    try:
        return read_table(path, columns=list(columns) if columns else None)
    except FileNotFoundError:
        raise BenchError(f"{folder}: has no {MANIFEST}; {_mend(folder)}") from None
    except (OSError, pa.ArrowException) as error:
        raise BenchError(f"{path}: cannot be read: {error}; build the corpus again") from error


def read_about(folder: Path) -> dict[str, Any]:
    """corpus.json of a corpus that was built to its end. Raises BenchError if there is none."""
    try:
        about: Any = json.loads((folder / ABOUT).read_bytes())
    except FileNotFoundError:
        raise BenchError(f"{folder}: is no corpus; {_mend(folder)}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(f"{folder / ABOUT}: cannot be read: {error}; build the corpus again") from None
    if not isinstance(about, dict):
        raise BenchError(f"{folder / ABOUT}: is not what a build writes; build the corpus again")
    return about


def digest(folder: Path) -> str:
    """SHA-256 of the manifest's bytes, in hexadecimal."""
    with (folder / MANIFEST).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(folder: Path) -> str:
    """SHA-256 of the manifest's digest and of pixels.json, which has the size, the codec and the digest of each file.

    It stands for all that is stored; the manifest alone is the same whatever the size of the squares.
    """
    return hashlib.sha256(digest(folder).encode() + (folder / PIXELS).read_bytes()).hexdigest()


def write_refused(folder: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """Write refused.csv: source, path and reason of all that was left out."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("source", "path", "reason"), *rows])
    write_whole(folder / REFUSED, text.getvalue().encode("utf-8", "surrogateescape"))


def _mend(folder: Path) -> str:
    if (folder / UNFINISHED).exists():
        return "its build did not end; give the same command again: bench corpus build SPEC --out FOLDER"
    return "build one: bench corpus build SPEC --out FOLDER"
