"""Cases of images with masks, and splits, drawn by group or read from a list: no patient is ever in two parts.

The draw is LVM-Med's (arXiv:2306.11925; its lists for Kvasir-SEG and BUID have these sizes): 20 % of all for the test,
then 20 % of the rest for validation, each with scikit-learn's generator and seed 42; the ids drawn are not theirs.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from bench.data.folders import DICOM, EXTENSIONS, hold_out, index_by_stem, is_phantom, natural
from bench.errors import BenchError
from bench.spec import Case, Mask, Splits

PARTS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}  # the keys that a list may use
FLAG = re.compile(r" (-1| 0| 1)$")  # what VOC may say after a name, in two places: whether it has a class
ENDINGS = (".nii.gz", ".nii", *sorted(EXTENSIONS | DICOM))


def pair_images(images: Path, masks: Path, suffix: str = "", label: int = 1) -> list[Case]:
    """Every image in a folder with the mask in another (or the same) that has its stem and then `suffix`.

    The id is the stem. Raises BenchError for an image without a mask and a mask without an image, naming the files, and
    where `index_by_stem` does.
    """
    found, truth = index_by_stem(images), index_by_stem(masks)
    if found == truth:
        if not suffix:
            raise BenchError(f"{images}: holds images and masks, so the masks need a suffix that tells them apart")
        truth = {stem: p for stem, p in found.items() if stem.endswith(suffix) and stem.removesuffix(suffix) in found}
        found = {stem: p for stem, p in found.items() if stem not in truth}
    named = {stem + suffix for stem in found}
    if bare := [path for stem, path in found.items() if stem + suffix not in truth]:
        near = get_close_matches(bare[0].stem + suffix, truth.keys() - named, n=1, cutoff=0.5)
        hint = f"; there is {truth[near[0]]}" if near else ""
        raise BenchError(f"{_listed(bare)} without a mask: {masks} has no {bare[0].stem}{suffix}{hint}")
    if left := [path for stem, path in truth.items() if stem not in named]:
        raise BenchError(f"{_listed(left)} without an image: {images} has no {left[0].stem.removesuffix(suffix)}")
    return [Case(stem, path, masks=(Mask(truth[stem + suffix], label),)) for stem, path in found.items()]


def divide(cases: Sequence[Case], folder: Path, file: str = "", *, official: int = 0) -> Splits:
    """By the list `file`, relative to the folder that holds the data set `folder`; drawn without one.

    A phantom is drawn too: it has other cases, and lies elsewhere.
    """
    if not file or is_phantom(folder):
        return three_way(cases)
    return from_list(cases, folder.absolute().parent / file, official=official)


def three_way(cases: Sequence[Case], seed: int = 42, val: float = 0.16, test: float = 0.2) -> Splits:
    """Draw train, val and test: shares of the groups (of a case without one: its id), rounded up, test first.

    All cases of a group stay together, in the order drawn. The draw depends on the names of the groups alone, not on
    the order of `cases`. Raises BenchError if a part would be empty.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group or case.id, []).append(case)
    names = sorted(groups, key=lambda name: (natural(name), name))
    rest, tested = hold_out(names, test, seed)
    trained, chosen = hold_out(rest, round(val / (1 - test), 9), seed)  # unrounded, 0.2 could hold out one more
    train, val_, test_ = (tuple(c for name in part for c in groups[name]) for part in (trained, chosen, tested))
    return Splits(train, val_, test_)


