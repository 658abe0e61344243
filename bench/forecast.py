"""What a grid will cost before it is paid: each job's estimate, from records or else a probe, and all of them together.

The range of a sum is the sum of the ranges: a machine that is busier than it was is so for all jobs. Wall time is that
of the scheduler's own order on as many workers, with a start-up for each; disk is what is kept: encoders, predictions
and scores as of like records, and decoded images once for each set of them and size.
"""

import heapq
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.config import Grid
from bench.costs import Book, Estimate, book, newest
from bench.executors import Place
from bench.machine import Machine, machine, memory_mb
from bench.plan import Job, Planned
from bench.queue import Queue
from bench.sizes import side
from bench.store import Store

START = 8.0  # seconds until a worker has imported what it needs


@dataclass(frozen=True)
class Cost:
    """A job that is to run and what it will cost, with its share of the reading of images that several jobs share."""

    job: Job
    estimate: Estimate
    disk_mb: float


@dataclass(frozen=True)
class Forecast:
    """All jobs that are to run, and what they cost together. Times are of those of which anything is known."""

    costs: tuple[Cost, ...]
    machine: Machine
    seconds: tuple[float, float, float]  # of one worker: likely, low, high
    wall: tuple[float, float, float]
    gpu_hours: float
    cpu_hours: float
    disk_mb: float
    images_mb: float  # of which decoded images
    free_mb: float
    memory_mb: float  # of the largest job
    memory_there_mb: float
    sure: Mapping[str, float] = field(default_factory=dict)  # share of the time by where it is known from

    @property
    def unknown(self) -> int:
        """Jobs of which nothing is known."""
        return sum(not cost.estimate.known for cost in self.costs)

    def warnings(self) -> list[str]:
        """What will not fit."""
        said = []
        if self.disk_mb > self.free_mb:
            said.append(f"the disk has {self.free_mb / 1024:.1f} GB free, and {self.disk_mb / 1024:.1f} GB are needed")
        several = 1 if self.machine.gpu else self.machine.workers
        if self.memory_there_mb and self.memory_mb * several > self.memory_there_mb:
            what = "the GPU" if self.machine.gpu else "this machine"
            times = f"{several} workers with " if several > 1 else ""
            said.append(
                f"{what} has {self.memory_there_mb / 1024:.1f} GB of memory, and {times}the largest job"
                f" may need {self.memory_mb / 1024:.1f} GB; set fewer workers or a smaller batch_size"
            )
        return said


def forecast(
    planned: Sequence[Planned], grid: Grid, store: Store, seconds: float, tell: Callable[[str], None]
) -> Forecast:
    """What the jobs that are to run will cost, with a probe of `seconds` for each kind that no record tells of."""
    here = machine(grid.executor, newest(store))
    told = book(planned, store, here, grid.data.phantom_cases)
    jobs = [p.job for p in planned if p.state == "run"]
    estimates = {job.id: told.estimate(job) for job in jobs}
    disk = {job.id: _kept(estimates[job.id]) for job in jobs}
    if seconds > 0 and grid.executor.kind in ("local", "inline"):
        _probed(jobs, told, grid, here, seconds, tell, estimates, disk)
    costs = tuple(Cost(job, estimates[job.id], disk[job.id]) for job in jobs)
    ready = [p.job for p in planned if p.state == "cached"]
    return _summed(costs, here, _images_mb(jobs, ready, told), store)


# ------------------------------------------------------------------------------------------- probes


def _probed(
    jobs: Sequence[Job], told: Book, grid: Grid, here: Machine, seconds: float, tell: Callable[[str], None],
    estimates: dict[str, Estimate], disk: dict[str, float],
) -> None:  # fmt: skip
    """Replace what the records leave open: one probe for the seeds and labels of a job, and of a cell for methods."""
    from bench.probe import Ask, probe

    kinds: dict[Any, list[Job]] = defaultdict(list)
    for job in jobs:
        if estimates[job.id].rough:
            kinds[told.kind(job)].append(job)
    place = Place(
        *(grid.store, grid.path.parent, grid.executor.device),
        threads=grid.executor.threads,
        devices_per_pretrain=here.width,
        keep_predictions=grid.keep_predictions,
    )
    firsts = [of[0] for of in kinds.values()]
    asks = [Ask(job, place, seconds, told.sizes.images(job) if job.kind == "pretrain" else 0) for job in firsts]
    found = dict(zip(kinds, probe(asks, 1 if here.gpu else here.workers, tell), strict=True))
    share = {kind: found[kind].reading / of for kind, of in _readers(kinds, jobs).items()}
    for kind, of in kinds.items():
        one = found[kind]
        for job in of:
            disk[job.id] = disk[job.id] or one.disk_mb
            estimates[job.id] = _of_probe(one, share[kind], estimates[job.id])


