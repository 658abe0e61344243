"""What is said of a Table in every format for readers: its title, its caption, its notes, the text of a cell."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.leaderboard.names import Scale, label
from bench.leaderboard.table import Cell, Column, Row, Table

EMPTY = "No results to show: the grid is empty, or nothing in it was selected."
PHANTOM = "PHANTOM data: numbers say nothing about medicine."
GAP = "–"
BEST = "best mean of a column, ties alike, among cells with every seed done"


@dataclass(frozen=True)
class Note:
    """A sentence on some columns or rows of a table, by index; with neither, on all of it."""

    text: str
    columns: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()


def title(table: Table) -> str:
    """What the table shows, in a line."""
    scales = {column.metric: column.scale for column in table.columns}
    metrics = ", ".join(label(metric) + (f" ({s.unit})" if s.unit else "") for metric, s in scales.items())
    first = metrics[:1].upper() if metrics.partition(" ")[0].islower() else metrics[:1]  # but mAP is called that
    return f"{first}{metrics[1:]} on {'PHANTOM' if table.phantom else 'real'} data"


def caption(table: Table, *, best: str) -> list[str]:
    """What a reader must know to trust it, in lines of plain text; `best` says how the best of a column is marked."""
    lines = [PHANTOM] if table.phantom else []
    lines += [setting(table), *(note.text for note in fewer_seeds(table)), f"{best}: {BEST}"]
    lines += [note.text for note in remarks(table)]
    return lines + [f"† {note.text}" for note in incomplete(table)]


def setting(table: Table) -> str:
    """What the numbers of a cell are, and which way is better."""
    seeds = ", ".join(map(str, table.seeds))
    over = f"mean ± standard deviation over seeds {seeds}" if len(table.seeds) > 1 else f"mean of one seed ({seeds})"
    return f"{over} [{100 * table.level:g} % interval: {table.interval}]; {_directions(table)}"


def fewer_seeds(table: Table) -> list[Note]:
    """On tasks that the grid asks for with some of the seeds only."""
    found: dict[tuple[int, ...], list[int]] = {}
    for index in range(len(table.columns)):
        asked = {s for row in table.rows for c in (row.cells[index],) for s in (*c.done, *c.failed, *c.pending)}
        own = tuple(seed for seed in table.seeds if seed in asked)
        if own != table.seeds:
            found.setdefault(own, []).append(index)
    tasks = {own: dict.fromkeys(_task(table.columns[i]) for i in columns) for own, columns in found.items()}
    return [
        Note(f"seeds of {', '.join(tasks[own])}: {', '.join(map(str, own))}", tuple(columns))
        for own, columns in found.items()
    ]


def remarks(table: Table) -> list[Note]:
    """On the data, on pretrainings that collapsed, and on a mean over columns that means nothing."""
    cases = {_task(column): column.completeness for column in table.columns}
    seen = {_task(column): column.seen for column in table.columns if column.seen}
    partial = tuple(index for index, column in enumerate(table.columns) if column.partial)
    found = "; ".join(f"{task} {n}" for task, n in cases.items())
    notes = [Note(f"cases found of the official data set: {found}", partial)]
    for task, n in seen.items():
        columns = tuple(index for index, column in enumerate(table.columns) if column.seen and _task(column) == task)
        notes.append(Note(f"{task}: {n} test images are also training images, byte for byte", columns))
    for index, row in enumerate(table.rows):
        if row.collapsed:
            seeds = ", ".join(map(str, row.collapsed))
            notes.append(Note(f"{row.method}: its pretraining collapsed (seeds {seeds})", rows=(index,)))
    return notes if table.averaged else [*notes, Note("no mean over columns: their metrics differ")]


def incomplete(table: Table) -> list[Note]:
    """On each row that is, which of its cells have no number, by the ids that `bench show` and `--only` take."""
    return [
        Note(_missing(row, table.columns), rows=(index,)) for index, row in enumerate(table.rows) if not row.complete
    ]


def header(column: Column, table: Table) -> str:
    """The name of a column, with its metric where they differ and its completeness where that is partial."""
    metric = "" if table.averaged else f" {label(column.metric)} {arrow(column)}"
    return f"{column.task} / {column.protocol}{metric}" + (
        f" ({column.found}/{column.official})" if column.partial else ""
    )


def arrow(column: Column) -> str:
    """Which way its metric is better."""
    return "↑" if column.higher_is_better else "↓"


def number(value: float | None, scale: Scale, decimals: int) -> str:
    """As readers are shown it, rounded."""
    return GAP if value is None else f"{scale.factor * value:.{decimals}f}"


def texts(cell: Cell, scale: Scale) -> tuple[str, str]:
    """What a cell says: its mean and spread, and its interval with the number of seeds where some are missing."""
    if cell.mean is None:
        return (GAP if cell.state == "absent" else cell.state), ""
    mean = number(cell.mean, scale, scale.decimals)
    if cell.std is not None:
        mean += f" ± {number(cell.std, scale, scale.decimals)}"
    notes = []
    if cell.low is not None:
        notes.append("[" + ", ".join(number(end, scale, scale.decimals - 1) for end in (cell.low, cell.high)) + "]")
    if cell.state == "partial":
        notes.append(f"({len(cell.done)}/{cell.seeds} seeds)")
    return mean, " ".join(notes)


def packed(sizes: Sequence[int | float], room: int | float) -> list[tuple[int, ...]]:
    """Consecutive items, by index, in groups that fit the room; at least one to a group."""
    groups: list[tuple[int, ...]] = [()]
    used = 0.0
    for index, size in enumerate(sizes):
        if groups[-1] and used + size > room:
            groups.append(())
            used = 0.0
        groups[-1] += (index,)
        used += size
    return groups


def plain(text: str) -> str:
    """One line with nothing that moves a cursor, hides or reorders text: names come from files that users write."""
    return "".join(character if character.isprintable() else " " for character in text)


def _task(column: Column) -> str:
    """Without the site that a column may be of."""
    return column.task.partition("@")[0]


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


def _missing(row: Row, columns: tuple[Column, ...]) -> str:
    said = []
    for state in ("failed", "pending", "absent"):
        ids = [name for cell, column in zip(row.cells, columns, strict=True) for name in _ids(row, cell, column, state)]
        if ids:
            said.append(f"{'not in the grid' if state == 'absent' else state}: {', '.join(ids)}")
    return f"{row.method} is incomplete and has no mean; {'; '.join(said)}"


def _ids(row: Row, cell: Cell, column: Column, state: str) -> list[str]:
    name = f"{row.method}/{column.name}"
    seeds = {"failed": cell.failed, "pending": cell.pending}.get(state, ())
    if cell.state == state == "absent" or (seeds and len(seeds) == cell.seeds > 1):
        return [f"{name}/*"]
    return [f"{name}/{seed}" for seed in seeds]
