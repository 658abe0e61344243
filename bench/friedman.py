"""Whether methods differ over tasks at all, and which are told apart: Friedman's test and Nemenyi's difference.

Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006, sections 3.1.3 and 3.2.2.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from bench.paired import sign_flip
from bench.ranks import ranks

LEVEL = 0.05  # of false claims, over all pairs together


@dataclass(frozen=True, eq=False)
class Friedman:
    """The test over all methods; `groups` are those, from the best on, within which nobody is told apart.

    With two methods it is Wilcoxon's signed-rank test, exact, and `statistic`, `f` and `difference` are nan. `p` is nan
    where there is nothing to test: one method, or fewer than two columns.
    """

    mean_ranks: Float[np.ndarray, " methods"]
    columns: int
    statistic: float
    p: float
    f: float  # Iman and Davenport's, which is less cautious
    f_p: float
    difference: float  # of mean ranks, from which on two methods are told apart
    groups: tuple[tuple[int, ...], ...]  # methods by their row

    @property
    def differ(self) -> bool:
        """Whether the test says that some method differs from another."""
        return self.p < LEVEL

    def apart(self, first: int, second: int) -> bool:
        """Whether these two are told apart."""
        return not any(first in group and second in group for group in self.groups)


def friedman(scores: Float[np.ndarray, "methods columns"]) -> Friedman:
    """Friedman's chi-squared (equation 6 of Demšar, corrected for ties) and Iman and Davenport's F (equation 7).

    Where all methods tie in all columns p is 1. Only if the test rejects are pairs looked at, by Nemenyi's difference.
    """
    from scipy.stats import chi2, f

    methods, columns = scores.shape
    of = ranks(scores)
    mean = of.mean(axis=1)
    statistic = iman = f_p = difference = math.nan
    p = math.nan
    if columns > 1 and methods == 2:
        p = _wilcoxon(scores[0] - scores[1])
    elif columns > 1 and methods > 2:
        statistic = _chi_squared(of)
        difference = critical_difference(methods, columns)
        p = float(chi2.sf(statistic, methods - 1))
        rest = columns * (methods - 1) - statistic
        iman = (columns - 1) * statistic / rest if rest > 1e-9 else math.inf
        f_p = float(f.sf(iman, methods - 1, (methods - 1) * (columns - 1)))
    reach = (0.0 if methods == 2 else difference) if p < LEVEL else math.inf
    return Friedman(mean, columns, statistic, p, iman, f_p, difference, groups(mean, reach))


@lru_cache(maxsize=256)
def critical_difference(methods: int, columns: int, level: float = LEVEL) -> float:
    """Nemenyi's: two methods differ whose mean ranks do by so much (Demšar 2006, section 3.2.2).

    It is the quantile of the studentised range with infinite degrees of freedom over root 2, times
    sqrt(k (k + 1) / 6 N).
    """
    return _quantile(methods, level) / math.sqrt(2) * math.sqrt(methods * (methods + 1) / (6 * columns))


@lru_cache(maxsize=256)
def _quantile(methods: int, level: float) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - level, methods, np.inf))


def groups(mean_ranks: Float[np.ndarray, " methods"], difference: float) -> tuple[tuple[int, ...], ...]:
    """The largest runs of methods, in the order of their mean ranks, whose ends are less than `difference` apart.

    A method told apart from all others is a run of its own, and equal mean ranks are always together.
    """
    order = np.argsort(mean_ranks, kind="stable").tolist()
    found: list[tuple[int, ...]] = []
    reached = 0
    for start, first in enumerate(order):
        gaps = [mean_ranks[one] - mean_ranks[first] for one in order[start:]]
        end = start + sum(gap < difference - 1e-12 or gap <= 1e-12 for gap in gaps)
        if end > reached:
            found.append(tuple(order[start:end]))
            reached = end
    return tuple(found)


def _chi_squared(of: Float[np.ndarray, "methods columns"]) -> float:
    from scipy.stats import friedmanchisquare

    if (of == of[0]).all():
        return 0.0
    return float(friedmanchisquare(*of).statistic)


def _wilcoxon(differences: Float[np.ndarray, " columns"]) -> float:
    """Exact, by flipping the signs of the ranks, ties averaged; differences of 0 count for neither."""
    from scipy.stats import rankdata

    sizes = np.round(np.abs(differences), 12)
    return sign_flip(np.where(sizes > 0, np.sign(differences), 0.0) * rankdata(sizes))
