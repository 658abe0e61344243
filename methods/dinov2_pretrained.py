"""DINOv2 as Meta released it, from a file or from timm's own cache.

Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024, arXiv:2304.07193.
"""

from bench.encoders.hub import timm_encoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "dinov2_pretrained",
    paper="arXiv:2304.07193",
    licence="Apache-2.0",
    trained_on="LVD-142M: photographs of the web, without labels",
    backbone="vit_base_patch14_dinov2.lvd142m",
    image_size=224,
    small={"backbone": "vit_base_patch14_dinov2 depth=4 embed_dim=24 num_heads=2", "image_size": 28},
)
def dinov2_pretrained(backbone: str, weights: Weights | None, image_size: int) -> Encoder:
    """224 px as it is evaluated in its paper; its position embeddings, made for 518, are resampled."""
    return timm_encoder(backbone, weights, image_size)
