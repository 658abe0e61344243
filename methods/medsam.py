"""MedSAM: SAM's ViT-B trained on with medical images, masks and boxes.

Ma et al., Segment anything in medical images, Nature Communications 2024, arXiv:2304.12306.
"""

from bench.encoders.hub import require_file
from bench.encoders.sam import SamEncoder, with_decoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "medsam",
    paper="arXiv:2304.12306",
    licence="Apache-2.0",
    trained_on="SA-1B, then 1.57 M medical images with masks, of public data sets that may be evaluated here",
    may_have_seen=("*",),
    backbone="vit_b",
    image_size=1024,
    tokens=True,
    small={
        "backbone": "vit_b img_size=64 depth=4 embed_dim=32 num_heads=2 window_size=3 out_chans=8",
        "image_size": 64,
    },
)
def medsam(backbone: str, weights: Weights | None, image_size: int, *, decoder_file: str = "") -> Encoder:
    """Its code gives the encoder pixels in [0, 1] as they are, without SAM's mean and deviation.

    `prompt` takes the mask decoder from the weights, or from `decoder_file`.
    """
    encoder = SamEncoder(backbone, image_size=image_size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    found = require_file(weights, "medsam", "https://github.com/bowang-lab/MedSAM")
    return with_decoder(encoder, found, decoder_file)
