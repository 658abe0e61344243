"""In which arrays jobs go to a cluster, and what is done when it takes no more."""

import pytest

from bench.config import Executor, load
from bench.config import Slurm as Asked
from bench.errors import BenchError
from bench.executors import Place, Task
from bench.executors import slurm as module
from bench.executors._slurm_queue import NoAnswer
from bench.plan import jobs
from bench.queue import Queue
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
second = { plugin = "simclr", pretrain = { init = "method:simclr" } }
[tasks]
brain_tumor = { protocols = ["knn", "linear"] }
"""


class Cluster:
    """Numbers jobs, and takes so many at a time."""

    ahead, patience, every, cluster, workers, most = True, 10.0, 5.0, "nowhere", 4, 3
    room = 1000

    def __init__(self, executor, folder):
        self.arrays = []

    def gpus(self, *, pretrain):
        return 0

    requeues = gpus

    def submit(self, works, *, pretrain, after=""):
        if len(works) > self.room:
            raise NoAnswer("Job violates accounting policy")
        self.room -= len(works)
        self.arrays.append((after, [work.task.job.id for work in works]))
        return [f"{len(self.arrays)}_{n}" for n in range(len(works))]

    def states(self, ids):
        return dict.fromkeys(ids)

    def close(self):
        pass

    def cancel(self, ids, *, pending=False):
        pass


@pytest.fixture
def cluster(write_grid, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SlurmQueue", Cluster)
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setattr(module, "LOOK", 0.0)
    grid = load(write_grid(GRID))
    place = Place(tmp_path / "runs", tmp_path, run="run-1")
    made = module.Slurm(Executor(kind="slurm", slurm=Asked()), place, lambda *_: None)
    for job in Queue(jobs(grid, find_sources(grid, Store(grid.store)))).ahead():
        made.start(Task(job, place))
    return made


def test_an_array_is_of_jobs_that_wait_for_the_same_and_as_long_as_the_cluster_allows(cluster):
    assert list(cluster.hear(0.0)) == []
    arrays = cluster.queue.arrays
    first = [f"simclr/pretrain/{seed}" for seed in (0, 1)]
    assert arrays[0] == ("", first)
    where = {job: f"{number}_{n}" for number, (_, ids) in enumerate(arrays, 1) for n, job in enumerate(ids)}
    for after, ids in arrays:
        method, what, *_ = ids[0].split("/")
        seed = ids[0][-1]
        if ids == first or method == "random_init":
            assert after == ""
        elif what == "pretrain":
            assert (after, ids) == (where[f"simclr/pretrain/{seed}"], [f"second/pretrain/{seed}"])
        else:
            assert after == where[f"{method}/pretrain/{seed}"]
            assert ids == [f"{method}/brain_tumor/{protocol}/{seed}" for protocol in ("knn", "linear")]
    assert [len(ids) for _, ids in arrays if ids[0].startswith("random_init")] == [3, 1]
    assert len(where) == 16


def test_what_it_does_not_take_is_offered_again_in_smaller_arrays(cluster, capsys):
    cluster.queue.room = 4
    list(cluster.hear(0.0))
    assert sum(len(ids) for _, ids in cluster.queue.arrays) == 4
    cluster.queue.room = 1000
    list(cluster.hear(0.0))
    assert sorted(job for _, ids in cluster.queue.arrays for job in ids) == sorted(cluster.sent)
    assert len(cluster.sent) == 16
    assert capsys.readouterr().err == "the cluster takes no more jobs for now: Job violates accounting policy\n"


def test_one_that_takes_nothing_at_all_ends_the_run(cluster):
    cluster.queue.room = 0
    with pytest.raises(BenchError, match="the cluster takes no job: Job violates accounting policy"):
        list(cluster.hear(0.0))


def test_a_run_that_leaves_its_jobs_there_says_how_many_it_could_not(cluster):
    cluster.queue.room = 4
    with pytest.raises(BenchError, match="4 jobs are in the queue; for the other 12, run this again later"):
        cluster.detach()
    cluster.close()
    assert (cluster.run.folder / "jobs.json").exists()
