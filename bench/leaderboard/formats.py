"""A Table as Markdown, as CSV and as JSON.

The first is for readers: rounded, in the metric's display unit, with every mark explained below the table. The others
are for programs: raw numbers at full precision, a missing one left out (empty, null).
"""

import csv as csv_module
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.leaderboard.beside import Beside, bare
from bench.leaderboard.outperformance import Claim, assumed
from bench.leaderboard.table import Cell, Column, Row, Table
from bench.leaderboard.words import EMPTY, PHANTOM, SEEN, caption, grouped, header, number, plain, texts, title

# fmt: off
FIELDS = (
    "data", "method", "task", "protocol", "metric", "higher_is_better", "state", "mean", "std",
    "low", "high", "level", "interval", "seeds", "seeds_done", "seeds_failed",
    "seeds_pending", "cases", "found", "official", "seen", "best", "row_mean",
    "group", "family", "alike", "leads", "p", "marks", "seed_means", "records",
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
    for before, row in zip((None, *table.rows), table.rows, strict=False):
        lines += _markdown_group(row, before, table) if grouped(table) else []
        lines.append(_line(_markdown_row(row, table)))
    notes = [note for note in caption(table, best="bold", leads="underlined") if note != PHANTOM]
    return "\n".join([*lines, "", *(f"- {_escape(note)}" for note in notes)]) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_row(row: Row, table: Table) -> list[str]:
    cells = [_escape(row.method + ("" if row.complete else " †"))]
    for cell, column in zip(row.cells, table.columns, strict=True):
        mean, notes = texts(cell, column.scale)
        text = f"**{mean}**" if cell.alike else mean
        text = f"<ins>{text}</ins>" if cell.leads and grouped(table) else text
        seen = f" {SEEN}" if "may have seen" in cell.marks else ""
        cells.append(f"{text}{seen} {_escape(notes)}".rstrip())
    return cells + [number(row.mean, table.columns[0].scale, table.columns[0].scale.decimals)] * table.averaged


def _markdown_group(row: Row, before: Row | None, table: Table) -> list[str]:
    """A line with the name of a group, above its first row."""
    if row.source or (before and before.group == row.group):
        return []
    return [_line([f"*{_escape(row.group)}*", *[""] * (len(table.columns) + table.averaged)])]


def _escape(text: str) -> str:
    text = re.sub(r"&(?=#?\w+;)", "&amp;", plain(text)).replace("<", "&lt;")
    # `_` inside a word is text in Markdown, and names such as brain_tumor should stay readable in the source.
    return re.sub(r"([\\`|*~]|\](?=\()|\[(?!\d)|(?<!\w)_|_(?!\w))", r"\\\1", text)


# ---------------------------------------------------------------------------------------------- for programs


def csv(table: Table) -> str:
    """A header and a line for each method and column, fields as in `FIELDS`; lists are parted by spaces or semicolons.

    With printed rows there are the fields of `PRINTED` too: on a printed line whose it is, on a measured one what is
    printed for its method, in the first source that has it, and the difference.
    """
    written = io.StringIO()
    writer = csv_module.writer(written, lineterminator="\n")
    fields = FIELDS + PRINTED * bool(table.beside)
    writer.writerow(fields)
    writer.writerows([_csv_value(facts[name]) for name in fields] for facts in lines(table))
    return written.getvalue()


def lines(table: Table) -> Iterator[dict[str, Any]]:
    """The facts of each cell by the names of `FIELDS` and, with printed rows, of `PRINTED`."""
    for index, row in enumerate(table.rows):
        for place, (cell, column) in enumerate(zip(row.cells, table.columns, strict=True)):
            facts = {"data": table.name, "method": bare(row), "level": table.level, "interval": table.interval}
            facts |= {"group": row.group}
            facts |= _column_facts(column) | _cell_facts(cell) | {"row_mean": row.mean}
            facts |= _printed_facts(table, index, place) if table.beside else {}
            if not (row.source and cell.state == "absent"):
                yield facts


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
    Table also: tests (in words), averaged_over (names of the columns that means are over), notes.
    Column: name ("task/protocol"), task, protocol, metric, higher_is_better, found, official (0: unknown), seen
    (test cases whose image is also a training image), family.
    Row: name (the method entry), group, complete, coverage (done, of), mean, collapsed (seeds whose pretraining did),
    cells (in the order of the columns).
    Cell: name ("method/task/protocol"), state ("done", "partial", "failed", "pending", "absent"), mean, std, low,
    high, cases, seeds (asked for), seeds_done, seeds_failed, seeds_pending (lists), best, alike (not shown to be worse
    than the best), leads (the best of its group), p (adjusted, against the best), marks, seed_means, records (keys).
    Where printed rows were asked for, rows are those measured, and there is published: rows (source, method, backbone,
    setting, cells of column, table, value, sd, trials, n_test), differences (method, column, source, table, printed,
    difference, differs), claims (column, source, table, first, second, difference, cases, probability, why, null where
    none) and assumed (agreement, spread, a sentence). All numbers are in the unit of the metric, as elsewhere.
    """
    return [
        {"name": table.name, "title": title(table), "level": table.level, "interval": table.interval}
        | {"tests": list(table.tests), "notes": list(table.notes)}
        | {"averaged_over": [table.columns[index].name for index in table.averaged_over]}
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
        {"name": cell.id or f"{row.method}/{column.name}"} | _cell_facts(cell)
        for cell, column in zip(row.cells, columns, strict=True)
    ]
    facts = {"name": row.method, "group": row.group, "complete": row.complete, "coverage": list(row.coverage)}
    return {**facts, "mean": row.mean, "collapsed": list(row.collapsed), "cells": cells}


def _column_facts(column: Column) -> dict[str, Any]:
    names = ("task", "protocol", "metric", "higher_is_better", "found", "official", "seen", "family")
    return {name: getattr(column, name) for name in names}


def _cell_facts(cell: Cell) -> dict[str, Any]:
    seeds = {f"seeds_{name}": list(getattr(cell, name)) for name in ("done", "failed", "pending")}
    names = ("state", "mean", "std", "low", "high", "cases", "best", "alike", "leads", "p")
    lists = {name: list(getattr(cell, name)) for name in ("marks", "seed_means", "records")}
    return {name: getattr(cell, name) for name in names} | {"seeds": cell.seeds} | seeds | lists


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return (" ".join if all(" " not in str(each) for each in value) else "; ".join)(map(str, value))
    return value
