"""A job measured for a few seconds, in a process of its own, so that its peak of memory is the job's.

Nothing is left in the store. What is measured, and how that is extended to the whole job, is in `bench.measure`.
"""

import math
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from bench.errors import reason
from bench.executors import Place
from bench.plan import Job

PATIENCE = 60.0  # seconds beyond three times those of the probe in which it must have answered


@dataclass(frozen=True)
class Finding:
    """What a probe tells of a job: seconds of it all, without the reading of its images, or why there are none."""

    seconds: float = math.nan
    factor: float = 1.4  # within which that is held to be right
    reading: float = 0.0  # seconds of decoding all images
    memory_mb: float = 0.0
    disk_mb: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Ask:
    """A job to probe, for how many seconds, and how many images a pretraining has."""

    job: Job
    place: Place
    seconds: float
    images: int = 0


def probe(asks: Sequence[Ask], workers: int, tell: Callable[[str], None]) -> list[Finding]:
    """Probe jobs, as many at a time as the grid runs, for they slow each other down. Nothing is raised."""

    def one(ask: Ask) -> Finding:
        tell(ask.job.id)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            return _alone(replace(ask, place=replace(ask.place, store=Path(folder))))

    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            return list(pool.map(one, asks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _alone(ask: Ask) -> Finding:
    """A probe in a process of its own, which is killed if it does not answer."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, ask), daemon=True)
    process.start()
    theirs.close()
    limit = 3 * ask.seconds + PATIENCE
    try:
        if not ours.poll(limit):
            return Finding(error=f"no progress in {limit:.0f} s")
        found: Finding = ours.recv()
        return found
    except EOFError:
        process.join()
        code = process.exitcode or 0
        return Finding(error="killed; out of memory?" if code == -9 else f"the process died ({code})")
    finally:
        process.kill()
        process.join()


def _answer(pipe: Connection, ask: Ask) -> None:
    """What runs in the process. What it prints would tear the table."""
    from bench.measure import measure

    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    try:
        pipe.send(measure(ask))
    except Exception as exc:
        pipe.send(Finding(error=reason(exc)))
