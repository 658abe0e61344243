"""Two methods side by side: by how much one is better in each column, and whether that is more than chance.

A comparison is of the cases and seeds that both have; numbers are in the unit of the metric, as in a table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench import crossed
from bench.leaderboard import verdicts
from bench.leaderboard.intervals import NONE, Drawn, described, other_cases, resamples, seeds_of, stacked, units_of
from bench.leaderboard.names import Scale, scale_of
from bench.leaderboard.result import Result, kinds
from bench.leaderboard.verdicts import BOOTSTRAP, LEVEL, SEEDS, SIGN_FLIP
from bench.moderation import Seeds
from bench.paired import differences as paired_differences
from bench.paired import holm

RESAMPLES = 10_000  # of detections; more than for an interval, since Holm multiplies p-values


@dataclass(frozen=True)
class Difference:
    """Of two methods in a column; `effect` is positive where the first is better, whichever way the metric goes.

    `p` and `adjusted` (for all columns of its comparison) are nan for a single case, which cannot be tested, and the
    ends of the interval are where they are not defined.
    """

    task: str
    protocol: str
    metric: str
    cases: int
    seeds: tuple[int, ...]  # that both have
    effect: float
    low: float
    high: float
    p: float
    test: str
    adjusted: float = math.nan

    @property
    def scale(self) -> Scale:
        """How its numbers are shown."""
        return scale_of(self.metric)

    @property
    def better(self) -> int:
        """1 where the first method is better beyond chance, -1 where the second is, 0 where neither."""
        return (1 if self.effect > 0 else -1) if self.adjusted < 1 - LEVEL else 0


@dataclass(frozen=True)
class Comparison:
    """Two methods on real or on phantom data, never both; what could not be compared is `left_out`, by column."""

    phantom: bool
    first: str
    second: str
    differences: tuple[Difference, ...]
    left_out: dict[str, str]  # why
    interval: str = ""  # how its intervals come about, in words

    @property
    def name(self) -> str:
        """The kind of data: "real" or "phantom"."""
        return "phantom" if self.phantom else "real"

    @property
    def methods(self) -> tuple[str, ...]:
        """How its intervals and p-values come about, in words."""
        tests = dict.fromkeys(d.test for d in self.differences)
        alone = ["about other cases, not other seeds"] if any(len(d.seeds) == 1 for d in self.differences) else []
        return (self.interval, *tests, "two-sided", "adjusted by Holm over the columns compared", *alone)


def compare(results: Sequence[Result], first: str, second: str) -> tuple[Comparison, ...]:
    """One comparison per kind of data, real before phantom, with the columns in which either method has a result."""
    own = [result for result in results if result.method in (first, second)]
    others = [result for result in results if result.state == "done" and result.method not in (first, second)]
    return tuple(_comparison(kind, others, first, second) for kind in kinds(own))


def _comparison(results: list[Result], others: list[Result], first: str, second: str) -> Comparison:
    columns: dict[str, tuple[list[Result], list[Result]]] = {}
    for result in results:
        of_both = columns.setdefault(f"{result.task}/{result.protocol}", ([], []))
        of_both[result.method == second].append(result)
    found, left_out = list[Difference](), dict[str, str]()
    for name, (a, b) in columns.items():
        if why := _unpaired(first, a) or _unpaired(second, b) or _apart(first, a, second, b):
            left_out[name] = why
        else:
            found.append(_difference(a, b, [r for r in others if f"{r.task}/{r.protocol}" == name]))
    tested = [difference.p for difference in found if not math.isnan(difference.p)]
    adjusted = iter(holm(tested))
    found = [d if math.isnan(d.p) else replace(d, adjusted=next(adjusted)) for d in found]
    return Comparison(results[0].phantom, first, second, tuple(found), left_out, described(results))


def _unpaired(method: str, results: list[Result]) -> str:
    """Why a method has nothing to compare in a column; nothing where it has."""
    if any(result.state == "done" for result in results):
        return ""
    states = dict.fromkeys(result.state for result in results)
    return f"{' and '.join(states)}: {method}" if states else f"no result: {method}"


def _apart(first: str, a: list[Result], second: str, b: list[Result]) -> str:
    """Why what two methods have of a column cannot be paired; nothing where it can."""
    if len(metrics := dict.fromkeys(result.metric for result in (*a, *b))) > 1:
        return f"other metrics: {' and '.join(metrics)}"
    of_first, of_second = _by_seed(a), _by_seed(b)
    if not of_first.keys() & of_second.keys():
        said = [f"{name} has {', '.join(map(str, of))}" for name, of in ((first, of_first), (second, of_second))]
        return f"no common seed: {'; '.join(said)}"
    both = [of[seed] for seed in _common(of_first, of_second) for of in (of_first, of_second)]
    for result in both[1:]:
        if detail := other_cases(result.cases, both[0].cases):
            return f"other cases: of {result.name} and {both[0].name} {detail}"
    if len(found := dict.fromkeys(result.found for result in both)) > 1:
        return f"other data: {' and '.join(map(str, found))} cases of the data set were found"
    return ""


def _by_seed(results: list[Result]) -> dict[int, Result]:
    return {result.seed: result for result in results if result.state == "done"}


def _common(a: dict[int, Result], b: dict[int, Result]) -> tuple[int, ...]:
    return tuple(sorted(a.keys() & b.keys()))


def _difference(a: list[Result], b: list[Result], others: list[Result]) -> Difference:
    """Of two methods in a column; the `others` in it tell how much seeds vary."""
    of_first, of_second = _by_seed(a), _by_seed(b)
    seeds = _common(of_first, of_second)
    first, second = ([of[seed] for seed in seeds] for of in (of_first, of_second))
    one = first[0]
    sign = 1 if one.higher_is_better else -1
    firm = seeds_of([first, second, *_like(one, seeds, others)])[:2]
    numbers = (_of_detections if one.detections else _of_values)(first, second, sign, firm)
    test = (BOOTSTRAP if one.detections else SIGN_FLIP) + f" {SEEDS}" * (len(seeds) > 1)
    return Difference(one.task, one.protocol, one.metric, len(one.cases), seeds, *numbers, test)


def _like(one: Result, seeds: Sequence[int], others: list[Result]) -> list[list[Result]]:
    """The other methods of a column that were scored on the same cases with the same seeds, as in a table."""
    of: dict[str, list[Result]] = {}
    for result in others:
        if (result.cases, result.found, result.metric) == (one.cases, one.found, one.metric) and result.seed in seeds:
            of.setdefault(result.method, []).append(result)
    return [cell for cell in of.values() if len(cell) == len(seeds)]


def _of_values(
    first: list[Result], second: list[Result], sign: int, seeds: list[Seeds | None]
) -> tuple[float, float, float, float]:
    """Effect, ends of its interval and p-value of a mean over cases."""
    values, of = np.stack([stacked(first), stacked(second)]), units_of(first[0])
    p = float(verdicts.of_values(values, of, seeds, np.array([0]), np.array([1]))[0])
    each = sign * paired_differences(values[0], values[1])
    effect = float(each.mean())
    if not of.free:
        return effect, *NONE, p
    drawn = resamples([each], of)[0]
    spread = crossed.spread(values[0] - values[1], of, verdicts.of_both(*seeds))
    return effect, *crossed.ends(effect, drawn, spread, level=LEVEL), p


def _of_detections(
    first: list[Result], second: list[Result], sign: int, seeds: list[Seeds | None]
) -> tuple[float, float, float, float]:
    """As `_of_values`, of what is computed anew from each resample of the images, the same for both methods."""
    apart = Drawn.of(first, RESAMPLES).less(Drawn.of(second, RESAMPLES)).times(sign)
    both = verdicts.of_both(*seeds)
    return apart.mean, *apart.ends(LEVEL, both), verdicts.of_drawn(apart, both)
