"""Decodes each image of a set once: a memory-mapped array on disk, named by a hash of everything that makes it.

The file is written whole or not at all, so a second writer only does the work twice; one that is damaged afterwards is
told by its length and its header, and made again.
"""

import hashlib
import io
import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8

from bench.data import images
from bench.errors import BenchError
from bench.files import replacing

LISTED = 5  # unreadable images that an error names

Shape = tuple[int, int, int, int]


def decoded(
    paths: Sequence[Path], size: int, fingerprint: str, cache_dir: Path
) -> UInt8[np.ndarray, "n 3 {size} {size}"]:
    """The images at `paths`, in that order, as `images.read_resized` gives them.

    `fingerprint` stands for the files' content (`folders.fingerprint`); the paths only tell which of those files are
    meant. Raises one BenchError that counts all images that cannot be read, and names the first; the cache then holds
    nothing of the set. The array is the caller's own: writing to it changes neither the file nor another's array.
    """
    shape = (len(paths), 3, size, size)
    if not paths:
        return np.empty(shape, np.uint8)
    file = cache_dir / f"{_name(paths, size, fingerprint)}.npy"
    try:
        array = _load(file, shape)
        if array is None:
            with replacing(file) as draft:
                draft.write(header(shape))
                _decode(paths, size, draft)
            array = _load(file, shape)
    except OSError as error:
        raise BenchError(f"{file}: the cache of decoded images cannot be used: {error.strerror or error}") from error
    if array is None:
        raise BenchError(f"{file}: was damaged while it was written; is the disk full, or does another program write?")
    return array


def _name(paths: Sequence[Path], size: int, fingerprint: str) -> str:
    parts = [images.VERSION, size, fingerprint, [os.path.abspath(path) for path in paths]]  # noqa: PTH100
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def header(shape: Shape) -> bytes:
    """What a .npy file of this shape begins with; numpy pads it to a multiple of 64 bytes."""
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return written.getvalue()


def _load(path: Path, shape: Shape) -> UInt8[np.ndarray, "n 3 size size"] | None:
    """The array at `path`, mapped; None if there is none, or not one of this shape and of full length."""
    begin = header(shape)
    try:
        with path.open("rb") as file:
            if file.read(len(begin)) != begin or path.stat().st_size != len(begin) + math.prod(shape):
                return None
            # Copy on write: torch warns of arrays that cannot be written to, and nobody may write to the file.
            return np.memmap(file, np.uint8, "c", offset=len(begin), shape=shape)
    except FileNotFoundError:
        return None


def _decode(paths: Sequence[Path], size: int, file: BinaryIO) -> None:
    """Decode in threads (Pillow lets go of the interpreter's lock) and write in the order of `paths`."""
    refused: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for image in pool.map(partial(_attempt, size=size), paths):
            if isinstance(image, BenchError):
                refused.append(str(image))
            elif not refused:
                file.write(image.tobytes())
    if refused:
        more = ["..."] if len(refused) > LISTED else []
        lines = "\n  ".join(refused[:LISTED] + more)
        raise BenchError(f"{len(refused)} of {len(paths)} images cannot be read:\n  {lines}")


def _attempt(path: Path, size: int) -> UInt8[np.ndarray, "3 {size} {size}"] | BenchError:
    try:
        return images.read_resized(path, size)
    except BenchError as error:
        return error
