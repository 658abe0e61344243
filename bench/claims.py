"""Who computes what right now: a claim on a job, in the store, so that many runs share one and repeat nothing.

    claims/<key>.json    of a job under way: who has it, since when, how far it is, and a count that moves as he lives
    claims/<key>.stop    asks the holder of that job to stop, and says why
    claims/<run>.stop    asks every job of a run to

No clock is compared with another one. A holder on this machine is dead when its process is. One on another machine is
dead when its claim has not changed for `STALE` seconds of the watcher's own clock, however long ago it was written.
"""

import json
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.files import write_whole

BEAT = 5.0  # seconds between two signs of life
STALE = 60.0  # seconds without one after which a holder on another machine is given up
LOOK = 1.0  # seconds between two looks at whether to stop
LOST = "somebody else has taken this job, after no sign of life"
LENGTH = 2048  # bytes of a claim, at least: written over in place, in one piece


@dataclass(frozen=True)
class Holder:
    """Who has a job, as he wrote it."""

    id: str = ""
    host: str = ""
    machine: str = ""
    pid: int = 0
    born: str = ""  # when the process began, as its machine counts
    token: str = ""  # of this claim alone
    slot: str = ""  # of a cluster's queue, which starts a job again under the same one
    run: str = ""
    since: str = ""  # ISO 8601, of his clock: for people
    what: str = ""
    done: int = 0
    of: int = 0
    beat: int = 0

    @property
    def here(self) -> bool:
        """Whether his process can be looked up from this one."""
        return self.machine == machine()

    @property
    def dead(self) -> bool:
        """Whether he certainly is. One whose process cannot be looked up is not: watch him."""
        return self.here and born(self.pid) != self.born

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class Claim:
    """A job that is ours until the block ends. It is kept alive by a thread, and shows how far the job is."""

    def __init__(self, path: Path, handle: int, holder: Holder) -> None:
        self.path, self.handle, self.holder = path, handle, holder
        self.progress: tuple[str, int, int] = ("", 0, 0)
        self._beat = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "Claim":
        HEART.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        HEART.remove(self)
        with self._lock:
            if self.ours():
                self.path.with_suffix(".stop").unlink(missing_ok=True)
                self.path.unlink(missing_ok=True)
            os.close(self.handle)
            self.handle = -1

    def ours(self) -> bool:
        """Whether it still is: a process that slept for long may have been given up."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self.handle))
        except OSError:
            return False

    def beat(self) -> None:
        """Show life and progress. A disk that is full or away is met again by who writes the record."""
        with self._lock, suppress(OSError):
            if self.handle >= 0:
                self._beat += 1
                what, done, of = self.progress
                _write(self.handle, {**vars(self.holder), "what": what, "done": done, "of": of, "beat": self._beat})


@dataclass
class Stop:
    """Why a job should stop, if anything asks it to: cheap enough to be called at every step, and it pickles."""

    path: Path
    holder: Holder
    limit: float = 0.0  # seconds from the beginning; 0: any
    began: float = field(default_factory=time.monotonic)
    looked: float = 0.0
    reason: str = ""

    def __call__(self) -> str:
        """The reason, or nothing."""
        now = time.monotonic()
        if not self.reason and now - self.looked >= LOOK:
            self.looked = now
            over = self.limit and now - self.began > self.limit
            self.reason = f"time limit of {self.limit:.0f} s" if over else self._asked()
        return self.reason

    def _asked(self) -> str:
        """What is asked of this claim, or of all of its run; or that it is somebody else's by now."""
        for file in (self.path.with_suffix(".stop"), self.path.with_name(f"{self.holder.run}.stop")):
            with suppress(OSError):
                token, _, why = file.read_text(encoding="utf-8").partition(" ")
                if token and token in (self.holder.token, self.holder.run):
                    return why
        text = _bytes(self.path)
        return LOST if text is None or _read(text).token not in ("", self.holder.token) else ""


class Heart:
    """One thread of a process that keeps all its claims alive."""

    def __init__(self) -> None:
        self.claims: set[Claim] = set()
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None

    def add(self, claim: Claim) -> None:
        """Keep a claim alive."""
        with self.lock:
            self.claims.add(claim)
            if self.thread is None or not self.thread.is_alive():  # a process that was forked has none
                self.thread = threading.Thread(target=self._go, name="claims", daemon=True)
                self.thread.start()

    def remove(self, claim: Claim) -> None:
        """Leave a claim alone."""
        with self.lock:
            self.claims.discard(claim)

    def _go(self) -> None:
        while True:
            time.sleep(BEAT)
            with self.lock:
                claims = list(self.claims)
            for claim in claims:
                claim.beat()


