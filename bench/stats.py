"""Numbers from per-case values: the bootstrap interval of a mean over cases, and the mean and spread over seeds.

Efron & Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, chapters 13 and 14 (percentile intervals).
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

_CHUNK = 1 << 18  # numbers drawn at a time: a few MB, so that a chunk stays in the cache


def interval(
    values: Float[np.ndarray, " cases"],
    strata: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile bootstrap interval (low, high), in the unit of `values`, of their mean over cases.

    Cases are drawn with replacement `resamples` times; the interval lies between the (1 - level) / 2 and the
    (1 + level) / 2 quantile of the means (Efron & Tibshirani 1993, equation 13.5). With the `strata` of the cases, as
    many are drawn from each as it has: whatever differs between strata, as weights do, is no spread. It depends on the
    values and the seed, not on the order of the cases.

    Defined ends: fewer than two cases say nothing about their spread, (nan, nan), and nor do cases that are each the
    only one of a stratum; equal values v give (v, v). Raises ValueError for values that are not finite, a level outside
    (0, 1), and strata that are not one for each case.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, not between 0 and 1")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}, not at least 1")
    _finite(values, "values")
    of = np.array(["all"] * len(values) if strata is None else strata, str)
    if len(of) != len(values):
        raise ValueError(f"{len(of)} strata for {len(values)} values")
    names, sizes = np.unique(of, return_counts=True)
    if not len(values) or sizes.max() < 2:
        return float("nan"), float("nan")
    generator = np.random.Generator(np.random.PCG64(seed))
    means = np.zeros(resamples)
    for name, size in zip(names, sizes, strict=True):
        distinct, counts = np.unique(np.asarray(values, np.float64)[of == name], return_counts=True)
        drawn = _resampled_means(distinct, counts, resamples, generator) if len(distinct) > 1 else distinct
        means += drawn * (size / len(values))
    return percentiles(means, level)


def percentiles(drawn: Float[np.ndarray, " resamples"], level: float = 0.95) -> tuple[float, float]:
    """The (1 - level) / 2 and the (1 + level) / 2 quantile of what resamples gave, without those that have no value."""
    if np.isnan(drawn).all():
        return float("nan"), float("nan")
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def corrected(drawn: Float[np.ndarray, " resamples"], value: float, level: float = 0.95) -> tuple[float, float]:
    """As `percentiles`, moved by how far the resamples lie from `value`, which they were made around.

    Efron & Tibshirani 1993, section 14.3, without acceleration: for a statistic such as average precision that
    resamples, in which cases come twice, overrate.
    """
    given, normal = drawn[~np.isnan(drawn)], NormalDist()
    if not len(given):
        return float("nan"), float("nan")
    below = float(np.mean(given < value) + np.mean(given == value) / 2)
    edge = 1 / (2 * len(given))  # all on one side is no more than one could say of so many
    shift = 2 * normal.inv_cdf(min(max(below, edge), 1 - edge))
    ends = [normal.cdf(shift + normal.inv_cdf(share)) for share in ((1 - level) / 2, (1 + level) / 2)]
    low, high = np.quantile(given, ends)
    return float(low), float(high)


def mean_and_std(per_seed: Float[np.ndarray, " seeds"]) -> tuple[float, float]:
    """Mean of the seeds' means, and their sample standard deviation (divisor n - 1, since few seeds stand for all).

    One seed has no spread to measure: its standard deviation is nan, never 0, which would read as certainty.
    Raises ValueError for no seed and for values that are not finite.
    """
    if len(per_seed) == 0:
        raise ValueError("no seed to take a mean of")
    _finite(per_seed, "seeds' means")
    values = np.asarray(per_seed, np.float64)
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _finite(values: Float[np.ndarray, " n"], what: str) -> None:
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise ValueError(f"{bad} of {len(values)} {what} are not finite (NaN or infinite)")


def _resampled_means(
    distinct: Float[np.ndarray, " distinct"], counts: np.ndarray, resamples: int, generator: np.random.Generator
) -> Float[np.ndarray, " resamples"]:
    """Means of `resamples` samples of n cases, with replacement, in chunks of bounded memory.

    How often each distinct value is drawn is multinomial. Where there are few (right or wrong, averaged over seeds)
    those counts are drawn instead of the cases: the same distribution, at a cost that does not grow with n.
    """
    n = int(counts.sum())
    few = 8 * len(distinct) <= n  # a binomial count costs about as much as drawing eight cases
    cases = np.repeat(distinct, counts)
    rows = max(1, _CHUNK // (len(distinct) if few else n))
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        if few:
            chunk = generator.multinomial(n, counts / n, size=size) @ distinct / n
        else:
            chunk = cases[generator.integers(n, size=(size, n))].mean(axis=1)
        means[start : start + size] = chunk
    return means
