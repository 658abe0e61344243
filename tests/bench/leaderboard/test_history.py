"""What moved between two stores, or since a moment: each state a cell can be in, and what is said of it."""

import json
import math
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.keys import digest, file_digest
from bench.leaderboard.comparison import compare
from bench.leaderboard.history import moves
from bench.leaderboard.history_words import cells, grouped, kind, reasons, row
from bench.leaderboard.snapshots import Snapshot, before, moment, of_store
from bench.store import Store, write_scores

RIGHT = [1.0] * 11 + [0.0]
WRONG = [0.0] * 11 + [1.0]


@pytest.fixture
def a(tmp_path):
    return Store(tmp_path / "a")


@pytest.fixture
def b(tmp_path):
    return Store(tmp_path / "b")


def parts(seed=0, lr=0.001, source="aa", data="f1", corpus=(("x", "c1"), ("y", "c2")), plugin="dot", **settings):
    """Parts of a key as the plan makes them."""
    method = {"plugin": plugin, "settings": settings, "source": "m1"}
    encoder = {"kind": "encoder", "engine": 1, "seed": seed, "method": method}
    encoder["corpus"] = [{"fingerprint": seal, "kind": "real"} for _, seal in corpus]
    return {
        **{"kind": "evaluate", "engine": 1, "seed": seed, "encoder": encoder},
        "protocol": {"name": "probe", "settings": {"lr": lr}, "source": source},
        "task": {"name": "dots", "data": data, "kind": "real", "source": "t1"},
    }


def keep(store, values=RIGHT, *, label="m", seed=0, told=None, cases=None, metric="accuracy", corpus="xy", **facts):
    """Commit the record of a cell `label/dots/probe/seed`."""
    told = told or parts(seed)
    names = tuple(cases or (f"case {i}" for i in range(len(values))))
    of = [{"name": name, "found": 12, "official": 12} for name in ("dots", *corpus)]
    said = {
        **{"id": f"{label}/dots/probe/{seed}", "key": digest(told), "kind": "evaluate", "parts": told, "seed": seed},
        **{"method": label, "task": "dots", "protocol": "probe", "phantom": False, "data": of, "primary": metric},
        **{"started": "2026-01-01T10:00:00+00:00", "seconds": 60.0, "environment": {"torch": "2.1", "device": "CPU"}},
    }
    scores = {metric: np.array(values, np.float64)}
    return store.commit({**said, **facts}, lambda draft: write_scores(draft / "scores.csv", names, scores))


def only(a, b):
    (move,) = moves(of_store(a), of_store(b))
    return move


# -------------------------------------------------------------------------------------- states


def test_the_same_key_and_numbers_are_the_same(a, b):
    keep(a), keep(b, started="2026-02-02T00:00:00+00:00", seconds=1.0)
    assert only(a, b).state == "same"


def test_what_is_no_number_is_equal_to_itself(a, b):
    for store in (a, b):
        record = keep(store)
        path = record.folder / "scores.csv"
        path.write_text(path.read_text() + "case 0,hd95,nan\n")
        _seal(record)
    assert only(a, b).state == "same"


def test_the_same_key_with_other_numbers_is_a_conflict(a, b):
    keep(a, RIGHT)
    keep(b, [0.0, *RIGHT[1:-1], 0.25], environment={"torch": "2.2", "device": "CPU"})
    move = only(a, b)
    assert (move.state, move.moved, move.verdict) == ("conflict", 2, "")
    assert move.farthest == ("accuracy", "case 0", 1.0, 0.0)
    assert move.difference.value == pytest.approx(-0.75 / 12)
    assert math.isnan(move.difference.p)  # a test of whether it is chance means nothing: it should not be at all
    assert reasons(move) == ('environment: torch: "2.1" -> "2.2"',)
    told = row(move, ("A", "B"))
    assert (told["A"], told["B"], told["cases"]) == ("91.67", "85.42", "2 of 12")
    assert told["most"] == "case 0: 100.00 -> 0.00"


