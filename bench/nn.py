"""The torch half of the contract: an Encoder, the Features it gives, the View it sees, the Method that trains it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor, nn

from bench.errors import BenchError
from bench.spec import MethodInfo, Views

KEPT = ("loss", "effective_rank", "embedding_std")  # what the history of every pretraining holds


class Features(NamedTuple):
    """What an encoder gives: a vector an image, and maps from fine to coarse."""

    pooled: Float[Tensor, "b d"]
    maps: tuple[Tensor, ...]  # each b c h w, with the channels and strides that the encoder states


class Encoder(nn.Module, ABC):
    """A backbone with weights, in the one form that all that comes after knows.

    `dim` is the length of the pooled vector, `map_dims` and `strides` (pixels of input to a step of the map) describe
    the maps, `image_size` (pixels) is the side it is evaluated at, `mean` and `std` (of pixels in [0, 1]) its input's.
    """

    dim: int
    map_dims: tuple[int, ...]
    strides: tuple[int, ...]
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    patch: int = 0  # pixels of a token's side, where the backbone is a plain transformer
    loaded: Mapping[str, Any] | None = None  # which weights it was given, and how they matched, for the record

    @abstractmethod
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Features:
        """Features of normalised images."""

    def normalise(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """8-bit images as this encoder wants them: scaled to [0, 1], less `mean`, over `std`."""
        mean, std = (torch.tensor(c, device=images.device)[:, None, None] for c in (self.mean, self.std))
        return (images.float() / 255 - mean) / std


@dataclass(frozen=True)
class View:
    """A batch of random crops, one of each source image, and where in its source each of them lies.

    `boxes` are (top, left, height, width) as fractions of the source, before the flips; `flips` tells which crops were
    mirrored (left to right, top to bottom) after they were cut. `numbers` are the places of the sources in the corpus.
    """

    images: Float[Tensor, "b 3 h w"]
    boxes: Float[Tensor, "b 4"]
    flips: Bool[Tensor, "b 2"]
    numbers: Int64[Tensor, " b"]

    def chunk(self, parts: int) -> "list[View]":
        """The batch in so many parts, or fewer where it has fewer crops."""
        if parts == 1:
            return [self]
        fields = (self.images, self.boxes, self.flips, self.numbers)
        return [View(*chunks) for chunks in zip(*(field.chunk(parts) for field in fields), strict=True)]


class Method(nn.Module, ABC):
    """A self-supervised objective over an encoder. It builds its heads and returns a loss; the loop is the engine's.

    All that it learns or remembers (teacher, queue, prototypes) is a parameter or a buffer, for that is what a
    checkpoint holds.
    """

    info: ClassVar[MethodInfo]
    encoder: Encoder
    progress: float = 0.0  # share of training done, in [0, 1): the engine sets it before each step
    views: Views = Views()  # of the class: the method's own; of an object: those it is trained with
    separable: ClassVar[bool] = False  # the loss is a mean over images that see no other: a batch may be split

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.logged: dict[str, tuple[Tensor, int]] = {}  # sum and count by name, in the step under way

    @abstractmethod
    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """The objective on the views of one batch: global crops first, then local crops."""

    def begin(self, images: int) -> None:
        """Called once, before the first step or a resume, with the size of the corpus: make what has a row an image."""

    def before_epoch(self, epoch: int, batches: Iterator[list[View]]) -> None:
        """Called in training mode before the first step of each epoch, from 0.

        `batches` are views of this process's share of the corpus, drawn for this call; what is not asked for costs
        nothing.
        """

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step with the share of training done, in (0, 1]: move a teacher, fill a queue."""

    def trained(self) -> Encoder:
        """The encoder that is kept and evaluated: the one that learns, unless the method's paper keeps its teacher."""
        return self.encoder

    def log(self, name: str, value: Tensor | float | int) -> None:
        """Note a number of this step, in `loss` or `after_step`: the record keeps its mean over each epoch.

        The value stays on its device, so that nothing waits for it. Raises BenchError for a name that is kept anyway
        (`KEPT`), and for more than one number.
        """
        if name in KEPT:
            raise BenchError(f"log: `{name}` is kept of every method; log under another name")
        if isinstance(value, Tensor) and value.numel() != 1:
            raise BenchError(f"log: `{name}` must be one number, has shape {tuple(value.shape)}")
        device = next(self.parameters()).device
        if isinstance(value, Tensor):
            number = value.detach().to(device, torch.float32).reshape(())
        else:  # filled where it belongs: a copy from the host would wait
            number = torch.full((), value, dtype=torch.float32, device=device)
        total, count = self.logged.get(name, (torch.zeros_like(number), 0))
        self.logged[name] = (total + number, count + 1)

    def forward(self, views: list[View]) -> Float[Tensor, ""]:
        """`loss`, under the name that distributed wrappers call."""
        return self.loss(views)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if Method not in cls.__bases__:
            raise TypeError(
                f"{cls.__name__} must derive from Method itself: methods share by function, not by inheritance"
            )


def embed(encoder: Encoder, views: list[View]) -> list[Features]:
    """The features of each view. Those of one size go through together, as DINO's and SwAV's code has multi-crop."""
    found: list[Features] = []
    for _, group in groupby(views, key=lambda view: view.images.shape[2:]):
        same = list(group)
        pooled, maps = encoder(torch.cat([view.images for view in same]))
        levels = [level.chunk(len(same)) for level in maps]
        found += [
            Features(vector, tuple(parts)) for vector, *parts in zip(pooled.chunk(len(same)), *levels, strict=True)
        ]
    return found


def rising(momentum: float, progress: float) -> float:
    """A teacher's momentum, from `momentum` at the start to 1 at the end (Grill et al. 2020, section 3.3)."""
    return 1 - (1 - momentum) * (1 + math.cos(math.pi * progress)) / 2


def warmed(ends: Sequence[float], progress: float, share: float) -> float:
    """A teacher's temperature: along a line from the first of `ends` to the second in the first `share` of training."""
    low, high = ends
    return low + (high - low) * min(1.0, progress / share)


def gathered(rows: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks, without a gradient."""
    if not distributed():
        return rows.detach()
    parts = [torch.empty_like(rows) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, rows.detach().contiguous())
    return torch.cat(parts)


def distributed() -> bool:
    """Whether a batch is spread over several processes, so that a contrastive loss must gather it."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()
