"""Jobs as tasks of Ray: the same bytes, a worker that dies costs an attempt, and what cannot run is said at once."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="the extra `ray` is not installed")

from bench.claims import born
from bench.config import Executor, load
from bench.config import Ray as Config
from bench.errors import BenchError
from bench.executors import Event, Place, Task
from bench.executors import ray as parent
from bench.executors.ray_driver import _visited, work
from bench.executors.ray_needs import Needs, Node, needs
from bench.plan import jobs
from bench.scheduler import execute
from bench.sources import find_sources
from bench.store import Store

ROOT = Path(__file__).resolve().parents[2]
GRID = """
plugins = ["mine.py"]
[bench]
seeds = [0]
[pretrain]
corpus = ["brain_tumor"]
backbone = "resnet10t"
image_size = 32
epochs = 2
batch_size = 8
checkpoint_minutes = 0
[methods]
random_init = {}
mine = {}
[tasks]
brain_tumor = { protocols = ["knn"] }
"""
MINE = '''
"""A method of somebody else's, in a file beside the grid."""

from bench.spec import Method, Views, ssl_method


@ssl_method("mine", paper="none")
class Mine(Method):
    views = Views(global_crops=2)

    def loss(self, views):
        first, second = (self.encoder(view.images).pooled for view in views)
        return (first - second).square().mean() + 1 / (1 + first.var())
