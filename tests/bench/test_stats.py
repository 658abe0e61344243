"""Quantiles of resamples, moved where they lie off what they were made around; means and spreads over seeds."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from bench.stats import corrected, mean_and_std, percentiles, wilson


def test_mean_and_std():
    assert mean_and_std(np.array([0.25, 0.75])) == (0.5, pytest.approx(math.sqrt(0.125)))
    mean, std = mean_and_std(np.array([0.25]))
    assert mean == 0.25
    assert math.isnan(std)
    with pytest.raises(ValueError, match="no seed"):
        mean_and_std(np.array([]))
    with pytest.raises(ValueError, match="1 of 2 seeds' means"):
        mean_and_std(np.array([0.5, math.nan]))


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


@pytest.mark.parametrize(("right", "cases", "level"), [(0, 16, 0.95), (7, 16, 0.9), (41, 50, 0.95), (50, 50, 0.99)])
def test_wilsons_interval_is_scipys(right, cases, level):
    theirs = binomtest(right, cases).proportion_ci(level, method="wilson")
    assert wilson(right, cases, level) == pytest.approx((theirs.low, theirs.high))
