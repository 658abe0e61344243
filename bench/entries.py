"""Rows and columns of the board as a grid asks for them: plug-ins with settings, under labels.

What a plug-in accepts is known from the registry, so a misspelt setting is found before anything runs.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.encoders.names import token_backbones
from bench.errors import BenchError, unknown
from bench.keys import plain
from bench.recipes import Pretrain, read_recipe
from bench.registry import Plugin, Registry
from bench.spec import Settings, Task, Views
from bench.values import convert, like, read, subtable


@dataclass(frozen=True)
class MethodEntry:
    """A row of the board: a plug-in with a backbone and settings, under a label."""

    label: str
    plugin: Plugin
    settings: Settings  # all of them, defaults included
    pretrain: Pretrain
    views: Settings  # overrides of the method's Views
    weights: str = ""  # of a foundation model: a file, "random", or "" for its library's cache or hub
    sha256: str = ""  # that the file must have
    missing: tuple[str, ...] = ()  # patterns of what the file may lack
    group: str = ""  # of the board's rows, if the grid says

    @property
    def tokens(self) -> bool:
        """Whether its backbone is a plain transformer."""
        return bool(self.plugin.info.get("tokens")) or _bare(self.pretrain.backbone) in token_backbones()


@dataclass(frozen=True)
class ProtocolEntry:
    """A protocol with all its settings on one task: its defaults, the paper's recipe for the task, the grid's own.

    The paper has other recipes for encoders that are plain transformers: `tokens` are the settings for those.
    """

    plugin: Plugin
    settings: Settings
    tokens: Settings = field(default_factory=dict)

    def of(self, method: MethodEntry) -> "ProtocolEntry":
        """With the settings for the encoder of a method."""
        return replace(self, settings=self.tokens) if self.tokens and method.tokens else self


@dataclass(frozen=True)
class TaskEntry:
    """A column of the board: a task with the settings that the grid gives, under a label, and its protocols."""

    name: str
    plugin: Plugin
    protocols: tuple[ProtocolEntry, ...] = ()
    seeds: tuple[int, ...] | None = None  # those of the grid's that it is done with; None: all
    settings: Settings = field(default_factory=dict)  # those given: what they lead to is part of the key, not they
    folder: str = ""  # under the data root, if it is not called like the task

    def load(self) -> Task:
        """The task itself. Raises BenchError."""
        loaded: Task = self.plugin.load()
        return loaded.configured(self.name, self.settings)


def settings(plugin: Plugin, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A plug-in's defaults with what the grid gives; a value must be of its default's type (None: anything)."""
    merged = dict(plugin.settings)
    for key, value in given.items():
        if key not in merged:
            raise unknown("setting", key, merged, where=where)
        merged[key] = like(merged[key], value, f"{where} {key}")
    return plain(merged)  # type: ignore[no-any-return]


def read_methods(
    table: Mapping[str, Any], registry: Registry, pretrain: Pretrain, where: str
) -> tuple[MethodEntry, ...]:
    """The rows of the board, from [methods], with `pretrain` as the grid's own recipe. Raises BenchError."""
    entries = []
    for label in (labels := subtable(table, "methods", f"{where}: [methods]")):
        place = f"{where}: [methods.{label}]"
        given = dict(subtable(labels, label, place, " such as {}"))
        if not label.strip() or "/" in label or not label.isprintable():
            raise BenchError(
                f"{place}: a label is printable text without `/`, which separates the parts of a cell's name"
            )
        plugin = registry.get("method", convert(given.pop("plugin", label), str, f"{place} plugin"), where=place)
        group = convert(given.pop("group", ""), str, f"{place} group") if "group" not in plugin.settings else ""
        own = dict(subtable(given, "pretrain", f"{place} pretrain"))
        views = subtable(given, "views", f"{place} views")
        if "backbone" in given:
            own["backbone"] = given.pop("backbone")
        _check_views(read(Views, views, f"{place} views"), f"{place} views")
        if plugin.info.get("backbone"):
            own = {"backbone": plugin.info["backbone"], "image_size": plugin.info.get("image_size", 224)} | own
        loaded = _weights(plugin, given, place)
        if views and plugin.decorator == "foundation_model":
            raise BenchError(f"{place} views: `{plugin.name}` is built from weights and sees no views")
        silent = own.keys() - {"backbone", "image_size"}
        if silent and plugin.decorator == "foundation_model":
            raise BenchError(f"{place} pretrain: `{plugin.name}` is not pretrained; {min(silent)} would change nothing")
        given = {k: v for k, v in given.items() if k not in ("pretrain", "views", *loaded)}
        recipe = read_recipe(own, pretrain, f"{place} pretrain")
        _check_backbone(plugin, recipe.backbone, place)
        configured = settings(plugin, given, place)
        entries.append(MethodEntry(label, plugin, configured, recipe, plain(views), **loaded, group=group))
    return tuple(entries)


