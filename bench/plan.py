"""Grid to jobs: each with a human id, the parts that decide its numbers, and the key that is their hash.

There are two kinds of job. `method/pretrain/seed` trains an encoder; `method/task/protocol/seed`, a cell, evaluates
one. Features and decoded images are caches inside a cell, keyed in the same way, and no jobs of their own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from bench.config import Grid
from bench.entries import MethodEntry, ProtocolEntry, TaskEntry
from bench.errors import BenchError
from bench.keys import ENGINE, Parts, differences, digest, plain
from bench.recipes import Pretrain
from bench.registry import installed
from bench.sources import MEMO, Source, find_sources
from bench.spec import Settings
from bench.store import Record, Store

State = Literal["cached", "run", "failed", "blocked"]


@dataclass(frozen=True)
class Job:
    """One thing to compute. It holds all that a worker needs, and pickles."""

    id: str
    kind: Literal["pretrain", "evaluate"]
    method: MethodEntry
    seed: int
    parts: Parts
    key: str
    task: TaskEntry | None = None
    protocol: ProtocolEntry | None = None
    needs: str = ""  # id of the pretraining it waits for
    encoder: str = ""  # key of the encoder it evaluates, or starts from
    sources: tuple[Source, ...] = ()
    blocked: str = ""  # why it cannot run at all

    @property
    def phantom(self) -> bool:
        """Whether any of the data behind its numbers is drawn and not real."""
        return any(s.kind == "phantom" for s in self.sources)


@dataclass(frozen=True)
class Planned:
    """A job with what the store knows of it."""

    job: Job
    state: State
    why: str = ""
    record: Record | None = field(default=None, repr=False)


def jobs(grid: Grid, sources: Mapping[str, Source]) -> list[Job]:
    """All jobs of the grid, every pretraining before what needs it."""
    tasks = [t for t in grid.tasks if t.name in sources]
    found: dict[str, Job] = {}
    seeds = {task.name: frozenset(grid.seeds if task.seeds is None else task.seeds) for task in tasks}
    told = {task.name: _task_parts(task, sources[task.name]) for task in tasks}
    entries = {entry.label: entry for entry in grid.methods}

    def encoder(entry: MethodEntry, seed: int) -> Job:
        first = entry.pretrain.follows if entry.plugin.decorator == "ssl_method" else ""
        job = _encoder(grid, entry, seed, sources, encoder(entries[first], seed) if first else None)
        return found.setdefault(job.id, job) if job.kind == "pretrain" else job

    for entry in grid.methods:
        for seed in grid.seeds:
            made = encoder(entry, seed)
            cells = [
                _cell(made, task, protocol, seed, sources[task.name], told[task.name])
                for task in tasks
                for protocol in task.protocols
                if seed in seeds[task.name]
            ]
            found |= {cell.id: cell for cell in cells}
    return list(found.values())


def _encoder(grid: Grid, entry: MethodEntry, seed: int, sources: Mapping[str, Source], first: Job | None) -> Job:
    """The pretraining of a method, which may start from what a `first` one leaves.

    For a foundation model the same facts under a job that is never run.
    """
    method = {"plugin": entry.plugin.name, "source": entry.plugin.source, "settings": entry.settings}
    parts = {"engine": ENGINE, "kind": "encoder", "method": method}
    if entry.plugin.decorator == "foundation_model":
        return _foundation(grid, entry, seed, sources, parts)
    return _pretraining(grid, entry, seed, sources, parts, first)


def _foundation(grid: Grid, entry: MethodEntry, seed: int, sources: Mapping[str, Source], parts: dict[str, Any]) -> Job:
    drawn = entry.weights == "random"
    weights, blocked = ("random", "") if drawn else _file(grid, entry.weights)
    for name, value in files(entry.settings).items():
        seal, problem = _file(grid, value)
        parts["method"]["settings"] = {**parts["method"]["settings"], name: seal}
        blocked = blocked or problem
    if entry.sha256 and weights and weights != entry.sha256:
        blocked = f"weights {grid.path.parent / entry.weights}: has sha256 {weights}, and the grid pins {entry.sha256}"
    parts |= {"backbone": entry.pretrain.backbone, "image_size": entry.pretrain.image_size, "weights": weights}
    parts |= {"missing": list(entry.missing)} if entry.missing else {}
    parts["seed"] = seed if drawn or entry.plugin.info.get("seeded", False) else None
    parts = plain(parts)
    return Job(f"{entry.label}/encoder/{seed}", "evaluate", entry, seed, parts, digest(parts), blocked=blocked)


def _pretraining(
    grid: Grid, entry: MethodEntry, seed: int, sources: Mapping[str, Source], parts: dict[str, Any], first: Job | None
) -> Job:
    recipe = entry.pretrain
    used = tuple(sources[name] for name in recipe.corpus if name in sources)
    init: Any = recipe.init
    blocked = first.blocked if first else ""
    if first:
        init = first.parts
    elif init not in ("random", "imagenet"):
        init, blocked = _file(grid, init)
    parts |= {
        "recipe": {**recipe.numbers, "init": init, "source_size": recipe.sources},
        "views": entry.views,
        "seed": seed,
    }
    parts["corpus"] = [{"kind": s.kind, "fingerprint": s.training} for s in used]
    parts = plain(parts)
    broken = [f"corpus `{s.name}`: {s.error}" for s in used if s.error]
    broken += [f"corpus `{name}` is missing" for name in recipe.corpus if name not in sources]
    broken += _misused(used, recipe)
    blocked = blocked or "; ".join(broken)
    name = f"{entry.label}/pretrain/{seed}"
    needs, encoder = (first.id, first.key) if first else ("", "")
    seal = digest(parts)
    return Job(name, "pretrain", entry, seed, parts, seal, needs=needs, encoder=encoder, sources=used, blocked=blocked)


def files(settings: Settings) -> dict[str, str]:
    """The settings that name files, from the folder of the grid: their content is in the key, and not their paths."""
    return {name: value for name, value in settings.items() if name.endswith("_file") and value}


def _misused(used: Sequence[Source], recipe: Pretrain) -> Iterator[str]:
    """Why a corpus cannot be used as the recipe says."""
    for source in used:
        if source.task and source.task.load().info.case == "volume":
            yield f"corpus `{source.name}` is of volumes; `bench corpus build` slices them into one that can be used"
        if source.size and len(used) > 1:
            yield f"corpus `{source.name}` was built and must be the only one; describe all sources in its file"
        if source.size and recipe.source_size not in (0, source.size):
            yield f"corpus `{source.name}` holds images of {source.size} px; leave [pretrain] source_size out"


def _file(grid: Grid, name: str) -> tuple[str, str]:
    """Content hash of a weights file and, where it cannot be read, why."""
    from bench.data.folders import digests

    if not name:
        return "", ""
    try:
        return digests([grid.path.parent / name], grid.store / MEMO)[0], ""
    except BenchError as exc:
        return "", f"weights {exc}"


def _task_parts(task: TaskEntry, source: Source) -> Parts:
    """What of a task and its data is in the key of its cells."""
    info = task.plugin.load().info
    configured = {f: v for f, v in vars(task.load().info).items() if f in task.settings and v != getattr(info, f)}
    told = {"name": task.plugin.name, "source": task.plugin.source, "data": source.fingerprint, "kind": source.kind}
    return {**told, **configured}


def _cell(encoder: Job, task: TaskEntry, protocol: ProtocolEntry, seed: int, source: Source, task_parts: Parts) -> Job:
    protocol = protocol.of(encoder.method)
    name = protocol.plugin.name
    parts = plain(
        {
            "engine": ENGINE,
            "kind": "evaluate",
            "encoder": encoder.parts,
            "task": task_parts,
            "protocol": {"name": name, "source": protocol.plugin.source, "settings": protocol.settings},
            "seed": seed,
        }
    )
    label = encoder.method.label
    return Job(
        f"{label}/{task.name}/{name}/{seed}",
        "evaluate",
        encoder.method,
        seed,
        parts,
        digest(parts),
        task=task,
        protocol=protocol,
        needs=encoder.id if encoder.kind == "pretrain" else "",
        encoder=encoder.key,
        sources=(source, *encoder.sources),
        blocked=source.error or encoder.blocked or _lacking(protocol),
    )


def _lacking(protocol: ProtocolEntry) -> str:
    """Why a protocol cannot run here: a setting asks for a package that is not installed."""
    for package, command in (protocol.plugin.info.get("packages") or {}).items():
        if package in protocol.settings.values() and not installed(package):
            return f"needs the package `{package}`, which is not installed: {command}"
    return ""


def plan(grid: Grid, store: Store) -> list[Planned]:
    """Every job with its state, and for each that would run, why. A pretraining that nothing waits for is not run."""
    listed = jobs(grid, find_sources(grid, store))
    found = [_state(job, store) for job in listed]
    wanted: set[str] = set()
    for p in reversed(found):  # what needs comes after what is needed
        if p.state in ("run", "failed") and (p.job.kind == "evaluate" or p.job.id in wanted):
            wanted.add(p.job.needs)
    kept = [p for p in found if p.job.kind == "evaluate" or p.state != "run" or p.job.id in wanted]
    return list(_explained(_with_upstream(kept), store))


def _state(job: Job, store: Store) -> Planned:
    if record := store.record(job.key):
        return Planned(job, "cached", record=record)
    if job.blocked:
        return Planned(job, "blocked", job.blocked)
    if failure := store.failure(job.key):
        return Planned(job, "failed", failure["error"])
    return Planned(job, "run")


def _with_upstream(found: list[Planned]) -> Iterator[Planned]:
    """What needs a pretraining that failed waits for it."""
    failed: dict[str, str] = {}
    for planned in found:
        if planned.state == "run" and (why := failed.get(planned.job.needs)):
            planned = replace(planned, state="failed", why=why)
        if planned.state == "failed" and planned.job.kind == "pretrain":
            failed[planned.job.id] = (
                planned.why if planned.job.needs in failed else f"{planned.job.id} failed: {planned.why}"
            )
        yield planned


def _explained(found: Iterator[Planned], store: Store) -> Iterator[Planned]:
    """Say of each job that would run which part of its key changed since the last record of the same id."""
    for planned in found:
        if planned.state != "run":
            yield planned
        elif last := store.last(planned.job.id):
            changes = list(differences(last.parts, planned.job.parts))
            more = f" and {len(changes) - 4} more" if len(changes) > 4 else ""
            yield replace(planned, why="; ".join(changes[:4]) + more)
        else:
            yield replace(planned, why="new")


def matches(job: Job, pattern: str) -> bool:
    """Whether a job's id is that, or matches it as a glob; an empty pattern matches all."""
    return not pattern or job.id == pattern or fnmatchcase(job.id, pattern)


def select(found: list[Planned], pattern: str) -> list[Planned]:
    """Jobs whose id matches a glob, and the pretrainings that those wait for. Raises BenchError if there is none."""
    chosen = [p for p in found if matches(p.job, pattern)]
    if not chosen:
        names = ", ".join(p.job.id for p in found[:4])
        raise BenchError(f"--only {pattern}: matches no job of the grid; ids look like {names}")
    needed = {p.job.id for p in chosen}
    for p in reversed(found):
        needed |= {p.job.needs} if p.job.id in needed else set()
    return [p for p in found if p.job.id in needed]


def recorded(planned: Iterable[Planned]) -> list[Record]:
    """The records of a plan under the grid's own labels, which may be others than those they were written under."""
    return [_relabelled(p.record, p.job) for p in planned if p.record]


def _relabelled(record: Record, job: Job) -> Record:
    names = {"method": job.method.label, "task": job.task.name if job.task else ""}
    names |= {"group": job.method.group} if job.method.group else {}
    return replace(record, id=job.id, facts={**record.facts, **names})
