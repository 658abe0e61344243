"""Is an image that some task scores on in a corpus to pretrain on, as it is or made over? And which cases are in both?

Byte-identical images are found by their digests, others by what is seen of them (`bench.data.likeness`). A corpus image
that is found is one leak; its whole case is named, since the other slices or frames of a patient give as much away.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt64

from bench.data.likeness import THRESHOLD, VIEWS, WORDS, near

HEADER = ("image", "case", "source", "scored by", "scored case", "kind", "bits")


@dataclass(frozen=True, slots=True)
class Entry:
    """An image as the audit sees it. `source` is the data set or corpus, `case` its patient, study or image there."""

    source: str
    case: str
    name: str
    sha256: str
    words: UInt64[np.ndarray, " words"] = field(repr=False, compare=False)  # perceptual_hash of the image

    @property
    def of(self) -> str:
        """The case with its source, as `Audit.cases` names it."""
        return f"{self.source}/{self.case}"


@dataclass(frozen=True)
class Leak:
    """An image of the corpus and the scored image closest to it."""

    image: str
    case: str
    source: str
    scored: str  # the task that scores it
    scored_case: str
    kind: Literal["same", "near"]  # of the same bytes, or of the same look
    distance: int  # bits of 256; 0 is possible for a near one


@dataclass(frozen=True)
class Audit:
    """What stands on both sides. To leave out of the corpus: every image whose `Entry.of` is in `cases`."""

    leaks: tuple[Leak, ...]  # in the order of the corpus
    cases: tuple[str, ...]  # source/case of the corpus with a leak, or that the same source scores; sorted
    looked_at: tuple[int, int]  # images of the corpus, and scored ones
    threshold: int

    def plain(self) -> dict[str, Any]:
        """The audit for a record, in what JSON can say."""
        return {
            "leaks": [asdict(leak) for leak in self.leaks],
            "cases": list(self.cases),
            "looked_at": list(self.looked_at),
            "threshold": self.threshold,
        }

    def rows(self) -> list[tuple[str, ...]]:
        """A line of text for each leak, under `HEADER`."""
        return [
            (leak.image, leak.case, leak.source, leak.scored, leak.scored_case, leak.kind, str(leak.distance))
            for leak in self.leaks
        ]


def audit(corpus: Sequence[Entry], scored: Sequence[Entry], *, threshold: int = THRESHOLD) -> Audit:
    """The images of `corpus` whose bytes are those of a scored image, or whose look is within `threshold` bits.

    Blank images are alike only by their bytes. Time is that of len(corpus) x len(scored): see `near`.
    """
    closest = _closest(corpus, scored, threshold)
    leaks = tuple(_leak(corpus[row], scored[found], distance) for row, (distance, found) in sorted(closest.items()))
    tested = {entry.of for entry in scored}
    both = {corpus[row].of for row in closest} | {entry.of for entry in corpus if entry.of in tested}
    return Audit(leaks, tuple(sorted(both)), (len(corpus), len(scored)), threshold)


def _closest(corpus: Sequence[Entry], scored: Sequence[Entry], threshold: int) -> dict[int, tuple[int, int]]:
    """By row of the corpus: the distance and row of the closest scored image; same bytes go before the same look."""
    closest: dict[int, tuple[int, int]] = {}
    for row, found, distance in near(_words(corpus), _words(scored), threshold).tolist():
        closest[row] = min(closest.get(row, (distance, found)), (distance, found))
    same = {entry.sha256: found for found, entry in reversed(list(enumerate(scored)))}
    for row, entry in enumerate(corpus):
        if entry.sha256 in same:
            closest[row] = (0, same[entry.sha256])
    return closest


def _words(entries: Sequence[Entry]) -> UInt64[np.ndarray, "n words"]:
    return np.array([entry.words for entry in entries], np.uint64).reshape(-1, VIEWS * WORDS)


def _leak(entry: Entry, found: Entry, distance: int) -> Leak:
    kind: Literal["same", "near"] = "same" if entry.sha256 == found.sha256 else "near"
    return Leak(entry.name, entry.case, entry.source, found.source, found.case, kind, distance)
