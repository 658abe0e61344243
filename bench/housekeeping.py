"""What takes how much space in a store, and what of it nothing needs.

A store may be shared by grids, machines and runs under way, and some of it took days of a GPU. So in doubt a thing is
kept: what has a claim (`claims/<key>.json`, a job under way), what was touched within the last hour, what another grid
may have computed, and what is not known here at all. A link is never followed: it is a small thing of its own.
"""

import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.claims import Claims
from bench.store import Record, Store

NEEDED, OTHERS, AWAY = "records of this grid", "records of no job of this grid", "records of absent data"
UNREAD, DAMAGED = "unreadable, in jobs/", "damaged records, set aside"
GOING_ON, DONE_WITH = "checkpoints to go on from", "checkpoints of finished jobs"
NOBODYS = "checkpoints of no job here"
FAILED, FAILED_OTHERS = "failures of this grid", "failures of no job here"
DRAFTS, CACHES = "left over from killed runs", "caches"
PHANTOMS, OLD_PHANTOMS = "phantoms of this grid", "phantoms of no task here"
LOGS, OLD_LOGS, SMALL = "logs", "logs of no job here", "splits, digests and others"

YOUNG = 3600.0  # seconds: whoever writes something without a claim touches it more often
DRAFT = re.compile(r"\.(?:damaged-|dropped-)?(?P<name>.+)-[0-9a-f]{8}")


@dataclass(frozen=True)
class Needs:
    """What a grid asks of its store."""

    keys: frozenset[str]  # of all its jobs
    phantoms: frozenset[str] = frozenset()  # folders under phantoms/
    away: frozenset[str] = frozenset()  # its data and methods whose keys cannot be told, since files are not here


@dataclass(frozen=True)
class Thing:
    """A file or folder of the store that is kept or dropped as a whole."""

    path: Path
    what: str
    bytes: int
    drop: bool
    why: str = ""  # it is kept although nothing needs it


@dataclass(frozen=True)
class Wish:
    """What the user also wants dropped, whatever its age: what is dear, or will be needed again."""

    records: bool = False
    caches: bool = False


def survey(store: Store, needs: Needs, wish: Wish = Wish()) -> list[Thing]:
    """Everything in the store, and what of it would be dropped. What vanishes meanwhile is left out."""
    store = Store(store.root.resolve())  # the store itself may be a link; nothing in it is followed
    claims, records = claimed(store), {record.key: record for record in store.records()}
    listed = [
        *_jobs(store, needs, records),
        *_checkpoints(store, needs, records),
        *_of_keys(store, "failures", needs.keys, FAILED, FAILED_OTHERS),
        *_of_keys(store, "logs", needs.keys | records.keys() | _failed(store), LOGS, OLD_LOGS),
        *_phantoms(store, needs),
        *_rest(store),
    ]
    judge = _Judge(claims, wish, time.time() - YOUNG)
    return [thing for path, what in listed if (thing := judge.thing(path, what))]


def claimed(store: Store) -> frozenset[str]:
    """Keys of the jobs under way: those that somebody has who is not known to be dead."""
    claims = Claims(store.root / "claims")
    names = (path.name for path in _entries(claims.folder))
    keys = {name.partition(".")[0] for name in names if not name.startswith(".")}
    return frozenset(key for key in keys if not ((holder := claims.holder(key)) and holder.dead))


def drop(store: Store, things: Iterable[Thing], needs: Needs, wish: Wish = Wish()) -> tuple[int, list[str]]:
    """Drop what a survey said may go and what may still go now. Returns the bytes freed, and what could not be dropped.

    The user may have thought for an hour, and a run may have begun meanwhile.
    """
    agreed, freed, problems = {thing.path for thing in things if thing.drop}, 0, []
    for thing in survey(store, needs, wish):
        if thing.drop and thing.path in agreed:
            try:
                _remove(store, thing)
                freed += thing.bytes
            except OSError as exc:
                problems.append(f"{thing.path}: {exc.strerror or exc}; see to its permissions, and run this again")
    return freed, problems


def _remove(store: Store, thing: Thing) -> None:
    if thing.what == OTHERS and _is_folder(thing.path):
        store.drop(thing.path.name)  # by a rename first: who reads it meanwhile finds all of it or none
    elif not _is_folder(thing.path):
        thing.path.unlink(missing_ok=True)
    while _is_folder(thing.path):
        with suppress(FileNotFoundError):  # somebody else is dropping the same
            shutil.rmtree(thing.path)


def rows(things: Sequence[Thing]) -> list[dict[str, Any]]:
    """The things by what they are and what becomes of them: `what`, `things`, `bytes`, `drop`, `why`."""
    order = [NEEDED, OTHERS, AWAY, UNREAD, GOING_ON, DONE_WITH, NOBODYS, FAILED, FAILED_OTHERS, DAMAGED, DRAFTS]
    order += [CACHES, PHANTOMS, OLD_PHANTOMS, LOGS, OLD_LOGS, SMALL]
    groups: dict[tuple[str, bool, str], list[int]] = {}
    for thing in sorted(things, key=lambda thing: (order.index(thing.what), thing.drop, thing.why)):
        groups.setdefault((thing.what, thing.drop, thing.why), []).append(thing.bytes)
    return [
        {"what": what, "things": len(sizes), "bytes": sum(sizes), "drop": dropped, "why": why}
        for (what, dropped, why), sizes in groups.items()
    ]


