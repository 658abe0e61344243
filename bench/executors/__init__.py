"""Executors run jobs in the order their needs allow, and tell what happens. The numbers do not depend on which."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.config import Executor
from bench.plan import Job


@dataclass(frozen=True)
class Place:
    """Where a job runs."""

    store: Path
    base: Path  # the grid's folder, at which relative paths start
    device: str = "cpu"
    threads: int = 1
    devices_per_pretrain: int = 1
    keep_predictions: bool = False


@dataclass(frozen=True)
class Event:
    """Something happened to a job."""

    job: Job
    kind: Literal["started", "progress", "done", "failed"]
    what: str = ""  # of progress: what is counted; of a failure: why
    done: int = 0
    of: int = 0


Listener = Callable[[Event], None]


class Queue:
    """Jobs not yet started. A pretraining goes first, since cells wait for it; else the plan's order is kept."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.waiting = list(jobs)
        self.unfinished = {job.id for job in jobs}

    def ready(self) -> Job | None:
        """Take the next job whose needs are there, or None."""
        able = [job for job in self.waiting if job.needs not in self.unfinished]
        if not able:
            return None
        job = next((job for job in able if job.kind == "pretrain"), able[0])
        self.waiting.remove(job)
        return job

    def finish(self, job: Job) -> None:
        """The job has a record."""
        self.unfinished.discard(job.id)

    def fail(self, job: Job) -> list[Job]:
        """The job has none, and these that waited for it are given up."""
        lost = [other for other in self.waiting if other.needs == job.id]
        self.waiting = [other for other in self.waiting if other.needs != job.id]
        return lost


def execute(jobs: Sequence[Job], executor: Executor, place: Place, listen: Listener) -> None:
    """Run jobs by the executor of the grid."""
    if executor.kind == "inline" or not jobs:
        from bench.executors.inline import execute as run
    else:
        from bench.executors.local import execute as run
    run(jobs, executor, place, listen)
