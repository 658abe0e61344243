"""The usual start: a backbone trained with labels on ImageNet, from a file or from timm's own cache.

Deng et al., ImageNet: A Large-Scale Hierarchical Image Database, CVPR 2009; weights of timm's default tag.
"""

from bench.encoders.hub import timm_encoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "imagenet_supervised",
    paper="doi:10.1109/CVPR.2009.5206848",
    licence="of the weights: see timm's card of the backbone",
    trained_on="ImageNet-1k, with labels",
    group="supervised",
)
def imagenet_supervised(backbone: str, weights: Weights | None, image_size: int) -> Encoder:
    """Weights of a file, if one is given, go before those of timm's cache."""
    return timm_encoder(backbone, weights, image_size)
