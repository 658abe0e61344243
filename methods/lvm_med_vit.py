"""LVM-Med's released ViT: SAM's ViT-B without absolute position embeddings, trained on by second-order graph matching.

Nguyen et al., LVM-Med: Learning Large-Scale Self-Supervised Vision Models for Medical Imaging via Second-order Graph
Matching, NeurIPS 2023, arXiv:2306.11925.
"""

from bench.encoders.hub import require_file
from bench.encoders.sam import SamEncoder, with_decoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "lvm_med_vit",
    paper="arXiv:2306.11925",
    licence="see the authors' repository",
    trained_on="SA-1B, then 1.3 M images of 55 public medical data sets, of which some are evaluated here",
    may_have_seen=("isic2018", "kvasir", "kvasir_detection", "brats2018", "vindr"),
    backbone="vit_b",
    image_size=224,
    tokens=True,
    small={
        "backbone": "vit_b img_size=64 depth=4 embed_dim=32 num_heads=2 window_size=3 out_chans=8",
        "image_size": 64,
    },
)
def lvm_med_vit(backbone: str, weights: Weights | None, image_size: int, *, decoder_file: str = "") -> Encoder:
    """224 px as in its pretraining, with relative positions that were built for 1024.

    `decoder_file` is a whole SAM, of which `prompt` takes the mask decoder; the release has none.
    """
    encoder = SamEncoder(backbone, image_size=image_size, positions=False)
    found = require_file(weights, "lvm_med_vit", "https://github.com/duyhominhnguyen/LVM-Med")
    return with_decoder(encoder, found, decoder_file)
