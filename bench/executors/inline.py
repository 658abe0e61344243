"""One job after another in this process: for debugging, and the yardstick of the other executors."""

from collections.abc import Sequence

from bench.config import Executor
from bench.errors import BenchError
from bench.executors import Event, Listener, Place, Queue
from bench.plan import Job


def execute(jobs: Sequence[Job], executor: Executor, place: Place, listen: Listener) -> None:
    """Run jobs here."""
    from bench.run import run

    queue = Queue(jobs)
    while job := queue.ready():
        listen(Event(job, "started"))
        try:
            run(job, place, lambda what, done, of, job=job: listen(Event(job, "progress", what, done, of)))  # type: ignore[misc]
        except BenchError as exc:
            listen(Event(job, "failed", str(exc)))
            for lost in queue.fail(job):
                listen(Event(lost, "failed", f"{job.id} failed"))
        else:
            queue.finish(job)
            listen(Event(job, "done"))
