"""Keeping and sharing a store by the real command line: what is asked, what is dropped, and one board in two places."""

import io
import json
import os
import shutil
import sys
import tarfile
import time

import pytest

from bench.config import load
from bench.data.folders import MARKER
from bench.plan import jobs
from bench.sources import find_sources
from bench.store import Store

GRID = """
[bench]
store = "{store}"
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
CELL = "simclr/brain_tumor/knn/0"


@pytest.fixture
def grid(write_grid, phantoms, monkeypatch):
    path = write_grid(GRID.format(store="runs", data=phantoms))
    (path.parent / "there.toml").write_text(GRID.format(store="there", data=phantoms))
    monkeypatch.chdir(path.parent)
    return path


@pytest.fixture
def listed(grid):
    config = load(grid)
    return {job.id: job for job in jobs(config, find_sources(config, Store(config.store)))}


@pytest.fixture
def store(grid, listed, finish):
    """Every job of the grid is done, each with scores of its own."""
    store = Store(grid.parent / "runs")
    for number, job in enumerate(listed.values()):
        finish(job, store, values=[number % 2, 1.0, number % 3 / 2, 0.0])
    return store


@pytest.fixture
def crowded(store, listed):
    """Beside the records: a checkpoint of a finished job, one of nobody, and a cache; all of them old."""
    for key in (listed["simclr/pretrain/0"].key, "0" * 32):
        store.partial(key).mkdir(parents=True)
        (store.partial(key) / "state.pt").write_bytes(b"x" * 2_000_000)
    (store.root / "cache").mkdir()
    (store.root / "cache" / "a.npy").write_bytes(b"x" * 500_000)
    store.fail("1" * 32, {"error": "of a grid that is no more"})
    age(store)
    return store


def age(store):
    for path in store.root.rglob("*"):
        os.utime(path, (time.time() - 7200,) * 2)


def answer(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def lines(text):
    """The rows of a table by their first words."""
    return {line.split("  ")[0].strip(): " ".join(line.split()) for line in text.splitlines() if "  " in line}


# -------------------------------------------------------------------------------------- clean


def test_clean_shows_asks_and_drops(crowded, bench, monkeypatch):
    answer(monkeypatch, "\n")
    said = bench("clean")
    assert "Drop 3 things, 4.0 MB? [y/N]" in said
    assert "nothing was dropped" in said
    answer(monkeypatch, "")
    assert "nothing was dropped" in bench("clean")  # there is nobody to ask
    assert lines(said)["records of this grid"].startswith("records of this grid 10 0.0 MB keep")
    assert lines(said)["checkpoints of no job here"].endswith("1 2.0 MB drop")
    assert crowded.partial("0" * 32).exists()
    answer(monkeypatch, "y\n")
    assert f"freed 4.0 MB of {crowded.root}" in bench("clean")
    assert not list((crowded.root / "partial").iterdir())
    assert (crowded.root / "cache" / "a.npy").exists()
    assert "nothing to drop" in bench("clean")
    assert "freed 0.5 MB" in bench("clean", "--caches", "--yes")
    assert {job["state"] for job in json.loads(bench("plan", "--json"))["jobs"]} == {"cached"}


def test_clean_as_json_drops_nothing_until_told_to(crowded, bench):
    found = json.loads(bench("clean", "--json"))
    assert found.keys() == {"store", "rows", "drop", "bytes", "dropped", "freed", "problems"}
    assert {tuple(row) for row in found["rows"]} == {("what", "things", "bytes", "drop", "why")}
    assert (len(found["drop"]), found["dropped"], found["freed"]) == (3, False, 0)
    assert found["bytes"] == sum(row["bytes"] for row in found["rows"] if row["drop"])
    assert json.loads(bench("clean", "--json")) == found
    done = json.loads(bench("clean", "--json", "--yes"))
    assert (done["drop"], done["dropped"], done["freed"]) == (found["drop"], True, found["bytes"])
    assert json.loads(bench("clean", "--json"))["drop"] == []


def test_clean_keeps_the_records_of_other_grids_unless_told(store, grid, bench):
    grid.write_text(grid.read_text().replace("seeds = [0, 1]", "seeds = [0]"))
    said = lines(bench("clean"))["records of no job of this grid"]
    assert " 5 " in said
    assert len(list(store.records())) == 10
    bench("clean", "--records", "--yes")
    assert {record.facts["seed"] for record in store.records()} == {0}
    assert "nothing to drop" in bench("clean", "--records", "--yes")


def test_clean_keeps_records_of_data_that_are_unplugged(store, grid, bench, listed, finish):
    """Without its data a job has another key, or is none, and its record must not look like another grid's."""
    cells = (CELL, "random_init/fgadr/linear/0")
    for cell in cells:
        store.drop(listed[cell].key)
        finish(listed[cell], store, phantom=False)
    grid.write_text(grid.read_text().replace('root = "', 'missing = "skip"\nroot = "/nowhere'))
    bench("clean", "--records", "--yes")
    assert {record.id for record in store.records()} == set(cells)


