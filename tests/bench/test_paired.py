"""The p-values are those of other people's tests and of enumeration by hand, and are wrong as seldom as they say."""

import math
import tracemalloc
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test, ttest_1samp

from bench import paired
from bench.paired import bootstrap_p, differences, holm, sign_flip, sign_flips_between

# Heights of crossed less self-fertilised plants, in eighths of an inch (Fisher 1935, sections 17 and 21).
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], float)
NORMAL = np.random.default_rng(0).normal(0.2, 1, 60)


def by_hand(values: np.ndarray) -> float:
    """The share of all sign flips that are as far out, one at a time."""
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in product((1, -1), repeat=len(values))
    ]
    return float(np.mean([total >= abs(sum(values)) - 1e-9 for total in sums]))


def test_it_is_fishers_own_example():
    """863 of 32 768 sums are as large as that observed, and as many as small."""
    assert sign_flip(DARWIN) == pytest.approx(2 * 863 / 32768, rel=1e-12)


@pytest.mark.parametrize(
    "values",
    [[1.0, 2.0], [1.0, -1.0], [0.1, 0.2, 0.3, -0.6, 0.0], [1 / 3, 1 / 3, 1 / 3, 1.0], [0.5, 0.5, -0.25, 0.1, 0.7, 0.3]],
)
def test_few_cases_are_enumerated(values: list[float]):
    assert sign_flip(np.array(values)) == pytest.approx(by_hand(np.array(values)), rel=1e-12)


def test_it_is_scipys_permutation_test():
    for seed in range(3):
        values = np.random.default_rng(seed).normal(0.4, 1, 10)
        theirs = permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert sign_flip(values) == pytest.approx(theirs.pvalue, rel=1e-9)
    theirs = permutation_test((NORMAL,), np.mean, permutation_type="samples", n_resamples=50_000, rng=1, batch=5000)
    assert sign_flip(NORMAL) == pytest.approx(theirs.pvalue, abs=0.006)  # three standard errors of both


@pytest.mark.parametrize(("won", "lost", "tied"), [(30, 14, 50), (5, 5, 0), (9, 0, 2), (700, 600, 5000)])
def test_of_right_or_wrong_it_is_mcnemars_exact_test(won: int, lost: int, tied: int):
    values = np.repeat([1.0, -1.0, 0.0], [won, lost, tied])
    assert sign_flip(values) == pytest.approx(binomtest(won, won + lost).pvalue, rel=1e-9)


def test_exact_and_random_agree(monkeypatch):
    """Right or wrong, averaged over three seeds: exact for any number of cases, and what random flips come near."""
    draws = np.random.default_rng(3)
    right = (draws.random((2, 3, 300)) < np.array([0.55, 0.5])[:, None, None]).astype(float)
    values = differences(right[0], right[1])
    exact = sign_flip(values)
    assert sign_flip(values, flips=7, seed=5) == exact  # nothing was drawn
    monkeypatch.setattr(paired, "EXACT", 1)
    assert sign_flip(values) == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / paired.FLIPS))
    assert sign_flip(values, flips=7) != exact


def test_a_random_p_value_is_never_zero_and_stays_with_its_seed():
    far = NORMAL + 10
    assert sign_flip(far, flips=999) == 1 / 1000
    assert sign_flip(NORMAL, seed=1) == sign_flip(NORMAL, seed=1) != sign_flip(NORMAL, seed=2)


def test_order_sign_and_unit_do_not_matter():
    for values in (NORMAL, DARWIN):
        p = sign_flip(values)
        assert sign_flip(values[::-1]) == sign_flip(-values) == p
        assert sign_flip(values * 1e-6) == pytest.approx(p, rel=1e-9)


