"""Jobs are taken in an order that their needs allow; what waited for a failure is given up, and nothing else is.

The loop is tried with a backend that answers as a test says, and with the claims and records of a real store.
"""

import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field

import pytest

import bench.scheduler
from bench.claims import Claims
from bench.config import Executor, load
from bench.errors import BenchError
from bench.executors import Answer, Backend, Place, Task
from bench.plan import jobs
from bench.queue import Queue
from bench.scheduler import execute
from bench.sources import find_sources
from bench.store import Store

GRID = """
[bench]
seeds = [0, 1]
[pretrain]
corpus = ["fgadr"]
[methods]
random_init = {}
simclr = {}
[tasks]
brain_tumor = { protocols = ["linear", "knn"] }
"""
CELLS = ("brain_tumor/linear", "brain_tumor/knn")


@pytest.fixture
def listed(write_grid):
    grid = load(write_grid(GRID))
    return jobs(grid, find_sources(grid, Store(grid.store)))


def take(queue):
    """Everything that is ready, without finishing any of it."""
    return list(iter(queue.ready, None))


def ids(found):
    return [job.id for job in found]


def test_pretrainings_go_first_and_then_the_order_of_the_plan(listed):
    queue = Queue(listed)
    ready = take(queue)
    floor = [f"random_init/{cell}/{seed}" for seed in (0, 1) for cell in CELLS]
    assert ids(ready) == ["simclr/pretrain/0", "simclr/pretrain/1", *floor]
    assert queue.ready() is None
    queue.finish(ready[1])
    assert ids(take(queue)) == [f"simclr/{cell}/1" for cell in CELLS]
    queue.finish(ready[2])
    assert queue.ready() is None
    queue.finish(ready[0])
    assert ids(take(queue)) == [f"simclr/{cell}/0" for cell in CELLS]


def test_a_failure_gives_up_what_waits_for_it_and_nothing_else(listed):
    queue = Queue(listed)
    first, second, *floor = take(queue)
    assert ids(queue.fail(first)) == [f"simclr/{cell}/0" for cell in CELLS]
    assert queue.fail(floor[0]) == []
    queue.finish(second)
    assert ids(take(queue)) == [f"simclr/{cell}/1" for cell in CELLS]
    assert queue.ready() is None
    assert not any(queue.waiting.values())


def test_what_is_needed_and_not_in_the_queue_is_there(listed):
    cells = [job for job in listed if job.needs]
    assert ids(take(Queue(cells))) == ids(cells)


def test_the_list_that_is_given_is_left_alone(listed):
    before = list(listed)
    take(Queue(listed))
    assert listed == before


def test_an_empty_queue_is_never_ready():
    assert Queue([]).ready() is None


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_endings_runs_everything_once_and_in_order(listed, seed):
    """Three workers that end in any order, jobs that fail at random: each job is started or given up, once."""
    rng, queue = random.Random(seed), Queue(listed)
    running, done, ended = [], [], []
    while True:
        while len(running) < 3 and (job := queue.ready()):
            assert not job.needs or job.needs in done
            running.append(job)
        if not running:
            break
        job = running.pop(rng.randrange(len(running)))
        ended.append(job.id)
        if rng.random() < 0.3:
            ended += ids(queue.fail(job))
        else:
            queue.finish(job)
            done.append(job.id)
    assert sorted(ended) == sorted(ids(listed))


# ------------------------------------------------------------------------------------------- which goes first


def test_the_longest_path_goes_first_among_pretrainings_and_among_cells(listed):
    seconds = {job.id: 1.0 for job in listed}
    seconds |= {
        "simclr/brain_tumor/knn/1": 9.0,
        "random_init/brain_tumor/knn/1": 5.0,
        "random_init/brain_tumor/linear/0": 4.0,
    }
    queue = Queue(listed, seconds)
    assert ids(take(queue)) == [
        "simclr/pretrain/1",  # with the longest cell behind it
        "simclr/pretrain/0",
        "random_init/brain_tumor/knn/1",
        "random_init/brain_tumor/linear/0",
        "random_init/brain_tumor/knn/0",
        "random_init/brain_tumor/linear/1",
    ]


def test_a_pretraining_that_nothing_waits_for_does_not_go_before_what_is_longer(listed):
    alone = [job for job in listed if job.id == "simclr/pretrain/0" or (not job.needs and job.kind == "evaluate")]
    queue = Queue(alone, {"simclr/pretrain/0": 1.0, "random_init/brain_tumor/knn/1": 5.0})
    assert ids(take(queue))[:2] == ["random_init/brain_tumor/knn/1", "simclr/pretrain/0"]


