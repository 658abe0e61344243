"""Where the uncertainty of one method's lead over another comes from: seeds, cases, tasks; and what would settle it.

The lead d of a task, seed and case is a sum of effects of the task, of the seed (one pretraining is scored in all
tasks, so a seed may move all of them alike), of the seed in that task, of the case, and a rest. The variances of these
effects are estimated by the method of moments: means of squares are set equal to what they are expected to be, and what
comes out below 0 is 0 (Searle, Casella & McCulloch, Variance Components, 1992, chapter 4).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SEEN = 1.96  # standard errors from which on a lead is no chance, nineteen times in twenty
POWER = 0.84  # more of them, with which a lead of that size is seen four times in five


@dataclass(frozen=True, eq=False)
class Lead:
    """Of one task: the lead of each seed, and the variance of its mean that comes from cases.

    `rest` is the part of that variance that would shrink with more seeds too; `within` is the variance between seeds.
    """

    per_seed: Float[np.ndarray, " seeds"]
    cases: float
    rest: float
    within: float


@dataclass(frozen=True)
class Spread:
    """The mean lead over `tasks` tasks with `seeds` seeds each, and what its variance consists of.

    `of_tasks` is nan for one task and `of_seeds` for one seed, which do not show how much they matter.
    """

    lead: float
    tasks: int
    seeds: int
    of_tasks: float
    of_seeds: float
    of_cases: float
    rest: float  # the part of `of_cases` that more seeds would shrink
    own: float  # the part of `of_seeds` that is different in each task, and so shrinks with more tasks

    @property
    def here(self) -> float:
        """The standard error of the lead on these very tasks: other seeds, other cases."""
        return math.sqrt(_given(self.of_seeds) + self.of_cases)

    @property
    def anywhere(self) -> float:
        """The standard error of the lead on tasks of this kind: other tasks, seeds and cases."""
        return math.sqrt(_given(self.of_tasks) + _given(self.of_seeds) + self.of_cases)

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the variance of the mean lead by tasks, seeds and cases; nan where all of it is 0."""
        total = self.anywhere**2
        parts = {"tasks": self.of_tasks, "seeds": self.of_seeds, "cases": self.of_cases}
        return {name: part / total if total > 0 else math.nan for name, part in parts.items()}


def lead(differences: Float[np.ndarray, "seeds cases"]) -> Lead:
    """The lead in a task from that of each seed and case, by two-way analysis of variance without repetitions."""
    seeds, cases = differences.shape
    per_seed, per_case, mean = differences.mean(axis=1), differences.mean(axis=0), differences.mean()
    left = differences - per_seed[:, None] - per_case + mean
    within = float(per_seed.var(ddof=1)) if seeds > 1 else math.nan
    if cases < 2:
        return Lead(per_seed, 0.0, 0.0, within)
    between = float(per_case.var(ddof=1))  # of the case itself, and of the rest over seeds
    rest = float((left**2).sum()) / ((seeds - 1) * (cases - 1)) / seeds if seeds > 1 else 0.0
    return Lead(per_seed, max(between, rest) / cases, min(rest, between) / cases, within)


def lead_of_drawn(per_seed: Float[np.ndarray, " seeds"], drawn: Float[np.ndarray, " resamples"]) -> Lead:
    """As `lead`, of a metric that is no mean over cases, from its mean over seeds in resamples of the cases."""
    within = float(per_seed.var(ddof=1)) if len(per_seed) > 1 else math.nan
    return Lead(per_seed, float(np.nanvar(drawn)), 0.0, within)


def spread(leads: Sequence[Lead]) -> Spread:
    """The lead over all tasks, which have the same seeds in the same order. Raises ValueError if they have not."""
    if len({len(one.per_seed) for one in leads}) != 1:
        raise ValueError("the tasks have different numbers of seeds")
    each = np.stack([one.per_seed for one in leads])
    tasks, seeds = each.shape
    cases = float(np.mean([one.cases for one in leads])) / tasks
    rest = float(np.mean([one.rest for one in leads])) / tasks
    of_seeds, own = math.nan, 0.0
    if seeds > 1:
        # The seeds' means hold their effects and the rest of the cases, which is counted there.
        common = max(0.0, float(each.mean(axis=0).var(ddof=1)) / seeds - rest)
        within = max(0.0, float(np.mean([one.within for one in leads])) / seeds - rest * tasks)
        # common = shared + own / tasks and within = shared + own, each over the seeds.
        own = max(0.0, (within - common) / (tasks - 1)) if tasks > 1 else 0.0
        of_seeds = common
    between = float(each.mean(axis=1).var(ddof=1)) / tasks if tasks > 1 else math.nan
    of_tasks = max(0.0, between - cases - own) if tasks > 1 else math.nan
    return Spread(float(each.mean()), tasks, seeds, of_tasks, of_seeds, cases, rest, own)


@dataclass(frozen=True)
class Needed:
    """How many would show a lead of this size four times in five, all else as it is; inf: no number would.

    `seeds` and `cases` (times as many as now) are for these very tasks, `tasks` for tasks of this kind. nan: not known,
    from one seed or one task.
    """

    seeds: float
    cases: float
    tasks: float


def needed(of: Spread) -> Needed:
    """The numbers with which the lead is `SEEN` + `POWER` standard errors, by a normal approximation.

    It takes the lead that was observed for the true one, which is optimistic for a small lead: a first guess for
    planning. No lead, or one of the other sign, gives inf.
    """
    aim = (of.lead / (SEEN + POWER)) ** 2 if of.lead > 0 else 0.0
    seeds_now = _given(of.of_seeds)
    by_seeds = _times(seeds_now + of.rest, aim - (of.of_cases - of.rest)) * of.seeds
    by_cases = _times(of.of_cases, aim - seeds_now)
    by_tasks = _times(_given(of.of_tasks) + of.own + of.of_cases, aim - max(0.0, seeds_now - of.own)) * of.tasks
    return Needed(
        math.nan if math.isnan(of.of_seeds) else _whole(by_seeds),
        by_cases,
        math.nan if math.isnan(of.of_tasks) else _whole(by_tasks),
    )


def _times(part: float, room: float) -> float:
    """How many times as many it takes for a part of a variance to fit the room."""
    return math.inf if room <= 0 else part / room


def _whole(number: float) -> float:
    return number if math.isinf(number) else max(1.0, float(math.ceil(number - 1e-9)))


def _given(part: float) -> float:
    return 0.0 if math.isnan(part) else part