def test_a_conflict_on_one_machine_says_what_that_can_mean(a, b):
    keep(a, RIGHT), keep(b, WRONG)
    assert "something random takes no seed" in reasons(only(a, b))[0]


def test_a_conflict_of_another_metric_or_of_cases_is_one(a, b):
    keep(a, RIGHT), keep(b, RIGHT, cases=[f"case {i}" for i in range(1, 13)])
    move = only(a, b)
    assert (move.state, move.moved) == ("conflict", 3)  # the first, the last, and the one that is right in one
    for store, value in ((a, "1.0"), (b, "2.0")):
        record = keep(store, seed=1)
        path = record.folder / "scores.csv"
        path.write_text(path.read_text() + f"case 3,hd95,{value}\n")
        _seal(record)
    other = moves(of_store(a), of_store(b))[1]
    assert (other.state, other.farthest) == ("conflict", ("hd95", "case 3", 1.0, 2.0))
    assert row(other, ("A", "B"))["most"] == "HD95 of case 3: 1.00 -> 2.00"


def test_an_older_record_in_conflict_is_told_too(a, b):
    keep(a, RIGHT), keep(b, WRONG)
    keep(b, RIGHT, told=parts(lr=1.0), started="2026-01-02T00:00:00+00:00")
    found = moves(of_store(a), of_store(b))
    assert sorted((move.id, move.state) for move in found) == [
        ("m/dots/probe/0", "changed"),
        ("m/dots/probe/0", "conflict"),
    ]


def test_another_key_is_tested_as_a_comparison_of_methods_is(a, b):
    old, new = RIGHT, WRONG
    for seed in (0, 1):
        keep(a, old, seed=seed), keep(b, new, seed=seed, told=parts(seed, lr=0.002))
    first, second = moves(of_store(a), of_store(b))
    assert [first.state, first.verdict] == ["changed", "worse"]
    assert [(c.path, c.old, c.new) for c in first.changes] == [("protocol.settings.lr", 0.001, 0.002)]
    results = [of_store(store).newest["m/dots/probe/0"].result for store in (b, a)]
    object.__setattr__(results[1], "method", "other")
    ((expected,),) = (comparison.differences for comparison in compare(results, "m", "other"))
    assert (first.difference.value, first.difference.p) == (expected.effect, expected.p)
    assert (first.difference.low, first.difference.high) == (expected.low, expected.high)
    # 11 cases fell, one rose: 2 * 13 of 4096 flips lie as far out; Holm doubles the smaller of two.
    assert first.difference.p == pytest.approx(26 / 4096)
    assert first.difference.adjusted == pytest.approx(52 / 4096)
    assert second.difference.adjusted == pytest.approx(52 / 4096)


def test_less_of_an_error_is_better(a, b):
    keep(a, RIGHT, metric="hd95"), keep(b, WRONG, metric="hd95", told=parts(lr=0.002))
    move = only(a, b)
    assert (move.difference.value < 0, move.verdict) == (True, "better")
    assert move.difference.low < move.difference.value < move.difference.high


def test_other_cases_give_a_difference_on_the_common_ones_and_no_test(a, b):
    keep(a, [1.0, 0.5, 0.25], cases="pqr"), keep(b, [0.75, 0.5, 1.0], cases="qrs", told=parts(data="f2"))
    d = only(a, b).difference
    assert (d.value, d.cases) == (pytest.approx((0.75 - 0.5 + 0.5 - 0.25) / 2), 2)
    assert math.isnan(d.p)
    assert math.isnan(d.adjusted)


def test_cases_in_another_order_are_the_same_cases(a, b):
    keep(a, RIGHT), keep(b, RIGHT[::-1], cases=[f"case {i}" for i in reversed(range(12))], told=parts(lr=0.002))
    move = only(a, b)
    assert (move.difference.value, move.difference.p, move.moved) == (0.0, 1.0, 0)
    assert row(move, ("A", "B"))[""] == "the same"


def test_more_data_of_which_the_test_cases_are_the_same_is_tested(a, b):
    more = [{"name": name, "found": 20, "official": 20} for name in ("dots", "x", "y")]
    keep(a, RIGHT), keep(b, WRONG, told=parts(data="f2"), data=more)
    assert only(a, b).difference.p == pytest.approx(26 / 4096)


