"""What `bench run` shows while it runs: a live view in a terminal, plain lines anywhere else."""

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from bench.durations import duration
from bench.executors import Event
from bench.plan import Job
from bench.store import Store

if TYPE_CHECKING:
    from rich.console import RenderableType

BAR = 24  # characters


@dataclass
class Running:
    """A job under way and how far it is."""

    job: Job
    since: float = field(default_factory=lambda: time.monotonic())
    what: str = ""
    done: int = 0
    of: int = 0
    first: tuple[float, int] | None = None  # when, and at what count, progress was first told

    def rate(self) -> float:
        """Things a second since progress was first told; 0 before there are two reports."""
        if self.first is None or self.done <= self.first[1]:
            return 0.0
        return (self.done - self.first[1]) / max(time.monotonic() - self.first[0], 1e-9)


class Reporter:
    """Listens to an executor."""

    def __init__(
        self, jobs: list[Job], store: Store, *, live: bool, file: TextIO, seconds: Mapping[str, float] | None = None
    ) -> None:
        from rich.console import Console

        self.jobs, self.total, self.store = jobs, len(jobs), store
        self.expected = {job.id: (seconds or {}).get(job.id, 1.0) for job in jobs}  # of each job, to compare them by
        self.open = {job.id: job for job in jobs}
        self.took: dict[tuple[str, ...], list[float]] = defaultdict(
            list
        )  # seconds of those that ended, by what is alike
        self.ended = 0.0  # what was expected of them
        self.done = self.failed = 0
        self.began = time.monotonic()
        self.running: dict[str, Running] = {}
        self.console = Console(file=file, soft_wrap=True, highlight=False)
        self.live: Any = None
        if live:
            from rich.live import Live

            self.live = Live(get_renderable=self.view, console=self.console, refresh_per_second=5, transient=True)

    def __enter__(self) -> "Reporter":
        trained = sum(job.kind == "pretrain" for job in self.jobs)
        pretrainings = f"{trained} pretrainings" if trained != 1 else "1 pretraining"
        both = f"{pretrainings} and {self.total - trained} evaluations" if trained else f"{self.total} evaluations"
        self.say(f"to do: {both}. Ctrl-C stops at a checkpoint, and the same command goes on from there")
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def say(self, text: str) -> None:
        """Print a line above the running jobs."""
        self.console.print(text, markup=False)

    def hear(self, event: Event) -> None:
        """Take an event of the executor."""
        job = event.job
        if event.kind == "started":
            self.running[job.id] = Running(job)
        elif event.kind == "progress":
            state = self.running.setdefault(job.id, Running(job))
            if state.first is None or state.what != event.what:
                state.first = (time.monotonic(), event.done)
            state.what, state.done, state.of = event.what, event.done, event.of
        elif event.kind in ("again", "waiting", "stopped"):
            self.running.pop(job.id, None)
            self.say(f"{'':>9}  {event.kind:<7} {job.id}  {event.what}")
        else:
            since = self.running.pop(job.id, Running(job)).since
            if self.open.pop(job.id, None) and event.kind == "done":
                self.took[_alike(job)].append(time.monotonic() - since)
                self.ended += self.expected.get(job.id, 0.0)
            self.done += event.kind == "done"
            self.failed += event.kind == "failed"
            said = self._result(job) if event.kind == "done" else event.what
            clock = f"{self.done + self.failed}/{self.total}"
            self.say(f"{clock:>9}  {event.kind:<7} {job.id}  {said}  ({duration(time.monotonic() - since)})")

    def _result(self, job: Job) -> str:
        record = self.store.record(job.key)
        facts = record.facts if record else {}
        if job.kind == "pretrain":
            loss = facts.get("history", {}).get("loss") or [float("nan")]
            said = f"loss {loss[0]:.3f} -> {loss[-1]:.3f}, {facts.get('images_per_second', 0):.0f} images/s"
            return f"{said}; COLLAPSED: {facts['collapsed']}" if facts.get("collapsed") else said
        means, name = facts.get("summary", {}), facts.get("primary", "")  # the others are left to `bench show`
        return f"{name} {means[name]:.4f}" if name in means else ""

    def view(self) -> "RenderableType":
        """The running jobs with their bars, and the counts below."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        for state in self.running.values():
            share = state.done / state.of if state.of else 0.0
            full = round(share * BAR)
            rate = state.rate()
            speed = f"{rate:.0f} {state.what}/s" if rate >= 1 else state.what or "starts"
            left = f"{duration((state.of - state.done) / rate)} left" if rate else ""
            bar = Text("━" * full, style="green") + Text("─" * (BAR - full), style="dim")
            table.add_row(Text(state.job.id), bar, f"{share:4.0%}", Text(speed), left)
        waiting = self.total - self.done - self.failed - len(self.running)
        counts = f"{self.done} done, {len(self.running)} running, {waiting} waiting, {self.failed} failed"
        so_far = f"{duration(time.monotonic() - self.began)} so far{self._left()}"
        return Group(table, Text(f"{counts}; {so_far}", style="bold"))

    def _left(self) -> str:
        """Time left: jobs take what those like them took in this run, or else what was expected, in proportion."""
        spent = sum(sum(took) for took in self.took.values())
        if not spent:
            return ""
        usual = {alike: statistics.median(took) for alike, took in self.took.items()}
        pace = spent / self.ended if self.ended else 1.0
        left = 0.0
        for job in self.open.values():
            state = self.running.get(job.id)
            share = state.done / state.of if state and state.of else 0.0
            left += (1 - share) * usual.get(_alike(job), pace * self.expected[job.id])
        now = time.monotonic()
        at_once = (spent + sum(now - state.since for state in self.running.values())) / max(now - self.began, 1e-9)
        return f", about {duration(left / max(at_once, 1e-9))} left"


def _alike(job: Job) -> tuple[str, ...]:
    """Jobs that take about as long, whatever the method."""
    return (job.kind,) if job.task is None or job.protocol is None else (job.task.name, job.protocol.plugin.name)
