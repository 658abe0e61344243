"""The command line as programs and people use it: shapes of JSON, exit codes, and errors that say what to do."""

import csv
import io
import json
import subprocess
import sys

import pytest

from bench.cli import main
from bench.cli.run import Rerun, _todo
from bench.config import load
from bench.leaderboard.words import EMPTY
from bench.plan import plan, select
from bench.registry import discover
from bench.store import Store

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
CELL = "simclr/brain_tumor/knn/0"
BASE = "random_init/fgadr/linear/0"
HISTORY = {"accuracy": [None, 0.25, 0.123456], "loss": [3.5, 2.0, 1.25]}
COMMANDS = ("run", "plan", "ls", "show", "leaderboard", "compare", "ranks", "check", "new", "data", "corpus", "doctor")
COMMANDS += ("clean", "export", "import", "diff", "report")


@pytest.fixture
def place(write_grid, phantoms, monkeypatch):
    """The folder that `bench` is called in, with a grid of 12 cells and 2 pretrainings."""
    path = write_grid(GRID.format(data=phantoms))
    monkeypatch.chdir(path.parent)
    return path.parent


@pytest.fixture
def done(place, finish):
    """Every job has a record, but for one cell, which failed."""
    grid = load(place / "bench.toml")
    store = Store(grid.store)
    for planned in plan(grid, store):
        if planned.job.id == CELL:
            store.fail(planned.job.key, {"id": CELL, "error": "out of memory", "traceback": "Traceback: ..."})
        else:
            seen = 1.0 if planned.job.method.label == "simclr" else 0.0
            more = {"history": HISTORY} if planned.job.kind == "pretrain" else {}
            finish(planned.job, store, values=[seen, 1.0, 0.0, 1.0], seconds=83.0, **more)
    return store


def python(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, **options)


def imported(done) -> set[str]:
    """The top-level names in the report of `python -X importtime`."""
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    names = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert {"bench", "typer"} <= names
    return names


# -------------------------------------------------------------------------------------- answering at once


def test_help_imports_no_torch_and_names_every_command():
    done = python("-X", "importtime", "-m", "bench", "--help")
    assert imported(done).isdisjoint({"torch", "numpy", "pandas", "scipy", "lightly", "timm"})
    assert all(f" {name} " in done.stdout for name in COMMANDS)


def test_looking_and_a_run_with_nothing_to_do_import_no_torch(place, done):
    done.drop(next(p.job.key for p in plan(load(place / "bench.toml"), done) if p.job.id == CELL))
    commands = (("plan",), ("run", "--json", "--only", "random_init/*"), ("ls", "jobs"), ("leaderboard",))
    for command in commands:
        found = imported(python("-X", "importtime", "-m", "bench", *command, cwd=place))
        heavy = {"torch", "torchvision", "lightly", "timm", "pandas"}
        heavy |= set() if command == ("leaderboard",) else {"scipy"}  # which has the distributions of its intervals
        assert found.isdisjoint(heavy), command


# -------------------------------------------------------------------------------------- shapes of JSON


def test_plan_says_what_would_run(place, bench):
    found = json.loads(bench("plan", "--json"))
    assert list(found) == ["jobs"]
    assert len(found["jobs"]) == 14
    assert {tuple(job) for job in found["jobs"]} == {("id", "key", "state", "why")}
    assert {(job["state"], job["why"]) for job in found["jobs"]} == {("run", "new")}
    assert {"simclr/pretrain/1", "random_init/fgadr/linear/0", CELL} <= {job["id"] for job in found["jobs"]}
    assert all(len(job["key"]) == 32 for job in found["jobs"])
    assert json.loads(bench("plan", "--json", "bench.toml")) == found
    only = json.loads(bench("plan", "--json", "--only", CELL))["jobs"]
    assert [job["id"] for job in only] == ["simclr/pretrain/0", CELL]
    assert "14 run" in bench("plan")


def test_plan_says_what_is_done_and_what_changed(place, done, bench):
    states = {job["id"]: (job["state"], job["why"]) for job in json.loads(bench("plan", "--json"))["jobs"]}
    assert states.pop(CELL) == ("failed", "out of memory")
    assert set(states.values()) == {("cached", "")}
    assert "13 cached, 1 failed" in bench("plan")
    path = place / "bench.toml"
    path.write_text(path.read_text() + "[protocols.knn]\nk = 5\n")
    states = {job["id"]: (job["state"], job["why"]) for job in json.loads(bench("plan", "--json"))["jobs"]}
    assert states["random_init/brain_tumor/knn/1"] == ("run", "protocol.settings.k: 20 -> 5")


