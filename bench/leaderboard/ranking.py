"""Methods ranked over the tasks of a board: every ordering, how firm it is, and what parts the first two."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from bench import ranks as orders
from bench.friedman import Friedman, friedman
from bench.leaderboard.duel import Duel, duel, overall
from bench.leaderboard.result import Result, kinds
from bench.leaderboard.subgrid import Scores, Subgrid, subgrid
from bench.stability import Places, over_cases, over_columns
from bench.stats import percentiles

RESAMPLES = 2000  # of tasks, or seeds
Ends = tuple[float, float]
_NONE: Ends = (math.nan, math.nan)


@dataclass(frozen=True)
class Row:
    """A method; ends are of 95 % intervals, and nan where there is one task, or one seed for `iqm`."""

    method: str
    mean_rank: float
    rank_ends: Ends  # over other tasks
    borda: float
    wins: float  # share
    elo: float
    elo_ends: Ends  # over other tasks
    iqm: float
    iqm_ends: Ends  # over other seeds
    mean: float  # in the unit of the metric; nan where the tasks have several metrics
    groups: str  # letters, shared with those it is not told apart from; none without a test
    first_by_cases: float  # share of resamples in which it is first
    first_by_tasks: float
    places_by_cases: Ends
    places_by_tasks: Ends


@dataclass(frozen=True)
class Agreement:
    """Of two protocols, on the tasks that both are used for: Kendall's tau of the mean ranks, and who leads."""

    first: str
    second: str
    tasks: int
    tau: float
    leaders: tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Ranking:
    """Of real or of phantom data, never both; rows by mean rank. Without rows there is nothing to rank."""

    grid: Subgrid
    rows: tuple[Row, ...]
    test: Friedman | None
    duel: Duel | None
    orderings: dict[str, float]  # Kendall's tau between those named
    protocols: tuple[Agreement, ...]
    shares: dict[str, float]  # of the variance of a method's lead over the mean of all, by tasks, seeds and cases

    @property
    def name(self) -> str:
        """The kind of data: "real" or "phantom"."""
        return "phantom" if self.grid.phantom else "real"


def rank(results: Sequence[Result], rope: float | None = None) -> tuple[Ranking, ...]:
    """One ranking per kind of data, real before phantom; `rope` in the unit that readers are shown."""
    return tuple(_ranking(subgrid(kind), rope) for kind in kinds(results))


def _ranking(grid: Subgrid, rope: float | None) -> Ranking:
    if not grid.tasks or len(grid.methods) < 2:
        return Ranking(grid, (), None, None, {}, (), {})
    scores = np.stack([task.means for task in grid.tasks], axis=1)
    test = friedman(scores)
    rows = _rows(grid, scores, test)
    order = sorted(range(len(rows)), key=lambda i: (rows[i].mean_rank, -rows[i].iqm, i))
    first, second = order[:2]
    return Ranking(
        grid,
        tuple(rows[i] for i in order),
        test,
        duel(grid, first, second, rope, tied=rows[second].mean_rank - rows[first].mean_rank < 1e-9),
        _orderings(rows, grid.tasks[0].higher_is_better),
        _agreements(grid),
        overall(grid),
    )


def _rows(grid: Subgrid, scores: Float[np.ndarray, "methods tasks"], test: Friedman) -> list[Row]:
    of, won, several = orders.ranks(scores), orders.beaten(scores), scores.shape[1] > 1
    counts = orders.drawn_columns(scores.shape[1], RESAMPLES, 0)
    per_seed = orders.normalised([task.per_seed for task in grid.tasks])
    cases, tasks = _places_by_cases(grid), over_columns(of, resamples=RESAMPLES)
    rank_ends, elo_ends = [_NONE] * len(of), [_NONE] * len(of)
    if several:
        level = orders.widened(scores.shape[1])
        rank_ends = _ends(counts @ of.T / scores.shape[1], level)
        elo_ends = _ends(orders.elo(won, counts), level)
    iqm_ends = _ends(orders.resampled_iqm(per_seed, resamples=RESAMPLES))
    borda, wins, elo = orders.borda(scores), orders.win_rate(scores), orders.elo(won)
    iqm, mean = orders.iqm(np.concatenate(per_seed, axis=1)), _means(grid)
    return [
        Row(
            method=method,
            mean_rank=float(test.mean_ranks[i]),
            rank_ends=rank_ends[i],
            borda=float(borda[i]),
            wins=float(wins[i]),
            elo=float(elo[i]),
            elo_ends=elo_ends[i],
            iqm=float(iqm[i]),
            iqm_ends=iqm_ends[i],
            mean=float(mean[i]),
            groups=_letters(test, i),
            first_by_cases=float(cases.first[i]),
            first_by_tasks=float(tasks.first[i]) if several else math.nan,
            places_by_cases=(float(cases.low[i]), float(cases.high[i])),
            places_by_tasks=(float(tasks.low[i]), float(tasks.high[i])) if several else _NONE,
        )
        for i, method in enumerate(grid.methods)
    ]


def _ends(drawn: Float[np.ndarray, "resamples methods"], level: float = 0.95) -> list[Ends]:
    return [percentiles(of, level) for of in drawn.T]


def _means(grid: Subgrid) -> Float[np.ndarray, " methods"]:
    """Over tasks that have one metric, in its unit."""
    if len({task.metric for task in grid.tasks}) > 1:
        return np.full(len(grid.methods), math.nan)
    sign = 1.0 if grid.tasks[0].higher_is_better else -1.0
    found: np.ndarray = sign * np.mean([task.means for task in grid.tasks], axis=0)
    return found


def _places_by_cases(grid: Subgrid) -> Places:
    return over_cases([task.resampled(number) for number, task in enumerate(grid.tasks)])


def _letters(test: Friedman, method: int) -> str:
    """The letters of the groups a method is in."""
    own = [number for number, group in enumerate(test.groups) if method in group and not math.isnan(test.p)]
    return "".join(chr(ord("a") + number) if number < 26 else f"[{number + 1}]" for number in own)


def _orderings(rows: Sequence[Row], higher_is_better: bool) -> dict[str, float]:
    """Kendall's tau of each two orderings; Borda, wins and Elo are left out, for they are the mean rank's."""
    of = {"mean rank": [-r.mean_rank for r in rows], "interquartile mean": [r.iqm for r in rows]}
    if not math.isnan(rows[0].mean):
        of["mean score"] = [r.mean if higher_is_better else -r.mean for r in rows]
    return {f"{a} / {b}": orders.kendall(np.array(of[a]), np.array(of[b])) for a, b in combinations(of, 2)}


def _agreements(grid: Subgrid) -> tuple[Agreement, ...]:
    """Each two protocols, on the tasks they have in common."""
    of: dict[str, dict[str, Scores]] = {}
    for column in grid.columns:
        of.setdefault(column.protocols[0], {})[column.task] = column
    found = []
    for first, second in combinations(of, 2):
        shared = [task for task in of[first] if task in of[second]]
        if not shared:
            continue
        means = [
            orders.ranks(np.stack([of[name][task].means for task in shared], axis=1)).mean(axis=1)
            for name in (first, second)
        ]
        tau = orders.kendall(-means[0], -means[1])
        found.append(Agreement(first, second, len(shared), tau, (_first(grid, means[0]), _first(grid, means[1]))))
    return tuple(found)


def _first(grid: Subgrid, mean_ranks: Float[np.ndarray, " methods"]) -> tuple[str, ...]:
    """Those of the best mean rank."""
    least = mean_ranks.min() + 1e-9
    return tuple(method for method, mean in zip(grid.methods, mean_ranks, strict=True) if mean <= least)
