"""`bench report` by the real command line: of a grid with a cell that failed, of its store, of published records."""

import json
from pathlib import Path

import pytest

from bench.config import load
from bench.plan import plan
from bench.store import Store

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
GRID = """
[bench]
name = "two_methods"
seeds = [0, 1]
[data]
root = "{data}"
[pretrain]
corpus = ["brain_tumor"]
[methods]
random_init = {{}}
simclr = {{}}
[tasks]
brain_tumor = {{ protocols = ["knn"] }}
fgadr = {{ protocols = ["linear"] }}
"""
CELL = "simclr/fgadr/linear/1"


@pytest.fixture
def place(write_grid, phantoms, finish, monkeypatch):
    """A grid in which everything is done, but for one cell, which failed."""
    path = write_grid(GRID.format(data=phantoms))
    monkeypatch.chdir(path.parent)
    grid = load(path)
    store = Store(grid.store)
    for planned in plan(grid, store):
        if planned.job.id == CELL:
            store.fail(planned.job.key, {"id": CELL, "error": f"{phantoms}/fgadr/1.png: is no image\nat line 3"})
        else:
            finish(planned.job, store, seconds=60.0)
    return path.parent


def test_a_report_of_a_grid(place, bench, phantoms):
    said = bench("report", "--out", "supplement")
    assert said.endswith(f"\nof the grid failed or cannot run, as the page says: {CELL}\n")
    assert "files from 9 records; begin with supplement/README.md" in said
    page = Path("supplement/README.md").read_text()
    assert page.startswith("# Results: two_methods\n")
    assert f"- {CELL}: failed: 1.png: is no image\n" in page
    assert "- PHANTOM data: numbers say nothing about medicine." in page
    assert "it took 9 min 00 s of one worker, 2 min 00 s of it pretraining" in page
    assert 'root = "data' in Path("supplement/grid.toml").read_text()
    everything = b"".join(path.read_bytes() for path in Path("supplement").rglob("*") if path.is_file())
    assert str(phantoms).encode() not in everything
    assert str(place).encode() not in everything
    first = {path: path.read_bytes() for path in Path("supplement").rglob("*") if path.is_file()}
    bench("report", "--out", "supplement")
    assert {path: path.read_bytes() for path in Path("supplement").rglob("*") if path.is_file()} == first


def test_a_report_of_a_store_has_its_pretrainings(place, bench):
    told = json.loads(bench("report", "runs", "--out", "supplement", "--json"))
    assert told.keys() == {"folder", "files", "records", "failed"}
    assert (told["folder"], told["records"], told["failed"]) == ("supplement", 9, {})
    assert sorted(told["files"]) == sorted(
        path.relative_to("supplement").as_posix() for path in Path("supplement").rglob("*") if path.is_file()
    )
    assert "grid.toml" not in told["files"]
    assert "9 records: 7 cells and 2 pretrainings" in Path("supplement/README.md").read_text()


def test_what_it_cannot_do_is_told(place, bench):
    assert "runs: is not empty, and no report that this command wrote" in bench("report", "--out", "runs", code=2)
    assert "none.toml: no such grid" in bench("report", "none.toml", "--out", "supplement", code=2)
    Path("empty/jobs").mkdir(parents=True)
    assert "no cell is done, so there is nothing to report" in bench("report", "empty", "--out", "supplement", code=2)
    assert ".: is no store, for it has no folder jobs/" in bench("report", ".", "--out", "supplement", code=2)
    assert not Path("supplement").exists()


def test_a_damaged_record_is_named(place, bench):
    store = Store(Path("runs"))
    record = store.last("random_init/fgadr/linear/0")
    (record.folder / "record.json").write_text("{")
    bench("report", "runs", "--out", "supplement")
    assert f"- damaged, and left out: the records {record.key}\n" in Path("supplement/README.md").read_text()


def test_published_records_make_a_report(bench, tmp_path):
    out = tmp_path / "supplement"
    assert "files from 42 records" in bench("report", str(BOARDS / "segmentation" / "runs"), "--out", str(out))
    page = (out / "README.md").read_text()
    assert "buid 99 of 647" in page
    assert "On x86_64 CPU, 2 cores it took 2 h 20 min of one worker" in page
    assert "| lvm_med | " in (out / "tables" / "real.md").read_text()
