"""What the script of a page knows: a Table as plain objects, with the per-case values and the records behind it."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.leaderboard import words
from bench.leaderboard.beside import bare
from bench.leaderboard.expense import Expense, expenses
from bench.leaderboard.names import label
from bench.leaderboard.page.cases import Codes, codes, written
from bench.leaderboard.page.facts import Shared, clean, facts
from bench.leaderboard.ranking import Ranking
from bench.leaderboard.result import Result
from bench.leaderboard.table import MARKS, Cell, Column, Row, Table
from bench.store import Record

Done = Mapping[str, list[Result]]  # by the id of their cell


def payload(
    tables: Sequence[Table], results: Iterable[Result], records: Sequence[Record], rankings: Iterable[Ranking]
) -> dict[str, Any]:
    """All of a page's data, ready for `json.dumps`; what is not defined is null.

    boards: one for each table. lists: ids of test cases, which many cells share. marks: what each means. records: by
    key, what is its own; the numbers in it name parts of `shared`.
    """
    results, lists = list(results), Shared()
    ranked = {ranking.name: ranking for ranking in rankings}
    boards = [
        _board(table, _done(results, table), lists)
        | {"ranking": _ranking(ranked.get(table.name)), "costs": _costs(expenses(records, table), table)}
        for table in tables
    ]
    wanted = [key for table in tables for row in table.rows for cell in row.cells for key in cell.records]
    said: dict[str, Any] = clean({"boards": boards, "lists": lists.all, "marks": MARKS})
    return said | facts(records, wanted)


def _done(results: Sequence[Result], table: Table) -> Done:
    found: dict[str, list[Result]] = {}
    for result in results:
        if result.state == "done" and result.phantom is table.phantom:
            found.setdefault(result.name.rpartition("/")[0], []).append(result)
    return found


def _board(table: Table, done: Done, lists: Shared) -> dict[str, Any]:
    of = [
        [_plain_means(cell, done) for cell in cells] for cells in zip(*(row.cells for row in table.rows), strict=True)
    ]
    how = [codes([result.values for cell in cells for result in cell]) if any(cells) else None for cells in of]
    names = ("name", "phantom", "level", "interval", "averaged")
    rows = [
        _row(row)
        | {
            "cells": [
                _cell(cell) | _cases(cells[index], code, lists)
                for cell, cells, code in zip(row.cells, of, how, strict=True)
            ]
        }
        for index, row in enumerate(table.rows)
    ]
    columns = [
        _column(column) | (code.facts() if code else {}) for column, code in zip(table.columns, how, strict=True)
    ]
    lists_ = {
        "seeds": list(table.seeds),
        "tests": list(table.tests),
        "grouped": words.grouped(table),
        "columns": columns,
        "rows": rows,
    }
    return {name: getattr(table, name) for name in names} | {"title": words.title(table)} | lists_


def _column(column: Column) -> dict[str, Any]:
    scale = column.scale
    names = ("name", "task", "protocol", "family", "metric", "found", "official", "seen", "part", "completeness")
    return {name: getattr(column, name) for name in names} | {
        **{"label": label(column.metric), "unit": scale.unit, "factor": scale.factor, "decimals": scale.decimals},
        "higher": column.higher_is_better,
    }


def _row(row: Row) -> dict[str, Any]:
    names = ("group", "mean", "source", "complete")
    coverage, collapsed = list(row.coverage), list(row.collapsed)
    return {name: getattr(row, name) for name in names} | {
        **{"method": bare(row), "mark": row.method.partition(" ")[0] if row.source else ""},
        **{"coverage": coverage, "collapsed": collapsed},
    }


def _cell(cell: Cell) -> dict[str, Any]:
    """Only what there is to say: most cells of a large board have no mark and no failure.

    The id is that of the command line, which knows no site of a task.
    """
    names = ("state", "mean", "std", "low", "high", "cases", "best", "alike", "leads", "p")
    lists = ("done", "failed", "pending", "marks", "records")
    said = {name: getattr(cell, name) for name in names} | {name: list(getattr(cell, name)) for name in lists}
    said |= {"means": list(cell.seed_means), "id": re.sub(r"@[^/]*(?=/[^/]*$)", "", cell.id)}
    return {name: value for name, value in said.items() if value not in (None, False, [], "")}


def _plain_means(cell: Cell, done: Done) -> list[Result]:
    """The results of a cell that are means over cases; where sites are weighted a case says nothing alone."""
    found = {result.seed: result for result in done.get(cell.id, ())} if cell.seed_means else {}
    own = [found[seed] for seed in cell.done if seed in found]
    return [] if len(own) < len(cell.done) or any(result.detections or result.strata for result in own) else own


def _cases(results: Sequence[Result], code: Codes | None, lists: Shared) -> dict[str, Any]:
    if not results or code is None:
        return {}
    values = np.stack([np.asarray(result.values, np.float64) for result in results])
    return {"list": lists.place(list(results[0].cases)), "values": written(values, code)}


def _ranking(ranking: Ranking | None) -> dict[str, Any] | None:
    """A ranking for its charts: rows best first, and the groups of methods that are not told apart, by those rows."""
    if not ranking or not ranking.test:
        return None
    test, rows = ranking.test, {row.method: place for place, row in enumerate(ranking.rows)}
    groups = [[rows[ranking.grid.methods[i]] for i in group] for group in test.groups if not math.isnan(test.p)]
    return {
        "rows": [asdict(row) for row in ranking.rows],
        "test": {"p": test.p, "columns": test.columns, "difference": test.difference, "groups": groups},
    }


def _costs(found: Mapping[str, Expense], table: Table) -> dict[str, Any]:
    """By method, of those on the board; `hours` are of pretraining and evaluation together, where both are known."""
    told = {}
    for method in (row.method for row in table.rows if row.method in found and not row.source):
        of = found[method]
        parts = (of.pretraining_hours, of.evaluation_hours)
        hours = math.fsum(part for part in parts if part is not None) if None not in parts else None
        told[method] = asdict(of) | {"hours": hours}
    return told
