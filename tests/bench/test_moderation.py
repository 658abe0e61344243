"""Variances between seeds are moderated as Smyth (2004) says, and a distribution that is there is found again."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from bench.moderation import Seeds, _inverse_trigamma, _prior, moderated

DRAWS = np.random.default_rng(0)


def means(variances, seeds=3, draws=DRAWS):
    """Means of seeds whose sample variances are exactly these."""
    found = draws.normal(size=(len(variances), seeds))
    found -= found.mean(axis=1, keepdims=True)
    found *= np.sqrt(np.asarray(variances) / found.var(axis=1, ddof=1))[:, None]
    return (0.7 + found).tolist()


def smyth(seen, freedom):
    """Section 6.2 with another root finder: e, its mean and variance, then d0 and s0 squared."""
    e = np.log(seen) - digamma(freedom / 2) + np.log(freedom / 2)
    excess = e.var(ddof=1) - polygamma(1, freedom / 2)
    half = brentq(lambda x: polygamma(1, x) - excess, 1e-6, 1e9)
    return 2 * half, math.exp(e.mean() + digamma(half) - math.log(half))


def test_it_is_the_posterior_variance_of_the_paper():
    seen = [1e-4, 4e-4, 9e-3, 2e-3, 5e-6, 1e-2]
    prior, middle = smyth(seen, 2)
    assert 0 < prior < 4
    for variance, found in zip(seen, moderated(means(seen)), strict=True):
        assert found.number == 3
        assert found.variance == pytest.approx((2 * variance + prior * middle) / (2 + prior))  # equation 8
        assert found.freedom == pytest.approx(2 + prior)
        assert min(variance, middle) < found.variance < max(variance, middle)


@pytest.mark.parametrize(("prior", "middle", "freedom"), [(4.0, 0.02, 2), (10.0, 3.0, 1), (3.0, 1e-6, 4)])
def test_a_prior_that_is_there_is_found(prior, middle, freedom):
    """Of 400 000 methods whose true variances follow it."""
    draws = np.random.default_rng(1)
    true = prior * middle / draws.chisquare(prior, 400_000)
    seen = true * draws.chisquare(freedom, 400_000) / freedom
    found_middle, found = _prior(seen.tolist(), freedom)
    assert found == pytest.approx(prior, rel=0.15)
    assert found_middle == pytest.approx(middle, rel=0.05)


def test_moderated_variances_are_nearer_to_the_true_ones():
    draws = np.random.default_rng(2)
    own = ours = 0.0
    for _ in range(100):
        true = 6 * 0.01 / draws.chisquare(6, 8)
        seen = true * draws.chisquare(2, 8) / 2
        found = np.array([of.variance for of in moderated(means(seen, draws=draws))])
        own += np.sum(np.log(seen / true) ** 2)
        ours += np.sum(np.log(found / true) ** 2)
    assert ours < 0.4 * own


def test_equal_variances_are_one_known_as_well_as_all_together():
    """No more spread than chance: infinite freedom of the prior, but never more than that of all seeds."""
    for found in moderated(means([0.01] * 5)):
        assert (found.variance, found.freedom) == (pytest.approx(0.01), 5 * 2)
    for found in moderated(means([0.01, 0.011, 0.009], seeds=2)):
        assert (found.variance, found.freedom) == (pytest.approx(0.01), 3 * 1)


def test_freedom_is_never_more_than_that_of_all():
    seen = np.exp(1.16 * np.array([-1.5, -0.5, 0, 0.5, 1.5]))  # hardly more spread than chance gives
    prior, _ = smyth(seen, 2)
    assert 10 < 2 + prior < math.inf
    assert [of.freedom for of in moderated(means(seen))] == [10.0] * 5


def test_a_variance_of_zero_stays_and_tells_nothing_of_others():
    still, *found = moderated([[0.5, 0.5, 0.5], *means([1e-4, 4e-4, 9e-3])])
    assert (still.variance, still.freedom) == (0.0, 2.0)
    assert [of.variance for of in found] == pytest.approx([of.variance for of in moderated(means([1e-4, 4e-4, 9e-3]))])
    assert [of.freedom for of in found] == pytest.approx([of.freedom for of in moderated(means([1e-4, 4e-4, 9e-3]))])
    assert moderated([[0.5, 0.5], [0.3, 0.3]]) == [Seeds(2, 0.0, 1.0)] * 2
    nearly = 0.1 + 0.2 - 0.3 + 0.5  # the same, added in another order
    still, other = moderated([[0.5, nearly], [0.1, 0.9]])
    assert (still.variance < 1e-30, other.variance, other.freedom) == (True, pytest.approx(0.32), 1.0)


def test_one_method_is_left_as_it_is():
    ((found,),) = (moderated([[0.1, 0.2, 0.6]]),)
    assert (found.number, found.variance, found.freedom) == (3, pytest.approx(np.var([0.1, 0.2, 0.6], ddof=1)), 2.0)


def test_one_seed_has_no_variance_and_numbers_of_seeds_are_apart():
    three, two = means([1e-4, 4e-4, 9e-3]), means([0.1, 2.0, 0.5], seeds=2)
    found = moderated([three[0], [0.5], two[0], three[1], two[1], [], three[2], two[2]])
    assert [of and of.number for of in found] == [3, None, 2, 3, 2, None, 3, 2]
    assert [of for of in found if of and of.number == 3] == moderated(three)
    assert [of for of in found if of and of.number == 2] == moderated(two)
    assert moderated([]) == []


@pytest.mark.parametrize("x", [1e-8, 1e-3, 0.1, 0.5, 1.0, 3.7, 40.0, 1e4, 1e8])
def test_the_inverse_of_trigamma(x):
    assert _inverse_trigamma(float(polygamma(1, x))) == pytest.approx(x, rel=1e-5)


def test_a_difference_has_the_sum_of_both_and_no_more_freedom_than_either():
    found = Seeds(3, 0.02, 4.0).beside(Seeds(3, 0.01, 8.0))
    assert (found.number, found.variance) == (3, pytest.approx(0.03))
    assert found.freedom == 4.0
    assert Seeds(2, 0.0, 1.0).beside(Seeds(2, 0.0, 1.0)) == Seeds(2, 0.0, 1.0)
