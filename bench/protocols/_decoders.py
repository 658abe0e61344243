"""Segmentation networks: an encoder, and a decoder that turns its maps into logits for each pixel.

U-Net (Ronneberger et al. 2015, arXiv:1505.04597) and UNet++ (Zhou et al. 2018, arXiv:1807.10165) have the decoders of
segmentation-models-pytorch, with its widths and its first weights, as in LVM-Med's released code. Attention U-Net
(Oktay et al. 2018, arXiv:1804.03999) has the same blocks, and gates on the skips. These decode pyramids; tokens of one
stride are decoded as in TransUNet (Chen et al. 2021, arXiv:2102.04306), in `_transunet`.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import zip_longest
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import BenchError, unknown
from bench.nn import Encoder
from bench.protocols._transunet import TransUNet

DECODERS = ("auto", "unet", "unet++", "attention_unet", "transunet")
MAPS = {"unet": 1, "unet++": 2, "attention_unet": 3}  # decoders of pyramids; the maps below stride 1 that each needs
CHANNELS = (256, 128, 64, 32, 16)  # of a decoder's maps at strides 16, 8, 4, 2, 1
STRIDES = (1, 2, 4, 8, 16, 32)
# The first map may lie a halving below the image, two below it as in ConvNeXt and Swin, or beside it as in VGG.
PYRAMIDS = {STRIDES[first:end] for first in range(3) for end in range(first + 1, len(STRIDES) + 1)}


class Segmenter(nn.Module):
    """An encoder and a decoder on its maps.

    `decoder` is one of `DECODERS`; "auto" is U-Net for a pyramid and TransUNet for tokens. With `frozen` the decoder
    alone is trained: the encoder has no gradients and stays in evaluation mode, batch-norm included. All that is no
    encoder lies in `.decoder`. First weights are drawn from torch's global generator. Raises BenchError for a name that
    is not known, and a decoder that does not fit the encoder.
    """

    def __init__(self, encoder: Encoder, classes: int, decoder: str = "auto", *, frozen: bool = False) -> None:
        super().__init__()
        name = fitting(encoder, decoder)
        self.encoder, self.frozen = encoder, frozen
        self.decoder: TransUNet | UNet
        self.decoder = TransUNet(encoder, classes) if name == "transunet" else UNet(encoder, classes, name)
        if frozen:
            encoder.requires_grad_(False).eval()

    def forward(self, images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Logits of each pixel of 8-bit images, whose sides are multiples of `decoder.multiple` pixels."""
        self.require_size(*images.shape[2:])
        pixels = self.encoder.normalise(images)
        with torch.no_grad() if self.frozen else nullcontext():
            maps = self.encoder(pixels).maps
        logits: Tensor = self.decoder(pixels, maps)
        return logits

    def train(self, mode: bool = True) -> "Segmenter":
        """Set training mode, of which a frozen encoder sees nothing."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def require_size(self, height: int, width: int) -> None:
        """Raise BenchError unless both sides of an image, in pixels, can be taken."""
        if height % self.decoder.multiple or width % self.decoder.multiple:
            raise BenchError(
                f"segmentation: images of {height} x {width} px; with this encoder and its decoder both sides must be "
                f"multiples of {self.decoder.multiple} px"
            )


def fitting(encoder: Encoder, decoder: str) -> str:
    """The name of the decoder, with "auto" resolved. Raises BenchError for one that is unknown or does not fit."""
    if decoder not in DECODERS:
        raise unknown("decoder", decoder, DECODERS, where="decoder")
    fits = ("transunet",) if encoder.patch else tuple(MAPS)
    if decoder not in ("auto", *fits):
        maps = f"tokens of {encoder.patch} px" if encoder.patch else "a pyramid of maps"
        raise BenchError(
            f"decoder `{decoder}`: the encoder gives {maps}; what fits is " + " or ".join(f"`{name}`" for name in fits)
        )
    return fits[0] if decoder == "auto" else decoder


class UNet(nn.Module):
    """U-Net, UNet++ or Attention U-Net on a pyramid of maps, up to the resolution of the image, and a 3x3 head.

    Where the pyramid starts at stride 4, the decoder has no skip at stride 2; a map at stride 1 is left out. Both are
    smp's ways. Raises BenchError for strides that are no doublings, and for too few maps.
    """

    def __init__(self, encoder: Encoder, classes: int, name: str) -> None:
        super().__init__()
        from segmentation_models_pytorch.base import initialization  # type: ignore[import-untyped]
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder  # type: ignore[import-untyped]
        from segmentation_models_pytorch.decoders.unetplusplus.decoder import (  # type: ignore[import-untyped]
            UnetPlusPlusDecoder,
        )

        strides = tuple(encoder.strides)
        if strides not in PYRAMIDS or len(set(strides) - {1}) < MAPS[name]:
            raise BenchError(
                f"decoder `{name}`: the encoder's maps have strides {strides}; it needs {MAPS[name]} or more that are "
                "coarser than the image, each stride twice the one before, from 1, 2 or 4 to at most 32"
            )
        self.multiple = strides[-1]  # pixels
        self.above = STRIDES.index(strides[0])  # halvings that have no map
        widths = [*(3, 0)[: self.above], *encoder.map_dims]
        steps = STRIDES.index(strides[-1])
        build = UnetPlusPlusDecoder if name == "unet++" else UnetDecoder
        self.decoder = build(widths, CHANNELS[-steps:], n_blocks=steps)
        if name == "attention_unet":
            self.decoder = Gated(self.decoder, widths)
        self.head = nn.Conv2d(CHANNELS[-1], classes, 3, padding=1)
        initialization.initialize_decoder(self.decoder)
        initialization.initialize_head(self.head)

    def forward(self, pixels: Float[Tensor, "b 3 h w"], maps: Sequence[Tensor]) -> Float[Tensor, "b c h w"]:
        """Logits of normalised images, from the encoder's maps."""
        batch, _, height, width = pixels.shape
        empty = maps[0].new_empty(batch, 0, height // 2, width // 2)
        logits: Tensor = self.head(self.decoder([*(pixels, empty)[: self.above], *maps]))
        return logits


class Gated(nn.Module):
    """smp's U-Net decoder with a gate on each skip but the finest, which the paper finds too low-level to gate.

    The gating signal is the decoder's map one level coarser than the skip. The paper's deep supervision is left out, so
    that the gates are all that sets it apart from U-Net.
    """

    def __init__(self, decoder: Any, widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = decoder.blocks
        skips = [width for width in widths[1:-1] if width]
        self.gates = nn.ModuleList(map(Gate, skips[:0:-1], (widths[-1], *CHANNELS[-len(self.blocks) :])))

    def forward(self, features: list[Tensor]) -> Float[Tensor, "b c h w"]:
        """The finest map, from features fine to coarse, of which the first stands for the image's size alone."""
        x, *skips = features[:0:-1]
        for block, skip, gate in zip_longest(self.blocks, skips, self.gates):
            height, width = features[0].shape[2:] if skip is None else skip.shape[2:]
            x = block(x, height, width, skip_connection=gate(skip, x) if gate else skip)
        return x


class Gate(nn.Module):
    """An additive attention gate of F_int = F_l / 2 channels (Oktay et al., equations 1 and 2).

    alpha = sigmoid(psi(relu(W_x x + W_g g + b_g)) + b_psi), with 1x1 convolutions on the grid of g, to which x is
    averaged; alpha is resampled bilinearly to the grid of x and scales it.
    """

    def __init__(self, skip: int, signal: int) -> None:
        super().__init__()
        inner = max(1, skip // 2)
        self.w_x = nn.Conv2d(skip, inner, 1, bias=False)
        self.w_g = nn.Conv2d(signal, inner, 1)
        self.psi = nn.Conv2d(inner, 1, 1)

    def forward(self, x: Float[Tensor, "b f h w"], g: Float[Tensor, "b d u v"]) -> Float[Tensor, "b f h w"]:
        """The skip `x`, scaled by how much of it the coarser signal `g` asks for."""
        alpha = self.psi((self.w_x(functional.avg_pool2d(x, 2)) + self.w_g(g)).relu()).sigmoid()
        return x * functional.interpolate(alpha, scale_factor=2, mode="bilinear")
