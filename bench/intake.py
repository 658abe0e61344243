"""Taking a bundle into a store: all of it is unpacked aside and checked, and only then does a record move to its place.

So a bundle that is cut short, damaged or made up leaves nothing behind, however far it was read. What a store has is
never overwritten: a record of a key that is here with other scores or weights is a conflict, for people to look into.
"""

import json
import math
import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.bundle import FILE, OPTIONAL, RECORD, Member, Offer, Reading, reading, seals
from bench.errors import BenchError, reason
from bench.files import write_whole
from bench.keys import canonical, file_digest
from bench.store import Record, Store

State = Literal["imported", "here", "completed", "conflict"]

# What a board, `bench show` and `bench plan` read of every record.
FACTS: dict[str, type | tuple[type, ...]] = {
    **{"id": str, "kind": str, "method": str, "task": str, "protocol": str, "started": str},
    **{"seed": int, "phantom": bool, "seconds": (int, float), "data": list},
}
DATA = {"name": str, "kind": str, "fingerprint": str, "found": int, "official": int}


@dataclass(frozen=True)
class Outcome:
    """What became of a record or split of a bundle."""

    id: str
    key: str  # of a split there is none
    state: State
    why: str = ""


def take_in(file: Path, store: Store) -> list[Outcome]:
    """Merge a bundle into a store. Raises BenchError, and changes nothing, where the bundle is not sound."""
    try:
        with reading(file) as bundle, store.draft("import") as draft:
            _require_room(bundle, store)
            staged = _staged(bundle, Store(draft), store)
            found = [_merge(offer, record, store) for offer, record in staged]
            return found + [_keep_split(draft / member.name, store) for member in bundle.splits]
    except OSError as exc:
        raise BenchError(
            f"{exc.filename or store.root}: {exc.strerror}; once that is mended, the same `bench import` goes on"
        ) from None


def _require_room(bundle: Reading, store: Store) -> None:
    needed = sum(m.bytes for offer in bundle.offers for m in offer.members) + sum(m.bytes for m in bundle.splits)
    if needed > (free := shutil.disk_usage(store.root).free):
        bundle.refuse("it", f"unpacks to {needed / 1e6:.1f} MB, and there are {free / 1e6:.1f} MB free")


def _staged(bundle: Reading, staging: Store, store: Store) -> list[tuple[Offer, Record]]:
    """Unpack all of a bundle into a store of its own, and believe of it what is as this program writes it."""
    for offer in bundle.offers:
        staging.job(offer.key).mkdir(parents=True)
        here = store.record(offer.key)
        for member in offer.members:
            spare = here is not None and member.file in OPTIONAL and (here.folder / member.file).exists()
            _unpack(bundle, member, staging, keep=not spare)
    if bundle.splits:
        (staging.root / "splits").mkdir()
    for member in bundle.splits:
        _unpack(bundle, member, staging)
        if not _is_split(staging.root / member.name):
            bundle.refuse(member.name, "is no list of case ids by part")
    bundle.end()
    return [(offer, _believed(bundle, offer, staging)) for offer in bundle.offers]


def _believed(bundle: Reading, offer: Offer, staging: Store) -> Record:
    """The record of an offer that was unpacked."""
    where = f"jobs/{offer.key}/{RECORD}"
    try:
        record = staging.record(offer.key)
        why = next(_faults(record, offer), "") if record else "is no record of that key: its parts hash to another"
    except Exception as exc:  # whatever facts that were made up lead to
        bundle.refuse(where, f"is not as `bench run` writes it ({type(exc).__name__})")
    if record is None or why:
        bundle.refuse(where, why)
    return record


def _unpack(bundle: Reading, member: Member, staging: Store, *, keep: bool = True) -> None:
    if not keep:
        bundle.take(member)
        return
    with (staging.root / member.name).open("xb") as to:
        bundle.take(member, to)


def _is_split(path: Path) -> bool:
    try:
        split = json.loads(path.read_bytes())
        return all(isinstance(case, str) for part in ("train", "val", "test") for case in split[part])
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


# ---------------------------------------------------------------------------------------------- what is believed


