"""Weights by the real command line: a pretrained encoder is exported, inspected, and evaluated from its file."""

import json

import pytest
from typer.testing import CliRunner

from bench.cli import app, checkpoint, look, run  # noqa: F401  (they add the commands)
from bench.keys import file_digest
from bench.store import Store

GRID = """
[bench]
name = "weights"
[data]
phantom_cases = 24
[pretrain]
corpus = ["brain_tumor"]
backbone = "resnet18"
image_size = 32
epochs = 1
batch_size = 8
[methods.simclr]
hidden = 16
dim = 8
[tasks]
brain_tumor = { protocols = ["knn"] }
[executor]
kind = "inline"
device = "cpu"
"""
PINNED = """
[methods.again]
plugin = "imagenet_supervised"
weights = "exports/simclr-pretrain-0.pth"
sha256 = "SHA"
[executor]"""

pytestmark = pytest.mark.usefixtures("one_thread")


def bench(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.output} {result.exception}"
    return result.output


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.toml").write_text(GRID)
    bench("run")
    return tmp_path


def test_an_exported_encoder_is_inspected_and_evaluated_to_the_same_numbers(home):
    said = json.loads(bench("checkpoint", "export", "simclr/brain_tumor/knn/0", "--format", "torchvision", "--json"))
    assert said == {"file": "exports/simclr-pretrain-0.pth", "card": "exports/simclr-pretrain-0.pth.md"}
    found = json.loads(bench("checkpoint", "inspect", said["file"], "--json"))
    assert found["sha256"] == file_digest(home / said["file"])
    assert [(fit["backbone"], fit["why"]) for fit in found["fits"]] == [("resnet18", "")]

    (home / "bench.toml").write_text(GRID.replace("[executor]", PINNED.replace("SHA", found["sha256"])))
    bench("run")
    records = {record.id: record for record in Store(home / "runs").records()}
    one, again = (records[f"{label}/brain_tumor/knn/0"] for label in ("simclr", "again"))
    assert one.scores() == again.scores()
    weights = again.facts["weights"]
    assert (weights["sha256"], weights["matched"], weights["missing"]) == (found["sha256"], 120, [])
    assert "weights" not in one.facts
    assert one.facts["encoder_sha256"] == again.facts["encoder_sha256"]


def test_a_file_that_is_not_the_pinned_one_is_refused_before_anything_runs(home):
    bench("checkpoint", "export", "simclr/pretrain/0", "--format", "torchvision")
    (home / "bench.toml").write_text(GRID.replace("[executor]", PINNED.replace("SHA", "0" * 64)))
    (job,) = json.loads(bench("plan", "--only", "again/*", "--json"))["jobs"]
    assert job["state"] == "blocked"
    assert "the grid pins 0000" in job["why"]
    assert str(home / "exports" / "simclr-pretrain-0.pth") in job["why"]


def test_random_weights_are_another_draw_for_each_seed(home):
    entry = '[methods.drawn]\nplugin = "imagenet_supervised"\nweights = "random"\n[executor]'
    text = GRID.replace("[executor]", entry).replace('name = "weights"', 'name = "weights"\nseeds = [0, 1]')
    (home / "bench.toml").write_text(text)
    bench("run", "--only", "drawn/*")
    records = [record for record in Store(home / "runs").records() if record.facts["kind"] == "evaluate"]
    found = {record.id: record.scores() for record in records}
    assert found["drawn/brain_tumor/knn/0"] != found["drawn/brain_tumor/knn/1"]
