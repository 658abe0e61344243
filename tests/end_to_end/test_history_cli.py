"""`bench diff`, and what of a board has changed since a record or a date, as people and programs use them."""

import json
import re
import shutil
from pathlib import Path

import pytest

from bench.cli.boards import Asked
from bench.cli.history import changed_since, say_since, since_facts
from bench.config import load
from bench.errors import BenchError
from bench.keys import file_digest
from bench.plan import plan
from bench.store import Store

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
GRID = """
[bench]
seeds = [0, 1]
store = "{store}"
[data]
root = "{data}"
[pretrain]
corpus = ["brain_tumor"]
[methods]
random_init = {{}}
{label} = {{ plugin = "simclr" }}
[tasks]
brain_tumor = {{ protocols = ["knn"] }}
fgadr = {{ protocols = ["linear"] }}
"""
EARLY, LATE = "2026-01-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"
CELL = "simclr/fgadr/linear/0"


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """As a terminal of a hundred columns shows it."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Where the first test leaves a filled store for the others, which need not look at the images again."""
    return tmp_path_factory.mktemp("done") / "runs"


@pytest.fixture
def place(tmp_path, phantoms, finish, monkeypatch, done):
    """Two grids over two stores, runs and there, in which every job has the same record."""
    monkeypatch.chdir(tmp_path)
    write("bench.toml", phantoms, "runs")
    write("there.toml", phantoms, "there")
    if not done.exists():
        fill("bench.toml", finish)
        shutil.copytree("runs", done)
    for store in ("runs", "there"):
        shutil.copytree(done, store, dirs_exist_ok=True)
    return tmp_path


def write(name, data, store, label="simclr", more=""):
    Path(name).write_text(GRID.format(data=data, store=store, label=label) + more)


def fill(name, finish, values=(1.0, 1.0, 1.0, 0.0), started=EARLY):
    """Finish whatever of a grid has no record."""
    grid = load(Path(name))
    store = Store(grid.store)
    for planned in plan(grid, store):
        if planned.record is None:
            finish(planned.job, store, values=values, started=started)


def record(store, name):
    return Store(Path(store)).last(name)


def rewrite(store, name, scores="", **facts):
    """Change a record and its seals, as a program that computes other numbers would have written it."""
    path = record(store, name).folder
    told = {**json.loads((path / "record.json").read_text()), **facts}
    if scores:
        (path / "scores.csv").write_text(scores)
        told["files"]["scores.csv"] = file_digest(path / "scores.csv")
    (path / "record.json").write_text(json.dumps(told))


# -------------------------------------------------------------------------------------- diff


def test_stores_with_the_same_records_do_not_differ(place, bench):
    said = bench("diff", "runs", "there")
    assert said.splitlines() == ["A: runs, 8 cells", "B: there, 8 cells", "8 cells the same"]
    assert bench("diff", "bench.toml", "there.toml").splitlines()[-1] == "8 cells the same"


def test_the_same_cell_with_other_numbers_is_said_first_and_loudly(place, bench):
    rewrite("there", CELL, scores="case,metric,value\ncase 0,accuracy,0.25\ncase 1,accuracy,1.0\n")
    rewrite("there", CELL, environment={"torch": "9.9"})
    rewrite("runs", CELL, environment={"torch": "2.1"})
    said = bench("diff", "runs", "there", code=1)
    heading = "1 cell with the SAME KEY and OTHER NUMBERS, which should not be: accuracy (%), PHANTOM data"
    assert said.splitlines()[2:5] == ["", heading, '- environment: torch: "2.1" -> "9.9"']
    (told,) = [" ".join(line.split()) for line in said.splitlines() if line.startswith(f" {CELL} ")]
    # On the two cases that both have it fell by 37.5 points; of the four in A, two are lost.
    assert told == f"{CELL} 75.00 62.50 -37.50 on 2 cases 3 of 4 case 0: 100.00 -> 25.00"
    assert said.splitlines()[-1] == "7 cells the same, 1 with the same key and other numbers"


def test_another_key_says_which_part_and_how_the_number_moved(place, bench, phantoms, finish):
    write("there.toml", phantoms, "there", more="[protocols.linear]\nlr = 0.5\n")
    fill("there.toml", finish, values=(0.0, 0.0, 1.0, 0.0), started=LATE)
    for sides in (("runs", "there"), ("bench.toml", "there.toml")):
        said = bench("diff", *sides, code=1)
        assert "\n4 cells with another key: accuracy (%), PHANTOM data\n- protocol.settings.lr: null -> 0.5\n" in said
        told = next(" ".join(line.split()) for line in said.splitlines() if line.startswith(f" {CELL}"))
        # Two cases of four fell: of four flips two lie as far out, and Holm makes of 0.5 no less than 1.
        assert re.fullmatch(rf"{CELL} 75.00 25.00 -50.00 \[-[0-9.]+, [0-9.]+\] 1.0000", told)
        assert "difference: B minus A [95 % interval over test cases]; p: of the paired test" in said
        assert said.endswith("\n4 cells the same, 4 with another key (0 better, 0 worse beyond chance)\n")


