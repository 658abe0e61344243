"""Intervals of a board and of a comparison: about other test cases, and of several seeds about other seeds too.

One way for a mean over cases and for what is computed anew from each resample of them; `bench.crossed` says which.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bench import crossed
from bench.crossed import Spread, Units
from bench.leaderboard.names import bounds
from bench.leaderboard.result import RESAMPLES, Result
from bench.moderation import Seeds, moderated
from bench.stats import wilson

Ends = tuple[float, float]
NONE: Ends = (math.nan, math.nan)
INTERVAL = "bootstrap over test cases"
SEEDS = "and, of several seeds, the variance between them, moderated over the methods of a column"
PATIENTS = "a patient's cases together"
SHARES = "Wilson's score interval of right or wrong by one seed"
CORRECTED = "bias-corrected for average precision"


def described(results: Sequence[Result]) -> str:
    """The method in words, for these results."""
    seeds = len({result.seed for result in results if result.state == "done"}) > 1
    patients, drawn = any(result.patients for result in results), any(result.detections for result in results)
    cells: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.state == "done" and not result.detections:
            cells.setdefault((result.method, result.task, result.protocol), []).append(result)
    shares = any(map(_right_or_wrong, cells.values()))
    said = [SEEDS] * seeds + [PATIENTS] * patients + [CORRECTED] * drawn + [SHARES] * shares
    return ", ".join([INTERVAL, *said]).replace(f", {SEEDS}", f" {SEEDS}")


def units_of(one: Result) -> Units:
    """What is drawn together of its cases."""
    return crossed.units(len(one.cases), one.patients, one.strata)


def stacked(results: Sequence[Result]) -> Float[np.ndarray, "seeds cases"]:
    """Their values, a row each."""
    return np.stack([np.asarray(result.values, np.float64) for result in results])


def of_column(cells: Sequence[Sequence[Result]], level: float) -> list[Ends]:
    """The interval of each cell, of whose seeds all saw the same cases; those of the same cases get the same draws."""
    found, alike, firm = [NONE] * len(cells), dict[Any, list[int]](), seeds_of(cells)
    for index, cell in enumerate(cells):
        if not cell or len(cell[0].cases) < 2:
            continue
        if cell[0].detections:
            found[index] = _inside(Drawn.of(cell).ends(level, firm[index]), cell)
        elif _right_or_wrong(cell):
            found[index] = wilson(int(cell[0].values.sum()), len(cell[0].cases), level)
        else:
            alike.setdefault((cell[0].cases, cell[0].patients, cell[0].strata), []).append(index)
    for own in alike.values():
        of = units_of(cells[own[0]][0])
        if not of.free:
            continue
        values = [stacked(cells[index]) for index in own]
        drawn = resamples([each.mean(axis=0) for each in values], of)
        for index, each, row in zip(own, values, drawn, strict=True):
            spread = crossed.spread(each, of, firm[index])
            ends = crossed.ends(float(each.mean()), row, spread, level=level)
            found[index] = _inside(ends, cells[index])
    return found


def resamples(means: Sequence[Float[np.ndarray, " cases"]], of: Units) -> Float[np.ndarray, "rows resamples"]:
    """What the mean of each is in resamples, the same for all."""
    return crossed.resampled(np.stack(means), of, resamples=crossed.number(len(of.strata)))


def _right_or_wrong(cell: Sequence[Result]) -> bool:
    """Whether they are of independent cases and one seed: few sums can come out, too few for resamples to tell ends."""
    one = cell[0]
    return len(cell) == 1 and not (one.patients or one.strata) and bool(np.isin(one.values, (0, 1)).all())


def seeds_of(cells: Sequence[Sequence[Result]]) -> list[Seeds | None]:
    """The variance between the seeds of each cell of a column, moderated by the others."""
    return moderated([[result.mean for result in cell] for cell in cells])


@dataclass(frozen=True, eq=False)
class Drawn:
    """What seeds gave on all images, and on resamples of them, the same for every seed and method."""

    metric: str
    cases: int
    values: Float[np.ndarray, " seeds"]
    drawn: Float[np.ndarray, "seeds resamples"]

    @classmethod
    def of(cls, cell: Sequence[Result], resamples: int = RESAMPLES) -> "Drawn":
        """Of the seeds of a cell."""
        each = [r.detections.resampled(r.metric, resamples=resamples) for r in cell if r.detections]
        return cls(cell[0].metric, len(cell[0].cases), np.array([r.mean for r in cell]), np.stack(each))

    def less(self, other: "Drawn") -> "Drawn":
        """The difference of two methods, seed by seed."""
        return Drawn(self.metric, self.cases, self.values - other.values, self.drawn - other.drawn)

    def times(self, sign: int) -> "Drawn":
        """With its sign."""
        return Drawn(self.metric, self.cases, sign * self.values, sign * self.drawn)

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(self.values.mean())

    def spread(self, own: Seeds | None) -> Spread:
        """Of that mean; `own` is the variance of the seeds."""
        return crossed.spread_of_drawn(self.drawn, self.cases, own)

    def ends(self, level: float, own: Seeds | None) -> Ends:
        """Its interval; the sensitivities of FROC are means of shares, and not moved."""
        if self.cases < 2 or np.isnan(self.drawn).all():
            return NONE
        biased = self.metric != "froc"
        return crossed.ends(self.mean, self.drawn.mean(axis=0), self.spread(own), level=level, biased=biased)


def _inside(ends: Ends, cell: Sequence[Result]) -> Ends:
    """Within what the metric can be, unless the values are weighted."""
    least, most = bounds(cell[0].metric)
    if cell[0].strata or math.isnan(ends[0]):
        return ends
    return max(least, ends[0]), min(most, ends[1])


def other_cases(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """How the cases of two results differ, in words; nothing where they are the same."""
    if one == other:
        return ""
    only = len(set(one) ^ set(other))
    return f"{only} are in only one of the two" if only else "the same in another order, or repeated"