def from_list(cases: Sequence[Case], path: Path, *, official: int = 0) -> Splits:
    """The split in a JSON file with lists `train`, `val` (or `valid`) and `test`, in the order of those lists.
    In its place there may be a folder with text files of those names, a name a line, as Pascal VOC has it.

    An entry is a case's group, id, or the last part of its id, as text or as a number; a file's ending and spaces do
    not matter (LVM-Med's release took those out). A data set of fewer than `official` cases is partial: what is not on
    disk, or not in the list, is left out of it. In a whole one both are errors, and so is, in any, an entry that is
    there twice, a group in two parts, and a part that ends up empty. Raises BenchError, naming the file and the entry.
    """
    lookups, placed = _lookups(cases), dict[str, str]()
    chosen: dict[str, list[Case]] = {part: [] for part in PARTS}
    missing: list[str] = []
    for part, entry in _entries(path):
        found = _meant(entry, lookups, path)
        missing += [] if found else [entry]
        for case in found:
            if case.id in placed:
                raise BenchError(f"{path}: {part} names `{entry}`, and {case.id} is in {placed[case.id]} already")
            placed[case.id] = part
            chosen[part].append(case)
    _check_groups(cases, placed, path)
    if not placed:
        known = f"; one of them is {cases[0].id}" if cases else ""
        raise BenchError(f"{path}: names none of the {len(cases)} cases of the data set{known}")
    if len(cases) >= official:
        if missing:
            raise BenchError(f"{path}: {_listed(missing)} in it, but not among the {len(cases)} cases of the data set")
        if unnamed := [case.id for case in cases if case.id not in placed]:
            raise BenchError(f"{path}: {_listed(unnamed)} in no part of it; add it to one, or move its files away")
    if empty := [part for part in PARTS if not chosen[part]]:
        raise BenchError(f"{path}: no case of {empty[0]} is on disk; without the list, a split is drawn")
    return Splits(*(tuple(chosen[part]) for part in PARTS))


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    """The parts and names of a list. Raises BenchError for what is none."""
    if path.is_dir():
        yield from _lines(path)
        return
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BenchError(f"{path}: cannot be read as a list of cases: {reason}") from error
    if not isinstance(content, Mapping):
        raise BenchError(f"{path}: must hold an object with the lists train, val and test")
    for part, keys in PARTS.items():
        there = [key for key in keys if key in content]
        if len(there) != 1:
            raise BenchError(
                f"{path}: needs one list `{'` or `'.join(keys)}`; it has {', '.join(content) or 'nothing'}"
            )
        if not isinstance(content[there[0]], list):
            raise BenchError(f"{path}: `{there[0]}` is no list")
        for entry in content[there[0]]:
            if type(entry) not in (str, int):
                raise BenchError(f"{path}: {there[0]} holds {entry!r}, which is no name of a case")
            yield part, str(entry)


def _lines(folder: Path) -> Iterator[tuple[str, str]]:
    """The same of a folder of text files, a name a line, after which VOC may have a flag."""
    for part, keys in PARTS.items():
        files = [folder / f"{key}.txt" for key in keys if (folder / f"{key}.txt").is_file()]
        if len(files) != 1:
            raise BenchError(f"{folder}: needs one file {' or '.join(f'{key}.txt' for key in keys)}")
        try:
            lines = files[0].read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"{files[0]}: cannot be read as a list of cases: {error}") from error
        yield from ((part, FLAG.sub("", line.rstrip())) for line in lines if line.strip())


def _lookups(cases: Sequence[Case]) -> tuple[dict[str, list[Case]], ...]:
    """Cases by all that a list may call them: groups before ids before last parts of ids."""
    groups, ids, ends = dict[str, list[Case]](), dict[str, list[Case]](), dict[str, list[Case]]()
    for case in cases:
        if case.group:
            groups.setdefault(_plain(case.group), []).append(case)
        ids.setdefault(_plain(case.id), []).append(case)
        ends.setdefault(_plain(case.id.rpartition("/")[2]), []).append(case)
    return groups, ids, ends


def _meant(entry: str, lookups: tuple[dict[str, list[Case]], ...], path: Path) -> list[Case]:
    """The cases that an entry stands for: one, those of a group, or none. Raises BenchError if it may mean several."""
    name = _plain(entry)
    if found := lookups[0].get(name):
        return found
    found = next((lookup[name] for lookup in lookups if name in lookup), [])
    if len(found) > 1:
        raise BenchError(f"{path}: `{entry}` may be {' or '.join(_ids(found)[:3])}; write all of the id")
    return found


def _plain(name: str) -> str:
    """A name without spaces and without the ending of a file."""
    bare = "".join(name.split())
    ending = next((end for end in ENDINGS if bare.lower().endswith(end)), "")
    return bare[: len(bare) - len(ending)]


def _check_groups(cases: Sequence[Case], placed: Mapping[str, str], path: Path) -> None:
    parts: dict[str, str] = {}
    for case in cases:
        if case.id in placed and parts.setdefault(case.group or case.id, placed[case.id]) != placed[case.id]:
            raise BenchError(
                f"{path}: {case.group} is in {parts[case.group]} and, with {case.id}, in {placed[case.id]}"
            )


def _listed(names: Sequence[str | Path]) -> str:
    """Names in a sentence, the first few of them: `a, b and 7 more are`."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(map(str, names[:3]))}{more} {'is' if len(names) == 1 else 'are'}"


def _ids(cases: Sequence[Case]) -> list[str]:
    return [case.id for case in cases]
