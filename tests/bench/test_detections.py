"""Matches are those of COCO's definition and average precision is faster-coco-eval's; small cases by hand."""

import numpy as np
import pytest

from bench.detections import OVERLAPS, Found, collect, matched, overlaps
from bench.errors import BenchError
from bench.protocols._coco import average_precision, check

CLASSES = ("lung nodule", "mass", "rib_fracture", "effusion")
KINDS = {
    "distinct scores": {},
    "ties between images and within one": {"tied": True},
    "a class that is never found": {"silent": (1,)},
    "more detections than count": {"crowd": 250},
}


def gathered(found, truth, classes=CLASSES):
    return collect([f"image {n}" for n in range(len(truth))], classes, found, truth)


def boxes(*edges):
    return np.array(edges, np.float64).reshape(-1, 4)


def one_class(*images):
    """Of images given as (their truth, what is found, its scores): detections of the class `spot`."""
    found = [Found(of, np.array(scores, np.float64), np.zeros(len(of), np.int64)) for _, of, scores in images]
    return gathered(found, [(there, np.zeros(len(there), np.int64)) for there, _, _ in images], ("spot",))


# ---------------------------------------------------------------------------------------------- faster-coco-eval


@pytest.mark.parametrize("kind", KINDS)
def test_average_precision_is_faster_coco_evals(scenes, kind):
    for seed in range(6):
        found, truth = scenes(seed, **KINDS[kind])
        kept, peer = gathered(found, truth), average_precision(found, truth, CLASSES)
        assert {name: kept.value(name) for name in peer} == pytest.approx(peer, abs=1e-9)
        assert 0.02 < peer["map"] < peer["map50"] < 0.98  # neither all right nor all wrong
        check(kept, found, truth)


