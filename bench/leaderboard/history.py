"""What moved from one store to another, or from then to now: which numbers, and which part of their key changed.

The same key must give the same numbers. Where it did not, that is told apart from all else, with what differs of the
environments: on a CPU it points to a mistake, of two devices or versions of torch it may be their arithmetic.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from bench.keys import Change, changes
from bench.leaderboard.comparison import compare
from bench.leaderboard.result import Result
from bench.leaderboard.snapshots import Kept, Snapshot
from bench.paired import holm

LEVEL = 0.05  # what an adjusted p-value has to be below
State = Literal["same", "conflict", "changed", "gone", "new"]


class Farthest(NamedTuple):
    """The case that moved most, of the primary metric or, where that stayed, of the first that did not."""

    metric: str
    case: str
    old: float
    new: float


@dataclass(frozen=True)
class Difference:
    """New minus old in the unit of the metric, over the cases that both were scored on.

    `low` and `high` (95 %), `p` and `adjusted` (for all cells that were tested) are nan where the two were scored on
    different cases, or on one.
    """

    value: float
    cases: int
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    adjusted: float = math.nan


@dataclass(frozen=True)
class Move:
    """What became of a cell.

    "same" key and numbers; "conflict", the same key and other numbers; "changed", another key; "gone" and "new", only
    in the old or only in the new.
    """

    state: State
    old: Kept | None
    new: Kept | None
    changes: tuple[Change, ...] = ()  # of the key; of a conflict, of the environment
    difference: Difference | None = None  # none where the numbers cannot be set beside each other
    farthest: Farthest | None = None
    moved: int = 0  # cases of which any number differs, or which only one side has

    @property
    def one(self) -> Kept:
        """The newer side that there is."""
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def id(self) -> str:
        """Of the cell, as the newer side calls it."""
        return self.one.id

    @property
    def was(self) -> str:
        """What the older side calls it, if that is another name."""
        return self.old.id if self.old and self.old.id != self.id else ""

    @property
    def verdict(self) -> str:
        """Whether a cell of another key is "better" or "worse" beyond chance; nothing where neither is shown."""
        if self.difference is None or not self.difference.adjusted < LEVEL:
            return ""
        return "better" if (self.difference.value > 0) == self.one.result.higher_is_better else "worse"


def moves(old: Snapshot, new: Snapshot) -> tuple[Move, ...]:
    """What became of each cell, by its id, from its newest record in `old` to its newest in `new`.

    Cells whose ids are on one side alone are one cell where their keys agree: its label changed. Older records of a key
    that both have are compared too, and told where they conflict.
    """
    pairs = _pairs(old.newest, new.newest)
    compared = {a.key for a, b in pairs if a and b and a.key == b.key}
    theirs = {cell.key: cell for cell in new.cells}
    older = [(a, theirs[a.key]) for a in old.cells if a.key in theirs and a.key not in compared]
    found = [_move(a, b) for a, b in pairs]
    found += [move for a, b in older if (move := _move(a, b)).state == "conflict"]
    return _adjusted(sorted(found, key=lambda move: (move.id, move.one.key)))


def _pairs(old: dict[str, Kept], new: dict[str, Kept]) -> list[tuple[Kept | None, Kept | None]]:
    renamed = {cell.key: cell for name, cell in new.items() if name not in old}
    pairs: list[tuple[Kept | None, Kept | None]] = []
    for name, cell in old.items():
        pairs.append((cell, new[name] if name in new else renamed.pop(cell.key, None)))
    return pairs + [(None, cell) for cell in renamed.values()]


def _move(old: Kept | None, new: Kept | None) -> Move:
    if old is None or new is None:
        return Move("new" if new else "gone", old, new)
    moved = _moved(old, new)
    if old.key != new.key:
        found = tuple(changes(old.record.parts, new.record.parts))
        return Move("changed", old, new, found, _difference(old.result, new.result, tested=True), moved=len(moved))
    if not moved and old.detections == new.detections:
        return Move("same", old, new)
    environment = tuple(changes(old.environment, new.environment))
    difference = _difference(old.result, new.result, tested=False)
    return Move("conflict", old, new, environment, difference, _farthest(old, new), len(moved))


# ---------------------------------------------------------------------------------------------- numbers


def _moved(old: Kept, new: Kept) -> set[str]:
    """Cases of which any number differs, or which only one side has; what is no number is equal to itself."""
    return {
        case
        for metric in old.scores.keys() | new.scores.keys()
        for a, b in ((old.scores.get(metric, {}), new.scores.get(metric, {})),)
        for case in a.keys() | b.keys()
        if case not in a or case not in b or not _equal(a[case], b[case])
    }


def _equal(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _farthest(old: Kept, new: Kept) -> Farthest | None:
    primary = new.result.metric
    for metric in sorted(old.scores.keys() & new.scores.keys(), key=lambda name: (name != primary, name)):
        a, b = old.scores[metric], new.scores[metric]
        apart = [case for case in a if case in b and not _equal(a[case], b[case])]
        if apart:
            case = max(apart, key=lambda case: (_size(b[case] - a[case]), case))
            return Farthest(metric, case, a[case], b[case])
    return None


def _size(difference: float) -> float:
    return math.inf if math.isnan(difference) else abs(difference)


def _difference(old: Result, new: Result, *, tested: bool) -> Difference | None:
    if old.metric != new.metric or old.phantom != new.phantom:
        return None
    if set(old.cases) != set(new.cases):
        return _of_common(old, new)
    if not tested:
        return Difference(new.mean - old.mean, len(new.cases))
    first, second = replace(new, method="new"), replace(_ordered(old, new.cases), method="old", found=new.found)
    (comparison,) = compare([first, second], "new", "old")
    if not comparison.differences:  # of detections in another order
        return Difference(new.mean - old.mean, len(new.cases))
    (d,) = comparison.differences
    sign = 1 if new.higher_is_better else -1
    low, high = sorted((sign * d.low, sign * d.high))
    return Difference(sign * d.effect, d.cases, low, high, d.p)


def _ordered(result: Result, cases: Sequence[str]) -> Result:
    """A result with its cases in this order."""
    if result.cases == cases or result.detections:
        return result
    place = {case: number for number, case in enumerate(result.cases)}
    order = [place[case] for case in cases]
    strata, patients = (tuple(of[number] for number in order) if of else () for of in (result.strata, result.patients))
    return replace(result, cases=tuple(cases), values=result.values[order], strata=strata, patients=patients)


def _of_common(old: Result, new: Result) -> Difference | None:
    """On the cases that both have, where the metric is a mean over cases."""
    if old.detections or new.detections or old.strata or new.strata:
        return None
    a, b = (dict(zip(result.cases, result.values.tolist(), strict=True)) for result in (old, new))
    common = [case for case in a if case in b]
    if not common:
        return None
    return Difference(math.fsum(b[case] - a[case] for case in common) / len(common), len(common))


def _adjusted(found: Sequence[Move]) -> tuple[Move, ...]:
    """With Holm's correction for all cells that were tested."""
    tested = [move.difference.p for move in found if move.difference and not math.isnan(move.difference.p)]
    adjusted = iter(holm(tested))
    return tuple(
        replace(move, difference=replace(move.difference, adjusted=next(adjusted)))
        if move.difference and not math.isnan(move.difference.p)
        else move
        for move in found
    )
