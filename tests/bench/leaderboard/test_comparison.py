"""Two methods: what each column says of them, and why some say nothing."""

import math

import numpy as np
import pytest

from bench.detections import Detections
from bench.leaderboard.comparison import BOOTSTRAP, RESAMPLES, SIGN_FLIP, compare
from bench.leaderboard.table import Result
from bench.paired import bootstrap_p, holm, sign_flip
from bench.stats import corrected, interval, percentiles

N = 30
CASES = tuple(f"case {n}" for n in range(N))
DRAWS = np.random.default_rng(0)
WEAK = DRAWS.beta(4, 3, (3, N))
STRONG = np.clip(WEAK + DRAWS.normal(0.1, 0.1, (3, N)), 0, 1)


def result(method, values=None, seed=0, **more):
    done = values is not None
    facts = {
        "method": method, "task": "heart", "protocol": "linear", "seed": seed, "state": "done" if done else "pending",
        "metric": "dice", "phantom": False, "found": 9, "official": 9, "cases": CASES[: len(values)] if done else (),
        "values": values if done else np.zeros(0),
    }  # fmt: skip
    return Result(**{**facts, **more})


def seeds(method, values, **more):
    return [result(method, of, seed, **more) for seed, of in enumerate(values)]


def only(results, first="a", second="b"):
    (comparison,) = compare(results, first, second)
    (difference,) = comparison.differences
    return difference


def detections(seed, good, images=16):
    """One object in each image, found with a chance, beside as many false positives."""
    draws = np.random.default_rng(seed)
    hits = np.concatenate([draws.random(images) < good, np.zeros(images, bool)])
    where, scores = np.tile(np.arange(images), 2), draws.random(2 * images) + hits * 0.3
    of = np.zeros(2 * images, np.int64)
    names = tuple(map(str, range(images)))
    return Detections(names, ("spot",), np.ones((images, 1), np.int64), where, of, scores, np.tile(hits[:, None], 10))


def found(method, of, seed=0, metric="map50"):
    return result(method, seed=seed, metric=metric, state="done", cases=of.cases, detections=of)


def test_a_column_is_tested_case_by_case_over_the_mean_of_the_seeds():
    d = only([*seeds("a", STRONG), *seeds("b", WEAK)])
    each = (STRONG - WEAK).mean(axis=0)
    assert (d.effect, d.low, d.high) == pytest.approx((each.mean(), *interval(each)))
    assert (d.p, d.adjusted) == (sign_flip(each), sign_flip(each))
    assert (d.cases, d.seeds, d.test, d.better) == (N, (0, 1, 2), SIGN_FLIP, 1)


def test_the_other_way_round_it_is_the_opposite():
    there, back = (
        only([*seeds("a", STRONG), *seeds("b", WEAK)]),
        only([*seeds("b", WEAK), *seeds("a", STRONG)], "b", "a"),
    )
    assert (back.effect, back.p, back.better) == (-there.effect, there.p, -1)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=0.01)


def test_where_less_is_better_the_smaller_is_the_better():
    less = {"metric": "hd95", "higher_is_better": False}
    d = only([*seeds("a", 10 * WEAK, **less), *seeds("b", 10 * STRONG, **less)])
    assert d.better == 1
    assert d.effect == pytest.approx(10 * (STRONG - WEAK).mean())
    assert d.low > 0


def test_only_seeds_that_both_have_count():
    d = only([*seeds("a", STRONG)[:2], result("a", seed=2), *seeds("b", WEAK)[1:]])
    assert d.seeds == (1,)
    assert d.effect == pytest.approx((STRONG[1] - WEAK[1]).mean())


def test_equal_methods_are_not_told_apart():
    d = only([*seeds("a", WEAK), *seeds("b", WEAK[[1, 2, 0]])])
    assert (d.effect, d.low, d.high, d.p, d.better) == (0, 0, 0, 1, 0)


def test_a_single_case_is_not_tested_and_does_not_count_among_the_tests():
    (c,) = compare([*seeds("a", STRONG[:, :1]), *seeds("b", WEAK[:, :1]),
                    *seeds("a", STRONG, task="lung"), *seeds("b", WEAK, task="lung")], "a", "b")  # fmt: skip
    one, many = c.differences
    assert one.effect == pytest.approx((STRONG - WEAK)[:, 0].mean())
    assert all(map(math.isnan, (one.p, one.adjusted, one.low, one.high)))
    assert one.better == 0
    assert many.adjusted == many.p


