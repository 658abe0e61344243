"""Seeds, cases and tasks: the variances that went into simulated leads come out, and so do the numbers needed."""

import math

import numpy as np
import pytest

from bench.spread import POWER, SEEN, Lead, Spread, lead, lead_of_drawn, needed, spread


def leads(generator, tasks=15, seeds=5, cases=40, mean=0.0, task=0.0, seed=0.0, own=0.0, case=0.0, rest=0.0):
    """Differences with effects of those standard deviations."""
    normal = generator.normal
    shared = normal(0, seed, (seeds, 1))
    for _ in range(tasks):
        effects = mean + normal(0, task) + shared + normal(0, own, (seeds, 1)) + normal(0, case, cases)
        yield effects + normal(0, rest, (seeds, cases))


TRUTHS = {
    "cases": {"case": 1.0, "rest": 0.5},
    "seeds shared by tasks": {"seed": 0.3, "case": 0.5},
    "seeds of each task": {"own": 0.4, "case": 0.5, "rest": 0.5},
    "tasks": {"task": 0.5, "case": 0.5},
    "all": {"task": 0.3, "seed": 0.2, "own": 0.2, "case": 1.0, "rest": 1.0},
}


@pytest.mark.parametrize("name", TRUTHS)
def test_the_variances_of_a_simulation_come_out(name):
    """On average, parts of the variance of the mean lead; those of 0 come out a little larger, for none is negative."""
    of, generator = TRUTHS[name], np.random.default_rng(0)
    task, seed, own, case, rest = (of.get(key, 0.0) for key in ("task", "seed", "own", "case", "rest"))
    found = [spread([lead(each) for each in leads(generator, **of)]) for _ in range(300)]
    expected = (
        task**2 / 15,
        seed**2 / 5 + own**2 / 75,
        (case**2 / 40 + rest**2 / 200) / 15,
    )
    mean = np.mean([(one.of_tasks, one.of_seeds, one.of_cases) for one in found], axis=0)
    assert mean == pytest.approx(expected, rel=0.12, abs=0.2 * sum(expected))
    assert sum(found[0].shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["cases", "seeds of each task", "tasks", "all"])
def test_the_error_is_that_of_repetitions_or_a_little_more(name):
    """More, because what is estimated below 0 is 0."""
    generator = np.random.default_rng(1)
    found = [spread([lead(each) for each in leads(generator, **TRUTHS[name])]) for _ in range(400)]
    ratio = math.sqrt(np.mean([one.anywhere**2 for one in found])) / np.std([one.lead for one in found])
    assert 0.92 <= ratio <= 1.2


def test_one_seed_or_task_or_case_says_nothing_of_others():
    each = np.random.default_rng(2).normal(0, 1, (3, 20))
    one_seed = spread([lead(each[:1]), lead(each[1:2])])
    assert math.isnan(one_seed.of_seeds)
    assert one_seed.of_cases == pytest.approx(each[:2].var(axis=1, ddof=1).mean() / 20 / 2)
    assert math.isnan(needed(one_seed).seeds)
    one_task = spread([lead(each)])
    assert math.isnan(one_task.of_tasks)
    assert math.isnan(needed(one_task).tasks)
    assert one_task.anywhere == one_task.here
    one_case = lead(each[:, :1])
    assert (one_case.cases, one_case.rest) == (0, 0)
    nothing = spread([lead(np.zeros((1, 1)))])
    assert (nothing.here, nothing.anywhere) == (0, 0)
    assert all(map(math.isnan, nothing.shares.values()))
    with pytest.raises(ValueError, match="different numbers of seeds"):
        spread([lead(each), lead(each[:2])])


def test_a_metric_that_is_no_mean_has_the_spread_of_its_resamples():
    found = lead_of_drawn(np.array([0.1, 0.3]), np.array([0.1, 0.3, math.nan]))
    assert (found.cases, found.rest) == (pytest.approx(0.01), 0)
    assert found.within == pytest.approx(0.02)


def test_with_the_numbers_needed_the_lead_is_seen_four_times_in_five():
    """By simulation: with so many seeds, and with so many times the cases, a normal test sees it with power 0.8."""
    generator, of = np.random.default_rng(3), {"mean": 0.22, "own": 0.3, "case": 1.0, "rest": 1.0}
    asked = {"tasks": 6, "seeds": 4, "cases": 50}
    truth = Spread(0.22, 6, 4, 0.0, 0.3**2 / 24, (1 / 50 + 1 / 200) / 6, 1 / 200 / 6, 0.3**2 / 24)
    need = needed(truth)
    for more in ({"seeds": int(need.seeds)}, {"cases": round(50 * need.cases)}):
        sizes = {**asked, **more}
        error = math.sqrt(0.09 / sizes["seeds"] + 1 / sizes["cases"] + 1 / sizes["cases"] / sizes["seeds"]) / math.sqrt(
            6
        )
        seen = [np.mean([each.mean() for each in leads(generator, **sizes, **of)]) > SEEN * error for _ in range(400)]
        assert 0.74 <= np.mean(seen) <= 0.9  # whole numbers give a little more


def test_what_is_out_of_reach_is_said():
    clear = Spread(1.0, 4, 2, 0.01, 0.01, 0.01, 0.0, 0.0)
    assert (needed(clear).seeds, needed(clear).tasks) == (1, 1)
    out = Spread(0.1, 4, 2, 1.0, 0.01, 0.01, 0.0, 0.0)  # more of the one leave the other
    assert needed(out).seeds == needed(out).cases == needed(out).tasks == math.inf
    assert needed(Spread(0.0, 4, 2, 0.1, 0.1, 0.1, 0.0, 0.0)).seeds == math.inf
    assert needed(Spread(-1.0, 4, 2, 0.1, 0.1, 0.1, 0.0, 0.0)).cases == math.inf
    assert pytest.approx(2.80) == SEEN + POWER
    assert Lead(np.zeros(1), 0.0, 0.0, math.nan).cases == 0
