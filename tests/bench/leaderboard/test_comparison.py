"""Two methods: what each column says of them, and why some say nothing."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from bench.detections import Detections
from bench.leaderboard.comparison import BOOTSTRAP, RESAMPLES, SEEDS, SIGN_FLIP, compare
from bench.leaderboard.result import Result
from bench.moderation import moderated
from bench.paired import bootstrap_p, holm, sign_flip

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


def of_seeds(first, second, squares, others=()):
    """What seeds, cases and the rest give the variance of a difference; seeds moderated by the `others`."""
    own, *_ = moderated([of.mean(axis=1).tolist() for of in (first, second, *others)])
    other = moderated([of.mean(axis=1).tolist() for of in (first, second, *others)])[1]
    (_, cases), (_, free) = squares(first - second)
    both = own.beside(other)
    return (both.variance / len(first), cases), (both.freedom, free)


def students(mean, of, free):
    total = sum(of)
    return 2 * t.sf(abs(mean) / total**0.5, total**2 / sum(a**2 / b for a, b in zip(of, free, strict=True)))


def book(each, resamples=20_000):
    """Means of cases drawn with replacement."""
    return each[np.random.default_rng(1).integers(len(each), size=(resamples, len(each)))].mean(axis=1)


def test_a_column_is_tested_case_by_case_and_seed_by_seed(squares, recipe):
    d = only([*seeds("a", STRONG), *seeds("b", WEAK)])
    each, sums = (STRONG - WEAK).mean(axis=0), of_seeds(STRONG, WEAK, squares)
    assert d.effect == pytest.approx(each.mean())
    assert (d.low, d.high) == pytest.approx(recipe(each.mean(), book(each), *sums), abs=0.003)
    assert d.p == d.adjusted == pytest.approx(max(sign_flip(each), students(each.mean(), *sums)))
    assert d.p > 2 * sign_flip(each)
    assert (d.cases, d.seeds, d.test, d.better) == (N, (0, 1, 2), f"{SIGN_FLIP} {SEEDS}", 1)


def test_of_one_seed_it_is_tested_case_by_case_alone(squares, recipe):
    d = only([result("a", STRONG[0]), result("b", WEAK[0])])
    each = STRONG[0] - WEAK[0]
    assert (d.low, d.high) == pytest.approx(recipe(each.mean(), book(each), *squares(each[None])), abs=0.003)
    assert (d.p, d.test) == (sign_flip(each), SIGN_FLIP)


def test_other_methods_of_the_column_tell_how_much_seeds_vary(squares):
    """Those with the same cases and seeds, not of another column, of other data or of phantoms."""
    both = [*seeds("a", STRONG), *seeds("b", WEAK)]
    calm = [WEAK + 0.001 * DRAWS.normal(size=(3, 1)) for _ in range(4)]
    others = [one for n, of in enumerate(calm) for one in seeds(f"c{n}", of - of.mean(1, keepdims=True) + 0.5)]
    for more in ({"task": "lung"}, {"phantom": True}, {"found": 8}, {"metric": "iou"}):
        assert only([*both, *(r for r in [replace(one, **more) for one in others])]).p == only(both).p
    wild = [WEAK - WEAK.mean(1, keepdims=True) + np.array([[0.3], [0.5], [0.7]]) + 0.01 * n for n in range(4)]
    found = only([*both, *(one for n, of in enumerate(wild) for one in seeds(f"c{n}", of))])
    assert found.p == pytest.approx(students(found.effect, *of_seeds(STRONG, WEAK, squares, wild)))
    assert found.p > 2 * only(both).p


def test_the_cases_of_a_patient_are_drawn_and_flipped_together(squares, recipe):
    """Ten patients of three cases: as the ten means of their cases."""
    patients = tuple(f"patient {n % 10}" for n in range(N))
    d = only([*seeds("a", STRONG, patients=patients), *seeds("b", WEAK, patients=patients)])
    first, second = (of.reshape(3, 3, 10).mean(axis=1) for of in (STRONG, WEAK))
    each, sums = (first - second).mean(axis=0), of_seeds(first, second, squares)
    assert (d.low, d.high) == pytest.approx(recipe(each.mean(), book(each), *sums), abs=0.004)
    assert d.p == pytest.approx(max(sign_flip(each), students(each.mean(), *sums)))


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
    assert (d.effect, d.p, d.better) == (0, 1, 0)
    assert d.low < 0 < d.high  # with other seeds they would differ
    assert d.low == pytest.approx(-d.high, abs=0.005)
    alone = only([result("a", WEAK[0]), result("b", WEAK[0])])
    assert (alone.effect, alone.low, alone.high, alone.p, alone.better) == (0, 0, 0, 1, 0)


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
    d = only([result("a", STRONG[0] + shift, strata=sites), result("b", WEAK[0], strata=sites)])
    each = STRONG[0] + shift - WEAK[0]
    error = np.hypot(each[:10].std(ddof=1) * 10**0.5, each[10:].std(ddof=1) * 20**0.5) / N
    assert (d.low, d.high) == pytest.approx(each.mean() + t.ppf([0.025, 0.975], N - 2) * error, abs=0.005)
    plain = only([result("a", STRONG[0] + shift), result("b", WEAK[0])])
    assert d.high - d.low < (plain.high - plain.low) / 2


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
def test_detections_are_resampled_in_pairs(metric, recipe):
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
    sums, free = of_drawn(sets, metric)
    ends = recipe(effect, drawn, sums, free, biased=metric != "froc")
    assert d.effect == pytest.approx(effect)
    assert (d.low, d.high) == pytest.approx(ends, abs=0.03 * (ends[1] - ends[0]))
    assert d.p == pytest.approx(max(bootstrap_p(drawn, effect, 16), students(effect, sums, free)))
    assert (d.test, d.better, d.cases) == (f"{BOOTSTRAP} {SEEDS}", 1, 16)


def of_drawn(sets, metric):
    """As `of_seeds`, from what resamples of the images gave: 16 images, two seeds."""
    apart = np.array([
        a.resampled(metric, resamples=RESAMPLES) - b.resampled(metric, resamples=RESAMPLES)
        for a, b in zip(*sets.values(), strict=True)
    ])  # fmt: skip
    first, second = moderated([[of.value(metric) for of in each] for each in sets.values()])
    both = first.beside(second)
    return (both.variance / 2, 16 / 15 * np.var(apart.mean(axis=0))), (both.freedom, 15)


@pytest.mark.parametrize(("good", "certain"), [((0.95, 0.05), True), ((0.7, 0.5), False)])
def test_beyond_all_resamples_of_one_seed_it_is_students_t(good, certain):
    """Of which no p-value could be told below one in their number."""
    a, b = (detections(seed, one, 40) for seed, one in enumerate(good))
    d = only([found("a", a), found("b", b)])
    drawn = a.resampled("map50", resamples=RESAMPLES) - b.resampled("map50", resamples=RESAMPLES)
    expected = 2 * t.sf(abs(d.effect) / (40 / 39 * drawn.var()) ** 0.5, 39)
    assert d.p == pytest.approx(expected if certain else bootstrap_p(drawn, d.effect, 40))
    assert (d.p < 1e-4) == certain


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
