"""Where the weights of a foundation model lie when a grid names no file: in the cache of its library's hub.

Nothing is fetched in the middle of a run; what is not there is an error with the command that fetches it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.encoders.checkpoint import load_weights
from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.spec import Weights


def held(weights: Weights | None, repository: str, names: Sequence[str]) -> Weights | None:
    """The weights with a file: the one named or, without one, the first of `names` in the hub's cache.

    None stays None. Raises BenchError with the command that fetches the repository.
    """
    if weights is None or weights.file is not None:
        return weights
    from huggingface_hub import constants, try_to_load_from_cache

    for name in names:
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return replace(weights, file=Path(found))
    raise BenchError(
        f"`{repository}`: the hub's cache ({constants.HF_HUB_CACHE}) does not hold {' or '.join(names)}, and nothing "
        f'is downloaded here. Fetch it once with: hf download {repository} or name a file in the grid: weights = "FILE"'
    )


def timm_encoder(backbone: str, weights: Weights | None, image_size: int) -> TimmEncoder:
    """A model of timm's with weights of a file or, without one, of timm's cache; None: random ones."""
    encoder = TimmEncoder(backbone, image_size=image_size, pretrained=weights is not None and weights.file is None)
    load_weights(encoder, weights)
    return encoder


def require_file(weights: Weights | None, model: str, source: str) -> Weights | None:
    """The weights as they are, of a model that no library fetches. Raises BenchError where no file is named."""
    if weights is not None and weights.file is None:
        raise BenchError(
            f"`{model}`: no library fetches its weights. Get them from {source} and name the file in the grid: "
            f'weights = "FILE"'
        )
    return weights