def _weights(plugin: Plugin, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What an entry says of the weights of a foundation model. Raises BenchError."""
    loaded = {
        "weights": convert(given.get("weights", ""), str, f"{where} weights"),
        "sha256": convert(given.get("sha256", ""), str, f"{where} sha256").lower(),
        "missing": convert(given.get("missing", []), tuple[str, ...], f"{where} missing"),
    }
    if any(loaded.values()) and plugin.decorator == "ssl_method":
        raise BenchError(f"{where} weights: `{plugin.name}` is pretrained; it may start from pretrain.init")
    if (loaded["sha256"] or loaded["missing"]) and loaded["weights"] in ("", "random"):
        raise BenchError(f'{where}: `sha256` and `missing` are said of a file; name it with weights = "FILE"')
    return loaded


def _check_backbone(plugin: Plugin, backbone: str, where: str) -> None:
    """Refuse a method that hides patches on a backbone that has none, before anything runs."""
    name = _bare(backbone)
    if plugin.info.get("needs") == "tokens" and name not in token_backbones():
        raise BenchError(
            f"{where}: `{plugin.name}` hides patches from its encoder, and `{name}` is no plain vision transformer of"
            f' timm; give the entry one, such as backbone = "vit_small_patch16_224"'
        )


def _bare(backbone: str) -> str:
    """The name of an architecture without options and the tag of its weights."""
    return backbone.split()[0].partition(".")[0] if backbone.strip() else backbone


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


def read_tasks(table: Mapping[str, Any], registry: Registry, seeds: Sequence[int], where: str) -> tuple[TaskEntry, ...]:
    """The columns of the board, from [tasks] and [protocols]. Raises BenchError."""
    common = subtable(table, "protocols", f"{where}: [protocols]")
    for name in common:
        _check_common(registry, name, subtable(common, name, f"{where}: [protocols.{name}]"), where)
    names = subtable(table, "tasks", f"{where}: [tasks]")
    return tuple(_task(name, names, common, registry, seeds, f"{where}: [tasks.{name}]") for name in names)


def _check_common(registry: Registry, name: str, given: Mapping[str, Any], where: str) -> None:
    """Refuse a setting of [protocols] that no protocol of that name has."""
    place = f"{where}: [protocols.{name}]"
    registry.get("protocol", name, where=f"{where}: [protocols]")
    known = {key: value for p in registry.all("protocol") if p.name == name for key, value in p.settings.items()}
    for key, value in given.items():
        if key not in known:
            raise unknown("setting", key, known, where=place)
        like(known[key], value, f"{place} {key}")


def _task(
    name: str, names: Mapping[str, Any], common: Mapping[str, Any], registry: Registry, seeds: Sequence[int], place: str
) -> TaskEntry:
    given = dict(subtable(names, name, place, ' such as { protocols = ["linear"] }'))
    plugin = registry.get("task", convert(given.pop("plugin", name), str, f"{place} plugin"), where=place)
    folder = convert(given.pop("folder", ""), str, f"{place} folder")
    own_seeds = _task_seeds(given.pop("seeds", list(seeds)), seeds, f"{place} seeds")
    info = plugin.load().info
    chosen = convert(given.pop("protocols", list(info.protocols)), tuple[str, ...], f"{place} protocols")
    if len(set(chosen)) < len(chosen):
        raise BenchError(f"{place} protocols: names one twice, got {list(chosen)}")
    own = {key: value for key, value in given.items() if key not in chosen}
    for key in own:
        if key not in plugin.settings:
            raise unknown(
                "key", key, ["protocols", "plugin", "folder", "seeds", *chosen, *plugin.settings], where=place
            )
        like(plugin.settings[key], own[key], f"{place} {key}")
    protocols = []
    for protocol in chosen:
        found = registry.get("protocol", protocol, where=f"{place} protocols", target=info.target)
        others = [p.name for p in registry.all("protocol") if p.target == info.target and p.info.get("on_request")]
        if protocol not in (*info.protocols, *others):
            raise unknown("protocol", protocol, [*info.protocols, *others], where=f"{place} (its protocols)")
        shared = {key: value for key, value in common.get(protocol, {}).items() if key in found.settings}
        here = {**shared, **subtable(given, protocol, f"{place} {protocol}")}
        recipe = {**info.recipe.get(protocol, {}), **_recipes("all", protocol, plugin.name)}
        variants = (recipe, {**recipe, **_recipes("tokens", protocol, plugin.name)})
        full = [settings(found, {**of, **here}, f"{place} {protocol}") for of in variants]
        protocols.append(ProtocolEntry(found, *full))
    return TaskEntry(name, plugin, tuple(protocols), own_seeds, plain(own), folder)


@cache
def _recipes(encoders: str, protocol: str, task: str) -> Settings:
    """Settings that stand in no task's card, for "all" encoders or those of "tokens"."""
    recipes = tomllib.loads((Path(__file__).parent / "task_recipes.toml").read_text(encoding="utf-8"))
    found: Settings = recipes.get(encoders, {}).get(protocol, {}).get(task, {})
    return found


def _task_seeds(given: Any, seeds: Sequence[int], where: str) -> tuple[int, ...]:
    chosen: tuple[int, ...] = convert(given, tuple[int, ...], where)
    if not chosen or not set(chosen) <= set(seeds) or len(set(chosen)) < len(chosen):
        raise BenchError(f"{where}: needs one or more of the seeds of [bench], {list(seeds)}, got {list(chosen)}")
    return chosen
