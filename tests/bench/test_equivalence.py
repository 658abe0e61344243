"""The Bayesian signed-rank test: the paper's sums by a plain loop, and its ends."""

import math

import numpy as np
import pytest

from bench.equivalence import STRENGTH, Belief, signed_rank
from bench.leaderboard.ranking_words import SURE

DRAWS = np.random.default_rng(0)


def plain(differences, rope, samples, seed):
    """Benavoli et al. 2017, equations 12 and 13, with Python's loop."""
    generator, z = np.random.default_rng(seed), [0.0, *differences]
    won = np.zeros(3)
    for _ in range(samples):
        weights = generator.dirichlet([STRENGTH, *np.ones(len(differences))])
        parts = np.zeros(3)
        for i, a in enumerate(z):
            for j, b in enumerate(z):
                side = 0 if a + b > 2 * rope else 2 if a + b < -2 * rope else 1
                parts[side] += weights[i] * weights[j]
        won[parts.argmax()] += 1
    return won / samples


@pytest.mark.parametrize("mean", [0.0, 0.01, 0.03])
def test_it_is_the_loop_of_the_paper(mean):
    differences = DRAWS.normal(mean, 0.02, 8)
    found = signed_rank(differences, 0.01)
    assert [found.first, found.equal, found.second] == pytest.approx(plain(differences, 0.01, 2000, 1), abs=0.04)
    assert found.first + found.equal + found.second == pytest.approx(1)


def test_the_other_way_round_it_is_the_opposite():
    differences = DRAWS.normal(0.01, 0.02, 12)
    there, back = signed_rank(differences, 0.01), signed_rank(-differences, 0.01)
    assert (there.first, there.equal, there.second) == pytest.approx((back.second, back.equal, back.first))
    assert signed_rank(differences, 0.01) == there
    assert signed_rank(differences, 0.01, seed=1) != there


def test_equal_methods_are_seldom_told_apart():
    """Whichever of two comes out ahead, by more than 1 of differences that vary by 2.8: at most 5 in 100."""
    generator = np.random.default_rng(1)
    found = [signed_rank(generator.normal(0, 2.8, 8), 1.0, samples=2000) for _ in range(300)]
    assert np.mean([max(one.first, one.second) >= SURE for one in found]) <= 0.05


def test_what_is_clear_is_believed():
    assert signed_rank(np.full(10, 0.05), 0.01).first > 0.99
    assert signed_rank(np.full(10, -0.05), 0.01).second > 0.99
    assert signed_rank(np.full(10, 0.01), 0.01) == Belief(0.0, 1.0, 0.0)  # just the size that does not matter
    assert signed_rank(np.zeros(10), 0.0) == Belief(0.0, 1.0, 0.0)
    nothing = signed_rank(np.zeros(0), 0.01)
    assert nothing == Belief(1 / 3, 1 / 3, 1 / 3)


@pytest.mark.parametrize(("differences", "rope"), [([0.1, math.nan], 0.0), ([0.1], -1.0), ([0.1], math.nan)])
def test_what_is_no_number_is_refused(differences, rope):
    with pytest.raises(ValueError, match="not"):
        signed_rank(np.array(differences), rope)
