"""BiomedCLIP: figures of biomedical articles and their captions, by contrast. Its image tower is timm's ViT-B/16.

Zhang et al., BiomedCLIP: a multimodal biomedical foundation model pretrained from fifteen million scientific
image-text pairs, 2023, arXiv:2303.00915.
"""

from bench.encoders.checkpoint import load_weights
from bench.encoders.hub import held
from bench.encoders.open_clip import MEAN, NAMES, STD
from bench.encoders.timm import TimmEncoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "biomedclip",
    paper="arXiv:2303.00915",
    licence="MIT",
    trained_on="PMC-15M: figures and captions of PubMed Central, in which published data sets may be shown",
    may_have_seen=("*",),
    backbone="vit_base_patch16_224",
    image_size=224,
    small={"backbone": "vit_base_patch16_224 depth=4 embed_dim=24 num_heads=2", "image_size": 32},
)
def biomedclip(backbone: str, weights: Weights | None, image_size: int) -> Encoder:
    """Pooled is the class token after the last norm, before the projection to the space of the texts."""
    encoder = TimmEncoder(backbone, image_size=image_size)
    encoder.mean, encoder.std = MEAN, STD
    load_weights(encoder, held(weights, "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", NAMES))
    return encoder
