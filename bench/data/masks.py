"""Truth that lies in picture files: masks in black and white, and maps that hold the numbers of classes.

Values are read as they are stored: nothing is windowed, resized or turned. Until it is read, a file is hostile input.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Num, UInt8
from PIL import Image

from bench.data.images import decode
from bench.errors import BenchError
from bench.spec import Mask

Array = np.ndarray[Any, np.dtype[Any]]

WHITE = 128  # of 255, from which on a pixel is white
GREY = (32, 223)  # neither black nor white
AREAS = 0.01  # of a mask, that areas of grey may cover; lossy formats and resizing leave a tenth of that
TOPS = (1, 255, 65535)  # what white may be where there are more than 8 bits
TINT = 16  # levels that the channels of a mask may differ by, since lossy formats round colours
LISTED = 8


def read_truth(
    masks: Sequence[Mask], shape: tuple[int, int], classes: int, values: Mapping[int, int]
) -> UInt8[np.ndarray, "h w"]:
    """Class numbers, 0 to `classes` - 1, of the pixels of an image of `shape` (h, w).

    Of a mask with a label, what is white is of that class: from 128 of 255 on, or 1 where there are only 0 and 1, as in
    files of 1 bit. One without holds numbers, whose classes `values` gives; with none, they are the classes. 0 is the
    background, of which all is that no mask covers; a later mask lies over an earlier one.

    Numbers of 16 bits or in floating point are taken as they are, and so are the indices of a palette of colours in
    which 0 is black; of other palettes the greys are taken. Raises BenchError, naming the file and how to mend it: for
    another size than the image's, areas of grey in a mask, a number without a class, colours, transparency, and
    whatever cannot be decoded.
    """
    truth = np.zeros(shape, np.uint8)
    for mask in masks:
        if mask.label:
            layer = _white(mask.path, shape) * np.uint8(mask.label)
        else:
            layer = _map(mask.path, shape, classes, values)
        truth = np.where(layer > 0, layer, truth)
    return truth


def read_region(path: Path, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Where a field of view is white, on the grid of an image of `shape` (h, w).

    Raises BenchError as `read_truth` does, and where nothing is white.
    """
    region = _white(path, shape)
    if not region.any():
        raise BenchError(f"{path}: is black all over: nothing of the image would be scored; download the file again")
    return region


def _white(path: Path, shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    values = _values(path, shape, TINT)
    top = values.max()
    if values.dtype == np.uint8 and top > 1:
        found = values >= WHITE
        grey = (values >= GREY[0]) & (values <= GREY[1])
        # Lossy formats and resizing leave grey along edges, in lines: only where it has an inside was it drawn.
        wrong = not found.any() or (grey.mean() > AREAS and _inside(grey) > AREAS)
    else:
        found = (values == top) & (values > 0)
        wrong = top not in (0, *TOPS) or bool((~found & (values != 0)).any())
    if wrong:
        raise _refused(
            path,
            f"a mask is black and white, and this one has grey: {_some(values)}",
            "save it as a PNG in black and white, or as a map of classes if it is one",
        )
    return found


def _map(path: Path, shape: tuple[int, int], classes: int, values: Mapping[int, int]) -> UInt8[np.ndarray, "h w"]:
    stored = _values(path, shape, 0)
    known = {0: 0, **values} if values else {number: number for number in range(classes)}
    numbers, places = np.unique(stored, return_inverse=True)
    if strange := [number for number in numbers.tolist() if number not in known]:
        raise _refused(
            path,
            f"holds {_some(np.array(strange))}, which is no class; known: {', '.join(map(str, sorted(known)))}",
            "correct the task's card, or the file; JPEG cannot keep numbers, so save it as a PNG",
        )
    table = np.array([known[number] for number in numbers.tolist()], np.uint8)
    return table[places].reshape(shape)


def _values(path: Path, shape: tuple[int, int], tint: int) -> Num[np.ndarray, "h w"]:
    """What one channel stores: 0 and 1 in files of 1 bit. Channels may differ by `tint`."""
    values = decode(path, partial(_stored, path, tint))
    if values.shape != shape:
        sizes = f"{values.shape[1]} x {values.shape[0]} pixels, its image {shape[1]} x {shape[0]}"
        raise _refused(path, f"has {sizes}", "was one of them resized or turned? They must lie on one grid")
    return values


def _stored(path: Path, tint: int, image: Image.Image) -> Num[np.ndarray, "h w"]:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return np.array(image)
    if image.mode in {"1", "L"} and not image.has_transparency_data:
        return np.array(image).astype(np.uint8)
    pixels = np.array(image.convert("RGBA"))
    spread = int((pixels[:, :, :3].max(axis=2) - pixels[:, :, :3].min(axis=2)).max())
    if image.mode == "P" and spread > tint:  # colours for the eye; where 0 is not black, they were numbered by a tool
        indices = np.array(image)
        if not pixels[indices == 0, :3].any():
            return indices
    if pixels[:, :, 3].min() < 255:
        raise _refused(path, "is transparent in places, so what is there cannot be told", "save it without alpha")
    if spread > tint:
        raise _refused(path, "has colours, and truth is told by one value a pixel", "save it as a PNG in grey")
    return pixels[:, :, 0]


def _inside(mask: Bool[np.ndarray, "h w"]) -> float:
    """Share of the pixels that are in the mask with all their neighbours."""
    side = min(3, *mask.shape)
    return float(np.lib.stride_tricks.sliding_window_view(mask, (side, side)).all(axis=(2, 3)).mean())


def _some(values: Array) -> str:
    numbers = np.unique(values)
    return ", ".join(f"{number:g}" for number in numbers[:LISTED]) + (" ..." if len(numbers) > LISTED else "")


def _refused(path: Path, reason: str, mend: str) -> BenchError:
    return BenchError(f"{path}: {reason}; {mend}")
