"""Worker processes on this machine, each importing once and living on. One that dies costs its job, and is replaced."""

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from bench.attempt import WORKER, attempt, lost
from bench.config import Executor
from bench.errors import BenchError
from bench.executors import Answer, Place, Task, Tell
from bench.plan import Job

TELL_EVERY = 0.2  # seconds between two reports of progress


@dataclass
class Slot:
    """A device and cores for one job at a time; its process begins with the first job, and our end of its pipe."""

    device: str
    cores: tuple[int, ...]
    process: SpawnProcess | None = None
    pipe: Connection | None = None
    task: Task | None = None
    lent: str = ""  # the id of a pretraining that runs in another slot and has this one's device too

    @property
    def free(self) -> bool:
        """Whether it has nothing to do."""
        return self.task is None and not self.lent


class Local:
    """`workers` slots; 0: `jobs_per_gpu` for each GPU, or as many as the cores allow for."""

    prompt = True
    ahead = False

    def __init__(self, executor: Executor, place: Place, tell: Tell) -> None:
        self.tell = tell
        devices = _devices(executor)
        self.gpus = len({d for d in devices if d.startswith("cuda")})
        self.width = executor.devices_per_pretrain if self.gpus else min(executor.devices_per_pretrain, len(devices))
        if self.gpus and self.width > self.gpus:
            raise BenchError(f"[executor] devices_per_pretrain = {self.width}: this machine gives {self.gpus} GPUs")
        self.slots = [Slot(*both) for both in zip(devices, _cores(len(devices), executor.threads), strict=True)]
        self.workers = len(self.slots)
        self.daemon = executor.devices_per_pretrain == 1  # a daemon may have no processes of its own

    def room(self, job: Job) -> bool:
        """Whether the slots that the job needs have nothing to do."""
        return bool(self._slots(job))

    def start(self, task: Task) -> None:
        """Give it to a slot; one that wants several devices has theirs too until it ends."""
        first, *others = self._slots(task.job)
        for slot in others:
            slot.lent = task.job.id
        devices = dict.fromkeys(slot.device for slot in (first, *others))
        indices = tuple(int(d.partition(":")[2]) for d in devices) if self.gpus and len(devices) > 1 else ()
        first.task = replace(task, place=replace(task.place, device=first.device, devices=indices))
        if first.process is None:
            self._begin(first)
        assert first.pipe is not None
        with suppress(OSError):  # of a process that has died: `hear` meets its end
            first.pipe.send(first.task)

    def _slots(self, job: Job) -> list[Slot]:
        """The slots that a job would have, itself first; none where too few are free."""
        free = sorted((slot for slot in self.slots if slot.free), key=lambda slot: slot.process is None)
        width = self.width if job.kind == "pretrain" else 1
        if width == 1 or not self.gpus:
            return free[:width] if len(free) >= width else []
        taken = {slot.device for slot in self.slots if not slot.free}
        whole = list(dict.fromkeys(slot.device for slot in free if slot.device not in taken))[:width]
        return [slot for slot in free if slot.device in whole] if len(whole) == width else []

    def hear(self, seconds: float) -> Iterable[tuple[str, Answer]]:
        """What workers told."""
        for pipe in wait([slot.pipe for slot in self.slots if slot.task and slot.pipe], seconds):
            slot = next(slot for slot in self.slots if slot.pipe is pipe)
            assert slot.task is not None
            task = slot.task
            try:
                told = slot.pipe.recv() if slot.pipe else None
            except (EOFError, OSError):
                yield task.job.id, self._died(slot, task)
                continue
            if isinstance(told, Answer):
                self._end(slot)
                yield task.job.id, told
            elif told:
                self.tell(task.job.id, *told)

    def _died(self, slot: Slot, task: Task) -> Answer:
        assert slot.process is not None
        slot.process.join()
        code = slot.process.exitcode or 0
        why = f"the worker died ({signal.strsignal(-code) if code < 0 else f'exit code {code}'}); "
        why += "out of memory, or killed" if code == -signal.SIGKILL else "bench logs may say more"
        self._end(slot)
        slot.process = slot.pipe = None
        return lost(task, why)

    def _end(self, slot: Slot) -> None:
        assert slot.task is not None
        for other in self.slots:
            if other.lent == slot.task.job.id:
                other.lent = ""
        slot.task = None

    def withdraw(self) -> Iterable[str]:
        """Nothing lies in a queue."""
        return ()

    def kill(self, job_id: str) -> None:
        """End the process of a job; the next one in its slot begins another."""
        for slot in self.slots:
            if slot.task and slot.task.job.id == job_id and slot.process:
                slot.process.kill()
                slot.process.join()
                self._end(slot)
                slot.process = slot.pipe = None

    def close(self) -> None:
        """End all processes."""
        begun = [slot.process for slot in self.slots if slot.process]
        for process in begun:
            process.terminate()
        for process in begun:
            process.join()

    def _begin(self, slot: Slot) -> None:
        context = multiprocessing.get_context("spawn")
        slot.pipe, theirs = context.Pipe()
        slot.process = context.Process(target=_work, args=(theirs, slot.cores), daemon=self.daemon)
        slot.process.start()
        theirs.close()


def _devices(executor: Executor) -> list[str]:
    """The device of each slot: GPUs in turn, or the CPU."""
    gpus = _gpus() if executor.device in ("auto", "cuda") else 0
    default = gpus * executor.jobs_per_gpu or max(1, len(allowed()) // executor.threads)
    if executor.device.startswith("cuda:"):
        default = executor.jobs_per_gpu
    count = executor.workers or default
    if executor.device == "auto":
        return [f"cuda:{i % gpus}" if gpus else "cpu" for i in range(count)]
    if executor.device == "cuda":
        return [f"cuda:{i % max(1, gpus)}" for i in range(count)]
    return [executor.device] * count


def _gpus() -> int:
    """GPUs that a worker may use, counted without importing torch here."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([v for v in visible.split(",") if v.strip() not in ("", "-1")])
    return sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in Path("/dev").iterdir())


def allowed() -> list[int]:
    """The cores that this process may use, by number."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _cores(slots: int, threads: int) -> list[tuple[int, ...]]:
    """Cores of its own for each slot; none, which leaves it to the system, where there are too few."""
    cores = allowed()
    each = len(cores) // slots
    return [tuple(cores[i * each : (i + 1) * each]) if each >= threads else () for i in range(slots)]


def _work(pipe: Connection, cores: tuple[int, ...]) -> None:
    """Do jobs until the pipe closes. Ctrl-C is the parent's business, and a worker dies with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ[WORKER] = "1"
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    threading.Thread(target=die_with_parent, daemon=True).start()
    told = 0.0

    def tell(what: str, done: int, of: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            send((what, done, of))

    def send(message: object) -> None:
        try:
            pipe.send(message)
        except OSError:  # the parent is gone: stop as if killed, which is no failure of the job
            os._exit(1)

    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        send(attempt(task, tell))


def die_with_parent() -> None:
    """Nobody would hear what a worker does whose parent was killed, and the next run would wait for it."""
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os._exit(1)
