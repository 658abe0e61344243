"""What a corpus may not hold: images that the grid scores on, told by their bytes and by their looks.

The looks of files and the audits of built corpora are kept in the store, so that a plan is quick the second time.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import BenchError
from bench.files import write_whole
from bench.keys import digest
from bench.spec import Case, Splits

if TYPE_CHECKING:
    from bench.data.audit import Entry


@dataclass(frozen=True)
class Leaks:
    """What is left out of a corpus: ids of cases, or numbers of images of a built one; and the audit that says why."""

    cases: frozenset[str] = frozenset()
    numbers: frozenset[int] = frozenset()
    audit: Mapping[str, Any] = field(default_factory=dict)


class Pictures(NamedTuple):
    """The images of a task or folder: digests of all files, and entries of those trained on and those scored."""

    bytes_of: dict[Path, str]
    training: "list[Entry]"
    scored: "list[Entry]"


def of_files(name: str, parts: Splits, memo: Path, looks: Path | None, axis: int = 2) -> Pictures:
    """The images of all splits of a source; without `looks`, the file for them, only their bytes are looked at.

    Volumes are looked at slice by slice along `axis`. Raises BenchError where a file cannot be read.
    """
    from bench.data.folders import digests

    cases = [case for _, part in parts for case in part]
    files = list(dict.fromkeys(file for case in cases for file in case.files))
    bytes_of = dict(zip(files, digests(files, memo), strict=True))
    scored = (*parts.val, *parts.test)
    return Pictures(
        bytes_of, _entries(name, parts.train, bytes_of, looks, axis), _entries(name, scored, bytes_of, looks, axis)
    )


def _entries(
    name: str, cases: Sequence[Case], bytes_of: Mapping[Path, str], looks: Path | None, axis: int
) -> "list[Entry]":
    import numpy as np

    from bench.data.audit import Entry
    from bench.data.folders import is_volume
    from bench.data.likeness import VERSION, VIEWS, WORDS, hashes, volume_hashes

    pictures = [case.image for case in cases if not is_volume(case.image)]
    blank = np.zeros((1, VIEWS * WORDS), np.uint64)
    words = dict.fromkeys((case.image for case in cases), blank)
    if looks:
        # An image that cannot be read fails the cells that need it when they run, and hides no leak of another.
        words |= dict(zip(pictures, hashes(pictures, looks, strict=False)[:, None], strict=True))
        for case in cases:
            if is_volume(case.image):
                kept = looks.parent / looks.stem / f"{bytes_of[case.image]}-{axis}-{VERSION}.npy"
                words[case.image] = volume_hashes(case.image, axis, kept)
    return [
        Entry(name, case.group or case.id, case.id, bytes_of[case.image], word)
        for case in cases
        for word in words[case.image]
    ]


def of_pictures(training: "Sequence[Entry]", scored: "Sequence[Entry]", memo: Path) -> Leaks:
    """What of a task's or folder's training images is scored."""
    return _kept(memo, _told(training), scored, lambda: _found(training, scored))


def of_corpus(folder: Path, scored: "Sequence[Entry]", memo: Path) -> Leaks:
    """What of a built corpus is scored. Raises BenchError where its manifest is not the one that was built."""
    from bench.data.manifest import read_about

    about = read_about(folder)
    return _kept(memo, about["manifest_sha256"], scored, lambda: _audited(folder, about, scored))


def _kept(memo: Path, corpus: Any, scored: "Sequence[Entry]", look: Callable[[], Leaks]) -> Leaks:
    """What was found before of this corpus and these scored images or, failing that, what `look` finds."""
    from bench.data.likeness import THRESHOLD, VERSION

    path = memo / f"{digest([VERSION, THRESHOLD, corpus, _told(scored)])}.json"
    try:
        known = json.loads(path.read_bytes())
        return Leaks(frozenset(known["cases"]), frozenset(map(int, known["numbers"])), dict(known["audit"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        leaks = look()
    told = {"cases": sorted(leaks.cases), "numbers": sorted(leaks.numbers), "audit": leaks.audit}
    with suppress(OSError):  # it only saves time: a store that is read-only may lack it
        write_whole(path, json.dumps(told).encode())
    return leaks


def _told(entries: "Sequence[Entry]") -> list[Any]:
    return [[entry.of, entry.name, entry.sha256, entry.words.tolist()] for entry in entries]


def _found(training: "Sequence[Entry]", scored: "Sequence[Entry]") -> Leaks:
    from bench.data.audit import audit

    found = audit(training, scored)
    both = set(found.cases)
    return Leaks(frozenset(entry.name for entry in training if entry.of in both), audit=found.plain())


def _audited(folder: Path, about: Mapping[str, Any], scored: "Sequence[Entry]") -> Leaks:
    import numpy as np

    from bench.data.audit import Entry, audit
    from bench.data.manifest import digest as digest_of
    from bench.data.manifest import read_manifest

    if digest_of(folder) != about["manifest_sha256"]:
        raise BenchError(f"{folder}: its manifest is not the one that was built; build the corpus again")
    rows = read_manifest(folder, ["number", "source", "case", "path", "slice", "sha256", "hash"])
    columns = {name: rows[name].to_pylist() for name in ("number", "source", "case", "path", "slice", "sha256")}
    words = np.asarray(rows["hash"].combine_chunks().flatten(), np.uint64).reshape(len(rows), -1)
    tasks = {name: table.get("task") or name for name, table in about["spec"]["sources"].items()}
    entries = [
        Entry(tasks[source], case, f"{path}[{place}]" if place >= 0 else path, sha256, word)
        for source, case, path, place, sha256, word in zip(
            *(columns[name] for name in ("source", "case", "path", "slice", "sha256")), words, strict=True
        )
    ]
    found = audit(entries, scored)
    both = set(found.cases)
    numbers = (number for number, entry in zip(columns["number"], entries, strict=True) if entry.of in both)
    return Leaks(numbers=frozenset(numbers), audit=found.plain())
