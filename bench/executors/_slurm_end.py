"""How a job of a cluster ended: as its result says, as the store says or, where there is neither, as Slurm does."""

import pickle
from contextlib import suppress
from dataclasses import dataclass

from bench.attempt import fail, lost
from bench.executors import Answer, Task
from bench.executors._slurm_runs import Run, last_line, result
from bench.store import Store

ADVICE = {
    "TIMEOUT": "; raise [executor.slurm] {limit} or signal_seconds",
    "OUT_OF_MEMORY": "; raise [executor.slurm] memory",
}


@dataclass
class Sent:
    """A task that a cluster has."""

    task: Task
    name: str  # the cluster's
    run: Run  # that submitted it, and whose folder has its result
    own: bool = True  # whether that is this run
    told: tuple[str, int, int] = ("", -1, -1)
    gone: float = 0.0  # when it was first not in the queue
    state: str = ""  # that it ended in, as Slurm said then


def ending(sent: Sent, store: Store) -> Answer | None:
    """How it ended; None for a job of another run that nothing is known of."""
    key, path = sent.task.job.key, result(sent.run.folder, sent.name)
    with suppress(Exception):  # one that cannot be read says nothing
        kind, told = pickle.loads(path.read_bytes())
        if kind == "success" and isinstance(told, Answer):
            return told
        return fail(sent.task.job, store, str(told).strip().split("\n")[-1], str(told))
    if store.record(key):
        return Answer("done")
    if failure := store.failure(key):
        return Answer("failed", str(failure["error"]))
    if not sent.own:
        return None
    if sent.state == "CANCELLED":
        return fail(sent.task.job, store, f"its job {sent.name} was cancelled in the queue")
    why = f"its job {sent.name} ended without a result ({sent.state or 'why is not known'})"
    why += ADVICE.get(sent.state, "").format(limit=limit(sent.task))
    why += f": {line}" if (line := last_line(sent.run.folder, sent.name)) else ""
    return lost(sent.task, why)


def limit(task: Task) -> str:
    """The key of the time limit of a job."""
    return "pretrain_time" if task.job.kind == "pretrain" else "time"
