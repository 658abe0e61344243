"""What a probe does: a job on a part of its data, timed, and extended to the whole.

The part is small enough for many reports of progress to come in time, and start-up is left out. Of a cell a second,
larger part is timed where there is time for it, and the straight line through both is taken. Its encoder has random
weights. Reading images is timed apart, for it is done once for many jobs.
"""

import math
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.data.images import read_resized
from bench.data.storage import open_images
from bench.encoders.timm import TimmEncoder
from bench.errors import Stopped
from bench.keys import digest
from bench.plan import Job, files
from bench.pretrain import pretrain
from bench.probe import Ask, Finding
from bench.run import build_method, resolve
from bench.sizes import side
from bench.spec import Context, Encoder, Scores, Splits, Views
from bench.values import read

STEPS = 4  # optimiser steps of an epoch of a probed pretraining
EPOCHS = 3  # its epochs, after which it may end early
DISTINCT = 64  # images that are read for it, and then repeat
BATCHES = 2  # training batches of the first part of a cell that is timed; the next is four times as large
GROWTH = 4
SURE, LESS, HARDLY = 1.4, 1.7, 2.5  # within what factor a probe is held to be right: by how much it saw


@dataclass
class Clock:
    """Hears the progress of a job: when each report came, and the end of the time there is."""

    limit: float = math.inf  # seconds, at which a report raises Stopped
    device: str = "cpu"
    began: float = field(default_factory=time.monotonic)
    reports: list[tuple[float, str, int, int]] = field(default_factory=list)

    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def progress(self, what: str, done: int, of: int) -> None:
        """A report; what was sent to a GPU is waited for."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
        self.reports.append((self.spent(), what, done, of))
        if self.spent() > self.limit:
            raise Stopped("probed")

    def whole(self) -> tuple[float, bool]:
        """Seconds of the job, were the rest like the last reports; and whether there were two to tell from."""
        first = next((r for r in self.reports if r[1] == self.reports[-1][1]), None)
        if first is None:
            return self.spent(), False
        (start, _, one, _), (end, _, last, of) = first, self.reports[-1]
        if last > one:
            return end + (of - last) * (end - start) / (last - one), True
        return end * of / max(1, last), False


def measure(ask: Ask) -> Finding:
    """Probe a job in this process. Raises what the job raises."""
    torch.set_num_threads(ask.place.threads)
    device = resolve(ask.place.device)
    found = (_pretraining if ask.job.kind == "pretrain" else _cell)(ask, device)
    if device.startswith("cuda"):
        return replace(found, memory_mb=torch.cuda.max_memory_allocated(device) / 2**20)
    return replace(found, memory_mb=found.memory_mb + _peak_mb())


def _peak_mb() -> float:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ------------------------------------------------------------------------------------------- pretraining


def _pretraining(ask: Ask, device: str) -> Finding:
    """Steps on epochs of a few batches, of real images that repeat."""
    entry, recipe = ask.job.method, ask.job.method.pretrain
    images, reading = _pictures(ask.job)
    steps = min(STEPS, ask.images // recipe.batch_size)
    few = np.resize(images, (max(1, steps) * recipe.batch_size if steps else ask.images, *images.shape[1:]))
    clock = Clock(device=device)

    def stop() -> str:
        seen = len(clock.reports)
        enough = seen > EPOCHS * steps and clock.spent() > ask.seconds / 4
        return "probed" if enough or (seen > 2 and clock.spent() > ask.seconds) else ""

    with suppress(Stopped):
        pretrain(
            partial(build_method, entry, "random"),
            few,
            replace(recipe, epochs=1000 * recipe.epochs),
            views=read(Views, entry.views, "views", base=entry.plugin.load().views),
            seed=ask.job.seed,
            device=device,
            progress=clock.progress,
            stop=stop,
        )
    share = steps / (ask.images // recipe.batch_size)
    seconds, factor = _epochs([when for when, *_ in clock.reports], steps, share, recipe.epochs)
    bytes_of_images = (ask.images - len(few)) * few[0].nbytes if not ask.job.sources[0].size else 0
    return Finding(
        seconds / max(1, ask.place.devices_per_pretrain),
        factor,
        reading * ask.images,
        bytes_of_images / 2**20,
        _weights_mb(_encoder(ask)),
    )


def _epochs(times: Sequence[float], steps: int, share: float, epochs: int) -> tuple[float, float]:
    """Seconds of a pretraining, and within which factor, from the times at which steps ended, since its beginning.

    An epoch of the probe has `steps` steps, that `share` of a whole one's. Its first step also has what comes before an
    epoch, in proportion to the images; its last what comes after, which is the same for any number of them.
    """
    gaps = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    settled = list(enumerate(gaps))[2:] or [(len(gaps) - 1, gaps[-1])]  # the first steps warm up
    inner = [gap for number, gap in settled if 0 < number % steps < steps - 1]
    step = statistics.fmean(inner or [gap for _, gap in settled])
    before = [gap - step for number, gap in settled if inner and number % steps == 0]
    after = [gap - step for number, gap in settled if inner and number % steps == steps - 1]
    extra = max(0.0, statistics.fmean(before)) / share if before else 0.0
    extra += max(0.0, statistics.fmean(after)) if after else 0.0
    start = max(0.0, gaps[0] - step)
    return start + epochs * (step * steps / share + extra), SURE if len(settled) >= STEPS else HARDLY


def _pictures(job: Job) -> tuple[Any, float]:
    """A few images of a corpus as it stores them, evenly spaced over it, and the seconds that each took to decode."""
    if job.sources[0].size:
        return open_images(job.sources[0].folder, left_out=job.sources[0].numbers).sample(DISTINCT).numpy(), 0.0
    cases = [case for source in job.sources for case in source.training_cases()]
    chosen = cases[:: max(1, len(cases) // DISTINCT)][:DISTINCT]
    began = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # as the cache does
        images = list(pool.map(lambda case: read_resized(case.image, job.method.pretrain.sources), chosen))
    return np.stack(images), (time.monotonic() - began) / len(chosen)


# ------------------------------------------------------------------------------------------- cells


@dataclass(frozen=True)
class Timed:
    """A part of a cell: its cases, seconds for the encoder and for the rest, and until the first report."""

    cases: int
    build: float
    rest: float
    first: float
    told: bool  # whether `rest` is measured or comes of several reports
    scores: Scores | None  # of one that ended


def _cell(ask: Ask, device: str) -> Finding:
    """Growing parts, each begun once before to have its images read and the machine warm."""
    assert ask.job.task is not None
    assert ask.job.protocol is not None
    info, clock = ask.job.task.load().info, Clock()
    whole = ask.job.task.load().splits(ask.job.sources[0].folder)
    count = sum(len(cases) for _, cases in whole)
    batch = ask.job.protocol.settings.get("batch_size", 16) if info.case == "image" else 1
    share = min(1.0, BATCHES * int(batch) / max(1, len(whole.train)))
    _timed(ask, device, whole, share / BATCHES, 0.0)
    parts: list[Timed] = []
    while True:
        dry = _timed(ask, device, whole, share, 0.0)
        parts.append(_timed(ask, device, whole, share, max(ask.seconds - clock.spent(), ask.seconds / 4)))
        last = parts[-1]
        reading = max(0.0, dry.first - last.first) / last.cases * count
        if share == 1.0 or last.scores is None or clock.spent() + GROWTH * 2 * last.rest > ask.seconds:
            break
        share = min(1.0, GROWTH * share)
    seconds, factor = _extended(parts, count)
    unread = (count - parts[-1].cases) * 3 * side(ask.job.parts) ** 2
    return Finding(seconds, factor, reading, unread / 2**20, _scores_mb(parts, len(whole.test)))


def _timed(ask: Ask, device: str, whole: Splits, share: float, limit: float) -> Timed:
    """A cell on an even share of each split, until it ends or the first report after `limit` seconds."""
    assert ask.job.task is not None
    assert ask.job.protocol is not None
    began = time.monotonic()
    encoder = _encoder(ask).to(device)
    clock = Clock(limit, device)
    context = Context(
        task=ask.job.task.load().info,
        splits=Splits(*(_share(cases, share) for _, cases in whole)),
        fingerprint=digest([ask.job.sources[0].fingerprint, share]),
        seed=ask.job.seed,
        device=device,
        cache=ask.place.store / "cache",
        progress=clock.progress,
        keep_predictions=ask.place.keep_predictions,
    )
    scores, told = None, True
    try:
        scores = ask.job.protocol.plugin.load().fit_and_score(encoder, context, **ask.job.protocol.settings)
        rest = clock.spent()
    except Stopped:
        rest, told = clock.whole()
    first = clock.reports[0][0] if clock.reports else rest
    return Timed(sum(len(c) for _, c in context.splits), clock.began - began, rest, first, told, scores)


def _share(cases: Sequence[Any], share: float) -> tuple[Any, ...]:
    """Evenly spaced cases, two at the least."""
    wanted = min(len(cases), max(2, round(share * len(cases))))
    return tuple(cases[place * len(cases) // wanted] for place in range(wanted))


def _extended(parts: Sequence[Timed], count: int) -> tuple[float, float]:
    """Seconds of a cell of `count` cases, and within which factor."""
    last = parts[-1]
    slope = last.rest / last.cases
    if len(parts) > 1:
        before = parts[-2]
        slope = max(slope / 3, (last.rest - before.rest) / (last.cases - before.cases))
    if last.cases == count and last.scores:
        return last.build + last.rest, SURE
    seconds = last.build + last.rest + slope * (count - last.cases)
    return seconds, HARDLY if not last.told else SURE if len(parts) > 1 else LESS


def _scores_mb(parts: Sequence[Timed], cases: int) -> float:
    """About what the predictions and scores of a cell take on disk."""
    ended = [part.scores for part in parts if part.scores]
    if not ended:
        return 0.0
    scores = ended[-1]
    arrays = sum(array.nbytes for array in scores.predictions.values())
    return (arrays + 60 * len(scores.cases) * len(scores.values)) / len(scores.cases) * cases / 2**20


def _encoder(ask: Ask) -> Encoder:
    """The encoder of a job with random weights, which nothing has to be fetched for."""
    entry, recipe = ask.job.method, ask.job.method.pretrain
    if ask.job.kind == "pretrain" or ask.job.needs:
        return TimmEncoder(recipe.backbone, image_size=recipe.image_size)
    own = {name: str(ask.place.base / value) for name, value in files(entry.settings).items()}
    model: Encoder = entry.plugin.load().build(recipe.backbone, None, recipe.image_size, **{**entry.settings, **own})
    return model


def _weights_mb(encoder: Encoder) -> float:
    return float(sum(value.nbytes for value in encoder.state_dict().values())) / 2**20
