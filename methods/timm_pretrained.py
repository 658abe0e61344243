"""Any of timm's models with the weights that its name stands for, from a file or from timm's own cache.

The backbone is the grid's or the entry's own: `convnext_tiny.in12k_ft_in1k`, where the tag says what it was trained on.
"""

from bench.encoders.hub import timm_encoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "timm_pretrained",
    paper="see timm's card of the backbone",
    licence="see timm's card of the backbone",
    trained_on="what the tag of the backbone says, which timm's card explains",
)
def timm_pretrained(backbone: str, weights: Weights | None, image_size: int) -> Encoder:
    """Weights of a file, if one is given, go before those of timm's cache."""
    return timm_encoder(backbone, weights, image_size)
