"""Intervals and p-values of means over seeds and cases are those of the plain sums, and true as often as they say."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from bench import crossed
from bench.crossed import Spread, influences, number, resampled, spread, summed, units
from bench.moderation import Seeds, moderated

DRAWS = np.random.default_rng(0)
SAMPLES = {
    "right or wrong": DRAWS.integers(0, 2, (3, 40)).astype(float),
    "continuous": DRAWS.beta(5, 2, (3, 40)) + DRAWS.normal(0, 0.03, (3, 1)),
    "few cases": DRAWS.beta(5, 2, (2, 12)) + DRAWS.normal(0, 0.1, 12),
    "one seed": DRAWS.beta(5, 2, (1, 14)),
}


def own(values) -> Seeds | None:
    """The variance between seeds, not moderated."""
    (found,) = moderated([values.mean(axis=1).tolist()])
    return found


def interval(values, *, groups=(), strata=(), **more):
    """As a board has it of one method."""
    of = units(values.shape[1], groups, strata)
    (drawn,) = resampled(values.mean(axis=0)[None], of, resamples=number(len(of.strata)))
    return crossed.ends(float(values.mean()), drawn, spread(values, of, own(values)), **more)


def book(values, resamples=20_000, seed=1):
    """Means of cases drawn with replacement (Efron & Tibshirani 1993, algorithm 6.1)."""
    generator = np.random.default_rng(seed)
    return np.array([generator.choice(values, len(values)).mean() for _ in range(resamples)])


def near(ends, share=0.05):
    return pytest.approx(ends, abs=share * (ends[1] - ends[0]) / 2)


# ---------------------------------------------------------------------------------------------- an interval


@pytest.mark.parametrize("name", SAMPLES)
def test_the_spread_is_of_the_mean_squares_of_a_two_way_layout(name, squares):
    values = SAMPLES[name]
    found, (of, free) = spread(values, units(values.shape[1]), own(values)), squares(values)
    assert (found.seeds, found.cases) == pytest.approx(of)
    assert (found.free_seeds, found.free_cases) == free
    assert found.total == pytest.approx(sum(of))
    assert found.freedom == pytest.approx(sum(of) ** 2 / sum(a**2 / b for a, b in zip(of, free, strict=True) if a))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("level", [0.6, 0.95])
def test_it_is_the_interval_of_the_recipe(name, level, squares, recipe):
    values = SAMPLES[name]
    expected = recipe(values.mean(), book(values.mean(axis=0)), *squares(values), level=level)
    assert interval(values, level=level) == near(expected, 0.06)


def test_of_one_seed_it_is_the_percentile_interval_widened_as_students_is():
    """Hesterberg 2014, section 4.3: t over z, and the root of n over n - 1."""
    values = SAMPLES["one seed"]
    mean, n = values.mean(), values.size
    low, high = np.quantile(book(values[0], 40_000), [0.025, 0.975])
    wider = t.ppf(0.975, n - 1) / 1.959964 * math.sqrt(n / (n - 1))
    assert wider > 1.1
    assert interval(values) == near((mean + wider * (low - mean), mean + wider * (high - mean)), 0.04)


def test_seeds_that_differ_widen_it():
    values = SAMPLES["continuous"] - SAMPLES["continuous"].mean(axis=1, keepdims=True) + 0.5
    same, apart = interval(values), interval(values + np.array([[-0.1], [0.0], [0.1]]))
    assert apart[1] - apart[0] > 2 * (same[1] - same[0])
    alone = 4.3 * 0.1 / 3**0.5  # what seeds say, of which there are three
    assert apart[1] - apart[0] == pytest.approx(2 * alone, rel=0.1)


@pytest.mark.parametrize("kind", ["right or wrong", "continuous"])
def test_coverage_of_one_seed(kind):
    """Of 1000 intervals of 95 % from samples with a known mean, as many hold it as they say (binomial error 0.7)."""
    generator = np.random.default_rng(2)
    if kind == "continuous":
        truth, samples = 5 / 7, generator.beta(5, 2, (1000, 1, 60))
    else:
        truth, samples = 0.7, (generator.random((1000, 1, 60)) < 0.7).astype(float)
    of, ends = units(60), []
    for values in samples:
        (drawn,) = resampled(values, of, resamples=1000)
        ends.append(crossed.ends(float(values.mean()), drawn, spread(values, of, None)))
    assert 0.93 <= np.mean([low <= truth <= high for low, high in ends]) <= 0.975


@pytest.mark.parametrize(("between", "apart"), [(0.0, 1.0), (0.3, 0.5), (1.0, 0.2)])
def test_coverage_of_several_seeds(between, apart):
    """Of 60 cases, three seeds and five other methods: 800 intervals, of which 0.8 % are a standard error."""
    generator, of, held = np.random.default_rng(3), units(60), 0
    for _ in range(800):
        values = generator.normal(0, between, (3, 1)) + generator.normal(size=60) + generator.normal(0, apart, (3, 60))
        every = generator.normal(0, math.sqrt(between**2 + apart**2 / 60), (6, 3)).tolist()
        firm = moderated([values.mean(axis=1).tolist(), *every[1:]])[0]
        (drawn,) = resampled(values.mean(axis=0)[None], of, resamples=500)
        low, high = crossed.ends(float(values.mean()), drawn, spread(values, of, firm))
        held += low <= 0 <= high
    assert 0.91 <= held / 800 <= 0.97


def test_the_same_numbers_give_the_same_interval_and_leave_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    for values in SAMPLES.values():
        assert interval(values) == interval(values)
        assert interval(values[:, ::-1]) == near(interval(values), 0.1)
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("values", [np.full((1, 7), 0.1), np.full((3, 7), 0.1), np.full((2, 5), 0.0)])
def test_equal_values_are_their_own_interval(values):
    low, high = interval(values)
    assert (low, high) == (values.mean(), values.mean())


def test_a_bias_moves_the_interval_and_its_width_stays():
    of, mean = Spread(np.zeros(()), np.asarray(1.0), np.zeros(()), 10**6), 0.0
    drawn = np.random.default_rng(0).normal(0.3, 1, 100_000)
    low, high = crossed.ends(mean, drawn, of, biased=True)
    assert (low, high) == pytest.approx((-0.3 - 1.96, -0.3 + 1.96), abs=0.03)
    assert crossed.ends(mean, drawn, of) == pytest.approx((0.3 - 1.96, 0.3 + 1.96), abs=0.03)


# ---------------------------------------------------------------------------------------------- patients and strata


def test_the_cases_of_a_patient_are_one(squares):
    """Patients of three cases each: the layout of their means."""
    values = np.repeat(DRAWS.normal(size=(3, 15)), 3, axis=1) + DRAWS.normal(0, 0.1, (3, 45))
    patients = [f"patient {n // 3}" for n in range(45)]
    found, (of, free) = (
        spread(values, units(45, patients), own(values)),
        squares(values.reshape(3, 15, 3).mean(axis=2)),
    )
    assert (found.seeds, found.cases) == pytest.approx(of)
    assert found.free_cases == free[1]
    order = DRAWS.permutation(45)
    mixed = spread(values[:, order], units(45, [patients[n] for n in order]), own(values))
    assert float(mixed.cases) == pytest.approx(float(found.cases))
    one = values[:1]
    wide, narrow = interval(one, groups=patients), interval(one)
    assert wide[1] - wide[0] > 1.4 * (narrow[1] - narrow[0])


def test_patients_of_several_sizes_are_as_the_jackknife_has_them():
    """Leaving out each patient in turn (Efron & Tibshirani 1993, equation 11.5), to first order."""
    sizes = DRAWS.integers(1, 5, 80)
    patients = np.repeat(np.arange(80), sizes)
    values = (3 + DRAWS.normal(size=80)[patients] + DRAWS.normal(0, 0.5, len(patients)))[None]
    without = [values[0, patients != n].mean() for n in range(80)]
    jackknife = 79 / 80 * np.sum((without - np.mean(without)) ** 2)
    of = units(len(patients), [f"{n}" for n in patients])
    assert float(spread(values, of, None).cases) == pytest.approx(jackknife, rel=0.05)
    (drawn,) = resampled(values, of, resamples=4000)
    assert drawn.var() == pytest.approx(jackknife, rel=0.1)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.02)


def test_coverage_of_patients():
    """Each of 40 has three cases that are nearly the same; taken for 120, two intervals in five miss."""
    generator, held, naive = np.random.default_rng(5), 0, 0
    patients = [f"{n // 3}" for n in range(120)]
    for _ in range(300):
        values = (np.repeat(generator.normal(size=40), 3) + generator.normal(0, 0.2, 120))[None]
        for groups in (patients, ()):
            of = units(120, groups)
            low, high = crossed.ends(
                float(values.mean()), resampled(values, of, resamples=1000)[0], spread(values, of, None)
            )
            held += bool(groups) and low <= 0 <= high
            naive += not groups and low <= 0 <= high
    assert 0.91 <= held / 300 <= 0.98
    assert naive / 300 < 0.8


def test_within_strata_what_differs_between_them_is_no_spread():
    assert interval(np.array([[0.0, 0.0, 0.0, 1.0]]), strata=["a", "a", "a", "b"]) == (0.25, 0.25)
    noise, strata = DRAWS.normal(size=60), ["a"] * 20 + ["b"] * 40
    shifted = (noise + 100 * (np.arange(60) >= 20))[None]
    low, high = interval(shifted, strata=strata)
    error = np.hypot(noise[:20].std(ddof=1) * 20**0.5, noise[20:].std(ddof=1) * 40**0.5) / 60
    assert (high - low) / 2 == pytest.approx(t.ppf(0.975, 58) * error, rel=0.05)
    order = DRAWS.permutation(60)
    assert interval(shifted[:, order], strata=[strata[n] for n in order]) == near((low, high), 0.1)


def test_a_patient_in_two_strata_is_one_in_each():
    of = units(4, ["p", "p", "p", "q"], ["a", "b", "b", "b"])
    assert (of.of.tolist(), of.strata.tolist(), of.free) == ([0, 1, 1, 2], [0, 1, 1], 1)


def test_one_unit_a_stratum_says_nothing():
    for of in (units(2, (), ["a", "b"]), units(3, ["p"] * 3), units(1)):
        assert of.free == 0
        with pytest.raises(ValueError, match="single unit"):
            spread(np.zeros((2, len(of.of))), of, Seeds(2, 0.1, 1.0))


def test_sums_and_influences_by_hand():
    of = units(5, ["b", "a", "b", "a", "c"])
    values = np.array([[1.0, 2.0, 3.0, 4.0, 10.0]])
    assert summed(values, of).tolist() == [[6.0, 4.0, 10.0]]
    assert influences(values, of)[0] == pytest.approx([(6 - 8) / 5, (4 - 8) / 5, (10 - 4) / 5])
    assert summed(values, units(5)).tolist() == values.tolist()
    assert of.inflation == pytest.approx([1.5] * 3)


# ---------------------------------------------------------------------------------------------- resamples


@pytest.mark.parametrize("cases", [3, 3000, 100_000])
def test_memory_is_bounded(cases):
    values = np.linspace(0, 1, cases)[None]
    tracemalloc.start()
    (drawn,) = resampled(values, units(cases), resamples=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert drawn.min() < values.mean() < drawn.max()
    assert peak < 48e6  # all at once: 160 MB for 100 resamples of 1e5 cases


def test_chunks_change_nothing_but_the_draws(monkeypatch):
    values, of = SAMPLES["continuous"], units(40)
    whole = resampled(values, of, resamples=500)
    monkeypatch.setattr(crossed, "_CHUNK", 40 * 7)
    parts = resampled(values, of, resamples=500)
    assert (parts == whole).all()


def test_rows_are_resampled_alike():
    values, of = SAMPLES["continuous"], units(40)
    drawn = resampled(np.stack([values[0], values[0] + 1, values[1]]), of, resamples=200)
    assert drawn[1] - drawn[0] == pytest.approx(np.ones(200))
    assert drawn[2] == pytest.approx(resampled(values[1:2], of, resamples=200)[0])


def test_fewer_resamples_of_more_cases():
    assert [number(n) for n in (1, 250, 1000, 10**6)] == [10_000, 10_000, 2500, 2000]


# ---------------------------------------------------------------------------------------------- p-values


def test_of_one_seed_the_p_value_is_students():
    values = DRAWS.normal(0.3, 1, (1, 25))
    found = crossed.p_value(np.asarray(values.mean()), spread(values, units(25), None))
    assert float(found) == pytest.approx(ttest_1samp(values[0], 0).pvalue)


@pytest.mark.parametrize("name", ["continuous", "few cases", "right or wrong"])
def test_the_p_value_is_that_of_the_mean_squares(name, squares):
    values = SAMPLES[name] - 0.6
    of, free = squares(values)
    total = sum(of)
    freedom = total**2 / sum(a**2 / b for a, b in zip(of, free, strict=True))
    found = crossed.p_value(np.asarray(values.mean()), spread(values, units(values.shape[1]), own(values)))
    assert float(found) == pytest.approx(2 * t.sf(abs(values.mean()) / math.sqrt(total), freedom))


def test_without_spread_a_difference_is_certain_and_none_is_none():
    nothing = Spread(np.zeros(2), np.zeros(2), np.ones(2), 5)
    assert crossed.p_value(np.array([0.0, 0.1]), nothing).tolist() == [1.0, 0.0]
