"""bench.toml read into frozen dataclasses, with errors that name the key, the rule and the near names.

What a plug-in accepts is known from the registry, so a misspelt setting is found before anything runs.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from bench.durations import seconds
from bench.entries import MethodEntry, TaskEntry, read_methods, read_tasks
from bench.errors import BenchError, unknown
from bench.recipes import Pretrain, read_recipe
from bench.registry import Registry, discover
from bench.values import convert, read, subtable


@dataclass(frozen=True)
class Data:
    """Where the data sets lie, and what to do about one that is not there."""

    root: str = "data"
    missing: Literal["phantom", "error", "skip"] = "phantom"
    phantom_cases: int = field(default=96, metadata={"min": 16})  # cases of each published part
    audit: Literal["near", "same"] = (
        "near"  # a corpus holds nothing that looks like, or nothing that is, a scored image
    )


@dataclass(frozen=True)
class Ray:
    """A Ray cluster. Fractions share a CPU or a GPU among jobs."""

    address: str = ""  # "auto", "host:port", "ray://host:port"; "": a Ray of its own on this machine
    num_cpus: float = field(default=1.0, metadata={"min": 0.0})  # of each job
    num_gpus: float = field(default=0.0, metadata={"min": 0.0})


@dataclass(frozen=True)
class Slurm:
    """What is asked of a Slurm cluster, for each job."""

    partition: str = ""
    time: str = ""  # of a job's stay, after which it is queued again from its checkpoint; "": the partition's
    pretrain_time: str = ""  # of a pretraining's; "": as `time`
    memory: str = ""  # such as "16GB"; "": the partition's
    cpus: int = field(default=1, metadata={"min": 1})
    gpus: int = field(default=0, metadata={"min": 0})
    parallel: int = field(default=256, metadata={"min": 1})  # jobs of an array that run at a time
    requeues: int = field(default=20, metadata={"min": 0})  # times that a job may be queued again after its time
    signal_seconds: int = field(default=90, metadata={"min": 1})  # before its time limit at which a job is told to save
    setup: tuple[str, ...] = ()  # shell lines before a job, such as "module load cuda"
    options: tuple[str, ...] = ()  # further ones of sbatch, such as "account=me", "qos=long"
    cluster: Literal["slurm", "local"] = "slurm"  # "local": submitit's processes on this machine, to try things


@dataclass(frozen=True)
class Executor:
    """What runs the jobs. None of it changes a number on a CPU, except `threads`, which may change last bits."""

    kind: Literal["local", "inline", "ray", "slurm"] = "local"
    workers: int = field(default=0, metadata={"min": 0})  # 0: one a GPU, or one a core
    device: str = "auto"  # "cpu", "cuda", "cuda:1"
    threads: int = field(default=1, metadata={"min": 1})  # of each worker, on a CPU
    devices_per_pretrain: int = field(default=1, metadata={"min": 1})
    jobs_per_gpu: int = field(default=1, metadata={"min": 1})
    time_limit: str = ""  # of a job, such as "2 h"; "": any
    retries: int = field(default=2, metadata={"min": 0})  # of what may pass: a lost worker, an I/O error
    ray: Ray = Ray()
    slurm: Slurm = Slurm()


@dataclass(frozen=True)
class Grid:
    """What to run."""

    path: Path
    name: str
    seeds: tuple[int, ...]
    store: Path
    data: Data
    pretrain: Pretrain
    methods: tuple[MethodEntry, ...]
    tasks: tuple[TaskEntry, ...]
    executor: Executor
    registry: Registry
    keep_predictions: bool = False

    @property
    def data_root(self) -> Path:
        """Folder with one folder a task."""
        return self.path.parent / self.data.root

    def task(self, name: str) -> TaskEntry:
        """The task of that name as the grid has it or, where it has none, with its defaults. Raises BenchError."""
        entry = next((task for task in self.tasks if task.name == name), None)
        return entry or TaskEntry(name, self.registry.get("task", name, where=str(self.path)))

    def folder(self, task: TaskEntry) -> Path:
        """Where the data of a task lie."""
        return self.data_root / (task.folder or task.name)


@dataclass(frozen=True)
class _Bench:
    name: str = "bench"
    seeds: tuple[int, ...] = (0,)
    store: str = "runs"
    keep_predictions: bool = False  # of segmentations, as compressed masks


C = TypeVar("C")
SECTIONS = ("bench", "data", "pretrain", "methods", "tasks", "protocols", "executor", "plugins")


def load(path: Path, *, data: str | None = None) -> Grid:
    """Read a grid. `data` (the command line) goes before BENCH_DATA, which goes before `[data] root`.

    Relative paths start at the grid's folder. Raises BenchError.
    """
    table, where = _read_file(path), path.name
    for key in table:
        if key not in SECTIONS:
            raise unknown("section", key, SECTIONS, where=where)
    registry = discover(_plugins(table, where), root=path.parent)
    head = _section(_Bench, table, "bench", where)
    pretrain = read_recipe(subtable(table, "pretrain", f"{where}: [pretrain]"), Pretrain(), f"{where}: [pretrain]")
    place = _section(Data, table, "data", where)
    if override := data or os.environ.get("BENCH_DATA"):
        place = replace(place, root=str(Path(override).absolute()))
    if len(set(head.seeds)) < len(head.seeds) or not head.seeds or min(head.seeds) < 0:
        raise BenchError(
            f"{where}: [bench] seeds: needs one or more different whole numbers from 0, got {list(head.seeds)}"
        )
    grid = Grid(
        path=path.absolute(),
        name=head.name,
        seeds=head.seeds,
        store=path.absolute().parent / head.store,
        data=place,
        pretrain=pretrain,
        methods=read_methods(table, registry, pretrain, where),
        tasks=read_tasks(table, registry, head.seeds, where),
        executor=_executor(table, where),
        registry=registry,
        keep_predictions=head.keep_predictions,
    )
    _check_corpus(grid, where)
    _check_lines(grid, where)
    return grid


def registry_of(path: Path) -> Registry:
    """The plug-ins that a grid may use, whatever else is wrong in it."""
    return discover(_plugins(_read_file(path), path.name), root=path.parent)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BenchError(f"{path}: no such grid; name the one that is meant: bench run GRID") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as exc:
        raise BenchError(f"{path}: not readable as TOML: {exc}") from None


def _section(cls: type[C], table: Mapping[str, Any], name: str, where: str) -> C:
    return read(cls, subtable(table, name, f"{where}: [{name}]"), f"{where}: [{name}]")


def _executor(table: Mapping[str, Any], where: str) -> Executor:
    place = f"{where}: [executor]"
    given = subtable(table, "executor", place)
    own = {name: value for name, value in given.items() if name not in ("ray", "slurm")}
    ray = read(Ray, subtable(given, "ray", f"{place[:-1]}.ray]"), f"{place[:-1]}.ray]")
    slurm = read(Slurm, subtable(given, "slurm", f"{place[:-1]}.slurm]"), f"{place[:-1]}.slurm]")
    executor = replace(read(Executor, own, place), ray=ray, slurm=slurm)
    seconds(executor.time_limit, f"{place} time_limit")
    seconds(slurm.time, f"{place[:-1]}.slurm] time")
    seconds(slurm.pretrain_time, f"{place[:-1]}.slurm] pretrain_time")
    return executor


def _plugins(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    value: tuple[str, ...] = convert(table.get("plugins", []), tuple[str, ...], f"{where}: plugins")
    return value


def _check_corpus(grid: Grid, where: str) -> None:
    tasks = {p.name for p in grid.registry.all("task")} | {t.name for t in grid.tasks}
    trained = [entry for entry in grid.methods if entry.plugin.decorator == "ssl_method"]
    for entry in trained:
        if not entry.pretrain.corpus:
            raise BenchError(f"{where}: [pretrain] corpus: `{entry.label}` is pretrained and needs at least one source")
        for source in entry.pretrain.corpus:
            if source not in tasks and not (grid.path.parent / source).is_dir():
                raise unknown("task or folder", source, tasks, where=f"{where}: [pretrain] corpus")
        if entry.pretrain.batch_size % entry.pretrain.accumulate:
            raise BenchError(f"{where}: [pretrain] batch_size must be a multiple of accumulate")


def _check_lines(grid: Grid, where: str) -> None:
    """Refuse a method that starts from one that is not there or does not fit, or in the end from itself."""
    trained = {e.label: e for e in grid.methods if e.plugin.decorator == "ssl_method"}
    for entry in trained.values():
        line = [entry.label]
        while first := trained[line[-1]].pretrain.follows:
            place = f"{where}: [methods.{line[-1]}] pretrain init"
            if first not in trained:
                raise unknown("method that is pretrained here", first, trained, where=place)
            if trained[first].pretrain.backbone != trained[line[-1]].pretrain.backbone:
                raise BenchError(f"{place}: `{first}` trains another backbone, `{trained[first].pretrain.backbone}`")
            line.append(first)
            if first in line[:-1]:
                raise BenchError(f"{place}: a circle, {' <- '.join(f'`{label}`' for label in line)}; none can be first")
