"""A Table in words: for a terminal, as Markdown, as CSV and as JSON.

The first two are for readers: rounded, in the metric's display unit, with every mark explained below the table. The
last two are for programs: raw numbers at full precision, a missing one left out (empty, null).
"""

import csv as csv_module
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bench.leaderboard.table import Cell, Column, Row, Table
from bench.leaderboard.words import EMPTY, PHANTOM, caption, header, number, packed, plain, texts, title

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable

METHOD_WIDTH = 28  # characters of a terminal; a longer name is folded
# fmt: off
FIELDS = (
    "data", "method", "task", "protocol", "metric", "higher_is_better", "state", "mean", "std",
    "low", "high", "level", "interval", "seeds", "seeds_done", "seeds_failed",
    "seeds_pending", "cases", "found", "official", "seen", "best", "row_mean",
)
# fmt: on


# ---------------------------------------------------------------------------------------------- Markdown


def markdown(table: Table) -> str:
    """A GitHub-flavoured Markdown table under its title, its caption below; names are text, whatever they hold."""
    if not table.rows:
        return EMPTY + "\n"
    heads = ["method", *(header(column, table) for column in table.columns)] + ["mean"] * table.averaged
    lines = [f"### {_escape(title(table))}", "", *([f"**{PHANTOM}**", ""] if table.phantom else [])]
    lines += [_line(map(_escape, heads)), _line([":---", *["---:"] * (len(heads) - 1)])]
    lines += [_line(_markdown_row(row, table)) for row in table.rows]
    notes = [note for note in caption(table, best="bold") if note != PHANTOM]
    return "\n".join([*lines, "", *(f"- {_escape(note)}" for note in notes)]) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_row(row: Row, table: Table) -> list[str]:
    cells = [_escape(row.method + ("" if row.complete else " †"))]
    for cell, column in zip(row.cells, table.columns, strict=True):
        mean, notes = texts(cell, column.scale)
        cells.append(f"{f'**{mean}**' if cell.best else mean} {_escape(notes)}".rstrip())
    return cells + [number(row.mean, table.columns[0].scale, table.columns[0].scale.decimals)] * table.averaged


def _escape(text: str) -> str:
    text = re.sub(r"&(?=#?\w+;)", "&amp;", plain(text)).replace("<", "&lt;")
    # `_` inside a word is text in Markdown, and names such as brain_tumor should stay readable in the source.
    return re.sub(r"([\\`|*~]|\](?=\()|\[(?!\d)|(?<!\w)_|_(?!\w))", r"\\\1", text)


# ---------------------------------------------------------------------------------------------- terminal


def terminal(table: Table, *, width: int = 100) -> "RenderableType":
    """The same for a terminal of `width` characters: columns that do not fit side by side follow below.

    Colour only repeats what the text says (`*`, `†`, the words), so that a pipe or a file loses nothing.
    """
    from rich.console import Group
    from rich.text import Text

    if not table.rows:
        return Text(EMPTY)
    head = [Text(title(table), style="bold"), *([Text(PHANTOM, style="bold yellow")] if table.phantom else [])]
    blocks = [_rich_block(table, block) for block in _blocks(table, width)]
    notes = [Text(plain(note), style="dim") for note in caption(table, best="*") if note != PHANTOM]
    return Group(*head, *blocks, *notes)


def _blocks(table: Table, width: int) -> list[tuple[int, ...]]:
    """The columns, by index, that fit side by side; at least one to a block."""
    from rich.cells import cell_len

    names = max(cell_len(plain(row.method)) for row in table.rows) + 2
    free = width - 3 - min(names, METHOD_WIDTH) - (9 if table.averaged else 0)
    wanted = []
    for index, column in enumerate(table.columns):
        lines = [line for row in table.rows for line in texts(row.cells[index], column.scale)]
        words = header(column, table).split()
        wanted.append(4 + max(cell_len(plain(text)) for text in [*lines, *words]))  # the mark, the padding
    return packed(wanted, free)


