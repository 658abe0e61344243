"""Numbers that papers print: a CSV file of them, read as hostile until it is checked.

A line is one number of one table. Those that ship are in `leaderboards/published/`; a user's lie in `published/` beside
the grid. `task`, `protocol` and `metric` are our names for what was printed, and `method_plugin` names the plug-ins,
parted by spaces, that are the printed method, where there are any. A task that is several, parted by spaces, is a mean
over them; `value` and `sd` are in `unit`: "%", "mm", or nothing for a number as it is.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.tables import read_table
from bench.errors import BenchError, unknown
from bench.leaderboard.names import scale_of

# fmt: off
COLUMNS = (
    "source", "table", "method", "method_plugin", "group", "backbone", "task", "protocol", "setting", "metric", "value",
    "sd", "trials", "n_test", "unit", "note",
)
# fmt: on
NEEDED = ("source", "table", "method", "task", "protocol", "metric", "value")  # of each line, the rest may be empty
UNITS = {"%": 100.0, "mm": 1.0, "": 1.0}
FOLDER = "published"


@dataclass(frozen=True)
class Published:
    """One printed number, in the unit of the store: a fraction where boards show a percentage."""

    source: str
    table: str
    method: str
    plugins: tuple[str, ...]  # that are this method, here
    group: str
    backbone: str
    tasks: tuple[str, ...]  # one, or those that it is a mean over
    protocol: str
    setting: str
    metric: str
    value: float
    sd: float | None  # as printed; most are over trials
    trials: int | None
    n_test: int | None  # test cases
    note: str
    place: str  # file:line, for messages

    @property
    def name(self) -> str:
        """The printed method as a row is called."""
        return ", ".join(filter(None, (self.method, self.backbone, self.setting)))

    @property
    def column(self) -> tuple[str, str]:
        """Task and protocol, as of a column of a board."""
        return " ".join(self.tasks), self.protocol

    @property
    def row(self) -> tuple[str, ...]:
        """What the numbers of a row of a table share."""
        return self.group, self.name, self.protocol

    @property
    def key(self) -> tuple[str, ...]:
        """What no two lines share."""
        return self.source, self.table, self.name, *self.column, self.metric


def read(path: Path, tasks: Collection[str], protocols: Collection[str]) -> list[Published]:
    """The numbers of a file, of tasks and protocols that exist.

    Raises BenchError, naming file, line and rule, for what is no table, lacks a column or a value that is needed, has
    a number that is none or out of range, a name that nobody knows, or a number twice.
    """
    rows = [_row(place, fields, tasks, protocols) for place, fields in read_table(path, COLUMNS)]
    if not rows:
        raise BenchError(f"{path}: has a header and no numbers; add a line for each, or remove the file")
    distinct(rows)
    return rows


def distinct(rows: Iterable[Published]) -> None:
    """Raise BenchError where a number is there twice, of whichever files."""
    places: dict[tuple[str, ...], str] = {}
    for row in rows:
        if first := places.get(row.key):
            what = f"{row.name} on {' / '.join(row.column)} in table {row.table} of {row.source}"
            raise BenchError(f"{row.place}: {what} is already at {first}; remove one, or tell them apart by `setting`")
        places[row.key] = row.place


def shipped() -> Path:
    """The folder of the files that ship: inside the package where it is installed, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / FOLDER
    return inside if inside.is_dir() else package.parent / "leaderboards" / FOLDER


def files(grid: Path) -> list[Path]:
    """The files that ship and then those beside a grid, each by name."""
    folders = dict.fromkeys(folder.resolve() for folder in (shipped(), grid.parent / FOLDER))
    return [path for folder in folders for path in sorted(folder.glob("*.csv"))]


def load(paths: Sequence[Path], tasks: Collection[str], protocols: Collection[str]) -> list[Published]:
    """The numbers of several files; no number may be in two of them. Raises BenchError."""
    rows = [row for path in paths for row in read(path, tasks, protocols)]
    distinct(rows)
    return rows


# ---------------------------------------------------------------------------------------------- one line


def _row(place: str, fields: dict[str, str], tasks: Collection[str], protocols: Collection[str]) -> Published:
    for name in NEEDED:
        if not fields[name]:
            raise BenchError(f"{place}: {name} is empty; it is needed in every line")
    named = tuple(fields["task"].split())
    for task in named:
        if task.partition("@")[0] not in tasks:
            raise unknown("task", task, tasks, where=place)
    if fields["protocol"] not in protocols:
        raise unknown("protocol", fields["protocol"], protocols, where=place)
    value, sd = _value(place, fields), _number(place, "sd", fields["sd"])
    if sd is not None and sd < 0:
        raise BenchError(f"{place}: sd is {fields['sd']}; give 0 or more, or leave it empty")
    return Published(
        **{name: fields[name] for name in ("source", "table", "method", "group", "backbone", "protocol", "setting")},
        plugins=tuple(fields["method_plugin"].split()),
        tasks=named,
        metric=fields["metric"],
        value=value,
        sd=None if sd is None else sd / UNITS[fields["unit"]],
        trials=_count(place, "trials", fields["trials"]),
        n_test=_count(place, "n_test", fields["n_test"]),
        note=fields["note"],
        place=place,
    )


def _value(place: str, fields: dict[str, str]) -> float:
    """In the unit of the store; the unit of the line must be one that its metric can have."""
    metric, unit, shown = fields["metric"], fields["unit"], scale_of(fields["metric"]).unit
    if unit not in UNITS:
        raise unknown("unit", unit, filter(None, UNITS), where=place)
    if unit not in ("", shown):
        can = f"write {shown}, or leave it empty" if shown else "leave it empty"
        raise BenchError(f"{place}: unit is {unit}, which {metric} is not measured in; {can}")
    value = _number(place, "value", fields["value"])
    assert value is not None
    value /= UNITS[unit]
    if shown == "%" and not 0 <= value <= 1:
        mend = "give a percentage from 0 to 100" if unit else "give a fraction from 0 to 1, or write % as its unit"
        raise BenchError(f"{place}: value is {fields['value']}, which no {metric} can be; {mend}")
    return value


def _number(place: str, name: str, text: str) -> float | None:
    try:
        number = float(text) if text else None
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise BenchError(f"{place}: {name} is {text!r}, no finite number; write it with a point, such as 83.05")
    return number


def _count(place: str, name: str, text: str) -> int | None:
    if text and not (text.isascii() and text.isdigit() and int(text[:10]) > 0 and len(text) <= 10):
        raise BenchError(f"{place}: {name} is {text!r}, no whole number from 1; leave it empty where it is not known")
    return int(text) if text else None
