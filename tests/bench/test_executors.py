"""Jobs are taken in an order that their needs allow; what waited for a failure is given up, and nothing else is."""

import random

import pytest

from bench.config import load
from bench.executors import Queue
from bench.plan import jobs
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
    assert queue.waiting == []


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
