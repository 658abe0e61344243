"""What `bench run` shows while it runs: a live view in a terminal, plain lines anywhere else."""

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from bench.cli.show import duration
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
    since: float = field(default_factory=time.monotonic)
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

    def __init__(self, jobs: list[Job], store: Store, *, live: bool, file: TextIO) -> None:
        from rich.console import Console

        self.total, self.store = len(jobs), store
        self.done = self.failed = 0
        self.began = time.monotonic()
        self.running: dict[str, Running] = {}
        self.console = Console(file=file, soft_wrap=True, highlight=False)
        self.live: Any = None
        if live:
            from rich.live import Live

            self.live = Live(get_renderable=self.view, console=self.console, refresh_per_second=5, transient=True)

    def __enter__(self) -> "Reporter":
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def hear(self, event: Event) -> None:
        """Take an event of the executor."""
        job = event.job
        if event.kind == "started":
            self.running[job.id] = Running(job)
        elif event.kind == "progress":
            state = self.running[job.id]
            if state.first is None or state.what != event.what:
                state.first = (time.monotonic(), event.done)
            state.what, state.done, state.of = event.what, event.done, event.of
        else:
            since = self.running.pop(job.id, Running(job)).since
            self.done += event.kind == "done"
            self.failed += event.kind == "failed"
            said = self._result(job) if event.kind == "done" else event.what
            clock = f"{self.done + self.failed}/{self.total}"
            self.console.print(
                f"{clock:>9}  {event.kind:<6} {job.id}  {said}  ({duration(time.monotonic() - since)})", markup=False
            )

    def _result(self, job: Job) -> str:
        record = self.store.record(job.key)
        facts = record.facts if record else {}
        if job.kind == "pretrain":
            loss = facts.get("history", {}).get("loss") or [float("nan")]
            said = f"loss {loss[0]:.3f} -> {loss[-1]:.3f}, {facts.get('images_per_second', 0):.0f} images/s"
            return f"{said}; COLLAPSED: {facts['collapsed']}" if facts.get("collapsed") else said
        from bench.detections import BY_CLASS

        means = facts.get("summary", {})  # those of each structure are left to `bench show`
        kinds = (*(f"{name}_" for name in means), *BY_CLASS)
        whole = [name for name in means if not name.startswith(kinds)]
        return ", ".join(f"{name} {means[name]:.4f}" for name in whole)

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
            speed = f"{rate:.0f} {state.what}/s" if rate >= 1 else state.what
            left = f"{duration((state.of - state.done) / rate)} left" if rate else ""
            bar = Text("━" * full, style="green") + Text("─" * (BAR - full), style="dim")
            table.add_row(Text(state.job.id), bar, f"{share:4.0%}", Text(speed), left)
        waiting = self.total - self.done - self.failed - len(self.running)
        counts = f"{self.done} done, {len(self.running)} running, {waiting} waiting, {self.failed} failed"
        so_far = f"{duration(time.monotonic() - self.began)} so far{self._left()}"
        return Group(table, Text(f"{counts}; {so_far}", style="bold"))

    def _left(self) -> str:
        """Time left, were the jobs to come like those that are finished."""
        ended = self.done + self.failed
        if not ended:
            return ""
        return f", about {duration((time.monotonic() - self.began) / ended * (self.total - ended))} left"