def test_one_store_under_two_grids_is_compared_by_what_each_asks_for(place, bench, phantoms, finish):
    """A store keeps the records of every setting, and the newest is not the one that the older grid shows."""
    write("there.toml", phantoms, "runs", more="[protocols.linear]\nlr = 0.5\n")
    fill("there.toml", finish, started=LATE)
    assert bench("diff", "runs", "runs").splitlines()[-1] == "8 cells the same"
    said = bench("diff", "bench.toml", "there.toml", code=1)
    assert said.splitlines()[-1] == "4 cells the same, 4 with another key (0 better, 0 worse beyond chance)"
    assert " the same" in next(line for line in said.splitlines() if line.startswith(f" {CELL}"))


def test_a_new_label_is_no_difference(place, bench, phantoms):
    write("there.toml", phantoms, "there", label="mine")
    said = bench("diff", "bench.toml", "there.toml")
    assert "the same under another label: simclr/fgadr/linear/0,1 -> mine/fgadr/linear/0,1\n" in said
    assert said.endswith("8 cells the same\n")


def test_what_one_side_lacks_and_what_cannot_be_read(place, bench):
    shutil.rmtree(record("there", CELL).folder)
    (record("runs", "simclr/fgadr/linear/1").folder / "record.json").write_text("not JSON")
    (record("there", "random_init/fgadr/linear/1").folder / "scores.csv").write_text("nothing")
    said = bench("diff", "runs", "there", code=1)
    assert "\nonly in A: random_init/fgadr/linear/1, simclr/fgadr/linear/0\nonly in B: simclr/fgadr/linear/1\n" in said
    assert said.count("not read: ") == 2
    named = " ".join(said.split())
    assert "folder (the other side has it: simclr/fgadr/linear/1)" in named
    assert "makes it again (the other side has it: random_init/fgadr/linear/1)" in named
    assert said.endswith("5 cells the same, 2 only in A, 1 only in B, 2 records not read\n")


def test_a_record_that_neither_can_read_is_no_all_clear(place, bench):
    key = record("runs", CELL).key
    for store in ("runs", "there"):
        (Store(Path(store)).job(key) / "record.json").write_text("")
    assert bench("diff", "runs", "there", code=1).endswith("7 cells the same, 2 records not read\n")
    found = json.loads(bench("diff", "bench.toml", "there.toml", "--json", code=1))
    assert [(one["key"], Path(one["folder"]).parts[-3]) for one in found["damaged"]] == [(key, "runs"), (key, "there")]


def test_json_has_everything(place, bench, phantoms, finish):
    write("there.toml", phantoms, "there", more="[protocols.linear]\nlr = 0.5\n")
    fill("there.toml", finish, values=(0.0, 0.0, 1.0, 0.0), started=LATE)
    rewrite("there", "random_init/brain_tumor/knn/0", scores="case,metric,value\ncase 0,accuracy,0.5\n")
    found = json.loads(bench("diff", "runs", "there", "--json", code=1))
    assert found.keys() == {"a", "b", "counts", "damaged", "cells"}
    assert found["counts"] == {"same": 3, "conflict": 1, "changed": 4, "gone": 0, "new": 0}
    of = {cell["id"]: cell for cell in found["cells"]}
    cell = of[CELL]
    assert cell["changes"] == [{"path": "protocol.settings.lr", "old": None, "new": 0.5}]
    assert cell["why"] == ["protocol.settings.lr: null -> 0.5"]
    assert cell["b"] == {"key": cell["b"]["key"], "started": LATE, "phantom": True, "mean": 0.25, "cases": 4}
    assert (cell["difference"]["value"], cell["difference"]["p"], cell["difference"]["cases"]) == (-0.5, 0.5, 4)
    assert (cell["state"], cell["metric"], cell["moved"], cell["farthest"]) == ("changed", "accuracy", 2, None)
    other = of["random_init/brain_tumor/knn/0"]
    assert (other["state"], other["difference"]["p"], other["moved"]) == ("conflict", None, 4)
    assert other["farthest"] == {"metric": "accuracy", "case": "case 0", "old": 1.0, "new": 0.5}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("runs", "."), "bench: .: is no store, for it has no folder jobs/; did you mean runs?"),
        (("runs", "none.toml"), "none.toml: no such grid"),
        (("runs", "there", "--metric", "acuracy"), "runs: unknown metric `acuracy`; did you mean `accuracy`?"),
        (("runs",), "Missing argument"),
    ],
)
def test_mistakes_are_told(place, bench, words, message):
    assert message in bench("diff", *words, code=2)


