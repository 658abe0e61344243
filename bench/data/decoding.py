"""An item of a source turned into what is stored: squares of 8 bits, with what the manifest says of each.

Everything is read at full resolution and resized once, bilinear, antialiased, aspect not kept, like
`bench.data.images.read_resized`. A copy is a crop of the full resolution, of 85 to 95 % of the image's area ("random
crop operations covering 85-95% of image regions", LVM-Med section 4.1), aspect kept.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8, UInt64
from PIL import Image

from bench.data import dicom, volumes
from bench.data.images import read_image
from bench.data.likeness import perceptual_hash
from bench.data.selection import Item
from bench.data.volumes import Frame, Refusal
from bench.errors import BenchError
from bench.random import seed_of

AREA = (0.85, 0.95)  # of the image, that a copy covers
MIN_SIDE = 16  # pixels
MAX_ASPECT = 10  # a strip would be squashed to something else

Box = tuple[float, float, float, float]  # top, left, height, width: shares of the image


class Stored(NamedTuple):
    """An image as it is stored, and what is known of its original."""

    pixels: UInt8[np.ndarray, "..."]  # size size if grey, else size size 3
    path: str
    slice: int
    width: int
    height: int
    sha256: str
    hash: UInt64[np.ndarray, " words"]
    copy: int = 0
    box: Box | None = None


class Decoded(NamedTuple):
    """What came of an item."""

    images: list[Stored]
    empty: int
    refused: list[Refusal]


def decode(
    folder: Path, item: Item, *, axis: int, size: int, name: tuple[object, ...], copies: Mapping[int, int] | None = None
) -> Decoded:
    """The images of an item, or only the copies that `copies` asks for, by the slice they are made of.

    `name` is that of the draw, of seed and source. Nothing that a file holds makes this raise.
    """
    result = Decoded([], 0, [])
    empty = 0
    try:
        for frame in _frames(folder, item, axis):
            if isinstance(frame, Refusal):
                result.refused.append(frame)
            elif reason := _misfit(frame.pixels):
                result.refused.append(Refusal(frame.path, reason))
            elif item.kind in ("volumes", "dicom") and volumes.is_empty(frame.pixels):
                empty += 1
            elif copies is None:
                result.images.append(_stored(folder, frame, size, 0, None))
            else:
                for copy in range(1, copies.get(frame.slice, 0) + 1):
                    box = crop((*name, frame.path, frame.slice, copy))
                    result.images.append(_stored(folder, frame, size, copy, box))
    except Exception as error:  # a decoder that is fed hostile bytes raises whatever it likes
        return Decoded([], 0, [Refusal(item.path, _said(error, folder, item.path))])
    return result._replace(empty=empty, refused=list(dict.fromkeys(result.refused)))


def crop(name: tuple[object, ...]) -> Box:
    """The box of a copy, by the name of its draw."""
    area, down, right = np.random.default_rng(seed_of("corpus", "copy", *name)).random(3)
    side = math.sqrt(AREA[0] + (AREA[1] - AREA[0]) * area)
    return float(down * (1 - side)), float(right * (1 - side)), side, side


def _frames(folder: Path, item: Item, axis: int) -> Iterator[Frame | Refusal]:
    if item.kind == "volumes":
        return volumes.read_slices(folder, item.path, axis)
    if item.kind == "dicom":
        return dicom.read_series(folder, item.files)
    if item.kind == "hdf5":
        return volumes.read_stack(folder, item.path, item.dataset, item.rows)
    return iter([Frame(item.path, -1, read_image(folder / item.path))])


def _said(error: Exception, folder: Path, path: str) -> str:
    """The reason in a line, without the places of this machine."""
    said = str(error) if isinstance(error, BenchError) else f"cannot be decoded: {error or type(error).__name__}"
    return " ".join(said.removeprefix(f"{folder / path}: ").replace(f"{folder}{os.sep}", "").split())


def _misfit(pixels: UInt8[np.ndarray, "..."]) -> str:
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        return f"has {width} x {height} pixels, where a side needs {MIN_SIDE}"
    if max(height, width) > MAX_ASPECT * min(height, width):
        return f"has {width} x {height} pixels, and a side may be {MAX_ASPECT} times the other"
    return ""


def _stored(folder: Path, frame: Frame, size: int, copy: int, box: Box | None) -> Stored:
    pixels = np.ascontiguousarray(frame.pixels)
    height, width = pixels.shape[:2]
    if frame.slice < 0:
        sha256 = hashlib.sha256((folder / frame.path).read_bytes()).hexdigest()
    else:
        sha256 = hashlib.sha256(pixels.tobytes()).hexdigest()
    top, left, tall, wide = box or (0.0, 0.0, 1.0, 1.0)
    region = (left * width, top * height, min(width, (left + wide) * width), min(height, (top + tall) * height))
    square = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, box=region))
    seen = pixels if box is None else square
    return Stored(_grey(square), frame.path, frame.slice, width, height, sha256, perceptual_hash(seen), copy, box)


def _grey(square: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """One channel where three are the same, which storage then need not hold."""
    if square.ndim == 3 and (square == square[:, :, :1]).all():
        return np.ascontiguousarray(square[:, :, 0])
    return square
