"""Worker processes on this machine, each importing once and living on. One that dies costs its job, and is replaced."""

import multiprocessing
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from bench.config import Executor
from bench.errors import BenchError
from bench.executors import Event, Listener, Place, Queue
from bench.plan import Job
from bench.store import Store

TELL_EVERY = 0.2  # seconds between two reports of progress


@dataclass
class Worker:
    """A process, our end of its pipe, where it runs jobs, and the job it has."""

    process: SpawnProcess
    pipe: Connection
    place: Place
    job: Job | None = None


def execute(jobs: Sequence[Job], executor: Executor, place: Place, listen: Listener) -> None:
    """Run jobs in `executor.workers` processes; 0: one a GPU, or as many as the cores allow for."""
    queue, places = Queue(jobs), _places(executor, place)
    workers = [_start(p) for p in places[: len(jobs)]]
    try:
        while True:
            for worker in workers:
                if worker.job is None and (job := queue.ready()):
                    worker.job = job
                    worker.pipe.send((job, worker.place))
                    listen(Event(job, "started"))
            busy = [w for w in workers if w.job]
            if not busy:
                return
            for pipe in wait([w.pipe for w in busy]):
                worker = next(w for w in busy if w.pipe is pipe)
                if not _hear(worker, queue, listen):
                    workers[workers.index(worker)] = _start(worker.place)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _hear(worker: Worker, queue: Queue, listen: Listener) -> bool:
    """Take one message of a worker; False if it has died, and its job with it."""
    job = worker.job
    assert job is not None
    alive = True
    try:
        kind, what, done, of = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        alive, kind, done, of = False, "failed", 0, 0
        what = f"the worker died (exit code {worker.process.exitcode}); out of memory, or killed"
        Store(worker.place.store).fail(job.key, {"id": job.id, "key": job.key, "error": what, "traceback": ""})
    if kind == "progress":
        listen(Event(job, "progress", what, done, of))
        return True
    worker.job = None
    if kind == "done":
        queue.finish(job)
        listen(Event(job, "done"))
        return True
    listen(Event(job, "failed", what))
    for lost in queue.fail(job):
        listen(Event(lost, "failed", f"{job.id} failed"))
    return alive


def _places(executor: Executor, place: Place) -> list[Place]:
    """A place for each worker: GPUs in turn, or the CPU."""
    gpus = _gpus() if executor.device in ("auto", "cuda") else 0
    count = executor.workers or gpus or max(1, (os.cpu_count() or 1) // executor.threads)
    if executor.device == "auto":
        return [replace(place, device=f"cuda:{i % gpus}" if gpus else "cpu") for i in range(count)]
    if executor.device == "cuda":
        return [replace(place, device=f"cuda:{i % max(1, gpus)}") for i in range(count)]
    return [place] * count


def _gpus() -> int:
    """GPUs that a worker may use, counted without importing torch here."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([v for v in visible.split(",") if v.strip() not in ("", "-1")])
    return sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in Path("/dev").iterdir())


def _start(place: Place) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=place.devices_per_pretrain == 1)
    process.start()
    theirs.close()
    return Worker(process, ours, place)


def _work(pipe: Connection) -> None:
    """Do jobs until the pipe closes. Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from bench.run import run

    told = 0.0

    def send(*message: object) -> None:
        try:
            pipe.send(message)
        except OSError:  # the parent is gone: stop as if killed, which is no failure of the job
            os._exit(1)

    def tell(what: str, done: int, of: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            send("progress", what, done, of)

    while True:
        try:
            job, place = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            run(job, place, tell)
        except BenchError as exc:
            send("failed", str(exc), 0, 0)
        else:
            send("done", "", 0, 0)
