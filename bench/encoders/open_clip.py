"""The image tower of any vision transformer of open_clip as an Encoder; the text tower is never built.

Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021, arXiv:2103.00020.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bench.encoders.blocks import laid_out, spaced
from bench.encoders.checkpoint import load_weights
from bench.encoders.hub import held
from bench.encoders.timm import TimmEncoder, parse
from bench.errors import BenchError, unknown
from bench.spec import Encoder, Features, Weights

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # OpenAI's
NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # of the files in a repository of its hub


class OpenClipEncoder(Encoder):
    """open_clip's own vision transformer. State-dict keys are `model.` and open_clip's, without `visual.`.

    Pooled is what the model projects to the space of the texts, before that projection, which is left out: of CLIP the
    class token after the last norm. Maps are outputs of four evenly spaced blocks. Any image that is a multiple of the
    patch is taken; position embeddings are resampled to it.
    """

    model: Any

    def __init__(self, vision: Mapping[str, Any], width: int, *, image_size: int, quick_gelu: bool) -> None:
        super().__init__()
        from open_clip.model import _build_vision_tower  # type: ignore[import-untyped]

        self.model = _build_vision_tower(width, dict(vision), quick_gelu)
        self.model.proj = None
        self.levels = spaced(len(self.model.transformer.resblocks))
        self.image_size, self.patch = image_size, int(self.model.patch_size[0])
        self.dim = int(self.model.ln_post.normalized_shape[0])
        self.map_dims = (int(self.model.transformer.width),) * len(self.levels)
        self.strides = (self.patch,) * len(self.levels)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Features:
        """Features of normalised images; h and w are multiples of the patch."""
        from timm.layers.pos_embed import resample_abs_pos_embed

        model = self.model
        patches = model.conv1(images)
        height, width = patches.shape[2:]
        positions = resample_abs_pos_embed(model.positional_embedding[None], [height, width], num_prefix_tokens=1)
        first = model.class_embedding.expand(len(images), 1, -1)
        tokens = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1) + positions
        last, blocks = model.transformer.forward_intermediates(model.ln_pre(tokens), indices=self.levels)
        pooled, _ = model._pool(last)
        return Features(pooled, tuple(laid_out(block[:, 1:], height, width) for block in blocks))


def open_clip_encoder(backbone: str, weights: Weights | None, image_size: int, pretrained: str) -> Encoder:
    """The image tower of an open_clip model, such as `ViT-B-16`, which options of its vision part may follow.

    `pretrained` is open_clip's tag of the weights: it says which file of the hub's cache they are and, of a file and of
    random weights too, which pixels the model sees and which activation it has, for OpenAI's have another than the
    architecture's own. "" is no tag: the architecture as it is, and OpenAI's pixels. A tower that is timm's becomes a
    `TimmEncoder`. Raises BenchError for unknown names, and for CLIP's ResNets, whose pooling takes one size alone.
    """
    import open_clip  # type: ignore[import-untyped]

    name, given = parse(backbone)
    if name not in open_clip.list_models():
        raise unknown("open_clip model", name, open_clip.list_models(), where="backbone")
    config, tags = open_clip.get_model_config(name), open_clip.list_pretrained_tags_by_model(name)
    if pretrained and pretrained not in tags:
        raise unknown(f"open_clip weights of {name}", pretrained, tags, where="pretrained")
    tag = open_clip.get_pretrained_cfg(name, pretrained) if pretrained else {}
    vision = config["vision_cfg"] | given
    encoder = _tower(backbone, vision, config, image_size, tag)
    encoder.mean, encoder.std = tuple(tag.get("mean", MEAN)), tuple(tag.get("std", STD))
    load_weights(encoder, _found(weights, name, tag))
    return encoder


def _tower(
    backbone: str, vision: dict[str, Any], config: Mapping[str, Any], image_size: int, tag: Mapping[str, Any]
) -> Encoder:
    from open_clip.model import CLIPVisionCfg

    known = [field.name for field in fields(CLIPVisionCfg)]
    for key in vision:
        if key not in known:
            raise unknown("option", key, known, where=f"backbone `{backbone}`")
    if timms := vision.get("timm_model_name"):
        pool = vision.get("timm_pool")
        return TimmEncoder(f"{timms} global_pool={pool!r}" if pool else timms, image_size=image_size)
    if not isinstance(vision["layers"], int):
        raise BenchError(
            f"backbone `{backbone}`: its pooling takes images of one size alone; timm has the tower for any, such as "
            f'plugin = "timm_pretrained", backbone = "resnet50_clip.openai"'
        )
    quick_gelu = bool(config.get("quick_gelu", False) or tag.get("quick_gelu", False))
    return OpenClipEncoder(vision, config["embed_dim"], image_size=image_size, quick_gelu=quick_gelu)


def _found(weights: Weights | None, name: str, tag: Mapping[str, Any]) -> Weights | None:
    """The weights with a file: the one named or, without one, that of the tag in the hub's cache."""
    if weights is not None and weights.file is None and not tag:
        raise BenchError(f'`{name}`: name the weights by their tag, pretrained = "TAG", or a file: weights = "FILE"')
    place = PurePosixPath(tag.get("hf_hub", ""))  # owner/repository/ and, in some, the name of a file
    return held(weights, "/".join(place.parts[:2]), (*place.parts[2:], *NAMES))
