"""RAD-DINO: DINOv2 trained on with chest X-rays, without labels or reports.

Perez-Garcia et al., Exploring scalable medical image encoders beyond text supervision, Nature Machine Intelligence
2025, arXiv:2401.10815.
"""

from bench.encoders.transformers import TokenEncoder, load
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "rad_dino",
    paper="arXiv:2401.10815",
    licence="see the model's card (MIT, for research)",
    trained_on="DINOv2's LVD-142M, then chest X-rays of BRAX, CheXpert, MIMIC-CXR, NIH-CXR and PadChest",
    backbone="Dinov2Model image_size=518",
    image_size=518,
    tokens=True,
    small={
        "backbone": "Dinov2Model image_size=28 patch_size=7 hidden_size=32 num_hidden_layers=4 num_attention_heads=2",
        "image_size": 28,
    },
)
def rad_dino(backbone: str, weights: Weights | None, image_size: int) -> Encoder:
    """Pixels are scaled by the mean and deviation of its X-rays, one for all channels."""
    encoder = TokenEncoder(backbone, image_size=image_size, mean=(0.5307,) * 3, std=(0.2583,) * 3)
    load(encoder, weights, "microsoft/rad-dino")
    return encoder
