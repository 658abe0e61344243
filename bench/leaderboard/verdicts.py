"""Which methods of a column are told apart: paired tests of every two, with Holm's correction for all pairs.

All pairs, since the best is known only from the numbers that are tested: with a correction for its own comparisons
alone, one of twenty equal methods would be called worse in one column of four.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from bench import crossed
from bench.crossed import Spread, Units
from bench.leaderboard.intervals import Drawn, seeds_of, stacked, units_of
from bench.leaderboard.result import Result
from bench.moderation import Seeds
from bench.paired import ROUNDING, bootstrap_p, holm, sign_flip, sign_flips_between

LEVEL = 0.95  # one minus it is what an adjusted p-value has to be below
SIGN_FLIP = "paired sign flips over test cases"
BOOTSTRAP = "paired bootstrap over test cases, moved to no difference, beyond its resamples Student's t"
SEEDS = "and Student's t over seeds and cases, the larger p of the two"

Pairs = Int[np.ndarray, " pairs"]  # the first, or the second, method of each


def adjusted(cells: Sequence[Sequence[Result]]) -> Float[np.ndarray, "methods methods"]:
    """The p-value of every two cells of a column, adjusted for all pairs; nan where two cannot be tested.

    They are tested on the seeds that all have, and only where all were scored on the same cases of the same data.
    """
    p = np.full((len(cells), len(cells)), math.nan)
    chosen = _paired(cells)
    if len(chosen) < 2 or len(chosen[0]) == 0 or len(chosen[0][0].cases) < 2:
        return p
    i, j = np.triu_indices(len(chosen), 1)
    of_pairs = _of_detections(chosen, i, j) if chosen[0][0].detections else _of_values(chosen, i, j)
    known = ~np.isnan(of_pairs)
    of_pairs[known] = holm(of_pairs[known].tolist())
    p[i, j] = p[j, i] = of_pairs
    return p


def _paired(cells: Sequence[Sequence[Result]]) -> list[list[Result]]:
    """The cells with the seeds that all have; none where they cannot be put side by side."""
    if not cells or any(not cell for cell in cells):
        return []
    first = cells[0][0]
    same = all((r.cases, r.found, r.metric) == (first.cases, first.found, first.metric) for c in cells for r in c)
    seeds = set.intersection(*({result.seed for result in cell} for cell in cells)) if same else set()
    return [sorted((r for r in cell if r.seed in seeds), key=lambda r: r.seed) for cell in cells]


def _of_values(cells: list[list[Result]], i: Pairs, j: Pairs) -> Float[np.ndarray, " pairs"]:
    sign = 1 if cells[0][0].higher_is_better else -1
    values = sign * np.stack([stacked(cell) for cell in cells])
    return of_values(values, units_of(cells[0][0]), seeds_of(cells), i, j)


def of_values(
    values: Float[np.ndarray, "methods seeds cases"], of: Units, seeds: Sequence[Seeds | None], i: Pairs, j: Pairs
) -> Float[np.ndarray, " pairs"]:
    """The p-value of the mean difference of each two methods, `i` and `j`; nan where one unit tells nothing.

    Higher values are better; `seeds` has the variance between the seeds of each method.
    """
    if len(of.strata) < 2:
        return np.full(len(i), math.nan)
    means = values.mean(axis=(1, 2))
    p = _flipped(crossed.summed(values.mean(axis=1), of), means, i, j)
    if values.shape[1] == 1 or not of.free:
        return np.asarray(p)
    return np.asarray(np.maximum(p, crossed.p_value(means[i] - means[j], _spreads(values, of, seeds, i, j))))


def _flipped(
    sums: Float[np.ndarray, "methods units"], means: Float[np.ndarray, " methods"], i: Pairs, j: Pairs
) -> Float[np.ndarray, " pairs"]:
    """By sign flips alone; what only rounding parts is the same."""
    sums = np.round(sums / (np.abs(sums).max() or 1.0), -round(math.log10(ROUNDING)))
    if len(i) == 1:
        return np.array([sign_flip(sums[i[0]] - sums[j[0]])])
    best = np.flatnonzero(means >= means.max() - ROUNDING)  # of whose pairs a board tells; others count for Holm alone
    return sign_flips_between(sums, i, j, roughly=~(np.isin(i, best) | np.isin(j, best)))


def _spreads(
    values: Float[np.ndarray, "methods seeds cases"], of: Units, seeds: Sequence[Seeds | None], i: Pairs, j: Pairs
) -> Spread:
    """The spread of each difference, from products of all methods rather than from each pair's own values."""
    mean = crossed.influences(values.mean(axis=1), of) * np.sqrt(of.inflation)
    pairs = [a.beside(b) for a, b in zip((seeds[n] for n in i), (seeds[n] for n in j), strict=True) if a and b]
    variance, freedom = (np.array([getattr(one, name) for one in pairs]) for name in ("variance", "freedom"))
    return Spread(variance / values.shape[1], _apart(mean @ mean.T, i, j), freedom, of.free)


def _apart(products: Float[np.ndarray, "methods methods"], i: Pairs, j: Pairs) -> Float[np.ndarray, " pairs"]:
    """The squared distance of every two, from their scalar products."""
    squares = np.diag(products)
    return np.asarray(np.maximum(squares[i] + squares[j] - 2 * products[i, j], 0.0))


def _of_detections(cells: list[list[Result]], i: Pairs, j: Pairs) -> Float[np.ndarray, " pairs"]:
    drawn, seeds = [Drawn.of(cell) for cell in cells], seeds_of(cells)
    pairs = zip(i.tolist(), j.tolist(), strict=True)
    return np.array([of_drawn(drawn[a].less(drawn[b]), of_both(seeds[a], seeds[b])) for a, b in pairs])


def of_drawn(difference: Drawn, own: Seeds | None) -> float:
    """The p-value of a difference that is computed anew from each resample; `own`: the variance of its seeds.

    Of what lies further out than all resamples they tell no p-value, and with many pairs Holm's correction would make
    of the least one they can tell a large one: there it is that of Student's t.
    """
    drawn, mean = difference.drawn.mean(axis=0), difference.mean
    p = bootstrap_p(drawn, mean, difference.cases)
    if math.isnan(p):
        return p
    t = float(crossed.p_value(np.asarray(mean), difference.spread(own)))
    if np.nanmax(np.abs(drawn - np.nanmean(drawn))) < abs(mean) - ROUNDING:
        return t
    return p if own is None else max(p, t)


def of_both(first: Seeds | None, second: Seeds | None) -> Seeds | None:
    """The variance between the seeds of a difference."""
    return first.beside(second) if first and second else None
