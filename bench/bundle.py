"""A bundle: records of a store as one tar, with or without gzip, that another store can take in.

    bundle.json       what follows: of each record its id and key, of each file its length and SHA-256
    jobs/<key>/...    record.json and the files beside it, as they lie in the store
    splits/....json   which cases were trained, chosen and scored on

The same records give the same bytes, so two bundles can be compared by their hashes: members are sorted, have no owner
and no time, and `created` is when the newest of the records was begun.

A bundle comes from elsewhere, and is read as if it meant harm. Each header is read by itself, and the next member must
be the next regular file that bundle.json names, at that length: no link, path, device or extended header, of which a
tar can hold many kinds, is ever acted on, and nothing longer than what was announced is written or kept in memory.
"""

import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from bench import __version__
from bench.errors import BenchError
from bench.files import replacing
from bench.keys import file_digest
from bench.store import SCHEMA, Record

VERSION = 1
INDEX, RECORD = "bundle.json", "record.json"
CHECKPOINT, PREDICTIONS = "encoder.safetensors", "predictions.npz"
OPTIONAL = {CHECKPOINT, PREDICTIONS}  # a board can be drawn without them, so a record may be without them
ENDINGS = (".tar", ".tar.gz")
TEXT = 64 * 2**20  # bytes of the longest bundle.json, record.json or split that is read
BLOCK, PART = 512, 2**20
KEY, SEAL = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{64}")
FILE = re.compile(r"[a-z0-9_]+\.(?:json|csv|npz|safetensors)")
SPLIT = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f]+-[0-9a-f]{8}\.json")


@dataclass(frozen=True)
class Member:
    """A file of a bundle, and where it lies on this disk if it is still to be written."""

    name: str
    bytes: int
    sha256: str
    path: Path = field(default=Path(), repr=False)

    @property
    def file(self) -> str:
        """Its name in its folder."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Offer:
    """A record that a bundle says it holds."""

    id: str
    key: str
    members: tuple[Member, ...]


# ---------------------------------------------------------------------------------------------- writing


def write(file: Path, records: Sequence[Record], splits: Sequence[Path], without: Collection[str] = ()) -> list[str]:
    """Write a bundle whole or not at all, less the files of the names `without`. Returns the members left out.

    Raises BenchError where a file of a record is damaged, or gone and no board can be drawn without it.
    """
    records = sorted(records, key=lambda record: record.key)
    held = {record.key: list(_held(record, without)) for record in records}
    kept = [_member(f"splits/{path.name}", path, file_digest(path)) for path in sorted(splits)]
    index = {
        "bundle": VERSION,
        "schema": SCHEMA,
        "bench": __version__,
        "created": max((str(record.facts.get("started", "")) for record in records), default=""),
        "records": [{"id": r.id, "key": r.key, "files": _told(held[r.key])} for r in records],
        "splits": _told(kept),
    }
    text = json.dumps(index, indent=1, sort_keys=True).encode() + b"\n"
    with replacing(file) as draft, _packed(draft, file) as stream, _tar(stream) as archive:
        _add(archive, INDEX, len(text), io.BytesIO(text))
        for member in [member for members in [*held.values(), kept] for member in members]:
            with member.path.open("rb") as content:
                _add(archive, member.name, member.bytes, content)
    return [
        f"jobs/{record.key}/{name}"
        for record in records
        for name in sorted(record.facts.get("files", {}).keys() - {member.file for member in held[record.key]})
    ]


def seals(record: Record) -> dict[str, str]:
    """SHA-256 by name of a record's files, as it was written; of one that does not say, of those that are there."""
    if "files" in record.facts:
        return dict(record.facts["files"])
    there = (p for p in record.folder.iterdir() if FILE.fullmatch(p.name) and p.name != RECORD and p.is_file())
    return {path.name: file_digest(path) for path in there}


def _held(record: Record, without: Collection[str]) -> Iterator[Member]:
    """The files of a record that go into a bundle, sorted."""
    found = {RECORD: file_digest(record.folder / RECORD), **seals(record)}
    for name, seal in sorted(found.items()):
        if name not in without and not (name in OPTIONAL and not (record.folder / name).exists()):
            yield _member(f"jobs/{record.key}/{name}", record.file(name), seal)


def _member(name: str, path: Path, seal: str) -> Member:
    if len(name.encode()) > tarfile.LENGTH_NAME:
        raise BenchError(f"{path}: the name is too long for a bundle, which holds {tarfile.LENGTH_NAME} bytes of it")
    return Member(name, path.stat().st_size, seal, path)


def _told(members: Sequence[Member]) -> dict[str, dict[str, Any]]:
    return {member.file: {"bytes": member.bytes, "sha256": member.sha256} for member in members}


def _packed(draft: BinaryIO, file: Path) -> AbstractContextManager[io.BufferedIOBase]:
    """What a bundle is written to: gzip by the name of the file, without the time and the name that it would note."""
    return (
        gzip.GzipFile("", "wb", 6, draft, mtime=0)
        if file.name.endswith(".gz")
        else nullcontext(cast(io.BufferedIOBase, draft))
    )


def _tar(stream: io.BufferedIOBase) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT)


def _add(archive: tarfile.TarFile, name: str, size: int, content: io.BufferedIOBase) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    archive.addfile(entry, content)


