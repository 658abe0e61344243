"""Paired tests of two methods on the same cases, and Holm's correction where there are several.

Sign flips: Fisher, The Design of Experiments, 1935, section 21; Efron & Tibshirani, An Introduction to the Bootstrap,
1993, chapter 15. Drawn at random, a p-value counts what was seen among the draws and so is never 0: Phipson & Smyth
2010, arXiv:1603.05766. Correction: Holm, A simple sequentially rejective multiple test procedure, 1979.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

EXACT = 1 << 19  # sums, with those that are equal still apart, up to which all are looked at: some 0.1 s, 10 MB
FLIPS = 99_999  # random ones where there are more: a p-value of 0.05 is then within 0.0014, nineteen times in twenty
FIRST = 9_999  # of them, where there are many pairs; plain by then are those of which none, or over a tenth, are so far
FEW = 14  # units, of which all flips are looked at
PAIRS = 200  # up to which none is enough: of more, Holm's correction would bring the least p-value near 0.05
ROUNDING = 1e-12  # differences, as a share of what they are between, that come of adding in another order
_SAME = 9  # decimals, in units of the largest difference, to which sums are compared
_CHUNK = 1 << 18  # signs drawn at a time


def differences(first: Float[np.ndarray, "seeds cases"], second: Float[np.ndarray, "seeds cases"]) -> np.ndarray:
    """First minus second of each case (cases,), over the mean of the seeds; what only rounding parts is 0."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    means = (a - b).mean(axis=0)
    noise = ROUNDING * np.maximum(np.abs(a), np.abs(b)).max(axis=0, initial=0.0)
    return np.where(np.abs(means) <= noise, 0.0, means)


def sign_flip(differences: Float[np.ndarray, " cases"], *, flips: int = FLIPS, seed: int = 0) -> float:
    """The two-sided p-value of the mean paired difference, in (0, 1], where either sign of each is as likely.

    The share of all sign flips whose mean lies as far from 0 as that of `differences`: exact where few sums can come
    out, as with few cases or values that are right or wrong (where it is McNemar's exact test); else of `flips` random
    ones it is (b + 1) / (flips + 1), b of which do. Nothing is drawn from cases, so strata change nothing; of several
    cases of a patient give the sum. It depends on the values and the seed, not on the order of the cases, nor on which
    method comes first.

    Defined ends: all differences 0 give 1; fewer than two cases cannot be tested, nan. Raises ValueError for
    differences that are not finite.
    """
    if not np.isfinite(differences).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(differences))} differences are not finite (NaN or infinite)")
    if len(differences) < 2:
        return math.nan
    sizes = np.sort(np.abs(np.asarray(differences, np.float64)))
    if sizes[-1] == 0:
        return 1.0
    observed = abs(math.fsum(differences / sizes[-1])) - 10.0**-_SAME * len(sizes)  # ties count, however rounded
    sizes = sizes[sizes > 0] / sizes[-1]
    if exact := _every_sum(sizes):
        sums, weights = exact
        return min(1.0, float(weights[np.abs(sums) >= observed].sum()))
    return (_as_far(sizes, observed, flips, seed) + 1) / (flips + 1)


def _every_sum(sizes: Float[np.ndarray, " cases"]) -> tuple[np.ndarray, np.ndarray] | None:
    """The sums that flips of positive, sorted `sizes` can have, and the probability of each; None if too many.

    Of n equal sizes the number of flips is binomial, and sums that are equal are kept once: right or wrong, averaged
    over seeds, has few sizes and few sums, whatever the number of cases.
    """
    _, first, counts = np.unique(np.round(sizes, 12), return_index=True, return_counts=True)
    if len(counts) > math.log2(EXACT):  # each doubles the sums, unless some are equal; trying takes time
        return None
    sums: np.ndarray = np.zeros(1)
    weights: np.ndarray = np.ones(1)
    for size, n in zip(sizes[first].tolist(), counts.tolist(), strict=True):
        if len(sums) * (n + 1) > EXACT:
            return None
        flipped = np.arange(n + 1)
        ways = np.concatenate([[0.0], np.cumsum(np.log(n - flipped[:-1]) - np.log(flipped[1:]))])
        reached = np.add.outer(sums, size * (n - 2 * flipped)).ravel()
        chance = np.multiply.outer(weights, np.exp(ways - n * math.log(2))).ravel()
        _, kept, which = np.unique(np.round(reached, _SAME), return_index=True, return_inverse=True)
        sums, weights = reached[kept], np.bincount(which, chance)
    return sums, weights