def test_published_records_are_themselves(bench):
    runs = str(BOARDS / "segmentation" / "runs")
    assert bench("diff", runs, runs).endswith("\n36 cells the same\n")
    assert bench("diff", runs, runs, "--metric", "hd95").endswith("\n3 cells the same\n")


# -------------------------------------------------------------------------------------- since


def test_since_a_date_a_board_has_other_cells_and_numbers(place, phantoms, finish, capsys):
    """Two seeds and a setting more, later: of a grid, what it asks for now against what there was then."""
    write("bench.toml", phantoms, "runs", label="other", more="[protocols.linear]\nlr = 0.5\n")
    fill("bench.toml", finish, values=(0.0, 1.0, 1.0, 1.0), started=LATE)
    found = changed_since(Asked("bench.toml"), "2026-02-01")
    told = {move.id: move.state for move in found.moves}
    assert told == {
        **{f"random_init/brain_tumor/knn/{seed}": "same" for seed in (0, 1)},
        **{f"random_init/fgadr/linear/{seed}": "changed" for seed in (0, 1)},
        **{f"other/brain_tumor/knn/{seed}": "same" for seed in (0, 1)},  # under another label
        **{f"other/fgadr/linear/{seed}": "new" for seed in (0, 1)},
        **{f"simclr/fgadr/linear/{seed}": "gone" for seed in (0, 1)},
    }
    say_since(found)
    said = capsys.readouterr().out
    assert said.startswith(
        "\nsince 2026-02-01, 2026-02-01 00:00:00 UTC:\n\n2 cells with another key: accuracy (%), PHANTOM data"
    )
    assert "\n- protocol.settings.lr: null -> 0.5\n" in said
    assert "\non the board no more: simclr/fgadr/linear/0,1\nnew: other/fgadr/linear/0,1\n" in said
    facts = since_facts(found)
    assert facts["counts"] == {"same": 4, "conflict": 0, "changed": 2, "gone": 2, "new": 2}
    assert {"then", "now"} < facts["cells"][0].keys()


def test_since_a_record_of_a_store(place, finish, phantoms):
    write("later.toml", phantoms, "runs", more="[protocols.linear]\nlr = 0.5\n")
    fill("later.toml", finish, started=LATE)
    first = record("there", CELL)
    for name in (first.key, first.key[:6], "simclr/pretrain/0"):
        states = [move.state for move in changed_since(Asked("runs"), name).moves]
        assert (states.count("changed"), states.count("same")) == (4, 4)
    newest = changed_since(Asked("runs"), CELL)  # its newest record
    assert {move.state for move in newest.moves} == {"same"}
    assert newest.since == f"{CELL} ({record('runs', CELL).key[:8]}), 2026-03-01 00:00:01 UTC"


def test_since_is_of_what_the_board_selects(place, phantoms, finish):
    write("bench.toml", phantoms, "runs", label="other", more="[protocols.linear]\nlr = 0.5\n")
    fill("bench.toml", finish, started=LATE)

    def told(**asked):
        return {move.id: move.state for move in changed_since(Asked("bench.toml", **asked), "2026-02-01").moves}

    assert told(only="*/fgadr/*/0") == {
        **{"random_init/fgadr/linear/0": "changed", "other/fgadr/linear/0": "new"},
        **{"simclr/fgadr/linear/0": "gone"},
    }
    assert set(told(only="other/*")) == {
        f"other/{cell}/{s}" for cell in ("brain_tumor/knn", "fgadr/linear") for s in (0, 1)
    }
    assert {name.partition("/")[0] for name in told(group="SSL on medical images")} == {"other", "simclr"}
    assert told(family="detection") == {}
    with pytest.raises(BenchError, match="--since says what moved of cells, and a --layout shows other things"):
        told(layout="paper-table-2")


def test_since_what_is_not_there_is_told(place):
    with pytest.raises(BenchError, match="runs: unknown cell `simclr/fgadr/linear/7`; did you mean"):
        changed_since(Asked("runs"), "simclr/fgadr/linear/7")
    with pytest.raises(BenchError, match=r"bench.toml: `tuesday` is no record and no date"):
        changed_since(Asked("bench.toml"), "tuesday")


def test_a_board_says_below_what_has_changed(place, bench, phantoms, finish):
    write("bench.toml", phantoms, "runs", more="[protocols.linear]\nlr = 0.5\n")
    fill("bench.toml", finish, started=LATE)
    board = bench("leaderboard")
    said = bench("leaderboard", "--since", "2026-02-01")
    assert said.startswith(board)
    assert "\nsince 2026-02-01, 2026-02-01 00:00:00 UTC:\n\n4 cells with another key" in said[len(board) :]
    found = json.loads(bench("leaderboard", "--since", "2026-02-01", "--json"))
    assert found["tables"] == json.loads(bench("leaderboard", "--json"))
    assert found["since"]["counts"]["changed"] == 4
    assert "--since" in bench("leaderboard", "--since", "2026-02-01", "--format", "csv", code=2)
