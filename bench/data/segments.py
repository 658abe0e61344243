"""Images and truth of a segmentation: on their own grid, as they are scored, and at one size, as a network sees them.

Pictures are cases of one slice, volumes of many. What was resized is kept on disk, mapped, and shared by all cells.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from bench.data import images
from bench.data.cache import LISTED, header
from bench.data.folders import is_volume
from bench.data.grids import read_labels, read_volume
from bench.data.masks import read_region, read_truth
from bench.errors import BenchError
from bench.files import replacing
from bench.spec import Case, TaskInfo

VERSION = 1  # to be raised when any pixel would come out otherwise: what is cached is then made anew

Array = np.ndarray[Any, np.dtype[Any]]


class Pair(NamedTuple):
    """A case on its own grid: grey or RGB slices, class numbers, where it is scored, and mm along its axes."""

    image: UInt8[np.ndarray, "n h w c"]
    truth: UInt8[np.ndarray, "n h w"]
    region: Bool[np.ndarray, "n h w"] | None
    spacing: tuple[float, ...] | None  # of n, h, w for a volume, of h, w for a picture; None: not known


@dataclass(frozen=True)
class Slices:
    """All slices of some cases at one size, and the place of the case that each of them is of."""

    images: UInt8[np.ndarray, "n c s s"]
    truth: UInt8[np.ndarray, "n s s"]
    of: Int64[np.ndarray, " n"]

    def part(self, first: int, count: int) -> "Slices":
        """The slices of `count` cases from the case `first` on, counted from 0 again."""
        low, high = np.searchsorted(self.of, [first, first + count])
        return Slices(self.images[low:high], self.truth[low:high], self.of[low:high] - first)


def read_pair(case: Case, info: TaskInfo) -> Pair:
    """Image and truth of a case as they are stored. Raises BenchError, naming the file, for what cannot be used."""
    classes = len(info.classes)
    if is_volume(case.image):
        grid = read_volume(case.image, info.axis)
        path, shape = case.masks[0].path, grid.values.shape
        truth = read_labels(path, case.image, shape, info.axis, classes, info.values)
        return Pair(grid.values[..., None], truth, None, grid.spacing)
    image = images.read_image(case.image)
    shape = image.shape[:2]
    truth = read_truth(case.masks, shape, classes, info.values)
    region = read_region(case.region, shape)[None] if case.region else None
    return Pair(image[None], truth[None], region, case.spacing or None)


def resized(pair: Pair, size: int) -> UInt8[np.ndarray, "n c {size} {size}"]:
    """Slices and, as the last channel, their truth, squares of `size`: bilinear, antialiased; and nearest."""
    found = []
    for image, truth in zip(pair.image, pair.truth, strict=True):
        grey = image[:, :, 0] if image.shape[2] == 1 else image
        small = np.asarray(Image.fromarray(grey).resize((size, size), Image.Resampling.BILINEAR))
        labels = np.asarray(Image.fromarray(truth).resize((size, size), Image.Resampling.NEAREST))
        found.append(np.concatenate([np.atleast_3d(small), labels[:, :, None]], axis=2))
    return np.ascontiguousarray(np.moveaxis(np.stack(found), 3, 1))


def slices(cases: Sequence[Case], info: TaskInfo, size: int, fingerprint: str, folder: Path) -> Slices:
    """All slices of `cases` at one size, in their order, decoded once: kept in `folder` under all that makes them.

    Raises one BenchError that counts all cases that cannot be read and names the first; nothing is then kept.
    """
    file = folder / f"{_name(cases, info, size, fingerprint)}.npy"
    if (found := _load(file)) is None:
        counts: list[int] = []
        with replacing(file) as draft:
            draft.write(header((0, 0, 0, 0)))  # of one length whatever the shape, and known when slices are counted
            for block in _decoded(cases, info, size):
                counts.append(len(block))
                draft.write(block.tobytes())
            draft.seek(0)
            draft.write(header((sum(counts), *block.shape[1:])))
        with replacing(file.with_suffix(".json")) as draft:
            draft.write(json.dumps(counts).encode())
        found = _load(file)
    if found is None:
        raise BenchError(f"{file}: was damaged while it was written; is the disk full, or does another program write?")
    array, counts = found
    return Slices(array[:, :-1], array[:, -1], np.repeat(np.arange(len(counts)), counts))


def _name(cases: Sequence[Case], info: TaskInfo, size: int, fingerprint: str) -> str:
    files = [[os.path.abspath(path) for path in case.files] for case in cases]  # noqa: PTH100
    card = [info.name, len(info.classes), sorted(info.values.items()), info.axis]
    return hashlib.sha256(json.dumps([VERSION, images.VERSION, size, fingerprint, card, files]).encode()).hexdigest()[
        :32
    ]


def _load(file: Path) -> tuple[Array, list[int]] | None:
    """The array at `file`, mapped, and the slices of each case; None where they are not whole."""
    try:
        counts = json.loads(file.with_suffix(".json").read_bytes())
        array: Array = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return (array, counts) if array.ndim == 4 and len(array) == sum(counts) else None


def _decoded(cases: Sequence[Case], info: TaskInfo, size: int) -> Iterator[Array]:
    """The slices of each case, read in threads, in order."""
    refused: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(partial(_attempt, info=info, size=size), cases):
            if isinstance(found, BenchError):
                refused.append(str(found))
            elif not refused:
                yield found
    if refused:
        lines = "\n  ".join(refused[:LISTED] + ["..."] * (len(refused) > LISTED))
        raise BenchError(f"{len(refused)} of {len(cases)} cases cannot be read:\n  {lines}")


def _attempt(case: Case, info: TaskInfo, size: int) -> Array | BenchError:
    try:
        return resized(read_pair(case, info), size)
    except BenchError as error:
        return error
