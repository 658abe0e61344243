"""Which job goes first: a pretraining that others wait for, else the one at the head of the longest path."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.plan import Job


class Queue:
    """Jobs not yet started, by what waits for them and by the predicted seconds of the path that each begins."""

    def __init__(self, jobs: Sequence[Job], seconds: Mapping[str, float] | None = None) -> None:
        self.seconds = seconds or {}
        self.place = {job.id: number for number, job in enumerate(jobs)}
        self.unfinished = set(self.place)
        self.waiting: dict[str, list[Job]] = defaultdict(list)
        self.heaps: dict[str, list[tuple[bool, float, int, Job]]] = {"pretrain": [], "evaluate": []}
        for job in jobs:
            if job.needs in self.unfinished:
                self.waiting[job.needs].append(job)
        self.path: dict[str, float] = {}
        for job in reversed(jobs):
            longest = max((self.path.get(other.id, 0.0) for other in self.waiting[job.id]), default=0.0)
            self.path[job.id] = self.seconds.get(job.id, 0.0) + longest
        for job in jobs:
            if job.needs not in self.unfinished:
                self.put(job)

    def __bool__(self) -> bool:
        """Whether any job could start."""
        return any(self.heaps.values())

    def put(self, job: Job) -> None:
        """The job can start."""
        entry = (not self.waiting[job.id], -self.path[job.id], self.place[job.id], job)
        heapq.heappush(self.heaps[job.kind], entry)

    def ready(self, fits: Callable[[Job], bool] = lambda job: True, slack: float = float("inf")) -> Job | None:
        """Take the first job that can start and fits, or None.

        Where the first of all does not fit, for it wants several devices, another goes before it only if that is
        predicted to end within `slack` seconds, for else the several would never be free at once.
        """
        for number, heap in enumerate(sorted((heap for heap in self.heaps.values() if heap), key=lambda h: h[0][:3])):
            job = heap[0][3]
            if fits(job) and (number == 0 or self.seconds.get(job.id, 0.0) <= slack):
                heapq.heappop(heap)
                return job
        return None

    def ahead(self) -> Iterator[Job]:
        """Take all jobs, each after what it needs."""
        while job := self.ready():
            yield from self._from(job)

    def _from(self, job: Job) -> Iterator[Job]:
        yield job
        for other in self.waiting.pop(job.id, []):
            yield from self._from(other)

    def back(self, job: Job) -> bool:
        """A job that was taken ahead waits again for what it needs; False where that is not to come."""
        if waits := job.needs in self.unfinished:
            self.waiting[job.needs].append(job)
        return waits

    def finish(self, job: Job) -> None:
        """The job has a record, and what waited for it can start."""
        self.unfinished.discard(job.id)
        for other in self.waiting.pop(job.id, []):
            self.put(other)

    def fail(self, job: Job) -> list[Job]:
        """The job has none, and these that waited for it are given up."""
        self.unfinished.discard(job.id)
        return [other for first in self.waiting.pop(job.id, []) for other in (first, *self.fail(first))]
