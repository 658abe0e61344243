"""Signs of collapse: whether an encoder in training still tells images apart, and in how many directions.

A loss can fall while all embeddings become one vector, or lie along a few; the loss does not show it, these numbers do.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from bench.nn import Encoder

PROBED = 256  # images that an epoch's signs are told from, and so the largest rank that is seen


@torch.no_grad()
def probe(encoder: Encoder, images: UInt8[Tensor, "n 3 s s"], side: int) -> dict[str, float]:
    """`signs` of an encoder in training, from whole images of `side` pixels, as it is evaluated. Nothing is drawn."""
    device, found = next(encoder.parameters()).device, []
    encoder.eval()
    for part in images.split(64):
        found.append(encoder(encoder.normalise(resized(part.to(device), side))).pooled.float())
    encoder.train()
    return signs(torch.cat(found))


def resized(images: UInt8[Tensor, "n 3 s s"], side: int) -> UInt8[Tensor, "n 3 {side} {side}"]:
    """Images of `side` pixels (bilinear, antialiased). Of 8-bit images a CPU alone can do that."""
    whole = images if images.device.type == "cpu" else images.float()
    found = F.interpolate(whole, (side, side), mode="bilinear", antialias=True)
    return found if found.dtype == torch.uint8 else found.round().byte()


def signs(embeddings: Float[Tensor, "n d"]) -> dict[str, float]:
    """`effective_rank` and `embedding_std` of the embeddings of n images."""
    return {"effective_rank": effective_rank(embeddings), "embedding_std": spread(embeddings)}


def effective_rank(embeddings: Float[Tensor, "n d"]) -> float:
    """RankMe: the exponential of the entropy of the singular values, from 1 to min(n, d) (Garrido et al. 2023, eq. 2).

    Not a number where an embedding is not finite.
    """
    if not embeddings.isfinite().all():
        return math.nan
    values = torch.linalg.svdvals(embeddings.double())
    shares = values / values.sum().clamp(min=1e-30) + 1e-7
    return float((-shares * shares.log()).sum().exp())


def spread(embeddings: Float[Tensor, "n d"]) -> float:
    """Standard deviation over images of the embeddings at unit length, times the root of d: 0 collapsed, 1 even.

    The mean over dimensions (Chen and He 2021, section 4.1 and figure 2).
    """
    units = F.normalize(embeddings.double(), dim=1)
    return float(units.std(0).mean() * math.sqrt(embeddings.shape[1]))


def verdict(history: Mapping[str, Sequence[float]]) -> str:
    """Why a pretraining is held to have collapsed, told from its last epoch; empty if it is not.

    The bounds are far below what runs that learnt were seen to end with: ranks above 70 and spreads above 0.4.
    """
    rank, std = (history.get(name, [math.nan])[-1] for name in ("effective_rank", "embedding_std"))
    if std < 0.01:
        return f"all images have nearly the same embedding (standard deviation {std:.2g}; even: 1)"
    if rank < 3:
        return f"the embeddings lie along few directions (effective rank {rank:.1f})"
    return ""
