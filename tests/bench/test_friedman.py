"""Friedman's test: the worked example of Demšar 2006, scipy, and how often it claims what is not so."""

import math

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, wilcoxon

from bench.friedman import critical_difference, friedman, groups

# Demšar 2006, table 6: AUC of C4.5, with m, with cf, with m and cf, on 14 data sets. On "voting" both of the last
# two are .975 in three digits; the mean ranks that he gives follow if the first of them is ahead in the fourth.
AUC = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
]).T  # fmt: skip


def test_the_example_of_demsar():
    found = friedman(AUC)
    assert found.mean_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    # He leaves out the correction for ties, which raises the statistic.
    k, n = AUC.shape
    plain = 12 * n / (k * (k + 1)) * (np.sum(found.mean_ranks**2) - k * (k + 1) ** 2 / 4)
    assert plain == pytest.approx(9.28, abs=5e-3)
    assert (n - 1) * plain / (n * (k - 1) - plain) == pytest.approx(3.69, abs=5e-3)
    assert found.statistic > plain
    assert found.difference == pytest.approx(1.25, abs=5e-3)
    assert critical_difference(k, n, 0.10) == pytest.approx(1.12, abs=5e-3)
    assert found.differ
    assert found.groups == ((3, 1, 2, 0),)  # best and worst are 1.18 apart


@pytest.mark.parametrize(
    ("methods", "quantile"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (10, 3.164)]
)
def test_the_quantiles_of_his_table_5(methods, quantile):
    found = critical_difference(methods, 1) / math.sqrt(methods * (methods + 1) / 6)
    assert found == pytest.approx(quantile, abs=1.1e-3)


def test_without_ties_it_is_scipys():
    scores = np.random.default_rng(0).normal(0, 1, (6, 11))
    found, theirs = friedman(scores), friedmanchisquare(*-scores)
    assert (found.statistic, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    ties = np.round(scores)
    assert friedman(ties).p == pytest.approx(friedmanchisquare(*-ties).pvalue)


def test_two_methods_are_tested_as_wilcoxon_does():
    scores = np.random.default_rng(1).normal(0, 1, (2, 10))
    found = friedman(scores)
    assert found.p == pytest.approx(wilcoxon(*scores, method="exact").pvalue)
    assert math.isnan(found.statistic)
    assert math.isnan(found.difference)
    assert found.groups in (((0, 1),), ((1, 0),))
    apart = friedman(np.array([np.arange(8.0) + 1, np.arange(8.0)]))
    assert apart.p == pytest.approx(2 / 256)
    assert apart.apart(0, 1)
    assert apart.groups == ((0,), (1,))


@pytest.mark.parametrize("scores", [np.full((4, 5), 0.5), np.full((2, 5), 0.5)])
def test_where_all_tie_nothing_differs(scores):
    found = friedman(scores)
    assert found.p == 1
    assert len(found.groups) == 1
    assert not found.differ


@pytest.mark.parametrize("shape", [(1, 5), (3, 1), (2, 1), (1, 1)])
def test_one_method_or_one_column_is_no_test(shape):
    found = friedman(np.random.default_rng(0).normal(0, 1, shape))
    assert math.isnan(found.p)
    assert not found.differ
    assert len(found.groups) == 1


def test_the_same_order_everywhere_is_as_clear_as_can_be():
    found = friedman(np.arange(4.0)[:, None] + np.zeros(12))
    assert found.statistic == pytest.approx(36)
    assert (found.f, found.f_p) == (math.inf, 0)
    assert found.groups == ((3, 2), (2, 1), (1, 0))
    assert found.apart(3, 1)


def test_groups_are_the_largest_runs():
    assert groups(np.array([1.0, 1.5, 2.4, 4.0]), 1.0) == ((0, 1), (1, 2), (3,))
    assert groups(np.array([4.0, 1.0, 1.0]), 0.0) == ((1, 2), (0,))
    assert groups(np.array([2.0, 1.0]), 1.0) == ((1,), (0,))  # just the difference is enough


@pytest.mark.parametrize(("methods", "columns"), [(2, 8), (4, 6), (4, 15), (12, 15)])
def test_false_claims_are_at_most_five_in_a_hundred(methods, columns):
    """That any two differ, of methods that do not: some data sets harder and noisier than others, some ties."""
    generator, false = np.random.default_rng(2), 0
    for _ in range(400):
        hard, noise = generator.normal(0, 1, columns), generator.gamma(1, 1, columns)
        found = friedman(np.round(hard + noise * generator.standard_t(3, (methods, columns)), 1))
        false += any(found.apart(i, j) for i in range(methods) for j in range(i))
    assert false / 400 <= 0.05 + 1.64 * math.sqrt(0.05 * 0.95 / 400)