# ---------------------------------------------------------------------------------------------- reading


def shown(text: object) -> str:
    """Text from elsewhere in a line of ours: what a terminal would act on is spelt out, and it has an end."""
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
    return plain if len(plain) <= 120 else plain[:117] + "..."


class Reading:
    """A bundle that is read from front to back; each byte is checked against bundle.json on its way."""

    def __init__(self, stream: io.BufferedIOBase, file: Path) -> None:
        self.stream, self.file = stream, file
        entry = self._header(INDEX)
        if entry.size > TEXT:
            self.refuse(INDEX, f"is longer than {TEXT >> 20} MiB")
        text = b"".join(self._content(INDEX, entry.size))
        try:
            index = json.loads(text)
            self._require_known(index)
            self.offers = _offers(index["records"])
            self.splits = tuple(_members("splits", index["splits"], SPLIT))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
            self.refuse(INDEX, f"is not as `bench export` writes it ({type(exc).__name__}: {exc})")

    def refuse(self, member: str, rule: str) -> NoReturn:
        """Raise the BenchError that says what is wrong with the bundle."""
        raise BenchError(
            f"{self.file}: {shown(member)}: {shown(rule)}; nothing was imported."
            f" Copy the bundle again, or have it written anew with `bench export`"
        )

    def take(self, member: Member, to: io.BufferedIOBase | None = None) -> None:
        """Read the next file, which must be this one, and write it `to` a file."""
        if self._header(member.name).size != member.bytes:
            self.refuse(member.name, f"has not the {member.bytes} bytes that {INDEX} says")
        seal = hashlib.sha256()
        for part in self._content(member.name, member.bytes):
            seal.update(part)
            if to:
                to.write(part)
        if seal.hexdigest() != member.sha256:
            self.refuse(member.name, f"has not the SHA-256 that {INDEX} says")

    def end(self) -> None:
        """Nothing may follow but the zeros that end a tar; reading them also has gzip compare its check sum."""
        rest = self._read(INDEX, PART)
        if any(rest) or len(rest) == PART:
            self.refuse("the end", f"it holds more than {INDEX} says")
        if len(rest) < 2 * BLOCK:
            self.refuse("the end", "it is cut short")

    def _require_known(self, index: Mapping[str, Any]) -> None:
        if (index["bundle"], index["schema"]) != (VERSION, SCHEMA):
            raise BenchError(
                f"{self.file}: written by bench {shown(index['bench'])}, as another version of bundles or records than"
                f" bench {__version__} reads; pip install --upgrade medssl-bench"
            )

    def _header(self, name: str) -> tarfile.TarInfo:
        """The header of the next member, a plain file of that name."""
        try:
            entry = tarfile.TarInfo.frombuf(self._read(name, BLOCK), "utf-8", "surrogateescape")
        except tarfile.HeaderError as exc:
            self.refuse(name, f"is not where it should be ({exc})")
        if entry.name != name:
            self.refuse(name, f"is not where it should be; {entry.name} is there")
        if entry.type != tarfile.REGTYPE:
            self.refuse(name, "is no plain file")
        return entry

    def _content(self, name: str, size: int) -> Iterator[bytes]:
        for at in range(0, size, PART):
            part = self._read(name, min(PART, size - at))
            if len(part) < min(PART, size - at):
                self.refuse(name, "is cut short")
            yield part
        self._read(name, -size % BLOCK)

    def _read(self, name: str, count: int) -> bytes:
        """`count` bytes, or fewer at the end."""
        try:
            return self.stream.read(count)
        except (OSError, EOFError, zlib.error) as exc:
            self.refuse(name, f"cannot be read ({exc})")


@contextmanager
def reading(file: Path) -> Iterator[Reading]:
    """Open a bundle, by its content and not by its name, and read what it says it holds. Raises BenchError."""
    try:
        raw = file.open("rb")
    except OSError as exc:
        raise BenchError(f"{file}: {exc.strerror}; a bundle is a file that `bench export` wrote") from None
    with raw:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        yield Reading(gzip.GzipFile(fileobj=raw) if packed else raw, file)


def _offers(told: Sequence[Mapping[str, Any]]) -> tuple[Offer, ...]:
    """The records of bundle.json in the order of their keys, in which their files follow."""
    offers = []
    for one in sorted(told, key=lambda one: str(one["key"])):
        key, name, files = one["key"], one["id"], one["files"]
        if not KEY.fullmatch(key) or not isinstance(name, str) or RECORD not in files:
            raise ValueError(f"a record of the key {key}")
        offers.append(Offer(name, key, tuple(_members(f"jobs/{key}", files, FILE))))
    if len({offer.key for offer in offers}) < len(offers):
        raise ValueError("a key stands there twice")
    return tuple(offers)


def _members(folder: str, files: Mapping[str, Mapping[str, Any]], form: re.Pattern[str]) -> Iterator[Member]:
    for name, told in sorted(files.items()):
        size, seal = told["bytes"], told["sha256"]
        if not form.fullmatch(name) or type(size) is not int or size < 0 or not SEAL.fullmatch(seal):
            raise ValueError(f"{folder}/{name}")
        if (form is SPLIT or name == RECORD) and size > TEXT:
            raise ValueError(f"{folder}/{name} is longer than {TEXT >> 20} MiB")
        yield Member(f"{folder}/{name}", size, seal)
