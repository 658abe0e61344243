"""A report: what is in the folder, the same each time, nothing of the machine, and nothing of the user's lost."""

import csv
import hashlib
import io
import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest

from bench import report
from bench.errors import BenchError
from bench.keys import digest
from bench.leaderboard.results import stored
from bench.material import Material
from bench.privacy import files_of, grid_text, private
from bench.report import require_free, write
from bench.store import Store, write_scores

COMMIT = "9cdd5919e2e3addeb1d285c45f3e62497fb0bf98"
MADE_IN = {
    **{"bench": "0.1.0", "commit": COMMIT, "python": "3.11.7", "system": "Linux", "torch": "2.15.0+cu128"},
    **{"numpy": "2.4.6", "device": "a CPU", "threads": 1},
}


def keep(store, method="m", task="dots", seed=0, phantom=False, values=(1.0, 0.0, 1.0, 1.0), **facts):
    told = {"encoder": {"method": {"plugin": method}, "seed": seed}, "task": {"name": task}, "seed": seed}
    said = {
        **{"id": f"{method}/{task}/probe/{seed}", "key": digest(told), "kind": "evaluate", "parts": told},
        **{"seed": seed, "method": method, "task": task, "protocol": "probe", "phantom": phantom},
        "data": [{"name": task, "kind": "real", "fingerprint": "f" * 32, "found": 12, "official": 20}],
        **{"primary": "accuracy", "summary": {"accuracy": float(np.mean(values))}, "cases": {"test": 4}},
        **{"started": f"2026-01-0{seed + 1}T00:00:00+00:00", "seconds": 90.0, "environment": MADE_IN},
    }
    scores = {"accuracy": np.array(values, np.float64)}
    cases = tuple(f"case {i}" for i in range(len(values)))
    return store.commit({**said, **facts}, lambda draft: write_scores(draft / "scores.csv", cases, scores))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a store, runs, and its report, neither of which is to be changed.

    Two methods on two tasks with two seeds, of which one cell was made elsewhere, and one cell of phantoms.
    """
    root = tmp_path_factory.mktemp("made")
    store = Store(root / "runs")
    for number, (method, task, seed) in enumerate((m, t, s) for m in "mn" for t in ("dots", "rings") for s in (0, 1)):
        there = {"environment": MADE_IN | {"commit": "", "device": "a GPU"}} if number == 7 else {}
        keep(store, method, task, seed, values=[1.0, 0.0, 1.0, float(method == "m")], peak_memory_mb=1500, **there)
    keep(store, task="drawn", phantom=True)
    files = write(of(store), root / "report")
    assert sorted(files) == sorted(contents(root / "report"))
    return root


@pytest.fixture
def store(made, tmp_path):
    shutil.copytree(made / "runs", tmp_path / "runs")
    return Store(tmp_path / "runs")


@pytest.fixture
def written(made, tmp_path):
    """The report of that store, to be changed."""
    shutil.copytree(made / "report", tmp_path / "there" / "report")
    return tmp_path / "there" / "report"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "there" / "report"


def of(store, name="", **more):
    return Material(name, stored(store), list(store.records()), **more)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -------------------------------------------------------------------------------------- what is in it


def test_a_report_has_every_board_in_every_format(made):
    out = made / "report"
    files = contents(out)
    tables = {f"tables/{kind}{ending}" for kind in ("real", "phantom") for ending in report.TABLES}
    drawn = ("real-critical-difference", "real-ranks", "real-radar", "phantom-radar")
    figures = {f"figures/{name}.{ending}" for name in drawn for ending in ("svg", "pdf", "png")}
    own = {"README.md", "records.csv", "settings.json", "environment.json", "SHA256SUMS"}
    assert set(files) == tables | figures | own
    assert "| m | " in (out / "tables" / "real.md").read_text()
    assert (out / "tables" / "real.tex").read_text().startswith("% in the preamble: ")
    assert (out / "tables" / "real-standalone.tex").read_text().startswith("\\documentclass")
    assert [t["name"] for t in json.loads((out / "tables" / "phantom.json").read_text())] == ["phantom"]
    assert "drawn" not in (out / "tables" / "real.csv").read_text()


def test_the_check_sums_hold(made):
    out = made / "report"
    files = contents(out)
    lines = (out / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    assert sums == {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in files if name != "SHA256SUMS"
    }
    if tool := shutil.which("sha256sum"):
        checked = subprocess.run([tool, "-c", "SHA256SUMS"], cwd=out, capture_output=True, text=True)
        assert (checked.returncode, checked.stdout.count(": OK\n")) == (0, len(files) - 1)


def test_the_same_records_give_the_same_bytes_wherever_they_lie(made, store, tmp_path):
    write(Material("", stored(store), list(store.records())[::-1]), tmp_path / "two")
    assert contents(made / "report") == contents(tmp_path / "two")


def test_nothing_says_where_things_lay(store, out, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(f'[data]\nroot = "{tmp_path}/data"  # once {tmp_path}/older\n')
    failed = {"m/dots/probe/2": f"failed: {tmp_path}/data/dots/1.png: is no image"}
    keep(store, seed=4, environment=MADE_IN | {"device": f"{tmp_path}/gpu"})
    write(of(store, "g", grid=grid, failed=failed), out)
    assert not [name for name, content in contents(out).items() if str(tmp_path).encode() in content]
    assert "m/dots/probe/2: failed: 1.png: is no image" in (out / "README.md").read_text()


def test_each_record_has_a_line(made, store):
    out = made / "report"
    rows = list(csv.DictReader(io.StringIO((out / "records.csv").read_text())))
    assert [row["id"] for row in rows] == sorted(record.id for record in store.records())
    row = rows[0]
    record = store.record(row["key"])
    assert (row["seconds"], row["device"], row["commit"], row["phantom"]) == ("90.0", "a CPU", COMMIT, "false")
    assert (row["metric"], row["value"], row["cases"], row["started"]) == (
        "accuracy",
        "0.75",
        "4",
        record.facts["started"],
    )
    assert row["scores_sha256"] == hashlib.sha256((record.folder / "scores.csv").read_bytes()).hexdigest()
    environments = json.loads((out / "environment.json").read_text())
    assert [(e["number"], e["records"], e["environment"]["device"]) for e in environments] == [
        (1, 8, "a CPU"),
        (2, 1, "a GPU"),
    ]
    assert [row["id"] for row in rows if row["environment"] == "2"] == ["n/rings/probe/1"]
    assert {digest(parts) for parts in json.loads((out / "settings.json").read_text()).values()} == {
        row["key"] for row in rows
    }


def test_a_pretraining_has_a_line_too(store, out):
    parts = {"kind": "encoder"}
    facts = {"id": "m/pretrain/0", "key": digest(parts), "kind": "pretrain", "parts": parts, "data": []}
    facts |= {"seconds": 3600.0, "started": "2026-01-01T00:00:00+00:00", "environment": MADE_IN}
    store.commit(facts, lambda draft: (draft / "encoder.safetensors").write_bytes(b"w"))
    write(of(store), out)
    (row,) = (r for r in csv.DictReader(io.StringIO((out / "records.csv").read_text())) if r["kind"] == "pretrain")
    assert (row["encoder_sha256"], row["scores_sha256"], row["value"]) == (hashlib.sha256(b"w").hexdigest(), "", "")
    said = (out / "README.md").read_text()
    assert "from 10 records: 9 cells and 1 pretraining, made" in said
    assert "On a CPU it took 1 h 12 min of one worker, 1 h 00 min of it pretraining, the longest job 1 h 00 min" in said


def test_the_page_says_how_to_run_it_again_and_what_to_keep_in_mind(made):
    out = made / "report"
    said = (out / "README.md").read_text()
    assert f"       git checkout {COMMIT}\n\n   The others were made at version 0.1.0 (1).\n" in said
    assert '\n       pip install -e . "numpy==2.4.6" "torch==2.15.0"\n' in said
    assert "\n       python3.11 -m venv .venv && . .venv/bin/activate\n" in said
    assert (
        "On a CPU it took 12 min 00 s of one worker, the longest job 1 min 30 s, and 1.5 GB of memory at most." in said
    )
    assert "On a GPU it took 1 min 30 s" in said
    assert "- PHANTOM data: numbers say nothing about medicine." in said
    assert "- real data: cases found of the official data set: dots 12 of 20; rings 12 of 20" in said
    assert "- phantom data: no methods that could be ranked, and so no critical-difference diagram" in said
    assert "- the records were made in 2 environments, which `environment.json` lists" in said
    assert "| dots | real | 12 of 20 | ffff" in said
    assert "this report is of a store alone and has none" in said
    for name in contents(out):
        assert f"| `{name}` | " in said


def test_what_records_say_cannot_become_a_command_or_markup(store, out):
    keep(
        store,
        method="x|y `rm`",
        environment={"commit": "HEAD; rm -rf ~", "numpy": '2"; rm -rf ~', "device": "a\x1b[2J"},
    )
    keep(store, seed=3, environment={"torch": "; rm", "bench": "$(rm)", "python": "`rm`"})
    write(of(store, "<b>", damaged=["a|b"]), out)
    said = (out / "README.md").read_text()
    assert "rm -rf" not in said
    assert "$(rm)" not in said
    assert "\x1b" not in said
    assert "# Results: \\<b>" in said
    assert "the records a\\|b" in said


def test_a_grid_comes_with_what_it_names(store, out, tmp_path):
    (tmp_path / "mine.py").write_text("pass\n")
    grid = tmp_path / "grid.toml"
    grid.write_text(f'plugins = ["mine.py", "{tmp_path}/mine.py", "nowhere.py"]\n[data]\nroot = "{tmp_path}"\n')
    write(of(store, "mine", grid=grid), out)
    assert tomllib.loads((out / "grid.toml").read_text()) == {
        "plugins": ["mine.py", "mine.py", "nowhere.py"],
        "data": {"root": tmp_path.name},
    }
    said = (out / "README.md").read_text()
    assert said.startswith("# Results: mine\n")
    assert f"   - `mine.py`, SHA-256 {hashlib.sha256(b'pass' + bytes([10])).hexdigest()}\n" in said
    assert "bench run grid.toml" in said


def test_another_format_or_figure_is_a_line(store, out, monkeypatch):
    def drawn(board):
        yield "dots", lambda file: file.write_bytes(board.table.name.encode())

    monkeypatch.setitem(report.TABLES, ".txt", lambda board: board.table.name.encode())
    monkeypatch.setattr(report, "FIGURES", (*report.FIGURES, drawn))
    files = write(of(store), out)
    assert {"tables/real.txt", "figures/phantom-dots.svg"} < set(files)
    assert "| `figures/phantom-dots.svg` | dots, phantom data |" in (out / "README.md").read_text()
    assert "| `tables/real.txt` | the board of real data, txt |" in (out / "README.md").read_text()


def test_without_a_result_there_is_no_report(out):
    with pytest.raises(BenchError, match="no cell is done, so there is nothing to report"):
        write(Material("", [], []), out)
    assert not out.exists()


# -------------------------------------------------------------------------------------- where it goes


def test_an_earlier_report_is_replaced_whole(store, written):
    out = written
    (out / "tables" / "real.md").unlink()  # which loses nothing
    keep(store, seed=2)
    write(of(store), out)
    assert "from 10 records" in (out / "README.md").read_text()
    assert (out / "tables" / "real.md").exists()
    assert [path.name for path in out.parent.iterdir()] == ["report"]


def test_an_empty_folder_is_taken(store, out):
    out.mkdir(parents=True)
    write(of(store), out)
    assert (out / "README.md").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda out: (out / "notes.txt").write_text("mine"),
            "notes.txt: is not of the report that is there, and would be",
        ),
        (lambda out: (out / "figures" / "mine.png").write_bytes(b""), "mine.png: is not of the report"),
        (lambda out: (out / "README.md").write_text("mine"), "README.md: was changed since the report was written"),
        (lambda out: (out / "link").symlink_to(out.parent), "link: is not of the report"),
        (lambda out: (out / "SHA256SUMS").unlink(), "report: is not empty, and no report that this command wrote"),
        (lambda out: (out / "SHA256SUMS").write_bytes(b"\xff\x00"), "report: is not empty, and no report"),
    ],
)
def test_what_a_user_has_there_is_never_lost(store, written, spoil, message):
    out = written
    spoil(out)
    before = contents(out)
    with pytest.raises(BenchError, match=f"{message}.*; name another folder, or move what is there"):
        write(of(store), out)
    assert contents(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["report"]


def test_other_folders_are_refused(store, written, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "here").symlink_to(tmp_path / "runs")
    for name in ("file", "here"):
        with pytest.raises(BenchError, match=f"{name}: is no folder"):
            require_free(tmp_path / name)
    with pytest.raises(BenchError, match="runs: is not empty, and no report that this command wrote"):
        require_free(tmp_path / "runs")
    monkeypatch.chdir(written)
    with pytest.raises(BenchError, match="is the folder that you are in"):
        require_free(Path())


def test_a_report_that_cannot_be_written_leaves_no_trace(store, written, monkeypatch):
    out = written
    before = contents(out)

    def full(board):
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setitem(report.TABLES, ".csv", full)
    with pytest.raises(BenchError, match="No space left on device; mend that, and run the same command again"):
        write(of(store), out)
    assert contents(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["report"]


# -------------------------------------------------------------------------------------- what leaves the machine


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/me/data/1.png: is no image", "1.png: is no image"),
        ("see '/a/b' and (/c/d.e)", "see 'b' and (d.e)"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        (
            "data/a/b, ../a/b, 1 / 2, 3/4, and/or, m/dots/probe/0",
            "data/a/b, ../a/b, 1 / 2, 3/4, and/or, m/dots/probe/0",
        ),
    ],
)
def test_paths_of_a_machine_are_cut(text, told):
    assert private(text) == told


def test_a_grid_is_as_it_was_but_for_those(tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(
        "# from https://example.org/data, as /home/me/data\n[data]\nroot = '/'\n"
        '[tasks]\nd = { folder = "/data", split = "a/b.json" }\n'
    )
    assert grid_text(grid) == (
        "# from https://example.org/data, as data\n[data]\nroot = '.'\n"
        '[tasks]\nd = { folder = "data", split = "a/b.json" }\n'
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.json").write_text("{}")
    assert files_of(grid) == {"a/b.json": tmp_path / "a" / "b.json"}
