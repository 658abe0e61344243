"""The probability that a printed win is none: against closed forms, against simulations of the model, and its ends."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from bench.leaderboard.outperformance import assumed, binary, claims, paired
from bench.leaderboard.published import Published


def split(first: float, second: float, agreement: float) -> tuple[float, float]:
    """Shares of cases right with one method alone, from the definition of a correlation of two indicators."""
    both = first * second + agreement * math.sqrt(first * (1 - first) * second * (1 - second))
    return first - both, second - both


@pytest.mark.parametrize("agreement", [0.0, 0.3, 0.6])
@pytest.mark.parametrize(("right", "other"), [(80, 75), (60, 60), (30, 45)])
def test_binary_is_the_tail_of_coin_flips(right, other, agreement):
    """For whole b and c, I_1/2(b + 1, c + 1) is the chance of more than b heads in b + c + 1 flips."""
    n = 100
    alone = round(n * split(right / n, other / n, agreement)[0])
    second = alone + other - right
    both = right / n - alone / n
    exact = (both - right * other / n / n) / math.sqrt(right * (n - right) * other * (n - other)) * n * n
    tail = stats.binom.sf(alone, alone + second + 1, 0.5)
    assert binary(right / n, other / n, n, exact) == pytest.approx(tail, rel=1e-9)


def test_binary_is_the_share_of_a_simulated_posterior():
    """Draw four outcomes from a flat prior, then cases, and keep the draws that give what was seen."""
    generator = np.random.default_rng(0)
    n, alone, second, both = 12, 4, 2, 5
    truth = generator.dirichlet(np.ones(4), 2_000_000)
    seen = generator.multinomial(n, truth) == (alone, second, both, n - alone - second - both)
    kept = truth[seen.all(axis=1)]
    p1, p2 = (alone + both) / n, (second + both) / n
    agreement = (both / n - p1 * p2) / math.sqrt(p1 * (1 - p1) * p2 * (1 - p2))
    share = np.mean(kept[:, 0] <= kept[:, 1])
    assert len(kept) > 3000
    assert binary(p1, p2, n, agreement) == pytest.approx(share, abs=4 * 0.5 / math.sqrt(len(kept)))


def test_paired_is_the_share_of_a_simulated_posterior():
    """Flat priors on the mean and on log s: s^2 is (n - 1) d^2 / chi-squared, and the mean normal around the seen."""
    generator, n = np.random.default_rng(0), 10
    s1, s2 = (0.4 * math.sqrt(mean * (1 - mean)) for mean in (0.85, 0.8))
    variance = s1**2 + s2**2 - 2 * 0.6 * s1 * s2
    drawn = (n - 1) * variance / generator.chisquare(n - 1, 400_000)
    truth = generator.normal(0.85 - 0.8, np.sqrt(drawn / n))
    assert paired(0.85, 0.8, n, 0.6, 0.4) == pytest.approx(np.mean(truth <= 0), abs=0.003)


def test_paired_agrees_with_a_t_test_of_cases_that_have_the_assumed_spread():
    """One-sided p-values are the same numbers: flat priors give the classical test."""
    generator, n = np.random.default_rng(1), 40
    raw = generator.normal(size=(2, n))
    raw -= raw.mean(axis=1, keepdims=True)
    whitened = np.linalg.inv(np.linalg.cholesky(np.cov(raw))) @ raw
    means = np.array([0.8, 0.77])
    spreads = 0.4 * np.sqrt(means * (1 - means))
    covariance = np.array([[1, 0.6], [0.6, 1]]) * np.outer(spreads, spreads)
    scores = means[:, None] + np.linalg.cholesky(covariance) @ whitened
    p = stats.ttest_rel(*scores, alternative="greater").pvalue
    assert paired(0.8, 0.77, n, 0.6, 0.4) == pytest.approx(p, rel=1e-6)


def test_equal_methods_seldom_look_like_a_sound_win():
    """With its assumptions true, probabilities below 0.05 come in one of twenty samples of equal methods."""
    generator, n, repeats = np.random.default_rng(2), 200, 4000
    both = 0.7 * 0.7 + 0.6 * 0.7 * 0.3
    shares = (0.7 - both, 0.7 - both, both, 1 - 1.4 + both)
    counts = generator.multinomial(n, shares, repeats)
    found = [binary((a + c) / n, (b + c) / n, n, 0.6) for a, b, c, _ in counts.tolist()]
    assert 0.03 <= np.mean(np.array(found) < 0.05) <= 0.06
    spread = 0.4 * math.sqrt(0.8 * 0.2)
    first = generator.normal(0.8, spread, (repeats, n))
    second = 0.8 + 0.6 * (first - 0.8) + 0.8 * generator.normal(0, spread, (repeats, n))
    pairs = zip(first.mean(axis=1), second.mean(axis=1), strict=True)
    found = [paired(float(a), float(b), n, 0.6, 0.4) for a, b in pairs]
    assert 0.04 <= np.mean(np.array(found) < 0.05) <= 0.06


@pytest.mark.parametrize("probability", [binary, lambda *given: paired(*given, 0.4)])
def test_more_of_what_convinces_convinces_more(probability):
    assert probability(0.8, 0.8, 100, 0.6) == pytest.approx(0.5)
    assert probability(0.8, 0.7, 100, 0.6) + probability(0.7, 0.8, 100, 0.6) == pytest.approx(1)
    for given in (
        [(0.8, 0.8 - d / 100, 100, 0.6) for d in range(1, 9)],
        [(0.8, 0.77, n, 0.6) for n in (5, 20, 100, 1000, 10_000)],
        [(0.8, 0.77, 300, agreement) for agreement in (0.0, 0.3, 0.6, 0.9)],
    ):
        assert all(more < less for less, more in pairwise(probability(*one) for one in given))


def test_the_ends_are_defined():
    for first, second in ((0.0, 0.0), (1.0, 1.0), (0.5, 0.5)):
        assert binary(first, second, 10, 0.6) == pytest.approx(0.5)
        assert paired(first, second, 10, 0.6, 0.4) == 0.5
    assert binary(1.0, 0.0, 10, 0.0) == pytest.approx(2**-11)
    assert paired(1.0, 0.0, 10, 0.0, 0.4) == 0.0
    assert paired(0.0, 1.0, 10, 0.0, 0.4) == 1.0
    assert paired(0.9, 0.5, 1, 0.6, 0.4) == 0.5
    assert 0 <= binary(0.99, 0.5, 100, 0.99) < 1e-10  # no such correlation can be; the nearest is taken


# ---------------------------------------------------------------------------------------------- claims


def row(method: str, value: float, *, task: str = "fgadr", **changed: object) -> Published:
    facts = {"source": "paper", "table": "1", "plugins": (), "group": "", "backbone": "", "tasks": tuple(task.split())}
    facts |= {"protocol": "linear", "setting": "", "metric": "accuracy", "sd": None, "trials": None, "n_test": 341}
    return Published(**{**facts, "method": method, "value": value, "note": "", "place": "a.csv:2", **changed})


def test_the_second_is_another_method():
    rows = [row("a", 0.7, backbone="big"), row("a", 0.69), row("b", 0.65), row("c", 0.66)]
    (claim,) = claims(rows)
    assert (claim.first.name, claim.second.name, claim.cases) == ("a, big", "c", 341)
    assert claim.difference == pytest.approx(0.04)
    assert claim.probability == binary(0.7, 0.66, 341, 0.6)
    assert claims(rows, agreement=0.0)[0].probability == binary(0.7, 0.66, 341, 0.0)
    assert claims(rows[:2]) == []


def test_less_may_be_better_and_not_every_metric_is_a_mean():
    (claim,) = claims([row("a", 9.0, metric="hd95"), row("b", 4.0, metric="hd95")])
    assert (claim.first.method, claim.probability) == ("b", None)
    assert claim.why == "hd95 is no mean over cases between 0 and 1"
    (claim,) = claims([row("a", 0.5, metric="map50"), row("b", 0.4, metric="map50")])
    assert claim.probability is None
    (claim,) = claims([row("a", 0.9, metric="release_dice"), row("b", 0.88, metric="release_dice")])
    assert claim.probability == paired(0.9, 0.88, 341, 0.6, 0.4)


def test_nothing_is_made_up_where_the_cases_are_not_known():
    for other in (None, 300):
        (claim,) = claims([row("a", 0.7), row("b", 0.6, n_test=other)])
        assert (claim.cases, claim.probability, claim.why) == (None, None, "the number of test cases is not known")


def test_means_over_tasks_and_sites_and_other_tables_make_no_claim():
    assert claims([row("a", 0.7, task="x y"), row("b", 0.6, task="x y")]) == []
    assert claims([row("a", 0.7, task="x@mean"), row("b", 0.6, task="x@mean")]) == []
    assert claims([row("a", 0.7), row("b", 0.6, table="2"), row("c", 0.6, source="other")]) == []


@pytest.mark.parametrize("given", [{"agreement": 1.0}, {"agreement": -0.1}, {"spread": 0.0}, {"spread": 1.1}])
def test_what_cannot_be_assumed_is_refused(given):
    with pytest.raises(ValueError, match=r"agreement is .* or spread is"):
        claims([], **given)


def test_what_is_assumed_is_said():
    said = assumed(0.5, 0.3)
    assert "a correlation of 0.5 between two methods' scores" in said
    assert "a standard deviation of 0.3 of the largest possible" in said
