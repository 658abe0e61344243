"""Published folders as they lie on a disk: what is in them, whether it is all there, and what its content is.

Files are found by stem, because copies of a data set differ in their image format. Imports the standard library alone,
since `bench plan` asks here for fingerprints and has to answer at once.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from bench.data.tables import read_rows as read_rows  # which tasks ask for here: their source is in keys
from bench.errors import BenchError, unknown
from bench.files import replacing
from bench.spec import Image, Part, Task, Truth

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".img"})
DICOM = frozenset({".dcm", ".dicom"})
VOLUMES = (".nii.gz", ".nii")
MARKER = "PHANTOM.txt"  # lies at the root of a data set that was drawn and is not real

T = TypeVar("T")


# ------------------------------------------------------------------------------------------- finding files


def is_image(path: Path) -> bool:
    """Whether this is a file that is not hidden and has the extension of an image format or DICOM, in either case."""
    return path.suffix.lower() in EXTENSIONS | DICOM and not path.name.startswith(".") and path.is_file()


def is_volume(path: Path) -> bool:
    """Whether this is a NIfTI file that is not hidden, as archives made on a Mac hold one beside each volume."""
    return path.name.lower().endswith(VOLUMES) and not path.name.startswith(".") and path.is_file()


def is_phantom(folder: Path) -> bool:
    """Whether the data set in `folder` was drawn by `bench.data.phantom`."""
    return (folder / MARKER).is_file()


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key by which `image(9)` comes before `image(10)`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def as_published(stems: Sequence[str], extension: str) -> list[str]:
    """Stems in the plain order of published file names, in which the extension has a part: `a (1).jpg` < `a.jpg`."""
    return sorted(stems, key=lambda stem: stem + extension)


def index_by_stem(folder: Path) -> dict[str, Path]:
    """The images that lie directly in `folder`, by file name without extension, in natural order.

    Raises BenchError if there is none, or two of the same stem.
    """
    return _index(folder, is_image, "image")


def index_volumes(folder: Path) -> dict[str, Path]:
    """The volumes that lie directly in `folder`, as `index_by_stem` has images."""
    return _index(folder, is_volume, "volume")


def _index(folder: Path, wanted: Callable[[Path], bool], what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted((p for p in require_folder(folder).iterdir() if wanted(p)), key=lambda p: natural(p.name)):
        if (stem := stem_of(path.name)) in found:
            raise BenchError(f"{folder}: {found[stem].name} and {path.name} are the same {what}; keep one")
        found[stem] = path
    if not found:
        raise BenchError(f"{folder}: holds no {what}; was the data set unpacked in full?")
    return found


def stem_of(name: str) -> str:
    """A file name without its extension; `.nii.gz` is one."""
    return name[:-7] if name.lower().endswith(".nii.gz") else Path(name).stem


def pair_volumes(folder: Path, image: str, truth: str) -> dict[str, tuple[Path, Path]]:
    """Image and truth of each case in `folder` by its name, which is the group of two patterns of file stems.

    Letter case does not matter but in names; what is like the truth is no image, and what is like neither is left out.
    Raises BenchError for an image without truth, for truth without an image, and where there is none of both.
    """
    images, truths = dict[str, Path](), dict[str, Path]()
    for stem, path in index_volumes(folder).items():
        if match := re.fullmatch(truth, stem, re.IGNORECASE):
            truths[match[1]] = path
        elif match := re.fullmatch(image, stem, re.IGNORECASE):
            images[match[1]] = path
    if alone := sorted(images.keys() ^ truths.keys()):
        missing = "truth" if alone[0] in images else "image"
        raise BenchError(f"{(images | truths)[alone[0]]}: its {missing} is missing; was the data set unpacked in full?")
    if not images:
        raise BenchError(f"{folder}: holds no volume that is named as published; was the data set unpacked in full?")
    return {name: (path, truths[name]) for name, path in images.items()}


def find(folder: Path, stem: str) -> Path:
    """The image `stem` in `folder`, whatever its format. Raises BenchError with the near names."""
    images = index_by_stem(folder)
    if stem not in images:
        raise unknown("image", stem, images, where=str(folder))
    return images[stem]


def require_folder(folder: Path, *parts: str) -> Path:
    """`folder/parts`. Raises BenchError if it is missing, and says so if a folder one level off was meant."""
    wanted = folder.joinpath(*parts)
    if wanted.is_dir():
        return wanted
    if not folder.is_dir():
        kind = "is a file and no folder" if folder.exists() else "no such folder"
        raise BenchError(f"{folder}: {kind}")
    inside = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    meant = [p for p in (*inside, *folder.absolute().parents[: len(parts)]) if p.joinpath(*parts).is_dir()]
    hint = f"; was {meant[0]} meant?" if meant else f"; it holds {', '.join(p.name for p in inside[:8]) or 'no folder'}"
    raise BenchError(f"{folder}: has no folder {'/'.join(parts)}{hint}")


def misplaced(root: Path, name: str) -> str:
    """Where the data set `name` lies if not in `root` but one folder off, as the end of a message, or nothing."""
    inside = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")) if root.is_dir() else []
    meant = [place for place in (*root.absolute().parents[:2], *inside) if (place / name).is_dir()]
    return f"; there is {meant[0] / name}: was {meant[0]} meant as the folder of the data sets?" if meant else ""


def enclosing(folder: Path, part: str) -> Path:
    """The folder in which `part` lies: `folder`, or the only one in it of which that is true. Raises BenchError."""
    inside = sorted(folder.glob(f"*/{part}/")) if folder.is_dir() and not (folder / part).is_dir() else []
    if len(inside) > 1:
        raise BenchError(f"{folder}: {len(inside)} of its folders have a folder {part}; which is meant?")
    return require_folder(inside[0].parent if inside else folder, part).parent


# ---------------------------------------------------------------------------------------------- splitting


def hold_out(cases: Sequence[T], fraction: float, seed: int) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Part `cases` at random in those kept and ceil(fraction * n) held out, both in the order drawn.

    The same as `sklearn.model_selection.train_test_split(cases, test_size=fraction, random_state=seed)`, by which the
    LVM-Med authors drew their validation sets. Raises BenchError if either part would be empty.
    """
    import numpy as np

    held = math.ceil(fraction * len(cases))
    if not 0 < held < len(cases):
        raise BenchError(f"{len(cases)} cases are too few to hold out {fraction:.0%} of them")
    order = np.random.RandomState(seed).permutation(len(cases)).tolist()
    return tuple(cases[i] for i in order[held:]), tuple(cases[i] for i in order[:held])