HEART = Heart()


@dataclass
class Watch:
    """Tells from looking again and again whether the holder of a claim has died where he cannot be looked up."""

    text: bytes | None = None
    since: float = field(default_factory=time.monotonic)

    def dead(self, path: Path, now: float) -> bool:
        """Whether the claim has not moved for `STALE` seconds of our own clock."""
        text = _bytes(path)
        if text != self.text:
            self.text, self.since = text, now
        return text is not None and now - self.since >= STALE


@dataclass(frozen=True)
class Claims:
    """The claims of a store."""

    folder: Path

    def path(self, key: str) -> Path:
        """The file of a claim."""
        return self.folder / f"{key}.json"

    def holder(self, key: str) -> Holder | None:
        """Who has a job; somebody unknown where the claim cannot be read, which it can again in a moment."""
        text = _bytes(self.path(key))
        return None if text is None else _read(text)

    def all(self) -> dict[str, Holder]:
        """Every claim, by key."""
        names = sorted(path.stem for path in self.folder.glob("*.json"))
        return {key: holder for key in names if (holder := self.holder(key))}

    def take(self, key: str, job_id: str, *, run: str = "", slot: str = "", dead: str = "") -> Claim | None:
        """Claim a job; None where somebody else has it. `dead` is what a watcher read on a claim that did not move."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (holder := self.holder(key)) and not self._broken(key, holder, slot, dead):
            return None
        path, token = self.path(key), secrets.token_hex(8)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:  # somebody was quicker
            return None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        mine = Holder(job_id, socket.gethostname(), machine(), os.getpid(), born(os.getpid()), token, slot, run, now)
        try:
            _write(handle, vars(mine))
        except OSError:
            os.close(handle)
            path.unlink(missing_ok=True)
            raise
        return Claim(path, handle, mine)

    def _broken(self, key: str, holder: Holder, slot: str, dead: str) -> bool:
        """Take away the claim of one who is dead; of two who see it, one does, and none takes away a new one."""
        from filelock import FileLock

        if not (holder.dead or (slot and holder.slot == slot) or (dead and dead == _seal(holder))):
            return False
        with FileLock(self.folder / ".lock"):
            if self.holder(key) != holder:
                return False
            self.path(key).unlink(missing_ok=True)
        return True

    def seal(self, key: str) -> str:
        """What is read on a claim, for `take(dead=)`."""
        return _seal(self.holder(key))

    def stop(self, key: str, why: str) -> Holder | None:
        """Ask the holder of a job to stop; who that is, or None where nobody works on it."""
        if holder := self.holder(key):
            write_whole(self.path(key).with_suffix(".stop"), f"{holder.token} {why}".encode())
        return holder

    def stop_run(self, run: str, why: str) -> None:
        """Ask every job of a run to stop."""
        write_whole(self.folder / f"{run}.stop", f"{run} {why}".encode())

    def end_run(self, run: str) -> None:
        """Take back what was asked of a run that is over."""
        with suppress(OSError):
            (self.folder / f"{run}.stop").unlink(missing_ok=True)


def _seal(holder: Holder | None) -> str:
    return f"{holder.token}:{holder.beat}:{holder.pid}" if holder else ""


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _read(text: bytes) -> Holder:
    try:
        told: dict[str, Any] = json.loads(text)
        return Holder(**{name: told[name] for name in Holder.__dataclass_fields__})
    except (ValueError, KeyError, TypeError):
        return Holder(host="an unknown machine")


def _write(handle: int, told: dict[str, Any]) -> None:
    text = json.dumps(told).encode()
    os.pwrite(handle, text + b" " * max(0, LENGTH - len(text) - 1) + b"\n", 0)


@cache
def machine() -> str:
    """What a process number means something in: this start of this machine, and this container of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def born(pid: int) -> str:
    """When a process of this machine began, as the machine counts, for numbers are used again; "" where it is gone.

    On a system without /proc: only whether it is there.
    """
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if state in "ZX" else rest[18]
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "there"
