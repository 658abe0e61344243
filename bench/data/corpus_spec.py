"""The description of a corpus: a TOML file with one table for the whole and one a source."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.errors import BenchError, unknown
from bench.values import read, subtable

Kind = Literal["images", "volumes", "dicom", "hdf5"]


@dataclass(frozen=True)
class Corpus:
    """What holds for all sources. The rules are LVM-Med's (arXiv:2306.11925, sections 3.1 and 4.1, appendix F)."""

    size: int = field(default=224, metadata={"min": 8})  # pixels, side of the stored squares
    seed: int = field(default=0, metadata={"min": 0})
    sample: float = 0.2  # share of the cases that is drawn where there is no published training part
    balance: bool = True  # whether modalities are oversampled to the largest
    most: float = field(default=10.0, metadata={"min": 1.0})  # times itself that a modality may become
    storage: Literal["auto", "memmap", "shards"] = "auto"
    root: str = "data"  # where the sources' folders lie, relative to the spec


@dataclass(frozen=True)
class Source:
    """A task's training part, or a folder of images, volumes, DICOM files or HDF5 arrays."""

    task: str = ""
    folder: str = ""  # relative to the data root
    kind: Literal["", "images", "volumes", "dicom", "hdf5"] = ""  # "": told from the files
    modality: str = ""  # of a task: its card's
    organ: str = ""
    axis: Literal[0, 1, 2] = 2  # of a volume as stored, along which it is sliced
    case: str = ""  # regular expression with one group on the relative path; other files are no part of the source
    sample: float | None = None  # share of cases; 1.0: a published training part
    list: str = ""  # a file that names the files that are meant, relative to the spec
    part: str = ""  # key of a list in JSON
    dataset: str = ""  # array of an HDF5 file


@dataclass(frozen=True)
class Spec:
    """A corpus as described, with where it is."""

    path: Path
    corpus: Corpus
    sources: Mapping[str, Source]
    table: Mapping[str, Any]  # as written

    def data_root(self, given: Path | None) -> Path:
        """The folder with the sources' folders: `given`, before BENCH_DATA, before `[corpus] root`."""
        said = given or os.environ.get("BENCH_DATA")
        return Path(said) if said else self.path.parent / self.corpus.root

    def share(self, source: Source) -> float:
        """Share of a source's cases that is drawn: all of what was published as a training part."""
        published = bool(source.task or source.list)
        return source.sample if source.sample is not None else 1.0 if published else self.corpus.sample


def load(path: Path) -> Spec:
    """Read a description. Raises BenchError that names the key and the rule."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BenchError(f"{path}: no such description of a corpus") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BenchError(f"{path}: not readable as TOML: {error}") from None
    where = path.name
    for key in table:
        if key not in ("corpus", "sources"):
            raise unknown("section", key, ("corpus", "sources"), where=where)
    corpus = read(Corpus, subtable(table, "corpus", f"{where}: [corpus]"), f"{where}: [corpus]")
    _check_share(corpus.sample, f"{where}: [corpus] sample")
    given = subtable(table, "sources", f"{where}: [sources]")
    sources = {name: _source(given, name, f"{where}: [sources.{name}]") for name in given}
    if not sources:
        raise BenchError(f'{where}: needs a source, such as [sources.brain_tumor] with task = "brain_tumor"')
    return Spec(path, corpus, sources, table)


def _source(table: Mapping[str, Any], name: str, where: str) -> Source:
    source = read(Source, subtable(table, name, where), where)
    if bool(source.task) == bool(source.folder):
        raise BenchError(f"{where}: needs either `task` or `folder`")
    idle = [key for key in ("kind", "case", "list", "dataset") if getattr(source, key)] if source.task else []
    if idle:
        raise BenchError(f"{where} {idle[0]}: a task says itself what its training part is; name its `folder` instead")
    if source.folder and not source.modality.strip():
        raise BenchError(f'{where}: needs `modality`, such as "MRI": modalities are counted and balanced')
    if source.part and not source.list.endswith(".json"):
        raise BenchError(f"{where} part: is the key of a `list` in JSON, and there is none")
    if source.sample is not None:
        _check_share(source.sample, f"{where} sample")
    return source


def _check_share(share: float, where: str) -> None:
    if not 0 < share <= 1:
        raise BenchError(f"{where}: is a share of the cases, above 0 and at most 1, got {share}")