def test_clean_keeps_records_of_weights_that_are_unplugged(grid, bench, finish, phantoms):
    data = shutil.copytree(phantoms, grid.parent / "data")
    for marker in data.glob(f"*/{MARKER}"):
        marker.unlink()  # so that they are taken for real
    (grid.parent / "w.pth").write_bytes(b"weights")
    grid.write_text(
        GRID.format(store="runs", data=data) + '[methods.again]\nplugin = "imagenet_supervised"\nweights = "w.pth"\n'
    )
    config, store = load(grid), Store(grid.parent / "runs")
    cell = "again/fgadr/linear/0"
    (job,) = (job for job in jobs(config, find_sources(config, store)) if job.id == cell)
    assert not finish(job, store).facts["phantom"]
    assert "nothing to drop" in bench("clean", "--records", "--yes")
    (grid.parent / "w.pth").unlink()
    assert "nothing to drop" in bench("clean", "--records", "--yes")
    assert [record.id for record in store.records()] == [cell]


# -------------------------------------------------------------------------------------- export and import


def test_a_board_is_the_same_where_it_was_imported(store, bench, monkeypatch):
    assert "10 records" in bench("export", "share/all.tar.gz")
    assert "10 imported, 0 completed, 0 here, 0 in conflict" in bench(
        "import", "share/all.tar.gz", "--grid", "there.toml"
    )
    for form in ("md", "csv", "json", "latex"):
        assert bench("leaderboard", "there.toml", "--format", form) == bench("leaderboard", "--format", form)
        assert bench("leaderboard", "there", "--format", form) == bench("leaderboard", "runs", "--format", form)
    assert {job["state"] for job in json.loads(bench("plan", "there.toml", "--json"))["jobs"]} == {"cached"}
    found = json.loads(bench("import", "share/all.tar.gz", "--grid", "there", "--json"))
    assert {tuple(one) for one in found["records"]} == {("id", "key", "state", "why")}
    assert [one["state"] for one in found["records"]] == ["here"] * 10


def test_only_brings_the_pretraining_that_a_cell_evaluates(store, bench):
    for where in ("bench.toml", "runs"):
        told = json.loads(bench("export", "cell.tar", "--grid", where, "--only", CELL, "--json", "--force"))
        assert sorted(record["id"] for record in told["records"]) == [CELL, "simclr/pretrain/0"]
        assert told.keys() == {"file", "sha256", "bytes", "records", "left_out"}
    assert len(json.loads(bench("export", "b.tar", "--only", "random_init/*", "--json"))["records"]) == 4


