"""The store: one folder a finished job, written whole or not at all, and never changed.

    jobs/<key>/record.json       what was computed, from what, how, and how long it took
    jobs/<key>/scores.csv        case,metric,value: one line for each test case and metric
    jobs/<key>/detections.csv    of a detection: objects in each image, and what each detection hits
    jobs/<key>/predictions.npz   what the scores were computed from
    jobs/<key>/encoder.safetensors   of a pretraining
    failures/<key>.json          the last failure of a job, with its traceback; never taken for a result
    partial/<key>/               checkpoints of a pretraining under way
    cache/ phantoms/             what can be made again
    claims/<key>.json            of a job under way: nothing of that key is dropped meanwhile

A folder under jobs/ appears by one rename after all its files are on disk; whoever comes second throws its own away.
"""

import csv
import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files import sync, write_whole
from bench.keys import digest, file_digest, plain

if TYPE_CHECKING:
    import numpy as np

    from bench.detections import Detections

SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """What the store keeps of a finished job; `facts` is all of record.json."""

    id: str
    key: str
    parts: dict[str, Any] = field(repr=False)
    facts: dict[str, Any] = field(repr=False)
    folder: Path = field(repr=False)

    def file(self, name: str) -> Path:
        """The path of a file of the record, whose bytes are still those that were written. Raises BenchError."""
        path, seal = self.folder / name, self.facts.get("files", {}).get(name)
        try:
            sound = seal is None or file_digest(path) == seal
        except OSError as exc:
            raise BenchError(f"{path}: {exc.strerror}; {self._mend}") from None
        if not sound:
            raise BenchError(f"{path}: changed since it was written; {self._mend}")
        return path

    @property
    def _mend(self) -> str:
        return f"`bench run --rerun all --only '{self.id}'` makes it again"

    def scores(self) -> dict[str, dict[str, float]]:
        """Value by case, by metric. Raises BenchError where the file is damaged."""
        path = self.file("scores.csv")
        values: dict[str, dict[str, float]] = {}
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.reader(file)
                header = next(rows, [])
                case, metric, value = (header.index(name) for name in ("case", "metric", "value"))
                for row in filter(None, rows):
                    values.setdefault(row[metric], {})[row[case]] = float(row[value])
        except (OSError, IndexError, ValueError) as exc:
            raise BenchError(f"{path}: damaged ({exc}); {self._mend}") from None
        return values

    def detections(self) -> "Detections | None":
        """What was found in each test image, if this is of a detection. Raises BenchError where the file is damaged."""
        if "classes" not in self.facts:
            return None
        from bench.detections import read

        path, cases = self.file("detections.csv"), next(iter(self.scores().values()), {})
        try:
            return read(path, tuple(cases), tuple(self.facts["classes"]))
        except (OSError, ValueError, TypeError) as exc:
            raise BenchError(f"{path}: damaged ({exc}); {self._mend}") from None