def _as_far(sizes: Float[np.ndarray, " cases"], observed: float, flips: int, seed: int) -> int:
    """How many of `flips` random sign flips have a sum at least `observed` from 0, in chunks of bounded memory."""
    generator = np.random.Generator(np.random.PCG64(seed))
    total, count = sizes.sum(), 0
    rows = max(1, _CHUNK // len(sizes))
    for start in range(0, flips, rows):
        plus = _signs(min(rows, flips - start), len(sizes), generator)
        count += int(np.count_nonzero(np.abs(2 * (plus @ sizes) - total) >= observed))
    return count


def sign_flips_between(
    values: Float[np.ndarray, "methods units"],
    i: Int[np.ndarray, " pairs"],
    j: Int[np.ndarray, " pairs"],
    *,
    roughly: Bool[np.ndarray, " pairs"] | None = None,
    seed: int = 0,
) -> Float[np.ndarray, " pairs"]:
    """The p-value of `sign_flip` of each two methods, `i` and `j`; its cost grows with methods, hardly with pairs.

    All pairs get the same signs: every one for up to `FEW` units, else random ones, `FLIPS` of them, or `FIRST` for
    pairs that are wanted `roughly` or plain by then. It depends on the order of the units.
    """
    few = values.shape[1] <= FEW
    first = 2 ** (values.shape[1] - 1) if few else FIRST
    generator = np.random.Generator(np.random.PCG64(seed))
    count = _as_far_between(values, i, j, first, None if few else generator)
    if few:  # of a sum and its mirror image one is looked at
        return count / first
    p = (count + 1) / (first + 1)
    rough = np.zeros(len(i), bool) if roughly is None else roughly
    left = np.flatnonzero((count <= first / 10) & ~rough)
    left = left if len(i) > PAIRS else left[count[left] > 0]
    if len(left):
        own, places = np.unique(np.concatenate([i[left], j[left]]), return_inverse=True)
        one, other = np.split(places, 2)
        more = _as_far_between(values[own], one, other, FLIPS - first, generator)
        p[left] = (count[left] + more + 1) / (FLIPS + 1)
    return p


def _as_far_between(
    values: Float[np.ndarray, "methods units"],
    i: Int[np.ndarray, " pairs"],
    j: Int[np.ndarray, " pairs"],
    flips: int,
    generator: np.random.Generator | None,
) -> Int[np.ndarray, " pairs"]:
    """How many sign flips have a sum at least as far from 0 as that of each pair; without generator, of all flips."""
    units = values.shape[1]
    columns, total = np.ascontiguousarray(values.T), values.sum(axis=1)
    largest = np.array([np.abs(values[a] - values[b]).max() for a, b in zip(i, j, strict=True)])
    least = np.abs(total[i] - total[j]) - 10.0**-_SAME * units * largest  # ties count, however rounded
    rows, count = max(1, _CHUNK // units), np.zeros(len(i), np.int64)
    for start in range(0, flips, rows):
        n = min(rows, flips - start)
        if generator is None:
            plus = (np.arange(start, start + n)[:, None] >> np.arange(units) & 1).astype(np.float64)
        else:
            plus = _signs(n, units, generator)
        sums = 2 * (plus @ columns) - total
        count += np.count_nonzero(np.abs(sums[:, i] - sums[:, j]) >= least, axis=0)
    return count


def _signs(rows: int, columns: int, generator: np.random.Generator) -> Float[np.ndarray, "rows columns"]:
    """Zeros and ones at random; a bit costs less than a number."""
    bits = np.frombuffer(generator.bytes(rows * columns // 8 + 1), np.uint8)
    return np.unpackbits(bits, count=rows * columns).reshape(rows, columns).astype(np.float64)


def bootstrap_p(drawn: Float[np.ndarray, " resamples"], value: float, cases: int) -> float:
    """The two-sided p-value of a difference `value`, in (0, 1], from the differences that resamples of `cases` gave.

    Efron & Tibshirani 1993, section 16.4: the resamples are moved to where there is no difference, here to a mean of 0,
    and those as far from it as `value` are counted: (b + 1) / (resamples + 1). Resamples of few cases spread too
    little, as a normal distribution does with a divisor of n beside Student's t, and the p-value is corrected by as
    much as there (Hesterberg 2014, arXiv:1411.5279, the expanded percentile interval). It stays an approximation, good
    from some fifty cases on. Resamples without a value (nan) are left out; nan where none has one, and for fewer than
    two cases.
    """
    from scipy.special import ndtri, stdtr

    given = drawn[~np.isnan(drawn)]
    if not len(given) or math.isnan(value) or cases < 2:
        return math.nan
    as_far = np.count_nonzero(np.abs(given - given.mean()) >= abs(value) - ROUNDING)
    normal = ndtri((as_far + 1) / (len(given) + 1) / 2)
    return float(2 * stdtr(cases - 1, normal * math.sqrt((cases - 1) / cases)))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: at most `level` of them means no false one at that level.

    The k-th smallest of m is times m - k + 1, at least the one before and at most 1. Raises ValueError for what is no
    p-value.
    """
    if not all(0 <= one <= 1 for one in p):
        raise ValueError(f"{list(p)} are not all in [0, 1]")
    adjusted, least = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        least = max(least, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = least
    return adjusted
