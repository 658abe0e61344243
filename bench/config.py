"""bench.toml read into frozen dataclasses, with errors that name the key, the rule and the near names.

What a plug-in accepts is known from the registry, so a misspelt setting is found before anything runs.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from bench.errors import BenchError, unknown
from bench.keys import plain
from bench.registry import Plugin, Registry, discover
from bench.spec import Settings, Views


@dataclass(frozen=True)
class Data:
    """Where the data sets lie, and what to do about one that is not there."""

    root: str = "data"
    missing: Literal["phantom", "error", "skip"] = "phantom"
    phantom_cases: int = field(default=96, metadata={"min": 16})  # cases of each published part


@dataclass(frozen=True)
class Pretrain:
    """How methods are pretrained. A method entry may override any of it in its own `pretrain` table."""

    corpus: tuple[str, ...] = ()  # tasks, of which only training images are used, or folders of images
    backbone: str = "resnet18"
    init: str = "random"  # or "imagenet", or a checkpoint file
    image_size: int = field(default=64, metadata={"min": 8})  # pixels, side of a global crop and of evaluation
    source_size: int = field(default=0, metadata={"min": 0})  # pixels of the square that views are cut from; 0: twice
    epochs: int = field(default=100, metadata={"min": 1})
    batch_size: int = field(default=64, metadata={"min": 2})  # images of an optimiser step, over all devices
    accumulate: int = field(default=1, metadata={"min": 1})  # parts that a batch is computed in
    optimizer: Literal["adamw", "adam", "sgd", "lars"] = "adamw"
    lr: float = field(default=1e-3, metadata={"min": 0.0})
    weight_decay: float = field(default=1e-4, metadata={"min": 0.0})
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[float, ...] = (0.6, 0.8)  # shares of training at which "step" divides the rate by ten
    warmup_epochs: float = field(default=1.0, metadata={"min": 0.0})
    precision: Literal["auto", "32", "bf16"] = "auto"  # auto: bf16 on a GPU, 32 on a CPU
    checkpoint_minutes: float = field(default=10.0, metadata={"min": 0.0})

    @property
    def sources(self) -> int:
        """Side, in pixels, of the stored images that views are cut from."""
        return self.source_size or 2 * self.image_size


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
    """A task of the grid and the protocols it is evaluated with."""

    name: str
    plugin: Plugin
    protocols: tuple[ProtocolEntry, ...]


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

    @property
    def data_root(self) -> Path:
        """Folder with one folder a task."""
        return self.path.parent / self.data.root


@dataclass(frozen=True)
class _Bench:
    name: str = "bench"
    seeds: tuple[int, ...] = (0,)
    store: str = "runs"


C = TypeVar("C")
SECTIONS = ("bench", "data", "pretrain", "methods", "tasks", "protocols", "executor", "plugins")


def load(path: Path, *, data: str | None = None) -> Grid:
    """Read a grid. `data` (the command line) goes before BENCH_DATA, which goes before `[data] root`.

    Relative paths start at the grid's folder. Raises BenchError.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError:
        raise BenchError(
            f"{path}: no such grid; `bench new grid` writes one, or name another: bench run GRID"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as exc:
        raise BenchError(f"{path}: not readable as TOML: {exc}") from None
    for key in table:
        if key not in SECTIONS:
            raise unknown("section", key, SECTIONS, where=str(path))
    where = path.name
    registry = discover(_plugins(table, where), root=path.parent)
    head = read(_Bench, _table(table, "bench", where), f"{where}: [bench]")
    pretrain = read(Pretrain, _table(table, "pretrain", where), f"{where}: [pretrain]")
    place = read(Data, _table(table, "data", where), f"{where}: [data]")
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
        executor=read(Executor, _table(table, "executor", where), f"{where}: [executor]"),
        registry=registry,
    )
    _check_corpus(grid, where)
    return grid


def read(cls: type[C], table: Mapping[str, Any], where: str, *, base: C | None = None) -> C:
    """A dataclass from a TOML table, checked field by field; `base` gives the values that the table leaves out."""
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise unknown("key", key, known, where=where)
        values[key] = _convert(value, hints[key], f"{where} {key}")
        least = known[key].metadata.get("min")
        if least is not None and values[key] < least:
            raise BenchError(f"{where} {key}: must be at least {least}, got {value}")
    return replace(base, **values) if base is not None else cls(**values)  # type: ignore[type-var]


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in args:
            raise unknown("value", str(value), map(str, args), where=where)
        return value
    if origin is tuple and isinstance(value, list):
        length = len(value) if args[-1] is ... else len(args)
        if len(value) != length:
            raise BenchError(f"{where}: needs {length} values, got {value}")
        return tuple(_convert(v, args[0], where) for v in value)
    for option in args if origin is not None and origin is not tuple else (hint,):
        if get_origin(option) is tuple and isinstance(value, list):
            return _convert(value, option, where)
        if option is float and type(value) in (int, float) and value == value:
            return float(value)
        if type(value) is option:
            return value
    raise BenchError(f"{where}: expected {_name(hint)}, got {value!r}")


