"""Soft edges and smooth noise, of which phantoms are made."""

import hashlib

import numpy as np
from jaxtyping import Float
from PIL import Image


def draws(identity: str) -> np.random.Generator:
    """The random numbers of a picture: the same for the same `identity`, whatever else is drawn."""
    digest = hashlib.sha256(identity.encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def soft(distance: Float[np.ndarray, "h w"], width: float) -> Float[np.ndarray, "h w"]:
    """1 where `distance` to the edge is positive (inside), 0 outside, with an edge of about `width`."""
    return 0.5 + 0.5 * np.tanh(distance / width)


def smooth(rng: np.random.Generator, height: int, width: int, *, cells: int) -> Float[np.ndarray, "h w"]:
    """Noise of about unit range that varies over 1/cells of the image."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
