"""Places under resampling: shares add up, equal methods share, and the draws are those that are named."""

import numpy as np
import pytest

from bench.crossed import resampled, units
from bench.ranks import ranks
from bench.stability import over_cases, over_columns, places


def drawn_cases(values, strata, **more):
    """Scores of methods in resamples, as a ranking has them."""
    return resampled(values, units(values.shape[1], strata=strata), **more).T


def test_places_are_counted_and_equal_methods_share_the_first():
    found = places(np.array([[1.0, 2.0, 3.0], [1.5, 1.5, 3.0], [2.0, 1.0, 3.0], [1.0, 2.0, 3.0]]))
    assert found.shares.tolist() == [[0.75, 0.25, 0], [0.5, 0.5, 0], [0, 0, 1]]
    assert found.first.tolist() == [0.625, 0.375, 0]
    assert (found.low.tolist(), found.high.tolist()) == ([1, 1, 3], [2, 2, 3])


def test_what_no_draw_changes_is_firm():
    scores = np.arange(4.0)[:, None] + np.zeros(6)
    found = over_columns(ranks(scores), resamples=100)
    assert found.first.tolist() == [0, 0, 0, 1]
    assert over_cases([np.tile(scores[:, 0], (50, 1))]).first.tolist() == [0, 0, 0, 1]
    same = over_columns(ranks(np.ones((4, 6))), resamples=100)
    assert same.first == pytest.approx(np.full(4, 0.25))


def test_equal_methods_are_first_as_often():
    generator = np.random.default_rng(0)
    shares = [over_columns(ranks(generator.normal(0, 1, (4, 15))), resamples=200).first for _ in range(100)]
    assert np.mean(shares, axis=0) == pytest.approx(np.full(4, 0.25), abs=0.1)


def test_cases_are_drawn_alike_for_all_methods_and_within_strata():
    generator = np.random.default_rng(0)
    values = generator.random((2, 30))
    drawn = drawn_cases(np.vstack([values, values[0] + 1]), (), resamples=2000, seed=(0, 1))
    assert drawn[:, 2] - drawn[:, 0] == pytest.approx(np.ones(2000))
    assert drawn[:, :2].mean(axis=0) == pytest.approx(values.mean(axis=1), abs=0.01)
    assert drawn[:, 0].std() == pytest.approx(values[0].std() / np.sqrt(30), rel=0.1)
    strata = ["a"] * 10 + ["b"] * 20
    apart = drawn_cases(np.repeat([[0.0, 1.0]], [10, 20], axis=1), strata, resamples=50, seed=(0, 1))
    assert apart == pytest.approx(np.full((50, 1), 2 / 3))  # what differs between strata is no spread
    assert (
        drawn_cases(values, (), resamples=5, seed=(0, 1)) != drawn_cases(values, (), resamples=5, seed=(0, 2))
    ).any()
    assert (
        drawn_cases(values, (), resamples=5, seed=(0, 1)) == drawn_cases(values, (), resamples=5, seed=(0, 1))
    ).all()


def test_many_cases_are_drawn_in_chunks():
    drawn = drawn_cases(np.random.default_rng(0).random((1, 100_000)), (), resamples=10, seed=(0,))
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
