"""FLAVA: one model of images, texts and both; here its image transformer.

Singh et al., FLAVA: A Foundational Language And Vision Alignment Model, CVPR 2022, arXiv:2112.04482.
"""

from bench.encoders.open_clip import MEAN, STD
from bench.encoders.transformers import TokenEncoder, load
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "flava",
    paper="arXiv:2112.04482",
    licence="BSD-3-Clause",
    trained_on="PMD: 70 M public pairs of images and texts; its image tower started from ImageNet-1k, without labels",
    backbone="FlavaImageModel",
    image_size=224,
    tokens=True,
    small={
        "backbone": "FlavaImageModel image_size=32 patch_size=8 hidden_size=32 num_hidden_layers=4"
        " num_attention_heads=2 intermediate_size=64",
        "image_size": 32,
    },
)
def flava(backbone: str, weights: Weights | None, image_size: int) -> Encoder:
    """Pixels are scaled as CLIP's are."""
    encoder = TokenEncoder(backbone, image_size=image_size, mean=MEAN, std=STD)
    load(encoder, weights, "facebook/flava-full")
    return encoder
