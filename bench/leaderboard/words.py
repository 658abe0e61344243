"""What is said of a Table in every format for readers: its title, its caption, its notes, the text of a cell."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.leaderboard.beside import Beside
from bench.leaderboard.names import Scale, label
from bench.leaderboard.sentences import differences, sources, wins
from bench.leaderboard.table import MARKS, Cell, Column, Row, Table
from bench.leaderboard.verdicts import LEVEL

EMPTY = "No results to show: the grid is empty, or nothing in it was selected."
PHANTOM = "PHANTOM data: numbers say nothing about medicine."
GAP = "–"
LISTED = 4  # ids of cells that a note names before it counts the others; the cells themselves say what they lack
BEST = "best mean of a column, ties alike, among cells with every seed done"
ALIKE = "the best mean of a column, and every one that is not shown to be worse, among cells with every seed done"
UNTESTED = "not tested, for lack of a second case or of cases and seeds that all have"
LEADS = "the best of its group in a column"
SEEN = "§"  # on cells whose pretraining may have seen test images


@dataclass(frozen=True)
class Note:
    """A sentence on some columns or rows of a table, by index; with neither, on all of it."""

    text: str
    columns: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()


def title(table: Table) -> str:
    """What the table shows, in a line."""
    metrics = ", ".join(dict.fromkeys(map(measure, table.columns)))
    return f"{capitalised(metrics)} on {'PHANTOM' if table.phantom else 'real'} data"


def measure(column: Column) -> str:
    """Its metric with the unit."""
    return label(column.metric) + (f" ({column.scale.unit})" if column.scale.unit else "")


def capitalised(text: str) -> str:
    """As a title begins; but mAP is called that."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].islower() else text


def caption(table: Table, *, best: str, leads: str) -> list[str]:
    """What a reader must know to trust it, in lines of plain text; `best` and `leads` say how such cells are marked."""
    lines = [PHANTOM] if table.phantom else []
    lines += [setting(table), *(note.text for note in fewer_seeds(table)), *legend(table, best=best, leads=leads)]
    lines += [note.text for note in remarks(table)]
    return lines + [f"† {note.text}" for note in incomplete(table)]


def legend(table: Table, *, best: str, leads: str) -> list[str]:
    """What the marks of cells mean."""
    bold = [cell for row in table.rows for cell in row.cells if cell.alike and not cell.best]
    how = [f"p at least {1 - LEVEL:g}: {', '.join(table.tests)}"] if table.tests else []
    how += [UNTESTED] if any(cell.p is None for cell in bold) else []
    tested = f"{ALIKE} ({'; or '.join(how)})" if how else BEST
    seen = any("may have seen" in cell.marks for row in table.rows for cell in row.cells)
    said = [f"{best}: {tested}", *([f"{leads}: {LEADS}"] if grouped(table) else [])]
    return said + ([f"{SEEN}: {MARKS['may have seen']}, by what its authors say"] if seen else [])


def grouped(table: Table) -> bool:
    """Whether its rows are of several groups, which then head them."""
    return len(table.groups) > 1


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
    # A phantom that was drawn for this grid has no official number of cases, and needs none.
    cases = {_task(c): c.completeness for c in table.columns if c.official > 0 or not table.phantom}
    seen = {_task(column): column.seen for column in table.columns if column.seen}
    partial = tuple(index for index, column in enumerate(table.columns) if column.partial)
    found = "; ".join(f"{task} {n}" for task, n in cases.items())
    notes = [Note(f"cases found of the official data set: {found}", partial)] if found else []
    for task, n in seen.items():
        columns = tuple(index for index, column in enumerate(table.columns) if column.seen and _task(column) == task)
        notes.append(Note(f"{task}: {n} test images are also training images, byte for byte", columns))
    for index, row in enumerate(table.rows):
        if row.collapsed:
            seeds = ", ".join(map(str, row.collapsed))
            notes.append(Note(f"{row.method}: its pretraining collapsed (seeds {seeds})", rows=(index,)))
    notes += _release(table)
    notes += (
        [_over(table)] if table.averaged and table.columns else [Note("no mean over columns: their metrics differ")]
    )
    notes = [note for note in notes if note.text] + [Note(text) for text in table.notes]
    return notes + (printed(table, table.beside) if table.beside else [])


