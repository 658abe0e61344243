"""One job after another in this process: for debugging, and the yardstick of the other executors."""

from collections.abc import Iterable

from bench.executors import Answer, Task, Tell
from bench.plan import Job


class Inline:
    """Runs each job when it is next heard."""

    prompt = True
    ahead = False
    workers = 1

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.task: Task | None = None

    def room(self, job: Job) -> bool:
        """Whether nothing is waiting to be run."""
        return self.task is None

    def start(self, task: Task) -> None:
        """Have it run by the next `hear`."""
        self.task = task

    def hear(self, seconds: float) -> Iterable[tuple[str, Answer]]:
        """Run the job that was started."""
        from bench.attempt import attempt

        if (task := self.task) is None:
            return
        name = task.job.id
        self.task = None
        yield name, attempt(task, lambda what, done, of: self.tell(name, what, done, of))

    def withdraw(self) -> Iterable[str]:
        """Nothing lies in a queue."""
        return ()

    def kill(self, job_id: str) -> None:
        """Nothing runs when this is called."""

    def close(self) -> None:
        """Nothing is held."""
