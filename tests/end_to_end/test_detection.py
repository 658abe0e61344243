"""Detection by the real command line: a phantom, sets of one's own, figures, metrics, an engine that is not there."""

import importlib.util
import json
import shutil

import pytest
from typer.testing import CliRunner

from bench.cli import app, data, look, run  # noqa: F401  (they add the commands)
from bench.data.images import read_image
from bench.data.phantom import draw
from bench.registry import discover
from bench.store import Store

GRID = """
[bench]
name = "boxes"
seeds = [0, 1]
[data]
root = "data"
phantom_cases = 24
[pretrain]
corpus = ["kvasir_detection"]
backbone = "test_resnet"
image_size = 32
epochs = 1
batch_size = 8
[protocols.detect]
image_size = 64
epochs = 4
batch_size = 4
lr = 3e-3
width = 16
hidden = 32
regions = 32
train_norm = true
[methods.random_init]
[methods.simclr]
hidden = 16
dim = 8
[tasks.kvasir_detection]
[executor]
kind = "inline"
device = "cpu"
[tasks.nodules]
plugin = "coco"
classes = ["nodule", "mass"]
seeds = [0]
[tasks.cells]
plugin = "voc"
folder = "more"
classes = ["cell"]
seeds = [0]
"""

pytestmark = pytest.mark.usefixtures("one_thread")


def bench(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A grid of a phantom task and of two sets of one's own, run once for random weights."""
    folder = tmp_path_factory.mktemp("boxes")
    for name, place, classes in (("coco", "nodules", ["nodule", "mass"]), ("voc", "more", ["cell"])):
        task = discover().get("task", name, where="tests").load().configured(name, {"classes": classes})
        draw(task, folder / "data" / place, cases=24)
        (folder / "data" / place / "PHANTOM.txt").unlink()
    (folder / "bench.toml").write_text(GRID)
    bench("run", folder / "bench.toml", "--only", "random_init/*")
    return folder


def records(folder):
    return {r.id: r for r in Store(folder / "runs").records()}


def test_every_kind_of_set_has_its_record(home):
    found = records(home)
    assert set(found) == {
        *(f"random_init/kvasir_detection/detect/{seed}" for seed in (0, 1)),
        *(f"random_init/{name}/detect/0" for name in ("nodules", "cells")),
    }
    own = found["random_init/nodules/detect/0"]
    assert own.facts["primary"] == "map50"
    assert not own.facts["phantom"]
    assert {"map", "map50", "map75", "froc", "f1"} <= set(own.facts["summary"])
    detections = own.detections()
    assert detections.classes == ("nodule", "mass")
    assert detections.summary() == pytest.approx({k: v for k, v in own.facts["summary"].items() if k != "f1"})
    assert detections.cases == tuple(own.scores()["f1"])


def test_the_board_has_intervals_and_other_metrics(home):
    real, phantom = json.loads(bench("leaderboard", home / "bench.toml", "--format", "json"))
    assert [column["task"] for column in real["columns"]] == ["nodules", "cells"]
    (row,) = [row for row in phantom["rows"] if row["name"] == "random_init"]
    cell = row["cells"][0]  # of the phantom; what was pretrained on one is no real number either
    assert cell["state"] == "done"
    assert 0 <= cell["low"] <= cell["mean"] <= cell["high"] <= 1
    assert cell["low"] < cell["high"]
    assert "mAP50 (%) on real data" in bench("leaderboard", home / "bench.toml")
    (only,) = json.loads(bench("leaderboard", home / "runs", "--metric", "ap50_mass", "--format", "json"))
    assert [column["task"] for column in only["columns"]] == ["nodules"]


@pytest.mark.parametrize("task", ["kvasir_detection", "nodules", "cells"])
def test_boxes_are_drawn(home, task, monkeypatch):
    monkeypatch.chdir(home)
    said = bench("show", f"random_init/{task}/detect/0", "--figures").strip()
    assert said == f"figures/random_init-{task}-detect-0.png"
    assert read_image(home / said).std() > 10


def test_a_pretraining_on_the_images_of_a_detection_set(home):
    bench("run", home / "bench.toml", "--only", "simclr/cells/*")
    assert "simclr/cells/detect/0" in records(home)


def test_a_broken_box_fails_its_cells_and_no_other(home, tmp_path):
    shutil.copytree(home / "data", tmp_path / "data")
    file = tmp_path / "data" / "nodules" / "annotations.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"][2] = 5000
    file.write_text(json.dumps(content, indent=1))
    (tmp_path / "bench.toml").write_text(GRID)
    said = bench("run", tmp_path / "bench.toml", "--only", "random_init/[nc]*", "--json", code=1)
    states = {job["id"]: job for job in json.loads(said[said.index("{") :])["jobs"]}
    assert states["random_init/cells/detect/0"]["state"] == "cached"
    assert states["random_init/nodules/detect/0"]["state"] in ("failed", "blocked")
    assert "reaches out of its image" in states["random_init/nodules/detect/0"]["why"]
    assert f"{file}:" in states["random_init/nodules/detect/0"]["why"]


@pytest.mark.skipif(importlib.util.find_spec("detectron2") is not None, reason="detectron2 is built here")
def test_an_engine_that_is_not_there_is_refused_before_anything_runs(home):
    (home / "other.toml").write_text(GRID.replace("[protocols.detect]", '[protocols.detect]\nengine = "detectron2"'))
    rows = json.loads(bench("plan", home / "other.toml", "--json"))["jobs"]
    assert {row["state"] for row in rows if "/detect/" in row["id"]} == {"blocked"}
    assert not [row for row in rows if row["id"] == "simclr/pretrain/1"]  # nothing would use it
    assert "pip install --no-build-isolation" in rows[0]["why"]


def test_what_was_mended_is_told(home):
    file = home / "data" / "nodules" / "annotations.json"
    before = file.read_text()
    content = json.loads(before)
    twin = {**content["annotations"][0], "id": 9999}
    content["annotations"].append(twin)
    try:
        file.write_text(json.dumps(content))
        rows = {
            row["name"]: row for row in json.loads(bench("data", "status", "--grid", home / "bench.toml", "--json"))
        }
    finally:
        file.write_text(before)
    assert "1 boxes there twice" in rows["nodules"]["reason"]
    assert rows["kvasir_detection"]["state"] == "missing"
    assert "coco" not in rows