def test_of_a_task_with_sites_their_mean_is_compared(a, b):
    sites = {"trained_on": ["home"], "of": {f"case {i}": "home" if i < 8 else "far" for i in range(12)}}
    keep(a, RIGHT, sites=sites), keep(b, WRONG, sites=sites, told=parts(lr=0.002))
    move = only(a, b)
    assert move.id == "m/dots/probe/0"
    assert move.difference.value == pytest.approx((0 - 1) / 2 + (1 / 4 - 3 / 4) / 2)
    keep(a, RIGHT, seed=1, sites=sites), keep(b, RIGHT[:4], seed=1, sites=sites, told=parts(1, lr=0.002))
    assert moves(of_store(a), of_store(b))[1].difference is None  # on the common cases sites would weigh otherwise


def test_what_was_found_is_compared_too(tmp_path):
    """Average precision is made from detections.csv, and scores.csv has not all of it."""
    runs = Path(__file__).resolve().parents[3] / "leaderboards" / "detection" / "runs"
    first = next(record for record in Store(runs).records() if "classes" in record.facts)
    for side in "ab":
        shutil.copytree(first.folder, tmp_path / side / "jobs" / first.key)
    path = tmp_path / "b" / "jobs" / first.key / "detections.csv"
    path.write_text(path.read_text().replace("0.9", "0.01"))
    facts = json.loads((path.parent / "record.json").read_text())
    facts["files"]["detections.csv"] = file_digest(path)
    (path.parent / "record.json").write_text(json.dumps(facts))
    move = only(*(Store(tmp_path / side) for side in "ab"))
    assert (move.state, move.moved, move.farthest) == ("conflict", 0, None)
    assert move.difference.value != 0
    assert row(move, ("A", "B"))["most"] == "what was found"


def test_phantoms_and_other_metrics_are_not_set_beside_each_other(a, b):
    keep(a), keep(b, told=parts(data="drawn"), phantom=True)
    keep(a, seed=1), keep(b, seed=1, told=parts(1, lr=0.002), metric="dice")
    first, second = moves(of_store(a), of_store(b))
    assert (first.state, first.difference, second.difference) == ("changed", None, None)
    assert "PHANTOM" in kind(first)
    assert kind(second) == ""
    assert row(first, ("A", "B"))["difference"] == "–"
    assert row(first, ("A", "B"))["B"] == "phantom"


def test_a_label_that_changed_is_no_move(a, b):
    keep(a), keep(b, label="mine")
    move = only(a, b)
    assert (move.state, move.id, move.was) == ("same", "mine/dots/probe/0", "m/dots/probe/0")


def test_a_label_that_another_cell_took_is_not_mistaken(a, b):
    """m became mine, and m is another method now: by its id it has another key, and mine is new."""
    keep(a), keep(b, label="mine"), keep(b, told=parts(lr=0.002))
    assert [(m.id[:4], m.state) for m in moves(of_store(a), of_store(b))] == [("m/do", "changed"), ("mine", "new")]


def test_what_is_on_one_side_alone(a, b):
    keep(a, seed=0), keep(b, seed=1)
    assert [move.state for move in moves(of_store(a), of_store(b))] == ["gone", "new"]
    assert moves(Snapshot(()), Snapshot(())) == ()


def test_the_newest_record_of_a_cell_counts(a, b):
    keep(a, RIGHT), keep(a, WRONG, told=parts(lr=0.002), started="2025-12-31T00:00:00+00:00"), keep(b, RIGHT)
    assert only(a, b).state == "same"


# -------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (parts(), parts(lr=0.002, source="bb"), {"protocol.settings.lr: 0.001 -> 0.002", "source of protocol probe"}),
        (parts(), parts(data="f2"), {"data of task dots"}),
        (parts(size=3), parts(size=4), {"encoder.method.settings.size: 3 -> 4"}),
        (parts(size=3), parts(plugin="dash", width=2), {"method: dot -> dash"}),
        (parts(), parts(corpus=(("x", "c1"), ("y", "c3"))), {"images of the corpus: y"}),
    ],
)
def test_what_changed_is_said_in_words(a, b, old, new, said):
    keep(a, told=old), keep(b, told=new)
    assert set(reasons(only(a, b))) == said


