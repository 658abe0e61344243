"""The floor: a backbone with random weights, a new draw for each seed. Pretraining is worth what it adds to this."""

from pathlib import Path

from bench.encoders.timm import TimmEncoder
from bench.spec import Encoder, foundation_model


@foundation_model("random_init", paper="none", licence="none", trained_on="nothing", seeded=True, group="supervised")
def random_init(backbone: str, weights: Path | None, image_size: int) -> Encoder:
    """`weights` is ignored: there are none."""
    return TimmEncoder(backbone, image_size=image_size)
