"""Segmentation by the real command line: phantoms, a folder of one's own, sites, figures, and a broken mask."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from bench.cli import app, data, look, run  # noqa: F401  (they add the commands)
from bench.config import load
from bench.data.folders import MARKER
from bench.data.images import read_image
from bench.data.phantom import draw
from bench.plan import plan
from bench.registry import discover
from bench.store import Store

GRID = """
[bench]
name = "masks"
keep_predictions = true
[data]
root = "data"
phantom_cases = 16
[pretrain]
corpus = ["kvasir"]
backbone = "test_resnet"
image_size = 32
epochs = 1
batch_size = 8
[protocols.finetune]
image_size = 32
epochs = 2
batch_size = 4
lr = 3e-3
[methods.random_init]
[methods.simclr]
hidden = 16
dim = 8
[tasks.kvasir]
protocols = ["finetune"]
[tasks.prostate]
protocols = ["finetune"]
[tasks.polyps]
plugin = "pairs"
folder = "mine"
images = "pictures"
classes = ["background", "polyp"]
protocols = ["finetune"]
[executor]
kind = "inline"
device = "cpu"
"""

pytestmark = pytest.mark.usefixtures("one_thread")


def bench(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A grid of a phantom task, a folder of one's own and sites, run once."""
    folder = tmp_path_factory.mktemp("masks")
    draw(discover().get("task", "kvasir", where="tests").load(), folder / "phantom", cases=16)
    shutil.copytree(folder / "phantom" / "Kvasir-SEG" / "images", folder / "data" / "mine" / "pictures")
    shutil.copytree(folder / "phantom" / "Kvasir-SEG" / "masks", folder / "data" / "mine" / "masks")
    (folder / "bench.toml").write_text(GRID)
    bench("run", folder / "bench.toml", "--only", "random_init/*")
    return folder


def records(folder):
    return {r.id: r for r in Store(folder / "runs").records()}


def test_every_kind_of_task_has_its_record(home):
    found = records(home)
    assert set(found) == {f"random_init/{task}/finetune/0" for task in ("kvasir", "polyps", "prostate")}
    own = found["random_init/polyps/finetune/0"].facts
    assert own["primary"] == "dice"
    assert set(own["summary"]) == {"dice", "iou", "dice_polyp", "iou_polyp", "release_dice"}
    assert not own["phantom"]
    assert found["random_init/kvasir/finetune/0"].facts["phantom"]
    assert {"hd95", "nsd"} <= set(found["random_init/prostate/finetune/0"].facts["summary"])


def test_the_splits_are_written_down(home):
    (file,) = (home / "runs" / "splits").glob("polyps-*.json")
    parts = json.loads(file.read_text())
    assert [len(parts[name]) for name in ("train", "val", "test")] == [9, 3, 4]


def test_a_board_has_a_column_for_each_site(home):
    (real, phantom) = json.loads(bench("leaderboard", home / "bench.toml", "--format", "json"))
    assert [column["task"] for column in real["columns"]] == ["polyps"]
    sites = [column["task"].partition("@")[2] for column in phantom["columns"]]
    assert {"BMC", "RUNMC", "BIDMC", "HK", "I2CVB", "UCL", "mean", "drop"} <= set(sites)
    (pending,) = [row for row in phantom["rows"] if row["name"] == "simclr"]
    assert "prostate" not in [column["task"] for column in phantom["columns"]]  # what is not done has sites too
    assert {cell["state"] for cell in pending["cells"]} == {"pending"}


def test_the_board_shows_another_metric_where_there_is_one(home):
    tables = json.loads(bench("leaderboard", home / "bench.toml", "--metric", "release_dice", "--format", "json"))
    assert {column["metric"] for table in tables for column in table["columns"]} == {"release_dice"}
    (phantom,) = json.loads(bench("leaderboard", home / "runs", "--metric", "hd95", "--format", "json"))
    assert {column["task"].partition("@")[0] for column in phantom["columns"]} == {"prostate"}
    assert not any(column["higher_is_better"] for column in phantom["columns"])


@pytest.mark.parametrize("task", ["polyps", "prostate"])
def test_cases_are_drawn_from_what_was_kept(home, task, monkeypatch):
    monkeypatch.chdir(home)
    cell = f"random_init/{task}/finetune/0"
    said = bench("show", cell, "--figures").strip()
    assert said == f"figures/random_init-{task}-finetune-0.png"
    assert read_image(home / said).std() > 10


def test_a_pretraining_has_no_cases_to_draw(home, monkeypatch):
    monkeypatch.chdir(home)
    with pytest.raises(Exception, match="is no segmentation"):
        CliRunner().invoke(app, ["show", "simclr/pretrain/0", "--figures"], catch_exceptions=False)


def test_volumes_are_no_corpus_but_may_be_made_one(home):
    (home / "volumes.toml").write_text(GRID.replace('corpus = ["kvasir"]', 'corpus = ["prostate"]'))
    jobs = {p.job.id: p for p in plan(load(home / "volumes.toml"), Store(home / "runs"))}
    assert jobs["simclr/kvasir/finetune/0"].state == "blocked"
    assert "bench corpus build" in jobs["simclr/kvasir/finetune/0"].why


def test_the_key_knows_the_card_and_not_the_label_or_folder(home):
    def key(text):
        (home / "other.toml").write_text(text)
        return next(p.job.key for p in plan(load(home / "other.toml"), Store(home / "runs")) if "random" in p.job.id
                    and p.job.task.plugin.name == "pairs")  # fmt: skip

    shutil.copytree(home / "data" / "mine", home / "data" / "moved", dirs_exist_ok=True)
    before = key(GRID)
    assert key(GRID.replace("tasks.polyps", "tasks.renamed")) == before
    assert key(GRID.replace('folder = "mine"', 'folder = "moved"')) == before
    assert key(GRID.replace('"polyp"]', '"tumour"]')) != before


def test_a_broken_mask_fails_its_cells_and_no_other(home, tmp_path):
    shutil.copytree(home / "data", tmp_path / "data")
    mask = sorted((tmp_path / "data" / "mine" / "masks").iterdir())[0]
    mask.write_bytes(mask.read_bytes()[:100])
    (tmp_path / "bench.toml").write_text(GRID)
    said = bench("run", tmp_path / "bench.toml", "--only", "random_init/[kp]o*", "--json", code=1)
    states = {job["id"]: job for job in json.loads(said[said.index("{") :])["jobs"]}
    assert states["random_init/polyps/finetune/0"]["state"] == "failed"
    assert mask.name in states["random_init/polyps/finetune/0"]["why"]


def test_what_is_on_disk_is_told_for_every_task(home):
    rows = {row["name"]: row for row in json.loads(bench("data", "status", "--grid", home / "bench.toml", "--json"))}
    assert rows["polyps"]["folder"].endswith("data/mine")
    assert rows["kvasir"]["state"] == "missing"
    assert "pairs" not in rows
    assert not (home / "data" / "mine" / MARKER).exists()