def test_what_wants_several_devices_is_passed_only_by_what_ends_before_they_are_free(listed):
    queue = Queue(listed, {"random_init/brain_tumor/knn/1": 5.0, "random_init/brain_tumor/linear/0": 2.0})

    def narrow(job):
        return job.kind == "evaluate"

    assert queue.ready(narrow, slack=4.0) is None  # the first of the narrow takes 5 seconds
    assert queue.ready(narrow, slack=6.0).id == "random_init/brain_tumor/knn/1"
    assert queue.ready(narrow, slack=4.0).id == "random_init/brain_tumor/linear/0"
    assert queue.ready().id == "simclr/pretrain/0"


def test_taken_ahead_everything_comes_once_and_after_what_it_needs(listed):
    queue = Queue(listed)
    order = ids(queue.ahead())
    assert sorted(order) == sorted(ids(listed))
    assert all(not job.needs or order.index(job.needs) < order.index(job.id) for job in listed)
    assert list(queue.ahead()) == []


# ------------------------------------------------------------------------------------------- the loop


@dataclass
class Scripted:
    """Answers as it is told: by id, one answer an attempt, and "done" when there are no more."""

    answers: dict = field(default_factory=dict)
    places: int = 2
    before: object = None  # called with the task before it is answered
    prompt: bool = True
    ahead: bool = False
    store: object = None
    finish: object = None
    queued: list = field(default_factory=list)
    started: list = field(default_factory=list)
    killed: list = field(default_factory=list)
    closed: bool = False

    @property
    def workers(self):
        return self.places

    def room(self, job):
        return len(self.queued) < self.places or self.ahead

    def start(self, task):
        self.started.append(task)
        self.queued.append(task)

    def hear(self, seconds):
        if not self.queued:
            time.sleep(min(seconds, 0.01))
            return
        task = self.queued.pop(0)
        script = self.answers.get(task.job.id, [])
        answer = script.pop(0) if script else Answer("done")
        if self.before:
            self.before(task)
        if answer == "hang":
            self.queued.append(task)
            time.sleep(0.01)
            return
        if answer.kind == "done":
            self.finish(task.job, self.store)
        yield task.job.id, answer

    def withdraw(self):
        return ()

    def kill(self, job_id):
        self.killed.append(job_id)
        self.queued = [task for task in self.queued if task.job.id != job_id]

    def close(self):
        self.closed = True


@pytest.fixture
def go(listed, tmp_path, finish, monkeypatch):
    """Run the listed jobs by a scripted backend; it and the events, as (kind, id)."""
    monkeypatch.setattr(bench.scheduler, "BACK_OFF", 0.01)
    monkeypatch.setattr(bench.scheduler, "LOOK", 0.01)
    monkeypatch.setattr(bench.scheduler, "TICK", 0.01)
    store = Store(tmp_path / "store")

    def run(answers=None, retries=2, chosen=listed, seconds=None, time_limit=0.0, **settings):
        backend = Scripted(dict(answers or {}), store=store, finish=finish, **settings)
        assert isinstance(backend, Backend)
        monkeypatch.setattr(bench.scheduler, "open_backend", lambda *_: backend)
        events = []
        run.events, run.backend = events, backend
        place = Place(store=store.root, base=tmp_path, time_limit=time_limit)
        run.ended = execute(
            chosen, Executor(retries=retries), place, lambda e: events.append((e.kind, e.job.id, e.what)), seconds
        )
        return backend, events

    run.store = store
    return run


def ends(events):
    return {name: kind for kind, name, _ in events if kind in ("done", "failed")}


def test_everything_is_done_once(go, listed):
    backend, events = go()
    assert ends(events) == dict.fromkeys(ids(listed), "done")
    assert sorted(task.job.id for task in backend.started) == sorted(ids(listed))
    assert backend.closed
    assert 0 <= go.ended.idle <= 1
    assert not list((go.store.root / "claims").glob("*"))


def test_what_may_pass_is_tried_again_and_the_last_attempt_knows_that_it_is(go, listed):
    name = "simclr/pretrain/0"
    backend, events = go({name: [Answer("again", "a lost worker"), Answer("again", "a lost worker")]})
    assert ends(events) == dict.fromkeys(ids(listed), "done")
    tries = [(task.attempt, task.last) for task in backend.started if task.job.id == name]
    assert tries == [(1, False), (2, False), (3, True)]
    assert [what for kind, _, what in events if kind == "again"] == ["a lost worker"] * 2


def test_without_retries_the_first_attempt_is_the_last(go):
    backend, _ = go(retries=0)
    assert all(task.last for task in backend.started)


def test_smaller_parts_are_tried_at_once_and_kept(go):
    name = "simclr/pretrain/0"
    backend, _ = go({name: [Answer("again", "memory", micro=2), Answer("again", "a lost worker", micro=2)]})
    assert [task.micro for task in backend.started if task.job.id == name] == [1, 2, 2]


