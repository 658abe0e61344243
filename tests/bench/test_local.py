"""Worker processes: what dies takes nothing else with it, each has its cores and devices, none outlives its parent."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.claims import Claims, born
from bench.config import Executor, load
from bench.errors import BenchError
from bench.executors import Place, Task
from bench.executors.local import Local
from bench.plan import jobs
from bench.scheduler import execute
from bench.sources import find_sources
from bench.store import Store


@pytest.fixture
def listed(dots):
    grid = load(dots / "bench.toml")
    return jobs(grid, find_sources(grid, Store(grid.store)))


def test_what_dies_costs_only_its_job_and_is_replaced(dots, listed, monkeypatch):
    monkeypatch.setattr("bench.scheduler.BACK_OFF", 0.1)
    store, events = Store(dots / "runs"), []
    chosen = [job for job in listed if job.seed != 4]
    executor = Executor(device="cpu", workers=2, retries=1)
    ended = execute(chosen, executor, Place(store.root, dots), lambda e: events.append((e.kind, e.job.seed, e.what)))
    final = {seed: (kind, what) for kind, seed, what in events if kind in ("done", "failed")}
    assert {seed for seed, (kind, _) in final.items() if kind == "done"} == {0, 3, 5, 6, 7}
    assert final[1] == ("failed", "the worker died (Segmentation fault); bench logs may say more")
    assert final[2] == ("failed", "the worker died (exit code 3); bench logs may say more")
    again = {seed: what for kind, seed, what in events if kind == "again"}
    assert again[3] == "the worker died (Killed); out of memory, or killed"
    assert again.keys() == {1, 2, 3}
    by_seed = {job.seed: job for job in chosen}
    assert store.failure(by_seed[1].key)["error"] == final[1][1]
    assert store.failure(by_seed[3].key) is None
    assert Claims(store.root / "claims").all().keys() <= {
        by_seed[1].key,
        by_seed[2].key,
    }  # of the dead, and known to be
    assert ended.workers == 2

    said = [path.read_text().split() for path in (store.root / "cache").glob("seed-*")]
    assert len({pid for pid, _ in said}) >= 2
    if len(os.sched_getaffinity(0)) >= 2:
        assert len({cores for _, cores in said}) == 2  # each has cores of its own
        first, second = ({int(core) for core in cores.split(",")} for cores in {cores for _, cores in said})
        assert not first & second


def wait_until(true, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_job_is_cancelled_from_elsewhere_and_one_over_its_time_limit_stops(dots, listed):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    bench = Path(sys.executable).with_name("bench")

    def call(*words, code=0):
        done = subprocess.run([bench, *words], cwd=dots, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    cell, claims = "nothing/dots/told/4", Claims(dots / "runs" / "claims")
    run = subprocess.Popen(
        [bench, "run", "--only", cell],
        cwd=dots,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: claims.all())
    assert "process" in call("status")
    assert '"alive": true' in call("status", "--json")
    assert "cancelled; again with: bench run --rerun failed --only nothing/dots/told/4" in call("cancel", cell)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "stopped: cancelled by" in out
    assert "cancelled by" in call("status")
    assert "failed stopped: cancelled by" in call("logs", cell)

    grid = dots / "bench.toml"
    grid.write_text(grid.read_text() + 'time_limit = "1 s"\n')
    run = subprocess.Popen(
        [bench, "run", "--only", cell, "--rerun", "failed"],
        cwd=dots,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    out, _ = run.communicate(timeout=60)
    assert "stopped: time limit of 1 s" in out


def test_no_worker_outlives_its_parent(dots, listed):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    bench = Path(sys.executable).with_name("bench")
    run = subprocess.Popen(
        [bench, "run", "--only", "nothing/dots/told/4"], cwd=dots, env=environment, stdout=subprocess.DEVNULL
    )
    claims = Claims(dots / "runs" / "claims")
    wait_until(lambda: claims.all())
    (holder,) = claims.all().values()
    assert holder.pid != run.pid
    run.kill()
    run.wait()
    wait_until(lambda: not born(holder.pid), 10)
    (holder,) = claims.all().values()
    assert holder.dead  # so that the next run takes it up at once


# ------------------------------------------------------------------------------------------- devices


class Pipe:
    def __init__(self):
        self.sent = []

    def send(self, task):
        self.sent.append(task)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with GPUs, whose workers are never begun."""

    def made(gpus, **settings):
        monkeypatch.setattr("bench.executors.local._gpus", lambda: gpus)
        local = Local(Executor(**settings), Place(tmp_path, tmp_path), lambda *_: None)

        def begin(slot):
            slot.process, slot.pipe = object(), Pipe()

        monkeypatch.setattr(local, "_begin", begin)
        return local

    return made


@pytest.fixture
def one(listed, tmp_path):
    def task(number, kind="evaluate"):
        return Task(replace(listed[number], kind=kind, id=f"{kind} {number}"), Place(tmp_path, tmp_path))

    return task


def given(local):
    return {slot.task.job.id: (slot.task.place.device, slot.task.place.devices) for slot in local.slots if slot.task}


def test_gpus_are_given_in_turn_and_shared_by_as_many_jobs_as_asked(machine, one):
    local = machine(2, jobs_per_gpu=2)
    assert local.workers == 4
    for number in range(4):
        assert local.room(one(number).job)
        local.start(one(number))
    assert not local.room(one(4).job)
    assert sorted(device for device, _ in given(local).values()) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]


def test_a_pretraining_on_several_gpus_has_whole_ones_until_it_ends(machine, one):
    local = machine(3, jobs_per_gpu=2, devices_per_pretrain=2)
    local.start(one(0))
    wide = one(1, "pretrain")
    assert local.room(wide.job)
    local.start(wide)
    assert given(local)["pretrain 1"] == ("cuda:1", (1, 2))
    assert not local.room(one(2, "pretrain").job)
    local.start(one(3))  # beside the first
    assert given(local)["evaluate 3"] == ("cuda:0", ())
    assert not local.room(one(4).job)
    local._end(next(slot for slot in local.slots if slot.task and slot.task.job.id == "pretrain 1"))
    assert local.room(one(2, "pretrain").job)


def test_more_gpus_than_there_are_is_said_at_once(machine):
    with pytest.raises(BenchError, match=r"devices_per_pretrain = 4: this machine gives 2 GPUs"):
        machine(2, devices_per_pretrain=4)
    assert machine(0, devices_per_pretrain=4, workers=2).width == 2  # on a CPU they share cores


def test_one_gpu_by_number_is_shared_too(machine):
    assert [slot.device for slot in machine(4, device="cuda:2", jobs_per_gpu=3).slots] == ["cuda:2"] * 3
