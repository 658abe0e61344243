"""What the plain transformers of every library share: which blocks are shown, and tokens laid out as a map."""

from jaxtyping import Float
from torch import Tensor

from bench.encoders.timm import LEVELS


def spaced(depth: int) -> list[int]:
    """Numbers of four evenly spaced blocks of `depth`, the last among them; all, where there are fewer."""
    step = max(1.0, depth / LEVELS)
    return [round((i + 1) * step) - 1 for i in range(min(depth, LEVELS))]


def laid_out(tokens: Float[Tensor, "b n d"], height: int, width: int) -> Float[Tensor, "b d h w"]:
    """Patch tokens, row by row, as a map of `height` x `width`."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)
