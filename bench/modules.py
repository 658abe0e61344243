"""What methods share: a teacher that follows, weights at rest, a queue of the latest embeddings, spherical k-means."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from bench.nn import Encoder, Method, View, distributed, embed, gathered

CHUNK = 8192  # rows that are compared with all centroids at once, to bound the memory of their likeness


def hold(method: Method, weights: Iterable[Tensor], share: float) -> None:
    """Have weights of a method learn nothing in the first `share` of training."""
    for weight in weights:
        weight.register_hook(lambda gradient: gradient * (method.progress >= share))


class Teacher(nn.Module):
    """A copy of an encoder and its head that learns nothing by itself; called on views, it gives the head's outputs.

    Views of one size go through together. Like its student it is in training mode, batch-norm included.
    """

    encoder: Encoder
    head: Any  # a module, or a list of them for methods that call its parts

    def __init__(self, encoder: Encoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = deepcopy(encoder), deepcopy(head)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, views: list[View]) -> list[Tensor]:
        """What the head makes of each view."""
        return [self.head(features.pooled) for features in embed(self.encoder, views)]

    def follow(self, encoder: Encoder, head: nn.Module, momentum: float) -> None:
        """Its weights become `momentum` times themselves, and the rest the student's."""
        from lightly.models.utils import update_momentum

        update_momentum(encoder, self.encoder, momentum)
        update_momentum(head, self.head, momentum)


class Queue(nn.Module):
    """The latest rows of all processes, newest first; zeros where there has been none."""

    rows: Float[Tensor, "n d"]

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, dim))

    def push(self, rows: Float[Tensor, "b d"]) -> None:
        """Take in the rows of a batch; the oldest go."""
        latest = gathered(rows).to(self.rows.dtype)
        self.rows = torch.cat([latest, self.rows])[: len(self.rows)]

    @property
    def share(self) -> Float[Tensor, "m d"]:
        """This process's part of the rows, where what follows gathers over all processes again."""
        return (
            self.rows[torch.distributed.get_rank() :: torch.distributed.get_world_size()]
            if distributed()
            else self.rows
        )

    @property
    def full(self) -> bool:
        """Whether there has been a row for each place."""
        return bool(len(self.rows) and self.rows[-1].any())


def spherical_k_means(
    units: Float[Tensor, "n d"], clusters: int, iterations: int
) -> tuple[Float[Tensor, "k d"], Int64[Tensor, " n"]]:
    """Centroids of unit length and the class of each row, by cosine; they begin at random rows, and empty ones stay."""
    centroids = units[torch.randperm(len(units))[:clusters].to(units.device)]
    for _ in range(iterations):
        classes = nearest(units, centroids)
        sums = torch.zeros_like(centroids).index_add_(0, classes, units)
        filled = torch.bincount(classes, minlength=len(centroids)) > 0
        centroids = torch.where(filled[:, None], F.normalize(sums, dim=1), centroids)
    return centroids, nearest(units, centroids)


def nearest(units: Float[Tensor, "n d"], centroids: Float[Tensor, "k d"]) -> Int64[Tensor, " n"]:
    """The centroid that each row is most like."""
    return torch.cat([(part @ centroids.T).argmax(1) for part in units.split(CHUNK)])