@dataclass(frozen=True)
class _Judge:
    """Decides of each thing whether it goes."""

    claims: frozenset[str]
    wish: Wish
    old: float  # when something must have been touched last to be old

    def thing(self, path: Path, what: str) -> Thing | None:
        measured = _measure(path)
        if measured is None:
            return None
        size, touched = measured
        why = self._spared(path, what, touched)
        return Thing(path, what, size, why == "", why or "")

    def _spared(self, path: Path, what: str, touched: float) -> str | None:
        """Why a thing is kept though nothing needs it; empty if it goes; None if it is needed."""
        if what in (NEEDED, UNREAD, GOING_ON, FAILED, PHANTOMS, LOGS, SMALL):
            return None
        if what == AWAY:
            return "its data or weights are not here"
        if _key(path) in self.claims or (what in (CACHES, OLD_PHANTOMS) and self.claims):
            return "a job is under way"
        if what == OTHERS:
            return "" if self.wish.records else "only with --records"
        if what == CACHES:
            return "" if self.wish.caches else "only with --caches"
        return "touched within the hour" if touched > self.old else ""


def _key(path: Path) -> str:
    """The key, or name, that a file, folder or draft is of."""
    draft = DRAFT.fullmatch(path.name)
    return (draft["name"] if draft else path.name).partition(".")[0]


# ---------------------------------------------------------------------------------------------- what there is


def _jobs(store: Store, needs: Needs, records: dict[str, Record]) -> Iterator[tuple[Path, str]]:
    for path in _entries(store.root / "jobs"):
        record = records.get(path.name)
        if path.name in needs.keys:
            yield path, NEEDED if record else UNREAD
        elif record:
            yield path, AWAY if _is_away(record, needs) else OTHERS
        elif DRAFT.fullmatch(path.name):
            yield path, DAMAGED if path.name.startswith(".damaged-") else DRAFTS
        else:
            yield path, UNREAD


def _is_away(record: Record, needs: Needs) -> bool:
    """Whether a record is of real data that the grid names and that are not here: unplugged, and not given up."""
    facts = record.facts
    names = {str(facts.get("method")), *(str(one.get("name")) for one in facts.get("data", []))}
    return not facts.get("phantom") and bool(names & needs.away)


def _checkpoints(store: Store, needs: Needs, records: dict[str, Record]) -> Iterator[tuple[Path, str]]:
    away = any(_is_away(record, needs) for record in records.values())
    for path in _entries(store.root / "partial"):
        if path.name in records:
            yield path, DONE_WITH
        elif path.name in needs.keys or away:  # it may be of the data that are away
            yield path, GOING_ON
        else:
            yield path, NOBODYS


def _of_keys(store: Store, folder: str, keys: Iterable[str], known: str, other: str) -> Iterator[tuple[Path, str]]:
    for path in _entries(store.root / folder):
        if DRAFT.fullmatch(path.name):
            yield path, DRAFTS
        else:
            yield path, known if _key(path) in keys else other


def _failed(store: Store) -> set[str]:
    return {_key(path) for path in _entries(store.root / "failures")}


def _phantoms(store: Store, needs: Needs) -> Iterator[tuple[Path, str]]:
    for path in _entries(store.root / "phantoms"):
        known = PHANTOMS if path.name in needs.phantoms else OLD_PHANTOMS
        yield path, DRAFTS if path.name.startswith(".") else known


def _rest(store: Store) -> Iterator[tuple[Path, str]]:
    """Caches file by file, since a draft lies among them; and all that is small or unknown."""
    for top in _entries(store.root):
        if top.name in ("jobs", "partial", "failures", "logs", "phantoms") and not top.is_symlink():
            continue
        for path in _files(top):
            kept = CACHES if top.name == "cache" and path != top else SMALL
            yield path, DRAFTS if DRAFT.fullmatch(path.name) and top.name != "claims" else kept


# ---------------------------------------------------------------------------------------------- reading the disk


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder; nothing if it is a link, or is not there."""
    if folder.is_symlink():
        return []
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _files(top: Path) -> Iterator[Path]:
    """All files and links under a path, or itself."""
    if top.is_symlink() or not top.is_dir():
        yield top
    for path in _entries(top):
        yield from _files(path)


def _measure(path: Path) -> tuple[int, float] | None:
    """Bytes, and when something in it was touched last; None if it is gone."""
    try:
        own = path.lstat()
    except FileNotFoundError:
        return None
    size, touched = 0 if _is_folder(path) else own.st_size, own.st_mtime
    for inside in filter(None, map(_measure, _entries(path) if _is_folder(path) else ())):
        size, touched = size + inside[0], max(touched, inside[1])
    return size, touched


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