@pytest.mark.parametrize(
    ("kind", "name", "keys"),
    [
        ("methods", "simclr", {"name", "kind", "paper", "settings"}),
        ("tasks", "fgadr", {"name", "title", "modality", "protocols"}),
        ("protocols", "knn", {"name", "title", "settings"}),
        ("jobs", CELL, {"name", "state", "key"}),
    ],
)
def test_ls_lists_objects_with_a_name(place, bench, kind, name, keys):
    found = json.loads(bench("ls", kind, "--json"))
    assert all(row.keys() == keys for row in found)
    assert name in [row["name"] for row in found]
    assert name.partition("/")[0] in bench("ls", kind)


def test_ls_shows_a_broken_plugin_with_its_reason_even_where_the_grid_uses_it(place, bench):
    (place / "bad.py").write_text("def f(:")
    path = place / "bench.toml"
    path.write_text('plugins = ["bad.py"]\n' + path.read_text() + "[methods.bad]\n")
    errors = {row["name"]: row["error"] for row in json.loads(bench("ls", "methods", "--json"))}
    assert errors.pop("bad").startswith("SyntaxError: ")
    assert set(errors.values()) == {None}
    assert "SyntaxError" in bench("ls", "methods")
    assert "bench.toml: [methods.bad]: method `bad` (bad.py) cannot be used: SyntaxError" in bench("plan", code=2)


def test_show_gives_a_record_by_its_id_or_key(place, done, bench):
    found = json.loads(bench("show", "random_init/fgadr/linear/1", "--json"))
    record = done.record(found["key"])
    assert found == {**record.facts, "state": "cached"}
    assert found["summary"] == {"accuracy": 0.5}
    assert json.loads(bench("show", found["key"], "--json")) == found
    text = bench("show", found["key"])
    assert "summary.accuracy" in text
    assert "1 min 23 s" in text
    assert str(record.folder) in text.replace("\n", "")


def test_show_gives_why_a_job_failed(place, done, bench):
    found = json.loads(bench("show", CELL, "--json"))
    assert found == {"id": CELL, "error": "out of memory", "traceback": "Traceback: ...", "state": "failed"}
    assert "out of memory" in bench("show", CELL)


def test_show_prints_the_curves_of_a_pretraining(place, done, bench):
    lines = [line.split() for line in bench("show", "simclr/pretrain/0").splitlines()]
    start = lines.index(["epoch", "loss", "accuracy"])
    assert lines[start + 2 : start + 5] == [["1", "3.5"], ["2", "2", "0.25"], ["3", "1.25", "0.1235"]]
    assert not any(line and line[0].startswith("history") for line in lines)  # not a second time among the fields
    assert json.loads(bench("show", "simclr/pretrain/0", "--json"))["history"] == HISTORY


def test_show_says_which_pretraining_a_cell_comes_from(place, done, bench):
    lines = [line.split() for line in bench("show", "simclr/fgadr/linear/1").splitlines()]
    assert ["pretraining", "simclr/pretrain/1"] in lines
    assert not any(
        line[:1] in (["pretraining"], ["epoch"]) for line in map(str.split, bench("show", BASE).splitlines())
    )


@pytest.mark.parametrize("cell", ["simclr/pretrain/0", "simclr/fgadr/linear/0", CELL])  # the last of them failed
def test_show_draws_the_curves_of_a_pretraining_or_of_that_of_a_cell(place, done, bench, cell):
    assert bench("show", cell, "--figure", "curves.svg") == "curves.svg\n"
    drawn = (place / "curves.svg").read_text()
    assert all(f">{text}</text>" in drawn for text in ("simclr/pretrain/0, phantom data", "loss", "accuracy", "epoch"))
    assert json.loads(bench("show", cell, "--figure", "curves.pdf", "--json")) == {"figure": "curves.pdf"}
    assert (place / "curves.pdf").read_bytes().startswith(b"%PDF")


