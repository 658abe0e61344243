"""`bench plan --cost` on phantoms: probes leave nothing behind, and records tell what is to come."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import look

GRID = """
plugins = ["extra"]
[bench]
seeds = SEEDS
[data]
phantom_cases = 24
[pretrain]
corpus = ["brain_tumor"]
backbone = "resnet10t"
image_size = 32
epochs = 3
batch_size = 16
[methods]
random_init = {}
simclr = { hidden = 32, dim = 16 }
hot = { plugin = "simclr", hidden = 32, dim = 16, temperature = 0.5 }
[tasks]
brain_tumor = { protocols = ["linear", "finetune"], finetune = { epochs = 3 } }
[executor]
kind = "local"
workers = 2
device = "cpu"
"""
BAD = '''"""A method that cannot."""
import os
import signal
from bench.spec import Method, ssl_method


@ssl_method("NAME", paper="none")
class Bad(Method):
    def __init__(self, encoder) -> None:
        super().__init__(encoder)

    def loss(self, views):
        HOW
'''
ROOT = Path(__file__).resolve().parents[2]
WITHIN = 6.0  # what the sum may be off by, on a machine that does something else at any time


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "extra").mkdir()
    for name, how in {"raises": 'raise ValueError("no luck")', "dies": "os.kill(os.getpid(), signal.SIGKILL)"}.items():
        (tmp_path / "extra" / f"{name}.py").write_text(BAD.replace("NAME", name).replace("HOW", how))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run():
    command = [sys.executable, "-m", "bench", "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr


def costs(bench, *words):
    told = json.loads(bench("plan", "--cost", "--json", *words))
    return {job["id"]: job["cost"] for job in told["jobs"]}, told["total"]


def test_probes_tell_of_every_job_and_leave_nothing(place, bench):
    (place / "bench.toml").write_text(GRID.replace("SEEDS", "[0, 1]"))
    told, total = costs(bench, "--probe", "3")
    assert len(told) == 16
    for name, cost in told.items():
        assert cost["seconds"], (name, cost)
        assert 0 < cost["low"] < cost["seconds"] < cost["high"], (name, cost)
        assert cost["basis"] == "probe"
        assert cost["memory_mb"] > 100
        assert cost["disk_mb"] > 0 or "pretrain" not in name
    assert told["simclr/pretrain/0"] == told["simclr/pretrain/1"]
    cells = {str(told[f"{m}/brain_tumor/linear/{s}"]) for m in ("simclr", "hot", "random_init") for s in (0, 1)}
    assert len(cells) == 1  # one probe was for all
    assert total["seconds"] == pytest.approx(sum(cost["seconds"] for cost in told.values()), rel=0.01)
    assert total["wall"] < total["seconds"] + 10
    assert (total["unknown"], total["sure"], total["warnings"]) == (0, {"probe": 1}, [])
    assert [path.name for path in (place / "runs").iterdir()] == ["phantoms"]


def test_a_probe_that_fails_says_so_and_stops_nothing(place, bench):
    text = GRID.replace("SEEDS", "[0]").replace("random_init = {}", "raises = {}\ndies = {}").replace("hot =", "# ")
    (place / "bench.toml").write_text(text)
    told, total = costs(bench, "--probe", "2", "--only", "*/pretrain/*")
    assert "no luck" in told["raises/pretrain/0"]["source"]
    assert "killed" in told["dies/pretrain/0"]["source"]
    assert told["dies/pretrain/0"]["seconds"] is None
    assert told["simclr/pretrain/0"]["seconds"] > 0
    assert total["unknown"] == 2


def test_records_tell_what_further_seeds_cost_and_what_is_done_costs_nothing(place, bench):
    (place / "bench.toml").write_text(GRID.replace("SEEDS", "[0]"))
    run()
    assert "nothing to run" in bench("plan", "--cost")
    (place / "bench.toml").write_text(GRID.replace("SEEDS", "[0, 1]"))
    told, total = costs(bench)  # the probes that it may make are not needed
    coming = {name: cost for name, cost in told.items() if name.endswith("/1")}
    assert all(told[name] is None for name in told.keys() - coming.keys())
    assert {cost["basis"] for cost in coming.values()} == {"records"}
    assert "100% from records of this device" in bench("plan", "--cost")
    run()
    done = {p.job.id: p.record.facts["seconds"] for p in look.planned("bench.toml", None)[2] if p.job.id in coming}
    assert 1 / WITHIN < sum(done.values()) / total["seconds"] < WITHIN


def test_without_probes_nothing_is_drawn(place, bench):
    (place / "bench.toml").write_text(GRID.replace("SEEDS", "[0]"))
    assert "nothing is known of any of 8 jobs" in bench("plan", "--cost", "--probe", "0")
    assert not (place / "runs").exists()