def test_another_corpus_and_another_engine_are_said(a, b):
    keep(a, told=parts()), keep(b, told=parts(corpus=(("x", "c1"),)), corpus="x")
    assert reasons(only(a, b)) == ("corpus: x, y -> x",)
    newer = parts(1) | {"engine": 2}
    newer["encoder"] |= {"engine": 2}
    keep(a, seed=1), keep(b, seed=1, told=newer)
    assert reasons(moves(of_store(a), of_store(b))[1]) == ("engine: 1 -> 2",)


def test_cells_with_the_same_reasons_are_told_together(a, b):
    for seed in (0, 1, 2):
        keep(a, seed=seed), keep(b, seed=seed, told=parts(seed, **({"lr": 0.002} if seed else {"data": "f2"})))
    groups = grouped(moves(of_store(a), of_store(b)))
    assert [(why[0], len(found)) for why, found in groups] == [
        ("protocol.settings.lr: 0.001 -> 0.002", 2),
        ("data of task dots", 1),
    ]
    assert cells([move.id for _, found in groups for move in found]) == "m/dots/probe/0,1,2"
    assert cells([f"m/t/p/{seed}" for seed in (10, 9)]) == "m/t/p/9,10"
    assert cells([f"m/t{n}/p/0" for n in range(50)]).endswith("m/t39/p/0 and 10 more")


def test_nothing_that_is_said_moves_the_cursor(a, b):
    keep(a, label="m\x1b[2J"), keep(b, label="m\x1b[2J", told=parts(lr="\x1b[2J"))
    move = only(a, b)
    assert "\x1b" not in json.dumps([reasons(move), row(move, ("A", "B")), cells([move.id])], ensure_ascii=False)


# -------------------------------------------------------------------------------------- damage


def _seal(record):
    facts = json.loads((record.folder / "record.json").read_text())
    facts["files"]["scores.csv"] = file_digest(record.folder / "scores.csv")
    (record.folder / "record.json").write_text(json.dumps(facts))


def _rewritten(record, **facts):
    path = record.folder / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_what_cannot_be_read_is_named_and_stops_nothing(a, b):
    for seed in range(9):
        keep(a, seed=seed)
    broken = [keep(b, seed=seed) for seed in range(9)]
    (broken[0].folder / "record.json").write_text("{")
    (broken[1].folder / "record.json").unlink()
    (broken[2].folder / "scores.csv").write_text("case,metric,value\n")  # not as it was sealed
    (broken[3].folder / "scores.csv").unlink()
    _rewritten(broken[4], data=[])
    _rewritten(broken[5], primary="dice")
    _rewritten(broken[6], seed="none", method=3, task=None, kind="evaluate", environment=7)
    _rewritten(broken[7], id=7)
    for name in (".draft", "notes"):  # what is no folder of a key is not meant to be a record
        (b.root / "jobs" / name).mkdir()
    snapshot = of_store(b)
    assert {damage.key for damage in snapshot.damaged} == {record.key for record in broken[:8]}
    assert "scores.csv: changed since it was written" in " ".join(map(str, snapshot.damaged))
    assert {move.state for move in moves(of_store(a), snapshot)} == {"gone", "same"}


def test_parts_that_nobody_wrote_are_compared(a, b):
    """A key vouches for its parts, and not for what they are."""
    made_up = {**parts(), "task": "none", "protocol": {"source": ["x"]}, "engine": None}
    made_up["encoder"] = {**made_up["encoder"], "corpus": 7, "engine": {"x": 1}}
    keep(a, told=parts()), keep(b, told=made_up)
    found = reasons(only(a, b))
    assert {"corpus: x, y -> none", "engine: 1 -> null", 'engine: 1 -> {"x":1}', "source of protocol "} <= set(found)


