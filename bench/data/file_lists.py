"""Lists that say which files of a data set are meant, such as those LVM-Med's authors released (one a data set).

A line names a file by relative path, name or stem, or a folder with all that lies in it. Copies of a data set differ
in image format and in where they start, so endings may differ, and so may what comes before the part of the two paths
that both have. The released lists put `0_SSL_` or a class (`MEL_`, `0_`) before a file name; it is taken off where the
name is not found with it. A folder of which single files are listed too is a heading, and no choice of its own.
"""

import bisect
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import BenchError, unknown

UNLABELLED = "0_SSL_"
LABEL = re.compile(r"^[^_/]+_")
NAMED = 3  # files that a message names


class Chosen(NamedTuple):
    """The files that a list names, sorted, and its lines that name none, each with the reason."""

    paths: list[str]
    absent: list[tuple[str, str]]


def read_list(path: Path, part: str) -> list[str]:
    """The lines of a list; of a file in JSON the list itself, or the one under the key `part`. Raises BenchError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        content: Any = json.loads(text) if path.suffix.lower() == ".json" else text.splitlines()
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(f"{path}: cannot be read as a list of files: {error}") from None
    if isinstance(content, dict):
        if part not in content:
            raise unknown("part", part, content, where=f"{path}")
        content = content[part]
    if not isinstance(content, list) or not all(isinstance(line, str) for line in content):
        raise BenchError(f"{path}: a list of files is a list of texts; of several in a JSON file, name one in `part`")
    lines = dict.fromkeys(line.strip().replace("\\", "/").removeprefix("./").strip("/") for line in content)
    if not any(lines):
        raise BenchError(f"{path}: names no file")
    return [line for line in lines if line]


def choose(paths: Sequence[str], lines: Iterable[str]) -> Chosen:
    """Which of `paths` (sorted, relative) the lines of a list name."""
    files = _by_name(paths, stem)
    folders = _by_name({folder for path in paths for folder in _folders(path)}, str)
    exact = set(paths)
    taken: set[str] = set()
    places: set[str] = set()
    absent: list[tuple[str, str]] = []
    for line in lines:
        spelt = _spellings(line)
        found = [line] if line in exact else next(filter(None, (_find(files, one) for one in spelt)), [])
        inside = [] if found else next(filter(None, (_nearest(folders.get(_name(one), ()), one) for one in spelt)), [])
        if len(found or inside) == 1:
            (taken if found else places).update(found or inside)
        else:
            absent.append((line, _why(found or inside)))
    headings = {folder for path in taken for folder in _folders(path)}
    for place in places - headings:
        taken.update(_under(paths, place))
    return Chosen(sorted(taken), absent)


def stem(path: str) -> str:
    """A path without the ending of its file name; `.nii.gz` is one ending."""
    return path[:-7] if path.lower().endswith(".nii.gz") else os.path.splitext(path)[0]  # noqa: PTH122


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _by_name(paths: Iterable[str], short: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(short(_name(path)), []).append(path)
    return found


def _folders(path: str) -> list[str]:
    """Every folder above a file: `a/b/c.png` has `a` and `a/b`."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def _under(paths: Sequence[str], folder: str) -> Sequence[str]:
    return paths[bisect.bisect_left(paths, f"{folder}/") : bisect.bisect_left(paths, f"{folder}0")]  # 0 follows /


def _spellings(line: str) -> list[str]:
    """The line as it is, and without what the released lists put before a file name."""
    place, slash, name = line.rpartition("/")
    spelt = (line, line.removeprefix(UNLABELLED), name.removeprefix(UNLABELLED), LABEL.sub("", name, count=1))
    return list(dict.fromkeys((*spelt[:2], *(place + slash + one for one in spelt[2:]))))


def _find(files: Mapping[str, Sequence[str]], line: str) -> list[str]:
    """The files of that name, else those of which it is the stem, else those with another ending."""
    name = _name(line)
    alike = files.get(stem(name), ())
    for some in ([path for path in alike if _name(path) == name], files.get(name, ()), alike):
        if found := _nearest(some, line):
            return found
    return []


def _nearest(paths: Iterable[str], line: str) -> list[str]:
    """Of paths whose folders agree with the line's as far as both have some, those that share most with it."""
    wanted = line.split("/")[-2::-1]
    shared: dict[int, list[str]] = {}
    for path in paths:
        given = path.split("/")[-2::-1]
        depth = min(len(wanted), len(given))
        if wanted[:depth] == given[:depth]:
            shared.setdefault(depth, []).append(path)
    return shared[max(shared)] if shared else []


def _why(found: Sequence[str]) -> str:
    if not found:
        return "the list names it, and it is not there"
    names = ", ".join(found[:NAMED]) + (", ..." if len(found) > NAMED else "")
    return f"the list names it, and there are {len(found)} of this name ({names}); give the path"
