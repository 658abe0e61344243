"""Grid to jobs: each with a human id, the parts that decide its numbers, and the key that is their hash.

There are two kinds of job. `method/pretrain/seed` trains an encoder; `method/task/protocol/seed`, a cell, evaluates
one. Features and decoded images are caches inside a cell, keyed in the same way, and no jobs of their own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from bench.config import Grid, MethodEntry, ProtocolEntry, TaskEntry
from bench.errors import BenchError
from bench.keys import ENGINE, Parts, differences, digest, file_digest, plain
from bench.registry import Plugin
from bench.spec import Case, Splits
from bench.store import Record, Store

State = Literal["cached", "run", "failed", "blocked"]

# What of the recipe changes no number: how often a checkpoint is written.
NOT_NUMBERS = ("checkpoint_minutes", "corpus")


@dataclass(frozen=True)
class Source:
    """A task's data, or a corpus folder, as found on this disk."""

    name: str
    folder: Path
    kind: Literal["real", "phantom"] = "real"
    fingerprint: str = ""  # of all splits
    training: str = ""  # of the training images alone
    found: int = 0
    official: int = 0
    error: str = ""
    plugin: Plugin | None = None  # the task's; a corpus folder has none

    def training_cases(self) -> tuple[Case, ...]:
        """What may be pretrained on: the training part of a task, never a validation or test image; all of a folder."""
        cases: tuple[Case, ...] = (
            self.plugin.load().splits(self.folder).train if self.plugin else folder_cases(self.folder)
        )
        return cases


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
    encoder: str = ""  # key of the encoder it evaluates
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
    """All jobs of the grid, every pretraining before the cells that need it."""
    tasks = [t for t in grid.tasks if t.name in sources]
    found: list[Job] = []
    for entry in grid.methods:
        for seed in grid.seeds:
            encoder = _encoder(grid, entry, seed, sources)
            if encoder.kind == "pretrain":
                found.append(encoder)
            found += [
                _cell(encoder, task, protocol, seed, sources[task.name])
                for task in tasks
                for protocol in task.protocols
            ]
    return found


def _encoder(grid: Grid, entry: MethodEntry, seed: int, sources: Mapping[str, Source]) -> Job:
    """The pretraining of a method, or, for a foundation model, the same facts under a job that is never run."""
    recipe = entry.pretrain
    method = {"plugin": entry.plugin.name, "source": entry.plugin.source, "settings": entry.settings}
    parts: dict[str, Any] = {"engine": ENGINE, "kind": "encoder", "method": method}
    blocked = ""
    if entry.plugin.decorator == "foundation_model":
        seeded = entry.plugin.info.get("seeded", False)
        parts |= {"backbone": recipe.backbone, "image_size": recipe.image_size, "seed": seed if seeded else None}
        weights, blocked = _file(grid, entry.weights)
        parts["weights"] = weights
        return Job(
            f"{entry.label}/encoder/{seed}",
            "evaluate",
            entry,
            seed,
            plain(parts),
            digest(plain(parts)),
            blocked=blocked,
        )
    used = [sources[name] for name in recipe.corpus if name in sources]
    init, blocked = (recipe.init, "") if recipe.init in ("random", "imagenet") else _file(grid, recipe.init)
    numbers = {k: v for k, v in asdict(recipe).items() if k not in NOT_NUMBERS}
    parts |= {"recipe": {**numbers, "init": init, "source_size": recipe.sources}, "views": entry.views, "seed": seed}
    parts["corpus"] = [{"kind": s.kind, "fingerprint": s.training} for s in used]
    broken = [f"corpus `{s.name}`: {s.error}" for s in used if s.error]
    if len(used) < len(recipe.corpus):
        broken.append("corpus: " + ", ".join(f"`{n}` is missing" for n in recipe.corpus if n not in sources))
    parts = plain(parts)
    return Job(
        f"{entry.label}/pretrain/{seed}",
        "pretrain",
        entry,
        seed,
        parts,
        digest(parts),
        sources=tuple(used),
        blocked=blocked or "; ".join(broken),
    )


def _file(grid: Grid, name: str) -> tuple[str, str]:
    """Content hash of a weights file and, where it cannot be read, why."""
    if not name:
        return "", ""
    path = grid.path.parent / name
    try:
        return file_digest(path), ""
    except OSError as exc:
        return "", f"weights {path}: {exc.strerror}"