def _release(table: Table) -> list[Note]:
    columns = tuple(i for i, column in enumerate(table.columns) if column.metric.startswith("release_"))
    return [Note(MARKS["release"], columns)] if columns and len(columns) < len(table.columns) else []


def _over(table: Table) -> Note:
    """On the columns that means are over, where those are not all."""
    own = [index for index, column in enumerate(table.columns) if not column.part]
    if len(table.averaged_over) == len(own):
        return Note("")
    if not table.averaged_over:
        return Note("no mean: no column is done for any method")
    left = [table.columns[index].name for index in own if index not in table.averaged_over]
    more = f" and {len(left) - LISTED} more" if len(left) > LISTED else ""
    said = f"means are over the {len(table.averaged_over)} of {len(own)} columns that are done for most methods"
    return Note(f"{said}, without {', '.join(left[:LISTED])}{more}")


def printed(table: Table, beside: Beside) -> list[Note]:
    """On the rows that others printed: whose they are, how far from those measured here, and what wins are worth."""
    if table.phantom:
        return [Note("nothing that others printed is set beside phantom data")]
    notes = [Note(text) for text in sources(table, beside)]
    for metric in dict.fromkeys(metric for metrics in beside.elsewhere.values() for metric in metrics):
        columns = tuple(index for index, metrics in beside.elsewhere.items() if metric in metrics)
        of = ", ".join(f"{table.columns[index].task} / {table.columns[index].protocol}" for index in columns)
        notes.append(Note(f"numbers of {of} are printed as {metric}: --metric {metric} has them", columns))
    if not notes:
        notes.append(Note("no number of these columns is printed in the files that were read"))
    return [*notes, *map(Note, differences(beside)), *map(Note, wins(beside))]


def incomplete(table: Table) -> list[Note]:
    """On each row that is, which of its cells have no number, by the ids that `bench show` and `--only` take."""
    return [
        Note(_missing(row, table.columns), rows=(index,)) for index, row in enumerate(table.rows) if not row.complete
    ]


def header(column: Column, table: Table) -> str:
    """The name of a column, with its metric where they differ and its completeness where that is partial."""
    return named(column, "" if table.averaged else f" {label(column.metric)} {arrow(column)}")


def named(column: Column, metric: str = "") -> str:
    """The name of a column, what is to be said of its `metric`, and its completeness where that is partial."""
    partial = f" ({column.found}/{column.official})" if column.partial else ""
    return f"{column.name.replace('/', ' / ')}{metric}{partial}"


def sites_apart(column: Column) -> bool:
    """Whether it is of one of a task's sites, or of their mean or the drop between them."""
    return "@" in column.task


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


def filled(table: Table, block: Sequence[int]) -> list[int]:
    """The rows, by index, that a block of columns shows: all that were measured, and of those printed what it has."""
    return [
        index
        for index, row in enumerate(table.rows)
        if not row.source or any(row.cells[column].state != "absent" for column in block)
    ]


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
        found = (_ids(row, cell, column, state) for cell, column in zip(row.cells, columns, strict=True))
        ids = list(dict.fromkeys(name for names in found for name in names))  # a task's sites are of one cell
        if ids:
            more = f" and {len(ids) - LISTED} more" if len(ids) > LISTED else ""
            said.append(f"{'not in the grid' if state == 'absent' else state}: {', '.join(ids[:LISTED])}{more}")
    done, of = row.coverage
    mean = " and has no mean" if row.mean is None else ""
    return f"{row.method} is incomplete ({done} of {of} done){mean}; {'; '.join(said)}"


def _ids(row: Row, cell: Cell, column: Column, state: str) -> list[str]:
    method, _, protocol = (cell.id or f"{row.method}/{column.name}").rsplit("/", 2)
    name = f"{method}/{_task(column)}/{protocol}"
    seeds = {"failed": cell.failed, "pending": cell.pending}.get(state, ())
    if cell.state == state == "absent" or (seeds and len(seeds) == cell.seeds > 1):
        return [f"{name}/*"]
    return [f"{name}/{seed}" for seed in seeds]