def _faults(record: Record, offer: Offer) -> Iterator[str]:
    """In what a record is not as this program writes it, so that nothing that reads a store stumbles over it."""
    facts = record.facts
    canonical(facts)  # raises where a number is not finite
    yield from (f"its `{name}` is missing or of another type" for name in _mistyped(facts, FACTS))
    yield from (f"its `data` have no sound `{name}`" for one in facts["data"] for name in _mistyped(one, DATA))
    middle = "pretrain" if facts["kind"] == "pretrain" else f"{facts['task']}/{facts['protocol']}"
    if facts["id"] != offer.id or offer.id != f"{facts['method']}/{middle}/{facts['seed']}":
        yield f"its id is not {offer.id}, made of its method, task, protocol and seed"
    if not offer.id.isprintable() or not all(map(_is_harmless, _texts(facts))):
        yield "it holds control characters"
    if facts["phantom"] != _is_of_phantoms(record.parts):
        yield "its `phantom` is not what its parts say of the data"
    yield from _unsealed(record, offer)
    if facts["kind"] == "evaluate":
        yield from _undrawable(record, {member.file for member in offer.members})
    elif facts["kind"] != "pretrain":
        yield "its `kind` is neither pretrain nor evaluate"


def _mistyped(found: Any, types: dict[str, Any]) -> Iterator[str]:
    for name, kind in types.items():
        value = found.get(name) if isinstance(found, dict) else None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            yield name


def _texts(value: Any) -> Iterator[str]:
    """Every piece of text in a JSON value."""
    if isinstance(value, dict):
        yield from value
        value = [*value.values()]
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def _is_harmless(text: str) -> bool:
    """Whether a terminal only shows a text; an escape sequence in a note could hide what stands before it."""
    return text.isprintable() or all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") for c in text)


def _is_of_phantoms(parts: dict[str, Any]) -> bool:
    """What a key says of the data behind it, which a record cannot be made to deny."""
    corpus = parts.get("encoder", parts).get("corpus", [])
    return any(one["kind"] == "phantom" for one in [*corpus, *([parts["task"]] if "task" in parts else [])])


def _unsealed(record: Record, offer: Offer) -> Iterator[str]:
    """Files that the record does not vouch for."""
    said = record.facts.get("files")
    if said is not None:
        if not isinstance(said, dict) or not all(FILE.fullmatch(name) and isinstance(said[name], str) for name in said):
            yield "its `files` are not names and SHA-256"
            return
        for member in offer.members:
            if member.file != RECORD and said.get(member.file) != member.sha256:
                yield f"it has not the SHA-256 of {member.file}"


def _undrawable(record: Record, files: set[str]) -> Iterator[str]:
    """Why no board can be drawn from the record of a cell."""
    from bench.leaderboard.results import of_record

    if missing := {"scores.csv", *(["detections.csv"] if "classes" in record.facts else [])} - files:
        yield f"it comes without {min(missing)}"
    try:
        scores = record.scores()
        if any(not math.isfinite(value) for column in scores.values() for value in column.values()):
            yield "a score is no finite number"
        if any(result.state != "done" for result in of_record(record)):
            yield "it has no scores of its `primary` metric"
    except Exception as exc:  # whatever facts that were made up lead to
        why = reason(exc).replace(f"{record.folder}/", "").partition(";")[0]
        yield f"no board can be drawn from it ({why})"


# ---------------------------------------------------------------------------------------------- what becomes of it


def _merge(offer: Offer, theirs: Record, store: Store) -> Outcome:
    """Take in a record, complete the one that is here, or say in which files the two differ."""
    if store.adopt(theirs.folder, offer.key):
        return Outcome(offer.id, offer.key, "imported")
    ours = store.record(offer.key)
    if ours is None:
        raise BenchError(f"{store.job(offer.key)}: was dropped meanwhile; run the same `bench import` again")
    here, there = seals(ours), seals(theirs)
    if differing := sorted(name for name in here.keys() & there.keys() if here[name] != there[name]):
        return Outcome(offer.id, offer.key, "conflict", f"{', '.join(differing)}: not the same here; kept what is here")
    lost = [m.file for m in offer.members if m.file in here or "files" not in ours.facts]
    lost = [name for name in lost if not (ours.folder / name).exists()]
    for name in lost:
        store.complete(offer.key, theirs.folder / name)
    return Outcome(offer.id, offer.key, "completed" if lost else "here", ", ".join(lost))


def _keep_split(path: Path, store: Store) -> Outcome:
    here = store.root / "splits" / path.name
    name = f"splits/{path.name}"
    if not here.exists():
        write_whole(here, path.read_bytes())
        return Outcome(name, "", "imported")
    if file_digest(here) == file_digest(path):
        return Outcome(name, "", "here")
    return Outcome(name, "", "conflict", "other cases than here; kept what is here")
