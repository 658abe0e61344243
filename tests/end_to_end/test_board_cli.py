"""`bench leaderboard` as people use it: files by their endings, what is selected, layouts, of a grid and a store."""

import csv
import io
import json
from pathlib import Path

import pytest
from pyarrow import parquet

from bench.config import load
from bench.plan import plan
from bench.store import Store

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
GRID = """
[bench]
name = "two <b>heads</b>"
seeds = [0, 1]
[data]
root = "{data}"
[pretrain]
corpus = ["brain_tumor"]
[methods]
random_init = {{}}
simclr = {{}}
other = {{ plugin = "simclr", temperature = 0.5, group = "a group of its own" }}
[tasks]
brain_tumor = {{ protocols = ["linear", "knn"] }}
fgadr = {{ protocols = ["linear"] }}
"""


BEGINS = {"md": b"###", "tex": b"%", "csv": b"data,", "json": b"[", "html": b"<!", "parquet": b"PAR1"}


@pytest.fixture
def place(write_grid, phantoms, finish, monkeypatch):
    """A grid in which simclr is right on 12 cases of 14, the others on 6; of k-nn random_init alone has results."""
    path = write_grid(GRID.format(data=phantoms))
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("COLUMNS", "160")
    grid = load(path)
    store = Store(grid.store)
    for planned in plan(grid, store):
        job, right = planned.job, 12 if planned.job.method.label == "simclr" else 6
        if "/knn/" in job.id and job.method.label != "random_init":
            continue
        finish(job, store, values=[1.0] * right + [0.0] * (14 - right))
    return path.parent


def test_the_ending_of_a_file_says_its_format(place, bench):
    for ending, begins in BEGINS.items():
        file = f"boards/board.{ending}"
        assert bench("leaderboard", "--out", file) == f"{file}\n"
        content = (place / file).read_bytes()
        assert content.lower().startswith(begins.lower())
        if ending not in ("tex", "html", "parquet"):
            assert bench("leaderboard", "--format", ending).encode() == content
    page = (place / "boards/board.html").read_text()
    assert "<title>two &lt;b&gt;heads&lt;/b&gt;" in page
    rows = parquet.read_table(place / "boards/board.parquet").to_pylist()
    lines = [*csv.DictReader(io.StringIO(bench("leaderboard", "--format", "csv")))]
    assert [float(line["mean"] or -1) for line in lines] == [-1 if r["mean"] is None else r["mean"] for r in rows]


def test_what_is_selected_is_a_board_of_its_own(place, bench):
    (whole,) = json.loads(bench("leaderboard", "--json"))
    (part,) = json.loads(bench("leaderboard", "--group", "a group of its own", "--json"))
    assert [row["name"] for row in whole["rows"]] == ["random_init", "simclr", "other"]
    assert [row["group"] for row in whole["rows"]] == ["supervised", "SSL on medical images", "a group of its own"]
    assert [row["name"] for row in part["rows"]] == ["other"]
    assert part["rows"][0]["cells"][0]["best"]
    assert not whole["rows"][2]["cells"][0]["best"]
    (one,) = json.loads(bench("leaderboard", "--only", "*/fgadr/*/1", "--sort", "fgadr/linear", "--json"))
    assert [column["name"] for column in one["columns"]] == ["fgadr/linear"]
    assert one["seeds"] == [1]
    (family,) = json.loads(bench("leaderboard", "--family", "classification", "--json"))
    assert family["columns"] == whole["columns"]


def test_cells_name_their_records_and_a_store_says_the_same(place, bench):
    (table,) = json.loads(bench("leaderboard", "--json"))
    kept = {record.key: record for record in Store(place / "runs").records()}
    for row in table["rows"]:
        for cell in row["cells"]:
            assert [kept[key].facts["seed"] for key in cell["records"]] == cell["seeds_done"]
    (stored,) = json.loads(bench("leaderboard", "runs", "--only", "*/linear/*", "--json"))
    (grid,) = json.loads(bench("leaderboard", "--only", "*/linear/*", "--json"))
    means = ({row["name"]: [cell["mean"] for cell in row["cells"]] for row in of["rows"]} for of in (stored, grid))
    assert next(means) == next(means)


def test_groups_and_marks_are_seen_in_a_terminal(place, bench):
    said = bench("leaderboard")
    assert all(group in said for group in ("supervised", "SSL on medical images", "a group of its own"))
    assert "every one that is not shown to be worse" in said
    assert "means are over the 2 of 3 columns that are done for most methods, without brain_tumor/knn" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "board.pdf"), "--out board.pdf: unknown ending `.pdf`; did you mean"),
        (("--out", "board.txt", "--format", "terminal"), "a terminal's board is no file; choose another --format"),
        (("--standalone", "--out", "board.md"), "--standalone is of LaTeX alone"),
        (("--layout", "paper-table-2", "--metric", "dice"), "--layout has its own metrics"),
        (("--layout", "paper-table-9"), "--layout: unknown layout `paper-table-9`; did you mean `paper-table-"),
        (("--layout", "paper-table-4"), "bench.toml has nothing of that table, which is of prostate/finetune"),
        (("--group", "supervise"), "bench.toml: unknown group `supervise`; did you mean `supervised`?"),
        (("--only", "nobody/*"), "--only nobody/*: matches no cell of bench.toml"),
        (("--sort", "fgadr/knn"), "--sort: unknown order `fgadr/knn`; did you mean `fgadr/linear`"),
    ],
)
def test_mistakes_are_told(place, bench, words, message):
    assert message in bench("leaderboard", *words, code=2)
    assert not list(place.glob("board.*"))


def test_a_layout_of_published_records(bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    runs = str(BOARDS / "segmentation" / "runs")
    (table,) = json.loads(bench("leaderboard", runs, "--layout", "paper-table-2", "--published", "--json"))
    assert [column["name"] for column in table["columns"]] == ["isic2018", "jsrt", "kvasir", "buid"]
    assert {column["metric"] for column in table["columns"]} == {"release_dice"}
    assert [row["name"] for row in table["rows"]] == ["random_init", "simclr", "lvm_med"]
    printed = {(row["method"], row["backbone"]) for row in table["published"]["rows"]}
    assert {("lvm_med", "resnet50"), ("trans_unet", "vit_b_16"), ("sam (prompt)", "sam_vit_b")} <= printed
    said = bench("leaderboard", runs, "--layout", "paper-table-2")
    assert "without a result here: drive" in said
