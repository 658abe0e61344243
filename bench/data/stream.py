"""Reads shards in random order without an index of all images: shards are shuffled, and images within blocks of them.

An epoch is the shards in a random order, laid end to end, and cut into one stretch of the same length for each process.
A process reads its stretch in blocks of eight shards and draws the images of a block in random order. What it holds are
the counts of the shards, and the files of the block in use and of the next.
"""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from bench.data.shards import Codec, Member, Shard, ahead, decode, members
from bench.random import generator

BLOCK = 8  # shards whose images are mixed, and that are read at once
CHUNK = 16  # images that a thread decodes at a time
AHEAD = 2  # batches that are decoded before they are asked for
SAMPLED = 64  # shards that a sample is taken from at most: from one each, it would cost the reading of them all


class Batch(NamedTuple):
    """Images, and the place of each in the corpus."""

    images: UInt8[Tensor, "b 3 s s"]
    numbers: Int64[Tensor, " b"]


class Piece(NamedTuple):
    """Images of a shard: from which to which, in the order that the epoch has for those not left out."""

    shard: int
    first: int
    end: int


def steps(count: int, batch_size: int, processes: int) -> int:
    """Optimiser steps in an epoch of `count` images, whatever the number of processes, each with an equal share."""
    if batch_size % processes:
        raise ValueError(f"a batch of {batch_size} does not divide among {processes} processes")
    return count // batch_size


