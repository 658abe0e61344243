"""How much there is to do: the cases of a cell and the images of a pretraining, known before anything has run."""

from collections.abc import Iterable
from typing import Any

from bench.keys import Parts, canonical
from bench.plan import Job
from bench.sources import Source
from bench.store import Record

DRAWN = 96  # cases of each part of a phantom, where the grid is not at hand
SHARES = (0.6, 0.15, 0.25)  # of training, validation and test, in a data set that is not there to be read
SPLITS = ("train", "val", "test")


class Sizes:
    """Counts by data, each looked up once: in the records, else in the folder, else in the published layout."""

    def __init__(self, records: Iterable[Record] = (), drawn: int = DRAWN) -> None:
        self.drawn = drawn
        self.cells: dict[str, dict[str, int]] = {}
        self.corpora: dict[str, int] = {}
        for record in records:
            if record.facts.get("cases"):
                self.cells[record.parts["task"]["data"]] = dict(record.facts["cases"])
            if record.facts.get("images"):
                self.corpora[canonical(record.parts["corpus"])] = int(record.facts["images"])

    def cases(self, source: Source) -> dict[str, int]:
        """Cases of each split of a task's data; nothing where they cannot be read."""
        if source.fingerprint not in self.cells:
            self.cells[source.fingerprint] = self._counted(source)
        return self.cells[source.fingerprint]

    def _counted(self, source: Source) -> dict[str, int]:
        if source.task is None:
            return {}
        task = source.task.load()
        if not source.folder.is_dir():
            published = [part.official for part in task.info.layout.values()]
            count = sum(min(self.drawn, official or self.drawn) for official in published)
            return {name: round(share * count) for name, share in zip(SPLITS, SHARES, strict=True)}
        try:
            return {name: len(cases) for name, cases in task.splits(source.folder)}
        except Exception:  # a reader may raise anything, and running the job will say what
            return {}

    def images(self, job: Job) -> int:
        """Images that a pretraining learns from; 0 where they cannot be read."""
        seal = canonical(job.parts["corpus"])
        if seal not in self.corpora:
            self.corpora[seal] = sum(self._images(source) for source in job.sources)
        return self.corpora[seal]

    def _images(self, source: Source) -> int:
        if source.task is None:
            return max(0, source.found - source.excluded)
        return max(0, self.cases(source).get("train", 0) - source.excluded)

    def units(self, job: Job) -> int:
        """How many images a job looks at, counted so that likely times are in proportion; 0 where that is unknown."""
        if job.kind == "pretrain":
            return pretraining_units(job.parts, self.images(job))
        return cell_units(job.parts, self.cases(job.sources[0]))


def pretraining_units(parts: Parts, images: int) -> int:
    """Images of all whole batches of all epochs."""
    recipe = parts["recipe"]
    return int(images // recipe["batch_size"] * recipe["batch_size"] * recipe["epochs"])


def cell_units(parts: Parts, cases: dict[str, int]) -> int:
    """Cases times epochs, if the protocol has any."""
    epochs = parts["protocol"]["settings"].get("epochs", 1)
    return sum(cases.values()) * (epochs if isinstance(epochs, int) and epochs > 0 else 1)


def side(parts: Parts) -> int:
    """Pixels of the images that a cell is evaluated on: the protocol's own size, or the encoder's."""
    own = parts["protocol"]["settings"].get("image_size")
    return int(own if isinstance(own, int) and own > 0 else encoder_size(parts["encoder"]))


def encoder_size(encoder: Parts) -> int:
    """Pixels of an encoder's input."""
    return int(_architecture(encoder).get("image_size", 0))


def backbone(encoder: Parts) -> str:
    """The architecture of an encoder."""
    return str(_architecture(encoder).get("backbone", ""))


def _architecture(encoder: Parts) -> dict[str, Any]:
    found: dict[str, Any] = encoder.get("recipe") or dict(encoder)
    return found