# ------------------------------------------------------------------------------------- content and completeness


def file_digest(path: Path, memo: dict[str, str]) -> str:
    """SHA-256 of a file, in hexadecimal; taken from `memo` if size and times say that it did not change since.

    The time of the last change of status is asked for too, because a copy may keep the time of modification.
    """
    try:
        status, key = path.stat(), os.path.abspath(path)  # noqa: PTH100
        stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} "
        if not memo.get(key, "").startswith(stamp):
            with path.open("rb") as file:
                memo[key] = stamp + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read: {error.strerror}") from error
    return memo[key].removeprefix(stamp)


def digests(paths: Sequence[Path], memo: Path) -> list[str]:
    """The digest of each file, in that order.

    They are kept in the JSON file `memo`, so that files that did not change are not read again.
    """
    known = _read_memo(memo)
    before = dict(known)
    found = [file_digest(path, known) for path in paths]
    if known != before:
        with suppress(OSError), replacing(memo) as file:  # it only saves time: a folder that is read-only may lack it
            file.write(json.dumps(known).encode())
    return found


def _read_memo(path: Path) -> dict[str, str]:
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    form = re.compile(r"\d+ -?\d+ -?\d+ [0-9a-f]{64}")
    return {key: value for key, value in content.items() if isinstance(value, str) and form.fullmatch(value)}


@dataclass(frozen=True)
class Status:
    """How much of a data set is on disk: images found and officially published, by part; `reason` says it in words."""

    state: Literal["missing", "partial", "complete", "broken"]
    parts: dict[str, tuple[int, int]]
    reason: str

    @property
    def found(self) -> int:
        """Images found, in all parts."""
        return sum(found for found, _ in self.parts.values())

    @property
    def official(self) -> int:
        """Images published, in all parts."""
        return sum(official for _, official in self.parts.values())


