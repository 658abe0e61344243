"""DINOv3 as Meta released it, in timm's form, from a file or from timm's own cache.

Simeoni et al., DINOv3, 2025, arXiv:2508.10104.
"""

from bench.encoders.hub import timm_encoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "dinov3_pretrained",
    paper="arXiv:2508.10104",
    licence="DINOv3 License",
    trained_on="LVD-1689M: photographs of the web, without labels",
    backbone="vit_base_patch16_dinov3.lvd1689m",
    image_size=256,
    small={"backbone": "vit_base_patch16_dinov3 depth=4 embed_dim=32 num_heads=2", "image_size": 32},
)
def dinov3_pretrained(backbone: str, weights: Weights | None, image_size: int) -> Encoder:
    """A file has timm's names for the tensors, which are not Meta's."""
    return timm_encoder(backbone, weights, image_size)
