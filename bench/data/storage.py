"""The pixels of a corpus on disk, and the two readers of them: an array that is held or mapped, or a stream of shards.

A folder has either images.npy or shards/, and pixels.json. That index is written last, so a folder without it is a
build that was interrupted.
"""

import errno
import json
import math
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, final, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from bench.data.cache import header
from bench.data.shards import ENDING, Codec, Pixels, Shard, content, described, digest, opened, shard_name, write_shards
from bench.data.stream import Batch, Stream, spaced, steps
from bench.errors import BenchError, reason
from bench.files import write_whole
from bench.random import generator
from bench.transfer import sent

__all__ = ["Batch", "Held", "Images", "Stream", "open_images", "verify", "write"]

INDEX, ARRAY = "pixels.json", "images.npy"
MAX_SIZE = 8192  # pixels
LISTED = 5  # damaged files that an error names

Kind = Literal["memmap", "shards"]


@runtime_checkable
class Images(Protocol):
    """The images of a corpus, of `size` pixels squared, less those left out: of which there are `len(images)`.

    Numbers are places in the corpus, whatever was left out.
    """

    size: int

    def __len__(self) -> int: ...

    @property
    def places(self) -> int:
        """Images with those left out: all numbers are below this."""

    def steps(self, batch_size: int, processes: int = 1) -> int:
        """Optimiser steps in an epoch; the last incomplete batch is dropped."""

    def batches(
        self, seed: int, epoch: int, *, batch_size: int, first: int = 0, process: int = 0, processes: int = 1
    ) -> Iterator[Batch]:
        """A process's share of each batch of an epoch, from the step `first` on."""

    def sample(self, count: int) -> UInt8[Tensor, "n 3 s s"]:
        """`count` images, the same each time (fewer if there are fewer), evenly spaced over the corpus."""


@final
class Held:
    """Images in an array: in memory, mapped from a file, or on a GPU. With one channel they are grey.

    Where `device` is given, all images are moved there at once.
    """

    def __init__(
        self,
        images: UInt8[np.ndarray, "n c s s"] | UInt8[Tensor, "n c s s"],
        left_out: Collection[int] = (),
        device: torch.device | str | None = None,
    ) -> None:
        held = torch.from_numpy(images) if isinstance(images, np.ndarray) else images
        self.images = held if device is None else held.to(device)
        self.size = images.shape[-1]
        kept = torch.ones(len(images), dtype=torch.bool)
        kept[[number for number in left_out if 0 <= number < len(images)]] = False
        self._kept = kept.nonzero()[:, 0]

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def places(self) -> int:
        """Images with those left out."""
        return len(self.images)

    def steps(self, batch_size: int, processes: int = 1) -> int:
        """Optimiser steps in an epoch; the last incomplete batch is dropped."""
        return steps(len(self), batch_size, processes)

    def batches(
        self, seed: int, epoch: int, *, batch_size: int, first: int = 0, process: int = 0, processes: int = 1
    ) -> Iterator[Batch]:
        """Every `processes`-th image of each batch of an epoch, from the step `first` on, where the images are."""
        order = self._kept[torch.randperm(len(self), generator=generator("order", seed, epoch))]
        for step in range(first, self.steps(batch_size, processes)):
            numbers = order[step * batch_size : (step + 1) * batch_size][process::processes]
            yield Batch(self._take(numbers), numbers)

    def sample(self, count: int) -> UInt8[Tensor, "n 3 s s"]:
        """`count` images, the same each time (fewer if there are fewer), evenly spaced over the corpus."""
        return self._take(self._kept[spaced(len(self), count)])

    def _take(self, numbers: Tensor) -> UInt8[Tensor, "n 3 s s"]:
        return self.images[sent(numbers, self.images.device)].expand(-1, 3, -1, -1)


