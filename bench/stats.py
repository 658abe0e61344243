"""The interval that resamples give, and the mean and spread over seeds; `bench.crossed` resamples means over cases.

Efron & Tibshirani, An Introduction to the Bootstrap, Chapman & Hall 1993, chapters 13 and 14 (percentile intervals).
"""

from statistics import NormalDist

import numpy as np
from jaxtyping import Float


def wilson(right: int, cases: int, level: float = 0.95) -> tuple[float, float]:
    """The score interval of a share, `right` of `cases` (Wilson 1927; Brown, Cai & DasGupta 2001 on why)."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, shrunk = right / cases, 1 + z * z / cases
    middle = (share + z * z / (2 * cases)) / shrunk
    reach = z / shrunk * (share * (1 - share) / cases + z * z / (4 * cases**2)) ** 0.5
    return max(0.0, middle - reach), min(1.0, middle + reach)


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
