"""Jobs of a Slurm cluster: an array for each stage, cells after the pretraining that they wait for.

All jobs are handed over at once. A pretraining that reaches its time limit, or is pre-empted, goes on from its
checkpoint. A run that is killed leaves its jobs in the queue, and the next one listens to them.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from bench.claims import Claims
from bench.config import Executor
from bench.errors import BenchError
from bench.executors import Answer, Place, Task, Tell
from bench.executors._slurm_end import Sent, ending, limit
from bench.executors._slurm_job import Work, slot
from bench.executors._slurm_local import LocalQueue
from bench.executors._slurm_queue import NoAnswer, SlurmQueue, listed
from bench.executors._slurm_runs import Run, result, runs, tidy
from bench.plan import Job
from bench.store import Store

LOOK = 1.0  # seconds between two looks at files
PAUSE = 30.0  # seconds before what Slurm refused, or did not answer, is asked again


class Slurm:
    """Submits what was started when it is next heard."""

    def __init__(self, executor: Executor, place: Place, tell: Tell) -> None:
        self.asked, self.tell = executor.slurm, tell
        self.store, self.claims = Store(place.store), Claims(place.store / "claims")
        folder, local = place.store / "slurm" / place.run, executor.slurm.cluster == "local"
        self.queue: SlurmQueue | LocalQueue = (LocalQueue if local else SlurmQueue)(executor, folder)
        self.prompt, self.ahead, self.workers = local, self.queue.ahead, self.queue.workers
        self.run = Run(folder, self.queue.cluster)
        self.waiting: list[Task] = []
        self.sent: dict[str, Sent] = {}
        self.left = {} if local else dict(self._left())
        self.most, self.later = self.queue.most, 0.0  # jobs of an array; when more may be submitted
        self.looked, self.asking = 0.0, 0.0
        self.stopping = self.silent = self.detached = False
        self.refused = ""

    def _left(self) -> Iterator[tuple[str, tuple[str, Run]]]:
        """What other runs, killed or alive, have in the queue: by key. What is left of the rest is cleared away."""
        for run in runs(self.run.folder.parent):
            if run.cluster != self.queue.cluster or run.folder == self.run.folder:
                continue
            try:
                there = listed(run.names)
            except NoAnswer as exc:
                raise BenchError(f'[executor] kind = "slurm": Slurm does not answer: {exc}') from None
            mine = {name for name, row in there.items() if row.name == run.name}
            found = {k: n for k, (_, n) in run.jobs.items() if n in mine and not result(run.folder, n).exists()}
            if not found and not run.alive:
                tidy(run, self.store)
            yield from ((key, (name, run)) for key, name in found.items())

    def room(self, job: Job) -> bool:
        """A queue takes everything."""
        return self.ahead or len(self.sent) + len(self.waiting) < self.workers

    def start(self, task: Task) -> None:
        """Have it submitted, unless it is in the queue already."""
        if there := self.left.pop(task.job.key, None):
            self.sent[task.job.id] = Sent(task, *there, own=False)
        else:
            self.waiting.append(task)

    # ------------------------------------------------------------------------------------------- submitting

    def _submit(self) -> None:
        """Everything in few arrays, each of jobs of a kind that wait for the same."""
        while self.waiting and time.monotonic() >= self.later:
            group, after = self._group()
            pretrain = group[0].job.kind == "pretrain"
            try:
                names = self.queue.submit([self._work(task) for task in group], pretrain=pretrain, after=after)
            except NoAnswer as exc:
                if not self.run.jobs and not self.sent:
                    raise BenchError(f"the cluster takes no job: {exc}") from None
                if str(exc) != self.refused:
                    _say(f"the cluster takes no more jobs for now: {exc}")
                self.refused, self.later, self.most = str(exc), time.monotonic() + PAUSE, max(1, len(group) // 2)
                return
            sent = {task.job.id for task in group}
            self.waiting = [task for task in self.waiting if task.job.id not in sent]
            for task, name in zip(group, names, strict=True):
                self.sent[task.job.id] = Sent(task, name, self.run)
                self.run.jobs[task.job.key] = (task.job.id, name)
            if self.ahead:
                self.run.keep()

    def _group(self) -> tuple[list[Task], str]:
        """The next array, and the job of the cluster that it comes after."""
        unsent = {task.job.id for task in self.waiting}

        def kind(task: Task) -> tuple[str, str]:
            return task.job.kind, sent.name if (sent := self.sent.get(task.job.needs)) else ""

        able = [task for task in self.waiting if task.job.needs not in unsent]
        group = [task for task in able if kind(task) == kind(able[0])]
        return group[: self.most], kind(able[0])[1]

    def _work(self, task: Task) -> Work:
        pretrain = task.job.kind == "pretrain"
        times = self.queue.requeues(pretrain=pretrain) + 1
        over = f"ran out of time{f' {times} times' * (times > 1)}; raise [executor.slurm] {limit(task)}"
        over += "; its checkpoint is kept" if pretrain else ", for a cell begins anew each time"
        patience = max(1, self.asked.signal_seconds * 2 // 3)
        return Work(task, self.queue.cluster, self.queue.gpus(pretrain=pretrain), patience, over)

    def detach(self) -> int:
        """Submit what was started and leave it to the cluster; how many jobs of ours are in the queue."""
        self._submit()
        count, self.detached = len(self.sent), True
        self.sent.clear()
        if self.waiting:
            raise BenchError(f"{count} jobs are in the queue; for the other {len(self.waiting)}, run this again later")
        return count

    # ------------------------------------------------------------------------------------------- hearing

    def hear(self, seconds: float) -> Iterable[tuple[str, Answer]]:
        """What ended, by its result or by not being in the queue any more; and how far the rest is, by its claims."""
        self._submit()
        time.sleep(max(0.0, min(seconds, self.looked + LOOK - time.monotonic())))
        if time.monotonic() - self.looked < LOOK:
            return
        self.looked = time.monotonic()
        self._progress()
        for sent in [*self._finished(), *self._vanished()]:
            if not self.sent.pop(sent.task.job.id, None):
                continue
            answer = ending(sent, self.store)
            if not sent.own and not self.stopping and (answer is None or answer.kind == "stopped"):
                self.waiting.append(sent.task)  # another run had it, and was stopped or killed itself
            else:
                yield sent.task.job.id, answer or Answer("stopped", "its job is gone")

    def _progress(self) -> None:
        there = _names(self.claims.folder)
        for sent in list(self.sent.values()):
            job = sent.task.job
            if f"{job.key}.json" not in there or not (holder := self.claims.holder(job.key)):
                continue
            its = slot(self.queue.cluster, sent.name)
            if holder.slot == its if its else holder.run == sent.task.place.run:
                if self.stopping and not sent.own:  # it knows of no run of ours
                    self.claims.stop(job.key, "interrupted")
                if (told := (holder.what, holder.done, holder.of)) != sent.told:
                    sent.told = told
                    self.tell(job.id, *told)

    def _finished(self) -> list[Sent]:
        there = {folder: _names(folder) for folder in {sent.run.folder for sent in self.sent.values()}}
        return [s for s in self.sent.values() if result(s.run.folder, s.name).name in there[s.run.folder]]

    def _vanished(self) -> list[Sent]:
        now = time.monotonic()
        if now < self.asking or not self.sent:
            return []
        try:
            there = self.queue.states(sent.name for sent in self.sent.values())
        except NoAnswer as exc:
            if not self.silent:
                _say(f"Slurm does not answer ({exc}); jobs that run go on, and it is asked again")
            self.silent, self.asking = True, time.monotonic() + PAUSE
            return []
        self.silent, took = False, time.monotonic() - now
        self.asking = time.monotonic() + max(self.queue.every, 10 * took)
        new = [sent.name for sent in self.sent.values() if sent.name not in there and not sent.gone]
        states = self.queue.ended(new) if new else {}
        for sent in self.sent.values():
            sent.gone = 0.0 if sent.name in there else sent.gone or now
            sent.state = states.get(sent.name, sent.state)
        return [sent for sent in self.sent.values() if sent.gone and now - sent.gone >= self.queue.patience]

    # ------------------------------------------------------------------------------------------- ending

    def withdraw(self) -> Iterable[str]:
        """Cancel what has not begun; what runs for another run that lives is left to it."""
        self.stopping = True
        back = [task.job.id for task in self.waiting]
        back += [name for name, sent in self.sent.items() if not self._ours(sent)]
        self.waiting.clear()
        with suppress(NoAnswer):
            mine = {sent.name: name for name, sent in self.sent.items() if self._ours(sent)}
            pending = [name for name, row in self.queue.states(mine).items() if row.state == "PENDING"]
            self.queue.cancel([name for name in mine if name in pending], pending=True)
            there = self.queue.states(pending)
            back += [mine[n] for n in pending if n not in there and not result(self.run.folder, n).exists()]
        for name in back:
            self.sent.pop(name, None)
        return back

    def _ours(self, sent: Sent) -> bool:
        return sent.own or not sent.run.alive

    def kill(self, job_id: str) -> None:
        """Cancel a job."""
        if sent := self.sent.pop(job_id, None):
            self.queue.cancel([sent.name])

    def close(self) -> None:
        """Cancel what is still in the queue, and clear away what was handed to jobs once all is over."""
        if mine := [sent.name for sent in self.sent.values() if self._ours(sent)]:
            self.queue.cancel(mine)
        self.queue.close()
        if not mine and not self.detached:
            tidy(self.run, self.store)
            with suppress(BenchError):
                list(self._left())


def queued(folder: Path) -> list[dict[str, str]]:
    """What runs of a store have in the queue, by the folder of theirs: `id`, `queue`, `state` and `why` of each job."""
    rows = []
    for run in runs(folder):
        try:
            there = listed(run.names)
        except NoAnswer as exc:
            return [{"id": "?", "queue": "slurm", "state": "?", "why": f"Slurm does not answer: {exc}"}]
        for job, name in run.jobs.values():
            if (row := there.get(name)) and row.name == run.name and not result(run.folder, name).exists():
                rows.append({"id": job, "queue": f"slurm {name}", "state": row.state, "why": row.why})
    return rows


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