'''


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Ray of one node with two CPUs, which knows nothing of this checkout; its address."""
    with socket.socket() as free, pytest.MonkeyPatch.context() as patch:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", os.urandom(32).hex())
        free.close()
        command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}"]
        command += ["--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
        log = tmp_path_factory.mktemp("ray") / "log"
        alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with log.open("wb") as file:
            head = subprocess.Popen(command, env=alone, stdout=file, stderr=file, cwd=log.parent)
        while b"Ray runtime started" not in log.read_bytes():
            assert head.poll() is None, log.read_text()
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
        head.terminate()
        head.wait(60)


@pytest.fixture
def begin(phantoms, write_grid, tmp_path):
    """`begin(executor)`: the jobs of the grid and the place to run them, in a store of its own for each kind."""

    def made(executor):
        (tmp_path / "mine.py").write_text(MINE)
        grid = load(write_grid(GRID), data=str(phantoms))
        store = Store(tmp_path / executor.kind)
        return jobs(grid, find_sources(grid, store)), Place(store=store.root, base=tmp_path, run="run-test")

    return made


def asks(cluster="", *, workers=0, width=1, device="cpu", **more):
    return Executor("ray", workers, device, devices_per_pretrain=width, ray=Config(cluster, **more))


def results(store):
    return {
        (path.parent.name, path.name): path.read_bytes()
        for kind in ("scores.csv", "encoder.safetensors")
        for path in (store / "jobs").glob(f"*/{kind}")
    }


def test_the_bytes_are_those_of_inline_and_a_killed_worker_costs_an_attempt(begin, one_thread):
    """On a Ray of our own, which is gone after the run."""
    listed, place = begin(Executor("inline", device="cpu"))
    execute(listed, Executor("inline", device="cpu"), place, lambda event: None)
    _, there = begin(asks())
    claims, killed, heard = parent.Claims(there.store / "claims"), [], []

    def kill(event: Event) -> None:
        heard.append((event.kind, event.job.id, event.what))
        holder = claims.holder(event.job.key)
        if event.kind == "started" and event.job.id == "mine/pretrain/0" and not killed and holder:
            killed.append(holder.pid)
            os.kill(holder.pid, signal.SIGKILL)

    ended = execute(listed, asks(workers=2), there, kill)
    assert killed
    assert ended.workers == 2
    again = [event for event in heard if event[0] in ("again", "failed", "stopped")]
    assert again == [("again", "mine/pretrain/0", "the worker died; out of memory, or killed")]
    assert sorted(name for kind, name, _ in heard if kind == "done") == sorted(job.id for job in listed)
    assert {name for kind, name, _ in heard if kind == "started"} == {job.id for job in listed}
    assert len(results(place.store)) == 3
    assert results(there.store) == results(place.store)


def test_what_has_not_begun_is_taken_back_what_runs_is_killed_and_a_lost_driver_is_told(cluster, begin):
    executor = asks(cluster, num_cpus=2.0)
    listed, place = begin(executor)
    begun = []
    backend = parent.Ray(executor, place, lambda *told: begun.append(told[0]))
    try:
        (first,) = [job for job in listed if job.kind == "pretrain"]
        (second,) = [job for job in listed if job.kind == "evaluate" and not job.needs]
        assert backend.workers == 1
        assert backend.room(first)
        backend.start(Task(first, place))
        assert not backend.room(second)
        backend.start(Task(second, place))
        while not begun:
            assert list(backend.hear(0.1)) == []
        assert list(backend.withdraw()) == [second.id]
        holder = backend.claims.holder(first.key)
        backend.kill(first.id)
        deadline = time.monotonic() + 20
        while born(holder.pid) == holder.born:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert list(backend.hear(1.0)) == []  # nothing is heard of either any more
        assert set(begun) == {first.id}
        backend.driver.kill()
        with pytest.raises(BenchError, match=r"^Ray is gone: its driver ended \(exit code -9\); .*the same command"):
            list(backend.hear(5.0))
    finally:
        backend.close()


def test_what_no_node_could_ever_run_is_said_at_once(cluster, begin):
    executor = asks(cluster, num_cpus=3.0)
    listed, place = begin(executor)
    said = "a job asks for 3 CPUs and 0 GPUs, and the largest node has 2 CPUs and 0 GPUs"
    with pytest.raises(BenchError, match=rf'^\[executor.ray\] address = "{cluster}": {said}'):
        execute(listed, executor, place, lambda event: None)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            Needs(Config(num_gpus=2.0), 1, 0),
            "a job asks for 1 CPU and 2 GPUs, and the largest node has 8 CPUs and 1 GPU",
        ),
        (Needs(Config(num_gpus=0.5), 4, 0), r"a pretraining \(devices_per_pretrain = 4\) asks for 1 CPU and 4 GPUs"),
        (Needs(Config(num_cpus=2.0), 9, 0), r"a pretraining \(devices_per_pretrain = 9\) asks for 18 CPUs and 0 GPUs"),
    ],
)
def test_what_would_wait_for_ever_is_refused(asked, said):
    with pytest.raises(BenchError, match=f"^here: {said}"):
        asked.refuse([Node(16.0, 0.0), Node(8.0, 1.0)], "here")
    asked.refuse([Node(16.0, 0.0), Node(32.0, 4.0)], "here")


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        (asks("127.0.0.1:1"), r'^\[executor.ray\] address = "127.0.0.1:1": nobody answers there'),
        (asks("http://127.0.0.1:6379"), 'needs "auto", "host:port"'),
        (asks("somewhere"), 'needs "auto", "host:port"'),
        (asks("127.0.0.1:99999"), "nobody answers there"),
        (asks(device="cuda"), r'device = "cuda": a job gets a GPU of Ray only by \[executor.ray\] num_gpus'),
        (asks(device="cuda:1", num_gpus=1.0), "Ray chooses the GPU"),
        (asks(num_cpus=0.0), "one of them has to be more than 0"),
        (asks(num_gpus=1.5), "a part of one GPU, or a whole number"),
    ],
)
def test_what_could_never_run_is_said_before_ray_is_asked(executor, said):
    began = time.monotonic()
    with pytest.raises(BenchError, match=said):
        needs(executor)
    assert time.monotonic() - began < 5


def test_an_address_where_something_else_answers_is_given_up(begin, monkeypatch):
    monkeypatch.setattr(parent, "JOINED", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        executor = asks(f"127.0.0.1:{deaf.getsockname()[1]}")
        listed, place = begin(executor)
        with pytest.raises(BenchError, match="was not ready in 4 s"):
            execute(listed, executor, place, lambda event: None)


def test_ray_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError, match="pip install ray"):
        needs(asks())


def test_jobs_share_nodes_by_what_they_ask_for():
    nodes = [Node(8.0, 2.0), Node(4.0, 0.0)]

    def count(cap=0, **more):
        return Needs(Config(**more), 1, cap).count(nodes)

    assert count() == 12
    assert count(num_cpus=0.1) == 120  # though 8 / 0.1 is not quite 80 in floats
    assert count(num_cpus=3.0) == 3
    assert count(num_gpus=0.5) == 4
    assert count(num_cpus=8.0, num_gpus=1.0) == 1
    assert count(5) == 5
    assert count(num_cpus=16.0) == 1  # none at a time would be a run that ends
    on_gpus, on_cpus = Needs(Config(num_gpus=0.5), 4, 0), Needs(Config(num_cpus=2.0), 4, 0)
    assert (on_gpus.of(1), on_gpus.of(4)) == (Node(1.0, 0.5), Node(1.0, 4.0))
    assert (on_cpus.of(1), on_cpus.of(4)) == (Node(2.0, 0.0), Node(8.0, 0.0))
    assert [Needs(Config(num_cpus=0.5), 1, cap).cpus(7) for cap in (0, 3)] == [7, 2]


def test_a_node_that_cannot_do_jobs_says_why(tmp_path):
    token = tmp_path / "claims" / "token"
    assert "does not see the store" in _visited(token, "1")
    token.parent.mkdir()
    token.touch()
    assert "has medssl-bench " in _visited(token, "another version")


def test_a_task_answers_whatever_happens(begin):
    """So that what Ray raises is only ever of Ray."""
    listed, place = begin(Executor("inline"))
    blocked = replace(place, store=place.store / "file")
    place.store.mkdir(exist_ok=True)
    blocked.store.write_text("")
    before = dict(os.environ)
    try:
        assert work(Task(listed[0], blocked, last=True)).kind == "failed"
    finally:
        os.environ.clear()
        os.environ.update(before)
