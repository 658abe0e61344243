"""Maps of one width at strides 4 to 64, of any encoder, which is what detectors work on.

A pyramid gets a feature pyramid network (Lin et al. 2017, arXiv:1612.03144); tokens of one stride the simple feature
pyramid of ViTDet (Li et al. 2022, arXiv:2203.16527). Both end with a map that is pooled from the last (stride 64).
"""

import math
from collections import OrderedDict

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import BenchError
from bench.nn import Encoder
from bench.protocols._transunet import normed

STRIDES = (4, 8, 16, 32)  # pixels
TOKEN = 16  # stride that tokens are laid out at, whatever their own


class Pyramid(nn.Module):
    """An encoder and what makes maps of `out_channels` from its own; those are named by place: "0", "1" ... .

    With `train_norm` false, batch-norm in the encoder keeps its statistics, as in LVM-Med's release: a batch of a few
    large images has poor ones. Raises BenchError for an encoder without a map at one of `STRIDES`.
    """

    def __init__(self, encoder: Encoder, width: int, *, train_norm: bool = False) -> None:
        super().__init__()
        from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

        self.encoder, self.train_norm, self.out_channels = encoder, train_norm, width
        self.used = [number for number, stride in enumerate(encoder.strides) if stride in STRIDES]
        self.maps: nn.Module
        self.strides: tuple[int, ...]
        if encoder.patch:
            self.maps, self.strides = SimplePyramid(encoder.map_dims[-1], width), (*STRIDES, 64)
        elif self.used:
            widths = [encoder.map_dims[number] for number in self.used]
            self.maps = FeaturePyramidNetwork(widths, width, extra_blocks=LastLevelMaxPool())
            own = tuple(encoder.strides[number] for number in self.used)
            self.strides = (*own, 2 * own[-1])
        else:
            raise BenchError(
                f"detect: the encoder's maps have strides {tuple(encoder.strides)}; it needs one of {STRIDES} pixels"
            )
        self.multiple = STRIDES[-1] if encoder.patch else max(encoder.strides)

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> "OrderedDict[str, Tensor]":
        """Maps of normalised images, from fine to coarse."""
        if self.encoder.patch:
            height, width = pixels.shape[2:]
            found = normed(self.encoder(fitted(pixels, self.encoder.patch)).maps[-1])
            grid = functional.interpolate(found, (height // TOKEN, width // TOKEN), mode="bilinear")
            maps = self.maps(grid)
        else:
            given = self.encoder(pixels).maps
            maps = list(self.maps(OrderedDict((str(n), given[n]) for n in self.used)).values())
        return OrderedDict((str(number), one) for number, one in enumerate(maps))

    def train(self, mode: bool = True) -> "Pyramid":
        """Set training mode, of which batch-norm in the encoder may see nothing."""
        super().train(mode)
        if not self.train_norm:
            for module in self.encoder.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def fitted(pixels: Float[Tensor, "b 3 h w"], patch: int) -> Float[Tensor, "b 3 u v"]:
    """Images with sides that are multiples of a patch, resized up where they are not."""
    sides = [patch * math.ceil(side / patch) for side in pixels.shape[2:]]
    return pixels if sides == list(pixels.shape[2:]) else functional.interpolate(pixels, sides, mode="bilinear")


class SimplePyramid(nn.Module):
    """ViTDet's: the map of stride 16 upsampled twice and once, as it is, and pooled, each with two convolutions."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        from timm.layers.norm import LayerNorm2d

        def norm(dim: int) -> nn.Module:
            return LayerNorm2d(dim, eps=1e-5)

        half, quarter = max(1, inputs // 2), max(1, inputs // 4)
        finest = (
            nn.ConvTranspose2d(inputs, half, 2, stride=2), norm(half), nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        )  # fmt: skip
        scales = (
            (quarter, finest),
            (half, (nn.ConvTranspose2d(inputs, half, 2, stride=2),)),
            (inputs, ()),
            (inputs, (nn.MaxPool2d(2),)),
        )
        self.levels = nn.ModuleList(
            nn.Sequential(*scale, nn.Conv2d(dim, width, 1, bias=False), norm(width),
                          nn.Conv2d(width, width, 3, padding=1, bias=False), norm(width))
            for dim, scale in scales
        )  # fmt: skip

    def forward(self, tokens: Float[Tensor, "b d h w"]) -> list[Tensor]:
        """Maps at strides 4, 8, 16, 32 and 64."""
        maps = [level(tokens) for level in self.levels]
        return [*maps, functional.max_pool2d(maps[-1], 1, 2)]
