"""Printed rows beside measured ones: after them, in the same columns, and never in a best, a mean or a rank.

A printed number stands in the column of its task, protocol and metric, and nowhere else: another convention of a metric
is another metric. Numbers of phantoms have nothing beside them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.keys import plain
from bench.leaderboard.outperformance import AGREEMENT, SPREAD, Claim, claims
from bench.leaderboard.published import Published
from bench.leaderboard.table import Cell, Column, Row, Table

MARK = "‡"


@dataclass(frozen=True)
class Identity:
    """What a row that was measured here is: its plug-in, its backbone ("": its own), its settings but for defaults."""

    plugin: str
    backbone: str
    changed: tuple[str, ...] = ()
    origin: str = ""  # of its weights, where those are not as the printed method has them


@dataclass(frozen=True)
class Difference:
    """A measured cell and what a paper prints for the same method in the same column; measured less printed."""

    method: str  # the row that was measured
    column: Column
    printed: Published
    measured: float
    differs: tuple[str, ...]  # in what, in words; none: the same as far as the file says

    @property
    def value(self) -> float:
        """In the unit of the store."""
        return self.measured - self.printed.value


@dataclass(frozen=True)
class Beside:
    """What is said of the printed rows of a table."""

    cells: Mapping[tuple[int, int], Published]  # by row and column of the table
    differences: tuple[Difference, ...]
    claims: tuple[Claim, ...]
    agreement: float
    spread: float
    elsewhere: Mapping[int, tuple[str, ...]]  # by column: other metrics in which numbers are printed for it


def identities(
    found: Iterable[tuple[str, Mapping[str, Any]]], defaults: Mapping[str, Mapping[str, Any]]
) -> dict[str, Identity]:
    """By label, what the parts of its jobs, or of its records, say of a method entry; `defaults` of plug-ins."""
    return {label: _identity(parts["encoder"], defaults) for label, parts in found if "encoder" in parts}


def _identity(encoder: Mapping[str, Any], defaults: Mapping[str, Mapping[str, Any]]) -> Identity:
    method, backbone = encoder["method"], encoder.get("recipe", encoder).get("backbone", "")
    usual = plain(defaults.get(method["plugin"], method["settings"]))
    changed = (name for name, value in plain(method["settings"]).items() if name in usual and usual[name] != value)
    random = "random weights here" if encoder.get("weights") == "random" else ""
    return Identity(
        str(method["plugin"]), str(backbone), tuple(changed), "pretrained here" * ("recipe" in encoder) or random
    )


def set_beside(
    table: Table,
    published: Sequence[Published],
    known: Mapping[str, Identity],
    *,
    agreement: float = AGREEMENT,
    spread: float = SPREAD,
) -> Table:
    """The table with a row for each printed method that has a number in its columns; a table of phantoms gets
    none.

    `known` tells, by label, what the measured rows are.
    """
    if table.phantom:
        return replace(table, beside=Beside({}, (), (), agreement, spread, {}))
    places = {(column.task, column.protocol): index for index, column in enumerate(table.columns)}
    near = [row for row in published if row.column in places]
    fits = [row for row in near if row.metric == table.columns[places[row.column]].metric]
    elsewhere: dict[int, tuple[str, ...]] = {}
    for row in near:
        index = places[row.column]
        if row.metric not in (table.columns[index].metric, *elsewhere.get(index, ())):
            elsewhere[index] = (*elsewhere.get(index, ()), row.metric)
    grouped: dict[tuple[str, str, int], dict[int, Published]] = {}
    for row in fits:  # what a source prints twice, in two of its tables, has two rows
        copy = next(n for n in range(len(fits)) if places[row.column] not in grouped.get((row.source, row.name, n), {}))
        grouped.setdefault((row.source, row.name, copy), {})[places[row.column]] = row
    sources = list(dict.fromkeys(source for source, *_ in grouped))
    rows = [_row(table, name, marked(source, sources), cells) for (source, name, _), cells in grouped.items()]
    numbered = enumerate(grouped.values(), len(table.rows))
    cells = {(index, place): row for index, of in numbered for place, row in of.items()}
    beside = Beside(
        cells,
        tuple(_differences(table, fits, places, known)),
        tuple(claims(fits, agreement=agreement, spread=spread)),
        agreement,
        spread,
        elsewhere,
    )
    return replace(table, rows=(*table.rows, *rows), beside=beside)


def marked(source: str, sources: Sequence[str]) -> tuple[str, str]:
    """The mark of a source among those of a table, and the source."""
    return MARK + (str(sources.index(source) + 1) if len(sources) > 1 else ""), source


def bare(row: Row) -> str:
    """The name of a row without a mark."""
    return row.method.partition(" ")[2] if row.source else row.method


def _row(table: Table, name: str, mark: tuple[str, str], printed: Mapping[int, Published]) -> Row:
    cells = (_cell(printed.get(index)) for index in range(len(table.columns)))
    return Row(f"{mark[0]} {name}", tuple(cells), None, source=mark[1])


def _cell(printed: Published | None) -> Cell:
    if printed is None:
        return Cell("absent")
    return Cell("published", cases=printed.n_test or 0, mean=printed.value, std=printed.sd)


def _differences(
    table: Table, fits: Sequence[Published], places: Mapping[tuple[str, str], int], known: Mapping[str, Identity]
) -> Iterable[Difference]:
    """Of each measured row, where every seed is done, and of each table that prints its method, in its column.

    Where a table prints several, as with other backbones, the one that differs in the least, or the first of those.
    """
    for row in table.rows:
        own = known.get(row.method)
        near: dict[tuple[int, str, str], Difference] = {}
        for printed in fits if own else ():
            index = places[printed.column]
            cell, column = row.cells[index], table.columns[index]
            if own and own.plugin in printed.plugins and cell.state == "done" and cell.mean is not None:
                found = Difference(row.method, column, printed, cell.mean, _differs(own, cell, column, printed))
                best = near.setdefault((index, printed.source, printed.table), found)
                if len(found.differs) < len(best.differs):
                    near[index, printed.source, printed.table] = found
        yield from near.values()


def _differs(own: Identity, cell: Cell, column: Column, printed: Published) -> tuple[str, ...]:
    """In what the two are known to differ; the settings of a protocol are not in the file, and not compared."""
    said = [own.origin] if own.origin else []
    if own.backbone and printed.backbone and plainly(own.backbone) != plainly(printed.backbone):
        said.append(f"backbone {own.backbone} here, {printed.backbone} printed")
    if own.changed:
        said.append(f"other than default here: {', '.join(own.changed)}")
    if printed.n_test and printed.n_test != cell.cases:
        said.append(f"{cell.cases} test cases here, {printed.n_test} printed")
    if column.partial or not column.official:
        said.append(f"data here: {column.completeness}")
    if column.seen:
        said.append(f"{column.seen} test images are also training images here")
    return tuple(said)


def plainly(backbone: str) -> str:
    """Without what libraries and papers write in different ways: ViT-B-16 is vit_b_16."""
    return "".join(filter(str.isalnum, backbone.lower()))
