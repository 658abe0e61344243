"""The torch half of the contract: an Encoder, the Features it gives, the View it sees, the Method that trains it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from bench.errors import BenchError
from bench.spec import MethodInfo, Views


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
    mirrored (left to right, top to bottom) after they were cut.
    """

    images: Float[Tensor, "b 3 h w"]
    boxes: Float[Tensor, "b 4"]
    flips: Bool[Tensor, "b 2"]


class Method(nn.Module, ABC):
    """A self-supervised objective over an encoder. It builds its heads and returns a loss; the loop is the engine's.

    All that it learns or remembers (teacher, queue, prototypes) is a parameter or a buffer, for that is what a
    checkpoint holds.
    """

    info: ClassVar[MethodInfo]
    views: ClassVar[Views] = Views()

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.logged: dict[str, tuple[Tensor, int]] = {}  # sum and count by name, in the step under way

    @abstractmethod
    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """The objective on the views of one batch: global crops first, then local crops."""

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step with the share of training done, in (0, 1]: move a teacher, fill a queue."""

    def log(self, name: str, value: Tensor | float | int) -> None:
        """Note a number of this step, in `loss` or `after_step`: the record keeps its mean over each epoch.

        The value stays on its device, so that nothing waits for it. Raises BenchError for the name `loss`, which is
        kept anyway, and for more than one number.
        """
        if name == "loss":
            raise BenchError("log: `loss` is kept of every method; log under another name")
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


def distributed() -> bool:
    """Whether a batch is spread over several processes, so that a contrastive loss must gather it."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()
