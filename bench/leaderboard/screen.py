"""A Table for a terminal: methods down and columns across where those fit, else turned, with a method a column.

No number is cut or broken: what does not fit side by side follows below, with its names again. Colour only repeats what
the text says (`*`, `†`, the words), so that a pipe or a file loses nothing.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from bench.leaderboard.names import Scale
from bench.leaderboard.table import Cell, Column, Row, Table
from bench.leaderboard.words import (
    EMPTY,
    PHANTOM,
    SEEN,
    arrow,
    capitalised,
    caption,
    filled,
    grouped,
    header,
    measure,
    named,
    number,
    packed,
    plain,
    sites_apart,
    texts,
    title,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

NAME_WIDTH = 28  # characters of a method or a task; a longer name is folded
GAP = 2  # between the columns of a turned table
LEADS = "°"  # on the best of a group
STYLES = {"failed": "red", "partial": "yellow", "pending": "dim", "absent": "dim", "published": "dim"}


def terminal(table: Table, *, width: int = 100) -> "RenderableType":
    """Title, numbers and caption, for a terminal of `width` characters.

    A table with more columns than fit, and more columns than rows, is turned: so it has a line or two for each of its
    columns, and names its methods once.
    """
    from rich.console import Group
    from rich.text import Text

    if not table.rows:
        return Text(EMPTY)
    head = [Text(title(table), style="bold"), *([Text(PHANTOM, style="bold yellow")] if table.phantom else [])]
    blocks = _blocks(table, width)
    if len(blocks) > 1 and len(table.columns) > len(table.rows):
        drawn = _turned(table, width)
    else:
        drawn = [_block(table, block) for block in blocks]
    notes = [Text(plain(note), style="dim") for note in caption(table, best="*", leads=LEADS) if note != PHANTOM]
    return Group(*head, *drawn, *notes)


def _text(cell: Cell, scale: Scale, *, groups: bool = False, between: str = "\n") -> "Text":
    """What a cell says, its interval after `between`; `groups`: there are several, of which the best are marked."""
    from rich.text import Text

    mean, notes = texts(cell, scale)
    marks = "*" * cell.alike + LEADS * (cell.leads and groups) + SEEN * ("may have seen" in cell.marks)
    style = "bold green" if cell.best else "bold" if cell.alike else STYLES.get(cell.state, "")
    text = Text(mean + marks, style=style)
    return text.append(f"{between}{notes}", style="not bold") if notes else text


def _mean(row: Row, table: Table) -> str:
    scale = table.columns[0].scale
    return number(row.mean, scale, scale.decimals)


def _method(row: Row) -> str:
    return plain(row.method) + ("" if row.complete else " †")


def _named(row: Row) -> "Text":
    from rich.text import Text

    return Text(_method(row), style="dim" if row.source else "")


def _widest(lines: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, lines), default=0)


# ---------------------------------------------------------------------------------------------- methods down


def _blocks(table: Table, width: int) -> list[tuple[int, ...]]:
    """The columns, by index, that fit side by side; at least one to a block."""
    names = _widest(plain(row.method) for row in table.rows) + 2
    free = width - 3 - min(names, NAME_WIDTH + 2) - (9 if table.averaged else 0)
    wanted = []
    for index, column in enumerate(table.columns):
        lines = [line for row in table.rows for line in texts(row.cells[index], column.scale)]
        words = header(column, table).split()
        wanted.append(4 + _widest(plain(text) for text in [*lines, *words]))  # the mark, the padding
    return packed(wanted, free)


def _block(table: Table, block: Sequence[int]) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1))
    drawn.add_column("method", max_width=NAME_WIDTH, overflow="fold")
    for index in block:
        drawn.add_column(Text(plain(header(table.columns[index], table))), justify="right", overflow="fold")
    averaged = table.averaged and block[-1] == len(table.columns) - 1  # once, after the last column
    if averaged:
        drawn.add_column("mean", justify="right", no_wrap=True)
    rows = [table.rows[index] for index in filled(table, block)]
    for before, row in zip((None, *rows), rows, strict=False):
        if row.source and before and not before.source:
            drawn.add_section()
        if grouped(table) and not row.source and (before is None or before.group != row.group):
            drawn.add_section()
            drawn.add_row(Text(plain(row.group), style="italic"))
        cells = [_text(row.cells[index], table.columns[index].scale, groups=grouped(table)) for index in block]
        drawn.add_row(_named(row), *cells, *[_mean(row, table)] * averaged)
    return drawn


# ---------------------------------------------------------------------------------------------- turned


def _turned(table: Table, width: int) -> "list[RenderableType]":
    """A line for each column of the table where means and intervals of all methods fit side by side, else two."""
    names = [_name(column, table) for column in table.columns]
    whole = _widest(names)
    least = min(NAME_WIDTH, _widest(word for name in names for word in name.split()))
    wide, narrow = (_method_widths(table, between) for between in (" ", "\n"))
    beside = whole + sum(GAP + wanted for wanted in wide) <= width
    wanted = wide if beside else narrow
    blocks = packed([GAP + of for of in wanted], width - (whole if beside else least))
    room = min(width - sum(GAP + wanted[index] for index in block) for block in blocks)
    return [_turned_block(table, block, max(least, min(whole, room)), " " if beside else "\n") for block in blocks]


def _name(column: Column, table: Table) -> str:
    return plain(named(column) + ("" if table.averaged else f" {arrow(column)}"))


def _method_widths(table: Table, between: str) -> list[int]:
    """How wide the column of each method has to be."""
    found = []
    for row in table.rows:
        each = zip(row.cells, table.columns, strict=True)
        cells = (_text(cell, of.scale, groups=grouped(table), between=between) for cell, of in each)
        lines = [line for cell in cells for line in cell.plain.split("\n")] + [_mean(row, table)] * table.averaged
        found.append(max(_widest(lines), min(NAME_WIDTH, _widest(_method(row).split()))))
    return found


def _turned_block(table: Table, block: Sequence[int], names: int, between: str) -> "RenderableType":
    """The methods of a block; columns that follow each other under one metric have it above them, once."""
    from rich import box
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    rows = [table.rows[index] for index in block]
    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, padding=(0, 1))
    drawn.add_column("", width=names, overflow="fold")
    for row in rows:
        drawn.add_column(_named(row), justify="right", overflow="fold")
    if grouped(table):
        drawn.add_row("", *(Text(plain(row.group), style="italic") for row in rows))
    for kind, group in groupby(range(len(table.columns)), key=lambda index: _kind(table.columns[index])):
        if not table.averaged:
            drawn.add_row(Text(kind, style="bold"))
        for index in group:
            column = table.columns[index]
            cells = [_text(row.cells[index], column.scale, groups=grouped(table), between=between) for row in rows]
            drawn.add_row(Text(_name(column, table)), *cells)
        drawn.add_section()
    if table.averaged:
        drawn.add_row("mean", *(_mean(row, table) for row in rows))
    return Padding(drawn, (1, 0), expand=False)


def _kind(column: Column) -> str:
    """What a group of columns is of."""
    return capitalised(measure(column)) + (", site by site" if sites_apart(column) else "")
