"""Which images show the same picture, though their bytes differ: a hash of what is seen, and a search for near ones.

The hash holds the signs of the 255 lowest frequencies of a picture (the discrete cosine transform of a small grey copy
of it), which brightness, contrast, noise, size and compression hardly touch. To mirror, turn or invert a picture is to
flip or swap signs, so the search sees through that too. It is the DCT hash of Zauner, Implementation and Benchmarking
of Perceptual Image Hash Functions, 2010, with signs for its comparisons with a median, and of 256 bits for its 64:
medical images look so much alike that 64 do not tell two patients apart.

Two views of each picture are hashed: as it is, and without its plain borders and its most extreme grey values, so that
bars, padding and another grey window are seen through. `benchmarks/audit_quality.py` measures what is found and what
is not: cropping by more than a hundredth of the width is not.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8, UInt64
from PIL import Image

from bench.data import images
from bench.errors import BenchError
from bench.files import replacing

VERSION = 1  # to be raised when any hash would come out otherwise: hashes on disk are then made anew
THRESHOLD = 28  # bits of 256: chosen by benchmarks/audit_quality.py
SIDE, KEPT = 64, 16  # pixels of the grey copy; frequencies kept along each of its axes
WORDS = KEPT * KEPT // 64  # of one view
VIEWS = 2
CONTRAST = 2.0  # standard deviation in grey levels below which there is nothing to hash
PLAIN = 16  # a border is plain whose grey values differ by no more: compression leaves ripples in it
EXTREME = 5  # per cent of the grey values at either end

BATCH = 50_000  # images after which hashes are written to disk, so that an interruption loses no more
LISTED = 5  # unreadable images that an error names
TILE = (4096, 8)  # rows of corpus and scored compared at a time, small enough for a core's own cache
RECORD = np.dtype([("file", "V16"), ("words", "<u8", (VIEWS * WORDS,))])


# --------------------------------------------------------------------------------------------------- one picture


def perceptual_hash(image: UInt8[np.ndarray, "h w"] | UInt8[np.ndarray, "h w 3"]) -> UInt64[np.ndarray, " words"]:
    """256 bits for each of two views of a grey or RGB picture; images that look alike differ in few of them.

    The words of a view are zero where it has too little contrast to be told from other blanks. The same pixels give the
    same words on any machine: all sums are of integers.
    """
    grey = Image.fromarray(image).convert("L")
    bare = np.asarray(_shrunk(_without_borders(np.asarray(grey))))
    low, high = np.percentile(bare, [EXTREME, 100 - EXTREME], method="nearest")
    return np.concatenate([_signs(_shrunk(np.asarray(grey))), _signs(bare.clip(low, high))])


def _shrunk(grey: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "side side"]:
    return np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BILINEAR))  # bilinear: antialiased


def _without_borders(grey: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h2 w2"]:
    """The picture without rows and columns of one grey at its edges; all of it if less than half a side would stay.

    A bar may have a frame of another grey around it, so it is done until nothing changes.
    """
    inner, before = grey, (0, 0)
    while inner.shape != before:
        before = inner.shape
        rows, columns = (np.flatnonzero(inner.max(axis) > inner.min(axis) + np.uint16(PLAIN)) for axis in (1, 0))
        if not len(rows) or not len(columns):
            return grey
        inner = inner[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    kept = all(2 * side >= whole for side, whole in zip(inner.shape, grey.shape, strict=True))
    return np.ascontiguousarray(inner) if kept else grey


def _signs(small: UInt8[np.ndarray, "side side"]) -> UInt64[np.ndarray, " words"]:
    """Which frequencies are positive: bit 8 a + b of word 2 p + q is that of 2 a + p half waves down, 2 b + q across.

    Bit 0, of the mean, is set unless the picture is blank, for which all are zero.
    """
    if small.std() < CONTRAST:
        return np.zeros(WORDS, np.uint64)
    positive = _cosines() @ small @ _cosines().T > 0
    return _packed(positive.reshape(8, 2, 8, 2).transpose(1, 3, 0, 2))


@cache
def _cosines() -> Int64[np.ndarray, "kept side"]:
    """The DCT-II's cos(pi (2 x + 1) u / (2 side)) in 2^-20: integers, so that sums do not depend on their order."""
    frequency, place = np.arange(KEPT)[:, None], np.arange(SIDE)
    waves: Float[np.ndarray, "kept side"] = np.cos(math.pi * (2 * place + 1) * frequency / (2 * SIDE))
    return (2**20 * waves).round().astype(np.int64)


