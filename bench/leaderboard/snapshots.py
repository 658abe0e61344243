"""The cells of a store, or of a grid, as they can be compared with those of another time or place.

Records come from elsewhere: one that cannot be read is named and passed over, and stops nothing.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from bench.bundle import KEY
from bench.errors import BenchError, reason, unknown
from bench.leaderboard.result import Result
from bench.leaderboard.results import of_record
from bench.store import Record, Store


@dataclass(frozen=True, eq=False)
class Kept:
    """A cell as a store keeps it: what a board shows of it, and every number that was measured."""

    record: Record
    result: Result  # of a task whose sites are scored apart, their mean
    scores: dict[str, dict[str, float]]  # by metric and case
    detections: str = ""  # SHA-256 of all that was found

    @property
    def id(self) -> str:
        """Of its record."""
        return self.record.id

    @property
    def key(self) -> str:
        """Of its record."""
        return self.record.key

    @property
    def started(self) -> str:
        """When, as the record has it; by this a board knows the newest."""
        return str(self.record.facts.get("started", ""))

    @property
    def environment(self) -> dict[str, Any]:
        """What it was computed with."""
        found = self.record.facts.get("environment", {})
        return found if isinstance(found, dict) else {}


class Damage(NamedTuple):
    """A folder of a record that could not be read, or not in full, and why."""

    folder: Path
    why: str

    def __str__(self) -> str:
        """In a line."""
        return f"{self.folder}: {self.why}"

    @property
    def key(self) -> str:
        """Of the record, which names its folder."""
        return self.folder.name


@dataclass(frozen=True)
class Snapshot:
    """What there is of cells, old records too, in the order of their keys; and what could not be read."""

    cells: tuple[Kept, ...]
    damaged: tuple[Damage, ...] = ()

    @property
    def newest(self) -> dict[str, Kept]:
        """The newest cell of each id, by id."""
        found = {cell.id: cell for cell in sorted(self.cells, key=lambda cell: cell.started)}
        return {name: found[name] for name in sorted(found)}


def of_store(store: Store, metric: str = "") -> Snapshot:
    """Every cell of a store, old and new, with each task's primary metric, or those that have this `metric`.

    Raises BenchError for a metric that no record has.
    """
    whole = of_records(store.records(), metric, str(store.root))
    return Snapshot(whole.cells, (*damaged(store), *whole.damaged))


def of_records(records: Iterable[Record], metric: str = "", where: str = "the records") -> Snapshot:
    """The cells of these records, as `of_store`; pretrainings have no score and are left out."""
    cells, broken, others = list[Kept](), list[Damage](), set[str]()
    for record in records:
        try:
            if record.facts["kind"] != "evaluate":
                continue
            if metric and metric not in (names := _metrics(record)):
                others |= names
                continue
            cells.append(_kept(record, metric))
        except Exception as exc:  # whatever facts that were made up lead to
            broken.append(Damage(record.folder, reason(exc).replace(f"{record.folder}/", "")))
    if others and not cells:
        raise unknown("metric", metric, others, where=where)
    return Snapshot(tuple(cells), tuple(broken))


def before(whole: Snapshot, moment: datetime) -> Snapshot:
    """The cells that had a record at that moment; those whose record does not say when it was made count as damaged."""
    cells, broken = list[Kept](), list[Damage]()
    for cell in whole.cells:
        try:
            if ended(cell.record) <= moment:
                cells.append(cell)
        except BenchError as exc:
            broken.append(Damage(cell.record.folder, reason(exc)))
    return Snapshot(tuple(cells), (*whole.damaged, *broken))


def damaged(store: Store) -> list[Damage]:
    """Folders of a store that should be records and are none."""
    folder = store.root / "jobs"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    why = "is no record: record.json is missing or damaged, or its parts do not hash to the name of the folder"
    return [Damage(path, why) for path in paths if KEY.fullmatch(path.name) and store.record(path.name) is None]


def _metrics(record: Record) -> set[str]:
    found = record.detections()
    return {*record.scores(), *(found.metrics if found else ())}


def _kept(record: Record, metric: str) -> Kept:
    if not isinstance(record.id, str) or not isinstance(record.parts, dict):
        raise BenchError("its id is no text, or its parts are no table")
    results = of_record(record, metric)
    whole = next(result for result in results if not result.part)
    if whole.state != "done":
        raise BenchError("has no scores of its `primary` metric")
    seal = record.facts.get("files", {}).get("detections.csv", "") if whole.detections else ""
    return Kept(record, whole, record.scores(), str(seal))


# ---------------------------------------------------------------------------------------------- time


def ended(record: Record) -> datetime:
    """When the job of a record had ended. Raises BenchError where the record does not say."""
    try:
        start = _utc(datetime.fromisoformat(record.facts["started"]))
        return start + timedelta(seconds=float(record.facts.get("seconds", 0.0)))
    except (ValueError, TypeError, KeyError, OverflowError):
        raise BenchError("does not say when it was made: its `started` is no time") from None


def moment(text: str, records: Sequence[Record], where: str) -> tuple[datetime, str]:
    """The moment that a record or a date names, in UTC, and in words which; a date is its first second.

    A record is named by its id, which is its newest one, by its key, or by six or more of the first digits of that.
    Then it is the moment when its job had ended. Raises BenchError where `text` names none, or several.
    """
    if of_id := [r for r in records if r.id == text]:
        named = {r.key: r for r in sorted(of_id, key=lambda r: str(r.facts.get("started", "")))[-1:]}
    else:
        named = {r.key: r for r in records if len(text) >= 6 and r.key.startswith(text.lower())}
    if len(named) > 1:
        raise BenchError(f"{where}: {text} begins {len(named)} keys, {' and '.join(sorted(named)[:2])} among them")
    for record in named.values():
        try:
            return ended(record), f"{record.id} ({record.key[:8]})"
        except BenchError as exc:
            raise BenchError(f"{record.folder}: {exc}") from None
    with suppress(ValueError, OverflowError):
        return _utc(datetime.fromisoformat(text)), text
    if "/" in text:
        raise unknown("cell", text, {str(r.id) for r in records}, where=where)
    raise BenchError(
        f"{where}: `{text}` is no record and no date; give a cell's id, six or more digits of a record's key,"
        " or a date such as 2026-01-31 or 2026-01-31T18:00 (UTC)"
    )


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
