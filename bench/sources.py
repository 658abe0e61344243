"""The data behind a grid as found on this disk: real, phantom or missing, how complete, and what may be pretrained on.

Nothing is pretrained on that is scored: an image of a corpus that is, or looks like, a validation or test image of the
grid is left out with the rest of its case, whatever its name and folder (`bench.leaks`). Published splits are not
always clean of such images themselves; a task keeps its split, and `seen` says how many of its test cases lie in its
training part too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import BenchError, reason
from bench.keys import digest
from bench.leaks import Leaks, Pictures, of_corpus, of_files, of_pictures
from bench.spec import Case, Splits
from bench.store import Store

if TYPE_CHECKING:
    from bench.config import Grid
    from bench.data.audit import Entry
    from bench.entries import TaskEntry

# In the store: digests, looks and audits, so that what did not change is not read and compared again.
MEMO, LOOKS, AUDITS = "fingerprints.json", "looks.npy", "audits"

Kind = Literal["real", "phantom"]


@dataclass(frozen=True)
class Source:
    """A task's data, a folder of images, or a corpus that was built."""

    name: str
    folder: Path
    kind: Kind = "real"
    fingerprint: str = ""  # of all splits
    training: str = ""  # of the images that may be pretrained on
    found: int = 0
    official: int = 0
    seen: int = 0  # test cases whose bytes are those of a training image of the same task
    left_out: frozenset[str] = frozenset()  # ids of training cases that are not pretrained on
    numbers: frozenset[int] = frozenset()  # the same of a built corpus: places in it
    audit: Mapping[str, Any] = field(default_factory=dict)  # what was found of it among the scored images
    size: int = 0  # pixels of the images of a built corpus
    error: str = ""
    task: "TaskEntry | None" = field(default=None, repr=False)  # a folder has none

    @property
    def excluded(self) -> int:
        """How many images of it are not pretrained on."""
        return len(self.left_out) + len(self.numbers)

    def training_cases(self) -> tuple[Case, ...]:
        """What may be pretrained on: the training part of a task, all of a folder, less what is scored elsewhere."""
        cases = self.task.load().splits(self.folder).train if self.task else folder_cases(self.folder)
        return tuple(case for case in cases if case.id not in self.left_out)


def find_sources(grid: "Grid", store: Store, corpora: Sequence[str] | None = None) -> dict[str, Source]:
    """The data of every task and corpus of the grid; a task that is missing and may be skipped is left out.

    `corpora` are looked at in place of the grid's own.
    """
    tasks = {p.name for p in grid.registry.all("task")} | {t.name for t in grid.tasks}
    trained = [entry for entry in grid.methods if entry.plugin.decorator == "ssl_method"]
    looked_at = dict.fromkeys(corpora or [name for entry in trained for name in entry.pretrain.corpus])
    named = {t.name: None for t in grid.tasks} | looked_at
    found: dict[str, Source] = {}
    splits: dict[str, Splits] = {}
    for name in named:
        if is_built(grid.path.parent / name):
            found[name] = _built_source(grid, name)
        elif name not in tasks:
            found[name], splits[name] = _folder_source(grid, name)
        elif (source := _task_source(grid, name)) is not None:
            found[name], splits[name] = source
    return _sealed(found, splits, tuple(looked_at), grid.data.audit == "near", store.root)


def _task_source(grid: "Grid", name: str) -> tuple[Source, Splits] | None:
    from bench.data.folders import count, is_phantom, misplaced, official

    entry = grid.task(name)
    task, folder = entry.load(), grid.folder(entry)
    info = task.info
    source, none = Source(name, folder, official=official(task, folder), task=entry), Splits((), (), ())
    if not folder.is_dir():
        if grid.data.missing == "skip":
            return None
        if grid.data.missing == "error":
            hint = misplaced(grid.data_root, entry.folder or name) or f"; {info.title} comes from {info.url}"
            return replace(source, error=f"{folder}: no such folder{hint}"), none
        told = {"phantom": grid.data.phantom_cases, "source": entry.plugin.source}
        seal = digest(told | ({"settings": entry.settings} if entry.settings else {}))
        drawn = grid.store / "phantoms" / f"{name}-{seal[:8]}"
        return Source(name, drawn, "phantom", seal, seal, task=entry), none
    try:
        splits: Splits = task.splits(folder)
        found = sum(n for n, _ in count(task, folder).values())
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


