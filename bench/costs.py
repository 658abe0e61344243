"""What jobs will cost, told from the records of jobs like them: seconds, between which, and how much memory.

A job is like a record at one of these levels, the first of which that has a record on this device is used. Times are
medians; where the amounts of work differ they are scaled by images (of a cell: cases) times epochs.

    a pretraining                            a cell                                             at least within
    the same but for seed and code           the same but for seed and code                            x 1.15
                                             another method's with such an encoder, same settings      x 1.25
    the same plug-in, views, encoder, batch  the same task and protocol                                x 1.4
    another method with such an encoder      the same protocol on another task                         x 2.5 (x 4)
    any other, scaled by pixels too          the same protocol on another encoder, by pixels too       x 5

The interval is meant for eight jobs in ten, on a logarithmic scale: 1.28 standard deviations of the records, to which
the usual spread between seeds in this store (0.2 where no two records tell it) is added as if it were one more record,
but at least the factor above; so one record alone is taken to be right within x 1.4. Features and images that are kept
make some of the same cells quick and others slow: the median is one or the other, and the interval has both. Where this
device has no record at all, those of others are used, within three times the factor, and it is said that they are.
Levels from another method or task on, and other devices, are `rough`: a probe tells more.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from bench.config import Executor
from bench.keys import Parts, canonical
from bench.machine import Machine, machine
from bench.plan import Job, Planned
from bench.sizes import Sizes, backbone, cell_units, encoder_size, pretraining_units, side
from bench.store import Record, Store

EIGHT_IN_TEN = 1.28  # standard deviations on either side of the middle of a normal distribution
ELSEWHERE = 3.0  # by which the least interval is wider for records of another device
UNTOLD, MOST = 0.2, 0.5  # the usual spread where no two records tell it, and the largest that is believed
SOME = 1000  # images times epochs, where not even these are known
USUAL = {"pretrain": 1 / 50, "evaluate": 1 / 200}  # seconds an image, where nothing at all is known

Basis = Literal["records", "other device", "probe", "unknown"]


@dataclass(frozen=True)
class Estimate:
    """What a job will cost. Where nothing is known its seconds are nan."""

    seconds: float = math.nan
    low: float = math.nan
    high: float = math.nan
    memory_mb: float = 0.0
    source: str = "unknown"
    basis: Basis = "unknown"
    rough: bool = True
    like: tuple[Record, ...] = field(default=(), repr=False, compare=False)

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return not math.isnan(self.seconds)


class Level(NamedTuple):
    """A degree of likeness."""

    words: str  # of its records
    factor: float  # the least width of the interval, on either side
    scaled: bool = True
    rough: bool = False


SAME = Level("of this pretraining, other seeds or code", 1.15, scaled=False)
LIKE = Level("of this method and encoder, scaled by images x epochs", 1.4)
OTHER = Level("of other methods with such an encoder, scaled by images x epochs", 2.5, rough=True)
ANY = Level("of other pretrainings, scaled by images x epochs x pixels", 5.0, rough=True)
PRETRAINING = (SAME, LIKE, OTHER, ANY)
CELL = (
    Level("of this cell, other seeds or code", 1.15, scaled=False),
    Level("of such cells of other methods", 1.25, scaled=False),
    Level("of this task and protocol, scaled by cases x epochs", 1.4),
    Level("of this protocol on other tasks, scaled by cases x epochs", 4.0, rough=True),
    Level("of this protocol on other encoders, scaled by cases x epochs x pixels", 5.0, rough=True),
)


class Sample(NamedTuple):
    """A finished job: its seconds, the images that it looked at (0: unknown) and their side."""

    seconds: float
    units: int
    side: int
    record: Record


class Book:
    """The records of a store by what they are like. `natures` is what is scored in which case, by task plug-in."""

    def __init__(
        self, records: Iterable[Record], here: Machine, natures: Mapping[str, str], drawn: int | None = None
    ) -> None:
        records = list(records)
        self.natures, self.here = natures, here
        self.sizes = Sizes(records, drawn) if drawn else Sizes(records)
        self.known: dict[tuple[bool, Level, Any], list[Sample]] = defaultdict(list)
        self.told: dict[Any, Estimate] = {}
        for record in records:
            if sample := _sample(record):
                for level, key in _keys(record.facts["kind"], record.parts, natures):
                    self.known[here.ran(record), level, key].append(sample)
        seeds = {level: [of for (_, at, _), of in self.known.items() if at == level] for level in (SAME, CELL[0])}
        self.usual = {"pretrain": _usual(seeds[SAME]), "evaluate": _usual(seeds[CELL[0]])}

    def estimate(self, job: Job) -> Estimate:
        """What the records say of a job; the same for all its seeds."""
        keys = _keys(job.kind, job.parts, self.natures)
        if (same := keys[0]) not in self.told:
            self.told[same] = self._estimate(job, keys)
        return self.told[same]

    def kind(self, job: Job) -> Any:
        """What jobs have in common that one probe speaks for: a cell's encoder, and not how that was pretrained."""
        return _keys(job.kind, job.parts, self.natures)[job.kind == "evaluate"]

    def _estimate(self, job: Job, keys: Sequence[tuple[Level, Any]]) -> Estimate:
        for here in (True, False):
            for level, key in keys:
                found = self.known.get((here, level, key), [])
                if level.scaled and found:
                    found = [sample for sample in found if sample.units] if self.sizes.units(job) else []
                if found:
                    return self._from(job, level, found, here)
        return Estimate()

    def _from(self, job: Job, level: Level, found: Sequence[Sample], here: bool) -> Estimate:
        units, pixels = self.sizes.units(job) if level.scaled else 1, _side(job.kind, job.parts) ** 2
        times = [s.seconds * units / s.units if level.scaled else s.seconds for s in found]
        if level in (ANY, CELL[-1]):
            times = [time * pixels / s.side**2 for time, s in zip(times, found, strict=True) if s.side]
        logs = [math.log(max(time, 1e-3)) for time in times]
        middle, mean = statistics.median(logs), statistics.fmean(logs)
        variance = (self.usual[job.kind] ** 2 + sum((log - mean) ** 2 for log in logs)) / len(logs)
        factor = level.factor * (1.0 if here else ELSEWHERE)
        half = max(math.log(factor), EIGHT_IN_TEN * math.sqrt(variance * (1 + 1 / len(logs))))
        return Estimate(
            seconds=math.exp(middle),
            low=math.exp(middle - half),
            high=math.exp(middle + half),
            memory_mb=statistics.median(float(s.record.facts.get("peak_memory_mb") or 0) for s in found),
            source=_said(level, found, here),
            basis="records" if here else "other device",
            rough=level.rough or not here,
            like=tuple(s.record for s in found),
        )


