"""One attempt at a job, in whatever process: claim it, do it, keep why not, and say whether another might go better.

A result is in the store or it is not: what is answered here is for the scheduler, and may be lost with the process.
"""

import contextlib
import errno
import os
import pdb
import shutil
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.claims import LOST, Claim, Claims, Stop
from bench.errors import Stopped, reason
from bench.executors import Answer, Task
from bench.store import Store

if TYPE_CHECKING:
    from bench.plan import Job

Tell = Callable[[str, int, int], None]

# What a shared disk or a network says of itself, and not of what was asked of it.
PASSING = {
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ENETDOWN),
    *(errno.ENETUNREACH, errno.ECONNRESET, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENOTCONN, errno.EREMOTEIO),
}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
LITTLE = 2**20  # bytes: a disk with less is full, however the library that wrote to it put that
REQUEUE = "requeue"  # begins the reason where a cluster stops a job, to begin it again
NOTE_EVERY = 30.0  # seconds between two lines of progress in a log


def attempt(task: Task, tell: Tell) -> Answer:
    """Do a job. Nothing is raised: whatever goes wrong is an answer, and, where it is final, a failure in the store."""
    job, store = task.job, Store(task.place.store)
    claims = Claims(store.root / "claims")
    try:
        claim = claims.take(job.key, job.id, run=task.place.run, slot=task.slot, dead=task.dead)
        if claim is None:
            return Answer("busy", f"{claims.holder(job.key) or 'somebody else'} has it")
        with claim:
            if known := _known(job, store):
                return known
            return _logged(task, store, claim, tell)
    except OSError as exc:  # of the claim or the log
        return _unwritable(store, exc) or Answer("failed" if task.last else "again", reason(exc))


def _logged(task: Task, store: Store, claim: Claim, tell: Tell) -> Answer:
    with _log(store, task.job) as note:
        answer = _try(task, store, claim, tell, note)
        note(f"{answer.kind} {answer.what}".rstrip())
        return answer


def _known(job: "Job", store: Store) -> Answer | None:
    """What became of the job, or of what it needs, since the run was planned."""
    if store.record(job.key):
        return Answer("done")
    if failure := store.failure(job.key):
        return Answer("failed", str(failure["error"]))
    if job.needs and not store.record(job.encoder):
        lost = store.failure(job.encoder)
        return Answer("failed", f"{job.needs} failed") if lost else Answer("early", f"{job.needs} is not there")
    return None


def _try(task: Task, store: Store, claim: Claim, tell: Tell, note: Callable[[str], None]) -> Answer:
    from bench.run import run

    job, noted = task.job, -NOTE_EVERY
    stop = Stop(claim.path, claim.holder, task.place.time_limit)

    def progress(what: str, done: int, of: int) -> None:
        nonlocal noted
        claim.progress = (what, done, of)
        tell(what, done, of)
        if time.monotonic() - noted > NOTE_EVERY or done == of:
            noted = time.monotonic()
            note(f"{done} of {of} {what}")
        if job.kind == "evaluate" and (why := stop()):  # a pretraining asks where it can save a checkpoint
            raise Stopped(why)

    try:
        run(job, task.place, progress, stop=stop, micro=task.micro)
    except Stopped as exc:
        return _stopped(job, store, str(exc))
    except Exception as exc:
        note(traceback.format_exc())
        if task.place.pdb:
            pdb.post_mortem(exc.__traceback__)
        return _judged(task, store, exc)
    return Answer("done")


def _stopped(job: "Job", store: Store, why: str) -> Answer:
    """An interrupt leaves the job as it is; a time limit, or a person who cancels it, is why it fails."""
    if why == LOST:
        return Answer("busy", why)
    if why.startswith(("interrupted", "the store", REQUEUE)):
        return Answer("stopped", why)
    kept = "; its checkpoint is kept" if job.kind == "pretrain" else ""
    return fail(job, store, f"stopped: {why}{kept}")


def _judged(task: Task, store: Store, exc: Exception) -> Answer:
    """What an exception means: the store takes no more, it may pass, or it is final."""
    if full := _unwritable(store, exc):
        return full
    if not task.last and any(isinstance(e, OSError) and e.errno in PASSING for e in _causes(exc)):
        return Answer("again", reason(exc))
    if is_memory(exc):
        from bench.memory import advice

        parts, said = advice(task)
        return Answer("again", said, parts) if parts else fail(task.job, store, said, traceback.format_exc())
    return fail(task.job, store, reason(exc), traceback.format_exc())


def lost(task: Task, why: str) -> Answer:
    """What it means that the process of an attempt died: it may go better, and is final only of the last one."""
    return fail(task.job, Store(task.place.store), why) if task.last else Answer("again", why)


def is_memory(exc: BaseException) -> bool:
    """Whether the device ran out of memory."""
    return type(exc).__name__ == "OutOfMemoryError"


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """An exception and those that led to it."""
    seen: BaseException | None = exc
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _unwritable(store: Store, exc: BaseException) -> Answer | None:
    """The answer that ends a run, where the store takes no more: every other job would fail of the same."""
    # Rust and C++ writers of weights say it in words only, and the draft that filled the disk is gone by now.
    codes = {
        code for e in _causes(exc) for code in FULL if getattr(e, "errno", None) == code or os.strerror(code) in str(e)
    }
    try:
        free = shutil.disk_usage(store.root).free
        read_only = not os.access(store.root, os.W_OK)
    except OSError:
        return None
    if read_only or errno.EROFS in codes:
        return Answer("unwritable", f"{store.root}: cannot be written to; make it writable and run the grid again")
    if free < LITTLE or codes & {errno.ENOSPC, errno.EDQUOT}:
        left = f"the disk is full: {free / 2**20:.0f} MiB are left, and were too few"
        mend = "`bench clean` shows what takes space, and the same `bench run` goes on from there"
        return Answer("unwritable", f"{store.root}: {left}; nothing was lost: {mend}")
    return None


def fail(job: "Job", store: Store, error: str, trace: str = "") -> Answer:
    """Keep why a job failed. Where even that cannot be written, the run hears of it."""
    with contextlib.suppress(OSError):
        store.fail(job.key, failure_facts(job, error, trace))
    return Answer("failed", error)


def failure_facts(job: "Job", error: str, trace: str = "") -> dict[str, str]:
    """What the store keeps of a failure."""
    return {"id": job.id, "key": job.key, "error": error, "traceback": trace, "when": now()}


def now() -> str:
    """The time, for people."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _log(store: Store, job: "Job") -> Iterator[Callable[[str], None]]:
    """A function that writes a line to the log of the job."""
    path = log_path(store.root, job.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", buffering=1, encoding="utf-8") as file:

        def note(text: str) -> None:
            with contextlib.suppress(OSError):
                file.write(f"{now()} {text}\n")

        note(f"begun {job.id} by process {os.getpid()} on {socket.gethostname()}")
        with _caught(file.fileno()):
            yield note


def log_path(root: Path, key: str) -> Path:
    """Where a job's log lies in a store."""
    return root / "logs" / f"{key}.log"


@contextlib.contextmanager
def _caught(handle: int) -> Iterator[None]:
    """What a worker prints goes to the log of its job; a process that talks to a person is left alone."""
    if os.environ.get(WORKER) != "1":
        yield
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    try:
        for number, _ in kept:
            os.dup2(handle, number)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)


WORKER = "BENCH_WORKER"  # set in the processes of `local`, whose output would tear the live view