def _rich_block(table: Table, block: Sequence[int]) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1))
    drawn.add_column("method", max_width=METHOD_WIDTH, overflow="fold")
    for index in block:
        drawn.add_column(Text(plain(header(table.columns[index], table))), justify="right", overflow="fold")
    averaged = table.averaged and block[-1] == len(table.columns) - 1  # once, after the last column
    if averaged:
        drawn.add_column("mean", justify="right", no_wrap=True)
    styles = {"failed": "red", "partial": "yellow", "pending": "dim", "absent": "dim"}
    for row in table.rows:
        line = [Text(plain(row.method) + ("" if row.complete else " †"))]
        for index in block:
            cell = row.cells[index]
            mean, notes = texts(cell, table.columns[index].scale)
            text = Text(mean + "*" * cell.best, style="bold green" if cell.best else styles.get(cell.state, ""))
            line.append(text.append(f"\n{notes}", style="not bold") if notes else text)
        scale = table.columns[0].scale
        drawn.add_row(*line, *[number(row.mean, scale, scale.decimals)] * averaged)
    return drawn


# ---------------------------------------------------------------------------------------------- for programs


def csv(table: Table) -> str:
    """A header and a line for each method and column, fields as in `FIELDS`; lists of seeds are parted by spaces."""
    written = io.StringIO()
    writer = csv_module.writer(written, lineterminator="\n")
    writer.writerow(FIELDS)
    for row in table.rows:
        for cell, column in zip(row.cells, table.columns, strict=True):
            facts = {"data": table.name, "method": row.method, "level": table.level, "interval": table.interval}
            facts |= _column_facts(column) | _cell_facts(cell) | {"row_mean": row.mean}
            writer.writerow([_csv_value(facts[name]) for name in FIELDS])
    return written.getvalue()


def json(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """An object for each table, ready for `json.dumps`; what is not defined is null.

    Table: name ("real" or "phantom"), title, level, interval, seeds, columns, rows.
    Column: name ("task/protocol"), task, protocol, metric, higher_is_better, found, official (0: unknown), seen
    (test cases whose image is also a training image).
    Row: name (the method entry), complete, mean, collapsed (seeds whose pretraining did), cells (in the order of the
    columns).
    Cell: name ("method/task/protocol"), state ("done", "partial", "failed", "pending", "absent"), mean, std, low,
    high, cases, seeds (asked for), seeds_done, seeds_failed, seeds_pending (lists), best.
    """
    return [
        {"name": table.name, "title": title(table), "level": table.level, "interval": table.interval}
        | {"seeds": list(table.seeds)}
        | {"columns": [{"name": column.name} | _column_facts(column) for column in table.columns]}
        | {"rows": [_json_row(row, table.columns) for row in table.rows]}
        for table in tables
    ]


def _json_row(row: Row, columns: tuple[Column, ...]) -> dict[str, Any]:
    cells = [
        {"name": f"{row.method}/{column.name}"} | _cell_facts(cell)
        for cell, column in zip(row.cells, columns, strict=True)
    ]
    facts = {"name": row.method, "complete": row.complete, "mean": row.mean, "collapsed": list(row.collapsed)}
    return {**facts, "cells": cells}


def _column_facts(column: Column) -> dict[str, Any]:
    names = ("task", "protocol", "metric", "higher_is_better", "found", "official", "seen")
    return {name: getattr(column, name) for name in names}


def _cell_facts(cell: Cell) -> dict[str, Any]:
    seeds = {f"seeds_{name}": list(getattr(cell, name)) for name in ("done", "failed", "pending")}
    names = ("state", "mean", "std", "low", "high", "cases", "best")
    return {name: getattr(cell, name) for name in names} | {"seeds": cell.seeds} | seeds


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(str, value)) if isinstance(value, list) else value