def _readers(kinds: Mapping[Any, Sequence[Job]], jobs: Sequence[Job]) -> dict[Any, int]:
    """For each kind, how many jobs of the grid share the images that it reads."""
    count: dict[Any, int] = defaultdict(int)
    for job in jobs:
        count[_set_of_images(job)] += 1
    return {kind: count[_set_of_images(of[0])] for kind, of in kinds.items()}


def _of_probe(found: Any, reading: float, before: Estimate) -> Estimate:
    if found.error:
        source = f"{before.source}; the probe failed: {found.error}"
        return replace(before, source=source)
    seconds = found.seconds + reading
    return Estimate(
        *(seconds, seconds / found.factor, seconds * found.factor), memory_mb=found.memory_mb, source="a probe",
        basis="probe",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- sums


def _set_of_images(job: Job) -> tuple[Any, ...]:
    """What a job has decoded, and to which size."""
    if job.kind == "pretrain":
        return (*(source.training for source in job.sources), job.method.pretrain.sources)
    return (job.sources[0].fingerprint, side(job.parts))


def _images_mb(jobs: Sequence[Job], ready: Sequence[Job], told: Book) -> float:
    """Decoded images of the jobs to run, less those that a finished job has had decoded. Of volumes it is not known."""
    there, sizes = {_set_of_images(job) for job in ready}, dict[tuple[Any, ...], float]()
    for job in jobs:
        if (key := _set_of_images(job)) in there or any(source.size for source in job.sources):
            continue
        if job.kind == "pretrain":
            sizes[key] = told.sizes.images(job) * 3 * job.method.pretrain.sources**2
        elif job.task and job.task.load().info.case == "image":
            sizes[key] = sum(told.sizes.cases(job.sources[0]).values()) * 3 * side(job.parts) ** 2
    return sum(sizes.values()) / 2**20


def _kept(estimate: Estimate) -> float:
    """Megabytes in the folder of a like record; 0 where there is none."""
    for record in estimate.like:
        return sum(path.stat().st_size for path in record.folder.iterdir()) / 2**20
    return 0.0


def _summed(costs: tuple[Cost, ...], here: Machine, images_mb: float, store: Store) -> Forecast:
    known = [cost for cost in costs if cost.estimate.known]
    columns = [{c.job.id: getattr(c.estimate, name) for c in known} for name in ("seconds", "low", "high")]
    likely, low, high = (math.fsum(column.values()) for column in columns)
    walls = [wall([c.job for c in known], column, here) for column in columns]
    bases: dict[str, float] = defaultdict(float)
    for cost in known:
        bases[cost.estimate.basis] += cost.estimate.seconds / likely
    wide = math.fsum(c.estimate.seconds * (here.width if c.job.kind == "pretrain" else 1) for c in known) / 3600
    return Forecast(
        costs,
        here,
        (likely, low, high),
        (walls[0], walls[1], walls[2]),
        gpu_hours=wide if here.gpu else 0.0,
        cpu_hours=0.0 if here.gpu else likely * here.threads / 3600,
        disk_mb=images_mb + math.fsum(c.disk_mb for c in costs),
        images_mb=images_mb,
        free_mb=_free_mb(store),
        memory_mb=max((c.estimate.memory_mb for c in known), default=0.0),
        memory_there_mb=float(memory_mb(here.gpu)),
        sure=dict(bases),
    )


def _free_mb(store: Store) -> float:
    root = store.root
    while not root.exists():
        root = root.parent
    return shutil.disk_usage(root).free / 2**20


def wall(jobs: Sequence[Job], seconds: Mapping[str, float], here: Machine) -> float:
    """Seconds until the last job ends, in the scheduler's order; a pretraining may take several workers."""
    queue, free, now, running = Queue(jobs, seconds), here.workers, 0.0, list[tuple[float, int, Job]]()

    def width(job: Job) -> int:
        return min(here.width, here.workers) if job.kind == "pretrain" else 1

    def fits(job: Job) -> bool:
        return width(job) <= free

    while True:
        slack = max((end for end, *_ in running), default=math.inf) - now
        while job := queue.ready(fits, slack):
            free -= width(job)
            heapq.heappush(running, (now + seconds[job.id], queue.place[job.id], job))
        if not running:
            return now + START if jobs else 0.0
        now, _, ended = heapq.heappop(running)
        free += width(ended)
        queue.finish(ended)
