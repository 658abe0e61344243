"""The life of one job, in whatever process: read the data, do the work, commit the record, or keep why not."""

import json
import math
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import __version__
from bench.attempt import now
from bench.claims import Stop
from bench.collapse import verdict
from bench.detections import write as write_detections
from bench.encoders.checkpoint import load_weights
from bench.encoders.timm import TimmEncoder
from bench.entries import MethodEntry
from bench.errors import BenchError
from bench.executors import Place
from bench.files import write_whole
from bench.keys import digest
from bench.machine import cpu_name
from bench.plan import Job, files
from bench.pretrain import Array, Corpus, pretrain
from bench.protocols._data import weights_digest
from bench.random import seed_library
from bench.spec import Context, Encoder, Method, Scores, Views, Weights
from bench.store import Record, Store, write_scores
from bench.values import read

Progress = Callable[[str, int, int], None]


def run(job: Job, place: Place, progress: Progress, *, stop: Stop | None = None, micro: int = 1) -> Record:
    """Do a job and commit its record. `stop` says when a pretraining should save its checkpoint and raise Stopped.

    `micro` is the number of parts that each batch of a pretraining is computed in, where that changes no number.
    """
    store = Store(place.store)
    torch.set_num_threads(place.threads)
    if place.device.startswith("cuda:"):
        torch.cuda.set_device(place.device)  # libraries that say "cuda" mean this one
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # the peak is of this job, and not of those that the process had before
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if job.kind == "pretrain":
        return _pretrain(job, place, store, progress, stop, micro)
    return _evaluate(job, place, store, progress)


def _pretrain(
    job: Job, place: Place, store: Store, progress: Progress, stop: Stop | None = None, micro: int = 1
) -> Record:
    from safetensors.torch import save_file

    entry, recipe, started, clock = job.method, job.method.pretrain, now(), time.monotonic()
    images = _corpus(job, store)
    views = read(Views, entry.views, "views", base=entry.plugin.load().views)
    init = recipe.init
    if job.needs:
        init = str(_left(job, store).file("encoder.safetensors"))
    elif init not in ("random", "imagenet"):
        init = str(place.base / init)
    trained = pretrain(
        partial(build_method, entry, init),
        images,
        recipe,
        views=views,
        seed=job.seed,
        device=resolve(place.device),
        devices=list(place.devices) or place.devices_per_pretrain,
        partial=store.partial(job.key),
        progress=progress,
        stop=stop,
        micro=micro,
    )
    facts = _facts(job, place, started, time.monotonic() - clock)
    facts |= {
        "images": trained.images,
        "images_per_second": round(trained.images_per_second, 2),
        "audit": {source.name: dict(source.audit) for source in job.sources},
        "collapsed": verdict(trained.history),
        "history": {
            name: [mean if math.isfinite(mean) else None for mean in means] for name, means in trained.history.items()
        },
    }
    return store.commit(facts, lambda draft: save_file(trained.weights, draft / "encoder.safetensors"))


def _corpus(job: Job, store: Store) -> Array | Corpus:
    """What a pretraining learns from: a built corpus, or the images of tasks and folders, decoded once."""
    from bench.data.cache import decoded

    if job.sources[0].size:
        return Corpus(job.sources[0].folder, job.sources[0].numbers)
    cases = [case for source in job.sources for case in source.training_cases()]
    seal = digest([[s.kind, s.training] for s in job.sources])
    return decoded([case.image for case in cases], job.method.pretrain.sources, seal, store.root / "cache" / "images")


def build_method(entry: MethodEntry, init: str) -> Method:
    """A method with its initial weights; the caller has seeded the library."""
    recipe = entry.pretrain
    encoder = TimmEncoder(recipe.backbone, image_size=recipe.image_size, pretrained=init == "imagenet")
    if init not in ("random", "imagenet"):
        load_weights(encoder, Path(init))
    method: Method = entry.plugin.load()(encoder, **entry.settings)
    return method


def _evaluate(job: Job, place: Place, store: Store, progress: Progress) -> Record:
    assert job.task is not None
    assert job.protocol is not None
    started, clock, source = now(), time.monotonic(), job.sources[0]
    task = job.task.load()
    context = Context(
        task=task.info,
        splits=task.splits(source.folder),
        fingerprint=source.fingerprint,
        seed=job.seed,
        device=resolve(place.device),
        cache=store.root / "cache",
        progress=progress,
        keep_predictions=place.keep_predictions,
    )
    _keep_split(context, store)
    encoder = build_encoder(job, place, store).to(context.device)
    loaded = None if job.needs else encoder.loaded
    sealed = weights_digest(encoder)  # before anything trains it
    scores = job.protocol.plugin.load().fit_and_score(encoder, context, **job.protocol.settings)
    _require_finite(scores, job.protocol.plugin.name)
    facts = _facts(job, place, started, time.monotonic() - clock)
    facts |= {
        "primary": task.info.primary,
        "summary": scores.summary,
        "cases": {name: len(cases) for name, cases in context.splits},
        "chosen": dict(scores.chosen),
        "collapsed": _collapsed(job, store),
        "encoder_sha256": sealed,
        **_sites(context),
        **_patients(context),
        "parameters": sum(weights.numel() for weights in encoder.parameters()),
        **({"notes": dict(context.splits.notes)} if context.splits.notes else {}),
        **({"classes": list(task.info.classes)} if scores.detections else {}),
        **({"weights": loaded} if loaded else {}),
    }
    return store.commit(facts, partial(_write, scores))


