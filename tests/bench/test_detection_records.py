"""Detections come back from disk as they were, and a file that nobody wrote so is told with what mends it."""

import numpy as np
import pytest

from bench.detections import COLUMNS, Detections, collect, read, write
from bench.errors import BenchError
from bench.keys import digest
from bench.store import Store, write_scores

HOSTILE = (
    "plain",
    "with,comma",
    'with "quotes"',
    "two\nlines",
    "a\rreturn",
    "Ünï/çødé 图",
    " spaces ",
    "ap50_x",
    "",
    "#5",
)
HEAD = ",".join(COLUMNS)
ONE = "a,spot,,0.5,3ff"
PARTS = {"kind": "evaluate", "task": "boxes"}
FACTS = {"id": "m/boxes/detect/0", "key": digest(PARTS), "parts": PARTS, "started": "2026-01-01"}


def same(one, other):
    assert (one.cases, one.classes) == (other.cases, other.classes)
    for name in ("objects", "image", "label", "score", "hits"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def commit(store, detections, cases=None, **facts):
    """A record as `bench run` writes it of a detection."""

    def files(draft):
        write_scores(draft / "scores.csv", cases or detections.cases, {"f1": detections.agreement()})
        write(draft / "detections.csv", detections)

    return store.commit({**FACTS, "classes": list(detections.classes), **facts}, files)


def hostile():
    """Every pattern of hits, scores to the last bit, and names that a comma-separated file can stumble over."""
    generator, count = np.random.default_rng(0), 1024
    scores = np.concatenate([[0.1 + 0.2, 5e-324, 1 - 2**-53, 0.0, 1.0], generator.random(count - 5)])
    return Detections(
        cases=HOSTILE, classes=HOSTILE[::-1], objects=generator.integers(0, 3, (10, 10)),
        image=np.sort(generator.integers(0, 10, count)), label=generator.integers(0, 10, count), score=scores,
        hits=(np.arange(count)[:, None] >> np.arange(10) & 1).astype(bool),
    )  # fmt: skip


def _of(kept, number):
    rows = kept.label == number
    return kept.objects[:, [number]], kept.image[rows], kept.label[rows] * 0, kept.score[rows], kept.hits[rows]


def test_what_is_written_comes_back_to_the_last_bit(tmp_path):
    kept = hostile()
    record = commit(Store(tmp_path), kept)
    same(record.detections(), kept)
    assert record.detections().summary() == kept.summary()
    assert set(record.scores()) == {"f1"}
    for number, name in enumerate(kept.classes):  # each is of its own class, whatever that is called
        alone = Detections(kept.cases, ("x",), *_of(kept, number))
        assert kept.value(f"ap_{name}") == alone.value("map") > 0


def test_what_is_found_comes_back_with_its_numbers(tmp_path, scenes):
    found, truth = scenes(0, crowd=120)
    kept = collect([f"image {n}" for n in range(12)], ("a_b", "b,c", 'd"e', "f\ng"), found, truth)
    back = commit(Store(tmp_path), kept).detections()
    same(back, kept)
    assert back.summary() == kept.summary()
    assert (back.agreement() == kept.agreement()).all()
    assert (back.resampled("map", resamples=9) == kept.resampled("map", resamples=9)).all()


@pytest.mark.parametrize("objects", [0, 2])
def test_images_without_anything_come_back(tmp_path, objects):
    nothing = np.zeros(0, np.int64)
    kept = Detections(
        ("a", "b"), ("spot",), np.full((2, 1), objects), nothing, nothing, np.zeros(0), np.zeros((0, 10), bool)
    )
    same(commit(Store(tmp_path), kept).detections(), kept)


def test_other_records_have_no_detections(tmp_path):
    record = Store(tmp_path).commit(
        FACTS, lambda draft: write_scores(draft / "scores.csv", ("a",), {"accuracy": np.ones(1)})
    )
    assert record.detections() is None


DAMAGED = {
    "empty": "",
    "no head": f"{ONE}\r\n",
    "another head": f"case,class,objects,score\r\n{ONE}",
    "an image that is not scored": f"{HEAD}\r\nc,spot,1,,",
    "an unknown class": f"{HEAD}\r\na,mass,1,,",
    "a line cut short": f"{HEAD}\r\na,spot,,0.5",
    "a line too long": f"{HEAD}\r\n{ONE},1",
    "an empty line": f"{HEAD}\r\n\r\n{ONE}",
    "a score that is no number": f"{HEAD}\r\na,spot,,high,3ff",
    "a score of nan": f"{HEAD}\r\na,spot,,nan,3ff",
    "no score": f"{HEAD}\r\na,spot,,,3ff",
    "no hits": f"{HEAD}\r\na,spot,,0.5,",
    "hits at more overlaps than there are": f"{HEAD}\r\na,spot,,0.5,400",
    "hits below none": f"{HEAD}\r\na,spot,,0.5,-1",
    "hits beyond any integer": f"{HEAD}\r\na,spot,,0.5,{'f' * 99}",
    "objects that are no number": f"{HEAD}\r\na,spot,one,,",
    "fewer objects than none": f"{HEAD}\r\na,spot,-1,,",
    "objects beyond any integer": f"{HEAD}\r\na,spot,{'9' * 99},,",
    "objects twice": f"{HEAD}\r\na,spot,1,,\r\na,spot,1,,",
    "objects with a score": f"{HEAD}\r\na,spot,1,0.5,3ff",
    "an open quote": f'{HEAD}\r\n"a,spot,1,,',
    "a quote in the middle": f'{HEAD}\r\n""a,spot,1,,',
    "no text": b"\xff\xfe",
    "a zero byte": f"{HEAD}\r\na\0,spot,1,,",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_named_with_what_mends_it(tmp_path, kind):
    text = DAMAGED[kind]

    def files(draft):
        write_scores(draft / "scores.csv", ("a", "b"), {"f1": np.ones(2)})
        (draft / "detections.csv").write_bytes(text if isinstance(text, bytes) else text.encode())

    record = Store(tmp_path).commit({**FACTS, "classes": ["spot"]}, files)
    with pytest.raises(ValueError, match=r"."):
        read(record.folder / "detections.csv", ("a", "b"), ("spot",))
    with pytest.raises(BenchError, match=r"detections\.csv: damaged .*--rerun all --only 'm/boxes/detect/0'"):
        record.detections()


def test_where_it_is_damaged_is_told(tmp_path):
    path = tmp_path / "detections.csv"
    path.write_text(f"{HEAD}\n{ONE}\nc,spot,1,,\n")
    with pytest.raises(ValueError, match="line 3: 'c' is no case or class"):
        read(path, ("a", "b"), ("spot",))
    path.write_text(f"{HEAD}\n{ONE}\n{ONE.replace('3ff', 'xyz')}\n")
    with pytest.raises(ValueError, match="line 3: invalid literal"):
        read(path, ("a", "b"), ("spot",))


def test_a_file_that_was_changed_or_is_gone_is_refused(tmp_path):
    record = commit(Store(tmp_path), hostile())
    path = record.folder / "detections.csv"
    path.write_bytes(path.read_bytes().rpartition(b"\r\n")[0].rpartition(b"\r\n")[0])  # a whole line less
    with pytest.raises(BenchError, match=r"detections\.csv: changed since it was written.*--rerun all"):
        record.detections()
    path.unlink()
    with pytest.raises(BenchError, match=r"detections\.csv: No such file.*--rerun all"):
        record.detections()


@pytest.mark.parametrize("facts", [{"classes": None}, {"classes": 3}, {"classes": ["other"]}, {"classes": [["spot"]]}])
def test_classes_that_are_not_those_of_the_file_are_refused(tmp_path, facts):
    kept = Detections(
        ("a",), ("spot",), np.ones((1, 1), np.int64), *[np.zeros(1, np.int64)] * 2, np.ones(1), np.ones((1, 10), bool)
    )
    with pytest.raises(BenchError, match=r"detections\.csv: damaged"):
        commit(Store(tmp_path), kept, **facts).detections()


def test_scores_without_a_case_leave_the_detections_without_theirs(tmp_path):
    record = Store(tmp_path).commit(
        {**FACTS, "classes": ["spot"]},
        lambda draft: [
            (draft / name).write_text(text)
            for name, text in (("scores.csv", "case,metric,value\n"), ("detections.csv", f"{HEAD}\n{ONE}\n"))
        ],
    )
    with pytest.raises(BenchError, match=r"detections\.csv: damaged .*'a' is no case"):
        record.detections()
