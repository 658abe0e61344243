"""Of many who want a job one gets it; the dead keep none, and no clock has to be right."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

import bench.claims
from bench.claims import BEAT, LOST, STALE, Claims, Holder, Stop, Watch, born, machine

KEY = "0123456789abcdef"


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path / "claims")


def lay(claims, **changes):
    """A claim as another process wrote it."""
    told = vars(Holder(id="a/b/c/0", host="elsewhere", machine="another", pid=1, born="1", token="t", beat=3)) | changes
    claims.folder.mkdir(exist_ok=True)
    claims.path(KEY).write_text(json.dumps(told))
    return claims.path(KEY)


def gone():
    """A process of this machine that has ended: its number, and when it began."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = born(child.pid)
    child.kill()
    child.communicate()
    assert began
    return {"machine": machine(), "pid": child.pid, "born": began}


def test_one_has_it_until_it_ends(claims):
    with claims.take(KEY, "a/b/c/0", run="r") as mine:
        assert claims.take(KEY, "a/b/c/0") is None
        holder = claims.holder(KEY)
        assert (holder.id, holder.pid, holder.run, holder.here, holder.dead) == (
            "a/b/c/0",
            os.getpid(),
            "r",
            True,
            False,
        )
        assert mine.ours()
        assert claims.all() == {KEY: holder}
    assert claims.holder(KEY) is None
    assert claims.all() == {}
    with claims.take(KEY, "a/b/c/0") as mine:
        assert mine.ours()


RACER = """
import sys
from pathlib import Path
from bench.claims import Claims
claims, go = Claims(Path(sys.argv[1])), Path(sys.argv[2])
print("ready", flush=True)
while not go.exists():
    pass
claim = claims.take("0123456789abcdef", "a/b/c/0")
print(claim is not None, flush=True)
input()  # nobody ends while another still tries
"""


@pytest.mark.parametrize("dead", [False, True], ids=["free", "held by the dead"])
def test_of_many_processes_one_gets_it(claims, tmp_path, dead):
    if dead:
        lay(claims, **gone())
    command = [sys.executable, "-c", RACER, claims.folder, tmp_path / "go"]
    crowd = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    assert [one.stdout.readline() for one in crowd] == ["ready\n"] * 8
    (tmp_path / "go").touch()
    won = sorted(one.stdout.readline().strip() for one in crowd)
    for one in crowd:
        one.communicate("\n")
    assert won == ["False"] * 7 + ["True"]


def test_who_died_on_this_machine_is_known_at_once_also_if_his_number_is_used_again(claims):
    lay(claims, **gone())
    assert claims.holder(KEY).dead
    lay(claims, machine=machine(), pid=os.getpid(), born="1")
    assert claims.holder(KEY).dead
    with claims.take(KEY, "a/b/c/0") as mine:
        assert mine.ours()


def test_who_lives_elsewhere_is_left_alone_however_old_his_claim(claims):
    path = lay(claims, since="1999-01-01T00:00:00+00:00")
    os.utime(path, (0, 0))
    assert not claims.holder(KEY).dead
    assert claims.take(KEY, "a/b/c/0") is None


def test_a_watch_gives_up_what_does_not_move_and_looks_at_no_clock_but_its_own(claims):
    path, watch = lay(claims), Watch()
    assert not watch.dead(path, now=100.0)
    assert not watch.dead(path, now=100.0 + STALE - 1)
    lay(claims, beat=4)
    os.utime(path, (2e9, 2e9))  # a clock that is ahead is no sign of life, nor of death
    assert not watch.dead(path, now=100.0 + STALE)
    assert not watch.dead(path, now=100.0 + 2 * STALE - 1)
    assert watch.dead(path, now=100.0 + 2 * STALE)
    seal = claims.seal(KEY)
    lay(claims, beat=5)  # it moved after all, between the look and the taking
    assert claims.take(KEY, "a/b/c/0", dead=seal) is None
    with claims.take(KEY, "a/b/c/0", dead=claims.seal(KEY)) as mine:
        assert mine.ours()


