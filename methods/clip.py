"""CLIP: images and their captions on the web, by contrast; any vision tower that open_clip knows.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, arXiv:2103.00020.
"""

from bench.encoders.open_clip import open_clip_encoder
from bench.spec import Encoder, Weights, foundation_model


@foundation_model(
    "clip",
    paper="arXiv:2103.00020",
    licence="MIT (OpenAI's weights); of others see the model's card",
    trained_on="WebImageText: 400 M images and captions of the web (OpenAI's weights); of others see the model's card",
    backbone="ViT-B-16",
    image_size=224,
    tokens=True,
    small={"backbone": "ViT-B-16 image_size=32 patch_size=8 layers=4 width=32 head_width=16", "image_size": 32},
)
def clip(backbone: str, weights: Weights | None, image_size: int, *, pretrained: str = "openai") -> Encoder:
    """`pretrained` is open_clip's tag of the weights; of a file too, for the pixels and activation that go with it."""
    return open_clip_encoder(backbone, weights, image_size, pretrained)
