"""`[executor.slurm] cluster = "local"`: jobs by submitit on this machine, requeued and killed, change no byte."""

import os
import signal

import pytest

pytest.importorskip("submitit")

LOCAL = 'kind = "slurm"\nworkers = 2\n[executor.slurm]\ncluster = "local"\nsignal_seconds = 60'


def test_told_of_a_time_limit_and_then_killed_it_ends_with_the_same_bytes(small, plain):
    small.of(LOCAL)
    with small.begun() as run:
        first = small.wait_for_step(4)
        small.signal(signal.SIGUSR2)  # saved, and begun again by submitit: no attempt is lost
        small.wait_for_attempt(2)
        second = small.wait_for_step(small.step() + 1)
        small.signal(signal.SIGKILL)
        printed, _ = run.communicate(timeout=300)
        assert run.returncode == 0, printed
    log = small.bench("logs", "simclr/pretrain/0")
    assert log.count("stopped requeued: the time limit is near") == 1
    assert printed.count("again   simclr/pretrain/0  its job ") == 1
    assert first < second < 24  # it went on from there, and from there again
    assert "3 of 3 jobs done" in printed
    assert small.attempts() == {
        "simclr/pretrain/0": 3,
        "simclr/brain_tumor/knn/0": 1,
        "random_init/brain_tumor/knn/0": 1,
    }
    assert small.results() == plain
    assert not list((small.folder / "runs" / "slurm").iterdir())  # what was handed to jobs is cleared away


def test_interrupted_it_stops_at_a_checkpoint(small):
    small.of(LOCAL)
    with small.begun("--only", "simclr/*") as run:
        small.wait_for_step(3)
        os.killpg(run.pid, signal.SIGINT)  # as Ctrl-C does, which reaches the jobs too
        printed, _ = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "stopped simclr/pretrain/0  interrupted" in printed
    assert 3 <= small.step() < 24
    assert not (small.folder / "runs" / "failures").exists()


def test_out_of_time_once_too_often_it_fails_and_says_which_key_to_raise(small):
    small.of(LOCAL + '\nrequeues = 0\npretrain_time = "5 min"')
    with small.begun("--only", "simclr/*") as run:
        small.wait_for_step(1)
        small.signal(signal.SIGUSR2)
        printed, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    why = "ran out of time; raise [executor.slurm] pretrain_time; its checkpoint is kept"
    assert f"failed  simclr/pretrain/0  {why}" in printed
    assert f"failed: simclr/pretrain/0 and 1 more: {why}" in printed or "simclr/pretrain/0 failed" in printed
    assert 1 <= small.step() < 24


def test_it_has_no_queue_to_leave_jobs_to(small):
    assert "--detach: only the queue of a cluster" in small.of(LOCAL).bench("run", "--detach", code=2)
