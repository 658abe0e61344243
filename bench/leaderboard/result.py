"""One seed of one cell of the grid, as boards are made from it; real and phantom data apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from bench.detections import Detections

STATES = ("done", "failed", "pending")
RESAMPLES = 1000  # of what is recomputed from detections; means over cases have more


@dataclass(frozen=True, eq=False)
class Result:
    """One seed of one cell of the grid; done, it holds the primary metric of each test case, else none.

    `found` of `official` cases of the task's data set are there (0 of 0: unknown). Raises ValueError, naming the
    cell, for values that cannot be averaged: a state that does not exist, a value that is missing or not finite.
    """

    method: str
    task: str
    protocol: str
    seed: int
    state: str  # "done", "failed" or "pending"
    metric: str
    phantom: bool
    found: int
    official: int
    cases: tuple[str, ...]
    values: Float[np.ndarray, " cases"]
    higher_is_better: bool = True
    seen: int = 0  # test cases whose image is also a training image of the task, as published
    collapsed: bool = False  # whether the pretraining behind it did
    part: bool = False  # of what another result tells whole, and so in no mean over columns
    strata: tuple[str, ...] = ()  # of the cases, where they are resampled within those
    detections: "Detections | None" = None  # in place of values, of a metric that is no mean over cases
    patients: tuple[str, ...] = ()  # of the cases, where one has several, which are drawn together
    group: str = ""  # of rows
    family: str = ""  # of columns
    record: str = ""  # the key of the record it is read from
    may_have_seen: bool = False  # its test images, by what the pretraining behind it is said to have learnt from
    row: str = ""  # where it stands, if not in the row of its method
    column: str = ""  # and if not in the column of its task and protocol

    def __post_init__(self) -> None:
        """Refuse what cannot be averaged."""
        bad = int(np.count_nonzero(~np.isfinite(self.values)))
        if self.state not in STATES:
            raise ValueError(f"{self.name}: state is {self.state!r}, not one of {', '.join(STATES)}")
        if len(self.cases) != len(self.values) and self.detections is None:
            raise ValueError(f"{self.name}: {len(self.cases)} cases but {len(self.values)} values")
        for what, of in (("strata", self.strata), ("patients", self.patients)):
            if of and len(of) != len(self.cases):
                raise ValueError(f"{self.name}: {len(self.cases)} cases but {len(of)} {what}")
        if (self.state == "done") != bool(self.cases):
            raise ValueError(f"{self.name}: {self.state}, with {len(self.cases)} cases")
        if bad:
            raise ValueError(f"{self.name}: {bad} of {len(self.values)} values are not finite (NaN or infinite)")

    @property
    def mean(self) -> float:
        """The metric over all cases."""
        return self.detections.value(self.metric) if self.detections else float(np.asarray(self.values, float).mean())

    @property
    def name(self) -> str:
        """Its human id, as on the command line and in the store."""
        return f"{self.method}/{self.task}/{self.protocol}/{self.seed}"


def kinds(results: Sequence[Result]) -> list[list[Result]]:
    """The results on real data and those on phantoms, which never share a table; only what there is."""
    apart = [[result for result in results if result.phantom is phantom] for phantom in (False, True)]
    return [kind for kind in apart if kind]
