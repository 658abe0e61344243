"""A record is there whole or not at all, is never changed, and is believed only if it is what its name says."""

import hashlib
import json
import shutil
import threading

import numpy as np
import pytest

from bench.errors import BenchError
from bench.keys import digest
from bench.store import Store, write_scores

PARTS = {"kind": "evaluate", "seed": 0}
KEY = digest(PARTS)
FACTS = {"id": "simclr/toy/linear/0", "key": KEY, "parts": PARTS, "started": "2026-01-01", "seconds": 1.5}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def write(text):
    return lambda draft: (draft / "result.txt").write_text(text)


def names(store):
    return sorted(p.name for p in (store.root / "jobs").iterdir())


def test_what_is_committed_reads_back(store):
    record = store.commit({**FACTS, "chosen": {"hidden": (512, 256)}}, write("one"))
    assert names(store) == [KEY]
    assert record == Store(store.root).record(KEY)
    assert (record.id, record.key, record.parts) == (FACTS["id"], KEY, PARTS)
    files = {"result.txt": hashlib.sha256(b"one").hexdigest()}
    assert record.facts == {**FACTS, "chosen": {"hidden": [512, 256]}, "schema": 1, "files": files}
    assert (record.folder / "result.txt").read_text() == "one"
    assert list(store.records()) == [record]


def test_an_empty_store_has_nothing(store):
    assert (store.record(KEY), store.failure(KEY), store.last("a"), list(store.records())) == (None, None, None, [])
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("facts", "error"),
    [({}, KeyboardInterrupt), ({}, OSError), ({"seconds": float("nan")}, ValueError), ({"x": {1}}, TypeError)],
)
def test_what_fails_before_the_end_leaves_nothing(store, facts, error):
    def fail(draft):
        (draft / "half").write_text("half")
        if not facts:
            raise error("in the middle")

    store.fail(KEY, {"error": "before"})
    store.partial(KEY).mkdir(parents=True)
    with pytest.raises(error):
        store.commit(FACTS | facts, fail)
    assert names(store) == []
    assert store.record(KEY) is None
    assert store.failure(KEY) == {"error": "before"}
    assert store.partial(KEY).is_dir()  # the checkpoints that the next try goes on from


def test_a_draft_of_another_process_is_no_record(store):
    store.commit(FACTS, write("one"))
    shutil.copytree(store.job(KEY), store.root / "jobs" / f".{KEY}-0123abcd")
    (store.root / "jobs" / "notes.txt").touch()
    assert [r.folder.name for r in store.records()] == [KEY]


def test_a_second_commit_keeps_the_first(store):
    first = store.commit(FACTS, write("one"))
    second = store.commit(FACTS | {"seconds": 99.0}, write("two"))
    assert second == first
    assert (first.folder / "result.txt").read_text() == "one"
    assert names(store) == [KEY]