def test_the_splits_of_what_is_exported_go_along(store, bench, listed):
    of = listed[CELL].sources[0].fingerprint[:8]
    (store.root / "splits").mkdir()
    for name in (f"brain_tumor-{of}.json", "fgadr-00000000.json"):
        (store.root / "splits" / name).write_text('{"train": [], "val": [], "test": []}')
    bench("export", "all.tar")
    bench("import", "all.tar", "--grid", "there.toml")
    assert [path.name for path in (store.root.parent / "there" / "splits").iterdir()] == [f"brain_tumor-{of}.json"]


def test_a_conflict_is_named_and_the_rest_is_imported(store, grid, bench, listed, finish):
    bench("export", "all.tar")
    there = Store(grid.parent / "there")
    mine = finish(listed[CELL], there, values=[0.0, 0.0, 0.0, 0.0])
    said = bench("import", "all.tar", "--grid", "there.toml", code=1)
    assert f"conflict: {CELL}: scores.csv: not the same here; kept what is here (jobs/{mine.key})" in said
    assert "9 imported, 0 completed, 0 here, 1 in conflict" in said
    assert there.record(mine.key) == mine
    found = json.loads(bench("import", "all.tar", "--grid", "there.toml", "--json", code=1))
    assert [one["id"] for one in found["records"] if one["state"] == "conflict"] == [CELL]


def test_export_refuses_what_it_cannot_write(store, bench, grid):
    assert "give it a name that ends in .tar or .tar.gz" in bench("export", "all.zip", code=2)
    bench("export", "all.tar")
    before = (grid.parent / "all.tar").read_bytes()
    assert "all.tar: is there already; choose another name, or add --force" in bench("export", "all.tar", code=2)
    bench("export", "all.tar", "--force")
    assert (grid.parent / "all.tar").read_bytes() == before
    (grid.parent / "folder.tar").mkdir()
    assert "is there already" in bench("export", "folder.tar", "--force", code=2)
    assert "matches no job of the grid" in bench("export", "x.tar", "--only", "simclr/none/*", code=2)
    assert "runs: has no record that matches zebra" in bench(
        "export", "x.tar", "--grid", "runs", "--only", "zebra", code=2
    )
    assert "there.toml: has no record; `bench run there.toml` makes them" in bench(
        "export", "x.tar", "--grid", "there.toml", code=2
    )
    assert not (grid.parent / "x.tar").exists()


def test_import_refuses_a_damaged_bundle_and_changes_nothing(store, bench, grid):
    bench("export", "all.tar.gz")
    whole = (grid.parent / "all.tar.gz").read_bytes()
    (grid.parent / "all.tar.gz").write_bytes(whole[: len(whole) // 2])
    said = bench("import", "all.tar.gz", "--grid", "there.toml", code=2)
    assert said.startswith("bench: all.tar.gz: ")
    assert "nothing was imported. Copy the bundle again, or have it written anew with `bench export`" in said
    assert not any((grid.parent / "there" / "jobs").iterdir())
    assert "none.tar: No such file" in bench("import", "none.tar", code=2)


def test_what_is_left_out_is_told(store, bench, listed):
    job = listed["simclr/pretrain/0"]
    store.drop(job.key)
    facts = {"id": job.id, "key": job.key, "parts": job.parts, "kind": job.kind, "method": "simclr", "task": ""}
    facts |= {"protocol": "", "seed": 0, "phantom": True, "started": "2026", "seconds": 1.0, "data": []}
    store.commit(facts, lambda draft: (draft / "encoder.safetensors").write_bytes(b"weights"))
    told = json.loads(bench("export", "thin.tar", "--no-checkpoints", "--no-predictions", "--json"))
    assert told["left_out"] == [f"jobs/{job.key}/encoder.safetensors"]
    with tarfile.open("thin.tar") as archive:
        assert not [name for name in archive.getnames() if name.endswith(".safetensors")]
    bench("export", "full.tar")
    bench("import", "thin.tar", "--grid", "there.toml")
    assert "1 completed, 9 here" in bench("import", "full.tar", "--grid", "there.toml")
