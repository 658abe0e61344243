"""How firm a ranking is: the places that methods take when test cases, or tasks, are drawn anew.

Wiesenfarth et al., Methods and open-source toolkit for analyzing and visualizing challenge results, Scientific Reports
11, 2021 (challengeR): each task is ranked in each bootstrap sample, and the mean ranks over tasks are ranked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bench.ranks import drawn_columns, ranks


@dataclass(frozen=True, eq=False)
class Places:
    """Over resamples: the share in which each method took each place, equal methods sharing the better one."""

    shares: Float[np.ndarray, "methods places"]
    first: Float[np.ndarray, " methods"]  # share in which it is first; several that are share one
    low: Float[np.ndarray, " methods"]  # of the places that are taken in 95 of 100
    high: Float[np.ndarray, " methods"]


def over_cases(resampled: Sequence[Float[np.ndarray, "resamples methods"]]) -> Places:
    """The places with the cases of each column drawn anew; `resampled` holds the scores of each column."""
    mean = sum((ranks(scores.T).T for scores in resampled), np.zeros(resampled[0].shape)) / len(resampled)
    return places(mean)


def over_columns(of: Float[np.ndarray, "methods columns"], *, resamples: int, seed: int = 0) -> Places:
    """The places with the columns drawn anew, of their ranks `of`."""
    return places(drawn_columns(of.shape[1], resamples, seed) @ of.T / of.shape[1])


def places(mean_ranks: Float[np.ndarray, "resamples methods"]) -> Places:
    """The places of methods by their mean ranks, 1 for the lowest."""
    from scipy.stats import rankdata

    methods = mean_ranks.shape[1]
    taken = rankdata(np.round(mean_ranks, 9), method="min", axis=1).astype(np.int64)
    shares = np.stack([(taken == place).mean(axis=0) for place in range(1, methods + 1)], axis=1)
    first = taken == 1
    low, high = np.quantile(taken, (0.025, 0.975), axis=0, method="nearest").astype(np.float64)
    return Places(shares, (first / first.sum(axis=1, keepdims=True)).mean(axis=0), low, high)