def test_a_record_that_says_nothing_of_its_environment_is_compared(a, b):
    keep(a), keep(b, WRONG)
    _rewritten(next(b.records()), environment="none")
    assert only(a, b).state == "conflict"


def test_an_unknown_metric_is_an_error_and_one_that_some_have_is_not(a):
    keep(a), keep(a, seed=1, metric="dice")
    with pytest.raises(BenchError, match="unknown metric `dise`; did you mean `dice`"):
        of_store(a, "dise")
    assert [*of_store(a, "dice").newest] == ["m/dots/probe/1"]


# -------------------------------------------------------------------------------------- since


def at(day, hour=0, minute=0):
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)


def test_then_is_what_had_ended_by_the_moment(a):
    keep(a, started="2026-01-01T10:00:00+00:00", seconds=3600.0)
    whole = of_store(a)
    assert before(whole, at(1, 10, 59)).cells == ()
    assert before(whole, at(1, 11)).cells == whole.cells
    assert before(whole, at(1, 10, 59)).damaged == ()


def test_since_a_moment_cells_are_new_changed_or_the_same(a):
    keep(a, RIGHT, seed=0), keep(a, WRONG, told=parts(lr=0.002), started="2026-01-03T00:00:00+00:00")
    keep(a, seed=1), keep(a, seed=2, started="2026-01-03T00:00:00+00:00")
    whole = of_store(a)
    assert [m.state for m in moves(before(whole, at(2)), whole)] == ["changed", "same", "new"]
    assert [m.state for m in moves(before(whole, at(4)), whole)] == ["same"] * 3
    (gone, *_) = moves(before(whole, at(4)), Snapshot(tuple(cell for cell in whole.cells if cell.id[-1] != "0")))
    assert (gone.id, gone.state) == ("m/dots/probe/0", "gone")


@pytest.mark.parametrize("started", ["yesterday", 7, None, "9999-12-31T23:59:59+00:00"])
def test_a_record_that_does_not_say_when_is_named(a, started):
    _rewritten(keep(a), started=started)
    assert "does not say when it was made" in before(of_store(a), at(2)).damaged[0].why


def test_a_moment_is_a_record_or_a_date(a):
    first = keep(a, started="2026-01-01T10:00:00+00:00", seconds=30.0)
    keep(a, told=parts(lr=1.0), started="2026-01-02T12:00:00+02:00", seconds=0.0)
    records = list(a.records())
    assert moment("2026-01-02", records, "runs") == (at(2), "2026-01-02")
    assert moment("2026-01-02T03:04", records, "runs")[0] == at(2, 3, 4)
    assert moment("2026-01-02T03:04+01:00", records, "runs")[0] == at(2, 2, 4)
    assert moment("m/dots/probe/0", records, "runs")[0] == at(2, 10)  # its newest
    time, name = moment(first.key[:6].upper(), records, "runs")
    assert (time, name) == (at(1, 10).replace(second=30), f"m/dots/probe/0 ({first.key[:8]})")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("m/dots/probe/7", "runs: unknown cell `m/dots/probe/7`; did you mean `m/dots/probe/0`?"),
        ("2026-13-01", "runs: `2026-13-01` is no record and no date; give a cell's id, six or more digits"),
        ("0001-01-01T00:00+23:00", "is no record and no date"),
        ("abc", "is no record and no date"),
    ],
)
def test_a_moment_that_names_nothing_is_told(a, text, said):
    keep(a)
    with pytest.raises(BenchError, match=said.replace("?", r"\?")):
        moment(text, list(a.records()), "runs")


def test_digits_that_begin_two_keys_are_refused(a):
    from dataclasses import replace

    record = keep(a)
    twin = replace(record, key=record.key[:10] + "0" * 22)
    with pytest.raises(BenchError, match=f"runs: {record.key[:6]} begins 2 keys, .* among them"):
        moment(record.key[:6], [record, twin], "runs")
    assert moment(record.key, [record, twin], "runs")[1].endswith(f"({record.key[:8]})")
