"""Shards: the images of a large corpus, encoded, in tar files of about a thousand (WebDataset's layout).

Any tar program and the webdataset package read them. Here they are read strictly: the index says how long each is, and
names follow from places, so a file that is cut off, exchanged or hostile is refused and named.
"""

import hashlib
import io
import mmap
import re
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from bench.errors import BenchError, reason
from bench.files import sync

QUALITY = 95  # of JPEG, with colours at half the resolution (4:2:0)
PART = 1 << 20  # bytes
ENDING = {"jpeg": "jpg", "png": "png"}
LENGTH = re.compile(rb"([0-7]{11})\0")  # of a member, in its header
MEND = "fetch this file again, or build the corpus again"

Codec = Literal["jpeg", "png"]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Shard:
    """What the index of a corpus says of a file."""

    name: str
    count: int
    bytes: int
    sha256: str


class Member(NamedTuple):
    """An image as it lies in a shard: its place in the corpus, its encoded content, and what an error calls it."""

    number: int
    content: memoryview
    where: str


def ahead(start: Callable[[Item], Callable[[], Result]], items: Iterable[Item], depth: int) -> Iterator[Result]:
    """The results in order, with up to `depth` items started beyond the one that is waited for."""
    waiting: deque[Callable[[], Result]] = deque()
    for item in items:
        waiting.append(start(item))
        if len(waiting) > depth:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()


def shard_name(place: int) -> str:
    """The file of the shard at this place, relative to the folder of the corpus."""
    return f"shards/{place:06d}.tar"


def write_shards(
    folder: Path, images: Iterable[Pixels], *, codec: Codec, per_shard: int, workers: int
) -> tuple[Shard, ...]:
    """Write images as they come, encoded by `workers` threads. The same images give the same bytes."""
    (folder / "shards").mkdir()
    shards: list[Shard] = []
    with ThreadPoolExecutor(workers) as pool:
        encoded = enumerate(ahead(lambda image: pool.submit(_encode, image, codec).result, images, 4 * workers))
        while first := next(encoded, None):
            contents = chain([first], islice(encoded, per_shard - 1))
            shards.append(_write_shard(folder, shard_name(len(shards)), contents, ENDING[codec]))
    return tuple(shards)


def _encode(image: Pixels, codec: Codec) -> bytes:
    """A file of one image. Pillow lets go of the interpreter's lock, so this scales with threads."""
    file = io.BytesIO()
    options = {"quality": QUALITY} if codec == "jpeg" else {}
    Image.fromarray(image).save(file, codec, **options)
    return file.getvalue()


def _write_shard(folder: Path, name: str, contents: Iterable[tuple[int, bytes]], ending: str) -> Shard:
    count = 0
    with tarfile.open(folder / name, "w", format=tarfile.USTAR_FORMAT) as archive:
        for number, content in contents:
            entry = tarfile.TarInfo(f"{number:09d}.{ending}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
            count += 1
    return described(folder, name, count)


def described(folder: Path, name: str, count: int) -> Shard:
    """Have the disk keep a file of `count` images that was written, and say what the index will say of it."""
    sync(folder / name)
    return Shard(name, count, (folder / name).stat().st_size, digest(str(folder), name))


def opened(folder: str, name: str) -> Any:  # what fsspec opens is a binary file without the type of one
    """Open a file of a corpus for reading: on this machine, or through fsspec where `folder` is a URL."""
    try:
        if "://" not in folder:
            return (Path(folder) / name).open("rb")
        import fsspec

        return fsspec.open(f"{folder}/{name}", "rb").open()
    except FileNotFoundError as error:
        raise BenchError(f"{folder}/{name}: is missing; {MEND}") from error
    except Exception as error:  # each kind of store has exceptions of its own; a missing package says what to install
        raise BenchError(f"{folder}/{name}: cannot be opened: {reason(error)}") from error


def digest(folder: str, name: str) -> str:
    """The SHA-256 of a file of a corpus, read once and never held."""
    digest = hashlib.sha256()
    with opened(folder, name) as file:
        try:
            for part in iter(lambda: file.read(PART), b""):
                digest.update(part)
        except Exception as error:
            raise BenchError(f"{folder}/{name}: cannot be read: {reason(error)}") from error
    return digest.hexdigest()


def content(folder: str, shard: Shard) -> memoryview:
    """All of a file of a corpus. Raises BenchError where it has not the length that the index says.

    It lies in pages of its own, which go back to the system at once. From the allocator's heap they would not: what is
    resident would grow through an epoch to twice of what is in use.
    """
    where, found = f"{folder}/{shard.name}", 0
    with opened(folder, shard.name) as file:
        try:
            pages = memoryview(mmap.mmap(-1, shard.bytes + 1, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            while count := file.readinto(pages[found:]):
                found += count
        except Exception as error:
            raise BenchError(f"{where}: cannot be read: {reason(error)}") from error
    if found != shard.bytes:
        has = f"has {found}" if found < shard.bytes else "has more"
        raise BenchError(f"{where}: should have {shard.bytes} bytes, {has}; {MEND}")
    return pages[:found]


def members(folder: str, shard: Shard, first: int, codec: Codec) -> Iterator[Member]:
    """The images of a shard, of which the first has the number `first`.

    Stricter than tarfile, and several times faster: what stands in it, in which order and under which names is known,
    so that nothing else that a tar may hold (links, paths, sparse files) is ever looked at.
    """
    tar, at, where = content(folder, shard), 0, f"{folder}/{shard.name}"
    for number in range(first, first + shard.count):
        name, header = f"{number:09d}.{ENDING[codec]}", bytes(tar[at : at + 512])
        octal = LENGTH.fullmatch(header[124:136])
        size = int(octal[1], 8) if octal else 0
        if header[:100].rstrip(b"\0") != name.encode() or not 0 < size <= len(tar) - at - 512:
            raise BenchError(f"{where}: {name} is not where it should be in this tar; {MEND}")
        yield Member(number, tar[at + 512 : at + 512 + size], f"{where}: {name}")
        at += 512 + -(-size // 512) * 512
    if any(tar[at:]):
        raise BenchError(f"{where}: holds more than the {shard.count} images that pixels.json says; {MEND}")


def decode(images: Sequence[Member], target: UInt8[np.ndarray, "n 3 s s"], codec: Codec) -> None:
    """Decode into `target`; grey goes to all three channels. Raises BenchError that names shard and member.

    By Pillow: torchvision's decoders are up to a third faster, but deprecated and soon to be removed.
    """
    size = target.shape[-1]
    for image, planes in zip(images, target, strict=True):
        try:
            with Image.open(io.BytesIO(image.content), formats=[codec]) as file:
                # Asked before anything is decoded, so that a small file cannot fill the memory.
                if file.size != (size, size) or file.mode not in ("L", "RGB"):
                    width, height = file.size
                    raise ValueError(f"it is {file.mode} of {width} x {height} pixels, not grey or RGB of {size}")
                pixels = np.asarray(file)
        except Exception as error:  # a decoder that is fed hostile bytes raises whatever it likes
            raise BenchError(f"{image.where}: cannot be decoded: {error or type(error).__name__}; {MEND}") from error
        np.copyto(planes, np.moveaxis(pixels, 2, 0) if pixels.ndim == 3 else pixels)