def test_show_says_why_there_is_no_figure(place, done, bench):
    wrong = {"curves.jpg": "curves.jpg: a figure ends in .png, .svg or .pdf", "none/a.png": "none/a.png: No such file"}
    for file, message in wrong.items():
        assert message in bench("show", "simclr/pretrain/0", "--figure", file, code=2)
    assert f"{BASE}: its encoder was not pretrained here" in bench("show", BASE, "--figure", "a.png", code=2)
    key = json.loads(bench("show", "simclr/pretrain/1", "--json"))["key"]
    done.drop(key)
    said = bench("show", "simclr/fgadr/linear/1", "--figure", "a.png", code=2)
    assert "simclr/pretrain/1: no record yet, so no curves; bench run bench.toml --only simclr/fgadr/linear/1" in said
    assert not list(place.glob("*.png"))


def test_show_of_a_pretraining_without_a_history(place, finish, bench):
    grid = load(place / "bench.toml")
    (job,) = (p.job for p in plan(grid, Store(grid.store)) if p.job.id == "simclr/pretrain/0")
    finish(job, Store(grid.store))
    assert "epoch" not in bench("show", job.id).split()
    assert "its record holds no curves" in bench("show", job.id, "--figure", "a.png", code=2)


def test_leaderboard_has_every_cell_of_the_grid(place, done, bench):
    (table,) = json.loads(bench("leaderboard", "--json"))
    assert (table["name"], table["seeds"]) == ("phantom", [0, 1])  # and no table of real data
    assert table.keys() >= {"name", "title", "level", "interval", "seeds", "columns", "rows"}
    assert [column["name"] for column in table["columns"]] == ["brain_tumor/linear", "brain_tumor/knn", "fgadr/linear"]
    rows = {row["name"]: row for row in table["rows"]}
    assert list(rows) == ["random_init", "simclr"]
    assert [cell["mean"] for cell in rows["random_init"]["cells"]] == [0.5, 0.5, 0.5]
    assert [cell["best"] for cell in rows["simclr"]["cells"]] == [True, False, True]
    assert (rows["random_init"]["complete"], rows["random_init"]["mean"]) == (True, 0.5)
    assert (rows["simclr"]["complete"], rows["simclr"]["coverage"], rows["simclr"]["mean"]) == (False, [2, 3], 0.75)
    assert table["averaged_over"] == ["brain_tumor/linear", "fgadr/linear"]  # without the column that has a gap
    broken = rows["simclr"]["cells"][1]
    assert (broken["state"], broken["seeds_done"], broken["seeds_failed"]) == ("partial", [1], [0])
    assert bench("leaderboard", "--format", "json") == bench("leaderboard", "--json")


def test_leaderboard_is_written_in_every_format(place, done, bench):
    assert [line for line in bench("leaderboard", "--format", "md").splitlines() if line.startswith("|")][2:]
    rows = list(csv.reader(io.StringIO(bench("leaderboard", "--format", "csv"))))
    assert len({len(row) for row in rows}) == 1
    assert {"random_init", "simclr"} <= {cell for row in rows for cell in row}
    assert "random_init" in bench("leaderboard")
    snippet = bench("leaderboard", "--format", "latex")
    assert "PHANTOM" in snippet
    document = bench("leaderboard", "--format", "latex", "--standalone")
    assert document.startswith("\\documentclass")
    assert snippet in document


@pytest.mark.parametrize("words", [(), ("--format", "md"), ("--json",), ("--format", "latex", "--json")])
def test_only_latex_stands_alone(place, bench, words):
    assert "--format latex" in bench("leaderboard", "--standalone", *words, code=2)


def test_leaderboard_of_a_store_needs_no_grid(place, done, bench):
    (before,) = json.loads(bench("leaderboard", "--json"))
    (place / "bench.toml").unlink()
    (table,) = json.loads(bench("leaderboard", "runs", "--json"))
    cells = {cell["name"]: cell["mean"] for row in table["rows"] for cell in row["cells"]}
    assert cells == {cell["name"]: cell["mean"] for row in before["rows"] for cell in row["cells"]}


def test_leaderboard_of_nothing_says_so(place, bench):
    (place / "bench.toml").write_text("")
    assert bench("leaderboard", "--json") == "[]\n"
    assert bench("leaderboard").strip() == EMPTY
    assert EMPTY in bench("leaderboard", "--format", "latex", "--standalone")