def test_a_failure_fails_what_waits_for_it_and_nothing_else(go, listed):
    _, events = go({"simclr/pretrain/0": [Answer("failed", "a reason")]})
    lost = {"simclr/pretrain/0", *(f"simclr/{cell}/0" for cell in CELLS)}
    assert {name for name, kind in ends(events).items() if kind == "failed"} == lost
    assert ("failed", f"simclr/{CELLS[0]}/0", "simclr/pretrain/0 failed") in events
    assert len(ends(events)) == len(listed)


def test_what_is_taken_ahead_and_comes_too_early_is_given_again_when_its_need_is_there(go, listed):
    cell = f"simclr/{CELLS[0]}/0"
    backend, events = go({cell: [Answer("early", "not there")]}, ahead=True, prompt=False, places=99)
    assert ends(events) == dict.fromkeys(ids(listed), "done")
    order = [task.job.id for task in backend.started]
    assert order.count(cell) == 2
    assert len(order) == len(listed) + 1


# ------------------------------------------------------------------------------------------- what others have


class Other:
    """Another run that has a job, and after some looks finishes it, fails, or dies."""

    def __init__(self, go, job):
        self.claims, self.job, self.store = Claims(go.store.root / "claims"), job, go.store
        self.claim = self.claims.take(job.key, job.id)

    def end(self, how, finish):
        if how == "finishes":
            finish(self.job, self.store)
        elif how == "fails":
            self.store.fail(self.job.key, {"id": self.job.id, "key": self.job.key, "error": "of its own"})
        with self.claim:
            pass


@pytest.mark.parametrize(
    ("how", "tries", "kind"), [("finishes", 1, "done"), ("fails", 1, "failed"), ("gives up", 2, "done")]
)
def test_what_another_run_has_is_waited_for_and_never_done_twice(go, listed, finish, how, tries, kind):
    job = listed[-1]
    other = Other(go, job)
    timer = threading.Timer(0.3, other.end, (how, finish))
    began = time.monotonic()
    timer.start()
    backend, events = go({job.id: [Answer("busy", "somebody has it")]})
    timer.join()
    assert time.monotonic() - began >= 0.3
    assert ends(events)[job.id] == kind
    assert sum(task.job.id == job.id for task in backend.started) == tries
    assert len(ends(events)) == len(listed)


def test_who_does_not_move_any_more_is_given_up(go, listed, monkeypatch):
    monkeypatch.setattr(bench.claims, "STALE", 0.2)
    job = listed[-1]
    claims = Claims(go.store.root / "claims")
    claims.folder.mkdir(parents=True)
    claims.path(job.key).write_text("{")  # cut off as its writer died, on a machine nobody knows
    backend, events = go({job.id: [Answer("busy", "somebody has it")]})
    first, second = (task for task in backend.started if task.job.id == job.id)
    assert first.dead == ""
    assert second.dead == claims.seal(job.key) != ""
    assert ends(events)[job.id] == "done"


# ------------------------------------------------------------------------------------------- how a run ends


def interrupt(times):
    def send(task):
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)

    return send


def test_one_interrupt_asks_all_to_stop_and_starts_nothing_more(go, listed):
    found = []

    def first(task):
        if not found:
            interrupt(1)(task)
        found.append(list((go.store.root / "claims").glob(f"{task.place.run}.stop")))

    stopped = {job.id: [Answer("stopped", "interrupted")] for job in listed[1:]}
    with pytest.raises(BenchError, match="stopped; what is finished is kept, and the same command goes on"):
        go(stopped, before=first)
    assert len(go.backend.started) == 2  # what ran at the time
    assert found[0] == []
    assert len(found[1]) == 1
    assert go.backend.closed
    assert not list((go.store.root / "claims").glob("*.stop"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_two_interrupts_end_it_where_it_stands(go):
    with pytest.raises(KeyboardInterrupt):
        go(before=interrupt(2))
    assert go.backend.closed
    assert ends(go.events) == {}


def test_a_store_that_takes_no_more_ends_the_run_and_says_why(go, listed):
    with pytest.raises(BenchError, match="the disk is full"):
        go({"simclr/pretrain/0": [Answer("unwritable", "the disk is full")]}, places=1)
    assert ends(go.events) == {}
    assert len(go.backend.started) == 1


def test_what_does_not_stop_at_its_time_limit_is_killed_and_fails(go, listed, monkeypatch):
    monkeypatch.setattr(bench.scheduler, "GRACE", 0.1)
    name = "random_init/brain_tumor/knn/1"
    backend, events = go({name: ["hang"] * 1000}, time_limit=0.1)
    assert backend.killed == [name]
    assert ends(events)[name] == "failed"
    job = next(job for job in listed if job.id == name)
    assert "killed 0 s after its time limit" in go.store.failure(job.key)["error"]
    assert sum(kind == "done" for kind in ends(events).values()) == len(listed) - 1


def test_a_task_pickles(listed, tmp_path):
    import pickle

    task = Task(listed[0], Place(store=tmp_path, base=tmp_path))
    assert pickle.loads(pickle.dumps(task)) == task
