"""ALIGN: an EfficientNet-B7 by contrast with noisy alternative texts of the web, in Kakao Brain's open form.

Jia et al., Scaling Up Visual and Vision-Language Representation Learning With Noisy Text Supervision, ICML 2021,
arXiv:2102.05918.
"""

from bench.encoders.transformers import AlignEncoder, load
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "align",
    paper="arXiv:2102.05918",
    licence="see the model's card",
    trained_on="COYO-700M: images and alternative texts of the web (Kakao Brain's weights)",
    backbone="AlignVisionModel",
    image_size=289,
    small={"backbone": "AlignVisionModel width_coefficient=0.1 depth_coefficient=0.1", "image_size": 64},
)
def align(backbone: str, weights: Weights | None, image_size: int) -> Encoder:
    """Pixels are scaled to [-1, 1], as its card has them."""
    encoder = AlignEncoder(backbone, image_size=image_size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    load(encoder, weights, "kakaobrain/align-base")
    return encoder