def _keep_split(context: Context, store: Store) -> None:
    """Write down which cases are trained, chosen and scored on, once for a task and its data."""
    path = store.root / "splits" / f"{context.task.name}-{context.fingerprint[:8]}.json"
    if not path.exists():
        split = {name: [case.id for case in cases] for name, cases in context.splits}
        write_whole(path, json.dumps(split, indent=0).encode())


def _sites(context: Context) -> dict[str, Any]:
    """Of a task whose sites are scored apart: the site of each test case, and those that were trained on."""
    if not any(case.site for case in context.splits.test):
        return {}
    trained = sorted({case.site for case in context.splits.train})
    return {"sites": {"trained_on": trained, "of": {case.id: case.site for case in context.splits.test}}}


def _patients(context: Context) -> dict[str, Any]:
    """The patient of each test case, where one has several cases: those are no independent ones."""
    of = {case.id: case.group for case in context.splits.test if case.group}
    return {"patients": of} if len(set(of.values())) < len(of) else {}


def _collapsed(job: Job, store: Store) -> str:
    """What is said of the pretraining that a cell evaluates."""
    record = store.record(job.encoder) if job.needs else None
    return str(record.facts.get("collapsed", "")) if record else ""


def _require_finite(scores: Scores, protocol: str) -> None:
    """Raise BenchError for values that are no numbers, of which no mean can be made."""
    for metric, values in scores.values.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise BenchError(
                f"{protocol}: {metric} is not finite for {len(bad)} of {len(values)} test cases, the first of them"
                f" {scores.cases[bad[0]]}; if the training diverged, a lower [protocols.{protocol}] lr may help"
            )


def _write(scores: Scores, draft: Path) -> None:
    write_scores(draft / "scores.csv", scores.cases, dict(scores.values))
    if scores.detections:
        write_detections(draft / "detections.csv", scores.detections)
    arrays: dict[str, Any] = {"cases": np.array(scores.cases), **scores.predictions}
    np.savez_compressed(draft / "predictions.npz", **arrays)


def build_encoder(job: Job, place: Place, store: Store) -> Encoder:
    """The encoder that a cell evaluates: the one its pretraining left, or a foundation model built from its weights."""
    entry = job.method
    recipe = entry.pretrain
    seed_library("encoder", job.seed)
    if not job.needs:
        file = place.base / entry.weights if entry.weights else None
        drawn = entry.weights == "random" or (file is None and entry.plugin.info.get("seeded", False))
        weights = None if drawn else Weights(file, entry.missing)
        given = {**entry.settings, **{name: str(place.base / value) for name, value in files(entry.settings).items()}}
        model: Encoder = entry.plugin.load().build(recipe.backbone, weights, recipe.image_size, **given)
        return model
    encoder = TimmEncoder(recipe.backbone, image_size=recipe.image_size)
    load_weights(encoder, _left(job, store).file("encoder.safetensors"))
    return encoder


def _left(job: Job, store: Store) -> Record:
    """The record of the pretraining that a job needs. Raises BenchError."""
    record = store.record(job.encoder)
    if record is None:
        raise BenchError(f"{store.job(job.encoder)}: the record of {job.needs} is gone; run the grid again")
    return record


def _facts(job: Job, place: Place, started: str, seconds: float) -> dict[str, Any]:
    """What every record says of how it came about."""
    return {
        "id": job.id,
        "key": job.key,
        "kind": job.kind,
        "parts": job.parts,
        "method": job.method.label,
        **({"group": job.method.group} if job.method.group else {}),
        "task": job.task.name if job.task else "",
        "protocol": job.protocol.plugin.name if job.protocol else "",
        "seed": job.seed,
        "phantom": job.phantom,
        "data": [
            {
                "name": s.name,
                "kind": s.kind,
                "fingerprint": s.fingerprint,
                "found": s.found,
                "official": s.official,
                "test_cases_seen_in_training": s.seen,
                "left_out_of_corpus": s.excluded,
            }
            for s in job.sources
        ],
        "started": started,
        "seconds": round(seconds, 3),
        "peak_memory_mb": round(_peak_memory(resolve(place.device)) / 2**20),
        "environment": {**environment(), "device": device_name(resolve(place.device)), "threads": place.threads},
    }


def resolve(device: str) -> str:
    """`auto` as the device there is. Raises BenchError for one that is not."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BenchError(f"[executor] device `{device}`: this machine has no usable GPU; `bench doctor` says more")
    return device


def device_name(device: str) -> str:
    """What a reader of a record wants to know of the device."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(device))
    return cpu_name()


def _peak_memory(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(torch.device(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@cache
def environment() -> dict[str, str]:
    """Versions of what computes, and the commit of this project where it is a checkout."""
    from importlib.metadata import version

    packages = ("torch", "torchvision", "timm", "lightly", "numpy", "pillow")
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = ""
    return {
        "bench": __version__,
        "commit": commit,
        "python": platform.python_version(),
        "system": platform.system(),
        **{name: version(name) for name in packages},
    }
