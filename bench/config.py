"""bench.toml read into frozen dataclasses, with errors that name the key, the rule and the near names.

What a plug-in accepts is known from the registry, so a misspelt setting is found before anything runs.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from bench.encoders.names import token_backbones
from bench.errors import BenchError, unknown
from bench.keys import plain
from bench.recipes import Pretrain as Pretrain
from bench.recipes import read_recipe
from bench.registry import Plugin, Registry, discover
from bench.spec import Settings, Task, Views
from bench.values import convert, like, read, subtable


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
class Executor:
    """What runs the jobs. None of it changes a number on a CPU, except `threads`, which may change last bits."""

    kind: Literal["local", "inline"] = "local"
    workers: int = field(default=0, metadata={"min": 0})  # 0: one a GPU, or one a core
    device: str = "auto"  # "cpu", "cuda", "cuda:1"
    threads: int = field(default=1, metadata={"min": 1})  # of each worker, on a CPU
    devices_per_pretrain: int = field(default=1, metadata={"min": 1})


@dataclass(frozen=True)
class MethodEntry:
    """A row of the board: a plug-in with a backbone and settings, under a label."""

    label: str
    plugin: Plugin
    settings: Settings  # all of them, defaults included
    pretrain: Pretrain
    views: Settings  # overrides of the method's Views
    weights: str = ""  # a file, for a foundation model


@dataclass(frozen=True)
class ProtocolEntry:
    """A protocol with all its settings on one task: its defaults, the paper's recipe for the task, the grid's own."""

    plugin: Plugin
    settings: Settings


@dataclass(frozen=True)
class TaskEntry:
    """A column of the board: a task with the settings that the grid gives, under a label, and its protocols."""

    name: str
    plugin: Plugin
    protocols: tuple[ProtocolEntry, ...] = ()
    settings: Settings = field(default_factory=dict)  # those given: what they lead to is part of the key, not they
    folder: str = ""  # under the data root, if it is not called like the task

    def load(self) -> Task:
        """The task itself. Raises BenchError."""
        loaded: Task = self.plugin.load()
        return loaded.configured(self.name, self.settings)


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
        methods=_methods(table, registry, pretrain, where),
        tasks=_tasks(table, registry, where),
        executor=_section(Executor, table, "executor", where),
        registry=registry,
        keep_predictions=head.keep_predictions,
    )
    _check_corpus(grid, where)
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


def _plugins(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    value: tuple[str, ...] = convert(table.get("plugins", []), tuple[str, ...], f"{where}: plugins")
    return value


def settings(plugin: Plugin, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A plug-in's defaults with what the grid gives; a value must be of its default's type (None: anything)."""
    merged = dict(plugin.settings)
    for key, value in given.items():
        if key not in merged:
            raise unknown("setting", key, merged, where=where)
        merged[key] = like(merged[key], value, f"{where} {key}")
    return plain(merged)  # type: ignore[no-any-return]


def _methods(table: Mapping[str, Any], registry: Registry, pretrain: Pretrain, where: str) -> tuple[MethodEntry, ...]:
    entries = []
    for label in (labels := subtable(table, "methods", f"{where}: [methods]")):
        place = f"{where}: [methods.{label}]"
        given = dict(subtable(labels, label, place, " such as {}"))
        if not label.strip() or "/" in label or not label.isprintable():
            raise BenchError(
                f"{place}: a label is printable text without `/`, which separates the parts of a cell's name"
            )
        plugin = registry.get("method", convert(given.pop("plugin", label), str, f"{place} plugin"), where=place)
        own = dict(subtable(given, "pretrain", f"{place} pretrain"))
        views = subtable(given, "views", f"{place} views")
        if "backbone" in given:
            own["backbone"] = given.pop("backbone")
        _check_views(read(Views, views, f"{place} views"), f"{place} views")
        weights = convert(given.get("weights", ""), str, f"{place} weights")
        if weights and plugin.decorator == "ssl_method":
            raise BenchError(f"{place} weights: `{plugin.name}` is pretrained; it may start from pretrain.init")
        if views and plugin.decorator == "foundation_model":
            raise BenchError(f"{place} views: `{plugin.name}` is built from weights and sees no views")
        silent = own.keys() - {"backbone", "image_size"}
        if silent and plugin.decorator == "foundation_model":
            raise BenchError(f"{place} pretrain: `{plugin.name}` is not pretrained; {min(silent)} would change nothing")
        given = {k: v for k, v in given.items() if k not in ("pretrain", "views", "weights")}
        recipe = read_recipe(own, pretrain, f"{place} pretrain")
        _check_backbone(plugin, recipe.backbone, place)
        entries.append(MethodEntry(label, plugin, settings(plugin, given, place), recipe, plain(views), weights))
    return tuple(entries)


