"""How the ends of an interval come about, on a board and in a comparison, of a mean over cases and of what is none."""

import math

import numpy as np
from jaxtyping import Float

from bench.stats import corrected, percentiles

INTERVAL = "percentile bootstrap over test cases"
CORRECTED = "bias-corrected for average precision"


def described(resampled: bool) -> str:
    """The method in words; `resampled`: some metrics are computed anew from each resample of the cases."""
    return f"{INTERVAL}, {CORRECTED}" if resampled else INTERVAL


def ends(
    drawn: Float[np.ndarray, " resamples"], value: float, metric: str, cases: int, level: float
) -> tuple[float, float]:
    """The interval of a `value` from what it was in resamples of the cases; nan for a single case."""
    if cases < 2:
        return math.nan, math.nan
    if metric == "froc":  # which is a mean of shares
        return percentiles(drawn, level)
    return corrected(drawn, value, level)


def other_cases(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """How the cases of two results differ, in words; nothing where they are the same."""
    if one == other:
        return ""
    only = len(set(one) ^ set(other))
    return f"{only} are in only one of the two" if only else "the same in another order, or repeated"
