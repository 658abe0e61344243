"""`bench compare` as programs and people use it: on a grid, on a store, and on the records that are published here."""

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
[tasks]
brain_tumor = {{ protocols = ["linear", "knn"] }}
fgadr = {{ protocols = ["linear"] }}
"""


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """What is printed is not folded."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def place(write_grid, phantoms, finish, monkeypatch):
    """A grid in which simclr is right on 12 cases of 14, random_init on 2; of k-nn only random_init has any, seed 0."""
    path = write_grid(GRID.format(data=phantoms))
    monkeypatch.chdir(path.parent)
    grid = load(path)
    store = Store(grid.store)
    for planned in plan(grid, store):
        job, good = planned.job, planned.job.method.label == "simclr"
        if "/knn/" in job.id and (good or job.seed):
            continue
        finish(job, store, values=[1.0] * (12 if good else 2) + [0.0] * (2 if good else 12))
    return path.parent


def test_a_grid_is_compared_column_by_column(place, bench):
    said = bench("compare", "simclr", "random_init")
    assert said.startswith("simclr minus random_init in accuracy on phantom data; positive: the first is better\n")
    # Ten cases of 14 differ, all one way: 2 of 1024 flips, and Holm doubles it for two columns.
    numbers = "71.4 points [47.1, 95.8], adjusted p = 0.0039"
    assert f"simclr is better than random_init on brain_tumor / linear, phantom data: {numbers}\n" in said
    assert "\nnot compared: brain_tumor / knn: pending: simclr\n" in said
    assert "\nsimclr is better on 2 of 2 columns compared, phantom data\n" in said
    row = next(line for line in said.splitlines() if line.startswith(" fgadr / linear"))
    assert " ".join(row.split()) == "fgadr / linear 71.4 points [47.1, 95.8] 0.0020 0.0039 14 0, 1"


def test_of_one_task_there_is_one_test(place, bench):
    said = bench("compare", "random_init", "simclr", "--task", "fgadr")
    assert (
        "simclr is better than random_init on fgadr / linear, phantom data: 71.4 points [47.1, 95.8], p = 0.0020"
        in said
    )
    assert "-71.4 points" in said  # of the first less the second, in the table
    assert "brain_tumor" not in said


def test_json_has_the_numbers_and_the_sentences(place, bench):
    (found,) = json.loads(bench("compare", "simclr", "random_init", "--json"))
    assert {"name", "first", "second", "level", "methods", "columns", "left_out", "verdict"} == found.keys()
    assert (found["name"], found["first"], found["second"]) == ("phantom", "simclr", "random_init")
    assert found["left_out"] == {"brain_tumor/knn": "pending: simclr"}
    linear, other = found["columns"]
    assert (linear["name"], other["name"]) == ("brain_tumor/linear", "fgadr/linear")
    assert (linear["effect"], linear["unit"]) == (pytest.approx(1000 / 14), "points")
    assert (linear["p"], linear["adjusted"]) == pytest.approx((2 / 1024, 4 / 1024))
    assert (linear["cases"], linear["seeds"], linear["metric"]) == (14, [0, 1], "accuracy")
    assert linear["verdict"].startswith("simclr is better than random_init on brain_tumor / linear, phantom data: 71.4")


def test_a_store_needs_no_grid(place, bench):
    before = json.loads(bench("compare", "simclr", "random_init", "--json"))
    (place / "bench.toml").unlink()
    (found,) = json.loads(bench("compare", "simclr", "random_init", "--grid", "runs", "--json"))
    assert found["columns"] == before[0]["columns"]
    assert found["left_out"] == {"brain_tumor/knn": "no result: simclr"}


def test_a_single_case_is_not_tested(place, bench, finish):
    grid = load(place / "bench.toml")
    store = Store(grid.store)
    for planned in plan(grid, store):
        if planned.job.kind == "evaluate":
            store.drop(planned.job.key)
            finish(planned.job, store, values=[1.0])
    said = bench("compare", "simclr", "random_init", "--task", "fgadr")
    assert "no test on fgadr / linear, phantom data: there is one case" in said
    (found,) = json.loads(bench("compare", "simclr", "random_init", "--task", "fgadr", "--json"))
    (column,) = found["columns"]
    assert (column["p"], column["adjusted"], column["low"], column["effect"]) == (None, None, None, 0.0)


def test_nothing_in_common_is_said(place, bench):
    (place / "bench.toml").write_text((place / "bench.toml").read_text() + "[protocols.linear]\nepochs = 3\n")
    said = bench("compare", "simclr", "random_init")
    assert "nothing to compare" in said
    assert said.count("not compared: ") == 3
    assert said.endswith("\nsimclr and random_init have nothing in common that could be compared\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("simclr", "random_inti"), "bench.toml: unknown method `random_inti`; did you mean `random_init`?"),
        (("simcrl", "random_init"), "bench.toml: unknown method `simcrl`; did you mean `simclr`?"),
        (("simclr", "simclr"), "simclr: compared with itself; name two methods"),
        (("simclr", "random_init", "--task", "fgard"), "bench.toml: unknown task `fgard`; did you mean `fgadr`?"),
        (("simclr", "random_init", "--metric", "acuracy"), "unknown metric `acuracy`; did you mean `accuracy`?"),
        (("simclr", "random_init", "--grid", "none.toml"), "none.toml: no such grid"),
        (("simclr",), "Missing argument"),
    ],
)
def test_mistakes_are_told(place, bench, words, message):
    assert message in bench("compare", *words, code=2)


def test_published_records_are_compared(bench):
    said = bench("compare", "random_init", "simclr", "--grid", str(BOARDS / "brain_tumor" / "runs"))
    assert (
        "simclr is better than random_init on brain_tumor / linear: 19.1 points [14.2, 24.1], adjusted p < 0.0001"
        in said
    )
    assert "simclr is better on 2 of 3 columns compared" in said
    masks = str(BOARDS / "segmentation" / "runs")
    said = bench("compare", "random_init", "simclr", "--grid", masks)
    assert "neither is shown to be better on any of 6 columns compared" in said
    assert "no difference that 50 cases can show on jsrt / finetune: " in said
    said = bench("compare", "random_init", "simclr", "--grid", masks, "--metric", "hd95")
    assert " mm [" in said
