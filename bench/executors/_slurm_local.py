"""A cluster of this machine alone, by submitit's processes: to try a grid for Slurm where there is none."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.config import Executor
from bench.durations import seconds
from bench.executors._slurm_job import Work
from bench.executors._slurm_queue import Listed, quiet_submitit
from bench.executors.local import allowed

LONG = 7 * 24 * 60  # minutes: a job without a time limit


class LocalQueue:
    """Starts each job at once; nothing waits here, neither for a place nor for another job."""

    ahead = False
    every = 1.0
    patience = 0.0
    cluster = ""
    most = 1

    def __init__(self, executor: Executor, folder: Path) -> None:
        quiet_submitit()
        self.asked, self.folder = executor.slurm, folder
        self.workers = executor.workers or max(1, len(allowed()) // executor.threads)
        self.several = executor.devices_per_pretrain
        self.begun: dict[str, Any] = {}  # subprocess.Popen by its id

    def gpus(self, *, pretrain: bool) -> int:
        """GPUs of a job; all jobs have the same."""
        return self.asked.gpus * (self.several if pretrain else 1)

    def requeues(self, *, pretrain: bool) -> int:
        """Times that a job is begun again after its time."""
        return self.asked.requeues if pretrain else min(2, self.asked.requeues)

    def submit(self, works: Sequence[Work], *, pretrain: bool, after: str = "") -> list[str]:
        """Start jobs."""
        from submitit import LocalExecutor

        text = self.asked.pretrain_time if pretrain and self.asked.pretrain_time else self.asked.time
        executor = LocalExecutor(self.folder, max_num_timeout=self.requeues(pretrain=pretrain))
        executor.update_parameters(
            timeout_min=seconds(text, "[executor.slurm] time") / 60 or LONG,
            signal_delay_s=self.asked.signal_seconds,
            gpus_per_node=self.gpus(pretrain=pretrain),
            setup=list(self.asked.setup),
            stderr_to_stdout=True,
        )
        with _deaf_to_interrupts():
            jobs: list[Any] = [executor.submit(work) for work in works]
        self.begun |= {job.job_id: job._process for job in jobs}
        return [job.job_id for job in jobs]

    def states(self, ids: Iterable[str]) -> dict[str, Listed]:
        """Those that run."""
        return {name: Listed("RUNNING", "", "") for name in ids if self.begun[name].poll() is None}

    def ended(self, ids: Iterable[str]) -> dict[str, str]:
        """Nothing more is known of a process than that it is gone."""
        return {}

    def cancel(self, ids: Iterable[str], *, pending: bool = False) -> None:
        """Kill jobs."""
        for name in ids if not pending else ():
            for process in [int(name), *_descendants(int(name))]:
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            self.begun[name].wait()

    def close(self) -> None:
        """Let no process that has told its result linger."""
        for process in self.begun.values():
            process.wait()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Ctrl-C in a terminal reaches all its processes; those begun here do not hear it, and stop by their claims."""
    if threading.current_thread() is not threading.main_thread():  # who runs us there has no Ctrl-C for us either
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _descendants(process: int) -> Iterator[int]:
    """The processes that one has started, and those that they have."""
    with suppress(OSError):
        for child in Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split():
            yield int(child)
            yield from _descendants(int(child))