def status(task: Task, folder: Path) -> Status:
    """Whether the data set in `folder` is missing, partial or complete, or broken: there, but not readable."""
    parts = count(task, folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        return Status("missing", parts, f"{folder}: nothing there; {task.info.title} comes from {task.info.url}")
    try:
        notes = task.splits(folder).notes
    except BenchError as error:
        return Status("broken", parts, str(error))
    whole = all(found >= official for found, official in parts.values())
    told = [f"{name} {found} of {official}" for name, (found, official) in parts.items()]
    told += [f"{count} {what}" for what, count in notes.items()]
    return Status("complete" if whole else "partial", parts, ", ".join(told))


def count(task: Task, folder: Path) -> dict[str, tuple[int, int]]:
    """Images found and officially published, by part of the data set."""
    layout = layout_of(task, folder)
    return {name: (_count(task, layout, part, folder), part.official) for name, part in layout.items()}


def official(task: Task, folder: Path) -> int:
    """How many cases the data set has officially, in the layout that it lies in."""
    return sum(part.official for part in layout_of(task, folder).values())


def layout_of(task: Task, folder: Path) -> Mapping[str, Part]:
    """The layout that a data set lies in: one of the card's `layouts` whose file is there, or its `layout`."""
    found = (layout for file, layout in task.info.layouts.items() if (folder / file).is_file())
    return next(found, task.info.layout)


def fields_of(n: int) -> dict[str, object]:
    """What a path of a layout may use of a case's number: {n}, {fold} (1, 2, 1, 2 ...) and {pair} (1, 1, 2, 2 ...)."""
    return {"n": n, "fold": 2 - n % 2, "pair": (n + 1) // 2}


def _count(task: Task, layout: Mapping[str, Part], part: Part, folder: Path) -> int:
    """Images of a part: all in its folders or, where other files share those, the ones that bear its numbers.

    Images that are published at the root may as well lie in any one folder.
    """
    if _template(part).endswith(VOLUMES):
        return _count_volumes(part, folder)
    home, _, name = _template(part).rpartition("/")
    shared = any(_template(p).rpartition("/")[0] == home for p in layout.values() if p is not part)
    beside = any(file.path.rpartition("/")[0] == home for file in part.files if isinstance(file, Truth))
    names, found = task.info.classes if task.info.target == "class" else ("",), set[Path]()
    for place, pattern in {(_filled(home, c, i), _filled(name, c, i)) for i, c in enumerate(names)}:
        start, _, end = stem_of(pattern).partition("*")
        number = re.compile(re.escape(start) + r"(\d+)" + (re.escape(end) + "$" if beside else ""))
        for path in filter(is_image, (p for g in ([f"{place}/*"] if place else ["*", "*/*"]) for p in folder.glob(g))):
            match = number.match(path.stem)
            if not (shared or beside) or (match and 0 <= int(match[1]) - part.first < part.official):
                found.add(path)
    return len(found)


def _count_volumes(part: Part, folder: Path) -> int:
    """Volumes of a part, told by their truth, as a case may have several images, and truth in the same folder.

    They may lie where `enclosing` would find them: one folder deeper, or less deep, or in one of another name.
    """
    path = next((file.path for file in part.files if isinstance(file, Truth)), _template(part))
    home, _, name = _filled(path, "", 0).rpartition("/")
    inner = home.partition("/")[2]
    form = re.compile(".*".join(map(re.escape, stem_of(name).split("*"))), re.IGNORECASE)
    for place in (home, f"*/{home}", *((inner, f"*/{inner}") if inner else ())):
        if found := sum(bool(form.fullmatch(stem_of(p.name))) for p in folder.glob(f"{place}/*") if is_volume(p)):
            return found
    return 0


def _filled(template: str, name: str, label: int) -> str:
    """A path template with the fields of a class filled in, and `*` for what comes from the number of a case."""
    return re.sub(r"\{(n|fold|pair)(:[^}]*)?\}", "*", template).format(name=name, label=label)


def _template(part: Part) -> str:
    return next(file.path for file in part.files if isinstance(file, Image))
