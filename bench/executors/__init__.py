"""Executors: what starts jobs somewhere and tells how they end. The numbers do not depend on which.

The order, second attempts and the end of a run are the scheduler's (`bench.scheduler`); the life of a job is
`bench.attempt`'s, wherever it runs. An executor only carries a `Task` there and its `Answer` back.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from bench.config import Executor
from bench.plan import Job


@dataclass(frozen=True)
class Place:
    """Where a job runs, and the rules of the run that it is of."""

    store: Path
    base: Path  # the grid's folder, at which relative paths start
    device: str = "cpu"
    devices: tuple[int, ...] = ()  # GPUs of a pretraining that has several
    threads: int = 1
    devices_per_pretrain: int = 1
    keep_predictions: bool = False
    run: str = ""  # the name of the run, for its claims
    time_limit: float = 0.0  # seconds a job may take; 0: any
    pdb: bool = False  # stop in the debugger where a job fails


@dataclass(frozen=True)
class Task:
    """An attempt at a job."""

    job: Job
    place: Place
    attempt: int = 1
    last: bool = False  # whether a failure that might pass is final
    micro: int = 1  # parts that each batch of a pretraining is computed in, where that changes no number
    dead: str = ""  # what was read on the claim of a holder who is dead
    slot: str = ""  # of a cluster's queue


Kind = Literal["done", "failed", "again", "busy", "early", "stopped", "unwritable"]


@dataclass(frozen=True)
class Answer:
    """How an attempt ended.

    done: there is a record. failed: there is none, and why is kept. again: what went wrong may pass. busy: somebody
    else has the job. early: what it needs is not there yet. stopped: asked to, and it goes on from its checkpoint.
    unwritable: the store takes no more.
    """

    kind: Kind
    what: str = ""
    micro: int = 1  # of "again": the parts to try with


@dataclass(frozen=True)
class Event:
    """Something happened to a job."""

    job: Job
    kind: Literal["started", "progress", "waiting", "done", "failed", "again", "stopped"]
    what: str = ""  # of progress: what is counted; else why
    done: int = 0
    of: int = 0


Listener = Callable[[Event], None]
Tell = Callable[[str, str, int, int], None]  # a job's id, what is counted, done, of


@runtime_checkable  # tests check types as they run
class Backend(Protocol):
    """The seam: what an executor has to do.

    `prompt`: what is started runs at once, and does not lie in a queue until the first that is told of it. `ahead`: it
    takes jobs whose needs are still under way too, and starts them in order itself, as a cluster does. `workers`: how
    many jobs it runs at a time, as far as it knows.
    """

    prompt: bool
    ahead: bool
    workers: int

    def room(self, job: Job) -> bool:
        """Whether the job could be started now."""

    def start(self, task: Task) -> None:
        """Start an attempt, or have the next `hear` start it with others."""

    def hear(self, seconds: float) -> Iterable[tuple[str, Answer]]:
        """The ids and ends of attempts that ended, after waiting at most so long for the first."""

    def withdraw(self) -> Iterable[str]:
        """Take back what lies in a queue and has not begun, and say the ids of it."""

    def kill(self, job_id: str) -> None:
        """End an attempt at once, whatever it does. Nothing is heard of it any more."""

    def close(self) -> None:
        """End what is still running, and free what is held."""


@runtime_checkable
class Detachable(Backend, Protocol):
    """A backend whose jobs go on without us."""

    def detach(self) -> int:
        """Hand over all that was started and let go of it; how many jobs that is."""


def open_backend(executor: Executor, place: Place, tell: Tell) -> Backend:
    """The backend that a grid asks for. Raises BenchError at once where it cannot be had."""
    match executor.kind:
        case "inline":
            from bench.executors.inline import Inline

            return Inline(tell)
        case "ray":
            from bench.executors.ray import Ray

            return Ray(executor, place, tell)
        case "slurm":
            from bench.executors.slurm import Slurm

            return Slurm(executor, place, tell)
        case "local":
            from bench.executors.local import Local

            return Local(executor, place, tell)
