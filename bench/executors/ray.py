"""Jobs as tasks of Ray (Moritz et al., OSDI 2018, arXiv:1712.05889), on this machine or on a cluster.

Ray lives in a process of its own (`bench.executors.ray_driver`), for what happens to it happens to its driver: it
writes to the terminal, blocks for minutes, and ends the process when the cluster is lost. Here are only the pipe to
that process and the store, where the claims say what has begun and how far it is.
"""

import multiprocessing
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bench.attempt import lost
from bench.claims import Claims
from bench.config import Executor
from bench.errors import BenchError
from bench.executors import Answer, Place, Task, Tell
from bench.executors.local import allowed
from bench.executors.ray_driver import drive
from bench.executors.ray_needs import WHERE, Node, needs
from bench.plan import Job

LOOK = 1.0  # seconds between two looks at the claims of what is under way
JOINED = 60.0  # seconds in which a cluster has to take us, and its nodes to show that they can do a job
BEGUN = 180.0  # seconds in which a Ray of our own has to have started, on a busy machine
SILENT = 60.0  # seconds without a word of the driver, which speaks every few, after which it is given up


class Ray:
    """As many jobs at a time as the nodes have room for, and not more than `workers` where that is given."""

    prompt = False
    ahead = False

    def __init__(self, executor: Executor, place: Place, tell: Tell) -> None:
        self.tell, self.place, self.asked = tell, place, executor.ray
        self.needs = needs(executor)
        self.claims = Claims(place.store / "claims")
        self.under: dict[str, Task] = {}
        self.seen: dict[str, tuple[str, int, int]] = {}  # of what has begun: how far it was when last told
        self.looked = 0.0
        self._begin()
        try:
            self.workers = self.needs.count(self._nodes())
        except BaseException:
            self.close()
            raise

    def room(self, job: Job) -> bool:
        """Whether a job of its size fits beside those under way; one always may be, though it wait for a node."""
        busy = sum(self.needs.size(task.job) for task in self.under.values())
        return not self.under or busy + self.needs.size(job) <= self.workers

    def start(self, task: Task) -> None:
        """Hand it to Ray, which finds the node and the GPUs."""
        size = self.needs.size(task.job)
        asks = self.needs.of(size)
        on_gpu = asks.gpus > 0 and task.place.device != "cpu"
        devices = tuple(range(size)) if on_gpu and size > 1 else ()  # of those that Ray lets the job see
        place = replace(task.place, device="cuda:0" if on_gpu else "cpu", devices=devices)
        self.under[task.job.id] = replace(task, place=place)
        self.heard = time.monotonic()  # nobody listens while there is nothing to hear of
        try:
            self.pipe.send(("start", task.job.id, self.under[task.job.id], asks))
        except OSError:
            raise self._gone() from None

    def hear(self, seconds: float) -> Iterable[tuple[str, Answer]]:
        """What the driver told, and the claims."""
        self._look()
        for kind, *told in self._told(seconds):
            if kind == "nodes":
                self.workers = self.needs.count(told[0])
            elif kind == "gone":
                raise self._gone(told[0])
            elif task := self.under.pop(told[0], None):
                if told[0] not in self.seen:
                    self.tell(told[0], "", 0, 0)  # it began and ended between two looks
                self.seen.pop(told[0], None)
                yield told[0], told[1] if kind == "ended" else lost(task, told[1])

    def withdraw(self) -> Iterable[str]:
        """Take back what has no claim yet. One that takes it right now is interrupted, and leaves nothing behind."""
        self.looked = 0.0
        self._look()
        names = [name for name in self.under if name not in self.seen]
        for name in names:
            self._drop(name, force=False)
        return names

    def kill(self, job_id: str) -> None:
        """End its process."""
        if job_id in self.under:
            self._drop(job_id, force=True)

    def close(self) -> None:
        """End what runs, and a Ray of our own; leave a cluster."""
        with suppress(OSError):
            self.pipe.send(("close",))
            self.driver.join(15)
        self.driver.kill()
        self.driver.join()
        self.pipe.close()

    def _drop(self, name: str, *, force: bool) -> None:
        del self.under[name]
        self.seen.pop(name, None)
        with suppress(OSError):  # where Ray is gone, so is the job
            self.pipe.send(("cancel", name, force))

    def _look(self) -> None:
        """Tell what the claims of our jobs say."""
        if time.monotonic() - self.looked < LOOK:
            return
        self.looked = time.monotonic()
        for name, task in list(self.under.items()):
            holder = self.claims.holder(task.job.key)
            if holder and (holder.run, holder.id) == (self.place.run, name):
                far = (holder.what, holder.done, holder.of)
                if self.seen.get(name) != far:
                    self.seen[name] = far
                    self.tell(name, *far)

    # ------------------------------------------------------------------------------------------- the driver

    def _begin(self) -> None:
        self.claims.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.place.store / "logs" / "ray.log"
        self.log.parent.mkdir(exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        asked = (self.asked, self.place.store, self.log, self.needs.cpus(len(allowed())))
        self.driver = context.Process(target=drive, args=(theirs, *asked), daemon=True)
        self.driver.start()
        theirs.close()
        self.heard = time.monotonic()

    def _nodes(self) -> list[Node]:
        """The nodes, once there is a Ray that could run each kind of job. Raises BenchError where there is none."""
        what = f'{WHERE} address = "{self.asked.address}"' if self.asked.address else "a Ray on this machine"
        limit = JOINED if self.asked.address else BEGUN
        if not self.pipe.poll(limit):
            self.driver.kill()
            raise BenchError(f"{what} was not ready in {limit:.0f} s; {self.log} may say more")
        try:
            kind, told = self.pipe.recv()
        except (EOFError, OSError):
            raise BenchError(f"{what} ended as it began; {self.log} may say more") from None
        if kind == "refused":
            raise BenchError(f"{what}: {told}")
        self.needs.refuse(told, what)
        return list(told)

    def _told(self, seconds: float) -> Iterable[tuple[Any, ...]]:
        """What the driver has said by now, after waiting at most so long for the first word."""
        try:
            while self.pipe.poll(seconds):
                yield self.pipe.recv()
                self.heard, seconds = time.monotonic(), 0.0
        except (EOFError, OSError):
            raise self._gone() from None
        if time.monotonic() - self.heard > SILENT:
            raise self._gone(f"nothing was heard of it for {SILENT:.0f} s")

    def _gone(self, why: str = "") -> BenchError:
        """What to say of a Ray that is lost: what its driver last said or, where it could not, how that ended."""
        self.driver.join(0 if why else 5)
        with suppress(EOFError, OSError):
            while not why and self.pipe.poll():
                kind, told, *_ = self.pipe.recv()
                why = told if kind == "gone" else ""
        why = why or f"its driver ended (exit code {self.driver.exitcode})"
        self.driver.kill()
        return BenchError(
            f"Ray is gone: {why}; {self.log} may say more. What is finished is kept, and the same command goes on from"
            " there"
        )
