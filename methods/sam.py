"""SAM: the image encoder of a promptable segmenter, ViT-B, -L or -H.

Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643.
"""

from bench.encoders.sam import SamEncoder, downloaded, with_decoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "sam",
    paper="arXiv:2304.02643",
    licence="Apache-2.0",
    trained_on="SA-1B: 11 M photographs with 1.1 G masks; it started from MAE on ImageNet-1k",
    backbone="vit_b",
    image_size=1024,
    tokens=True,
    small={
        "backbone": "vit_b img_size=64 depth=4 embed_dim=32 num_heads=2 window_size=3 out_chans=8",
        "image_size": 64,
    },
)
def sam(backbone: str, weights: Weights | None, image_size: int, *, decoder_file: str = "") -> Encoder:
    """`backbone` is vit_b, vit_l or vit_h. `prompt` takes the mask decoder from the weights, or from `decoder_file`."""
    return with_decoder(SamEncoder(backbone, image_size=image_size), downloaded(weights, backbone), decoder_file)
