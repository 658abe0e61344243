"""`bench ranks` as programs and people use it: on a grid, on a store, and on the records that are published here."""

import json
from pathlib import Path

import pytest

from bench.config import load
from bench.plan import plan
from bench.store import Store

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
GRID = """
[bench]
seeds = [0, 1]
[data]
root = "{data}"
[pretrain]
corpus = ["brain_tumor"]
[methods]
random_init = {{}}
simclr = {{}}
moco_v2 = {{}}
[tasks]
brain_tumor = {{ protocols = ["linear", "knn"] }}
fgadr = {{ protocols = ["linear"] }}
"""
RIGHT = {"random_init": 2, "moco_v2": 8, "simclr": 12}  # of 14 cases


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """What is printed is not folded."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def place(write_grid, phantoms, monkeypatch, finish):
    """A grid of three methods, in which all is done."""
    path = write_grid(GRID.format(data=phantoms))
    monkeypatch.chdir(path.parent)
    grid = load(path)
    store = Store(grid.store)
    for planned in plan(grid, store):
        good = RIGHT[planned.job.method.label]
        finish(planned.job, store, values=[1.0] * good + [0.0] * (14 - good))
    return path.parent


def test_a_grid_is_ranked(place, bench):
    said = bench("ranks")
    assert said.startswith("3 methods over 2 tasks by accuracy, PHANTOM data\n")
    assert "1 task with several protocols counts once" in said
    rows = [line.split() for line in said.splitlines() if line.startswith(" simclr")]
    assert [row[1] for row in rows] == ["1.00", "100"]
    assert "Friedman's test over 2 tasks: chi-squared 4.00 with 2 degrees of freedom, p = 0.1353" in said
    assert "simclr is first and moco_v2 second; in the mean over 2 tasks simclr leads by 28.57 points" in said
    assert "linear and knn over 1 task: Kendall's tau 1.00; first under both: simclr." in said
    assert "\n\n\n" not in said


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_page_fits_a_terminal(place, bench, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert max(map(len, bench("ranks").splitlines())) <= int(columns)


def test_json_has_the_numbers_and_the_sentences(place, bench):
    (found,) = json.loads(bench("ranks", "--json"))
    assert found.keys() == {
        *("name", "methods", "tasks", "friedman", "duel", "orderings", "protocols", "shares", "left_out"),
        *("fewer_seeds", "sentences"),
    }
    assert found["name"] == "phantom"
    assert [row["method"] for row in found["methods"]] == ["simclr", "moco_v2", "random_init"]
    assert found["tasks"][0]["protocols"] == ["linear", "knn"]
    assert found["friedman"]["statistic"] == pytest.approx(4)
    assert (found["duel"]["lead"], found["duel"]["unit"], found["duel"]["rope"]) == (
        pytest.approx(400 / 14),
        "points",
        1,
    )
    assert found["duel"]["belief"] is None  # of two tasks
    assert any(line.startswith("PHANTOM") for line in found["sentences"])


def test_one_protocol_can_be_asked_for_and_a_rope(place, bench):
    (found,) = json.loads(bench("ranks", "--protocol", "knn", "--rope", "2.5", "--metric", "accuracy", "--json"))
    assert [task["protocols"] for task in found["tasks"]] == [["knn"]]
    assert found["duel"]["rope"] == 2.5
    assert found["friedman"]["p"] is None


def test_a_store_needs_no_grid_and_gaps_are_named(place, bench):
    before = json.loads(bench("ranks", "--json"))
    (place / "bench.toml").unlink()
    assert json.loads(bench("ranks", "runs", "--json"))[0]["methods"] == before[0]["methods"]
    store = Store(place / "runs")
    for record in list(store.records()):
        if record.id.startswith("moco_v2/fgadr/"):
            store.drop(record.facts["key"])
    said = bench("ranks", "runs")
    assert "left out: fgadr / linear: no result of moco_v2" in said


def test_with_no_record_there_is_nothing_to_rank(place, bench):
    (place / "bench.toml").write_text(
        (place / "bench.toml").read_text() + "[protocols]\nlinear.epochs = 3\nknn.k = 3\n"
    )
    said = bench("ranks")
    assert "Nothing to rank: no task has results of all methods." in said
    assert said.count("left out: ") == 3
    assert "nothing to rank" in bench("ranks", "--figure", "a.png", code=2)
    (place / "empty").mkdir()
    assert bench("ranks", "empty") == "No results to show: the grid is empty, or nothing in it was selected.\n"
    assert json.loads(bench("ranks", "empty", "--json")) == []


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_figure_is_written(place, bench, ending):
    assert bench("ranks", "--figure", f"a.{ending}") == f"a.{ending}\n"
    assert (place / f"a.{ending}").stat().st_size > 2000
    assert json.loads(bench("ranks", "--figure", f"a.{ending}", "--json")) == {"figure": [f"a.{ending}"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--protocol", "lineal"), "bench.toml: unknown protocol `lineal`; did you mean `linear`?"),
        (("--metric", "acuracy"), "unknown metric `acuracy`; did you mean `accuracy`?"),
        (("--rope", "-1"), "--rope is -1.0, not a number from 0 on"),
        (("--rope", "nan"), "--rope is nan, not a number from 0 on"),
        (("--figure", "a.gif"), "a.gif: a figure ends in .png, .svg or .pdf"),
        (("missing.toml",), "missing.toml"),
    ],
)
def test_mistakes_are_said_in_a_line(place, bench, words, message):
    said = bench("ranks", *words, code=2)
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["segmentation", "ssl_methods", "detection", "lvm_med"])
def test_the_published_records_can_be_ranked(bench, name):
    found = json.loads(bench("ranks", str(BOARDS / name / "runs"), "--json"))
    assert found
    assert all(ranking["methods"] for ranking in found)
