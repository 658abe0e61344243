"""What an attempt makes of all that can happen to a job: always an answer, and a failure only where it is final."""

import errno
import shutil
from collections import namedtuple

import pytest
import torch

import bench.attempt
import bench.run
from bench.attempt import attempt, log_path
from bench.claims import LOST, Claims
from bench.config import load
from bench.errors import BenchError, Stopped
from bench.executors import Answer, Place, Task
from bench.plan import jobs
from bench.sources import find_sources
from bench.store import Store

GRID = """
[pretrain]
corpus = ["fgadr"]
backbone = "BACKBONE"
image_size = 32
batch_size = 16
epochs = 2
[methods]
METHOD
[tasks]
brain_tumor = { protocols = ["knn", "finetune"] }
"""


@pytest.fixture
def jobs_of(write_grid):
    def listed(method="simclr = { hidden = 16, dim = 8 }", backbone="resnet10t", data=None):
        grid = load(write_grid(GRID.replace("METHOD", method).replace("BACKBONE", backbone)), data=data)
        return {job.id: job for job in jobs(grid, find_sources(grid, Store(grid.store)))}

    return listed


@pytest.fixture
def pretraining(jobs_of):
    return jobs_of()["simclr/pretrain/0"]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def go(store, tmp_path, monkeypatch):
    """An attempt at a job that does what it is told: nothing, or raise."""

    def run(job, does=None, **task):
        ran = []

        def life(*_, **__):
            ran.append(job.id)
            if does is not None:
                raise does

        monkeypatch.setattr(bench.run, "run", life)
        run.ran = ran
        return attempt(Task(job, Place(store.root, tmp_path), **task), lambda *_: None)

    return run


def test_a_job_that_is_done_or_has_failed_since_it_was_planned_is_not_done_again(go, store, finish, pretraining):
    store.fail(pretraining.key, {"id": pretraining.id, "key": pretraining.key, "error": "elsewhere"})
    assert go(pretraining) == Answer("failed", "elsewhere")
    finish(pretraining, store)
    assert go(pretraining) == Answer("done")
    assert go.ran == []
    assert not log_path(store.root, pretraining.key).exists()  # for nothing was begun


def test_a_job_that_somebody_else_has_is_left_to_him(go, store, pretraining):
    with Claims(store.root / "claims").take(pretraining.key, pretraining.id):
        answer = go(pretraining)
    assert answer.kind == "busy"
    assert "has it" in answer.what
    assert go.ran == []
    assert go(pretraining) == Answer("done")


def test_a_cell_whose_pretraining_is_not_there_is_early_and_one_whose_pretraining_failed_fails(go, store, jobs_of):
    cell, first = (jobs_of()[name] for name in ("simclr/brain_tumor/knn/0", "simclr/pretrain/0"))
    assert go(cell) == Answer("early", "simclr/pretrain/0 is not there")
    store.fail(first.key, {"id": first.id, "key": first.key, "error": "a reason"})
    assert go(cell) == Answer("failed", "simclr/pretrain/0 failed")
    assert store.failure(cell.key) is None  # the plan knows why
    assert go.ran == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_what_may_pass_is_an_answer_and_a_failure_only_the_last_time(go, store, pretraining, code):
    wrapped = BenchError("cannot be read")
    wrapped.__cause__ = OSError(code, "of the disk")
    for exc in (OSError(code, "of the disk"), wrapped):
        assert go(pretraining, exc).kind == "again"
        assert store.failure(pretraining.key) is None
    assert go(pretraining, wrapped, last=True) == Answer("failed", "cannot be read")
    assert "of the disk" in store.failure(pretraining.key)["traceback"]


@pytest.mark.parametrize(
    "exc", [FileNotFoundError(errno.ENOENT, "gone"), ValueError("wrong"), PermissionError(13, "no")]
)
def test_what_will_not_pass_fails_at_once_with_its_traceback(go, store, pretraining, exc):
    answer = go(pretraining, exc)
    assert answer.kind == "failed"
    assert store.failure(pretraining.key)["error"] == answer.what == f"{type(exc).__name__}: {exc}"
    assert "Traceback" in store.failure(pretraining.key)["traceback"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_store_that_takes_no_more_is_nobodys_failure(go, store, pretraining, code):
    answer = go(pretraining, OSError(code, "no"))
    assert answer.kind == "unwritable"
    assert str(store.root) in answer.what
    assert store.failure(pretraining.key) is None


def test_a_library_that_hides_that_the_disk_is_full_is_seen_through(go, pretraining, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 100, 100))
    answer = go(pretraining, RuntimeError("unexpected pos 64 vs 0"))
    assert answer.kind == "unwritable"
    assert "bench clean" in answer.what


@pytest.mark.parametrize(
    ("why", "kind", "kept"),
    [
        ("interrupted", "stopped", None),
        ("the store takes no more", "stopped", None),
        (LOST, "busy", None),
        ("cancelled by me", "failed", "stopped: cancelled by me; its checkpoint is kept"),
        ("time limit of 60 s", "failed", "stopped: time limit of 60 s; its checkpoint is kept"),
    ],
)
def test_who_stopped_a_job_decides_whether_it_failed(go, store, pretraining, why, kind, kept):
    assert go(pretraining, Stopped(why)).kind == kind
    assert (store.failure(pretraining.key) or {}).get("error") == kept


