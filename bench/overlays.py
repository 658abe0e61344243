"""A figure of a segmentation: image, truth and prediction of the cases it did best, in the middle, and worst on."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from bench.curves import save
from bench.data.segments import Pair, read_pair
from bench.errors import BenchError
from bench.spec import Case, Task
from bench.store import Record

PLACES = ("best", "median", "worst")
OPACITY = 0.45
Array = np.ndarray[Any, np.dtype[Any]]


def chosen(scores: dict[str, float]) -> list[tuple[str, str]]:
    """Place and id of the best, median and worst case by a score of which more is better; of equals the first by id."""
    ranked = sorted(scores, key=lambda case: (-scores[case], case))
    return list(zip(PLACES, (ranked[0], ranked[(len(ranked) - 1) // 2], ranked[-1]), strict=True))


def draw(record: Record, task: Task, folder: Path, title: str, file: Path) -> None:
    """Write the figure of a record. Raises BenchError where it holds no predictions, or the data are not those."""
    from matplotlib.figure import Figure

    metric = str(record.facts["primary"])
    scores = record.scores()[metric]
    predicted = _predictions(record)
    cases = {case.id: case for case in task.splits(folder).test}
    figure = Figure(figsize=(7.2, 2.6 * len(PLACES)), layout="constrained", dpi=200)
    figure.suptitle(title, fontsize=9, parse_math=False)
    for row, (place, name) in enumerate(chosen(scores)):
        if name not in cases or name not in predicted:
            raise BenchError(f"{folder}: has no test case {name} any more, which {record.id} was scored on")
        panels = _panels(cases[name], task, predicted[name])
        for column, (label, panel) in enumerate(zip(("image", "truth", "prediction"), panels, strict=True)):
            axes = figure.add_subplot(len(PLACES), 3, 3 * row + column + 1)
            axes.imshow(panel, interpolation="nearest")
            axes.set_axis_off()
            said = f"{place}: {name}, {metric} {scores[name]:.3f}" if column == 0 else label
            axes.set_title(said, fontsize=6, loc="left", parse_math=False)
    _legend(figure, task.info.classes[1:])
    save(figure, file)


def _predictions(record: Record) -> dict[str, Array]:
    with np.load(record.file("predictions.npz"), allow_pickle=False) as kept:
        names = [str(case) for case in kept["cases"]]
        found = {case: kept[f"mask_{number}"] for number, case in enumerate(names) if f"mask_{number}" in kept}
    if not found:
        raise BenchError(
            f"{record.id}: its predictions were not kept; set [bench] keep_predictions = true and run it again:"
            f" bench run --rerun all --only '{record.id}'"
        )
    return found


def _panels(case: Case, task: Task, predicted: Array) -> tuple[UInt8[np.ndarray, "h w 3"], ...]:
    """Of a volume, the slice that shows most of truth and prediction together."""
    pair: Pair = read_pair(case, task.info)
    if predicted.shape != pair.truth.shape:
        raise BenchError(f"{case.image}: is {pair.truth.shape}, and the prediction of it {predicted.shape}")
    number = int(((pair.truth > 0) | (predicted > 0)).sum((1, 2)).argmax())
    image = np.repeat(pair.image[number], 3 // pair.image.shape[3], axis=2)
    return image, coloured(image, pair.truth[number]), coloured(image, predicted[number])


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
