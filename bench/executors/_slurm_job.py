"""What runs inside a job of a cluster: an attempt, and what it does when Slurm says that its time is over.

USR2 (sbatch's `--signal`) means that the time limit is near or that somebody pre-empts the job: it stops at its next
step, with a checkpoint where it has one, and has itself queued again under the same id. TERM means that it is about to
be killed: it stops in the same way and waits for that, for Slurm queues again only what did not end by itself.
"""

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

from bench.attempt import REQUEUE, WORKER, attempt, fail
from bench.claims import Claims
from bench.executors import Answer, Task
from bench.store import Store

KILLED = 3600.0  # seconds in which a job that was told to end waits to be killed


@dataclass(frozen=True)
class Work:
    """An attempt as it is pickled for a cluster."""

    task: Task
    cluster: str  # its name; "" for processes of this machine
    gpus: int
    patience: int  # seconds after USR2 in which a step has to end
    over: str  # what is said where it ran out of time once too often

    def __call__(self) -> Answer:
        """Do the job, in the job."""
        from submitit import JobEnvironment

        os.environ[WORKER] = "1"
        name = JobEnvironment().job_id
        task = replace(self.task, slot=slot(self.cluster, name), place=replace(self.task.place, **self._devices()))
        notice = Notice(task, self)
        return notice.settle(attempt(task, lambda what, done, of: None))

    def checkpoint(self) -> Any:
        """What submitit queues again: the same. Whatever is new lies in the store."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(self)

    def _devices(self) -> dict[str, Any]:
        """Slurm shows a job its own GPUs alone, numbered from 0. Where none was asked for, there may be others'."""
        place, several = self.task.place, self.task.place.devices_per_pretrain
        if place.device == "cuda" or (place.device == "auto" and self.gpus):
            given = "cuda:0"
        else:  # an option such as "gres=gpu:a100:1" may have given some
            given = "cpu" if place.device == "auto" and not os.environ.get("CUDA_VISIBLE_DEVICES") else place.device
        parallel = given.startswith("cuda") and several > 1 and self.task.job.kind == "pretrain"
        return {"device": given, "devices": tuple(range(several)) if parallel else ()}


def slot(cluster: str, name: str) -> str:
    """What a job of a queue writes on its claims, so that it takes over its own once it is started again."""
    return f"slurm {cluster} {name}" if cluster else ""


class Notice:
    """Takes the signals of a job's process, from now on.

    Slurm signals every process and may pick any thread of ours, while the main one waits for its children or computes.
    So Python writes each signal to a socket, and a thread reads them.
    """

    def __init__(self, task: Task, work: Work) -> None:
        self.task, self.work, self.pid = task, work, os.getpid()
        self.told, self.again, self.late = threading.Event(), False, False  # a signal came; USR2; it was too long ago
        self.ending, self.ended = threading.Lock(), False
        self.submitit: Any = signal.signal(signal.SIGUSR2, _nothing)
        signal.signal(signal.SIGTERM, _nothing)
        self.signals, self.written = socket.socketpair()
        self.written.setblocking(False)
        signal.set_wakeup_fd(self.written.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, name="notice", daemon=True).start()
        # Children inherit the mask of the main thread: they do not die while there is a checkpoint to save.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        if task.job.kind == "pretrain" and task.place.devices_per_pretrain > 1:
            resource_tracker.ensure_running()  # which would take a block of TERM away when it starts
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def _listen(self) -> None:
        asked, deadline = False, float("inf")
        while True:
            try:
                number = self.signals.recv(1)[0]
            except TimeoutError:
                number = 0
            if number in (signal.SIGUSR2, signal.SIGTERM):
                self.told.set()
                self.signals.settimeout(0.2)
            if number == signal.SIGUSR2 and not self.again:
                self.again, deadline = True, time.monotonic() + self.work.patience
            with self.ending:
                if self.told.is_set() and not self.ended:
                    asked = asked or self._ask()
                    if time.monotonic() > deadline:
                        deadline = float("inf")
                        self._too_late()

    def _ask(self) -> bool:
        """Ask our own claim to stop: what reaches every process of a pretraining, and ends where it can be saved."""
        claims, key = Claims(self.task.place.store / "claims"), self.task.job.key
        with suppress(OSError):
            if (holder := claims.holder(key)) and holder.here and holder.pid == self.pid:
                claims.stop(key, f"{REQUEUE}d: the time limit is near, or the cluster wants the place")
                return True
        return False

    def _too_late(self) -> None:
        """A step lasts too long: queued again as it is, to go on from the checkpoint before. Slurm kills it at once."""
        self.late = True
        try:
            self.submitit(signal.SIGUSR2, None)
        except SystemExit as exc:
            if not self.work.cluster:  # submitit's own process waits for this code
                os._exit(int(exc.code or 0))
        except Exception:  # refused: the step may still end in time
            self.late = False

    def settle(self, answer: Answer) -> Answer:
        """What becomes of the job: its answer, or it is queued again, and this does not return."""
        with self.ending:
            self.ended = True
        job, store = self.task.job, Store(self.task.place.store)
        if answer.kind == "failed" and self.told.is_set() and not answer.what.startswith("stopped: "):
            # A process that helped may have died of a signal that is no failure of the job. A real one comes again.
            (store.root / "failures" / f"{job.key}.json").unlink(missing_ok=True)
            answer = Answer("stopped", f"{REQUEUE}d: {answer.what}")
        if answer.kind != "stopped" or not answer.what.startswith(REQUEUE):
            return answer
        deadline = time.monotonic() + KILLED
        while (self.late or not self.again) and self.work.cluster and time.monotonic() < deadline:
            time.sleep(0.2)
        return self._requeue(store) if self.again else Answer("again", "the cluster asked it to end")

    def _requeue(self, store: Store) -> Answer:
        from submitit.core.utils import UncompletedJobError

        try:
            self.submitit(signal.SIGUSR2, None)  # ends the process
        except UncompletedJobError:
            why = self.work.over
        except Exception as exc:
            if not self.task.last:
                return Answer("again", f"the cluster does not queue it again by itself ({exc})")
            why = f"the cluster does not queue it again ({exc})"
        return fail(self.task.job, store, why)


def _nothing(number: int, frame: FrameType | None) -> None:
    """A signal is read by the thread."""