@pytest.mark.parametrize("content", ["", "{", '{"id": 3}', "[]"], ids=["empty", "cut", "short", "a list"])
def test_what_cannot_be_read_is_somebodys_until_it_has_not_moved_for_long(claims, content):
    path = lay(claims)
    path.write_text(content)
    assert claims.take(KEY, "a/b/c/0") is None
    watch = Watch()
    assert [watch.dead(path, now) for now in (0.0, STALE - 1, STALE)] == [False, False, True]
    with claims.take(KEY, "a/b/c/0", dead=claims.seal(KEY)) as mine:
        assert mine.ours()


def test_a_place_in_a_queue_that_begins_again_has_its_own_claim_back(claims):
    lay(claims, slot="slurm 12_3")
    assert claims.take(KEY, "a/b/c/0", slot="slurm 12_4") is None
    with claims.take(KEY, "a/b/c/0", slot="slurm 12_3") as mine:
        assert mine.ours()


def test_it_beats_and_shows_how_far_it_is(claims, monkeypatch):
    monkeypatch.setattr(bench.claims, "BEAT", 0.05)
    assert BEAT < STALE / 5  # several beats may be missed
    monkeypatch.setattr(bench.claims, "HEART", bench.claims.Heart())
    with claims.take(KEY, "a/b/c/0") as mine:
        mine.progress = ("epochs", 3, 10)
        first = claims.seal(KEY)
        deadline = time.monotonic() + 10
        while claims.holder(KEY).beat < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        holder = claims.holder(KEY)
        assert (holder.what, holder.done, holder.of) == ("epochs", 3, 10)
        assert holder.beat >= 3
        assert claims.seal(KEY) != first
    time.sleep(0.2)
    assert claims.holder(KEY) is None  # a heart that goes on does not write it anew


def test_who_was_given_up_learns_it_and_takes_nothing_with_him(claims):
    mine = claims.take(KEY, "a/b/c/0", run="r")
    stop = Stop(mine.path, mine.holder)
    assert stop() == ""
    claims.path(KEY).unlink()
    with claims.take(KEY, "a/b/c/0") as other:
        stop.looked = 0.0
        assert stop() == LOST
        assert not mine.ours()
        mine.beat()
        with mine:
            pass
        assert other.ours()
        assert claims.holder(KEY).token == other.holder.token


def test_a_job_is_asked_to_stop_alone_or_with_its_run_and_an_old_request_is_none(claims):
    with claims.take(KEY, "a/b/c/0", run="r") as mine:
        stop = Stop(mine.path, mine.holder)
        claims.stop_run("other", "why not")
        assert stop() == ""
        claims.stop_run("r", "interrupted")
        assert stop() == ""  # it looks once a second
        stop.looked = 0.0
        assert stop() == "interrupted"
        claims.end_run("r")
        assert claims.stop(KEY, "cancelled by me") == mine.holder
        assert Stop(mine.path, mine.holder)() == "cancelled by me"
        assert Stop(mine.path, replace(mine.holder, token="later"))() == LOST
    assert not any(path.stem == KEY for path in claims.folder.iterdir())
    assert claims.stop(KEY, "cancelled by me") is None
    with claims.take(KEY, "a/b/c/0", run="r") as mine:
        assert Stop(mine.path, mine.holder)() == ""


def test_a_time_limit_is_a_reason_to_stop(claims):
    with claims.take(KEY, "a/b/c/0") as mine:
        assert Stop(mine.path, mine.holder, limit=60.0)() == ""
        assert Stop(mine.path, mine.holder, limit=60.0, began=time.monotonic() - 61)() == "time limit of 60 s"


def test_a_process_is_born_once(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = born(child.pid)
    assert began == born(child.pid) != ""
    child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while born(child.pid) and time.monotonic() < deadline:  # one that nobody has waited for is dead as well
        time.sleep(0.01)
    assert born(child.pid) == ""
    child.communicate()
    assert born(os.getpid()) not in ("", began)


def test_threads_of_one_process_are_two(claims):
    """A claim is of an attempt, not of a process."""
    with claims.take(KEY, "a/b/c/0"):
        got = []
        thread = threading.Thread(target=lambda: got.append(claims.take(KEY, "a/b/c/0")))
        thread.start()
        thread.join()
        assert got == [None]
