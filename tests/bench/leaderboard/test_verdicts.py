"""Which methods of a column are told apart: every pair by plain loops, and how often equal ones are called worse."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t

from bench.detections import Detections
from bench.leaderboard.building import build
from bench.leaderboard.intervals import of_column
from bench.leaderboard.result import RESAMPLES, Result
from bench.leaderboard.verdicts import adjusted
from bench.moderation import moderated
from bench.paired import bootstrap_p, holm, sign_flip

DRAWS = np.random.default_rng(0)
CASE = DRAWS.normal(size=30)
LEADS = (0.0, 0.15, 0.3, 0.32, 1.0)
# Methods, seeds, cases.
COLUMN = np.array(
    [lead + CASE + DRAWS.normal(0, 0.1, (3, 1)) + DRAWS.normal(0, 0.4, 30) + DRAWS.normal(0, 0.2, (3, 30))
     for lead in LEADS]
)  # fmt: skip


def cells(values, *, seeds=(0, 1, 2), **more) -> list[list[Result]]:
    facts = {
        "task": "t", "protocol": "p", "state": "done", "metric": "x", "phantom": False, "found": 0, "official": 0,
    }  # fmt: skip
    return [
        [
            Result(**{**facts, "method": f"m{m}", "seed": s, "cases": tuple(f"c{n}" for n in range(len(v))),
                      "values": v, **more})
            for s, v in zip(seeds, of, strict=False)
        ]
        for m, of in enumerate(np.asarray(values))
    ]  # fmt: skip


def by_loop(values, squares, p_of=sign_flip):
    """Each pair on its own: sign flips of the differences and Student's t of their mean squares; then Holm's."""
    firm = moderated([of.mean(axis=1).tolist() for of in values])
    pairs, found = list(combinations(range(len(values)), 2)), []
    for a, b in pairs:
        apart = values[a] - values[b]
        p = p_of(apart.mean(axis=0))
        if len(apart) > 1:
            (_, cases), (_, free) = squares(apart)
            both = firm[a].beside(firm[b])
            of = (both.variance / len(apart), cases)
            total = sum(of)
            freedom = total**2 / sum(x**2 / f for x, f in zip(of, (both.freedom, free), strict=True))
            p = max(p, 2 * t.sf(abs(apart.mean()) / total**0.5, freedom))
        found.append(p)
    expected = np.full((len(values), len(values)), math.nan)
    for (a, b), p in zip(pairs, holm(found), strict=True):
        expected[a, b] = expected[b, a] = p
    return expected


def same(found, expected, **near):
    assert (np.isnan(found) == np.isnan(expected)).all()
    assert np.isnan(np.diag(found)).all()
    known = ~np.isnan(expected)
    assert found[known] == pytest.approx(expected[known], **near)


# ---------------------------------------------------------------------------------------------- every pair


def test_pairs_are_tested_by_both_and_corrected_for_all(squares):
    expected = by_loop(COLUMN, squares)
    same(adjusted(cells(COLUMN)), expected, rel=0.2, abs=1.1e-3)  # fewer random flips of what is plain
    off = expected[~np.isnan(expected)]
    assert off.min() < 0.01 < 0.1 < off.max()


def test_students_t_is_the_larger_where_seeds_vary(squares):
    seeds_apart = COLUMN[[0, 4]] + np.array([[[-0.4], [0.0], [0.4]], [[0.3], [0.0], [-0.3]]])
    ((_, found), _) = adjusted(cells(seeds_apart))
    assert found == pytest.approx(by_loop(seeds_apart, squares)[0, 1])
    assert found > 3 * sign_flip((seeds_apart[0] - seeds_apart[1]).mean(axis=0))


def test_of_one_seed_it_is_sign_flips_alone(squares):
    one = COLUMN[:, :1]
    # Ten times the least p-value of the first flips, and what those that are wanted roughly are uncertain by.
    same(adjusted(cells(one)), by_loop(one, squares), rel=0.2, abs=1.1e-3)
    ((_, found), _) = adjusted(cells(one[:2]))
    assert found == sign_flip(one[0, 0] - one[1, 0])


def test_lower_is_better_is_the_same_test():
    down = cells(-COLUMN, higher_is_better=False)
    same(adjusted(down), adjusted(cells(COLUMN)))


def test_ties_are_not_told_apart():
    equal = np.stack([COLUMN[0], COLUMN[0], COLUMN[4]])
    found = adjusted(cells(equal))
    assert found[0, 1] == 1.0
    assert found[0, 2] == found[1, 2] < 0.01
    constant = np.full((3, 2, 20), 0.5)
    assert (adjusted(cells(constant))[np.triu_indices(3, 1)] == 1.0).all()


def test_permuted_seeds_are_a_tie():
    """The same three values in another order: their sums differ by rounding."""
    of = np.array([0.1, 0.2, 0.3])
    values = np.stack([np.repeat(of[list(order), None], 12, axis=1) for order in ((0, 1, 2), (2, 1, 0))])
    assert adjusted(cells(values))[0, 1] == 1.0


# ---------------------------------------------------------------------------------------------- patients


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_patients_cases_are_flipped_together(squares, seeds):
    """Three equal cases of each of ten patients say what ten cases say."""
    few = COLUMN[[0, 2, 4], :seeds, :10]
    values = np.repeat(few, 3, axis=2)
    patients = tuple(f"p{n // 3}" for n in range(30))
    found = adjusted(cells(values, patients=patients))
    same(found, by_loop(few, squares), rel=1e-6)
    assert np.nanmin(found) > 2 * np.nanmin(adjusted(cells(values)))


def test_a_patient_alone_cannot_be_tested():
    assert np.isnan(adjusted(cells(COLUMN, patients=("p",) * 30))).all()


def test_strata_with_one_case_each_leave_sign_flips():
    values = COLUMN[:2, :, :8]
    ((_, found), _) = adjusted(cells(values, strata=tuple("abcdefgh")))
    assert found == pytest.approx(sign_flip((values[0] - values[1]).mean(axis=0)))


# ---------------------------------------------------------------------------------------------- what cannot be tested


def test_what_cannot_be_tested_has_no_p_value():
    assert adjusted([]).shape == (0, 0)
    assert np.isnan(adjusted(cells(COLUMN[:1]))).all()
    assert np.isnan(adjusted(cells(COLUMN[:, :, :1]))).all()  # one case
    own, other = cells(COLUMN[:1]), cells(COLUMN[1:2])
    assert np.isfinite(adjusted([*own, *other])[0, 1])
    for changed in (
        cells(COLUMN[1:2], seeds=(3, 4, 5)),
        cells(COLUMN[1:2], found=7),
        cells(COLUMN[1:2], metric="y"),
        cells(COLUMN[1:2], cases=tuple(f"d{n}" for n in range(30))),
        [[]],
    ):
        assert np.isnan(adjusted([*own, *changed])).all()


def test_they_are_tested_on_the_seeds_that_all_have():
    own, other = cells(COLUMN[:1]), cells(COLUMN[1:2, ::-1], seeds=(4, 2, 1))  # its third is seed 1
    both = [cells(COLUMN[:1, 1:], seeds=(1, 2))[0], cells(COLUMN[1:2, :2], seeds=(1, 2))[0]]
    same(adjusted([*own, *other]), adjusted(both))


# ---------------------------------------------------------------------------------------------- detections


def detections(seed, good, images):
    """One object in each image, found with a chance, beside as many false positives."""
    draws = np.random.default_rng(seed)
    hits = np.concatenate([draws.random(images) < good, np.zeros(images, bool)])
    where, scores = np.tile(np.arange(images), 2), draws.random(2 * images) + hits * 0.3
    names = tuple(map(str, range(images)))
    ones, of = np.ones((images, 1), np.int64), np.zeros(2 * images, np.int64)
    return Detections(names, ("spot",), ones, where, of, scores, np.tile(hits[:, None], 10))


def found_by(*goods, seeds=1, images=40):
    return [
        [
            Result(method=f"m{m}", task="t", protocol="p", seed=s, state="done", metric="map50", phantom=False,
                   found=0, official=0, cases=of.cases, values=np.zeros(0), detections=of)
            for s in range(seeds) for of in (detections(100 * m + s, good, images),)
        ]
        for m, good in enumerate(goods)
    ]  # fmt: skip


def test_detections_are_resampled_for_every_pair():
    of = found_by(0.2, 0.5, 0.7, 0.72)
    drawn = [cell[0].detections.resampled("map50", resamples=RESAMPLES) for cell in of]
    pairs, raw = list(combinations(range(4), 2)), []
    for a, b in pairs:
        apart, effect = drawn[a] - drawn[b], of[a][0].mean - of[b][0].mean
        beyond = np.abs(apart - apart.mean()).max() < abs(effect)
        raw.append(2 * t.sf(abs(effect) / (40 / 39 * apart.var()) ** 0.5, 39) if beyond
                   else bootstrap_p(apart, effect, 40))  # fmt: skip
    found = adjusted(of)
    assert [found[pair] for pair in pairs] == pytest.approx(holm(raw))
    assert found[0, 3] < 0.05 < found[2, 3]


def test_of_detections_seeds_count_too():
    of = found_by(0.4, 0.7, seeds=3)
    alone = adjusted([cell[:1] for cell in of])[0, 1]
    assert 0 < alone < 0.05
    firm = moderated([[r.mean for r in cell] for cell in of])
    rows = np.array([[r.detections.resampled("map50", resamples=RESAMPLES) for r in cell] for cell in of])
    apart, both = rows[0] - rows[1], firm[0].beside(firm[1])
    mean = apart.mean(axis=0)
    effect = np.mean([r.mean for r in of[0]]) - np.mean([r.mean for r in of[1]])
    parts = (both.variance / 3, 40 / 39 * mean.var())
    total = sum(parts)
    freedom = total**2 / sum(x**2 / f for x, f in zip(parts, (both.freedom, 39), strict=True))
    p = 2 * t.sf(abs(effect) / total**0.5, freedom)
    beyond = np.abs(mean - mean.mean()).max() < abs(effect)
    assert adjusted(of)[0, 1] == pytest.approx(p if beyond else max(p, bootstrap_p(mean, effect, 40)))


def test_of_many_detectors_one_that_finds_nothing_is_still_told():
    """Of twelve methods there are 66 pairs, and 1000 resamples alone tell no p-value below 66 / 1001."""
    found = adjusted(found_by(0.9, 0.05, *[0.9] * 10))
    assert found[0, 1] < 1e-3


# ---------------------------------------------------------------------------------------------- how often it is wrong


def drawn_column(draws, leads, *, seeds, cases, between):
    shape = (len(leads), seeds, cases)
    return (
        np.asarray(leads)[:, None, None] + draws.normal(size=cases)
        + between * draws.normal(size=(*shape[:2], 1)) + 0.5 * draws.normal(size=(len(leads), 1, cases))
        + 0.5 * draws.normal(size=shape)
    )  # fmt: skip


@pytest.mark.parametrize(("seeds", "between"), [(1, 0.0), (2, 0.2), (3, 0.5)])
def test_in_at_most_one_column_of_twenty_an_equal_method_is_called_worse(monkeypatch, seeds, between):
    """200 columns of five equal methods: 0.05 and three standard errors; what is far below is called so."""
    for name in ("FIRST", "FLIPS"):
        monkeypatch.setattr(f"bench.paired.{name}", 999)
    monkeypatch.setattr("bench.crossed.number", lambda cases: 100)
    draws, wrong, right = np.random.default_rng([seeds, 1]), 0, 0
    for _ in range(200):
        values = drawn_column(draws, [0, 0, 0, 0, 0, -4], seeds=seeds, cases=30, between=between)
        (table,) = build([r for cell in cells(values, seeds=range(seeds)) for r in cell])
        alike = [row.cells[0].alike for row in table.rows]
        wrong += not all(alike[:5])
        right += not alike[5]
    assert wrong / 200 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)
    assert right / 200 > 0.9


def test_intervals_of_a_board_hold_the_truth_as_often_as_they_say(monkeypatch):
    """60 cases, three seeds, six methods: 150 columns, 900 cells, whose errors are alike within a column."""
    monkeypatch.setattr("bench.crossed.number", lambda cases: 1000)
    draws, held = np.random.default_rng(4), []
    for _ in range(150):
        values = drawn_column(draws, [0.0] * 6, seeds=3, cases=60, between=0.3)
        held += [low <= 0 <= high for low, high in of_column(cells(values), 0.95)]
    assert 0.92 <= np.mean(held) <= 0.97
