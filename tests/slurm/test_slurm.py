"""Jobs of a real Slurm: in arrays, one after another, pre-empted, cancelled, and left by the run that sent them."""

import json
import os
import signal
import time

import pytest

from bench import config
from bench.errors import BenchError
from bench.executors._slurm_queue import SlurmQueue

pytest.importorskip("submitit")

LOW = 'kind = "slurm"\n[executor.slurm]\npartition = "low"\nmemory = "1 GB"\nsignal_seconds = 60\noptions = ["nice=1"]'


def until(met, seconds=60):
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def queue(slurm):
    """State by id of what is in the queue."""
    return dict(line.split("|") for line in slurm.ask("squeue", "--noheader", "--array", "--format=%i|%T").splitlines())


def test_pre_empted_it_goes_on_from_its_checkpoint_and_ends_with_the_same_bytes(slurm, small, plain):
    small.of(LOW)
    with small.begun() as run:
        reached = small.wait_for_step(4)
        told = json.loads(small.bench("status", "--json"))
        slurm.ask(
            "sbatch", f"--partition={slurm.partition}", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 3"
        )
        printed, _ = run.communicate(timeout=300)
        assert run.returncode == 0, printed
    running, queued = ({row["id"]: row for row in told[name]} for name in ("running", "queued"))
    assert running["simclr/pretrain/0"]["alive"]
    assert (queued["simclr/brain_tumor/knn/0"]["state"], queued["simclr/brain_tumor/knn/0"]["why"]) == (
        "PENDING",
        "Dependency",
    )
    log = small.bench("logs", "simclr/pretrain/0")
    assert log.count("stopped requeued: the time limit is near, or the cluster wants the place") == 1
    assert small.attempts()["simclr/pretrain/0"] == 2
    assert reached < 24
    assert "3 of 3 jobs done" in printed
    assert small.results() == plain
    assert not list((small.folder / "runs" / "slurm").iterdir())


def test_what_a_run_leaves_in_the_queue_is_the_next_ones(slurm, small, plain):
    small.of(LOW)
    until(lambda: not queue(slurm))  # Slurm takes a moment to see the end of a job
    assert "3 jobs are in the queue" in small.bench("run", "--detach")
    first = queue(slurm)
    assert len(first) == 3
    with small.begun() as run:  # listens to them, and is interrupted
        small.wait_for_step(2)
        assert queue(slurm).keys() <= first.keys()
        os.killpg(run.pid, signal.SIGINT)
        printed, _ = run.communicate(timeout=60)
        assert run.returncode == 2
    assert "stopped simclr/pretrain/0  interrupted" in printed
    assert "stopped simclr/brain_tumor/knn/0  not begun" in printed
    assert "PENDING" not in queue(slurm).values()

    begun = small.attempts()
    with small.begun() as run:  # submits what is left, and is killed
        left = small.wait_for_step(small.step() + 1)
        os.killpg(run.pid, signal.SIGKILL)
    second = queue(slurm)
    assert left < 24
    assert "PENDING" in second.values()
    with small.begun() as run:  # listens again
        time.sleep(4)
        assert queue(slurm).keys() <= second.keys()
        printed, _ = run.communicate(timeout=300)
        assert run.returncode == 0, printed
    assert small.results() == plain
    assert small.attempts() == {**begun, "simclr/pretrain/0": 2, "simclr/brain_tumor/knn/0": 1}
    assert not list((small.folder / "runs" / "slurm").iterdir())


def test_cancelled_by_hand_it_is_a_failure_and_not_tried_again(slurm, small):
    small.of(LOW)
    until(lambda: not queue(slurm))
    with small.begun("--only", "random_init/*") as run:
        until(lambda: queue(slurm))
        (name,) = queue(slurm)
        slurm.ask("scancel", name)
        printed, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert f"failed  random_init/brain_tumor/knn/0  its job {name} was cancelled in the queue" in printed
    assert f"failed: random_init/brain_tumor/knn/0: its job {name} was cancelled in the queue" in printed


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"partition": "man"}, "partition: unknown partition `man`; did you mean `main`?"),
        ({"pretrain_time": "2 h"}, 'pretrain_time = "2 h": more than the 60 min of the partition'),
        ({"gpus": 3}, "gpus = 3: a node of `main` has 2"),
        ({"cpus": 5}, "cpus = 5: a node of `main` has 4"),
        ({"memory": "9 TB"}, 'memory = "9 TB": a node of `main` has '),
        ({"time": "1 min"}, "signal_seconds = 90: more than half of time, 1 min"),
    ],
)
def test_what_no_node_could_give_is_refused_before_anything_is_submitted(slurm, tmp_path, asked, said):
    with pytest.raises(BenchError) as refused:
        SlurmQueue(config.Executor(slurm=config.Slurm(**asked)), tmp_path)
    assert str(refused.value).startswith(f"[executor.slurm] {said}")


def test_a_controller_that_is_down_is_said_at_once(slurm, small, tmp_path, monkeypatch):
    text = slurm.conf.read_text()
    port = next(line for line in text.splitlines() if line.startswith("SlurmctldPort="))
    (tmp_path / "slurm.conf").write_text(text.replace(port, "SlurmctldPort=1"))
    small.environment["SLURM_CONF"] = str(tmp_path / "slurm.conf")
    said = small.of(LOW).bench("run", code=2)
    assert 'kind = "slurm": Slurm does not answer: Slurmctld(primary) at ' in said
    assert "is DOWN" in said


def test_what_sbatch_refuses_is_said_in_its_words(slurm, small):
    said = small.of(LOW.replace("nice=1", "constraint=gold")).bench("run", code=2)
    words = "bench: the cluster takes no job: Batch job submission failed: Invalid feature specification\n"
    assert said.endswith(words)