def _name(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if get_origin(hint) is tuple:
        return f"a list of {_name(get_args(hint)[0])}"
    return names.get(hint, str(hint))


def _table(table: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise BenchError(f"{where}: [{name}] must be a table, got {value!r}")
    return value


def _plugins(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    value: tuple[str, ...] = _convert(table.get("plugins", []), tuple[str, ...], f"{where}: plugins")
    return value


def settings(plugin: Plugin, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A plug-in's defaults with what the grid gives; a value must be of its default's type (None: anything)."""
    merged = dict(plugin.settings)
    for key, value in given.items():
        if key not in merged:
            raise unknown("setting", key, merged, where=where)
        merged[key] = _like(merged[key], value, f"{where} {key}")
    return plain(merged)  # type: ignore[no-any-return]


def _like(default: Any, value: Any, where: str) -> Any:
    if default is None or type(value) is type(default) or (isinstance(default, tuple) and isinstance(value, list)):
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    raise BenchError(f"{where}: expected {_name(type(default))} like the default {default!r}, got {value!r}")


def _methods(table: Mapping[str, Any], registry: Registry, pretrain: Pretrain, where: str) -> tuple[MethodEntry, ...]:
    entries = []
    for label, given in _table(table, "methods", where).items():
        place = f"{where}: [methods.{label}]"
        if not isinstance(given, dict):
            raise BenchError(f"{place}: must be a table such as {{}}, got {given!r}")
        if not label.strip() or "/" in label or not label.isprintable():
            raise BenchError(
                f"{place}: a label is printable text without `/`, which separates the parts of a cell's name"
            )
        given = dict(given)
        plugin = registry.get("method", given.pop("plugin", label), where=place)
        own = dict(given.pop("pretrain", {}))
        if "backbone" in given:
            own["backbone"] = given.pop("backbone")
        views = given.pop("views", {})
        read(Views, views, f"{place} views")
        weights = _convert(given.pop("weights", ""), str, f"{place} weights")
        recipe = read(Pretrain, own, f"{place} pretrain", base=pretrain)
        entries.append(MethodEntry(label, plugin, settings(plugin, given, place), recipe, plain(views), weights))
    return tuple(entries)


def _tasks(table: Mapping[str, Any], registry: Registry, where: str) -> tuple[TaskEntry, ...]:
    common = _table(table, "protocols", where)
    for name in common:
        registry.get("protocol", name, where=f"{where}: [protocols]")
    entries = []
    for name, given in _table(table, "tasks", where).items():
        place = f"{where}: [tasks.{name}]"
        plugin = registry.get("task", name, where=place)
        if not isinstance(given, dict):
            raise BenchError(f'{place}: must be a table such as {{ protocols = ["linear"] }}, got {given!r}')
        info = plugin.load().info
        chosen: tuple[str, ...] = _convert(
            given.get("protocols", list(info.protocols)), tuple[str, ...], f"{place} protocols"
        )
        own = {k: v for k, v in given.items() if k != "protocols"}
        for key in own:
            if key not in chosen:
                raise unknown("key", key, ["protocols", *chosen], where=place)
        protocols = []
        for protocol in chosen:
            found = registry.get("protocol", protocol, where=f"{place} protocols")
            if protocol not in info.protocols:
                raise unknown("protocol", protocol, info.protocols, where=f"{place} (its protocols)")
            given_here = {**info.recipe.get(protocol, {}), **common.get(protocol, {}), **own.get(protocol, {})}
            protocols.append(ProtocolEntry(found, settings(found, given_here, f"{place} {protocol}")))
        entries.append(TaskEntry(name, plugin, tuple(protocols)))
    return tuple(entries)


def _check_corpus(grid: Grid, where: str) -> None:
    tasks = {p.name for p in grid.registry.all("task")}
    trained = [entry for entry in grid.methods if entry.plugin.decorator == "ssl_method"]
    for entry in trained:
        if not entry.pretrain.corpus:
            raise BenchError(f"{where}: [pretrain] corpus: `{entry.label}` is pretrained and needs at least one source")
        for source in entry.pretrain.corpus:
            if source not in tasks and not (grid.path.parent / source).is_dir():
                raise unknown("task or folder", source, tasks, where=f"{where}: [pretrain] corpus")
        if entry.pretrain.batch_size % entry.pretrain.accumulate:
            raise BenchError(f"{where}: [pretrain] batch_size must be a multiple of accumulate")
