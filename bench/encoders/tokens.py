"""Part of an image shown to a vision transformer: patches left out, as MAE has it, or hidden behind a mask token.

Works on the encoder's timm `VisionTransformer`, with its own position embeddings, registers and norms.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from bench.spec import Encoder


class Tokens(NamedTuple):
    """The last block's output after its norm: class token and registers, then patches row by row."""

    prefix: Float[Tensor, "b r d"]
    patches: Float[Tensor, "b n d"]


def prefix_tokens(encoder: Encoder) -> int:
    """How many tokens come before the patches: the class token and registers."""
    model: Any = encoder.model
    return int(model.num_prefix_tokens)


def encode(
    encoder: Encoder,
    images: Float[Tensor, "b 3 h w"],
    *,
    keep: Int64[Tensor, "b k"] | None = None,
    hidden: Bool[Tensor, "b p"] | None = None,
    mask_token: Float[Tensor, " d"] | None = None,
) -> Tokens:
    """Tokens of normalised images; of the patches only those in `keep`, in that order (He et al. 2022, section 3).

    Patches that are `hidden` are replaced by `mask_token` before positions are added (Zhou et al. 2022, section 3.1).
    """
    model: Any = encoder.model
    x = model.patch_embed(images)
    if hidden is not None and mask_token is not None:
        x = mask_token.to(x.dtype).where(hidden.view(*x.shape[:-1], 1), x)
    x = model._pos_embed(x)  # timm's own: class token, registers, positions resampled to the image
    count = model.num_prefix_tokens
    if keep is not None:
        kept = x[:, count:].gather(1, keep[..., None].expand(-1, -1, x.shape[2]))
        x = torch.cat([x[:, :count], kept], dim=1)
    x = model.norm(model.blocks(model.norm_pre(x)))
    return Tokens(x[:, :count], x[:, count:])


def pool(encoder: Encoder, tokens: Tokens) -> Float[Tensor, "b d"]:
    """The image's vector, as the encoder itself pools tokens: of a class token, or the mean of the patches."""
    model: Any = encoder.model
    vector: Tensor = model.forward_head(torch.cat([tokens.prefix, tokens.patches], dim=1), pre_logits=True)
    return vector


def block_mask(
    count: int, side: int, ratio: Sequence[float], probability: float, device: torch.device | str
) -> Bool[Tensor, "{count} {side} {side}"]:
    """Patches to hide in each of `count` images: none, or with `probability` a share drawn from `ratio`, in blocks.

    Blocks have an aspect of 0.3 to 3.3 and are added until the share is reached (Bao et al. 2022, algorithm 1).
    """
    mask = torch.zeros(count, side, side, dtype=torch.bool)
    chosen = torch.randperm(count)[: round(count * probability)]
    shares = torch.linspace(ratio[0], ratio[1], max(1, len(chosen)))  # spread evenly over the batch, as DINOv2 has it
    for image, share in zip(chosen.tolist(), shares.tolist(), strict=False):
        _hide(mask[image], max(1, round(share * side * side)))
    return mask.to(device)


def _hide(mask: Bool[Tensor, "s s"], wanted: int) -> None:
    side = len(mask)
    while (lacking := wanted - int(mask.sum())) > 0:
        area, log_aspect, top, left = torch.rand(4).tolist()
        area, aspect = 1 + area * (lacking - 1), math.exp((2 * log_aspect - 1) * math.log(1 / 0.3))
        height = min(side, max(1, round(math.sqrt(area * aspect))))
        width = min(side, max(1, round(math.sqrt(area / aspect))))
        y, x = int(top * (side - height + 1)), int(left * (side - width + 1))
        block = mask[y : y + height, x : x + width]
        if int((~block).sum()) <= lacking:
            block[:] = True