def test_boxes_in_whole_pixels_lie_on_thresholds_and_tie(scenes):
    """Overlaps of exactly 0.5, 0.6, 0.75 and equal ones of two objects, as annotations in whole pixels have them."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        truth, found = [], []
        for _ in range(8):
            sides = generator.integers(1, 4, (2, 6, 2))
            corners = generator.integers(0, 4, (2, 6, 2))
            there, marks = np.concatenate([corners, corners + sides], 2).astype(np.float32)
            truth.append((there, generator.integers(0, 2, 6)))
            found.append(Found(marks, generator.integers(0, 9, 6) / 9, generator.integers(0, 2, 6)))
        peer = average_precision(found, truth, CLASSES)
        assert {name: gathered(found, truth).value(name) for name in peer} == pytest.approx(peer, abs=1e-9)


def test_finding_nothing_is_0_and_nothing_to_find_is_nan(scenes):
    found, truth = scenes(0)
    nothing = [Found(boxes(), np.zeros(0), np.zeros(0, np.int64))] * len(found)
    empty = [(there[:0], labels[:0]) for there, labels in truth]
    for name in ("map", "map50", "map75", "froc"):
        assert gathered(nothing, truth).value(name) == 0
        assert np.isnan(gathered(found, empty).value(name))
        assert np.isnan(gathered(nothing, empty).value(name))
    check(gathered(nothing, truth), nothing, truth)
    check(gathered(found, empty), found, empty)


@pytest.mark.parametrize("spoil", ["hits", "objects"])
def test_matches_that_give_another_precision_are_refused(scenes, spoil):
    found, truth = scenes(0)
    kept = gathered(found, truth)
    (kept.hits if spoil == "hits" else kept.objects)[:] = 0  # without objects it is nan, which is no number but 0.5 off
    with pytest.raises(BenchError, match=r"detect: map is 0\.\d+ by faster-coco-eval and (0\.0|nan) as it is kept"):
        check(kept, found, truth)


# ---------------------------------------------------------------------------------------------- matching


def slow_overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = width * height if width > 0 and height > 0 else 0
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def slow_matches(marks, there, least):
    """COCOeval.evaluateImg, for objects that are neither crowds nor left out, and detections by score."""
    hit, taken = [], set()
    for mark in marks:
        best, chosen = least, None
        for number, box in enumerate(there):
            if number not in taken and slow_overlap(mark, box) >= best:
                best, chosen = slow_overlap(mark, box), number
        taken |= {chosen} - {None}
        hit.append(chosen is not None)
    assert len(taken) == sum(hit)
    return hit


def test_matches_are_those_of_a_slow_loop():
    generator, hits = np.random.default_rng(1), 0
    for _ in range(150):
        marks, there = (
            np.concatenate([corners, corners + generator.integers(1, 6, corners.shape)], 1).astype(np.float64)
            for corners in (generator.integers(0, 5, (n, 2)) for n in generator.integers(0, 9, 2))
        )
        found = matched(overlaps(marks, there))
        slow = np.array([slow_matches(marks, there, least) for least in OVERLAPS], bool).T
        np.testing.assert_array_equal(found, slow)
        assert (found.sum(0) <= len(there)).all()
        hits += found.sum()
    assert hits > 200


def test_an_object_is_hit_once_and_by_the_likeliest_even_if_another_lies_better():
    there, rough, exact = boxes([0, 0, 10, 10]), [0, 0, 10, 6], [0, 0, 10, 10]
    kept = one_class((there, boxes(exact, rough), [0.4, 0.8]))
    assert kept.score.tolist() == [0.8, 0.4]
    assert kept.hits[:, 0].tolist() == [True, False]
    assert kept.hits[:, 2].tolist() == [True, False]  # 0.6, which its overlap just reaches
    assert kept.hits[:, 3].tolist() == [False, True]  # where the likelier one misses, the object is free


def test_a_detection_of_another_class_hits_nothing():
    found = [Found(boxes([0, 0, 9, 9]), np.ones(1), np.array([1]))]
    assert not gathered(found, [(boxes([0, 0, 9, 9]), np.array([0]))]).hits.any()


def test_of_a_class_the_hundred_likeliest_in_an_image_count():
    there, away = boxes([0, 0, 10, 10]), [50, 50, 60, 60]
    for misses, expected in ((99, 0.01), (100, 0.0)):
        marks = boxes(*[away] * misses, [0, 0, 10, 10])
        kept = one_class((there, marks, [0.9] * misses + [0.1]))
        assert kept.value("map50") == pytest.approx(expected)
        assert len(kept.score) == 100


def test_boxes_without_area_overlap_nothing_and_warn_of_nothing():
    flat = boxes([5, 5, 5, 9], [5, 5, 5, 5])
    assert overlaps(flat, flat).max() == 0
    assert overlaps(flat, boxes([0, 0, 9, 9])).max() == 0


def test_what_is_found_is_of_as_many_images():
    one = Found(boxes(), np.zeros(0), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match=r"longer|shorter"):
        collect(["a", "b"], CLASSES, [one], [(boxes(), np.zeros(0, np.int64))])


# ---------------------------------------------------------------------------------------------- by hand


def test_average_precision_by_hand():
    """A hit, a miss, and a hit that holds at an overlap of 0.5 alone, of two objects: worked out on paper."""
    here = boxes([0, 0, 10, 10])
    kept = one_class((here, boxes([0, 0, 10, 10], [50, 0, 60, 10]), [0.9, 0.8]), (here, boxes([0, 0, 10, 5]), [0.7]))
    low = (51 + 50 * 2 / 3) / 101  # precision is 1 for recalls to 0.5, and 2/3 for those above
    assert kept.value("map50") == pytest.approx(low, abs=1e-12)
    assert kept.value("map75") == pytest.approx(51 / 101, abs=1e-12)
    assert kept.value("map") == pytest.approx((low + 9 * 51 / 101) / 10, abs=1e-12)
    assert kept.value("ap50_spot") == kept.value("map50")
    assert kept.value("ap_spot") == kept.value("map")


def test_there_is_a_metric_for_each_class_that_has_an_object(scenes):
    kept = gathered(*scenes(0, silent=(1,)))
    names = [f"{kind}_{name}" for kind in ("ap50", "ap") for name in CLASSES[:3]]
    assert kept.metrics == ("map50", "map", "map75", "froc", *names)
    summary = kept.summary()
    assert tuple(summary) == kept.metrics
    assert summary["ap50_mass"] == 0
    for kind, whole in (("ap50", "map50"), ("ap", "map")):
        assert np.mean([summary[f"{kind}_{name}"] for name in CLASSES[:3]]) == pytest.approx(summary[whole])
    for wrong in ("accuracy", "map60", "", "ap50_liver"):
        with pytest.raises(ValueError, match=rf"{wrong}: no metric|not in tuple"):
            kept.value(wrong)


def test_f1_of_an_image_by_hand():
    here, away, sure = boxes([0, 0, 10, 10]), [50, 0, 60, 10], [0, 0, 10, 10]
    kept = one_class(
        (here, boxes(sure), [0.5]),  # found, just sure enough
        (here, boxes(sure), [0.499]),
        (here, boxes([0, 0, 10, 5]), [0.9]),  # just enough of an overlap
        (here, boxes(sure, away), [0.9, 0.9]),  # 2 * 1 / (2 + 1)
        (here, boxes(sure, sure), [0.9, 0.8]),  # the same, since an object is found once
        (boxes(), boxes(away), [0.9]),
        (boxes(), boxes(away), [0.1]),  # nothing is due
        (boxes(), boxes(), []),
        (boxes(sure, away), boxes(away), [0.9]),  # 2 * 1 / (1 + 2)
    )
    assert kept.agreement() == pytest.approx([1, 0, 1, 2 / 3, 2 / 3, 0, 1, 1, 2 / 3])
