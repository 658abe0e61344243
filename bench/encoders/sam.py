"""The image encoder of Segment Anything, of its own library, as an Encoder.

Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643; in LVM-Med's form (Nguyen et al. 2023,
arXiv:2306.11925) it has no absolute position embedding.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bench.encoders.blocks import resampled, spaced
from bench.encoders.checkpoint import load_weights
from bench.encoders.reading import read_tensors
from bench.encoders.timm import parse
from bench.errors import BenchError, unknown
from bench.spec import Encoder, Features, Weights

COMMON: Mapping[str, Any] = {"img_size": 1024, "patch_size": 16, "window_size": 14, "use_rel_pos": True}
SIZES: Mapping[str, Mapping[str, Any]] = {
    "vit_b": {"embed_dim": 768, "depth": 12, "num_heads": 12, "global_attn_indexes": (2, 5, 8, 11)},
    "vit_l": {"embed_dim": 1024, "depth": 24, "num_heads": 16, "global_attn_indexes": (5, 11, 17, 23)},
    "vit_h": {"embed_dim": 1280, "depth": 32, "num_heads": 16, "global_attn_indexes": (7, 15, 23, 31)},
}
ADDRESS = "https://dl.fbaipublicfiles.com/segment_anything/"
FILES = {"vit_b": "sam_vit_b_01ec64.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_h": "sam_vit_h_4b8939.pth"}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # SAM's 123.675 ... and 58.395 ..., over 255


class SamEncoder(Encoder):
    """SAM's ViT. State-dict keys are `model.` and those of segment_anything's `ImageEncoderViT`.

    `backbone` is one of `SIZES`, which options of the constructor may follow: `vit_b depth=2 window_size=4`.

    SAM has no vector of an image. Pooled is the mean over positions of the last block's output, before the neck, as in
    LVM-Med's code; the maps are outputs of four evenly spaced blocks. The neck is held and loaded, but of the features
    none depends on it, only the `embedding`.

    Any image that is a multiple of the patch is taken. Absolute positions are resampled to it, relative ones by SAM's
    own code; windows keep their 14 tokens, and one that sticks out of the image is filled up with zeros, also by SAM.
    """

    model: Any
    decoder_file: Path | None = None  # which holds a prompt encoder and a mask decoder for `prompt`

    def __init__(
        self,
        backbone: str,
        *,
        image_size: int,
        positions: bool = True,
        mean: tuple[float, float, float] = MEAN,
        std: tuple[float, float, float] = STD,
    ) -> None:
        super().__init__()
        from segment_anything.modeling import ImageEncoderViT  # type: ignore[import-untyped]

        name, given = parse(backbone)
        if name not in SIZES:
            raise unknown("encoder of SAM", name, SIZES, where="backbone")
        options = {**COMMON, **SIZES[name], "use_abs_pos": positions, **given}
        try:
            self.model = ImageEncoderViT(**options, norm_layer=partial(nn.LayerNorm, eps=1e-6))
        except (TypeError, ValueError, RuntimeError) as exc:
            raise BenchError(f"backbone `{backbone}` cannot be built: {exc}") from exc
        self.levels = spaced(options["depth"])
        self.image_size, self.mean, self.std = image_size, mean, std
        self.dim, self.patch = options["embed_dim"], options["patch_size"]
        self.map_dims, self.strides = (self.dim,) * len(self.levels), (self.patch,) * len(self.levels)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Features:
        """Features of normalised images; h and w are multiples of the patch."""
        x = self.model.patch_embed(images)  # b h w d, and so in all blocks
        if self.model.pos_embed is not None:
            x = x + resampled(self.model.pos_embed, x.shape[1], x.shape[2])
        maps = []
        for number, block in enumerate(self.model.blocks):
            x = block(x)
            if number in self.levels:
                maps.append(x.movedim(3, 1))
        return Features(x.mean((1, 2)), tuple(maps))

    def embedding(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c u v"]:
        """What SAM's mask decoder reads of normalised images: the neck's output, 256 channels at the patch stride."""
        found: Tensor = self.model.neck(self(images).maps[-1])
        return found


def with_decoder(encoder: SamEncoder, weights: Weights | None, decoder_file: str) -> SamEncoder:
    """Weights into the encoder, and where `prompt` finds SAM's other parts: in a file of their own, or in the same."""
    load_weights(encoder, weights)
    if decoder_file:
        encoder.decoder_file = Path(decoder_file)
    elif weights and weights.file and _has_decoder(weights.file):
        encoder.decoder_file = weights.file
    return encoder


def _has_decoder(file: Path) -> bool:
    return any("mask_decoder." in name for tensors in read_tensors(file).values() for name in tensors)


def downloaded(weights: Weights | None, backbone: str) -> Weights | None:
    """The weights with a file: the one named or, without one, SAM's own in the cache of torch's hub.

    None stays None. Raises BenchError with the command that fetches it.
    """
    if weights is None or weights.file is not None:
        return weights
    name = FILES[parse(backbone)[0]]
    file = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not file.is_file():
        raise BenchError(
            f"`sam` {backbone}: {file} is not there, and nothing is downloaded here. Fetch it once with: "
            f"python -c \"import torch; torch.hub.load_state_dict_from_url('{ADDRESS}{name}')\" "
            f'or name a file in the grid: weights = "FILE"'
        )
    return replace(weights, file=file)
