"""A Table as Markdown, as CSV and as JSON.

The first is for readers: rounded, in the metric's display unit, with every mark explained below the table. The others
are for programs: raw numbers at full precision, a missing one left out (empty, null).
"""

import csv as csv_module
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from bench.leaderboard.beside import Beside, bare
from bench.leaderboard.outperformance import Claim, assumed
from bench.leaderboard.table import Cell, Column, Row, Table
from bench.leaderboard.words import EMPTY, PHANTOM, caption, header, number, plain, texts, title

# fmt: off
FIELDS = (
    "data", "method", "task", "protocol", "metric", "higher_is_better", "state", "mean", "std",
    "low", "high", "level", "interval", "seeds", "seeds_done", "seeds_failed",
    "seeds_pending", "cases", "found", "official", "seen", "best", "row_mean",
)
PRINTED = ("source", "source_table", "printed_method", "printed", "difference", "differs")  # with printed rows, last
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


# ---------------------------------------------------------------------------------------------- for programs


def csv(table: Table) -> str:
    """A header and a line for each method and column, fields as in `FIELDS`; lists of seeds are parted by spaces.

    With printed rows there are the fields of `PRINTED` too: on a printed line whose it is, on a measured one what is
    printed for its method, in the first source that has it, and the difference.
    """
    written = io.StringIO()
    writer = csv_module.writer(written, lineterminator="\n")
    fields = FIELDS + PRINTED * bool(table.beside)
    writer.writerow(fields)
    for index, row in enumerate(table.rows):
        for place, (cell, column) in enumerate(zip(row.cells, table.columns, strict=True)):
            facts = {"data": table.name, "method": bare(row), "level": table.level, "interval": table.interval}
            facts |= _column_facts(column) | _cell_facts(cell) | {"row_mean": row.mean}
            facts |= _printed_facts(table, index, place) if table.beside else {}
            if row.source and cell.state == "absent":
                continue
            writer.writerow([_csv_value(facts[name]) for name in fields])
    return written.getvalue()


def _printed_facts(table: Table, index: int, place: int) -> dict[str, Any]:
    """The fields of `PRINTED`, empty where there is nothing to say."""
    assert table.beside
    row, facts = table.rows[index], dict[str, Any].fromkeys(PRINTED)
    own = table.beside.cells.get((index, place))
    if own:
        ours = dict.fromkeys(
            ("level", "interval", "found", "official", "seen")
        )  # of what was measured, and of no other
        return facts | ours | {"source": own.source, "source_table": own.table, "printed_method": own.name}
    near = (d for d in table.beside.differences if (d.method, d.column) == (row.method, table.columns[place]))
    if not (found := next(near, None)):
        return facts
    printed = found.printed
    told = {"source": printed.source, "source_table": printed.table, "printed_method": printed.name}
    return {**facts, **told, "printed": printed.value, "difference": found.value, "differs": "; ".join(found.differs)}


def json(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """An object for each table, ready for `json.dumps`; what is not defined is null.

    Table: name ("real" or "phantom"), title, level, interval, seeds, columns, rows.
    Column: name ("task/protocol"), task, protocol, metric, higher_is_better, found, official (0: unknown), seen
    (test cases whose image is also a training image).
    Row: name (the method entry), complete, mean, collapsed (seeds whose pretraining did), cells (in the order of the
    columns).
    Cell: name ("method/task/protocol"), state ("done", "partial", "failed", "pending", "absent"), mean, std, low,
    high, cases, seeds (asked for), seeds_done, seeds_failed, seeds_pending (lists), best.
    Where printed rows were asked for, rows are those measured, and there is published: rows (source, method, backbone,
    setting, cells of column, table, value, sd, trials, n_test), differences (method, column, source, table, printed,
    difference, differs), claims (column, source, table, first, second, difference, cases, probability, why, null where
    none) and assumed (agreement, spread, a sentence). All numbers are in the unit of the metric, as elsewhere.
    """
    return [
        {"name": table.name, "title": title(table), "level": table.level, "interval": table.interval}
        | {"seeds": list(table.seeds)}
        | {"columns": [{"name": column.name} | _column_facts(column) for column in table.columns]}
        | {"rows": [_json_row(row, table.columns) for row in table.rows if not row.source]}
        | ({"published": _json_beside(table, table.beside)} if table.beside else {})
        for table in tables
    ]


def _json_beside(table: Table, beside: Beside) -> dict[str, Any]:
    rows: dict[int, dict[str, Any]] = {}
    for (index, place), of in beside.cells.items():
        names = ("source", "method", "backbone", "setting")
        row = rows.setdefault(index, {name: getattr(of, name) for name in names} | {"cells": []})
        cell = {name: getattr(of, name) for name in ("table", "value", "sd", "trials", "n_test", "note")}
        row["cells"].append({"column": table.columns[place].name} | cell)
    differences = [
        {"method": d.method, "column": d.column.name, "source": d.printed.source, "table": d.printed.table}
        | {"printed_method": d.printed.name, "printed": d.printed.value, "difference": d.value}
        | {"differs": list(d.differs)}
        for d in beside.differences
    ]
    told = {"agreement": beside.agreement, "spread": beside.spread, "said": assumed(beside.agreement, beside.spread)}
    return {
        "rows": list(rows.values()),
        "differences": differences,
        "claims": [claim_facts(claim) for claim in beside.claims],
        "assumed": told,
    }


def claim_facts(claim: Claim) -> dict[str, Any]:
    """A printed win as an object; what is not known is null."""
    of = claim.first
    place = {"column": "/".join(of.column), "metric": of.metric, "source": of.source, "table": of.table}
    numbers = {"difference": claim.difference, "cases": claim.cases, "probability": claim.probability}
    return place | {"first": of.name, "second": claim.second.name} | numbers | {"why": claim.why or None}


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