def _said(level: Level, found: Sequence[Sample], here: bool) -> str:
    count = f"{len(found)} record{'s' * (len(found) > 1)} {level.words}"
    if here:
        return count
    made = {str(env.get("device", "?")): env for s in found for env in [s.record.facts.get("environment") or {}]}
    threads = {env.get("threads", "?") for env in made.values()}
    return f"{count}; of another device or number of threads ({', '.join(made)}; {', '.join(map(str, threads))})"


def _usual(groups: Iterable[Sequence[Sample]]) -> float:
    """The usual standard deviation, of logarithms of seconds, between jobs that differ in seeds."""
    spreads = [statistics.stdev(math.log(max(s.seconds, 1e-3)) for s in group) for group in groups if len(group) > 1]
    return min(statistics.median(spreads), MOST) if spreads else UNTOLD


def _sample(record: Record) -> Sample | None:
    """A record as a sample. The last part of a pretraining that was stopped is not all of it: its speed tells."""
    facts, parts = record.facts, record.parts
    if not (seconds := float(facts.get("seconds") or 0.0)) or facts.get("kind") not in USUAL:
        return None
    if facts["kind"] == "pretrain":
        units = pretraining_units(parts, int(facts.get("images") or 0))
        speed = float(facts.get("images_per_second") or 0.0)
        return Sample(max(seconds, units / speed if speed else 0.0), units, _side("pretrain", parts), record)
    return Sample(seconds, cell_units(parts, facts.get("cases") or {}), _side("evaluate", parts), record)


def _side(kind: str, parts: Parts) -> int:
    return encoder_size(parts) if kind == "pretrain" else side(parts)


def _keys(kind: str, parts: Parts, natures: Mapping[str, str]) -> list[tuple[Level, Any]]:
    """What a job has in common with those that are like it, by level; each key holds all that has to be equal."""
    encoder = parts if kind == "pretrain" else parts["encoder"]
    method = {name: value for name, value in encoder["method"].items() if name != "source"}
    size, views = (backbone(encoder), encoder_size(encoder)), canonical(encoder.get("views", {}))
    recipe = {name: value for name, value in encoder.get("recipe", {}).items() if name != "init"}  # as quick from any
    whole = canonical([method, recipe, encoder.get("corpus"), encoder.get("weights")])
    if kind == "pretrain":
        one = (method["plugin"], views, *size, recipe["batch_size"])
        return list(zip(PRETRAINING, ((whole, views), one, size, ()), strict=True))
    task, protocol = parts["task"], parts["protocol"]
    name, nature = protocol["name"], natures.get(task["name"], f"like no other: {task['name']}")
    settings = canonical([protocol["settings"], {k: v for k, v in task.items() if k != "source"}])
    size = (size[0], side(parts))
    keys = [(whole, views, size, name, settings), (size, name, settings), (size, name, task["name"])]
    return list(zip(CELL, [*keys, (size, name, nature), (name, nature)], strict=True))


def natures(jobs: Iterable[Job]) -> dict[str, str]:
    """What is scored in which case, by the name of the task plug-in: only such cells are compared across tasks."""
    entries = {job.task.name: job.task for job in jobs if job.task}
    cards = {entry.plugin.name: entry.load().info for entry in entries.values()}
    return {name: f"{info.target} in {info.case}" for name, info in cards.items()}


def book(planned: Sequence[Planned], store: Store, here: Machine, drawn: int | None = None) -> Book:
    """The records of a store, for the jobs of a grid."""
    return Book(store.newest(), here, natures([p.job for p in planned]), drawn)


def seconds(planned: Sequence[Planned], store: Store, executor: Executor) -> dict[str, float]:
    """Predicted seconds of the jobs that are not done, by id, for the scheduler. Nothing is run to find out.

    Where nothing is known of a job, it is taken to be as fast for each image as the median of those of its kind.
    """
    told = book(planned, store, machine(executor, newest(store)))
    estimates = [(p.job, told.estimate(p.job), told.sizes.units(p.job)) for p in planned if p.state != "cached"]
    usual = dict(USUAL)
    for kind in USUAL:
        known = [of.seconds / units for job, of, units in estimates if job.kind == kind and of.known and units]
        usual[kind] = statistics.median(known) if known else USUAL[kind]
    return {job.id: of.seconds if of.known else usual[job.kind] * (units or SOME) for job, of, units in estimates}


def newest(store: Store) -> Record | None:
    """The newest record of a store."""
    return max(store.newest(), key=lambda record: str(record.facts.get("started", "")), default=None)