def test_strata_are_those_of_the_board():
    sites = ("x",) * 10 + ("y",) * 20
    shift = np.array([0.0] * 10 + [1.0] * 20)
    d = only([*seeds("a", STRONG + shift, strata=sites), *seeds("b", WEAK, strata=sites)])
    each = (STRONG + shift - WEAK).mean(axis=0)
    assert (d.low, d.high) == pytest.approx(interval(each, sites))
    assert d.high - d.low < np.diff(interval(each)) / 2


def test_p_values_are_adjusted_over_the_columns_of_a_kind_of_data_and_kinds_are_never_mixed():
    own = [STRONG, WEAK[:, ::-1], WEAK + 0.02 * DRAWS.normal(size=(3, N))]
    tasks = [
        one
        for n, values in enumerate(own)
        for one in (*seeds("a", values, task=f"t{n}"), *seeds("b", WEAK, task=f"t{n}"))
    ]
    drawn = [*seeds("a", STRONG, phantom=True), *seeds("b", WEAK, phantom=True)]
    real, phantom = compare([*drawn, *tasks], "a", "b")
    assert (real.name, phantom.name) == ("real", "phantom")
    assert [d.adjusted for d in real.differences] == holm([d.p for d in real.differences])
    assert [d.task for d in real.differences] == ["t0", "t1", "t2"]
    (alone,) = phantom.differences
    assert alone.adjusted == alone.p
    assert compare(tasks, "c", "d") == ()


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ([result("b")], "pending: b"),
        ([result("b", state="failed"), result("b", seed=1)], "failed and pending: b"),
        ([], "no result: b"),
        ([result("b", WEAK[0], 7)], "no common seed: a has 0, 1, 2; b has 7"),
        (
            [result("b", WEAK[0, 1:])],
            "other cases: of b/heart/linear/0 and a/heart/linear/0 1 are in only one of the two",
        ),
        (
            [result("b", WEAK[0], cases=CASES[::-1])],
            "other cases: of b/heart/linear/0 and a/heart/linear/0 the same in",
        ),
        ([result("b", WEAK[0], metric="iou")], "other metrics: dice and iou"),
        ([result("b", WEAK[0], found=7)], "other data: 9 and 7 cases of the data set were found"),
    ],
)
def test_what_cannot_be_compared_is_left_out_with_the_reason(others, why):
    (c,) = compare([*seeds("a", STRONG), *others], "a", "b")
    assert c.differences == ()
    assert c.left_out.keys() == {"heart/linear"}
    assert c.left_out["heart/linear"].startswith(why)


def test_columns_of_neither_method_are_not_told():
    (c,) = compare([*seeds("a", STRONG), *seeds("b", WEAK), *seeds("c", WEAK, task="lung")], "a", "b")
    assert c.left_out == {}


@pytest.mark.parametrize("metric", ["map50", "froc"])
def test_detections_are_resampled_in_pairs(metric):
    sets = {
        name: [detections(seed + at, good) for seed in range(2)] for name, good, at in (("a", 0.9, 0), ("b", 0.3, 10))
    }
    d = only([found(name, of, seed, metric) for name, all_of in sets.items() for seed, of in enumerate(all_of)])
    drawn = np.mean(
        [
            a.resampled(metric, resamples=RESAMPLES) - b.resampled(metric, resamples=RESAMPLES)
            for a, b in zip(*sets.values(), strict=True)
        ],
        axis=0,
    )
    effect = np.mean([of.value(metric) for of in sets["a"]]) - np.mean([of.value(metric) for of in sets["b"]])
    ends = percentiles(drawn) if metric == "froc" else corrected(drawn, effect)
    assert (d.effect, d.low, d.high, d.p) == pytest.approx((effect, *ends, bootstrap_p(drawn, effect, 16)))
    assert (d.test, d.better, d.cases) == (BOOTSTRAP, 1, 16)


def test_detections_that_are_the_same_do_not_differ():
    of = detections(0, 0.6)
    d = only([found("a", of), found("b", of)])
    assert (d.effect, d.low, d.high, d.p, d.better) == (0, 0, 0, 1, 0)
    single = detections(0, 0.6, images=1)
    assert math.isnan(only([found("a", single), found("b", single)]).p)


def test_of_detectors_that_are_alike_few_are_called_better(monkeypatch):
    """300 pairs on 24 images: 0.05 and three standard errors, where uncorrected it would be 0.083."""
    monkeypatch.setattr("bench.leaderboard.comparison.RESAMPLES", 400)
    pairs = [(detections(2 * n, 0.6, 24), detections(2 * n + 1, 0.6, 24)) for n in range(300)]
    p = [only([found("a", a), found("b", b)]).p for a, b in pairs]
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
