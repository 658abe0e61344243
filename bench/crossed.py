"""Means over seeds and cases, where every seed scored the same cases: what they say of other seeds and other cases.

A score is the mean, what its seed adds, what its case adds, and the rest: a two-way layout with random effects (Searle,
Casella & McCulloch, Variance Components, 1992, chapter 4). Cases are drawn anew, a patient's together (Efron &
Tibshirani, An Introduction to the Bootstrap, 1993, chapter 8). Seeds are too few to resample: what they add is drawn
from a normal distribution of their variance. Drawing both counts the rest twice (Owen, The pigeonhole bootstrap, 2007,
arXiv:0712.1111), which errs on the safe side; a bootstrap of few spreads too little (Hesterberg 2014, arXiv:1411.5279),
so what is drawn is scaled to the unbiased variance, and widened as Student's t is to the normal distribution, with
Satterthwaite's degrees of freedom.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int

from bench.moderation import Seeds
from bench.paired import ROUNDING
from bench.stats import corrected, percentiles

_CHUNK = 1 << 20  # cases drawn at a time
_MOST = 2_500_000  # cases drawn in all, while that leaves `LEAST` resamples
LEAST = 2000
RESAMPLES = 10_000


@dataclass(frozen=True, eq=False)
class Units:
    """What is drawn together: the cases of a patient, or each case; from each stratum as many as it has."""

    of: Int[np.ndarray, " cases"]  # the unit of each case
    strata: Int[np.ndarray, " units"]  # the stratum of each unit

    @property
    def free(self) -> int:
        """Degrees of freedom: units, less one for each stratum."""
        return len(self.strata) - len(np.unique(self.strata))

    @property
    def inflation(self) -> Float[np.ndarray, " units"]:
        """Of squares, to a variance that is unbiased; 0 for the only unit of a stratum, which tells none."""
        sizes = np.bincount(self.strata)[self.strata].astype(np.float64)
        return np.asarray(np.divide(sizes, sizes - 1, out=np.zeros_like(sizes), where=sizes > 1))


def units(cases: int, groups: Sequence[str] = (), strata: Sequence[str] = ()) -> Units:
    """The units of so many cases; `groups` has the patient of each, `strata` its stratum; empty: each its own, one."""
    own = np.unique(np.array(strata, str), return_inverse=True)[1] if strata else np.zeros(cases, np.int64)
    group = np.unique(np.array(groups, str), return_inverse=True)[1] if groups else np.arange(cases)
    pairs, of = np.unique(np.stack([own, group]), axis=1, return_inverse=True)
    return Units(of.reshape(-1), pairs[0])


def summed(values: Float[np.ndarray, "*rows cases"], of: Units) -> Float[np.ndarray, "*rows units"]:
    """The sum of the cases of each unit."""
    if len(of.strata) == len(of.of):  # a case each
        return np.asarray(values[..., np.argsort(of.of)], np.float64)
    flat = np.asarray(values, np.float64).reshape(-1, len(of.of))
    found = np.stack([np.bincount(of.of, row, len(of.strata)) for row in flat])
    return found.reshape(*values.shape[:-1], -1)


def influences(values: Float[np.ndarray, "*rows cases"], of: Units) -> Float[np.ndarray, "*rows units"]:
    """By how much each unit moves the mean over cases, beside the mean of its stratum."""
    sums, sizes = summed(values, of), np.bincount(of.of).astype(np.float64)
    strata = of.strata == np.arange(of.strata.max() + 1)[:, None]
    means = (sums @ strata.T) / (strata @ sizes)
    return np.asarray((sums - sizes * means[..., of.strata]) / len(of.of))


def resampled(
    values: Float[np.ndarray, "rows cases"], of: Units, *, resamples: int, seed: int | Sequence[int] = 0
) -> Float[np.ndarray, "rows resamples"]:
    """The mean over cases with the units drawn anew, the same for all rows.

    Columns that are put together need different seeds, or those of equal size would be drawn alike.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    sums, sizes = summed(values, of), np.bincount(of.of).astype(np.float64)
    means = np.zeros((len(values), resamples))
    for stratum in np.unique(of.strata):
        own = np.flatnonzero(of.strata == stratum)
        share, rows = sizes[own].sum() / len(of.of), max(1, _CHUNK // len(own))
        alike = bool((sizes[own] == sizes[own][0]).all())
        for start in range(0, resamples, rows):
            n = min(rows, resamples - start)
            picked = generator.integers(len(own), size=(n, len(own))) + len(own) * np.arange(n)[:, None]
            counts = np.bincount(picked.ravel(), minlength=n * len(own)).reshape(n, -1).astype(np.float64)
            weights = sizes[own].sum() if alike else counts @ sizes[own]
            means[:, start : start + n] += share * (sums[:, own] @ counts.T) / weights
    return means


def number(cases: int) -> int:
    """How many resamples of so many cases are drawn."""
    return min(RESAMPLES, max(LEAST, _MOST // max(1, cases)))


# ---------------------------------------------------------------------------------------------- variance


@dataclass(frozen=True, eq=False)
class Spread:
    """Variances of a mean over seeds and cases: what its seeds and what its cases add, each with the rest in it."""

    seeds: Float[np.ndarray, "*shape"]
    cases: Float[np.ndarray, "*shape"]
    free_seeds: Float[np.ndarray, "*shape"]  # degrees of freedom; 0 for one seed
    free_cases: int

    @property
    def total(self) -> Float[np.ndarray, "*shape"]:
        """Of the mean. That the rest is in it twice and is not taken off keeps false claims below what is said."""
        return np.asarray(self.seeds + self.cases)

    @property
    def freedom(self) -> Float[np.ndarray, "*shape"]:
        """Satterthwaite's degrees of freedom of the total."""
        parts = self.cases**2 / self.free_cases + self.seeds**2 / np.where(self.free_seeds > 0, self.free_seeds, 1)
        full = np.full_like(self.total, self.free_cases)
        return np.asarray(np.divide(self.total**2, parts, out=full, where=parts > 0))


def spread(values: Float[np.ndarray, "seeds cases"], of: Units, own: Seeds | None) -> Spread:
    """Of the mean over seeds and cases; `own` is the variance of the seeds (None: there is one).

    Raises ValueError where the strata have one unit each.
    """
    if not of.free:
        raise ValueError("every stratum has a single unit: nothing tells how they spread")
    each = influences(values.mean(axis=0), of)
    each[np.abs(each) <= ROUNDING * np.abs(values).max() / len(of.of)] = 0.0  # equal values are no spread at all
    return both(float((of.inflation * each**2).sum()), of.free, own)


def spread_of_drawn(drawn: Float[np.ndarray, "seeds resamples"], n: int, own: Seeds | None) -> Spread:
    """As `spread`, of what is no mean over cases, from what resamples of `n` cases gave."""
    return both(n / (n - 1) * float(np.nanvar(drawn.mean(axis=0))), n - 1, own)


def both(cases: float, free: int, own: Seeds | None) -> Spread:
    """From the variance that cases give, with its degrees of freedom, and that of the seeds."""
    seeds, firm = (own.variance / own.number, own.freedom) if own else (0.0, 0.0)
    return Spread(np.asarray(seeds), np.asarray(cases), np.asarray(firm), free)


# ---------------------------------------------------------------------------------------------- what it says


def p_value(effect: Float[np.ndarray, "*shape"], of: Spread) -> Float[np.ndarray, "*shape"]:
    """Two-sided, of no difference: Student's t with the degrees of freedom of the spread."""
    from scipy.special import stdtr

    error = np.sqrt(of.total)
    t = np.divide(np.abs(effect), error, out=np.where(effect == 0, 0.0, np.inf), where=error > 0)
    return np.asarray(2 * stdtr(of.freedom, -t))


def ends(
    mean: float, drawn: Float[np.ndarray, " resamples"], of: Spread, *, level: float = 0.95, biased: bool = False
) -> tuple[float, float]:
    """The interval of a `mean` from what it was in resamples of the cases, made as the module says.

    `biased`: resamples lie off the mean, and the interval is moved by as much, as `stats.corrected` does. Equal values
    v give (v, v).
    """
    from scipy.special import stdtrit

    if not of.total:
        return mean, mean
    noise = np.random.Generator(np.random.PCG64(1)).standard_normal(len(drawn))
    own = float(np.nanvar(drawn))  # smaller than that of the cases, the more so the fewer they are
    inflation = float(np.sqrt(float(of.cases) / own)) if own else 0.0
    found = mean + inflation * (drawn - mean) + float(np.sqrt(of.seeds)) * noise
    low, high = corrected(found, mean, level) if biased else percentiles(found, level)
    tail = (1 + level) / 2
    wider = float(stdtrit(float(of.freedom), tail)) / NormalDist().inv_cdf(tail)
    return mean + wider * (low - mean), mean + wider * (high - mean)