def spaced(count: int, wanted: int) -> list[int]:
    """`wanted` places out of `count`, evenly spaced; all of them if there are no more."""
    taken = min(count, wanted)
    return [i * count // taken for i in range(taken)]


def _mixed(pieces: Iterator[list[Member]], draws: torch.Generator, skip: int) -> Iterator[Member]:
    """The images of a block in random order. They are held by this generator alone, so no longer than it runs."""
    found = [image for piece in pieces for image in piece]
    yield from (found[i] for i in torch.randperm(len(found), generator=draws).tolist()[skip:])


@final
class Stream:
    """The images of shards. `folder` may be a URL; `threads` decode for one process.

    Each process of a run has a reader of its own, and no workers beside its threads: Pillow decodes without the
    interpreter's lock. (Of some 600 µs for an image of 224 px at most 160 need the lock, so about four threads are what
    a process can use.) The default of `threads` divides the machine's cores among the processes. What comes does not
    depend on it, but does on the number of processes.
    """

    def __init__(
        self,
        folder: str,
        shards: Sequence[Shard],
        *,
        size: int,
        codec: Codec,
        left_out: Collection[int] = (),
        threads: int | None = None,
    ) -> None:
        self.size = size
        self._folder, self._shards, self._codec, self._threads = folder, tuple(shards), codec, threads
        self._left_out = np.unique(np.fromiter(left_out, np.int64, len(left_out)))
        self._starts = np.cumsum([0, *(shard.count for shard in shards)])
        self._kept = np.diff(self._starts - np.searchsorted(self._left_out, self._starts)).tolist()

    def __len__(self) -> int:
        return sum(self._kept)

    @property
    def places(self) -> int:
        """Images with those left out."""
        return int(self._starts[-1])

    def steps(self, batch_size: int, processes: int = 1) -> int:
        """Optimiser steps in an epoch; the last incomplete batch is dropped."""
        return steps(len(self), batch_size, processes)

    def batches(
        self, seed: int, epoch: int, *, batch_size: int, first: int = 0, process: int = 0, processes: int = 1
    ) -> Iterator[Batch]:
        """A process's share of each batch of an epoch, from the step `first` on. Blocks before it are not read.

        `batch_size` counts the images of all processes. Raises BenchError that names what cannot be read.
        """
        share = batch_size // processes
        length = self.steps(batch_size, processes) * share
        pieces = self._stretch(seed, epoch, process * length, (process + 1) * length)
        threads = self._threads or max(1, (os.cpu_count() or 1) // processes)
        readers, decoders = ThreadPoolExecutor(BLOCK), ThreadPoolExecutor(threads)
        try:
            images = self._drawn(readers, pieces, first * share, (seed, epoch, process))
            yield from ahead(partial(self._start, decoders), iter(lambda: list(islice(images, share)), []), AHEAD)
        finally:  # whoever stops early does not wait for what was read ahead
            readers.shutdown(cancel_futures=True)
            decoders.shutdown(cancel_futures=True)

    def sample(self, count: int) -> UInt8[Tensor, "n 3 s s"]:
        """`count` images, the same each time (fewer if there are fewer): evenly spaced, in 64 shards at most."""
        filled = [place for place, kept in enumerate(self._kept) if kept]
        shards = [filled[i] for i in spaced(len(filled), SAMPLED)]
        ranks = deque(spaced(sum(self._kept[shard] for shard in shards), count))
        images, done, begin = np.empty((len(ranks), 3, self.size, self.size), np.uint8), 0, 0
        for shard in shards:
            end, own = begin + self._kept[shard], []
            while ranks and ranks[0] < end:
                own.append(ranks.popleft() - begin)
            if own:
                found = self._members(shard)
                decode([found[rank] for rank in own], images[done : done + len(own)], self._codec)
            done, begin = done + len(own), end
        return torch.from_numpy(images)

    def _stretch(self, seed: int, epoch: int, low: int, high: int) -> list[Piece]:
        """The pieces of shards from place `low` to `high` of the epoch."""
        pieces, place = [], 0
        for shard in torch.randperm(len(self._shards), generator=generator("shards", seed, epoch)).tolist():
            begin, end = max(low - place, 0), min(high - place, self._kept[shard])
            if begin < end:
                pieces.append(Piece(shard, begin, end))
            place += self._kept[shard]
        return pieces

    def _drawn(
        self, pool: ThreadPoolExecutor, pieces: list[Piece], skip: int, name: tuple[int, int, int]
    ) -> Iterator[Member]:
        """The images of the pieces less the first `skip`, each block in random order; the next is read meanwhile."""
        blocks = [pieces[i : i + BLOCK] for i in range(0, len(pieces), BLOCK)]
        ends = np.cumsum([sum(piece.end - piece.first for piece in block) for block in blocks])
        past = int(np.searchsorted(ends, skip, side="right"))
        skip -= int(ends[past - 1]) if past else 0
        read = ahead(lambda piece: pool.submit(self._piece, piece, name[:2]).result, pieces[past * BLOCK :], BLOCK)
        for number, block in enumerate(blocks[past:], past):
            yield from _mixed(islice(read, len(block)), generator("block", *name, number), skip)
            skip = 0

    def _piece(self, piece: Piece, name: tuple[int, int]) -> list[Member]:
        found = self._members(piece.shard)
        # In an order of the epoch, or it would always be the same images that are dropped at its end.
        order = torch.randperm(len(found), generator=generator("shard", *name, piece.shard)).tolist()
        return [found[i] for i in order[piece.first : piece.end]]

    def _members(self, place: int) -> list[Member]:
        """The images of a shard that are not left out."""
        first, end = self._starts[place : place + 2].tolist()
        low, high = np.searchsorted(self._left_out, [first, end])
        skipped = set(self._left_out[low:high].tolist())
        found = members(self._folder, self._shards[place], first, self._codec)
        return [image for image in found if image.number not in skipped]

    def _start(self, pool: ThreadPoolExecutor, images: list[Member]) -> Callable[[], Batch]:
        """Have a batch decoded by the pool. Each thread writes to places of its own, so none waits for another."""
        target = np.empty((len(images), 3, self.size, self.size), np.uint8)

        def work(begin: int) -> None:
            decode(images[begin : begin + CHUNK], target[begin : begin + CHUNK], self._codec)

        done = pool.map(work, range(0, len(images), CHUNK))

        def finish() -> Batch:
            deque(done, maxlen=0)  # waits, and raises what a thread raised
            return Batch(torch.from_numpy(target), torch.tensor([image.number for image in images]))

        return finish
