"""A figure of a segmentation or detection: image, truth and prediction of the cases it did best, midway and worst on.

Detections are told apart by the F1 of each image, and shown from the score on that it counts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from bench.curves import save
from bench.data.images import read_image
from bench.data.segments import read_pair
from bench.detections import SURE
from bench.errors import BenchError
from bench.spec import Case, Task
from bench.store import Record

PLACES = ("best", "median", "worst")
OPACITY = 0.45
Array = np.ndarray[Any, np.dtype[Any]]


class Mark(NamedTuple):
    """A box in pixels of the image, as left, top, right and bottom; the truth has no score."""

    label: int
    edges: tuple[float, ...]
    score: float = 0.0


Panel = tuple[Array, Sequence[Mark]]


def chosen(scores: dict[str, float]) -> list[tuple[str, str]]:
    """Place and id of the best, median and worst case by a score of which more is better; of equals the first by id."""
    ranked = sorted(scores, key=lambda case: (-scores[case], case))
    return list(zip(PLACES, (ranked[0], ranked[(len(ranked) - 1) // 2], ranked[-1]), strict=True))


def draw(record: Record, task: Task, folder: Path, title: str, file: Path) -> None:
    """Write the figure of a record. Raises BenchError where it holds no predictions, or the data are not those."""
    from matplotlib.figure import Figure

    boxes = task.info.target == "box"
    metric = "f1" if boxes else str(record.facts["primary"])
    scores = record.scores()[metric]
    panels_of = _boxes(record) if boxes else _masks(record, task)
    cases = {case.id: case for case in task.splits(folder).test}
    figure = Figure(figsize=(7.2, 2.6 * len(PLACES)), layout="constrained", dpi=200)
    figure.suptitle(title, fontsize=9, parse_math=False)
    for row, (place, name) in enumerate(chosen(scores)):
        if name not in cases:
            raise BenchError(f"{folder}: has no test case {name} any more, which {record.id} was scored on")
        panels = zip(("image", "truth", "prediction"), panels_of(cases[name]), strict=True)
        for column, (label, (panel, marks)) in enumerate(panels):
            axes = figure.add_subplot(len(PLACES), 3, 3 * row + column + 1)
            # The edges of pixels are whole numbers, as those of boxes, and not their centres.
            axes.imshow(panel, interpolation="nearest", extent=(0, panel.shape[1], panel.shape[0], 0))
            _mark(axes, marks)
            axes.set_axis_off()
            said = f"{place}: {name}, {metric} {scores[name]:.3f}" if column == 0 else label
            axes.set_title(said, fontsize=6, loc="left", parse_math=False)
    _legend(figure, task.info.classes if boxes else task.info.classes[1:])
    save(figure, file)


def _masks(record: Record, task: Task) -> Callable[[Case], list[Panel]]:
    """What draws a case of a segmentation: of a volume, the slice that shows most of truth and prediction together."""
    with np.load(record.file("predictions.npz"), allow_pickle=False) as kept:
        names = [str(case) for case in kept["cases"]]
        found = {case: kept[f"mask_{number}"] for number, case in enumerate(names) if f"mask_{number}" in kept}
    if not found:
        raise BenchError(
            f"{record.id}: its predictions were not kept; set [bench] keep_predictions = true and run it again:"
            f" bench run --rerun all --only '{record.id}'"
        )

    def panels(case: Case) -> list[Panel]:
        if case.id not in found:
            raise BenchError(f"{record.folder}: holds no prediction of {case.id}")
        pair, predicted = read_pair(case, task.info), found[case.id]
        if predicted.shape != pair.truth.shape:
            raise BenchError(f"{case.image}: is {pair.truth.shape}, and the prediction of it {predicted.shape}")
        number = int(((pair.truth > 0) | (predicted > 0)).sum((1, 2)).argmax())
        image = np.repeat(pair.image[number], 3 // pair.image.shape[3], axis=2)
        return [(one, []) for one in (image, coloured(image, pair.truth[number]), coloured(image, predicted[number]))]

    return panels


def _boxes(record: Record) -> Callable[[Case], list[Panel]]:
    """What draws a case of a detection: its boxes, and those found that are sure enough, the likeliest last."""
    with np.load(record.file("predictions.npz"), allow_pickle=False) as kept:
        names = [str(case) for case in kept["cases"]]
        of, edges, scores, labels = (kept[f"box_{name}"].tolist() for name in ("image", "edges", "score", "label"))
    found: dict[str, list[Mark]] = {name: [] for name in names}
    for row in sorted((row for row, score in enumerate(scores) if score >= SURE), key=scores.__getitem__):
        found[names[of[row]]].append(Mark(labels[row], tuple(edges[row]), scores[row]))

    def panels(case: Case) -> list[Panel]:
        image = read_image(case.image)
        height, width = case.frame or image.shape[:2]
        down, across = image.shape[0] / height, image.shape[1] / width
        truth = [Mark(b.label, (b.left * across, b.top * down, b.right * across, b.bottom * down)) for b in case.boxes]
        return [(image, []), (image, truth), (image, found[case.id])]

    return panels


def _mark(axes: Any, marks: Sequence[Mark]) -> None:
    from matplotlib.patches import Rectangle

    for mark in marks:
        left, top, right, bottom = mark.edges
        colour = _colours()[mark.label % len(_colours())]
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1.2))
        if mark.score:
            axes.text(left, top, f"{mark.score:.2f}", fontsize=5, color="white", backgroundcolor=colour, va="bottom")


def coloured(image: UInt8[np.ndarray, "h w 3"], classes: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image with each structure tinted."""
    tint = (_colours()[(classes.astype(int) - 1) % len(_colours())] * 255).astype(np.float64)
    mixed = image * (1 - OPACITY) + tint * OPACITY
    return np.where(classes[..., None] > 0, np.rint(mixed), image).astype(np.uint8)


def _colours() -> Array:
    from matplotlib import colormaps

    return np.array(colormaps["tab10"].colors)  # type: ignore[attr-defined]


def _legend(figure: Any, names: tuple[str, ...]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=_colours()[n % len(_colours())], label=name) for n, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(names)), fontsize=7)
