"""A Table in words: for a terminal, as Markdown, as CSV and as JSON.

The first two are for readers: rounded, in the metric's display unit, with every mark explained below the table. The
last two are for programs: raw numbers at full precision, a missing one left out (empty, null).
"""

import csv as csv_module
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bench.leaderboard.names import Scale, label
from bench.leaderboard.table import Cell, Column, Row, Table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable

EMPTY = "No results to show: the grid is empty, or nothing in it was selected."
PHANTOM = "PHANTOM data: numbers say nothing about medicine."
GAP = "–"
METHOD_WIDTH = 28  # characters of a terminal; a longer name is folded
# fmt: off
FIELDS = (
    "data", "method", "task", "protocol", "metric", "higher_is_better", "state", "mean", "std",
    "low", "high", "level", "interval", "seeds", "seeds_done", "seeds_failed",
    "seeds_pending", "cases", "found", "official", "seen", "best", "row_mean",
)
# fmt: on


# ---------------------------------------------------------------------------------------------- words


def title(table: Table) -> str:
    """What the table shows, in a line."""
    scales = {column.metric: column.scale for column in table.columns}
    metrics = ", ".join(label(metric) + (f" ({s.unit})" if s.unit else "") for metric, s in scales.items())
    first = metrics[:1].upper() if metrics.partition(" ")[0].islower() else metrics[:1]  # but mAP is called that
    return f"{first}{metrics[1:]} on {'PHANTOM' if table.phantom else 'real'} data"


def caption(table: Table, *, best: str) -> list[str]:
    """What a reader must know to trust it, in lines of plain text; `best` says how the best of a column is marked."""
    seeds = ", ".join(map(str, table.seeds))
    over = f"mean ± standard deviation over seeds {seeds}" if len(table.seeds) > 1 else f"mean of one seed ({seeds})"
    tasks = {column.task.partition("@")[0]: column.completeness for column in table.columns}
    lines = [PHANTOM] if table.phantom else []
    lines.append(f"{over} [{100 * table.level:g} % interval: {table.interval}]; {_directions(table)}")
    lines += [f"seeds of {', '.join(tasks)}: {', '.join(map(str, own))}" for own, tasks in _fewer(table).items()]
    lines.append(f"{best}: best mean of a column, ties alike, among cells with every seed done")
    lines.append("cases found of the official data set: " + "; ".join(f"{task} {n}" for task, n in tasks.items()))
    lines += [f"{task}: {n} test images are also training images, byte for byte" for task, n in _seen(table).items()]
    lines += [
        f"{row.method}: its pretraining collapsed (seeds {', '.join(map(str, row.collapsed))})"
        for row in table.rows
        if row.collapsed
    ]
    if not table.averaged:
        lines.append("no mean over columns: their metrics differ")
    return lines + [_footnote(row, table.columns) for row in table.rows if not row.complete]


def _fewer(table: Table) -> dict[tuple[int, ...], list[str]]:
    """Tasks that the grid asks for with some of the seeds only."""
    found: dict[tuple[int, ...], list[str]] = {}
    for index, column in enumerate(table.columns):
        asked = {s for row in table.rows for c in (row.cells[index],) for s in (*c.done, *c.failed, *c.pending)}
        own, task = tuple(seed for seed in table.seeds if seed in asked), column.task.partition("@")[0]
        if own != table.seeds and task not in found.setdefault(own, []):
            found[own].append(task)
    return found


def _seen(table: Table) -> dict[str, int]:
    """Tasks whose split, as published, tests on training images, and on how many."""
    return {column.task.partition("@")[0]: column.seen for column in table.columns if column.seen}


def header(column: Column, table: Table) -> str:
    """The name of a column, with its metric where they differ and its completeness where that is partial."""
    metric = "" if table.averaged else f" {label(column.metric)} {'↑' if column.higher_is_better else '↓'}"
    return f"{column.task} / {column.protocol}{metric}" + (
        f" ({column.found}/{column.official})" if column.partial else ""
    )


def _directions(table: Table) -> str:
    ways = {column.higher_is_better for column in table.columns}
    if len(ways) == 1:
        return f"{'higher' if ways.pop() else 'lower'} is better"
    of_metric = {column.metric: column.higher_is_better for column in table.columns if not column.part}
    lower = dict.fromkeys(
        label(column.metric) if not of_metric.get(column.metric, True) else column.task
        for column in table.columns
        if not column.higher_is_better
    )
    return f"lower is better for {', '.join(lower)}"


