"""The interval covers what it claims to, is what the plain loop of the book gives, and has defined ends."""

import math
import tracemalloc

import numpy as np
import pytest
from scipy.stats import norm

from bench.stats import corrected, interval, mean_and_std, percentiles


def plain_interval(values: np.ndarray, level: float, resamples: int, seed: int) -> tuple[float, float]:
    """Efron & Tibshirani 1993, algorithm 6.1 and equation 13.5, with Python's loop."""
    generator = np.random.default_rng(seed)
    means = [generator.choice(values, len(values), replace=True).mean() for _ in range(resamples)]
    return float(np.quantile(means, (1 - level) / 2)), float(np.quantile(means, (1 + level) / 2))


SAMPLES = {
    "right or wrong": np.random.default_rng(0).integers(0, 2, 200).astype(float),  # draws counts
    "continuous": np.random.default_rng(1).beta(5, 2, 200),  # draws cases
    "two cases": np.array([0.25, 0.75]),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("level", [0.6, 0.95])
def test_it_is_the_interval_of_the_book(name: str, level: float):
    values = SAMPLES[name]
    error = values.std() / math.sqrt(len(values))
    assert interval(values, level=level) == pytest.approx(plain_interval(values, level, 4000, 1), abs=0.15 * error)


@pytest.mark.parametrize("kind", ["right or wrong", "continuous"])
def test_coverage(kind: str):
    """Of 1000 intervals of 95 % from samples with a known mean, as many hold it as they say (binomial error 0.7)."""
    generator = np.random.default_rng(2)
    if kind == "continuous":
        truth, samples = 5 / 7, generator.beta(5, 2, (1000, 100))
    else:
        truth, samples = 0.7, (generator.random((1000, 100)) < 0.7).astype(float)
    ends = [interval(sample, resamples=1000, seed=seed) for seed, sample in enumerate(samples)]
    covered = np.mean([low <= truth <= high for low, high in ends])
    assert 0.92 <= covered <= 0.975


def test_the_same_seed_gives_the_same_interval_in_any_order_of_the_cases():
    for values in SAMPLES.values():
        assert interval(values) == interval(values) == interval(values[::-1].copy())
    assert interval(SAMPLES["continuous"], seed=0) != interval(SAMPLES["continuous"], seed=1)


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()
    interval(SAMPLES["continuous"])
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("distinct", [2, 3000, 100_000])
def test_memory_is_bounded(distinct: int):
    values = np.resize(np.linspace(0, 1, distinct), 100_000)
    tracemalloc.start()
    low, high = interval(values, resamples=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert low < values.mean() < high
    assert peak < 32e6  # all at once: 80 MB for 100 resamples of 1e5 cases


def test_defined_ends():
    assert interval(np.full(7, 0.1)) == (0.1, 0.1)
    for few in (np.array([]), np.array([0.5])):
        assert np.isnan(interval(few)).all()


def test_float32_is_averaged_in_float64():
    values = np.full(3, 0.1, np.float32)
    assert interval(values) == (float(values[0]), float(values[0]))


@pytest.mark.parametrize("values", [[0.5, math.nan, math.nan], [math.nan], [0.5, math.inf]])
def test_values_that_are_not_finite_are_counted(values: list[float]):
    bad = sum(not math.isfinite(value) for value in values)
    with pytest.raises(ValueError, match=f"{bad} of {len(values)} values"):
        interval(np.array(values))


@pytest.mark.parametrize("wrong", [{"level": 0.0}, {"level": 1.0}, {"level": 95.0}, {"resamples": 0}])
def test_a_level_or_number_of_resamples_that_means_nothing_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        interval(np.array([0.0, 1.0]), **wrong)  # type: ignore[arg-type]


def test_mean_and_std():
    assert mean_and_std(np.array([0.25, 0.75])) == (0.5, pytest.approx(math.sqrt(0.125)))
    mean, std = mean_and_std(np.array([0.25]))
    assert mean == 0.25
    assert math.isnan(std)
    with pytest.raises(ValueError, match="no seed"):
        mean_and_std(np.array([]))
    with pytest.raises(ValueError, match="1 of 2 seeds' means"):
        mean_and_std(np.array([0.5, math.nan]))


def test_within_strata_what_differs_between_them_is_no_spread():
    values = np.array([0.0, 0.0, 0.0, 1.0])
    assert interval(values, ["a", "a", "a", "b"]) == (0.25, 0.25)
    assert interval(values)[1] - interval(values)[0] > 0.5
    draws = np.random.default_rng(1)
    spread, strata = draws.normal(size=60), ["a"] * 20 + ["b"] * 40
    shifted = spread + 100 * (np.arange(60) >= 20)
    low, high = interval(shifted, strata)
    error = np.hypot(spread[:20].std() * 20**0.5, spread[20:].std() * 40**0.5) / 60
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.05)
    order = draws.permutation(60)
    assert interval(shifted[order], [strata[n] for n in order]) == (low, high)


def test_one_case_a_stratum_says_nothing_and_strata_are_one_for_each_case():
    assert np.isnan(interval(np.array([0.0, 1.0]), ["a", "b"])).all()
    with pytest.raises(ValueError, match="3 strata for 2 values"):
        interval(np.array([0.0, 1.0]), ["a", "b", "b"])


def test_percentiles_leave_out_what_has_no_value():
    drawn = np.array([math.nan, 3.0, 1.0, math.nan, 2.0, 0.0, 4.0])
    assert percentiles(drawn, 0.5) == (1.0, 3.0)
    assert percentiles(np.arange(1001) / 1000) == pytest.approx((0.025, 0.975))
    assert percentiles(np.array([0.5])) == (0.5, 0.5)
    for none in (np.full(3, math.nan), np.zeros(0)):
        assert np.isnan(percentiles(none)).all()  # and warn of nothing


def test_a_corrected_interval_is_moved_to_where_the_value_lies():
    """Against Efron & Tibshirani's formula on normal draws, and where it must be the plain one."""
    drawn = np.random.default_rng(0).normal(1.0, 1.0, 200_000)
    low, high = corrected(drawn, 0.7)  # draws that lie 0.3 too high
    shift = 2 * norm.ppf(norm.cdf(-0.3))
    assert (low, high) == pytest.approx((1 + shift - 1.96, 1 + shift + 1.96), abs=0.02)
    assert corrected(drawn, float(np.median(drawn))) == pytest.approx(percentiles(drawn), abs=0.01)
    assert corrected(np.full(10, 0.5), 0.5) == (0.5, 0.5)
    assert corrected(np.array([0.2, 0.4, np.nan]), 0.3) == pytest.approx(percentiles(np.array([0.2, 0.4])))
    low, high = corrected(np.linspace(0, 1, 101), -5.0)  # outside of all draws
    assert 0 <= low <= high < 0.5
    assert all(np.isnan(corrected(np.full(3, np.nan), 0.5)))
