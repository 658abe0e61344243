"""Resamples are what really repeated images give, draws are paired, and FROC is what its definition says."""

import numpy as np
import pytest

from bench.detections import RATES, Detections, Found, collect
from bench.protocols._coco import average_precision
from bench.stats import percentiles

CLASSES = ("lung nodule", "mass", "rib_fracture", "effusion")


def gathered(found, truth):
    return collect([f"image {n}" for n in range(len(truth))], CLASSES, found, truth)


def draws(images, resamples, seed):
    """How often each image is drawn: what `Detections.resampled` promises to depend on, and on nothing else."""
    return np.random.Generator(np.random.PCG64(seed)).multinomial(images, np.full(images, 1 / images), size=resamples)


def spots(objects, rows):
    """One class; objects in each image; detections as image, score and whether they hit at every overlap."""
    image, score, hits = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        cases=tuple(f"image {n}" for n in range(len(objects))),
        classes=("spot",),
        objects=np.array(objects, np.int64)[:, None],
        image=np.array(image, np.int64),
        label=np.zeros(len(rows), np.int64),
        score=np.array(score, np.float64),
        hits=np.tile(np.array(hits, bool)[:, None], (1, 10)),
    )


# ---------------------------------------------------------------------------------------------- resampling


def test_a_resample_is_what_faster_coco_eval_makes_of_repeated_images(scenes):
    """Also where a class is drawn in none of them: it is then in no mean."""
    generator, lacking = np.random.default_rng(0), 0
    for seed in range(4):
        found, truth = scenes(seed, images=7)
        kept, rows = gathered(found, truth), draws(7, 4, seed)
        values = {name: kept.resampled(name, resamples=4, seed=seed) for name in ("map", "map50", "map75")}
        for number, counts in enumerate(rows):
            drawn = generator.permutation(np.repeat(np.arange(7), counts))
            peer = average_precision([found[n] for n in drawn], [truth[n] for n in drawn], CLASSES)
            assert {name: of[number] for name, of in values.items()} == pytest.approx(peer, abs=1e-9)
            lacking += (counts @ kept.objects[:, :3] == 0).any()
    assert lacking


def test_sensitivity_of_a_resample_is_that_of_repeated_images(scenes):
    for seed in range(3):
        kept = gathered(*scenes(seed, tied=True))
        for counts, value in zip(draws(12, 5, seed), kept.resampled("froc", resamples=5, seed=seed), strict=True):
            assert value == pytest.approx(slow_froc(kept, counts), abs=1e-12)


def test_draws_of_methods_on_the_same_images_are_the_same():
    """One finds what the other does not, so what they find together is everything, in each resample."""
    objects = [1] * 9
    first, rest = spots(objects, [(0, 0.5, True)]), spots(objects, [(n, 0.5, True) for n in range(1, 9)])
    for metric in ("froc", "map50"):
        drawn = [kept.resampled(metric, resamples=200, seed=3) for kept in (first, rest)]
        assert drawn[0].std() > 0.05
        assert drawn[0] + drawn[1] == pytest.approx(1, abs=0.02 if metric == "map50" else 1e-12)  # 101 recalls
        other = rest.resampled(metric, resamples=200, seed=4)
        assert np.abs(drawn[0] + other - 1).max() > 0.1


def test_the_same_seed_gives_the_same_numbers_and_leaves_the_global_generator_alone(scenes):
    kept, before = gathered(*scenes(0)), np.random.get_state()[1].copy()
    assert (kept.resampled("map", resamples=20) == kept.resampled("map", resamples=20, seed=0)).all()
    assert (kept.resampled("map", resamples=20) != kept.resampled("map", resamples=20, seed=1)).any()
    assert (np.random.get_state()[1] == before).all()


def test_the_order_of_the_images_changes_no_value_and_an_interval_as_another_seed_does(scenes):
    found, truth = scenes(0, images=60)
    order = np.random.default_rng(0).permutation(60)
    kept, turned = gathered(found, truth), gathered([found[n] for n in order], [truth[n] for n in order])
    assert turned.summary() == pytest.approx(kept.summary(), abs=1e-12)
    ends = [percentiles(of.resampled("map50", resamples=2000)) for of in (kept, turned)]
    assert ends[0] == pytest.approx(ends[1], abs=0.1 * (ends[0][1] - ends[0][0]))