def _cell(encoder: Job, task: TaskEntry, protocol: ProtocolEntry, seed: int, source: Source) -> Job:
    name = protocol.plugin.name
    parts = plain(
        {
            "engine": ENGINE,
            "kind": "evaluate",
            "encoder": encoder.parts,
            "task": {"name": task.name, "source": task.plugin.source, "data": source.fingerprint, "kind": source.kind},
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
        blocked=source.error or encoder.blocked,
    )


def plan(grid: Grid, store: Store) -> list[Planned]:
    """Every job with its state, and for each that would run, why. A pretraining that nothing waits for is not run."""
    listed = jobs(grid, find_sources(grid, store))
    found = [_state(job, store) for job in listed]
    wanted = {p.job.needs for p in found if p.state in ("run", "failed")}
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
    """A cell whose pretraining failed waits for it."""
    failed = {p.job.id: p for p in found if p.job.kind == "pretrain" and p.state == "failed"}
    for planned in found:
        cause = failed.get(planned.job.needs)
        yield (
            replace(planned, state="failed", why=f"{cause.job.id} failed: {cause.why}")
            if (cause and planned.state == "run")
            else planned
        )


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


def select(found: list[Planned], pattern: str) -> list[Planned]:
    """Jobs whose id matches a glob, and the pretrainings that those wait for. Raises BenchError if there is none."""
    chosen = [p for p in found if fnmatchcase(p.job.id, pattern)]
    if not chosen:
        names = ", ".join(p.job.id for p in found[:4])
        raise BenchError(f"--only {pattern}: matches no job of the grid; ids look like {names}")
    needed = {p.job.needs for p in chosen} | {p.job.id for p in chosen}
    return [p for p in found if p.job.id in needed]


def find_sources(grid: Grid, store: Store) -> dict[str, Source]:
    """The data of every task and corpus of the grid; a task that is missing and may be skipped is left out."""
    wanted = {t.name: None for t in grid.tasks}
    for entry in grid.methods:
        if entry.plugin.decorator == "ssl_method":
            wanted |= dict.fromkeys(entry.pretrain.corpus)
    tasks = {p.name for p in grid.registry.all("task")}
    found = (_task_source(grid, name, store) if name in tasks else _folder_source(grid, name, store) for name in wanted)
    return {source.name: source for source in found if source is not None}


def _task_source(grid: Grid, name: str, store: Store) -> Source | None:
    from bench.data.folders import count, fingerprint, is_phantom

    plugin = grid.registry.get("task", name, where=str(grid.path))
    info, folder = plugin.load().info, grid.data_root / name
    if not folder.is_dir():
        if grid.data.missing == "skip":
            return None
        if grid.data.missing == "error":
            return Source(
                name, folder, error=f"{folder}: no such folder; {info.title} comes from {info.url}", plugin=plugin
            )
        seal = digest({"phantom": grid.data.phantom_cases, "source": plugin.source})
        folder = store.root / "phantoms" / f"{name}-{seal[:8]}"
        return Source(name, folder, "phantom", seal, seal, plugin=plugin)
    try:
        splits = plugin.load().splits(folder)
        memo = store.root / "fingerprints.json"
        whole, training = fingerprint(splits, memo), fingerprint(Splits(splits.train, (), ()), memo)
    except Exception as exc:  # a reader that meets what it did not expect must not stop the other tasks
        reason = str(exc) if isinstance(exc, BenchError) else f"{type(exc).__name__}: {exc}"
        return Source(name, folder, official=info.official, error=reason, plugin=plugin)
    kind: Literal["real", "phantom"] = "phantom" if is_phantom(folder) else "real"
    found = sum(n for n, _ in count(plugin.load(), folder).values())
    return Source(name, folder, kind, whole, training, found, info.official, plugin=plugin)


def _folder_source(grid: Grid, name: str, store: Store) -> Source:
    from bench.data.folders import fingerprint, is_phantom

    folder = grid.path.parent / name
    try:
        seal = fingerprint(Splits(folder_cases(folder), (), ()), store.root / "fingerprints.json")
    except (BenchError, OSError) as exc:
        return Source(name, folder, error=str(exc))
    kind: Literal["real", "phantom"] = "phantom" if is_phantom(folder) else "real"
    return Source(name, folder, kind, seal, seal)


def folder_cases(folder: Path) -> tuple[Case, ...]:
    """Every image under a folder as an unlabelled case, by its path. Raises BenchError if there is none."""
    from bench.data.folders import is_image

    files = sorted(f for f in folder.rglob("*") if is_image(f))
    if not files:
        raise BenchError(f"{folder}: holds no image")
    return tuple(Case(f.relative_to(folder).as_posix(), f, 0) for f in files)
