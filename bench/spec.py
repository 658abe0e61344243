"""The contract of a plug-in author: what a method, a foundation model, a task and a protocol are.

This module imports no torch, so a grid is planned without it; `Encoder`, `Method`, `View` and `Features` are the torch
half of the contract, live in `bench.nn`, and are re-exported here on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

    from bench.detections import Detections
    from bench.nn import Encoder as Encoder
    from bench.nn import Features as Features
    from bench.nn import Method as Method
    from bench.nn import View as View

Settings = Mapping[str, Any]


def __getattr__(name: str) -> Any:
    if name in {"Encoder", "Features", "Method", "View"}:
        from bench import nn

        return getattr(nn, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# ---------------------------------------------------------------------------------------------- methods


@dataclass(frozen=True, kw_only=True)
class Views:
    """How random views are drawn from an image; the defaults are SimCLR's (Chen et al. 2020, appendix A).

    Probabilities lie in [0, 1]; a tuple gives one a global crop (BYOL and Barlow Twins treat their two views
    differently), and local crops take its last. Scales are fractions of the source's area, sizes are pixels.
    """

    global_crops: int = 2
    local_crops: int = 0
    global_scale: tuple[float, float] = (0.08, 1.0)
    local_scale: tuple[float, float] = (0.05, 0.4)
    local_size: int = 0  # 0: 96 px for each 224 px of the global crops, as SwAV has it
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    vertical_flip: float = 0.0
    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2)  # brightness, contrast, saturation, hue
    jitter_prob: float = 0.8
    grey_prob: float = 0.2
    blur_prob: float | tuple[float, ...] = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)  # pixels of the view
    solarise_prob: float | tuple[float, ...] = 0.0
    solarise_threshold: float = 0.5


@dataclass(frozen=True, kw_only=True)
class MethodInfo:
    """What a reader must know to trust a row of the board."""

    name: str
    kind: str  # "ssl": pretrained by `bench.pretrain`; "foundation": built from weights
    paper: str
    licence: str = ""
    trained_on: str = ""
    seeded: bool = True  # False: every seed has the same encoder
    needs: str = ""  # "tokens": a backbone that is a plain vision transformer, of which patches can be hidden
    backbone: str = ""  # of a foundation model that has its own: in place of the grid's
    image_size: int = 0  # pixels, likewise
    tokens: bool = False  # whether that backbone is a plain transformer
    small: Settings = field(default_factory=dict)  # settings the contract suite uses
    group: str = ""  # of a board's rows; "": by kind
    may_have_seen: tuple[str, ...] = ()  # tasks whose test images may be among its training data; "*": any


T = TypeVar("T", bound=type)


def ssl_method(name: str, *, paper: str, needs: str = "", small: Settings | None = None) -> Callable[[T], T]:
    """Mark a `Method` subclass as the plug-in `name`; its keyword-only arguments are its settings.

    `needs="tokens"` is for methods that hide patches from their encoder: other backbones are refused before they run.
    All arguments are literals: the registry reads them, and the defaults of the settings, without importing the file.
    """

    def mark(cls: T) -> T:
        info = MethodInfo(name=name, kind="ssl", paper=paper, needs=needs, small=small or {})
        cls.info = info  # type: ignore[attr-defined]
        return cls

    return mark


@dataclass(frozen=True)
class Weights:
    """Where a foundation model's weights come from: a file or, without one, its library's cache or hub.

    `missing` are patterns of names, such as `neck.*`, of what the file may lack and the model then draws.
    """

    file: Path | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundationModel:
    """A function from a backbone name and Weights (None: random ones) to an Encoder."""

    info: MethodInfo
    build: Callable[..., Encoder]


def foundation_model(
    name: str,
    *,
    paper: str,
    licence: str,
    trained_on: str,
    seeded: bool = False,
    backbone: str = "",
    image_size: int = 0,
    tokens: bool = False,
    small: Settings | None = None,
    group: str = "",
    may_have_seen: tuple[str, ...] = (),
) -> Callable[[Callable[..., Encoder]], FoundationModel]:
    """Mark `build(backbone, weights, image_size, *, settings...) -> Encoder` as the plug-in `name`.

    A model that has an architecture of its own names it as `backbone`, with the `image_size` it was trained at, and as
    `tokens` whether it is a plain transformer: an entry of the grid may change the first two, its [pretrain] does not.
    `small` then has a `backbone` and an `image_size` too. `group` heads its row of a board, and cells of the tasks that
    its training data `may_have_seen`, by name or "*" for any, are marked there; neither is part of a key.
    """
    info = MethodInfo(
        name=name,
        kind="foundation",
        paper=paper,
        licence=licence,
        trained_on=trained_on,
        seeded=seeded,
        backbone=backbone,
        image_size=image_size,
        tokens=tokens,
        small=small or {},
        group=group,
        may_have_seen=may_have_seen,
    )
    return lambda build: FoundationModel(info, build)


# ---------------------------------------------------------------------------------------------- tasks


@dataclass(frozen=True)
class Mask:
    """A file with the truth of a segmentation.

    All of it that is white is the structure `label`; with 0 its values are classes, as the card's `values` has them.
    """

    path: Path
    label: int = 0


@dataclass(frozen=True)
class Box:
    """An object: its class and its edges, in pixels of the case's `frame` from the top left corner of the image on.

    `rater` is who drew it, where several did and are kept apart; `place`, for messages, where a file has it.
    """

    label: int
    left: float
    top: float
    right: float
    bottom: float
    rater: str = ""
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class Case:
    """One image or volume: what is scored and resampled.

    `target` is a class index; of a segmentation `masks` are the truth, where a later one lies over an earlier one, and
    what is not white in `region`, if there is one, is not scored; of a detection `boxes` are, in pixels of an image of
    the height and width `frame` (none: the image's own). `group` is the patient, where one has several cases; `site`
    where it was taken, where sites are scored apart.
    """

    id: str
    image: Path
    target: int = 0
    masks: tuple[Mask, ...] = ()
    region: Path | None = None
    boxes: tuple[Box, ...] = ()
    frame: tuple[int, ...] = ()
    group: str = ""
    site: str = ""
    spacing: tuple[float, ...] = ()  # mm of a pixel down and across, where a picture's are known

    @property
    def files(self) -> tuple[Path, ...]:
        """All that it is read from, the image first."""
        return (self.image, *(mask.path for mask in self.masks), *((self.region,) if self.region else ()))


@dataclass(frozen=True)
class Splits:
    """Cases to fit on, to choose on and to score on; no case is in two of them.

    `notes` count what a reader must know of the files: what was mended, and what was left out, by what it was.
    """

    train: tuple[Case, ...]
    val: tuple[Case, ...]
    test: tuple[Case, ...]
    notes: Mapping[str, int] = field(default_factory=dict, kw_only=True)

    def __iter__(self) -> Iterator[tuple[str, tuple[Case, ...]]]:
        return iter((("train", self.train), ("val", self.val), ("test", self.test)))


@dataclass(frozen=True)
class Image:
    """A file of the published layout that holds a case's image. `path` may use {n} {name} (of the class) {label}."""

    path: str


@dataclass(frozen=True)
class Truth:
    """A file of the published layout that holds a segmentation: the value stored for each class, 0 where not named."""

    path: str
    values: Mapping[int, int]


@dataclass(frozen=True)
class Boxes:
    """A file of the published layout with the boxes of all cases of a part or, where its path has {n}, of one.

    `write` gives its text, from cases with boxes, a frame, and the path of the image, and from the names of classes.
    """

    path: str
    write: Callable[[Sequence[Case], Sequence[str]], str]


@dataclass(frozen=True)
class Row:
    """A line that a case adds to a text file of the published layout, with the same fields."""

    path: str
    text: str


@dataclass(frozen=True)
class Text:
    """A text file of the published layout that is there once, whatever the cases."""

    path: str
    text: str


@dataclass(frozen=True)
class Part:
    """A published part of a data set: how many cases it officially has, and the files that each of them is made of.

    Files that end in .nii.gz are volumes, and .IMG the raw format of JSRT; others are pictures.
    """

    official: int
    files: tuple[Image | Truth | Boxes | Row | Text, ...]
    first: int = 1  # the number {n} of its first case


@dataclass(frozen=True, kw_only=True)
class TaskInfo:
    """The task card."""

    name: str
    title: str
    modality: str
    classes: tuple[str, ...]
    case: str  # what a case is: "image", "patient", ...
    licence: str
    citation: str
    url: str
    layout: Mapping[str, Part]  # from which a phantom is drawn, and completeness is told
    layouts: Mapping[str, Mapping[str, Part]] = field(default_factory=dict)  # others, by a file that only they have
    protocols: tuple[str, ...]
    primary: str = "accuracy"
    target: str = "class"  # or "mask", or "box"
    values: Mapping[int, int] = field(default_factory=dict)  # classes by the values in label files; none: as they are
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # unions of classes scored; none: each class
    release: tuple[str, tuple[int, ...]] = ("dice", (1,))  # metric and classes that LVM-Med's released code scores
    axis: int = 2  # of volumes, along which they are cut into slices
    recipe: Mapping[str, Settings] = field(default_factory=dict)  # the paper's settings for a protocol on this task

    @property
    def official(self) -> int:
        """Number of cases of the data set as published."""
        return sum(part.official for part in self.layout.values())

    @property
    def scored(self) -> Mapping[str, tuple[int, ...]]:
        """The regions of a segmentation: those stated, or each class but the first, which is the background."""
        return self.regions or {name: (number,) for number, name in enumerate(self.classes) if number}


@dataclass(frozen=True)
class Task:
    """A task card and the function that reads a folder in the published layout."""

    info: TaskInfo
    splits: Callable[..., Splits]

    def configured(self, name: str, settings: Settings) -> Task:
        """The same under another name and with settings, of which those called like a field of the card replace it."""
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        card: dict[str, Any] = {f.name: given[f.name] for f in fields(TaskInfo) if f.name in given}
        return Task(replace(self.info, name=name, **card), partial(self.splits, **given) if given else self.splits)


def task(name: str, **card: Any) -> Callable[[Callable[..., Splits]], Task]:
    """Mark `splits(folder, *, settings...) -> Splits` as the task `name`; the keywords are those of `TaskInfo`.

    Of the settings that a grid gives, those called like a field of the card, such as `classes`, also replace that.
    """
    return lambda splits: Task(TaskInfo(name=name, **card), splits)


# ---------------------------------------------------------------------------------------------- protocols


@dataclass(frozen=True)
class Scores:
    """One value per test case and metric, and the predictions they come from.

    `values` holds (n,) float arrays by metric, in the order of `cases`; `predictions` arrays whose first axis is n, or
    `mask_0` ... `mask_n-1` where sizes differ; `chosen` what validation picked (learning rate, epoch), for the record.
    A metric that is no mean over cases, as the average precision of a detection, is computed from `detections`.
    """

    cases: tuple[str, ...]
    values: Mapping[str, np.ndarray[Any, Any]]
    predictions: Mapping[str, np.ndarray[Any, Any]]
    chosen: Settings = field(default_factory=dict)
    detections: Detections | None = None

    @property
    def summary(self) -> dict[str, float]:
        """Each metric over all cases."""
        means = {metric: float(values.mean()) for metric, values in self.values.items()}
        return means | (self.detections.summary() if self.detections else {})


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a protocol works with, beside the encoder."""

    task: TaskInfo
    splits: Splits
    fingerprint: str  # of the data
    seed: int
    device: str
    cache: Path  # folder for decoded images and features
    keep_predictions: bool = False  # of segmentations; those of classes are small and always kept
    progress: Callable[[str, int, int], None]  # what, done, of


@dataclass(frozen=True)
class Protocol:
    """A head, a fit and a score: `fit_and_score(encoder, context, **settings) -> Scores`."""

    name: str
    title: str
    target: str
    fit_and_score: Callable[..., Scores]
    family: str = ""  # of a board's columns; "": by the target


Fit = Callable[..., Scores]


def protocol(
    name: str,
    *,
    title: str,
    target: str = "class",
    on_request: bool = False,
    packages: Settings | None = None,
    family: str = "",
) -> Callable[[Fit], Protocol]:
    """Mark `fit_and_score(encoder, context: Context, *, settings...)` as the protocol `name` for tasks of a target.

    One that is `on_request` stands in no task's card: a grid may ask for it of every task of its target. `packages` has
    values of settings that are names of packages not everyone has, and for each the command that installs it. `family`
    is where its columns stand on a board, and no part of a key.
    """
    return lambda fit: Protocol(name, title, target, fit, family)


__all__ = [
    "Box",
    "Boxes",
    "Case",
    "Context",
    "Encoder",
    "Features",
    "FoundationModel",
    "Image",
    "Mask",
    "Method",
    "MethodInfo",
    "Part",
    "Protocol",
    "Row",
    "Scores",
    "Settings",
    "Splits",
    "Task",
    "TaskInfo",
    "Text",
    "Truth",
    "View",
    "Views",
    "Weights",
    "foundation_model",
    "protocol",
    "ssl_method",
    "task",
]
