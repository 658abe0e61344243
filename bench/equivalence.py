"""Is one method better than another over tasks by more than matters? The Bayesian signed-rank test.

Benavoli, Corani, Demšar & Zaffalon, Time for a Change: a Tutorial for Comparing Multiple Classifiers Through Bayesian
Analysis, JMLR 18, 2017, arXiv:1606.04316, section 4.2.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SAMPLES = 50_000
STRENGTH = 0.5  # of the prior, which lies at no difference


@dataclass(frozen=True)
class Belief:
    """Probabilities that on a further task the first is better, neither by more than matters, the second is better."""

    first: float
    equal: float
    second: float


def signed_rank(
    differences: Float[np.ndarray, " columns"], rope: float, *, samples: int = SAMPLES, seed: int = 0
) -> Belief:
    """What to believe of differences (first less second, one a column), of which those within ±`rope` do not matter.

    Columns, and one more of difference 0 for the prior, get weights from a Dirichlet distribution (1 each, `STRENGTH`
    for the prior). Of all pairs i, j of columns, the weights w_i w_j of those with z_i + z_j above 2 `rope`, between,
    and below -2 `rope` are added up (their equation 13); a probability is the share of samples in which its part is the
    largest, equal parts sharing it. No column says nothing: a third each. Raises ValueError for a `rope` below 0 and
    for differences that are not finite.
    """
    if rope < 0 or not np.isfinite(rope):
        raise ValueError(f"rope is {rope}, not 0 or more")
    if not np.isfinite(differences).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(differences))} differences are not finite (NaN or infinite)")
    if not len(differences):
        return Belief(1 / 3, 1 / 3, 1 / 3)
    generator = np.random.Generator(np.random.PCG64(seed))
    weights = generator.dirichlet(np.r_[STRENGTH, np.ones(len(differences))], size=samples)
    z = np.r_[0.0, differences]
    sums = z[:, None] + z
    edge = 2 * rope * (1 + 1e-12) + 1e-15  # a difference of just `rope` is within, however it is rounded
    above = ((weights @ (sums > edge)) * weights).sum(axis=1)
    below = ((weights @ (sums < -edge)) * weights).sum(axis=1)
    parts = np.stack([above, 1 - above - below, below], axis=1)
    largest = parts >= parts.max(axis=1, keepdims=True) - 1e-12
    first, equal, second = (largest / largest.sum(axis=1, keepdims=True)).mean(axis=0).tolist()
    return Belief(first, equal, second)