def is_built(folder: Path) -> bool:
    """Whether a folder holds a corpus that `bench corpus build` made."""
    return (folder / "corpus.json").is_file()


def _built_source(grid: "Grid", name: str) -> Source:
    from bench.data.manifest import read_about

    folder = grid.path.parent / name
    try:
        about = read_about(folder)
        kind: Kind = "phantom" if any(one["phantom"] for one in about["sources"].values()) else "real"
        found = about["images"] + about["copies"]
        return Source(name, folder, kind, fingerprint=about["fingerprint"], found=found, size=about["size"])
    except (BenchError, KeyError, TypeError, AttributeError) as exc:
        return Source(name, folder, error=f"{folder}: is no corpus that can be used: {reason(exc)}")


def _sealed(
    found: Mapping[str, Source], splits: Mapping[str, Splits], corpora: tuple[str, ...], look: bool, root: Path
) -> dict[str, Source]:
    """The sources with what their images tell: fingerprints, what is seen twice, and what no corpus may hold."""
    result, pictures = dict(found), dict[str, Pictures]()
    for name, parts in splits.items():
        if found[name].error or found[name].fingerprint:  # is not there, or is drawn when the grid is run
            continue
        try:
            task, looks = found[name].task, root / LOOKS if look and corpora else None
            pictures[name] = of_files(name, parts, root / MEMO, looks, task.load().info.axis if task else 2)
        except BenchError as exc:
            result[name] = replace(found[name], error=str(exc))
    scored = [entry for name in pictures for entry in pictures[name].scored]
    for name, seen in pictures.items():
        leaks = of_pictures(seen.training, scored, root / AUDITS) if name in corpora else Leaks()
        result[name] = _seal(result[name], splits[name], seen.bytes_of, leaks)
    for name, source in result.items():
        if source.size and not source.error:
            result[name] = _seal_built(source, scored, root)
    return result


def fingerprint(splits: Splits, bytes_of: Mapping[Path, str]) -> str:
    """Hash of what a task consists of: splits, ids and targets of cases, content of files; not where they lie."""
    return digest([_told(part, case, bytes_of) for part, cases in splits for case in cases])


def _told(part: str, case: Case, bytes_of: Mapping[Path, str]) -> list[Any]:
    told = [part, case.id, case.target, bytes_of[case.image]]
    if case.masks:
        told += [[[mask.label, bytes_of[mask.path]] for mask in case.masks]]
        told += [bytes_of[case.region] if case.region else "", case.group, case.site]
    if case.boxes:
        told += [list(case.frame), [[b.label, b.left, b.top, b.right, b.bottom, b.rater] for b in case.boxes]]
    return told


def _seal(source: Source, parts: Splits, bytes_of: Mapping[Path, str], leaks: Leaks) -> Source:
    train = {bytes_of[case.image] for case in parts.train}
    kept = [case for case in parts.train if case.id not in leaks.cases]
    return replace(
        source,
        fingerprint=fingerprint(parts, bytes_of),
        training=digest([[c.id, bytes_of[c.image]] for c in kept]),
        seen=sum(bytes_of[case.image] in train for case in parts.test),
        left_out=leaks.cases,
        audit=leaks.audit,
    )


def _seal_built(source: Source, scored: "Sequence[Entry]", root: Path) -> Source:
    try:
        leaks = of_corpus(source.folder, scored, root / AUDITS)
    except BenchError as exc:
        return replace(source, error=str(exc))
    training = digest([source.fingerprint, sorted(leaks.numbers)]) if leaks.numbers else source.fingerprint
    return replace(source, training=training, numbers=leaks.numbers, audit=leaks.audit)


def folder_cases(folder: Path) -> tuple[Case, ...]:
    """Every image under a folder as an unlabelled case, by its path. Raises BenchError if there is none."""
    from bench.data.folders import is_image

    files = sorted(f for f in folder.rglob("*") if is_image(f))
    if not files:
        raise BenchError(f"{folder}: holds no image")
    return tuple(Case(f.relative_to(folder).as_posix(), f, 0) for f in files)
