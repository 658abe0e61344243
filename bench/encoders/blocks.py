"""What the plain transformers of every library share: which blocks are shown, and tokens laid out as a map."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

LEVELS = 4  # maps that a backbone of one stride is sampled at


def spaced(depth: int) -> list[int]:
    """Numbers of four evenly spaced blocks of `depth`, the last among them; all, where there are fewer."""
    step = max(1.0, depth / LEVELS)
    return [round((i + 1) * step) - 1 for i in range(min(depth, LEVELS))]


def laid_out(tokens: Float[Tensor, "b n d"], height: int, width: int) -> Float[Tensor, "b d h w"]:
    """Patch tokens, row by row, as a map of `height` x `width`."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)


def resampled(positions: Float[Tensor, "1 s t d"], height: int, width: int) -> Float[Tensor, "1 {height} {width} d"]:
    """SAM's position embeddings on another grid, bicubic and antialiased, as timm has it for others."""
    if positions.shape[1:3] == (height, width):
        return positions
    grid = functional.interpolate(positions.movedim(3, 1), (height, width), mode="bicubic", antialias=True)
    return grid.movedim(1, 3)