def test_memory_is_bounded():
    values = np.random.default_rng(0).normal(0, 1, 50_000)
    tracemalloc.start()
    p = sign_flip(values, flips=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < p <= 1
    assert peak < 32e6  # all at once: 80 MB


def test_defined_ends():
    assert sign_flip(np.zeros(5)) == 1.0
    for few in ([], [0.3]):
        assert math.isnan(sign_flip(np.array(few)))
    with pytest.raises(ValueError, match="2 differences are not finite"):
        sign_flip(np.array([0.0, math.nan, math.inf]))


def test_differences_are_of_the_means_over_seeds_without_what_rounding_leaves():
    first, second = np.array([[1.0, 0.1], [0.0, 0.3], [1.0, 0.7]]), np.array([[0.0, 0.7], [0.0, 0.1], [1.0, 0.3]])
    assert (first - second).mean(axis=0)[1] != 0  # the same three values, added in another order
    assert differences(first, second).tolist() == [1 / 3, 0.0]
    assert differences(np.array([[1e-9]]), np.array([[0.0]])).tolist() == [1e-9]  # small is not the same as nothing


@pytest.mark.parametrize("kind", ["continuous", "right or wrong", "skewed"])
def test_of_equal_methods_at_most_one_in_twenty_is_called_better(kind: str):
    """2000 comparisons each: 0.05 and three standard errors."""
    draws = np.random.default_rng(7)
    if kind == "right or wrong":
        pairs = (draws.random((2000, 2, 40)) < 0.6).astype(float)
    elif kind == "skewed":
        pairs = draws.beta(8, 1, (2000, 2, 40))
    else:
        pairs = draws.normal(size=(2000, 2, 40))
    found = [sign_flip(a - b, flips=199, seed=n) for n, (a, b) in enumerate(pairs)]
    least = 0.005 if kind == "right or wrong" else 0.035  # few sums: below 0.05 lies less
    assert least <= np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


def test_a_difference_that_is_there_is_found():
    """A normal mean of 0.5 with 40 cases: the t-test has a power of 0.87."""
    draws = np.random.default_rng(8).normal(0.5, 1, (500, 40))
    assert np.mean([sign_flip(values, flips=199) <= 0.05 for values in draws]) == pytest.approx(0.87, abs=0.05)


# ---------------------------------------------------------------------------------------------- all pairs


def between(values, **more):
    i, j = np.triu_indices(len(values), 1)
    return sign_flips_between(values, i, j, **more), [
        sign_flip(values[a] - values[b]) for a, b in zip(i, j, strict=True)
    ]


@pytest.mark.parametrize("units", [2, 5, paired.FEW])
def test_of_few_units_all_pairs_are_exact(units: int):
    found, alone = between(np.random.default_rng(units).normal(size=(4, units)))
    assert found == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("kind", ["continuous", "right or wrong"])
def test_all_pairs_at_once_are_each_pair_alone(kind: str):
    values = np.random.default_rng(1).normal(size=(5, 80)) + np.array([[0], [0.1], [0.3], [0.35], [2]])
    values = values if kind == "continuous" else (values > 0).astype(float)
    found, alone = between(values)
    errors = np.sqrt(np.array(alone) / paired.FIRST)
    assert (np.abs(found - alone) <= 4 * errors + 1 / paired.FIRST).all()
    assert (between(values)[0] == found).all()


def test_what_is_wanted_roughly_costs_the_first_flips_alone(monkeypatch):
    drawn = []
    monkeypatch.setattr(paired, "_signs", lambda rows, n, of, own=paired._signs: drawn.append(rows) or own(rows, n, of))
    values = np.random.default_rng(2).normal(size=(3, 60)) + np.array([[0], [0.25], [0.5]])
    i, j = np.triu_indices(3, 1)
    sign_flips_between(values, i, j, roughly=np.ones(3, bool))
    assert sum(drawn) == paired.FIRST
    drawn.clear()
    sign_flips_between(values, i, j)
    assert sum(drawn) == paired.FLIPS


def test_of_many_pairs_the_least_is_looked_at_with_all_flips():
    values = np.random.default_rng(3).normal(size=(22, 40))
    values[0] += 10
    i, j = np.triu_indices(22, 1)
    assert len(i) > paired.PAIRS
    assert sign_flips_between(values, i, j)[0] == 1 / (paired.FLIPS + 1)
    assert sign_flips_between(values, i[:3], j[:3])[0] == 1 / (paired.FIRST + 1)


# ---------------------------------------------------------------------------------------------- resamples


def test_a_bootstrap_p_value_counts_what_lies_as_far_out_after_moving_to_no_difference():
    drawn = np.array([0.1, 0.2, 0.3, 0.4, math.nan])  # the mean is 0.25: 0.15, 0.05, 0.05 and 0.15 from it
    for value, p in ((0.1, 3 / 5), (-0.1, 3 / 5), (0.15, 3 / 5), (0.2, 1 / 5), (0.0, 1.0)):
        assert bootstrap_p(drawn, value, 10**9) == pytest.approx(p, rel=1e-6)
    assert bootstrap_p(np.zeros(9), 0.0, 5) == 1.0
    for values, value, cases in ((np.full(3, math.nan), 0.1, 5), (np.zeros(3), math.nan, 5), (np.zeros(3), 0.1, 1)):
        assert math.isnan(bootstrap_p(values, value, cases))


@pytest.mark.parametrize("n", [5, 12, 60])
def test_of_few_normal_cases_a_bootstrap_p_value_is_students(n: int):
    cases = NORMAL[:n] + 0.3
    drawn = np.random.default_rng(1).normal(cases.mean(), cases.std() / math.sqrt(n), 200_000)  # a bootstrap's, ideally
    assert bootstrap_p(drawn, cases.mean(), n) == pytest.approx(ttest_1samp(cases, 0).pvalue, abs=0.005)


def test_of_means_a_bootstrap_p_value_is_near_that_of_sign_flips():
    means = NORMAL[np.random.default_rng(2).integers(60, size=(20_000, 60))].mean(axis=1)
    assert bootstrap_p(means, NORMAL.mean(), 60) == pytest.approx(sign_flip(NORMAL), abs=0.02)


# ---------------------------------------------------------------------------------------------- several


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
    with pytest.raises(ValueError, match="not all in"):
        holm([0.5, math.nan])


def test_holm_is_bonferroni_of_every_subset():
    """What it shortens (Marcus, Peritz & Gabriel 1976): a hypothesis falls where each subset that it is in does."""
    p = (np.random.default_rng(0).random(8) ** 4).tolist()
    subsets = [[n for n in range(8) if mask >> n & 1] for mask in range(1, 256)]
    worst = [max(min(1, len(of) * min(p[n] for n in of)) for of in subsets if place in of) for place in range(8)]
    assert holm(p) == pytest.approx(worst)


def test_holm_keeps_false_ones_in_any_of_several_columns_rare():
    draws = np.random.default_rng(5).random((4000, 6))
    assert np.mean([min(holm(p.tolist())) <= 0.05 for p in draws]) == pytest.approx(0.05, abs=0.012)
