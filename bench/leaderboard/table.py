"""What a leaderboard says, before any format is chosen.

A table holds raw numbers in the unit of the metric; `Column.scale` alone decides how a reader is shown them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.leaderboard.names import Scale, scale_of

if TYPE_CHECKING:
    from bench.leaderboard.beside import Beside

MARKS = {
    "partial data": "the data set is not whole",
    "seen in training": "some test images are training images of the task, as published",
    "may have seen": "the pretraining may have seen test images",
    "release": "the metric is that of LVM-Med's release",
    "collapsed": "the pretraining collapsed",
}


@dataclass(frozen=True)
class Column:
    """A task under a protocol, its primary metric, and how much of the task's data set was there."""

    task: str
    protocol: str
    metric: str
    higher_is_better: bool
    found: int
    official: int
    seen: int = 0  # test cases whose image is also a training image, at most
    part: bool = False  # of what another column tells whole, and so in no mean over columns
    family: str = ""

    @property
    def name(self) -> str:
        """As in a cell's id; a column of several protocols has the task's alone."""
        return f"{self.task}/{self.protocol}" if self.protocol else self.task

    @property
    def partial(self) -> bool:
        """Whether the data are known not to be the official data set: some missing, or some too many."""
        return self.official > 0 and self.found != self.official

    @property
    def completeness(self) -> str:
        """In words: "1600 of 2594", or "unknown"."""
        return f"{self.found} of {self.official}" if self.official > 0 else "unknown"

    @property
    def scale(self) -> Scale:
        """How its numbers are shown."""
        return scale_of(self.metric)


@dataclass(frozen=True)
class Cell:
    """A method entry in a column: raw numbers over the seeds that are done, None where they are not defined.

    `state` is "done" (every seed), "partial" (some), "failed" (none, and at least one failed), "pending", "absent" (the
    grid does not ask for it) or "published" (as others print it). `std` needs two seeds, `low` and `high` two cases.

    Of cells with every seed done, those with the best mean of the column are `best`, and ties are all; `alike` are they
    and every one that is not shown to be worse than them: one whose `p` is at least 0.05 or that cannot be tested, and
    so has none. `p` is against the best, of several the least different, adjusted for all pairs of the column. `leads`
    is the best of the rows of its group, where those are several.
    """

    state: str
    done: tuple[int, ...] = ()  # seeds
    failed: tuple[int, ...] = ()
    pending: tuple[int, ...] = ()
    cases: int = 0
    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    best: bool = False
    alike: bool = False
    leads: bool = False
    p: float | None = None
    seed_means: tuple[float, ...] = ()  # of the seeds that are done
    records: tuple[str, ...] = ()  # keys of their records
    marks: tuple[str, ...] = ()  # what a reader must know, from `MARKS`
    id: str = ""  # method/task/protocol, where that is not the row and the column

    @property
    def seeds(self) -> int:
        """How many seeds the grid asks for."""
        return len(self.done) + len(self.failed) + len(self.pending)


@dataclass(frozen=True)
class Row:
    """A method entry; `mean` is over the columns that the table is `averaged_over`, and only where all are done."""

    method: str
    cells: tuple[Cell, ...]
    mean: float | None
    collapsed: tuple[int, ...] = ()  # seeds whose pretraining collapsed
    source: str = ""  # of numbers that others printed; none: measured here
    group: str = ""

    @property
    def complete(self) -> bool:
        """Whether every cell is done, with all its seeds; what others printed has no more to come."""
        return bool(self.source) or self.coverage[0] == self.coverage[1]

    @property
    def coverage(self) -> tuple[int, int]:
        """How many of its cells are done, of how many."""
        return sum(cell.state == "done" for cell in self.cells), len(self.cells)


@dataclass(frozen=True)
class Table:
    """One leaderboard, of real or of phantom data, never both."""

    phantom: bool
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]  # every seed the grid asks for, in its order
    level: float
    interval: str  # the method, in words
    beside: "Beside | None" = None  # what is said of printed rows, which come last
    averaged_over: tuple[int, ...] = ()  # columns, by index, of the common sub-grid, that means are over
    tests: tuple[str, ...] = ()  # in words, by which cells are told from the best
    notes: tuple[str, ...] = ()  # of what made it, such as a layout

    @property
    def name(self) -> str:
        """The kind of data: "real" or "phantom"."""
        return "phantom" if self.phantom else "real"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of its columns, each once."""
        return tuple(dict.fromkeys(column.metric for column in self.columns if not column.part))

    @property
    def averaged(self) -> bool:
        """Whether a mean over columns means anything: they share one metric."""
        return len(self.metrics) == 1

    @property
    def groups(self) -> tuple[str, ...]:
        """Of its measured rows, each once."""
        return tuple(dict.fromkeys(row.group for row in self.rows if not row.source))

    @property
    def families(self) -> tuple[str, ...]:
        """Of its columns, each once."""
        return tuple(dict.fromkeys(column.family for column in self.columns))
