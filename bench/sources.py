"""The data behind a grid as found on this disk: real, phantom or missing, how complete, and what may be pretrained on.

Nothing is pretrained on that is scored: an image of a corpus whose bytes are those of a validation or test image of the
grid is left out, whatever its name and folder. Published splits are not always clean of such images themselves; a task
keeps its split, and `seen` says how many of its test cases lie in its training part too.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import BenchError, reason
from bench.keys import digest
from bench.registry import Plugin
from bench.spec import Case, Splits
from bench.store import Store

if TYPE_CHECKING:
    from bench.config import Grid

MEMO = "fingerprints.json"  # in the store: digests of files, so that those that did not change are not read again

Kind = Literal["real", "phantom"]


@dataclass(frozen=True)
class Source:
    """A task's data, or a corpus folder."""

    name: str
    folder: Path
    kind: Kind = "real"
    fingerprint: str = ""  # of all splits
    training: str = ""  # of the images that may be pretrained on
    found: int = 0
    official: int = 0
    seen: int = 0  # test cases whose bytes are those of a training image of the same task
    left_out: frozenset[str] = frozenset()  # ids of training cases that are not pretrained on
    error: str = ""
    plugin: Plugin | None = field(default=None, repr=False)  # the task's; a corpus folder has none

    def training_cases(self) -> tuple[Case, ...]:
        """What may be pretrained on: the training part of a task, all of a folder, less what is scored elsewhere."""
        cases = self.plugin.load().splits(self.folder).train if self.plugin else folder_cases(self.folder)
        return tuple(case for case in cases if case.id not in self.left_out)


def find_sources(grid: "Grid", store: Store) -> dict[str, Source]:
    """The data of every task and corpus of the grid; a task that is missing and may be skipped is left out."""
    tasks = {p.name for p in grid.registry.all("task")}
    corpora = [name for e in grid.methods if e.plugin.decorator == "ssl_method" for name in e.pretrain.corpus]
    named = {t.name: None for t in grid.tasks} | dict.fromkeys(corpora)
    found: dict[str, Source] = {}
    splits: dict[str, Splits] = {}
    for name in named:
        if name not in tasks:
            found[name], splits[name] = _folder_source(grid, name)
        elif (source := _task_source(grid, name)) is not None:
            found[name], splits[name] = source
    return _sealed(found, splits, store.root / MEMO)


def _task_source(grid: "Grid", name: str) -> tuple[Source, Splits] | None:
    from bench.data.folders import count, is_phantom

    plugin = grid.registry.get("task", name, where=str(grid.path))
    info, folder = plugin.load().info, grid.data_root / name
    source, none = Source(name, folder, official=info.official, plugin=plugin), Splits((), (), ())
    if not folder.is_dir():
        if grid.data.missing == "skip":
            return None
        if grid.data.missing == "error":
            return replace(source, error=f"{folder}: no such folder; {info.title} comes from {info.url}"), none
        seal = digest({"phantom": grid.data.phantom_cases, "source": plugin.source})
        drawn = grid.store / "phantoms" / f"{name}-{seal[:8]}"
        return Source(name, drawn, "phantom", seal, seal, plugin=plugin), none
    try:
        splits: Splits = plugin.load().splits(folder)
        found = sum(n for n, _ in count(plugin.load(), folder).values())
    except Exception as exc:  # a reader that meets what it did not expect must not stop the other tasks
        return replace(source, error=reason(exc)), none
    return replace(source, kind="phantom" if is_phantom(folder) else "real", found=found), splits


def _folder_source(grid: "Grid", name: str) -> tuple[Source, Splits]:
    from bench.data.folders import is_phantom

    folder = grid.path.parent / name
    try:
        splits = Splits(folder_cases(folder), (), ())
    except (BenchError, OSError) as exc:
        return Source(name, folder, error=str(exc)), Splits((), (), ())
    return Source(name, folder, "phantom" if is_phantom(folder) else "real", found=len(splits.train)), splits


def _sealed(found: Mapping[str, Source], splits: Mapping[str, Splits], memo: Path) -> dict[str, Source]:
    """The sources with what their bytes tell: fingerprints, what is seen twice, and what no corpus may hold."""
    from bench.data.folders import digests

    result, bytes_of = dict(found), dict[Path, str]()
    for name, parts in splits.items():
        images = [case.image for _, cases in parts for case in cases]
        try:
            bytes_of |= zip(images, digests(images, memo), strict=True)
        except BenchError as exc:
            result[name] = replace(found[name], error=str(exc))
    ready = {name: parts for name, parts in splits.items() if not (result[name].error or result[name].fingerprint)}
    scored = {bytes_of[case.image] for parts in ready.values() for case in (*parts.val, *parts.test)}
    return result | {name: _seal(result[name], parts, bytes_of, scored) for name, parts in ready.items()}


def fingerprint(splits: Splits, bytes_of: Mapping[Path, str]) -> str:
    """Hash of what a task consists of: splits, ids and targets of cases, content of files; not where they lie."""
    return digest([[part, c.id, c.target, bytes_of[c.image]] for part, cases in splits for c in cases])


def _seal(source: Source, parts: Splits, bytes_of: Mapping[Path, str], scored: Set[str]) -> Source:
    train = {bytes_of[case.image] for case in parts.train}
    left_out = frozenset(case.id for case in parts.train if bytes_of[case.image] in scored)
    return replace(
        source,
        fingerprint=fingerprint(parts, bytes_of),
        training=digest([[c.id, bytes_of[c.image]] for c in parts.train if c.id not in left_out]),
        seen=sum(bytes_of[case.image] in train for case in parts.test),
        left_out=left_out,
    )


def folder_cases(folder: Path) -> tuple[Case, ...]:
    """Every image under a folder as an unlabelled case, by its path. Raises BenchError if there is none."""
    from bench.data.folders import is_image

    files = sorted(f for f in folder.rglob("*") if is_image(f))
    if not files:
        raise BenchError(f"{folder}: holds no image")
    return tuple(Case(f.relative_to(folder).as_posix(), f, 0) for f in files)
