"""How likely it is that a printed win is none: from two means and the number of test cases alone.

The question, and that printed means and case numbers go far towards an answer, are from Christodoulou et al., False
promises in medical imaging AI? Assessing validity of outperformance claims, 2025, arXiv:2505.04720. The models below
are our own derivation after that idea, not that paper's code, and their defaults are ours.

A paper prints neither how two methods' scores go together over test cases nor how much they spread, so both are
assumed: the *agreement* is the correlation, over test cases, of the two methods' scores (right or wrong, or Dice), and
the *spread* is the standard deviation of a score over cases, as a share of the most that a score in [0, 1] of that mean
can have, sqrt(m (1 - m)) (Bhatia & Davis 2000). Trials are not modelled: a mean over trials is taken for one run, and
that another training run would differ is left out, as is that the first was chosen because it is the first.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.leaderboard.names import higher_is_better, scale_of
from bench.leaderboard.published import Published

# In the midst of what benchmarks/agreement.py finds on real data: correlations of 0.34 to 0.61 for a linear probe, 0.87
# for fine-tuning, 0.64 to 0.95 for Dice; spreads of Dice of 0.40 to 0.59 for lesions, 0.08 to 0.27 for organs.
AGREEMENT = 0.6
SPREAD = 0.4
LARGE = 0.05  # a probability above it is no sound win


def binary(first: float, second: float, n: int, agreement: float) -> float:
    """P(true accuracy of the first <= that of the second), given accuracies in [0, 1] on the same `n` cases.

    Of the cases, b = n (p1 - p12) are right with the first alone and c = n (p2 - p12) with the second alone, where
    p12 = p1 p2 + agreement sqrt(p1 (1 - p1) p2 (1 - p2)) is the share that both have right, at most min(p1, p2) and at
    least p1 + p2 - 1 and 0. With a flat (Dirichlet) prior over the four outcomes of a case, the share of those right
    with the first alone among the b + c is Beta(b + 1, c + 1), and the first is no better where it is at most 1/2: the
    regularised incomplete beta function I_1/2(b + 1, c + 1).
    """
    from scipy.special import betainc

    both = first * second + agreement * math.sqrt(first * (1 - first) * second * (1 - second))
    both = max(0.0, first + second - 1, min(both, first, second))
    return float(betainc(n * (first - both) + 1, n * (second - both) + 1, 0.5))


def paired(first: float, second: float, n: int, agreement: float, spread: float) -> float:
    """P(true mean of the first <= that of the second), given means in [0, 1] of scores of the same `n` cases.

    The difference of a case has the variance s1^2 + s2^2 - 2 agreement s1 s2, with si = spread sqrt(mi (1 - mi)). With
    a flat prior on the mean difference and on the logarithm of its standard deviation, of which the assumed one stands
    for what the `n` cases had, the posterior of the mean difference d is Student's t with n - 1 degrees of freedom:
    T(-d sqrt(n) / s). No spread gives 0, 1/2 or 1; one case says nothing, 1/2.
    """
    from scipy.special import stdtr

    s1, s2 = (spread * math.sqrt(mean * (1 - mean)) for mean in (first, second))
    deviation = math.sqrt(max(0.0, s1 * s1 + s2 * s2 - 2 * agreement * s1 * s2))
    difference = first - second
    if n < 2 or difference == 0:
        return 0.5
    if deviation == 0:
        return 0.0 if difference > 0 else 1.0
    return float(stdtr(n - 1, -difference * math.sqrt(n) / deviation))


@dataclass(frozen=True)
class Claim:
    """The best and the next best method of a printed column, and how likely it is that the first is not better."""

    first: Published
    second: Published
    cases: int | None
    probability: float | None  # None: not known, and `why` says why
    why: str = ""

    @property
    def difference(self) -> float:
        """How much better the first is printed to be, in the unit of the store."""
        return abs(self.first.value - self.second.value)


def claims(rows: Iterable[Published], *, agreement: float = AGREEMENT, spread: float = SPREAD) -> list[Claim]:
    """One claim for each source, table, task, protocol and metric in which two methods are printed, in their order.

    The first is the best and the second the best of another method: the same with another backbone or setting is no
    rival. Means over several tasks and over sites make no claim. Raises ValueError for an agreement outside [0, 1) or
    a spread outside (0, 1].
    """
    if not 0 <= agreement < 1 or not 0 < spread <= 1:
        raise ValueError(f"agreement is {agreement}, not in [0, 1), or spread is {spread}, not in (0, 1]")
    single = [row for row in rows if len(row.tasks) == 1 and not row.tasks[0].endswith(("@mean", "@drop"))]
    apart: dict[tuple[str, ...], list[Published]] = {}
    for row in single:
        apart.setdefault((row.source, row.table, *row.column, row.metric), []).append(row)
    found = (_first_two(group) for group in apart.values())
    return [_claim(*two, agreement, spread) for two in found if two]


def _first_two(group: Sequence[Published]) -> tuple[Published, Published] | None:
    """The best line, and the best of another method; a tie keeps the order of the file."""
    sign = -1 if higher_is_better(group[0].metric) else 1
    ordered = sorted(group, key=lambda row: sign * row.value)
    others = [row for row in ordered if row.method != ordered[0].method]
    return (ordered[0], others[0]) if others else None


def _claim(first: Published, second: Published, agreement: float, spread: float) -> Claim:
    counts = {row.n_test for row in (first, second)}
    n = counts.pop() if len(counts) == 1 else None
    if n is None:
        return Claim(first, second, None, None, "the number of test cases is not known")
    if scale_of(first.metric).unit != "%" or first.metric.startswith(("map", "ap", "froc")):
        return Claim(first, second, n, None, f"{first.metric} is no mean over cases between 0 and 1")
    if first.metric == "accuracy":
        return Claim(first, second, n, binary(first.value, second.value, n, agreement))
    return Claim(first, second, n, paired(first.value, second.value, n, agreement, spread))


def assumed(agreement: float = AGREEMENT, spread: float = SPREAD) -> str:
    """What the probabilities rest on, in a sentence."""
    return (
        f"assumed, since no paper prints it: a correlation of {agreement:g} between two methods' scores over test "
        f"cases, and, where those are not right or wrong, a standard deviation of {spread:g} of the largest possible; "
        "a flat prior; a mean over trials taken for one run; no correction for choosing the first (after Christodoulou "
        "et al. 2025, arXiv:2505.04720)"
    )
