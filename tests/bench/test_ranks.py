"""Orderings of methods: what ties do, what the papers' formulas give, and how often the intervals hold the truth."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kendalltau, rankdata

from bench import ranks as orders
from bench.stats import percentiles

DRAWS = np.random.default_rng(0)
SCORES = DRAWS.normal(0, 1, (5, 12)) + np.linspace(1, 0, 5)[:, None]


def test_the_best_has_rank_one_and_equal_scores_share_their_places():
    scores = np.array([[0.9, 0.5], [0.8, 0.5], [0.8, 0.5], [0.1, 0.5]])
    assert orders.ranks(scores).tolist() == [[1, 2.5], [2.5, 2.5], [2.5, 2.5], [4, 2.5]]
    assert orders.borda(scores).tolist() == [3 + 1.5, 1.5 + 1.5, 1.5 + 1.5, 0 + 1.5]
    assert orders.win_rate(scores).tolist() == pytest.approx([4.5 / 6, 0.5, 0.5, 0.25])


def test_ranks_are_those_of_scipy():
    assert (orders.ranks(SCORES) == np.stack([rankdata(-column) for column in SCORES.T], axis=1)).all()


def test_what_only_rounding_parts_is_equal():
    scores = np.array([[0.1 + 0.2, 1e-300], [0.3, 1e-300], [0.2999, 0.0]])
    assert orders.ranks(scores).tolist() == [[1.5, 1.5], [1.5, 1.5], [3, 3]]
    assert orders.ranks(1e6 * scores).tolist() == orders.ranks(scores).tolist()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("what", [orders.ranks, orders.borda, orders.beaten, orders.win_rate])
def test_scores_that_are_not_finite_are_refused(what, bad):
    with pytest.raises(ValueError, match="1 scores are not finite"):
        what(np.array([[1.0, bad], [0.0, 1.0]]))


def test_on_a_complete_matrix_mean_rank_borda_wins_and_elo_give_one_order():
    for scores in (SCORES, np.round(SCORES), -SCORES):
        mean = orders.ranks(scores).mean(axis=1)
        points = orders.borda(scores)
        assert points == pytest.approx((5 - mean) * 12)
        assert orders.win_rate(scores) == pytest.approx((5 - mean) / 4)
        elo = orders.elo(orders.beaten(scores))
        assert kendalltau(np.round(elo, 4), np.round(points, 4)).statistic == pytest.approx(1)
        assert elo.mean() == pytest.approx(orders.MIDDLE)


def likeliest(wins):
    """Bradley-Terry by a general optimiser: the likelihood as it stands in Hunter 2004, equation 2."""

    def loss(free):
        x = np.append(free, 0.0)
        return -(wins * (x[:, None] - np.logaddexp(x[:, None], x[None, :]))).sum()

    x = np.append(minimize(loss, np.zeros(len(wins) - 1), options={"gtol": 1e-9}).x, 0.0)
    return x - x.mean()


@pytest.mark.filterwarnings("ignore:Desired error")
def test_strengths_are_the_most_likely():
    uneven = DRAWS.integers(1, 20, (6, 6)) * (1 - np.eye(6))  # not all pairs meet as often
    for wins in (orders.beaten(SCORES).sum(axis=0) + 0.5 * (1 - np.eye(5)), uneven):
        assert orders.bradley_terry(wins) == pytest.approx(likeliest(wins), abs=1e-4)
    several = np.stack([uneven, uneven.T])
    assert orders.bradley_terry(several) == pytest.approx(np.stack([likeliest(uneven), likeliest(uneven.T)]), abs=1e-4)


def test_two_methods_have_the_odds_of_their_wins():
    strengths = orders.bradley_terry(np.array([[0.0, 9.0], [3.0, 0.0]]))
    assert strengths[0] - strengths[1] == pytest.approx(math.log(3))
    elo = orders.elo(np.array([[0.0, 10.0 - 0.5], [1.0 - 0.5, 0.0]])[None])  # and half a win of each from the prior
    assert elo[0] - elo[1] == pytest.approx(400)
    assert orders.elo(np.zeros((3, 1, 1))).tolist() == [1500]


def test_a_method_that_never_lost_has_a_strength_all_the_same_and_without_the_prior_none():
    always = np.array([[0.9, 0.9, 0.9], [0.5, 0.6, 0.5], [0.1, 0.1, 0.2]])
    found = orders.elo(orders.beaten(always))
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    with pytest.raises(ValueError, match="no finite strength"):
        orders.bradley_terry(orders.beaten(always).sum(axis=0))
    with pytest.raises(ValueError, match="do not settle"):  # two never lost to the other two
        orders.bradley_terry(np.array([[0, 2, 5, 5], [2, 0, 5, 5], [0, 0, 0, 2], [0, 0, 2, 0.0]]))


def test_ties_everywhere_leave_nothing_to_order():
    same = np.full((3, 4), 0.7)
    assert (orders.ranks(same) == 2).all()
    assert orders.elo(orders.beaten(same)) == pytest.approx(np.full(3, 1500.0))
    (found,) = orders.normalised([np.full((3, 2), 0.7)])
    assert (found == 0.5).all()
    assert math.isnan(orders.kendall(np.ones(3), np.arange(3.0)))


def test_scores_are_normalised_by_the_best_and_the_worst_mean():
    (found,) = orders.normalised([np.array([[0.9, 0.7], [0.6, 0.6], [0.5, 0.3]])])
    assert found == pytest.approx(np.array([[1.25, 0.75], [0.5, 0.5], [0.25, -0.25]]))
    assert orders.iqm(np.array([[0.0, 1.0, 2.0, 100.0], [-9.0, 0.0, 0.0, 9.0]])).tolist() == [1.5, 0.0]


def test_the_interquartile_mean_of_resampled_seeds():
    per_seed = [DRAWS.normal(0, 1, (3, seeds)) for seeds in (1, 2, 4)]
    drawn = orders.resampled_iqm(per_seed, resamples=500)
    assert drawn.shape == (500, 3)
    assert (orders.resampled_iqm(per_seed, resamples=500) == drawn).all()
    assert (orders.resampled_iqm(per_seed, resamples=500, seed=1) != drawn).any()
    assert np.isnan(orders.resampled_iqm([one[:, :1] for one in per_seed], resamples=5)).all()


def test_intervals_of_the_interquartile_mean_hold_it():
    """Of 1200 with the truth from many seeds; three seeds on 15 tasks."""
    generator, held = np.random.default_rng(3), []
    means = generator.normal(0, 0.5, (4, 15))
    runs = [means[:, [task]] + generator.normal(0, 0.1, (4, 2000)) for task in range(15)]
    truth = orders.iqm(np.concatenate(runs, axis=1))
    for repetition in range(300):
        per_seed = [means[:, [task]] + generator.normal(0, 0.1, (4, 3)) for task in range(15)]
        ends = [percentiles(of) for of in orders.resampled_iqm(per_seed, resamples=300, seed=repetition).T]
        held += [low <= value <= high for (low, high), value in zip(ends, truth, strict=True)]
    assert 0.90 <= np.mean(held) <= 0.98


@pytest.mark.parametrize(("columns", "least"), [(6, 0.84), (15, 0.90)])
def test_intervals_over_columns_hold_the_truth(columns, least):
    """Of mean ranks and Elo; few columns spread too little in resamples, which is corrected for, and
    of six it is not quite enough."""
    generator, held = np.random.default_rng(4), []

    def drawn(n):
        return np.linspace(0, 1, 4)[:, None] + generator.normal(0, 0.6, (4, n))

    many = drawn(50_000)
    ranks = orders.ranks(many).mean(axis=1)
    elo = orders.MIDDLE + orders.ELO * orders.bradley_terry(orders.beaten(many).mean(axis=0))
    level = orders.widened(columns)
    for repetition in range(150):
        scores = drawn(columns)
        counts = orders.drawn_columns(columns, 500, repetition)
        resampled = counts @ orders.ranks(scores).T / columns, orders.elo(orders.beaten(scores), counts)
        for of, truth in zip(resampled, (ranks, elo), strict=True):
            ends = [percentiles(one, level) for one in of.T]
            held.append([low <= value <= high for (low, high), value in zip(ends, truth, strict=True)])
    of_ranks, of_elo = np.array(held).reshape(150, 2, 4).mean(axis=(0, 2))
    assert least <= of_ranks <= 0.985
    assert least <= of_elo <= 0.985


def test_the_level_that_few_columns_take():
    assert math.isnan(orders.widened(1))
    assert orders.widened(100_000) == pytest.approx(0.95, abs=1e-4)
    assert orders.widened(4) > orders.widened(15) > 0.95


def test_the_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()
    orders.drawn_columns(5, 10, 0)
    orders.resampled_iqm([np.ones((2, 3))], resamples=5)
    assert (np.random.get_state()[1] == before).all()
