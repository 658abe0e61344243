"""What goes wrong around a run: two at once, a disk that is full or read-only, a clock set back, bytes that changed.

Nothing wrong is ever taken for a result, nothing is done twice, and the message says what to do.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH = Path(sys.executable).with_name("bench")
QUICK = "nothing/dots/told/[0567]"  # cells that end well


def begin(folder, *words, before=()):
    return subprocess.Popen(
        [*before, BENCH, *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def end(process, code=0):
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, out + err
    assert "Traceback" not in err
    return out + err


def call(folder, *words, code=0, before=()):
    return end(begin(folder, *words, before=before), code)


def records(folder):
    return {json.loads(p.read_text())["id"]: p for p in (folder / "runs" / "jobs").glob("[!.]*/record.json")}


def logged(folder, what):
    """How often each job's log says so."""
    return [path.read_text().count(what) for path in (folder / "runs" / "logs").glob("*.log")]


def test_two_runs_at_once_share_the_work_and_do_nothing_twice(dots):
    first, second = (begin(dots, "run", "--only", QUICK) for _ in range(2))
    said = [end(first), end(second)]
    assert all("4 of 4 jobs done" in text for text in said)
    assert logged(dots, " begun ") == [1] * 4
    assert logged(dots, " done\n") == [1] * 4
    assert sum(text.count("accuracy 1.0000") for text in said) >= 4
    assert not [path for path in (dots / "runs" / "claims").iterdir() if path.suffix != ".lock"]


def test_a_run_waits_for_no_dead_one_and_for_no_clock(dots):
    """Killed in the middle, and started again by a machine whose clock was set back by a day."""
    run = begin(dots, "run", "--only", "nothing/dots/told/4")
    deadline = time.monotonic() + 60
    while not (claims := list((dots / "runs" / "claims").glob("*.json"))):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(run.pid, 9)
    run.communicate()
    assert claims[0].exists()
    grid = dots / "bench.toml"
    grid.write_text(grid.read_text() + 'time_limit = "1 s"\n')  # of a job that never ends
    before = ["faketime", "-f", "-1d"] if shutil.which("faketime") else []
    began = time.monotonic()
    assert "stopped: time limit of 1 s" in call(dots, "run", "--only", "nothing/dots/told/4", code=1, before=before)
    assert time.monotonic() - began < 50  # less than what a claim is given that cannot be looked up
    assert "4 of 4 jobs done (4 now)" in call(dots, "run", "--only", QUICK, before=before)


# ------------------------------------------------------------------------------------------- the disk


@pytest.fixture
def disk(dots):
    """A disk of its own for the store, 1 MB large; mounted anew by `disk(options)`."""
    folder = dots / "runs"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    subprocess.run(["umount", folder], check=True)


def test_on_a_full_disk_a_run_ends_and_says_so_and_goes_on_when_there_is_room(dots, disk):
    (dots / "runs" / "ballast").write_bytes(b"0" * (2**20 - 80_000))  # 20 pages are left
    said = call(dots, "run", "--only", QUICK, code=2)
    assert "the disk is full" in said
    assert "`bench clean` shows what takes space, and the same `bench run` goes on from there" in said
    assert not (dots / "runs" / "failures").exists()
    whole = len(records(dots))
    assert whole < 4
    disk("size=8m")
    assert f"4 of 4 jobs done ({4 - whole} now)" in call(dots, "run", "--only", QUICK)
    assert len(records(dots)) == 4


def test_a_store_that_is_read_only_is_named_before_any_job_runs_and_can_be_read(dots, disk):
    disk("size=8m")
    call(dots, "run", "--only", "nothing/dots/told/0")
    disk("ro,size=8m")
    for words in (("run", "--only", QUICK), ("run", "--only", "nothing/dots/told/0", "--rerun", "all")):
        said = call(dots, *words, code=2)
        assert f"{dots / 'runs'}: cannot be written to: Read-only file system; [bench] store names the folder" in said
    assert "1 of 8 jobs done" in call(dots, "status")
    assert "100.00" in call(dots, "leaderboard")
    disk("rw,size=8m")


# ------------------------------------------------------------------------------------------- bytes that changed


def test_a_record_that_was_cut_is_no_record_and_is_made_again(dots):
    call(dots, "run", "--only", QUICK)
    good = {name: path.read_text() for name, path in records(dots).items()}
    path = records(dots)["nothing/dots/told/5"]
    path.write_text(path.read_text()[:-40])
    assert "3 cached, 1 run" in call(dots, "plan", "--only", QUICK)
    assert "4 of 4 jobs done (1 now)" in call(dots, "run", "--only", QUICK)
    assert (
        json.loads(records(dots)["nothing/dots/told/5"].read_text())["files"]
        == json.loads(good["nothing/dots/told/5"])["files"]
    )
    assert len(list((dots / "runs" / "jobs").glob(".damaged-*"))) == 1  # nothing is thrown away unasked


def test_scores_that_were_changed_are_in_no_board(dots):
    call(dots, "run", "--only", QUICK)
    path = records(dots)["nothing/dots/told/5"].with_name("scores.csv")
    path.write_text(path.read_text().replace("1.0", "0.0", 1))
    said = call(dots, "leaderboard", code=2)
    assert f"{path}: changed since it was written; `bench run --rerun all --only 'nothing/dots/told/5'`" in said
    call(dots, "run", "--rerun", "all", "--only", "nothing/dots/told/5")
    assert "100.00" in call(dots, "leaderboard")