@dataclass(frozen=True)
class Store:
    """A folder of finished jobs, shared by every run over it."""

    root: Path

    def require_writable(self) -> None:
        """Raise BenchError, before any job runs, where no record could be written."""
        try:
            write_whole(self.root / "claims" / ".writable", b"here")
            (self.root / "claims" / ".writable").unlink(missing_ok=True)
        except OSError as exc:
            raise BenchError(
                f"{self.root}: cannot be written to: {exc.strerror}; [bench] store names the folder"
            ) from None

    def job(self, key: str) -> Path:
        """The folder of a finished job."""
        return self.root / "jobs" / key

    def partial(self, key: str) -> Path:
        """The folder of a job's checkpoints while it runs."""
        return self.root / "partial" / key

    def record(self, key: str) -> Record | None:
        """The record of that key, or None where there is none that can be trusted."""
        return _read(self.job(key))

    def failure(self, key: str) -> dict[str, Any] | None:
        """The last failure of that key: id, error, traceback, when."""
        try:
            facts = json.loads((self.root / "failures" / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return facts if isinstance(facts, dict) and "error" in facts else None

    @cached_property
    def _by_id(self) -> dict[str, Record]:
        records = sorted(self.records(), key=lambda r: str(r.facts.get("started", "")))
        return {record.id: record for record in records}

    def last(self, job_id: str) -> Record | None:
        """The newest record of an id, whatever its key."""
        return self._by_id.get(job_id)

    def newest(self) -> Iterable[Record]:
        """The newest record of each id; they are read once."""
        return self._by_id.values()

    def records(self) -> Iterator[Record]:
        """Every record that can be trusted, in the order of their keys."""
        folder = self.root / "jobs"
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if record := _read(path):
                yield record

    def commit(self, facts: dict[str, Any], write: Callable[[Path], None]) -> Record:
        """Finish a job: `write` puts its files into a new folder, which appears under its key only when complete."""
        key = str(facts["key"])
        with self.draft(key) as draft:
            write(draft)
            files = {path.name: file_digest(path) for path in draft.iterdir()}
            facts = {**facts, "files": files}
            text = json.dumps(plain({"schema": SCHEMA, **facts}), indent=1, sort_keys=True, allow_nan=False)
            (draft / "record.json").write_text(text + "\n", encoding="utf-8")
            self._place(draft, key)
        (self.root / "failures" / f"{key}.json").unlink(missing_ok=True)
        shutil.rmtree(self.partial(key), ignore_errors=True)
        record = self.record(key)
        if record is None:
            raise BenchError(
                f"{self.job(key)}: a record was written and cannot be read back; is the disk full or damaged?"
            )
        return record

    @contextmanager
    def draft(self, name: str) -> Iterator[Path]:
        """A new folder beside the finished jobs; in the end it is gone, with all that was not moved out of it."""
        draft = self.root / "jobs" / f".{name}-{uuid.uuid4().hex[:8]}"
        draft.mkdir(parents=True)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def adopt(self, folder: Path, key: str) -> bool:
        """Take in a record made elsewhere: its folder moves here whole. False, and nothing moves, if one is here."""
        self._place(folder, key)
        if folder.exists():
            return False
        (self.root / "failures" / f"{key}.json").unlink(missing_ok=True)
        return True

    def complete(self, key: str, file: Path) -> None:
        """Give a record a file that it has lost: `file`, of the same name and known to have the same bytes, moves."""
        sync(file)
        file.rename(self.job(key) / file.name)
        sync(self.job(key))

    def _place(self, draft: Path, key: str) -> None:
        for path in [*draft.iterdir(), draft]:
            sync(path)
        final = self.job(key)
        try:
            draft.rename(final)
        except OSError:
            if self.record(key) is None:  # what stands there is damaged: move it aside, lose nothing
                final.rename(self.root / "jobs" / f".damaged-{key}-{uuid.uuid4().hex[:8]}")
                draft.rename(final)
        sync(final.parent)

    def drop(self, key: str) -> None:
        """Take back a result, so that it is computed again."""
        with suppress(FileNotFoundError):
            final = self.job(key)
            aside = self.root / "jobs" / f".dropped-{key}-{uuid.uuid4().hex[:8]}"
            final.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        (self.root / "failures" / f"{key}.json").unlink(missing_ok=True)

    def fail(self, key: str, facts: dict[str, Any]) -> None:
        """Keep why a job failed."""
        write_whole(self.root / "failures" / f"{key}.json", json.dumps(plain(facts), indent=1).encode())


def _read(folder: Path) -> Record | None:
    """A record whose parts hash to its key, from a folder of that name; anything else is no record."""
    if folder.name.startswith("."):
        return None
    try:
        facts = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        sound = facts["schema"] == SCHEMA and facts["key"] == folder.name == digest(facts["parts"])
        return Record(facts["id"], facts["key"], facts["parts"], facts, folder) if sound else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_scores(path: Path, cases: Sequence[str], values: "dict[str, np.ndarray[Any, Any]]") -> None:
    """scores.csv: `values` holds (n,) arrays by metric in the order of `cases`; floats are written exactly."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("case", "metric", "value"))
        for metric, column in values.items():
            writer.writerows((case, metric, repr(float(value))) for case, value in zip(cases, column, strict=True))
