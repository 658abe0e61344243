"""Builds a pretraining corpus by LVM-Med's rules (arXiv:2306.11925, sections 3.1 and 4.1, appendix F).

What was published as a training part is taken whole; of what has none, a share of the cases is drawn. Volumes are
sliced, empty slices left out. Then every modality is oversampled to the largest by copies that are crops of its
images. Each image is decoded and resized once and goes straight to the disk, so nothing here grows with the pixels. An
image that cannot be used is left out with its reason, and nothing else with it. The same description of the same data
gives the same bytes.
"""

import json
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

import bench
from bench.data import likeness
from bench.data.corpus_spec import Spec, load
from bench.data.decoding import Decoded, Stored, decode
from bench.data.manifest import ABOUT, MANIFEST, REFUSED, UNFINISHED, Row, Writer, digest, fingerprint, write_refused
from bench.data.selection import Item, Selection, select
from bench.data.shards import ahead
from bench.data.storage import Kind, write
from bench.errors import BenchError
from bench.files import write_whole
from bench.random import seed_of

VERSION = 1  # to be raised when the same description and data would come out as another corpus
MAPPED = 20_000  # images up to which "auto" stores an array
WORKERS = 8  # threads at most, each of which may hold a large volume
PACKAGES = ("numpy", "pillow", "pyarrow", "nibabel", "pydicom", "SimpleITK", "h5py")

Progress = Callable[[str, int, int], None]  # what, done, of


@dataclass
class Counts:
    """What became of a source. `refused` counts files and rows; `absent` lines of its list that name no file."""

    modality: str
    organ: str
    phantom: bool
    cases: int
    drawn: int
    images: int = 0
    copies: int = 0
    empty: int = 0  # slices
    refused: int = 0
    absent: int = 0
    unmatched: int = 0  # files that the pattern of cases leaves out


@dataclass(frozen=True)
class Report:
    """What was built; corpus.json holds the same, with the description and the versions of packages."""

    folder: Path
    size: int
    storage: Kind
    sources: Mapping[str, Counts]
    refused: tuple[tuple[str, str, str], ...]  # source, path, reason; absent lines among them
    manifest_sha256: str
    fingerprint: str  # of all that is stored, pixels included

    @property
    def images(self) -> int:
        """Images stored, without the copies."""
        return sum(counts.images for counts in self.sources.values())

    @property
    def copies(self) -> int:
        """Copies stored beside them."""
        return sum(counts.copies for counts in self.sources.values())


def build(
    spec: Path, out: Path, *, data_root: Path | None = None, progress: Progress = lambda what, done, of: None
) -> Report:
    """Build the corpus that the TOML file `spec` describes into the folder `out`, which must be empty or unfinished.

    Sources lie under `data_root`, by default BENCH_DATA or the description's `root`. Raises BenchError for a mistake in
    the description, and for a source of which nothing can be used.
    """
    described = load(spec)
    _require_free(out)
    root = described.data_root(data_root)
    selections = {}
    for place, name in enumerate(described.sources):
        progress("sources", place, len(described.sources))
        selections[name] = select(described, name, root)
    _check_modalities(selections, described.path.name)
    write_whole(out / UNFINISHED, b"bench corpus build has not ended here.\n")
    for name in (ABOUT, MANIFEST, REFUSED):
        (out / name).unlink(missing_ok=True)
    report = _Build(described, selections, progress).run(out)
    about = {
        "version": VERSION,
        "hash_version": likeness.VERSION,
        "spec": described.table,
        **_told(report),
        "packages": _versions(),
    }
    write_whole(out / ABOUT, json.dumps(about, indent=1, ensure_ascii=False).encode())
    (out / UNFINISHED).unlink()
    return report


def totals(counts: Mapping[str, int], most: float) -> dict[str, int]:
    """Images that each modality has after oversampling: as many as the largest, but at most `most` times its own."""
    return {name: min(max(counts.values()), int(most * count)) for name, count in counts.items()}


def spread(count: int, extra: int, seed: int) -> Int64[np.ndarray, " count"]:
    """How many of `extra` copies each of `count` images gets: as evenly as can be, the rest to images drawn."""
    each, rest = divmod(extra, count)
    copies = np.full(count, each, np.int64)
    copies[np.random.default_rng(seed).permutation(count)[:rest]] += 1
    return copies


