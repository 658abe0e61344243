"""Regions pooled from maps (ROIAlign: He et al. 2017, arXiv:1703.06870, section 3) as weighted sums of positions.

On a CPU, torchvision's gradient of this runs on one core and takes more than half of a training step. Each cell of a
region is the mean of 2 x 2 points, each of which lies between four positions of a map: a sum of 16 rows with weights,
for which torch has a fast kernel in both directions. The numbers are torchvision's but for rounding.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

POINTS = 2  # a side, of each cell
CANONICAL, LEVEL = 224.0, 4  # a region of 224 px is pooled at stride 2 ** 4 (Lin et al. 2017, equation 1)


class Pooling(nn.Module):
    """Pools each region from the map that suits its size, on a CPU; elsewhere `library`, torchvision's, does.

    `strides` are those of the maps, and `cells` how many each region has a side, as in `library`.
    """

    def __init__(self, library: nn.Module, strides: Sequence[int], cells: int) -> None:
        super().__init__()
        self.library, self.strides, self.cells = library, tuple(strides), cells

    def forward(
        self, maps: Mapping[str, Tensor], regions: list[Tensor], sizes: list[tuple[int, int]]
    ) -> Float[Tensor, "k c u u"]:
        """The regions of all images one after the other; boxes are left, top, right and bottom in pixels."""
        if regions[0].device.type != "cpu":
            found: Tensor = self.library(maps, regions, sizes)
            return found
        used, boxes = [maps[str(number)] for number in range(len(self.strides))], torch.cat(regions)
        image = torch.repeat_interleave(torch.arange(len(regions)), torch.tensor([len(of) for of in regions]))
        places, weights = self._samples(boxes, image, used)
        rows = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in used])
        cells = functional.embedding_bag(places, rows, per_sample_weights=weights, mode="sum")
        return cells.view(len(boxes), self.cells, self.cells, rows.shape[1]).permute(0, 3, 1, 2)

    def _samples(
        self, boxes: Float[Tensor, "k 4"], image: Int64[Tensor, " k"], maps: Sequence[Tensor]
    ) -> tuple[Int64[Tensor, "j 16"], Float[Tensor, "j 16"]]:
        """For each cell of each region, the rows of all maps one below the other that it is made of, and weights."""
        level = self.levels(boxes)
        shapes = torch.tensor([one.shape[2:] for one in maps])
        height, width = shapes[level].unbind(1)
        areas = shapes.prod(1)
        starts = torch.cumsum(areas * len(maps[0]), 0) - areas * len(maps[0])
        start = starts[level] + image * areas[level]
        scale = 1.0 / torch.tensor(self.strides, dtype=boxes.dtype)[level][:, None]
        left, top, right, bottom = (boxes * scale).unbind(1)
        y, down = self._axis(top, bottom, height)
        x, across = self._axis(left, right, width)
        rows = y[:, :, None, :, None] * width[:, None, None, None, None] + x[:, None, :, None, :]
        weights = down[:, :, None, :, None] * across[:, None, :, None, :]
        return (rows + start[:, None, None, None, None]).reshape(-1, 16), weights.reshape(-1, 16)

    def _axis(
        self, low: Float[Tensor, " k"], high: Float[Tensor, " k"], length: Int64[Tensor, " k"]
    ) -> tuple[Int64[Tensor, "k c 4"], Float[Tensor, "k c 4"]]:
        """Along one axis, the positions that each cell is made of, two for each of its points, and their weights."""
        step = (high - low).clamp(min=1.0) / (self.cells * POINTS)
        points = torch.arange(self.cells * POINTS) + 0.5
        at = (low[:, None] + points * step[:, None]).clamp(min=0.0)
        last = (length - 1)[:, None]
        below = torch.minimum(at.floor().long(), last)
        above = torch.minimum(below + 1, last)
        part = torch.where(below == last, torch.zeros_like(at), at - below)
        positions = torch.stack([below, above], 2).view(len(low), self.cells, 2 * POINTS)
        weights = (
            torch.stack([1 - part, part], 2) * (at <= length[:, None])[:, :, None]
        )  # beyond the map there is nothing
        return positions, weights.view(len(low), self.cells, 2 * POINTS) / POINTS

    def levels(self, boxes: Float[Tensor, "k 4"]) -> Int64[Tensor, " k"]:
        """The place of the map that suits each region, by its area (Lin et al. 2017, equation 1)."""
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        first, last = (stride.bit_length() - 1 for stride in (self.strides[0], self.strides[-1]))
        wanted = torch.floor(LEVEL + torch.log2(sides / CANONICAL) + 1e-6)
        return (wanted.clamp(first, last) - first).long()