def test_of_many_at_once_one_is_kept_whole(store):
    barrier, records = threading.Barrier(8), []

    def commit(number):
        def both(draft):
            (draft / "a.txt").write_text(str(number))
            (draft / "b.txt").write_text(str(number))
            barrier.wait()

        records.append(store.commit(FACTS | {"seconds": number}, both))

    threads = [threading.Thread(target=commit, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(store) == [KEY]
    (kept,) = {record.facts["seconds"] for record in records}
    assert {(store.job(KEY) / name).read_text() for name in ("a.txt", "b.txt")} == {str(kept)}
    assert len(records) == 8


def damage_cut(folder):
    text = (folder / "record.json").read_text()
    (folder / "record.json").write_text(text[: len(text) // 2])


def damage_edit(folder):
    facts = json.loads((folder / "record.json").read_text())
    facts["parts"]["seed"] = 1
    (folder / "record.json").write_text(json.dumps(facts))


def without(name):
    def damage(folder):
        facts = json.loads((folder / "record.json").read_text())
        del facts[name]
        (folder / "record.json").write_text(json.dumps(facts))

    return damage


def replaced(**changes):
    def damage(folder):
        facts = json.loads((folder / "record.json").read_text())
        (folder / "record.json").write_text(json.dumps(facts | changes))

    return damage


def content(data):
    return lambda folder: (folder / "record.json").write_bytes(data)


def damage_name(folder):
    folder.rename(folder.with_name(KEY[::-1]))


def damage_gone(folder):
    (folder / "record.json").unlink()


def damage_file(folder):
    shutil.rmtree(folder)
    folder.write_text("a file")


DAMAGE = {
    "cut short": damage_cut,
    "edited parts": damage_edit,
    "another key": replaced(key=KEY[::-1]),
    "another schema": replaced(schema=2),
    "parts that are no number": replaced(parts={"seed": float("nan")}),
    "no id": without("id"),
    "no parts": without("parts"),
    "no schema": without("schema"),
    "empty": content(b""),
    "a list": content(b"[1, 2]"),
    "no text": content(b"\xff\xfe"),
    "gone": damage_gone,
    "a file": damage_file,
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_record_is_none_and_the_next_commit_moves_it_aside(store, case):
    sound = {"seed": 9}
    other = store.commit(FACTS | {"id": "other", "key": digest(sound), "parts": sound}, write("other"))
    store.commit(FACTS, write("one"))
    DAMAGE[case](store.job(KEY))
    assert store.record(KEY) is None
    assert [*store.records()] == [other]
    assert (store.last(FACTS["id"]), store.last("other")) == (None, other)
    again = store.commit(FACTS, write("two"))
    assert store.record(KEY) == again
    assert (again.folder / "result.txt").read_text() == "two"
    aside = set(names(store)) - {KEY, other.key}
    assert [name.startswith(f".damaged-{KEY}-") for name in aside] == [True]  # nothing is lost
    assert {r.key for r in store.records()} == {KEY, other.key}


def test_a_folder_of_another_name_is_no_record(store):
    folder = store.commit(FACTS, write("one")).folder
    damage_name(folder)
    assert store.record(KEY) is None
    assert store.record(KEY[::-1]) is None
    assert list(store.records()) == []


def test_a_failure_is_never_a_result(store):
    store.fail(KEY, {"id": FACTS["id"], "key": KEY, "error": "the loss is nan", "traceback": "Traceback ..."})
    assert store.record(KEY) is None
    assert list(store.records()) == []
    assert store.last(FACTS["id"]) is None
    assert store.failure(KEY)["error"] == "the loss is nan"
    store.fail(KEY, {"error": "another"})
    assert store.failure(KEY) == {"error": "another"}
    store.commit(FACTS, write("one"))
    assert store.failure(KEY) is None
    store.fail(KEY, {"error": "later"})  # of one that came second
    assert store.record(KEY).facts["seconds"] == 1.5


@pytest.mark.parametrize("text", ["", "{", "[]", '"error"', "{}"])
def test_a_damaged_failure_is_none(store, text):
    store.fail(KEY, {"error": "x"})
    (store.root / "failures" / f"{KEY}.json").write_text(text)
    assert store.failure(KEY) is None


def test_a_commit_clears_what_it_was_made_from(store):
    store.partial(KEY).mkdir(parents=True)
    (store.partial(KEY) / "checkpoint").touch()
    store.commit(FACTS, write("one"))
    assert not store.partial(KEY).exists()


def test_what_is_dropped_is_made_again(store):
    store.commit(FACTS, write("one"))
    store.fail(KEY, {"error": "x"})
    store.drop(KEY)
    assert (store.record(KEY), store.failure(KEY), names(store)) == (None, None, [])
    store.drop(KEY)
    assert (store.commit(FACTS, write("two")).folder / "result.txt").read_text() == "two"


def test_the_last_of_an_id_is_the_newest_whatever_its_key(store):
    for seed, started in ((1, "2026-01-02"), (2, "2026-01-03"), (3, "2026-01-01")):
        parts = {"seed": seed}
        store.commit(FACTS | {"key": digest(parts), "parts": parts, "started": started}, write(""))
    assert store.last(FACTS["id"]).parts == {"seed": 2}


def test_scores_come_back_as_they_were(store):
    """To the last bit, under any name that a case may have."""
    cases = ("plain", "with,comma", 'with "quotes"', "two\nlines", "Ünï/çødé 图", " spaces ", "", "#5")
    rng = np.random.default_rng(0)
    values = {
        "accuracy": np.array([0.1, 1 / 3, 1e-308, 5e-324, -0.0, 1e300, 0.1 + 0.2, 1.0]),
        "f1": rng.standard_normal(8).astype(np.float32),
        "odd": np.array([np.nan, np.inf, -np.inf, *rng.standard_normal(5)]),
    }
    record = store.commit(FACTS, lambda draft: write_scores(draft / "scores.csv", cases, values))
    found = record.scores()
    assert list(found) == list(values)
    for metric, column in values.items():
        assert tuple(found[metric]) == cases
        np.testing.assert_array_equal(np.array(list(found[metric].values())), column.astype(float))
    assert np.signbit(found["accuracy"]["Ünï/çødé 图"])


def test_scores_of_another_number_than_cases_are_refused(store):
    with pytest.raises(ValueError, match="shorter"):
        store.commit(FACTS, lambda draft: write_scores(draft / "scores.csv", ("a", "b"), {"m": np.zeros(1)}))
    assert names(store) == []


@pytest.mark.parametrize("text", ["case,value\na,1\n", "case,metric,value\na,m,one\n", "case,metric,value\na,m\n"])
def test_damaged_scores_are_named_with_what_mends_them(store, text):
    record = store.commit(FACTS, lambda draft: (draft / "scores.csv").write_text(text))
    with pytest.raises(BenchError, match=r"scores\.csv: damaged .*--rerun all --only 'simclr/toy/linear/0'"):
        record.scores()


def test_a_file_that_was_changed_after_it_was_written_is_refused(store):
    cases, values = ("a", "b"), {"m": np.zeros(2)}
    record = store.commit(FACTS, lambda draft: write_scores(draft / "scores.csv", cases, values))
    assert record.scores() == {"m": {"a": 0.0, "b": 0.0}}
    path = record.folder / "scores.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))  # cut exactly at a line's end
    with pytest.raises(BenchError, match=r"changed since it was written.*--rerun all"):
        record.scores()
    path.unlink()
    with pytest.raises(BenchError, match=r"No such file.*--rerun all"):
        record.scores()
