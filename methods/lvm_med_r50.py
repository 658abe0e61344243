"""LVM-Med's released ResNet-50, trained by second-order graph matching.

Nguyen et al., LVM-Med: Learning Large-Scale Self-Supervised Vision Models for Medical Imaging via Second-order Graph
Matching, NeurIPS 2023, arXiv:2306.11925.
"""

from bench.encoders.checkpoint import load_weights
from bench.encoders.hub import require_file
from bench.encoders.timm import TimmEncoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "lvm_med_r50",
    paper="arXiv:2306.11925",
    licence="see the authors' repository",
    trained_on="1.3 M images of 55 public medical data sets, of which some are evaluated here",
    may_have_seen=("isic2018", "kvasir", "kvasir_detection", "brats2018", "vindr"),
    backbone="resnet50",
    image_size=224,
    small={"backbone": "test_resnet", "image_size": 32},
)
def lvm_med_r50(backbone: str, weights: Weights | None, image_size: int) -> Encoder:
    """The file is a state dict of torchvision's ResNet-50, without its classifier."""
    encoder = TimmEncoder(backbone, image_size=image_size)
    load_weights(encoder, require_file(weights, "lvm_med_r50", "https://github.com/duyhominhnguyen/LVM-Med"))
    return encoder