def _footnote(row: Row, columns: tuple[Column, ...]) -> str:
    """Which cells of an incomplete row have no number, by the ids that `bench show` and `--only` take."""
    said = []
    for state in ("failed", "pending", "absent"):
        ids = [name for cell, column in zip(row.cells, columns, strict=True) for name in _ids(row, cell, column, state)]
        if ids:
            said.append(f"{'not in the grid' if state == 'absent' else state}: {', '.join(ids)}")
    return f"† {row.method} is incomplete and has no mean; {'; '.join(said)}"


def _ids(row: Row, cell: Cell, column: Column, state: str) -> list[str]:
    name = f"{row.method}/{column.name}"
    seeds = {"failed": cell.failed, "pending": cell.pending}.get(state, ())
    if cell.state == state == "absent" or (seeds and len(seeds) == cell.seeds > 1):
        return [f"{name}/*"]
    return [f"{name}/{seed}" for seed in seeds]


def _number(value: float | None, scale: Scale, decimals: int) -> str:
    return GAP if value is None else f"{scale.factor * value:.{decimals}f}"


def _texts(cell: Cell, scale: Scale) -> tuple[str, str]:
    """What a cell says: its mean and spread, and its interval with the number of seeds where some are missing."""
    if cell.mean is None:
        return (GAP if cell.state == "absent" else cell.state), ""
    mean = _number(cell.mean, scale, scale.decimals)
    if cell.std is not None:
        mean += f" ± {_number(cell.std, scale, scale.decimals)}"
    notes = []
    if cell.low is not None:
        notes.append("[" + ", ".join(_number(end, scale, scale.decimals - 1) for end in (cell.low, cell.high)) + "]")
    if cell.state == "partial":
        notes.append(f"({len(cell.done)}/{cell.seeds} seeds)")
    return mean, " ".join(notes)


def _plain(text: str) -> str:
    """One line with nothing that moves a cursor, hides or reorders text: names come from files that users write."""
    return "".join(character if character.isprintable() else " " for character in text)


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
        mean, notes = _texts(cell, column.scale)
        cells.append(f"{f'**{mean}**' if cell.best else mean} {_escape(notes)}".rstrip())
    return cells + [_number(row.mean, table.columns[0].scale, table.columns[0].scale.decimals)] * table.averaged


def _escape(text: str) -> str:
    text = re.sub(r"&(?=#?\w+;)", "&amp;", _plain(text)).replace("<", "&lt;")
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
    notes = [Text(_plain(note), style="dim") for note in caption(table, best="*") if note != PHANTOM]
    return Group(*head, *blocks, *notes)


def _blocks(table: Table, width: int) -> list[list[int]]:
    """The columns, by index, that fit side by side; at least one to a block."""
    from rich.cells import cell_len

    names = max(cell_len(_plain(row.method)) for row in table.rows) + 2
    free = width - 3 - min(names, METHOD_WIDTH) - (9 if table.averaged else 0)
    blocks: list[list[int]] = [[]]
    used = 0
    for index, column in enumerate(table.columns):
        lines = [line for row in table.rows for line in _texts(row.cells[index], column.scale)]
        words = header(column, table).split()
        wanted = 4 + max(cell_len(_plain(text)) for text in [*lines, *words])  # the mark, the padding
        if blocks[-1] and used + wanted > free:
            blocks.append([])
            used = 0
        blocks[-1].append(index)
        used += wanted
    return blocks


def _rich_block(table: Table, block: list[int]) -> "RichTable":
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1))
    drawn.add_column("method", max_width=METHOD_WIDTH, overflow="fold")
    for index in block:
        drawn.add_column(Text(_plain(header(table.columns[index], table))), justify="right", overflow="fold")
    averaged = table.averaged and block[-1] == len(table.columns) - 1  # once, after the last column
    if averaged:
        drawn.add_column("mean", justify="right", no_wrap=True)
    styles = {"failed": "red", "partial": "yellow", "pending": "dim", "absent": "dim"}
    for row in table.rows:
        texts = [Text(_plain(row.method) + ("" if row.complete else " †"))]
        for index in block:
            cell = row.cells[index]
            mean, notes = _texts(cell, table.columns[index].scale)
            text = Text(mean + "*" * cell.best, style="bold green" if cell.best else styles.get(cell.state, ""))
            texts.append(text.append(f"\n{notes}", style="not bold") if notes else text)
        scale = table.columns[0].scale
        drawn.add_row(*texts, *[_number(row.mean, scale, scale.decimals)] * averaged)
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
