"""The order of the jobs, second attempts, and how a run ends: the one loop above every executor.

A job that somebody else has is put aside until he has finished it or died. What may pass (a lost worker, an I/O error)
is tried again after a while; what will not is not.
"""

import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import NamedTuple

from bench.attempt import fail
from bench.claims import Claims, Watch
from bench.config import Executor
from bench.errors import BenchError
from bench.executors import Answer, Backend, Detachable, Event, Listener, Place, Task, open_backend
from bench.plan import Job
from bench.queue import Queue
from bench.store import Store

TICK = 0.5  # seconds: how long the loop waits for an answer before it looks around
LOOK = 1.0  # seconds between two looks at what somebody else has
BACK_OFF = 2.0  # seconds before the second attempt; twice as long before each next
GRACE = 30.0  # seconds beyond its time limit in which a job may stop by itself


@dataclass
class Under:
    """An attempt under way."""

    task: Task
    since: float | None = None  # None: it lies in somebody's queue


class Later(NamedTuple):
    """A task that is to be tried again, when."""

    at: float
    task: Task


class Ended(NamedTuple):
    """How busy the workers were."""

    seconds: float  # of the whole run
    workers: int
    busy: float  # seconds of all workers together

    @property
    def idle(self) -> float:
        """Share of the workers' time in which they had no job."""
        return 1 - min(1.0, self.busy / max(self.seconds * self.workers, 1e-9))


@dataclass
class _Run:
    """One run of a list of jobs."""

    queue: Queue
    place: Place
    listen: Listener
    attempts: int
    claims: Claims
    store: Store
    backend: Backend = field(init=False)
    under: dict[str, Under] = field(default_factory=dict)
    later: list[Later] = field(default_factory=list)
    others: dict[str, tuple[Task, Watch]] = field(default_factory=dict)
    say: Callable[[str], None] = lambda text: None
    stopping: str = ""
    unwritable: str = ""
    interrupts: int = 0
    looked: float = 0.0
    busy: float = 0.0

    def loop(self) -> None:
        while True:
            self.look()
            if not self.stopping:
                self.start()
            if not self.under and (self.stopping or not (self.later or self.others or self.queue)):
                return
            if self.under:
                for name, answer in self.backend.hear(TICK):
                    self.answer(self.under.pop(name), answer)
            else:
                time.sleep(TICK)
            self.overdue()

    # ------------------------------------------------------------------------------------------- starting

    def start(self) -> None:
        now = time.monotonic()
        for one in list(self.later):
            if one.at <= now and self.backend.room(one.task.job):
                self.later.remove(one)
                self.begin(one.task)
        if self.backend.ahead:
            for job in self.queue.ahead():
                self.begin(self.task(job))
        while able := self.queue.ready(self.backend.room, self.slack(now)):
            self.begin(self.task(able))

    def task(self, job: Job) -> Task:
        return Task(job, self.place, last=self.attempts == 1)

    def begin(self, task: Task) -> None:
        prompt = self.backend.prompt
        self.under[task.job.id] = Under(task, time.monotonic() if prompt else None)
        self.backend.start(task)
        if prompt:
            self.listen(Event(task.job, "started"))

    def slack(self, now: float) -> float:
        """Seconds until the last of the running jobs is predicted to end."""
        left = [self.queue.seconds.get(name, 0.0) - (now - (u.since or now)) for name, u in self.under.items()]
        return max(left, default=float("inf"))

    # ------------------------------------------------------------------------------------------- hearing

    def tell(self, name: str, what: str, done: int, of: int) -> None:
        """An executor tells how far a job is."""
        if (under := self.under.get(name)) is None:
            return
        if under.since is None:
            under.since = time.monotonic()
            self.listen(Event(under.task.job, "started"))
        self.listen(Event(under.task.job, "progress", what, done, of))
        if self.interrupts and not self.stopping:
            self.stop("interrupted")

    def answer(self, under: Under, answer: Answer) -> None:
        task, now = under.task, time.monotonic()
        if under.since is not None:
            self.busy += now - under.since
        match answer.kind:
            case "done":
                self.done(task.job)
            case "failed":
                self.failed(task.job, answer.what)
            case "again":
                wait = 0.0 if answer.micro > task.micro else BACK_OFF * 2 ** (task.attempt - 1)
                attempt = task.attempt + 1
                last = attempt >= self.attempts
                self.later.append(
                    Later(now + wait, replace(task, attempt=attempt, last=last, micro=answer.micro, dead=""))
                )
                self.listen(Event(task.job, "again", answer.what))
            case "early":
                if self.store.record(task.job.encoder):  # by now it is
                    self.later.append(Later(now, task))
                elif not self.queue.back(task.job):
                    self.failed(task.job, answer.what)
            case "busy":
                self.others[task.job.key] = (task, Watch())
                self.listen(Event(task.job, "waiting", answer.what))
            case "stopped":
                self.listen(Event(task.job, "stopped", answer.what))
            case "unwritable":
                self.unwritable = answer.what
                self.listen(Event(task.job, "stopped", answer.what))
                self.stop("the store takes no more")

    def done(self, job: Job, said: str = "") -> None:
        self.queue.finish(job)
        self.listen(Event(job, "done", said))

    def failed(self, job: Job, why: str) -> None:
        self.listen(Event(job, "failed", why))
        for lost in self.queue.fail(job):  # what was taken ahead finds out by itself
            self.listen(Event(lost, "failed", f"{job.id} failed"))

    # ------------------------------------------------------------------------------------------- looking around

    def look(self) -> None:
        """Whether we were interrupted, and what became of the jobs that others have."""
        if self.interrupts and not self.stopping:
            self.stop("interrupted")
        now = time.monotonic()
        if now - self.looked < LOOK or self.stopping:
            return
        self.looked = now
        for key, (task, watch) in list(self.others.items()):
            if self.store.record(key):
                del self.others[key]
                self.done(task.job, "by another run")
            elif failure := self.store.failure(key):
                del self.others[key]
                self.failed(task.job, str(failure["error"]))
            elif (holder := self.claims.holder(key)) is None or holder.dead:
                del self.others[key]
                self.later.append(Later(now, replace(task, dead="")))
            elif watch.dead(self.claims.path(key), now):
                del self.others[key]
                self.later.append(Later(now, replace(task, dead=self.claims.seal(key))))

    def overdue(self) -> None:
        """Kill what has not stopped by itself long after its time limit."""
        limit, now = self.place.time_limit, time.monotonic()
        for name, under in list(self.under.items()) if limit and not self.backend.ahead else []:
            if under.since is not None and now - under.since > limit + GRACE:
                self.backend.kill(name)
                del self.under[name]
                job, why = under.task.job, f"killed {GRACE:.0f} s after its time limit of {limit:.0f} s"
                fail(job, self.store, why)
                self.failed(job, why)

    def stop(self, why: str) -> None:
        """Start nothing more, and ask what runs to stop at its next checkpoint."""
        self.stopping = why
        self.say(f"{why}: what runs stops at its next checkpoint; Ctrl-C ends it at once, and goes back to the last")
        self.claims.stop_run(self.place.run, why)
        for name in self.backend.withdraw():
            self.listen(Event(self.under.pop(name).task.job, "stopped", "not begun"))