def _check_backbone(plugin: Plugin, backbone: str, where: str) -> None:
    """Refuse a method that hides patches on a backbone that has none, before anything runs."""
    name = backbone.split()[0].partition(".")[0] if backbone.strip() else backbone
    if plugin.info.get("needs") == "tokens" and name not in token_backbones():
        raise BenchError(
            f"{where}: `{plugin.name}` hides patches from its encoder, and `{name}` is no plain vision transformer of"
            f' timm; give the entry one, such as backbone = "vit_small_patch16_224"'
        )


def _check_views(views: Views, where: str) -> None:
    if views.global_crops < 1 or views.local_crops < 0 or views.local_size < 0:
        raise BenchError(f"{where}: needs at least one global crop, and no negative number or size of local crops")
    for name, most in {"global_scale": 1, "local_scale": 1, "aspect": 100, "blur_sigma": 100}.items():
        low, high = getattr(views, name)
        if not 0 <= low <= high <= most or high == 0:
            raise BenchError(f"{where} {name}: needs 0 <= low <= high <= {most}, got {low} and {high}")
    for name in ("flip", "vertical_flip", "jitter_prob", "grey_prob", "blur_prob", "solarise_prob"):
        value = getattr(views, name)
        if not all(0 <= p <= 1 for p in (value if isinstance(value, tuple) else (value,))):
            raise BenchError(f"{where} {name}: a probability lies in [0, 1], got {value}")


def _tasks(table: Mapping[str, Any], registry: Registry, where: str) -> tuple[TaskEntry, ...]:
    common = subtable(table, "protocols", f"{where}: [protocols]")
    for name in common:
        _check_common(registry, name, subtable(common, name, f"{where}: [protocols.{name}]"), where)
    names = subtable(table, "tasks", f"{where}: [tasks]")
    return tuple(_task(name, names, common, registry, f"{where}: [tasks.{name}]") for name in names)


def _check_common(registry: Registry, name: str, given: Mapping[str, Any], where: str) -> None:
    """Refuse a setting of [protocols] that no protocol of that name has."""
    place = f"{where}: [protocols.{name}]"
    registry.get("protocol", name, where=f"{where}: [protocols]")
    known = {key: value for p in registry.all("protocol") if p.name == name for key, value in p.settings.items()}
    for key, value in given.items():
        if key not in known:
            raise unknown("setting", key, known, where=place)
        like(known[key], value, f"{place} {key}")


def _task(name: str, names: Mapping[str, Any], common: Mapping[str, Any], registry: Registry, place: str) -> TaskEntry:
    given = dict(subtable(names, name, place, ' such as { protocols = ["linear"] }'))
    plugin = registry.get("task", convert(given.pop("plugin", name), str, f"{place} plugin"), where=place)
    folder = convert(given.pop("folder", ""), str, f"{place} folder")
    info = plugin.load().info
    chosen = convert(given.pop("protocols", list(info.protocols)), tuple[str, ...], f"{place} protocols")
    if len(set(chosen)) < len(chosen):
        raise BenchError(f"{place} protocols: names one twice, got {list(chosen)}")
    own = {key: value for key, value in given.items() if key not in chosen}
    for key in own:
        if key not in plugin.settings:
            raise unknown("key", key, ["protocols", "plugin", "folder", *chosen, *plugin.settings], where=place)
        like(plugin.settings[key], own[key], f"{place} {key}")
    protocols = []
    for protocol in chosen:
        found = registry.get("protocol", protocol, where=f"{place} protocols", target=info.target)
        if protocol not in info.protocols:
            raise unknown("protocol", protocol, info.protocols, where=f"{place} (its protocols)")
        shared = {key: value for key, value in common.get(protocol, {}).items() if key in found.settings}
        here = {**info.recipe.get(protocol, {}), **shared, **subtable(given, protocol, f"{place} {protocol}")}
        protocols.append(ProtocolEntry(found, settings(found, here, f"{place} {protocol}")))
    return TaskEntry(name, plugin, tuple(protocols), plain(own), folder)


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
