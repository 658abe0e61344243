"""What a person sees while a grid runs: what is running, what ended how, and how long it may still take."""

import io

import pytest
from rich.console import Console

from bench.cli import live
from bench.cli.live import Reporter
from bench.config import load
from bench.executors import Event
from bench.plan import jobs
from bench.sources import find_sources
from bench.store import Store

GRID = """
[pretrain]
corpus = ["fgadr"]
[methods]
random_init = {}
simclr = {}
byol = {}
[tasks]
brain_tumor = { protocols = ["linear"] }
"""


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""
    state = {"now": 100.0}
    monkeypatch.setattr(live.time, "monotonic", lambda: state["now"])
    return state


@pytest.fixture
def reporter(write_grid, clock, tmp_path):
    grid = load(write_grid(GRID))
    store = Store(grid.store)
    listed = {job.id: job for job in jobs(grid, find_sources(grid, store))}
    with (tmp_path / "said.txt").open("w+", encoding="utf-8") as file:
        told = Reporter(list(listed.values()), store, live=False, file=file)
        told.by_id = listed
        yield told


def shown(reporter):
    """The live view as text, 120 characters wide."""
    console = Console(file=io.StringIO(), width=120)
    console.print(reporter.view())
    return console.file.getvalue()


def printed(reporter):
    reporter.console.file.seek(0)
    return reporter.console.file.read()


def hear(reporter, name, kind, *more):
    reporter.hear(Event(reporter.by_id[name], kind, *more))


def test_it_begins_with_what_there_is_to_do(reporter):
    with reporter:
        pass
    assert printed(reporter).startswith("to do: 2 pretrainings and 3 evaluations. Ctrl-C stops at a checkpoint")


def test_a_job_that_has_told_nothing_yet_starts_and_then_shows_its_share_and_rate(reporter, clock):
    hear(reporter, "simclr/pretrain/0", "started")
    assert "simclr/pretrain/0" in shown(reporter)
    assert "0%  starts" in shown(reporter)
    hear(reporter, "simclr/pretrain/0", "progress", "images", 100, 1000)
    clock["now"] += 10
    hear(reporter, "simclr/pretrain/0", "progress", "images", 600, 1000)
    line = shown(reporter).splitlines()[0]
    assert " 60%  50 images/s  8 s left" in line
    assert "0 done, 1 running, 4 waiting, 0 failed; 10 s so far" in shown(reporter)


def test_time_left_is_by_what_jobs_alike_took_in_this_run(reporter, clock):
    first, second = "random_init/brain_tumor/linear/0", "simclr/brain_tumor/linear/0"
    for name in ("simclr/pretrain/0", "byol/pretrain/0"):
        hear(reporter, name, "started")
    clock["now"] += 100
    for name in ("simclr/pretrain/0", "byol/pretrain/0"):
        hear(reporter, name, "done")
    hear(reporter, first, "started")
    hear(reporter, second, "started")
    clock["now"] += 20
    hear(reporter, first, "done")
    hear(reporter, second, "progress", "epochs", 1, 2)
    # Two at a time so far: half of one that takes 20 s, and one more of 20 s, are 15 s.
    assert "120 s" not in shown(reporter)
    assert "2 min 00 s so far, about 15 s left" in shown(reporter)


def test_what_is_put_aside_tried_again_or_stopped_is_told_and_runs_no_more(reporter):
    for kind, why in (
        ("again", "a lost worker"),
        ("waiting", "process 3 on another has it"),
        ("stopped", "interrupted"),
    ):
        hear(reporter, "simclr/pretrain/0", "started")
        hear(reporter, "simclr/pretrain/0", kind, why)
        assert f"{kind:<7} simclr/pretrain/0  {why}" in printed(reporter)
        assert "0 running" in shown(reporter)


def test_a_failure_is_told_with_its_reason(reporter, clock):
    hear(reporter, "simclr/pretrain/0", "started")
    clock["now"] += 65
    hear(reporter, "simclr/pretrain/0", "failed", "a reason")
    hear(reporter, "simclr/brain_tumor/linear/0", "failed", "simclr/pretrain/0 failed")
    assert "1/5  failed  simclr/pretrain/0  a reason  (1 min 05 s)" in printed(reporter)
    assert "2/5  failed  simclr/brain_tumor/linear/0  simclr/pretrain/0 failed  (0 s)" in printed(reporter)
    assert "0 done, 0 running, 3 waiting, 2 failed" in shown(reporter)
