"""What each method of a board has cost: parameters, device hours, images a second; and which are worth their cost.

All is told by records. Hours are those of one seed on the devices named beside them, and say nothing of other devices;
what no record tells, such as the pretraining of a foundation model, is None and never 0.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.keys import digest
from bench.leaderboard.table import Row, Table
from bench.sizes import pretraining_units
from bench.store import Record

HOUR = 3600.0  # seconds


@dataclass(frozen=True)
class Expense:
    """Of a method entry; hours are of a job's wall time, and None, as all else, where a record does not tell."""

    method: str
    parameters: int | None  # of the encoder that is evaluated; None too where records differ
    pretraining_hours: float | None  # mean over seeds, with the pretrainings that it starts from
    evaluation_hours: float | None  # of all cells, each the mean over its seeds
    images_per_second: float | None  # of pretraining, mean over seeds
    pretrained_on: tuple[str, ...] = ()  # devices, each once
    evaluated_on: tuple[str, ...] = ()
    cells: int = 0  # tasks under a protocol that the hours of evaluation are of

    @property
    def devices(self) -> tuple[str, ...]:
        """All devices, each once."""
        return tuple(dict.fromkeys((*self.pretrained_on, *self.evaluated_on)))

    @property
    def device(self) -> str:
        """Its devices in words; none where no record names one."""
        return " and ".join(self.devices)

    @property
    def mixed(self) -> bool:
        """Whether its hours are of different devices, and so not to be added or compared."""
        return len(self.devices) > 1


def expenses(records: Iterable[Record], table: Table) -> dict[str, Expense]:
    """What each row that was measured has cost, by its name, told by the `records` that stand behind its cells.

    Of those there may be more than a table shows, such as all of a store; pretrainings are found by their keys.
    """
    known = {record.key: record for record in records if isinstance(record.parts, Mapping)}  # they come from disk
    return {row.method: _expense(row, known) for row in table.rows if not row.source}


def front(
    costs: Sequence[float | int | None],
    scores: Sequence[float | int | None],
    *,
    cheaper_is_less: bool = True,
    higher_is_better: bool = True,
) -> tuple[int, ...]:
    """The Pareto front, by index from the cheapest on: whatever no other is as good as and better in one of the two.

    Equals are all on it. What has a cost or a score that is None or not finite is left out. Raises ValueError where
    there are not as many scores as costs.
    """
    known = [
        (index, cost if cheaper_is_less else -cost, score if higher_is_better else -score)
        for index, (cost, score) in enumerate(zip(costs, scores, strict=True))
        if cost is not None and score is not None and math.isfinite(cost) and math.isfinite(score)
    ]
    chosen, best, at = list[int](), -math.inf, math.nan
    for index, cost, score in sorted(known, key=lambda one: (one[1], -one[2], one[0])):
        if score > best or (score == best and cost == at):
            chosen.append(index)
            best, at = score, cost
    return tuple(chosen)


def _expense(row: Row, known: Mapping[str, Record]) -> Expense:
    cells = [[known[key] for key in cell.records if key in known] for cell in row.cells if cell.records]
    scored = [record for of in cells for record in of]
    keys = dict.fromkeys(digest(record.parts.get("encoder")) for record in scored)
    trained = [known[key] for key in keys if key in known and known[key].facts.get("kind") == "pretrain"]
    chains = [_chain(record, known) for record in trained]
    return Expense(
        row.method,
        parameters=_parameters(scored) or _parameters(trained),
        pretraining_hours=_hours([_mean([_whole(chain) for chain in chains])]),
        evaluation_hours=_hours([_mean([_seconds(record) for record in of]) for of in cells]),
        images_per_second=_mean([_positive(record.facts.get("images_per_second")) for record in trained]),
        pretrained_on=_devices(record for chain in chains for record in chain or ()),
        evaluated_on=_devices(scored),
        cells=len(cells),
    )


def _chain(record: Record, known: Mapping[str, Record]) -> list[Record] | None:
    """A pretraining and those that it starts from, itself last; None where one of them is gone."""
    recipe = record.parts.get("recipe")
    init = recipe.get("init") if isinstance(recipe, Mapping) else None
    if not isinstance(init, Mapping):
        return [record]
    first = known.get(digest(init))  # whose own start is a part of this one's parts, so this comes to an end
    before = _chain(first, known) if first else None
    return [*before, record] if before else None


def _whole(chain: Sequence[Record] | None) -> float | None:
    return _sum([_seconds(record) for record in chain]) if chain else None


def _seconds(record: Record) -> float | None:
    """How long a job took. The last part of a pretraining that was stopped is not all of it: its speed tells."""
    seconds = _positive(record.facts.get("seconds"))
    speed = _positive(record.facts.get("images_per_second"))
    if seconds is None or speed is None or record.facts.get("kind") != "pretrain":
        return seconds
    try:
        return max(seconds, pretraining_units(record.parts, int(record.facts.get("images") or 0)) / speed)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return seconds


def _parameters(records: Sequence[Record]) -> int | None:
    told = {number for record in records if (number := _positive(record.facts.get("parameters")))}
    return int(told.pop()) if len(told) == 1 else None


def _devices(records: Iterable[Record]) -> tuple[str, ...]:
    made = [record.facts.get("environment") for record in records]
    return tuple(dict.fromkeys(str(of["device"]) for of in made if isinstance(of, Mapping) and of.get("device")))


def _positive(value: Any) -> float | None:
    """A number above 0; whatever else a record says in its place is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < math.inf else None


def _sum(values: Sequence[float | None]) -> float | None:
    """None where any is: a part is not the whole."""
    known = [value for value in values if value is not None]
    return math.fsum(known) if known and len(known) == len(values) else None


def _mean(values: Sequence[float | None]) -> float | None:
    """Over seeds, of those that are known: any of them is as good as another."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _hours(seconds: Sequence[float | None]) -> float | None:
    whole = _sum(seconds)
    return None if whole is None else whole / HOUR