def _packed(bits: Bool[np.ndarray, "*n 2 2 8 8"]) -> UInt64[np.ndarray, "*n words"]:
    flat = bits.reshape(*bits.shape[:-4], KEPT * KEPT)
    return np.packbits(flat, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


# ------------------------------------------------------------------------------------------------ pairs of pictures


def near(
    corpus: UInt64[np.ndarray, "n words"], scored: UInt64[np.ndarray, "m words"], threshold: int = THRESHOLD
) -> Int64[np.ndarray, "k 3"]:
    """Each (row of corpus, row of scored, distance) at a distance of at most `threshold` bits, in ascending order.

    The distance is the least over the two views, and over one of the pictures as it is, mirrored, turned by right
    angles, and any of these as a negative (16 ways). A view that is blank is near nothing. Every pair is compared: the
    time is that of n x m whatever the images, and the memory that of the pairs found.
    """
    found = [np.empty((0, 3), np.int64)]
    for left, right in zip(*(np.split(words, VIEWS, axis=1) for words in (corpus, scored)), strict=True):
        found += [_within(left, right, threshold), _within(left, _transposed(right), threshold)]
    pairs = np.concatenate(found)
    pairs = pairs[np.lexsort(pairs.T[::-1])]
    first = np.ones(len(pairs), bool)  # of its two rows, so the one of the least distance
    first[1:] = (pairs[1:, :2] != pairs[:-1, :2]).any(1)
    return pairs[first]


def _transposed(words: UInt64[np.ndarray, "m words"]) -> UInt64[np.ndarray, "m words"]:
    """The hashes of the pictures with rows and columns swapped, and so the frequencies down and across."""
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little").astype(bool)
    return _packed(bits.reshape(-1, 2, 2, 8, 8).transpose(0, 2, 1, 4, 3))


def _within(
    corpus: UInt64[np.ndarray, "n words"], scored: UInt64[np.ndarray, "m words"], threshold: int
) -> Int64[np.ndarray, "k 3"]:
    """The pairs of rows that differ in at most `threshold` bits, one mirrored if need be, and in how many."""
    rows, columns = (np.flatnonzero(words.any(1)) for words in (corpus, scored))  # less the blank ones
    left, right = np.ascontiguousarray(corpus[rows].T), np.ascontiguousarray(scored[columns].T)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets go of the interpreter's lock
        parts = pool.map(lambda start: _stripe(left, right, start, threshold), range(0, len(rows), TILE[0]))
        found = np.concatenate([np.empty((0, 3), np.int64), *parts])
    return np.stack([rows[found[:, 0]], columns[found[:, 1]], found[:, 2]], axis=1)


def _stripe(
    left: UInt64[np.ndarray, "words n"], right: UInt64[np.ndarray, "words m"], start: int, threshold: int
) -> Int64[np.ndarray, "k 3"]:
    """The pairs of TILE[0] rows with all columns. What the first two words tell apart is not looked at further."""
    words = left[:, start : start + TILE[0]]
    differing = np.empty((TILE[1], words.shape[1]), np.uint64)
    counts = np.empty((2, *differing.shape), np.uint8)
    found = [np.empty((0, 3), np.int64)]
    for first in range(0, right.shape[1], TILE[1]):
        others = right[:, first : first + TILE[1], None]
        size = others.shape[1]
        for word, count in enumerate(counts):
            np.bitwise_xor(words[word], others[word], out=differing[:size])
            np.bitwise_count(differing[:size], out=count[:size])
        even, across = counts[:, :size]
        least = np.minimum(even, 63 - even) + np.minimum(across, 64 - across)
        if (least <= threshold).any():
            column, row = np.nonzero(least <= threshold)
            distance = _distance(words[:, row], right[:, column + first])
            pairs = np.stack([row + start, column + first, distance], axis=1)
            found.append(pairs[distance <= threshold])
    return np.concatenate(found)


def _distance(left: UInt64[np.ndarray, "words k"], right: UInt64[np.ndarray, "words k"]) -> Int64[np.ndarray, " k"]:
    """Bits that differ between hashes, the least over four ways to mirror one of the pictures and over its negative.

    A mirror image has the opposite sign at the odd frequencies of its axis, so in two whole words of the four: in 1 and
    3 across, in 2 and 3 down, in 1 and 2 for both. A negative has it at all frequencies but the mean, so in 255 bits.
    """
    even, across, down, both = np.bitwise_count(left ^ right).astype(np.int64)
    ways = np.stack([
        even + across + down + both,
        even + (64 - across) + down + (64 - both),
        even + across + (64 - down) + (64 - both),
        even + (64 - across) + (64 - down) + both,
    ])  # fmt: skip
    least: Int64[np.ndarray, " k"] = np.minimum(ways.min(0), 255 - ways.max(0))
    return least


# ------------------------------------------------------------------------------------------------ files of pictures


def hashes(paths: Sequence[Path], memo: Path, *, strict: bool = True) -> UInt64[np.ndarray, "n words"]:
    """The hash of each image file, in that order.

    They are kept in the file `memo`, so that images whose size and times did not change are not read again. Raises
    one BenchError that counts all images that cannot be read and names the first; the others are kept nonetheless. If
    not `strict`, such images are as blank ones, near nothing, and only a file that is not there is an error.
    """
    files = [_file_key(path) for path in paths]
    known, refused = _read_memo(memo), list[str]()
    missing = list({file: path for file, path in zip(files, paths, strict=True) if file not in known}.items())
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow lets go of the interpreter's lock
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            for (file, _), words in zip(batch, pool.map(_attempt, [path for _, path in batch]), strict=True):
                if isinstance(words, BenchError):
                    refused.append(str(words))
                else:
                    known[file] = words
            _write_memo(memo, known)
    if refused and strict:
        lines = "\n  ".join(refused[:LISTED] + ["..."] * (len(refused) > LISTED))
        raise BenchError(f"{len(refused)} of {len(paths)} images cannot be read:\n  {lines}")
    blank = np.zeros(VIEWS * WORDS, np.uint64)
    return np.array([known.get(file, blank) for file in files], np.uint64).reshape(-1, VIEWS * WORDS)


def volume_hashes(path: Path, axis: int, memo: Path) -> UInt64[np.ndarray, "n words"]:
    """The hash of each slice of a volume along `axis` that is not empty, kept in the file `memo`.

    A volume that cannot be read is as a blank one, near nothing.
    """
    from bench.data.volumes import is_empty, read_slices

    known = _read_hashes(memo)
    if known is None:
        blank = np.zeros((1, VIEWS * WORDS), np.uint64)
        try:
            frames = [frame.pixels for frame in read_slices(path.parent, path.name, axis)]
        except Exception:  # a reader that is fed hostile bytes raises whatever it likes, and the cell will say it
            return blank
        found = [perceptual_hash(np.ascontiguousarray(pixels)) for pixels in frames if not is_empty(pixels)]
        known = np.stack(found) if found else blank
        with suppress(OSError), replacing(memo) as file:  # it only saves time
            np.save(file, known)
    return known


def _read_hashes(memo: Path) -> UInt64[np.ndarray, "n words"] | None:
    try:
        known = np.load(memo, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    sound = known.ndim == 2 and known.shape[1] == VIEWS * WORDS and known.dtype == np.uint64 and len(known)
    return known if sound else None


def _attempt(path: Path) -> UInt64[np.ndarray, " words"] | BenchError:
    try:
        return perceptual_hash(images.read_image(path))
    except BenchError as error:
        return error


def _file_key(path: Path) -> bytes:
    """Stands for a file and its content, and for the code that reads and hashes it."""
    try:
        status = path.stat()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read: {error.strerror}") from error
    stamp = (VERSION, images.VERSION, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.blake2b(repr((*stamp, os.path.abspath(path))).encode(), digest_size=16).digest()  # noqa: PTH100


def _read_memo(path: Path) -> dict[bytes, UInt64[np.ndarray, " words"]]:
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return {}
    if not isinstance(table, np.ndarray) or table.dtype != RECORD or table.ndim != 1:
        return {}
    return dict(zip(table["file"].tolist(), table["words"], strict=True))


def _write_memo(path: Path, known: dict[bytes, UInt64[np.ndarray, " words"]]) -> None:
    table = np.empty(len(known), RECORD)
    table["file"] = np.frombuffer(b"".join(known), "V16")
    table["words"] = list(known.values())
    try:
        with replacing(path) as file:
            np.save(file, table)
    except OSError:  # it only saves time: a folder that is read-only may lack it
        return
