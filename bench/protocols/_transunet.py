"""TransUNet's decoder on the tokens of any plain transformer.

Chen et al., TransUNet: Transformers Make Strong Encoders for Medical Image Segmentation, 2021 (arXiv:2102.04306), in
the form that LVM-Med's released code gave it.
"""

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from bench.nn import Encoder

STRIDE = 16  # pixels, of the map that the decoder starts from


class TransUNet(nn.Module):
    """A convolutional stem beside the encoder, and a decoder on the encoder's last map with the stem's as skips.

    The stem gives `width`, twice and four times that many channels at strides 2, 4 and 8. In the paper and in LVM-Med
    it goes on to stride 16 and feeds the transformer; here the encoder is used whole, so that its own patch embedding
    and positions stay, and the two meet in the decoder. Upsampling is bilinear with pixels, not corners, aligned, in
    smp's blocks, which are the paper's.

    Maps are outputs of a block, of a scale that differs by orders of magnitude between pretrained models, so each token
    is first normalised over its channels, without weights; in the paper the transformer's final norm does that.
    """

    def __init__(self, encoder: Encoder, classes: int, *, width: int = 96) -> None:
        super().__init__()
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder  # type: ignore[import-untyped]

        self.multiple = math.lcm(encoder.patch, STRIDE)  # pixels
        self.stem = nn.ModuleList((_layer(3, width, 7, stride=2), _bottleneck(width), _bottleneck(2 * width)))
        self.entry = _layer(encoder.map_dims[-1], 4 * width, 3)
        self.decoder = UnetDecoder(
            (3, width, 2 * width, 4 * width, 4 * width), (2 * width, width, width // 2, width // 8), n_blocks=4,
            interpolation_mode="bilinear",
        )  # fmt: skip
        self.head = nn.Conv2d(width // 8, classes, 1)

    def forward(self, pixels: Float[Tensor, "b 3 h w"], maps: Sequence[Tensor]) -> Float[Tensor, "b c h w"]:
        """Logits of normalised images, from the last of the encoder's maps."""
        features = [pixels]
        for stage in self.stem:
            features.append(stage(features[-1]))
        height, width = pixels.shape[2:]
        grid = (height // STRIDE, width // STRIDE)
        tokens = functional.interpolate(normed(maps[-1]), grid, mode="bilinear")
        logits: Tensor = self.head(self.decoder([*features, self.entry(tokens)]))
        return logits


def normed(tokens: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
    """Each position with mean 0 and variance 1 over its channels."""
    return functional.layer_norm(tokens.movedim(1, -1), tokens.shape[1:2]).movedim(-1, 1)


def _layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _bottleneck(inputs: int) -> nn.Module:
    """ResNet's, to half the side and twice the channels, and like LVM-Med's as wide inside as it is outside."""
    from timm.models.resnet import Bottleneck, downsample_conv

    shortcut = downsample_conv(inputs, 2 * inputs, 1, stride=2)
    block: nn.Module = Bottleneck(inputs, inputs // 2, stride=2, downsample=shortcut, base_width=4 * 64)
    return block