def test_the_log_says_where_it_ran_what_went_wrong_and_how_it_ended(go, store, pretraining):
    go(pretraining, ValueError("wrong"))
    text = log_path(store.root, pretraining.key).read_text()
    assert "begun simclr/pretrain/0 by process" in text
    assert "Traceback" in text
    assert text.splitlines()[-1].endswith("failed ValueError: wrong")


def test_what_a_worker_prints_goes_to_the_log_and_what_a_person_is_told_does_not(
    store, tmp_path, pretraining, monkeypatch, capfd
):
    def life(*_, **__):
        import os

        os.system("echo from a process")

    monkeypatch.setattr(bench.run, "run", life)
    task = Task(pretraining, Place(store.root, tmp_path))
    attempt(task, lambda *_: None)
    assert "from a process" in capfd.readouterr().out
    monkeypatch.setenv(bench.attempt.WORKER, "1")
    with capfd.disabled():
        attempt(task, lambda *_: None)
    text = log_path(store.root, pretraining.key).read_text()
    assert "from a process" in text
    assert capfd.readouterr().out == ""


def test_a_cell_stops_at_its_next_report(store, tmp_path, jobs_of, finish, monkeypatch):
    cell, first = (jobs_of()[name] for name in ("simclr/brain_tumor/knn/0", "simclr/pretrain/0"))
    finish(first, store)
    claims, reached = Claims(store.root / "claims"), []

    def life(job, place, progress, **_):
        progress("epochs", 1, 10)
        claims.stop(job.key, "cancelled by me")
        stop_at = [c for c in bench.claims.HEART.claims if c.holder.id == job.id]
        assert len(stop_at) == 1
        import time

        time.sleep(bench.claims.LOOK)
        reached.append(1)
        progress("epochs", 2, 10)
        reached.append(2)

    monkeypatch.setattr(bench.run, "run", life)
    answer = attempt(Task(cell, Place(store.root, tmp_path)), lambda *_: None)
    assert answer == Answer("failed", "stopped: cancelled by me")
    assert reached == [1]
    assert not list((store.root / "claims").glob("*.stop"))


# ------------------------------------------------------------------------------------------- memory

VIT = "vit_tiny_patch16_224 patch_size=8"


@pytest.mark.parametrize(
    ("method", "backbone", "why"),
    [
        ("simclr = { hidden = 16, dim = 8 }", "resnet10t", "`simclr` compares the images of a batch"),
        ("apart = {}", "resnet10t", "its batch-norm (`encoder.model."),
    ],
)
def test_a_batch_whose_images_depend_on_each_other_is_never_split(go, jobs_of, method, backbone, why):
    (job,) = (j for j in jobs_of(method, backbone).values() if j.kind == "pretrain")
    answer = go(job, torch.OutOfMemoryError("CUDA out of memory"))
    assert answer.kind == "failed"
    assert why in answer.what
    assert "set [pretrain] accumulate = 2, a smaller batch_size" in answer.what


APART = '''
"""A method whose images do not see each other, and which has room for eight of them."""

import os

import torch

from bench.spec import Method, Views, ssl_method


@ssl_method("apart", paper="none")
class Apart(Method):
    views = Views(global_crops=1)
    separable = True

    def loss(self, views):
        if len(views[0].images) > int(os.environ.get("ROOM", 10**9)):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate more than there is")
        return self.encoder(views[0].images).pooled.square().mean()
'''


@pytest.fixture(autouse=True)
def _plugin(write_grid, tmp_path, monkeypatch):
    (tmp_path / "apart.py").write_text(APART)
    monkeypatch.setattr(f"{__name__}.GRID", 'plugins = ["apart.py"]\n' + GRID)


def test_a_batch_that_can_be_split_is_split_once(go, jobs_of):
    job = jobs_of("apart = {}", VIT)["apart/pretrain/0"]
    memory = torch.OutOfMemoryError("CUDA out of memory")
    answer = go(job, memory)
    assert (answer.kind, answer.micro) == ("again", 2)
    assert "changes no number" in answer.what
    answer = go(job, memory, micro=2)
    assert answer.kind == "failed"
    assert "even in 2 parts" in answer.what


def test_a_cell_says_what_to_set(go, store, jobs_of, finish):
    found = jobs_of()
    finish(found["simclr/pretrain/0"], store)
    answer = go(found["simclr/brain_tumor/finetune/0"], torch.OutOfMemoryError("CUDA out of memory"))
    assert answer.kind == "failed"
    assert "[protocols.finetune] batch_size or image_size (" in answer.what


def test_in_halves_it_gives_the_same_encoder_as_whole(jobs_of, phantoms, tmp_path, one_thread, monkeypatch):
    """The gradient of a mean is the mean of the gradients of its parts."""
    from safetensors.torch import load_file

    from bench.config import Executor
    from bench.scheduler import execute

    job = jobs_of("apart = {}", VIT, str(phantoms))["apart/pretrain/0"]
    weights, told = [], []
    for name, room in (("whole", "99"), ("halves", "8")):
        monkeypatch.setenv("ROOM", room)
        place = Place(tmp_path / name, tmp_path)
        execute([job], Executor(kind="inline"), place, lambda event: told.append((event.kind, event.what)))
        weights.append(load_file(Store(tmp_path / name).record(job.key).file("encoder.safetensors")))
    whole, halves = weights
    assert [kind for kind, _ in told if kind != "progress"] == [
        "started",
        "done",
        "started",
        "again",
        "started",
        "done",
    ]
    for key, value in whole.items():
        torch.testing.assert_close(value, halves[key], atol=1e-4, rtol=1e-3)
