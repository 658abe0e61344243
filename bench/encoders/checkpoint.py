"""Weights from a file into an encoder: never a pickle that runs, never a partial match that passes in silence."""

import pickle
from pathlib import Path

import torch
from torch import Tensor

from bench.errors import BenchError
from bench.spec import Encoder

CLASSIFIERS = ("fc.", "head.fc.", "classifier.", "head.")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a flat state dict saved by torch. Raises BenchError."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BenchError(f"{path}: no such weights file") from None
    except pickle.UnpicklingError as exc:
        raise BenchError(
            f"{path}: holds more than tensors, or no tensors at all, and is not loaded ({str(exc).splitlines()[0]})"
        ) from None
    except Exception as exc:  # torch and safetensors raise many types for damaged files
        raise BenchError(f"{path}: not a readable weights file ({type(exc).__name__}: {exc})") from None
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise BenchError(f"{path}: must be a flat mapping of names to tensors")
    return weights


def load_weights(encoder: Encoder, path: Path) -> None:
    """Load a file into an encoder in place.

    Every tensor of the encoder must be there, in its shape; a classifier may be left over. Keys may be the encoder's
    own or, without their `model.` prefix, the library's.

    Raises BenchError that names the file and the first offending key.
    """
    weights = read_weights(path)
    own = encoder.state_dict()
    if weights and not any(key in own for key in weights):
        weights = {f"model.{key}": value for key, value in weights.items()}
    for key, value in own.items():
        if key not in weights:
            raise BenchError(
                f"{path}: does not fit the backbone: no `{key}` ({len(own)} tensors wanted, {len(weights)} there)"
            )
        if weights[key].shape != value.shape:
            shapes = f"{tuple(weights[key].shape)} and not {tuple(value.shape)}"
            raise BenchError(f"{path}: does not fit the backbone: `{key}` is {shapes}")
        if not weights[key].isfinite().all():
            raise BenchError(f"{path}: `{key}` holds values that are not finite")
    extra = [k for k in weights if k not in own and not k.removeprefix("model.").startswith(CLASSIFIERS)]
    if extra:
        raise BenchError(f"{path}: does not fit the backbone: it also holds `{extra[0]}` ({len(extra)} such)")
    encoder.load_state_dict({key: weights[key] for key in own})