def test_data_status_counts_what_is_there(place, bench):
    rows = {row["name"]: row for row in json.loads(bench("data", "status", "--json"))}
    assert rows.keys() == {p.name for p in discover().all("task")} - {
        "coco",
        "msd",
        "pairs",
        "voc",
    }  # readers of anyone's folders
    assert {tuple(row) for row in rows.values()} == {
        ("name", "state", "found", "official", "parts", "phantom", "folder", "reason")
    }
    tumor = rows["brain_tumor"]
    assert (tumor["state"], tumor["found"], tumor["official"], tumor["phantom"]) == ("partial", 80, 3264, True)
    assert tumor["parts"] == {"Training": [40, 2870], "Testing": [40, 394]}
    assert "brain_tumor" in bench("data", "status")
    missing = json.loads(bench("data", "status", "--json", "--data", "nowhere"))
    assert {(row["state"], row["found"]) for row in missing} == {("missing", 0)}


def test_data_status_of_a_task_that_cannot_be_read_stops_no_other(place, bench):
    (place / "bad.py").write_text("from bench.spec import task\nX = 1 / 0\n@task('bad')\ndef bad(folder): ...\n")
    path = place / "bench.toml"
    path.write_text('plugins = ["bad.py"]\n' + path.read_text())
    rows = {row["name"]: row for row in json.loads(bench("data", "status", "--json"))}
    assert rows["bad"]["state"] == "broken"
    assert "ZeroDivisionError" in rows["bad"]["reason"]
    assert rows["fgadr"]["state"] == "partial"
    assert {len(row) for row in rows.values()} == {8}


def test_doctor_says_what_is_there_and_what_mends_it(bench, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", "doctor", "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    rows = json.loads(capsys.readouterr().out)
    assert {tuple(row) for row in rows} == {("name", "state", "found", "mend")}
    assert {"python", "torch", "device", "plug-ins"} <= {row["name"] for row in rows}
    assert {row["state"] for row in rows} <= {"ok", "missing", "optional"}
    assert all(bool(row["mend"]) == (row["state"] != "ok") for row in rows)
    assert (end.value.code or 0) == any(row["state"] == "missing" for row in rows)


# -------------------------------------------------------------------------------------- running


def test_a_second_run_does_nothing(place, done, bench):
    words = ("run", "--json", "--only", "random_init/*")
    found = json.loads(bench(*words))
    assert {tuple(job) for job in found["jobs"]} == {("id", "key", "state", "why")}
    assert {job["state"] for job in found["jobs"]} == {"cached"}
    said = bench("run", "--only", "random_init/*")
    assert "6 of 6 jobs done (0 now)" in said
    assert "random_init" in said


def test_a_run_with_a_failure_leaves_it_and_tells_by_its_exit_code(place, done, bench):
    before = sorted(p.name for p in (done.root / "jobs").iterdir())
    found = json.loads(bench("run", "--json", code=1))
    assert [job["id"] for job in found["jobs"] if job["state"] == "failed"] == [CELL]
    said = bench("run", code=1)
    assert f"failed: {CELL}: out of memory" in said
    assert "13 of 14 jobs done (0 now)" in said
    assert "bench run --rerun failed" in said
    assert sorted(p.name for p in (done.root / "jobs").iterdir()) == before


def test_data_that_are_wrong_fail_the_run_before_it_starts(place, done, bench, tmp_path):
    (tmp_path / "data" / "fgadr").mkdir(parents=True)
    (tmp_path / "data" / "brain_tumor").mkdir()
    found = json.loads(bench("run", "--json", "--data", "data", code=1))
    assert {job["state"] for job in found["jobs"]} == {"blocked"}
    assert {job["why"].partition(":")[0] for job in found["jobs"] if job["id"].startswith("random_init")} == {
        str(tmp_path / "data" / "fgadr"),
        str(tmp_path / "data" / "brain_tumor"),
    }


def test_rerun_drops_what_it_will_start_and_nothing_else(place, done):
    found = plan(load(place / "bench.toml"), done)
    assert _todo(found, done, None, None, "") == []
    (job,) = _todo(found, done, Rerun.all, 1, "")
    assert done.record(job.key) is None
    assert len(list(done.records())) == 12
    (failed,) = _todo(found, done, Rerun.failed, None, "")
    assert (failed.id, done.failure(failed.key)) == (CELL, None)
    assert len(list(done.records())) == 12


def test_rerun_all_of_some_cells_leaves_the_pretraining_they_need(place, done):
    found = select(plan(load(place / "bench.toml"), done), "simclr/*/knn/0")
    (pretraining,) = (p for p in found if p.job.kind == "pretrain")
    assert pretraining.state == "cached"
    again = {job.id for job in _todo(found, done, Rerun.all, None, "simclr/*/knn/0")}
    assert again == {p.job.id for p in found} - {pretraining.job.id}
    assert done.record(pretraining.job.key) is not None


# -------------------------------------------------------------------------------------- mistakes


def test_a_mistake_is_one_line_without_a_traceback_and_exit_code_two(place):
    done = python("-m", "bench", "show", "simclr/brain_tumor/knm/0", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "bench: bench.toml: unknown cell `simclr/brain_tumor/knm/0`; did you mean `simclr/brai"
    )
    assert f"`{CELL}`" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "none.toml"), "none.toml: no such grid"),
        (("plan", "--only", "nothing/*"), "--only nothing/*: matches no job of the grid; ids look like random_init/"),
        (("show", CELL), f"{CELL}: not run yet (new); bench run bench.toml --only {CELL}"),
        (("data", "draw", "fgard"), "unknown task `fgard`; did you mean `fgadr`?"),
        (("new", "method", "class"), "`class`: a plug-in's name is of a-z, 0-9 and `_`"),
        (("new", "method", "Mine"), "`Mine`: a plug-in's name is of a-z, 0-9 and `_`"),
        (("new", "method", "../mine"), "`../mine`: a plug-in's name is of a-z, 0-9 and `_`"),
        (("new", "task", "mine"), "tasks: no such folder; name one with --out"),
        (("ls", "method"), "Invalid value"),
        (("run", "--limit", "0"), "Invalid value"),
        (("leaderboard", "--format", "word"), "Invalid value"),
    ],
)
def test_what_cannot_be_asked_is_refused(place, bench, words, message):
    assert message in bench(*words, code=2)