@dataclass(frozen=True)
class Index:
    """What pixels.json says: of shards the codec, of an array its channels (1 grey, 3 colour) and one file."""

    kind: Kind
    size: int
    count: int
    shards: tuple[Shard, ...]
    channels: int | None = None
    codec: Codec | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the array."""
        return (self.count, self.channels or 0, self.size, self.size)


def write(
    folder: Path,
    images: Iterable[Pixels],
    *,
    size: int,
    kind: Kind,
    codec: Codec = "jpeg",
    per_shard: int = 1000,
    workers: int = 2,
    total: int | None = None,
) -> None:
    """Write 8-bit images, (size, size) or (size, size, 3), in the order and at the pace in which they come.

    What the folder had of pixels goes first. `total` is how many images are expected, for an error to say. Raises
    BenchError when the disk is full or cannot be written; then, or when `images` raises, no pixels are left.
    """
    taken = 0

    def checked() -> Iterator[Pixels]:
        nonlocal taken
        for image in images:
            if image.dtype != np.uint8 or image.shape not in ((size, size), (size, size, 3)):
                raise ValueError(f"image {taken} is {image.dtype} {image.shape}, not uint8 of {size} pixels")
            taken += 1
            yield image

    try:
        _clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "memmap":
            index = _write_array(folder, checked(), size)
        else:
            shards = write_shards(folder, checked(), codec=codec, per_shard=per_shard, workers=workers)
            index = Index("shards", size, taken, shards, codec=codec)
        if not taken:
            raise BenchError(f"{folder}: there are no images to write")
        told = {name: value for name, value in asdict(index).items() if value is not None}
        write_whole(folder / INDEX, json.dumps(told, indent=1).encode())
    except BaseException as error:
        with suppress(OSError):  # of a folder that cannot be written, the first error tells more
            _clear(folder)
        if isinstance(error, OSError):
            raise _unwritten(folder, error, f"{taken} of {total or 'so many as would have come'}") from error
        raise


def _clear(folder: Path) -> None:
    (folder / INDEX).unlink(missing_ok=True)  # first: nothing is ever indexed that is not whole
    (folder / ARRAY).unlink(missing_ok=True)
    if (folder / "shards").exists():
        shutil.rmtree(folder / "shards")


def _unwritten(folder: Path, error: OSError, done: str) -> BenchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BenchError(f"{folder}: the disk is full after {done} images; make room, or choose another folder")
    return BenchError(f"{folder}: cannot be written after {done} images: {error.strerror or error}")


def _write_array(folder: Path, images: Iterator[Pixels], size: int) -> Index:
    """One channel until the first image with colours comes, which few corpora need to wait for."""
    count, channels = 0, 1
    with (folder / ARRAY).open("wb+") as file:
        file.write(header((0, channels, size, size)))  # numpy leaves room in it for any count
        for image in images:
            if image.ndim == 3 and channels == 1:
                _colour(file, count, size)
                channels = 3
            planes = np.moveaxis(image, 2, 0) if image.ndim == 3 else np.broadcast_to(image, (channels, size, size))
            file.write(planes.tobytes())
            count += 1
        file.seek(0)
        file.write(header((count, channels, size, size)))
    return Index("memmap", size, count, (described(folder, ARRAY, count),), channels=channels)


def _colour(file: BinaryIO, count: int, size: int) -> None:
    """Spread the grey images of a file over three channels, from the last on, so that none is overwritten unread."""
    begin, plane = file.tell() - count * size**2, size**2
    for number in reversed(range(count)):
        file.seek(begin + number * plane)
        grey = file.read(plane)
        file.seek(begin + number * 3 * plane)
        file.write(3 * grey)
    file.seek(begin + count * 3 * plane)


def open_images(folder: str | Path, *, left_out: Collection[int] = (), threads: int | None = None) -> Held | Stream:
    """The images of a corpus without those whose numbers are `left_out`. `folder` may be a URL that fsspec opens.

    An array is mapped, or fetched whole from a URL. `threads` are those that decode shards in each process. Raises
    BenchError for what is missing or damaged; shards are looked at when they are read.
    """
    place = str(folder)
    index = _index(place)
    if index.codec:
        return Stream(place, index.shards, size=index.size, codec=index.codec, left_out=left_out, threads=threads)
    return Held(_array(place, index), left_out)


def verify(folder: str | Path) -> None:
    """Read every file of a corpus's pixels and compare its SHA-256. Raises BenchError that names those that differ."""
    damaged = [shard.name for shard in _index(str(folder)).shards if digest(str(folder), shard.name) != shard.sha256]
    if damaged:
        named = ", ".join(damaged[:LISTED] + ["..."] * (len(damaged) > LISTED))
        raise BenchError(f"{folder}: {len(damaged)} damaged: {named}; fetch these again, or build the corpus again")


def _array(folder: str, index: Index) -> UInt8[np.ndarray, "n c s s"]:
    """Copy on write where it is mapped: torch warns of arrays that cannot be written to, and nobody may write."""
    (file,) = index.shards
    begin = header(index.shape)
    mend = f"{folder}/{file.name}: is not the array that {INDEX} says; build the corpus again"
    if file.bytes != len(begin) + math.prod(index.shape):
        raise BenchError(mend)
    if "://" in folder:
        raw: Pixels = np.frombuffer(content(folder, file), np.uint8)
    else:
        with opened(folder, file.name) as source:
            if (Path(folder) / file.name).stat().st_size != file.bytes:
                raise BenchError(mend)
            raw = np.memmap(source, np.uint8, "c")
    if raw[: len(begin)].tobytes() != begin:
        raise BenchError(mend)
    return raw[len(begin) :].reshape(index.shape)


def _index(folder: str) -> Index:
    try:
        with opened(folder, INDEX) as file:
            return _parsed(json.loads(file.read()))
    except BenchError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise BenchError(f"{folder}: has no {INDEX}; it is no corpus, or its build did not end") from error
        raise
    except Exception as error:  # a damaged or hostile file may lack or hold anything
        raise BenchError(f"{folder}/{INDEX}: is damaged: {reason(error)}; build the corpus again") from error


def _parsed(told: Any) -> Index:
    """Each value checked, so that what is opened or allocated later follows from sound numbers and known names."""
    kind, files = told["kind"], told["shards"]
    if kind not in ("memmap", "shards") or (kind == "memmap" and len(files) != 1):
        raise ValueError(f"`{kind}` is no kind of storage, or has not the files of that kind")
    numbers = [told["size"], told["count"], *(file[name] for file in files for name in ("count", "bytes"))]
    if not all(type(number) is int and number > 0 for number in numbers) or told["size"] > MAX_SIZE:
        raise ValueError("a count or a size is not a number above 0, or is too large")
    if sum(file["count"] for file in files) != told["count"]:
        raise ValueError("the counts of the files do not add up")
    if [file["name"] for file in files] != [shard_name(i) if kind == "shards" else ARRAY for i in range(len(files))]:
        raise ValueError("the names of the files are not those that are written")
    channels, codec = told.get("channels"), told.get("codec")
    if (kind == "shards" and codec not in ENDING) or (kind == "memmap" and (codec or channels not in (1, 3))):
        raise ValueError(f"{kind} with codec {codec} and {channels} channels is nothing that is written")
    return Index(kind, told["size"], told["count"], tuple(Shard(**file) for file in files), channels, codec)
