"""What a report is made of: the results of a grid or a store, the records behind them, and where those were made."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bench.keys import canonical
from bench.leaderboard.building import build
from bench.leaderboard.ranking import Ranking, rank
from bench.leaderboard.result import Result, kinds
from bench.leaderboard.table import Table
from bench.privacy import cleaned, private
from bench.store import Record

Environment = dict[str, str | int]


@dataclass(frozen=True, eq=False)
class Board:
    """The results on one kind of data with the records behind them, and what is made of them, at most once."""

    results: Sequence[Result]
    records: Sequence[Record]

    @cached_property
    def table(self) -> Table:
        """As it is printed."""
        (table,) = build(self.results)
        return table

    @cached_property
    def ranking(self) -> Ranking:
        """Of its methods."""
        (ranking,) = rank(self.results)
        return ranking


@dataclass(frozen=True, eq=False)
class Material:
    """What a report is made of: results, done or not, the records behind them, and the grid that asked for them."""

    name: str  # of the grid; a store has none
    results: Sequence[Result]
    records: Sequence[Record]  # of cells and of the pretrainings that those evaluate
    grid: Path | None = None
    failed: dict[str, str] = field(default_factory=dict)  # jobs that did, or cannot run, and why
    damaged: Sequence[str] = ()  # keys of folders that are no record

    @cached_property
    def boards(self) -> tuple[Board, ...]:
        """Real before phantom; only what there is."""
        told = [replace(record, facts=cleaned(record.facts)) for record in self.records]
        return tuple(
            Board(kind, [record for record in told if bool(record.facts.get("phantom")) is kind[0].phantom])
            for kind in kinds(self.results)
        )

    @cached_property
    def environments(self) -> list[tuple[Environment, int]]:
        """Every distinct environment, and how many records were made in it; the most first."""
        counts = Counter(canonical(environment(record)) for record in self.records)
        return [(json.loads(text), n) for text, n in sorted(counts.items(), key=lambda of: (-of[1], of[0]))]


def environment(record: Record) -> Environment:
    """What a record was made with: names and versions, and no place on a machine."""
    found = record.facts.get("environment", {})
    told = found.items() if isinstance(found, dict) else ()
    return {name: private(v) if isinstance(v, str) else v for name, v in told if isinstance(v, str | int)}