def test_draw_writes_a_phantom_and_never_over_anything(place, bench):
    assert bench("data", "draw", "fgadr", "--out", "drawn", "--cases", "16").strip() == "drawn"
    assert len(list((place / "drawn").rglob("*.png"))) == 33
    assert "drawn: is not empty" in bench("data", "draw", "fgadr", "--out", "drawn", code=2)
    assert "is not empty, and nothing is drawn over data" in bench("data", "draw", "brain_tumor", code=2)
    assert bench("data", "draw", "fgadr", "--data", "new", "--cases", "16").strip().endswith("new/fgadr")


# -------------------------------------------------------------------------------------- new plug-ins


@pytest.mark.parametrize("kind", ["method", "task"])
def test_new_writes_a_file_that_is_found_and_never_over_another(place, bench, kind):
    (place / "extra").mkdir()
    said = bench("new", kind, "my_own2", "--out", "extra")
    file = place / "extra" / "my_own2.py"
    assert said == "extra/my_own2.py\nnext: bench check my_own2\n"
    assert "NAME" not in file.read_text()
    assert "CLASS" not in file.read_text()
    path = place / "bench.toml"
    path.write_text('plugins = ["extra"]\n' + path.read_text())
    assert "my_own2" in [row["name"] for row in json.loads(bench("ls", f"{kind}s", "--json"))]
    plugin = load(path).registry.get(kind, "my_own2", where="here")
    assert plugin.file == file
    if kind == "task":
        assert plugin.load().info.title == "MyOwn2"
    else:
        assert plugin.settings == {"hidden": 2048, "dim": 128}
    before = file.read_text()
    assert "my_own2.py: exists, and is not written over" in bench("new", kind, "my_own2", "--out", "extra", code=2)
    assert file.read_text() == before


def test_a_new_task_can_be_drawn_and_planned_at_once(place, bench):
    (place / "extra").mkdir()
    bench("new", "task", "mine", "--out", "extra")
    path = place / "bench.toml"
    path.write_text('plugins = ["extra"]\n' + path.read_text() + "[tasks.mine]\n")
    bench("data", "draw", "mine", "--data", "own", "--cases", "16")
    rows = {row["name"]: row for row in json.loads(bench("data", "status", "--data", "own", "--json"))}
    assert (rows["mine"]["state"], rows["mine"]["parts"]) == ("partial", {"train": [16, 100], "test": [16, 50]})
    jobs = {job["id"]: job["state"] for job in json.loads(bench("plan", "--data", "own", "--json"))["jobs"]}
    assert jobs["random_init/mine/knn/0"] == "run"
