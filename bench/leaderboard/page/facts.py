"""What stands behind a cell: its record's settings, data and environment, and the pretraining it was computed from.

Most of it is the same from record to record, so each part is kept once and named by its number.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from bench.keys import digest, plain
from bench.leaderboard import words
from bench.store import Record

# fmt: off
ALONE = ("seed", "started", "seconds", "images_per_second", "peak_memory_mb", "collapsed", "summary", "chosen", "files")
SHARED = ("environment", "data", "cases")
POINTS = 200  # of a curve: more than a small figure can show
# fmt: on


class Shared:
    """Objects, each kept once, in the order they first came."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """Its number."""
        text = json.dumps(value, sort_keys=True)
        if text not in self._places:
            self._places[text] = len(self.all)
            self.all.append(value)
        return self._places[text]


def facts(records: Iterable[Record], wanted: Iterable[str]) -> dict[str, Any]:
    """`records` by key, those wanted and the pretrainings they come from; `shared`, what their numbers stand for."""
    known, shared = {record.key: record for record in records}, Shared()
    found: dict[str, Any] = {}
    for key in dict.fromkeys(wanted):
        if record := known.get(key):
            found[key] = told(record, shared)
            source = known.get(pretraining(record))
            if source and source.key != key:
                found[key]["pretraining"] = source.key
                found.setdefault(source.key, told(source, shared))
    return {"records": found, "shared": shared.all}


def pretraining(record: Record) -> str:
    """The key that the pretraining behind a cell has, if it was pretrained here."""
    encoder = record.parts.get("encoder")
    return digest(encoder) if isinstance(encoder, Mapping) else ""


def told(record: Record, shared: Shared) -> dict[str, Any]:
    """A record in the words of the page: what is its own, and the numbers of what it shares with others."""
    said = {"id": record.id, **{name: record.facts[name] for name in ALONE if name in record.facts}}
    said |= {name: shared.place(clean(record.facts[name])) for name in SHARED if name in record.facts}
    for name, part in _settings(record.parts).items():
        said[name] = shared.place(clean(part))
    if isinstance(history := record.facts.get("history"), Mapping):
        said["history"] = {name: _thinned(values) for name, values in history.items() if isinstance(values, list)}
    found: dict[str, Any] = clean(said)
    return found


def _settings(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Of encoder, protocol and task, without the seed, which alone tells seeds apart."""
    of = parts if parts.get("kind") == "encoder" else parts.get("encoder")
    encoder = {k: v for k, v in of.items() if k not in ("seed", "kind")} if isinstance(of, Mapping) else None
    every = {"encoder": encoder, "protocol": parts.get("protocol"), "task": parts.get("task")}
    return {name: part for name, part in every.items() if part}


def _thinned(values: list[Any]) -> list[Any]:
    """So many points of a curve, to five digits; the last is kept."""
    every = math.ceil(len(values) / POINTS)
    kept = values[:: every or 1] + (values[-1:] if every > 1 and (len(values) - 1) % every else [])
    return [float(f"{v:.5g}") if isinstance(v, float) and math.isfinite(v) else v for v in kept]


def clean(value: Any) -> Any:
    """As JSON can hold it and a page may show it: no number that is none, no character that hides or reorders text."""
    return _clean(plain(value))


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {words.plain(str(name)): _clean(of) for name, of in value.items()}
    if isinstance(value, list):
        return [_clean(of) for of in value]
    if isinstance(value, str):
        return words.plain(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