def test_an_interval_is_as_wide_as_the_spread_says():
    """Of 400 objects, one an image, 280 found without a miss: sensitivity is a share, with a binomial error."""
    kept = spots([1] * 400, [(n, 0.5, n < 280) for n in range(280)])
    low, high = percentiles(kept.resampled("froc", resamples=4000))
    assert low < 0.7 < high
    assert (high - low) / 2 == pytest.approx(1.96 * (0.7 * 0.3 / 400) ** 0.5, rel=0.07)


def test_a_class_that_no_drawn_image_has_is_no_number_there():
    kept = spots([3] + [0] * 19, [(0, 0.5, True)])
    for metric in ("ap50_spot", "map", "froc"):
        drawn = kept.resampled(metric, resamples=4000)
        assert np.isnan(drawn).mean() == pytest.approx(0.95**20, abs=0.03)
        assert percentiles(drawn) == pytest.approx((kept.value(metric),) * 2)


# ---------------------------------------------------------------------------------------------- FROC


def slow_froc(kept, counts):
    """The definition, with Python's loop: at each threshold all detections from it on, hits and false positives."""
    objects = int(counts @ kept.objects.sum(1))
    best = dict.fromkeys(RATES, 0.0)
    for threshold in set(kept.score.tolist()):
        rows = [n for n in range(len(kept.score)) if kept.score[n] >= threshold]
        hits = sum(counts[kept.image[n]] for n in rows if kept.hits[n, 0])
        false = sum(counts[kept.image[n]] for n in rows) - hits
        for rate in RATES:
            if false <= rate * counts.sum():
                best[rate] = max(best[rate], hits / objects)
    return np.mean(list(best.values()))


def test_sensitivity_by_hand():
    """Eight images, so 1, 2, 4, 8, ... false positives may be; four objects, two of which are found with one."""
    objects = [2, 1, 0, 0, 1, 0, 0, 0]
    rows = [(0, 0.9, True), (2, 0.8, False), (0, 0.7, True), (3, 0.6, False), (3, 0.5, False), (4, 0.4, True)]
    assert spots(objects, rows).value("froc") == pytest.approx((2 * 2 / 4 + 5 * 3 / 4) / 7)
    assert spots(objects, rows[::-1]).value("froc") == spots(objects, rows).value("froc")


@pytest.mark.parametrize("order", [1, -1])
def test_no_threshold_parts_equal_scores(order):
    rows = [(0, 0.9, True), *[(1, 0.8, True), (2, 0.8, False), (3, 0.8, False)][::order]]
    kept = spots([1, 1, 0, 0, 0, 0, 0, 0], rows)
    assert kept.value("froc") == pytest.approx((1 * 1 / 2 + 6 * 2 / 2) / 7)  # one false positive does not do


@pytest.mark.parametrize(
    ("misses", "found"), [(1, 7), (2, 6), (3, 5), (4, 5), (8, 4), (9, 3), (32, 2), (64, 1), (65, 0)]
)
def test_sensitivity_is_taken_at_an_eighth_to_eight_false_positives_an_image(misses, found):
    """The one object is found after so many misses on eight images: at how many of the seven points is it?"""
    kept = spots([1] + [0] * 7, [*((n % 8, 0.9, False) for n in range(misses)), (0, 0.1, True)])
    assert kept.value("froc") == pytest.approx(found / 7)


def test_finding_an_object_again_is_a_false_positive():
    here = np.array([[0, 0, 9, 9]], np.float64)
    nothing = (here[:0], np.zeros(0, np.int64))
    again = Found(np.repeat(here, 2, 0), np.array([0.9, 0.8]), np.zeros(2, np.int64))
    later = Found(here, np.array([0.7]), np.zeros(1, np.int64))
    none = Found(here[:0], np.zeros(0), np.zeros(0, np.int64))
    truth = [(here, np.array([0])), (here, np.array([0])), nothing, nothing]  # 0.5, 1, 2, ... false positives may be
    kept = collect(list("abcd"), ("spot",), [again, later, none, none], truth)
    assert kept.value("froc") == pytest.approx((1 / 2 + 6) / 7)


def test_sensitivity_is_over_all_classes(scenes):
    kept = gathered(*scenes(0))
    whole = np.ones(len(kept.cases), np.int64)
    assert kept.value("froc") == pytest.approx(slow_froc(kept, whole), abs=1e-12)
    pooled = Detections(
        kept.cases, ("any",), kept.objects.sum(1, keepdims=True), kept.image, kept.label * 0, kept.score, kept.hits
    )
    assert kept.value("froc") == pooled.value("froc")