class _Build:
    """One build: the items in order, and of each image stored so far the item and slice that it is of."""

    def __init__(self, spec: Spec, selections: Mapping[str, Selection], progress: Progress) -> None:
        self.spec, self.selections, self.progress = spec, selections, progress
        # Mixed, since a reader of shards draws a batch from a few that lie together.
        items = ((name, item) for name, found in selections.items() for item in found.items)
        self.items = sorted(items, key=lambda pair: seed_of("corpus", "order", spec.corpus.seed, pair[0], pair[1].path))
        self.item_of, self.slice_of = array("q"), array("i")
        self.sources = {
            name: Counts(
                found.modality,
                found.organ,
                found.phantom,
                found.cases,
                found.drawn,
                refused=len(found.refused),
                absent=len(found.absent),
                unmatched=found.unmatched,
            )
            for name, found in selections.items()
        }
        self.refused = {
            name: dict.fromkeys((one.path, one.reason) for one in (*found.absent, *found.refused))
            for name, found in selections.items()
        }

    def run(self, out: Path) -> Report:
        corpus = self.spec.corpus
        expected = self._expected()
        kind: Kind = ("memmap" if expected <= MAPPED else "shards") if corpus.storage == "auto" else corpus.storage
        workers = min(WORKERS, os.cpu_count() or 1)
        try:
            with Writer(out) as manifest, ThreadPoolExecutor(workers) as pool:
                images = self._images(manifest, pool, workers)
                write(out, images, size=corpus.size, kind=kind, total=expected, workers=workers)
        finally:
            refused = tuple((name, *one) for name, some in self.refused.items() for one in some)
            write_refused(out, refused)
        return Report(out, corpus.size, kind, self.sources, refused, digest(out), fingerprint(out))

    def _expected(self) -> int:
        """Images to come, as far as file names and headers tell."""
        counts: Counter[str] = Counter()
        for name, item in self.items:
            counts[self.selections[name].modality] += item.images
        most = self.spec.corpus.most if self.spec.corpus.balance else 1.0
        return sum(totals(counts, most).values()) if counts else 0

    def _images(self, manifest: Writer, pool: ThreadPoolExecutor, workers: int) -> Iterator[UInt8[np.ndarray, "..."]]:
        yield from self._originals(manifest, pool, workers)
        self._require_images()
        if self.spec.corpus.balance:
            yield from self._copies(manifest, pool, workers)

    def _originals(self, manifest: Writer, pool: ThreadPoolExecutor, workers: int) -> Iterator[Any]:
        found = ahead(lambda pair: pool.submit(self._decode, *pair).result, self.items, workers)
        for place, ((name, item), decoded) in enumerate(zip(self.items, found, strict=True)):
            counts = self.sources[name]
            counts.empty += decoded.empty
            self.refused[name] |= dict.fromkeys((one.path, one.reason) for one in decoded.refused)
            counts.refused = len(self.refused[name]) - counts.absent
            for image in decoded.images:
                counts.images += 1
                self.item_of.append(place)
                self.slice_of.append(image.slice)
                manifest.add(self._row(name, item, image))
                yield image.pixels
            self.progress("read", place + 1, len(self.items))

    def _copies(self, manifest: Writer, pool: ThreadPoolExecutor, workers: int) -> Iterator[Any]:
        """Read again what gets copies, since nothing of it is kept."""
        wanted = list(self._wanted())
        found = ahead(lambda job: pool.submit(self._decode, *self.items[job[0]], job[1]).result, wanted, workers)
        for done, ((place, copies), decoded) in enumerate(zip(wanted, found, strict=True), start=1):
            name, item = self.items[place]
            if len(decoded.images) != sum(copies.values()):
                path = self.selections[name].folder / item.path
                raise BenchError(f"{path}: was changed while the corpus was built; build it again")
            for image in decoded.images:
                self.sources[name].copies += 1
                manifest.add(self._row(name, item, image))
                yield image.pixels
            self.progress("read again", done, len(wanted))

    def _wanted(self) -> Iterator[tuple[int, dict[int, int]]]:
        """The items to be read again, and how many copies of which of their slices."""
        items, slices = np.array(self.item_of), np.array(self.slice_of)
        names = sorted({found.modality for found in self.selections.values()})
        modality_of = np.array([names.index(self.selections[name].modality) for name, _ in self.items])[items]
        counts = {name: int((modality_of == i).sum()) for i, name in enumerate(names)}
        copies = np.zeros(len(items), np.int64)
        for i, (name, total) in enumerate(totals(counts, self.spec.corpus.most).items()):
            seed = seed_of("corpus", "balance", self.spec.corpus.seed, name)
            copies[modality_of == i] = spread(counts[name], total - counts[name], seed)
        chosen = copies.nonzero()[0]
        for item, group in groupby(chosen, key=lambda k: int(items[k])):
            yield item, {int(slices[k]): int(copies[k]) for k in group}

    def _decode(self, name: str, item: Item, copies: Mapping[int, int] | None = None) -> Decoded:
        corpus, axis = self.spec.corpus, self.spec.sources[name].axis
        folder = self.selections[name].folder
        return decode(folder, item, axis=axis, size=corpus.size, name=(corpus.seed, name), copies=copies)

    def _row(self, name: str, item: Item, image: Stored) -> Row:
        found = self.selections[name]
        case = item.case_of(image.slice)
        return Row(name, found.modality, found.organ, case, **{k: getattr(image, k) for k in Row._fields[4:]})

    def _require_images(self) -> None:
        """Raise BenchError that names the sources of which nothing could be used."""
        barren = [name for name, counts in self.sources.items() if not counts.images]
        if not barren:
            return
        said = []
        for name in barren:
            counts = self.sources[name]
            path, why = next(iter(self.refused[name]), ("", "every slice is empty"))
            said.append(f"[sources.{name}]: {counts.refused} refused, {counts.empty} empty; {path}: {why}")
        raise BenchError(f"{self.spec.path.name}: nothing can be used of\n  " + "\n  ".join(said))


def _require_free(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise BenchError(f"{out}: is a file and no folder")
    if out.is_dir() and any(out.iterdir()) and not (out / UNFINISHED).is_file():
        raise BenchError(f"{out}: is not empty, and a corpus is built over nothing else; name another with --out")


def _check_modalities(selections: Mapping[str, Selection], where: str) -> None:
    """One modality in two spellings would be balanced against itself."""
    spelt: dict[str, str] = {}
    for name, found in selections.items():
        first = spelt.setdefault(found.modality.casefold(), found.modality)
        if found.modality != first:
            raise BenchError(
                f"{where}: [sources.{name}] modality `{found.modality}` is also spelt `{first}`; choose one"
            )


def _told(report: Report) -> dict[str, Any]:
    sources = {name: asdict(counts) for name, counts in report.sources.items()}
    refused = [dict(zip(("source", "path", "reason"), one, strict=True)) for one in report.refused]
    names = ("size", "storage", "images", "copies", "manifest_sha256", "fingerprint")
    return {**{name: getattr(report, name) for name in names}, "sources": sources, "refused": refused}


def _versions() -> dict[str, str]:
    found = {"bench": bench.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
