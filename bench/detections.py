"""Average precision and FROC of detections, from matches that are kept image by image and can so be resampled.

Matching and average precision are COCO's (Lin et al. 2014, arXiv:1405.0312): at ten overlaps from 0.5 to 0.95, the
likeliest detection first; precision is interpolated at 101 recalls. FROC is at LUNA16's seven points (Setio et al.
2017, arXiv:1612.08012): the mean sensitivity at 1/8 to 8 false positives an image, over all classes, with overlaps of
0.5. Unlike there, a second detection of an object is a false positive, as COCO has it, and sensitivity is that of the
lowest threshold with so few of them, not interpolated. An image that is drawn twice counts as two.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

OVERLAPS = np.linspace(0.5, 0.95, 10)  # of intersection over union, from which on a detection hits an object
RECALLS = np.linspace(0, 1, 101)
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false positives an image
ALL, LOWEST, MIDDLE = slice(None), slice(0, 1), slice(5, 6)
AT = {"map": ALL, "map50": LOWEST, "map75": MIDDLE, "ap": ALL, "ap50": LOWEST}  # overlaps that a metric is a mean over
WHOLE = ("map50", "map", "map75", "froc")  # metrics of all classes
BY_CLASS = ("ap50_", "ap_")  # and what those of one class begin with
MOST = 100  # detections of a class in an image that count
SURE = 0.5  # score from which on a detection counts in an image's F1

COLUMNS = ("case", "class", "objects", "score", "hits")

Array = np.ndarray[Any, np.dtype[Any]]


class Found(NamedTuple):
    """What a detector found in an image: boxes as left, top, right, bottom; scores in [0, 1]; class indices."""

    boxes: Float[Array, "k 4"]
    scores: Float[Array, " k"]
    labels: Int[Array, " k"]


@dataclass(frozen=True, eq=False)
class Detections:
    """Every detection on some images, and which objects it hits; `objects` counts those of each class in each image.

    Row i of the detections lies on the image `image[i]`, is of the class `label[i]`, and `hits[i]` says at which of
    `OVERLAPS` it hits an object that no likelier one does.
    """

    cases: tuple[str, ...]
    classes: tuple[str, ...]
    objects: Int[np.ndarray, "n c"]
    image: Int[np.ndarray, " k"]
    label: Int[np.ndarray, " k"]
    score: Float[np.ndarray, " k"]
    hits: Bool[np.ndarray, "k t"]

    def __post_init__(self) -> None:
        """Refuse scores by which nothing can be ranked."""
        if not np.isfinite(self.score).all():
            raise ValueError("a score is not finite")

    @property
    def metrics(self) -> tuple[str, ...]:
        """What can be computed: for all classes, and for each of which there is an object."""
        own = [name for name, count in zip(self.classes, self.objects.sum(0), strict=True) if count]
        return (*WHOLE, *(f"{kind}{name}" for kind in BY_CLASS for name in own))

    def summary(self) -> dict[str, float]:
        """Each metric on these images."""
        return {metric: self.value(metric) for metric in self.metrics}

    def value(self, metric: str) -> float:
        """A metric on these images; nan where none has an object of its classes. Raises ValueError for no metric."""
        return float(self._metric(metric, np.ones((1, len(self.cases)), np.int64))[0])

    def resampled(self, metric: str, *, resamples: int, seed: int = 0) -> Float[Array, " resamples"]:
        """The metric on as many images drawn with replacement, `resamples` times.

        The draws depend on the seed and the number of images alone: those of two methods on the same images are the
        same, and so their differences are paired. Where an image with an object was not drawn, it is nan.

        They are kept, and not to be written to: an interval and a test of it ask for the same ones, and they cost most.
        """
        key = (metric, resamples, seed)
        if key not in self._resampled:
            draws, n = np.random.Generator(np.random.PCG64(seed)), len(self.cases)
            found = self._metric(metric, draws.multinomial(n, np.full(n, 1 / n), size=resamples))
            found.flags.writeable = False
            self._resampled[key] = found
        return self._resampled[key]

    @cached_property
    def _resampled(self) -> dict[tuple[str, int, int], Float[Array, " resamples"]]:
        return {}

    def _metric(self, metric: str, drawn: Int[Array, "r n"]) -> Float[Array, " r"]:
        kind, of_class, name = metric.partition("_")
        if kind == "froc":
            rates: Array = self._sensitivities(drawn).mean(1)
            return rates
        if kind not in AT:
            raise ValueError(f"{metric}: no metric of detections")
        chosen = [self.classes.index(name)] if of_class else range(len(self.classes))
        values = np.stack([self._precisions(number, drawn, AT[kind]) for number in chosen], axis=1)
        there = ~np.isnan(values)  # a class that no drawn image has is left out of the mean, as COCO has it
        with np.errstate(invalid="ignore"):
            mean: Array = np.where(there, values, 0).sum((1, 2)) / there.sum((1, 2))
        return mean

    def _precisions(self, number: int, drawn: Int[Array, "r n"], at: slice) -> Float[Array, "r t"]:
        from bench.precision import average_precisions

        rows = np.flatnonzero(self.label == number)
        rows = rows[np.argsort(-self.score[rows], kind="stable")]
        objects = drawn @ self.objects[:, number]
        return average_precisions(self.image[rows], self.hits[rows, at], objects, drawn, RECALLS)

    def _sensitivities(self, drawn: Int[Array, "r n"]) -> Float[Array, "r f"]:
        from bench.precision import sensitivities

        order = np.argsort(-self.score, kind="stable")
        ranked = self.score[order]
        last = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]  # no threshold parts equal scores
        objects, allowed = drawn @ self.objects.sum(1), np.array(RATES) * len(self.cases)
        return sensitivities(self.image[order], self.hits[order, 0], last, objects, drawn, allowed)

    def agreement(self) -> Float[Array, " n"]:
        """F1 of each image, in [0, 1]: of detections with a score from 0.5 on, by overlaps of 0.5; 1 if none is due."""
        n, sure = len(self.cases), self.score >= SURE
        marked = np.bincount(self.image[sure], minlength=n)
        right = np.bincount(self.image[sure & self.hits[:, 0]], minlength=n)
        due = marked + self.objects.sum(1)
        return np.where(due > 0, 2 * right / np.maximum(due, 1), 1.0)


def collect(
    cases: Sequence[str], classes: Sequence[str], found: Sequence[Found], truth: Sequence[tuple[Array, Array]]
) -> Detections:
    """The detections of each image matched with its truth: boxes (m, 4), as in `Found`, and class indices (m,)."""
    objects = np.zeros((len(cases), len(classes)), np.int64)
    image, label, score, hits = list[int](), list[int](), list[float](), list[Array]()
    for number, (_, one, (boxes, labels)) in enumerate(zip(cases, found, truth, strict=True)):
        objects[number] = np.bincount(labels, minlength=len(classes))
        for of in np.unique(one.labels):
            rows = np.flatnonzero(one.labels == of)
            rows = rows[np.argsort(-one.scores[rows], kind="stable")][:MOST]
            hits.extend(matched(overlaps(one.boxes[rows], boxes[labels == of])))
            image += [number] * len(rows)
            label += [int(of)] * len(rows)
            score += one.scores[rows].tolist()
    shape = np.array(hits, bool).reshape(-1, len(OVERLAPS))
    whole = (np.array(image, np.int64), np.array(label, np.int64), np.array(score, np.float64))
    return Detections(tuple(cases), tuple(classes), objects, *whole, shape)


def overlaps(found: Float[Array, "k 4"], there: Float[Array, "m 4"]) -> Float[Array, "k m"]:
    """Intersection over union of boxes given by left, top, right and bottom, with widths as COCO has them."""
    found, there = found.astype(np.float64)[:, None], there.astype(np.float64)[None]
    sides = np.minimum(found[..., 2:], there[..., 2:]) - np.maximum(found[..., :2], there[..., :2])
    both = sides.clip(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (found, there)]
    union = areas[0] + areas[1] - both
    shares: Array = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return shares


def matched(overlap: Float[Array, "k m"]) -> Bool[Array, "k t"]:
    """Which detections, the likeliest first, hit an object that is still free, and at which of `OVERLAPS`.

    Each takes the free object that it overlaps most, and of equals the last.
    """
    hits = np.zeros((len(overlap), len(OVERLAPS)), bool)
    for column, least in enumerate(OVERLAPS):
        free = overlap.copy()
        for row in range(len(overlap) if overlap.shape[1] else 0):
            best = overlap.shape[1] - 1 - int(free[row, ::-1].argmax())
            if free[row, best] >= min(least, 1 - 1e-10):
                hits[row, column] = True
                free[:, best] = -1
    return hits


# ---------------------------------------------------------------------------------------------- on disk


def write(path: Path, detections: Detections) -> None:
    """A line for each class in each image with the number of its objects, and one for each detection.

    Hits are ten binary digits as a hexadecimal number, the lowest digit for the lowest overlap.
    """
    bits = detections.hits @ (1 << np.arange(len(OVERLAPS)))
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for image, of in zip(*map(np.ndarray.tolist, np.nonzero(detections.objects)), strict=True):
            rows.writerow((detections.cases[image], detections.classes[of], detections.objects[image, of], "", ""))
        for image, of, score, hits in zip(detections.image, detections.label, detections.score, bits, strict=True):
            rows.writerow((detections.cases[image], detections.classes[of], "", repr(float(score)), f"{hits:x}"))


def read(path: Path, cases: Sequence[str], classes: Sequence[str]) -> Detections:
    """What `write` wrote of these cases and classes. Raises ValueError for what it did not write."""
    places, numbers = {c: i for i, c in enumerate(cases)}, {c: i for i, c in enumerate(classes)}
    objects = np.zeros((len(cases), len(classes)), np.int64)
    rows = list[tuple[int, int, float, int]]()
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file, strict=True)
        try:
            if tuple(next(lines, ())) != COLUMNS:
                raise ValueError(f"does not begin with {','.join(COLUMNS)}")
            for case, name, count, score, hits in lines:
                image, of = places[case], numbers[name]
                if count:
                    if score or hits or objects[image, of]:
                        raise ValueError("a second number of the same objects, or a detection with one")
                    objects[image, of] = _within(int(count), 1, 1 << 31)
                else:
                    rows.append((image, of, float(score), _within(int(hits, 16), 0, 1 << len(OVERLAPS))))
        except KeyError as exc:
            raise ValueError(f"line {lines.line_num}: {exc} is no case or class of the record") from None
        except (ValueError, csv.Error) as exc:
            raise ValueError(f"line {lines.line_num}: {exc}") from None
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0, np.int64)] * 4
    matches = (columns[3][:, None] >> np.arange(len(OVERLAPS)) & 1).astype(bool)
    found = (columns[0], columns[1], columns[2].astype(np.float64), matches)
    return Detections(tuple(cases), tuple(classes), objects, *found)


def _within(number: int, least: int, end: int) -> int:
    if not least <= number < end:
        raise ValueError(f"{number} is not in [{least}, {end})")
    return number
