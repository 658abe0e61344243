"""CSV files, with a header or without one: each row with its place for messages."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.errors import BenchError, unknown


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table, each after `file:line`; it may have more columns than those it must have.

    Raises BenchError, with the near names, for a header that lacks a column or has one twice, for a row that is
    shorter or longer than the header, and for what is no table.
    """
    lines = read_lines(path, strict=True)
    _, header = next(lines, ("", []))
    for name in columns:
        if name not in header:
            raise unknown("header, which lacks the column", name, header, where=f"{path}:1")
    if len(set(header)) < len(header):
        raise BenchError(f"{path}:1: the header has a column twice: {', '.join(header)}")
    for place, row in lines:
        if len(row) not in (0, len(header)):
            raise BenchError(f"{place}: has {len(row)} columns where the header has {len(header)}")
        if row:
            yield place, dict(zip(header, row, strict=True))


def read_rows(path: Path, columns: int) -> Iterator[tuple[str, list[str]]]:
    """The rows of a headerless CSV file, each after its place (`file:line`) for messages; blank lines are left out."""
    for place, row in read_lines(path):
        if len(row) not in (0, columns):
            raise BenchError(f"{place}: has {len(row)} columns where {columns} are published")
        if row:
            yield place, row


def read_lines(path: Path, *, strict: bool = False) -> Iterator[tuple[str, list[str]]]:
    """The cells of each line, none of a blank one, after its place; `strict` refuses quotes that are out of place.

    Raises BenchError for what is no table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=strict)
            for row in reader:
                yield f"{path}:{reader.line_num}", [cell.strip() for cell in row]
    except csv.Error as error:
        raise BenchError(f"{path}:{reader.line_num}: cannot be read as a table: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: cannot be read as a table: {error}") from error
