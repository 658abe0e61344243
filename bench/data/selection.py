"""What of a source goes into a corpus: its files, those a list names, their cases, and the cases drawn.

A case (a patient, a volume, an image) is drawn or not as a whole. Cases are ranked by a hash of the seed, the source
and their name, and the first are taken: the draw depends on no library, and a case more changes little of it.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from bench.data import dicom, volumes
from bench.data.corpus_spec import Kind, Source, Spec
from bench.data.file_lists import choose, read_list, stem
from bench.data.folders import EXTENSIONS, is_phantom, require_folder
from bench.data.volumes import Refusal
from bench.errors import BenchError
from bench.random import seed_of

DICOM = (".dcm", ".dicom", ".ima")
BLOCK = 32 * 2**20  # bytes of an HDF5 array that are read at once


@dataclass(frozen=True, slots=True)
class Item:
    """What is decoded in one go: a picture, a volume, a DICOM series, or neighbouring rows of an HDF5 array."""

    kind: Kind
    path: str  # relative to the folder of the source
    case: str
    files: tuple[str, ...] = ()  # of a series, in its order
    rows: tuple[int, ...] = ()
    dataset: str = ""  # array of an HDF5 file
    block: int = 0  # rows of an array that are read together
    images: int = 1  # expected; 0 if not known

    def case_of(self, number: int) -> str:
        """The case of one of its images; rows of an array are each a case of their own, if nothing else is said."""
        return self.case or f"{self.path}#{number}"


@dataclass
class Selection:
    """The items of a source that were drawn, and what was met on the way."""

    folder: Path
    modality: str
    organ: str
    phantom: bool
    items: list[Item] = field(default_factory=list)
    cases: int = 0
    drawn: int = 0
    unmatched: int = 0  # files that the pattern of cases does not match
    absent: list[Refusal] = field(default_factory=list)  # lines of the list that name no file
    refused: list[Refusal] = field(default_factory=list)


def select(spec: Spec, name: str, root: Path) -> Selection:
    """What of the source `name` goes into the corpus. Raises BenchError if there is nothing to choose from."""
    source = spec.sources[name]
    where = f"{spec.path.name}: [sources.{name}]"
    if source.task:
        found = _of_task(source, root, where)
    else:
        folder = require_folder(root, source.folder)
        phantom = any(is_phantom(place) for place in (folder, *folder.parents) if place.is_relative_to(root))
        found = Selection(folder, source.modality, source.organ, phantom)
        kind, paths = _files(found, source, where)
        if source.list:
            paths = _listed(paths, spec.path.parent / source.list, source.part, found)
        volumes.require_packages(paths)
        found.items = list(_items(kind, paths, source, found, where))
    _draw(found, spec.share(source), (spec.corpus.seed, name))
    return found


def _listed(paths: Sequence[str], path: Path, part: str, found: Selection) -> list[str]:
    chosen, absent = choose(paths, lines := read_list(path, part))
    if not chosen:
        raise BenchError(f"{path}: none of its {len(lines)} lines names a file under {found.folder}: {absent[0][0]}")
    found.absent += [Refusal(line, why) for line, why in absent]
    return chosen


def _of_task(source: Source, root: Path, where: str) -> Selection:
    from bench.registry import discover

    task = discover().get("task", source.task, where=where).load()
    folder = require_folder(root, task.info.name)
    found = Selection(folder, source.modality or task.info.modality, source.organ, is_phantom(folder))
    for case in task.splits(folder).train:
        path = case.image.relative_to(folder).as_posix()
        kind: Kind = "volumes" if path.lower().endswith(volumes.ENDINGS) else "images"
        found.items.append(_item(kind, path, case.id, folder, source.axis))
    return found


def _draw(found: Selection, share: float, name: tuple[object, ...]) -> None:
    cases = sorted({item.case for item in found.items})
    count = max(1, round(share * len(cases))) if cases else 0
    if count < len(cases):
        cases.sort(key=lambda case: seed_of("corpus", *name, case))
    drawn = frozenset(cases[:count])
    found.cases, found.drawn = len(cases), count
    found.items = list(_together(item for item in found.items if item.case in drawn))


# ---------------------------------------------------------------------------------------------- files


def _files(found: Selection, source: Source, where: str) -> tuple[Kind, list[str]]:
    """The files of a kind under a folder, in the order of their paths; without a kind given, of the only one there."""
    folder = found.folder
    by_kind: dict[Kind, list[str]] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if kind := _kind(Path(place), name, source.kind):
                path = (Path(place) / name).relative_to(folder).as_posix()
                if _is_text(path):
                    by_kind.setdefault(kind, []).append(path)
                else:
                    found.refused.append(Refusal(repr(path), "its name is not in UTF-8, and no manifest can hold it"))
    kinds = [kind for kind in by_kind if source.kind in ("", kind)]
    counts = ", ".join(f"{len(paths)} of {kind}" for kind, paths in by_kind.items())
    if not kinds:
        wanted = source.kind or "file of images, volumes, dicom or hdf5"
        raise BenchError(f"{where}: {folder} holds no {wanted}{counts and f', but {counts}'}")
    if len(kinds) > 1:
        raise BenchError(f"{where}: {folder} holds files of more than one kind ({counts}); say which in `kind`")
    return kinds[0], sorted(by_kind[kinds[0]])


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(place: Path, name: str, wanted: str) -> Kind | None:
    """What a file is by its name; one without an ending is looked into, since DICOM files often have none.

    Where DICOM is `wanted` it is taken for that unseen, so that a damaged one is refused and not passed over.
    """
    lower = name.lower()
    if name.startswith(".") or lower == "dicomdir":
        return None
    if lower.endswith(volumes.ENDINGS):
        return "volumes"
    if lower.endswith(volumes.HDF5):
        return "hdf5"
    ending = Path(lower).suffix
    if ending in EXTENSIONS:
        return "images"
    if ending in DICOM:
        return "dicom"
    unnamed = not ending[1:].isalpha()
    return "dicom" if unnamed and (wanted == "dicom" or _is_dicom(place / name)) else None


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


# ---------------------------------------------------------------------------------------------- items


def _items(kind: Kind, paths: Sequence[str], source: Source, found: Selection, where: str) -> Iterator[Item]:
    matches = _cases(paths, source, where)
    found.unmatched = len(paths) - len(matches)
    if kind == "dicom":
        series, refused = dicom.find_series(found.folder, matches)
        found.refused += refused
        for one in series:
            case = matches[one.files[0]] if source.case else one.patient
            yield Item(kind, one.files[0], case, files=one.files, images=one.images)
    elif kind == "hdf5":
        for path, case in matches.items():
            yield from _rows(found, path, case if source.case else "", source.dataset)
    else:
        for path, case in matches.items():
            yield _item(kind, path, case or (stem(path) if kind == "volumes" else path), found.folder, source.axis)


def _item(kind: Kind, path: str, case: str, folder: Path, axis: int) -> Item:
    images = volumes.count_slices(folder / path, axis) if kind == "volumes" else 1
    return Item(kind, path, case, images=images)


def _cases(paths: Sequence[str], source: Source, where: str) -> dict[str, str]:
    """The paths that the source's pattern matches, with the case it finds there ("" without a pattern)."""
    if not source.case:
        return dict.fromkeys(paths, "")
    try:
        pattern = re.compile(source.case)
    except re.error as error:
        raise BenchError(f"{where} case: is no regular expression: {error}") from None
    if pattern.groups != 1:
        raise BenchError(f"{where} case: needs one group, which is the case; it has {pattern.groups}")
    found = {path: match[1] or "" for path in paths if (match := pattern.search(path))}
    if paths and not found:
        raise BenchError(f"{where} case: `{source.case}` matches no path, such as `{paths[0]}`")
    return found


def _rows(found: Selection, path: str, case: str, dataset: str) -> Iterator[Item]:
    """An item for each row of an array: a case of its own, unless the pattern of cases says otherwise."""
    try:
        stack = volumes.find_stack(found.folder / path, dataset)
    except (BenchError, OSError) as error:
        found.refused.append(Refusal(path, " ".join(str(error).split())))
        return
    block = max(1, min(256, BLOCK // stack.bytes_each))
    for row in range(stack.images):
        yield Item("hdf5", path, case or f"{path}#{row}", rows=(row,), dataset=stack.name, block=row // block)


def _together(items: Iterable[Item]) -> Iterator[Item]:
    """Items as they are, except that rows of an array that lie in one block are read as one."""
    for _, group in groupby(items, key=lambda item: (item.path, item.block)):
        first, *others = group
        if first.rows:
            rows = tuple(row for item in (first, *others) for row in item.rows)
            alone = first.case == f"{first.path}#{rows[0]}"
            yield replace(first, case="" if alone else first.case, rows=rows, images=len(rows))
        else:
            yield from (first, *others)
