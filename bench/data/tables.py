"""CSV files with a header: each row by the names of its columns, with its place for messages."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.errors import BenchError, unknown


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table, each after `file:line`; it may have more columns than those it must have.

    Raises BenchError, with the near names, for a header that lacks a column or has one twice, for a row that is
    shorter or longer than the header, and for what is no table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            for name in columns:
                if name not in header:
                    raise unknown("header, which lacks the column", name, header, where=f"{path}:1")
            if len(set(header)) < len(header):
                raise BenchError(f"{path}:1: the header has a column twice: {', '.join(header)}")
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if len(row) not in (0, len(header)):
                    raise BenchError(f"{place}: has {len(row)} columns where the header has {len(header)}")
                if row:
                    yield place, dict(zip(header, (cell.strip() for cell in row), strict=True))
    except csv.Error as error:
        raise BenchError(f"{path}:{reader.line_num}: cannot be read as a table: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: cannot be read as a table: {error}") from error