def execute(
    jobs: Sequence[Job],
    executor: Executor,
    place: Place,
    listen: Listener,
    seconds: Mapping[str, float] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Ended:
    """Run jobs by the executor of the grid, and say how busy its workers were.

    `seconds` are predicted times by id; `say` takes what a person should know at once. Raises BenchError for an
    executor that cannot be had, before any job runs; for a store that takes no more; and, on a first Ctrl-C, after
    every job stopped at a checkpoint. A second Ctrl-C raises KeyboardInterrupt, and what runs is killed.
    """
    if not jobs:
        return Ended(0.0, 0, 0.0)
    began = time.monotonic()
    run = _opened(jobs, executor, place, listen, seconds)
    run.say = say
    try:
        with _interrupts(run):
            run.loop()
    finally:
        run.backend.close()
        run.claims.end_run(run.place.run)
    if run.unwritable:
        raise BenchError(run.unwritable)
    if run.stopping:
        raise BenchError("stopped; what is finished is kept, and the same command goes on from there")
    return Ended(time.monotonic() - began, run.backend.workers, run.busy)


def detach(jobs: Sequence[Job], executor: Executor, place: Place, listen: Listener) -> int:
    """Leave jobs to a cluster's queue, which begins each after what it needs; how many it has of them.

    Nothing is tried twice until somebody listens again. Raises BenchError for an executor that has no queue.
    """
    run = _opened(jobs, executor, place, listen, None)
    try:
        if not isinstance(run.backend, Detachable) or not run.backend.ahead:
            raise BenchError('--detach: only the queue of a cluster goes on by itself: [executor] kind = "slurm"')
        run.start()
        return run.backend.detach()
    finally:
        run.backend.close()


def _opened(
    jobs: Sequence[Job], executor: Executor, place: Place, listen: Listener, seconds: Mapping[str, float] | None
) -> _Run:
    place = replace(place, run=place.run or f"run-{secrets.token_hex(6)}")
    store, claims = Store(place.store), Claims(place.store / "claims")
    store.require_writable()
    run = _Run(Queue(jobs, seconds), place, listen, 1 + executor.retries, claims, store)
    run.backend = open_backend(executor, place, run.tell)
    return run


@contextmanager
def _interrupts(run: _Run) -> Iterator[None]:
    """Ctrl-C, or a polite kill, is counted and met by the loop; the second one ends it where it stands."""

    def count(number: int, frame: FrameType | None) -> None:
        run.interrupts += 1
        if run.interrupts > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.signal(name, count) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
