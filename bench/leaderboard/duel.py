"""The first of a ranking against the second: how far it leads, what to believe of that, and what would settle it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.equivalence import Belief, signed_rank
from bench.leaderboard.names import Scale
from bench.leaderboard.subgrid import Scores, Subgrid
from bench.spread import Lead, Needed, Spread, lead, lead_of_drawn, needed, spread

ROPE = {"%": 1.0, "mm": 1.0, "": 0.01}  # a difference that does not matter, in the unit that readers are shown
FEWEST = 5  # tasks of which a Bayesian signed-rank test is made


@dataclass(frozen=True)
class Duel:
    """The first against the second, on the tasks that are scored in one unit."""

    first: str
    second: str
    scale: Scale
    rope: float  # as `lead`, in the unit of the metric
    tied: bool  # whether they share the first place
    belief: Belief | None  # none of fewer than `FEWEST` tasks
    spread: Spread
    needed: Needed
    cases: tuple[int, int]  # fewest and most of a task

    @property
    def lead(self) -> float:
        """The mean difference, first less second."""
        return self.spread.lead


def duel(grid: Subgrid, first: int, second: int, rope: float | None, *, tied: bool) -> Duel:
    """Two methods, by their rows, on the tasks of the most common unit; `rope` in the unit that readers are shown.

    Differences in other units cannot be averaged with them.
    """
    tasks = _of_one_unit(grid)
    scale = tasks[0].scale
    little = (ROPE[scale.unit] if rope is None else rope) / scale.factor
    found = spread(_leads(tasks, first, second))
    differences = np.array([task.means[first] - task.means[second] for task in tasks])
    sizes = [len(task.cases) for task in tasks]
    return Duel(
        first=grid.methods[first],
        second=grid.methods[second],
        scale=scale,
        rope=little,
        tied=tied,
        belief=signed_rank(differences, little) if len(tasks) >= FEWEST else None,
        spread=found,
        needed=needed(found),
        cases=(min(sizes), max(sizes)),
    )


def _of_one_unit(grid: Subgrid) -> list[Scores]:
    (unit, _), *_ = Counter(task.scale.unit for task in grid.tasks).most_common()
    return [task for task in grid.tasks if task.scale.unit == unit]


def _leads(tasks: Sequence[Scores], first: int, second: int | None) -> list[Lead]:
    """Of a method over another, or over the mean of all; with the seeds that all tasks have, or else as of one."""
    common = sorted(set.intersection(*(set(task.seeds) for task in tasks)))
    found = []
    for task in tasks:
        rows = [task.seeds.index(seed) for seed in common] if common else list(range(task.per_seed.shape[1]))
        if task.values is not None:
            each = task.values[:, rows]
            of = each[first] - (each.mean(axis=0) if second is None else each[second])
            found.append(lead(of if common else of.mean(axis=0, keepdims=True)))
        else:
            assert task.drawn is not None
            scores = task.per_seed[:, rows]
            of = scores[first] - (scores.mean(axis=0) if second is None else scores[second])
            drawn = task.drawn[:, first] - (task.drawn.mean(axis=1) if second is None else task.drawn[:, second])
            found.append(lead_of_drawn(of if common else of.mean(keepdims=True), drawn))
    return found


def overall(grid: Subgrid) -> dict[str, float]:
    """Shares of the variance of a method's lead over the mean of all, added up over methods, by where it comes from."""
    tasks = _of_one_unit(grid)
    parts = np.array(
        [
            (s.of_tasks, s.of_seeds, s.of_cases)
            for i in range(len(grid.methods))
            for s in [spread(_leads(tasks, i, None))]
        ]
    )
    total = np.nansum(parts)
    shares = parts.sum(axis=0) / total if total > 0 else np.full(3, math.nan)
    return dict(zip(("tasks", "seeds", "cases"), shares.tolist(), strict=True))
