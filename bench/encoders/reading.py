"""Tensors from files that may be hostile: nothing in them is executed, and none may claim more than it holds."""

import pickle
import re
import zipfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.errors import BenchError

ENDINGS = (".pth", ".pt", ".torch", ".bin", ".ckpt", ".tar", ".safetensors")
DEPTH = 8  # of mappings in mappings; VISSL has four
Tensors = Mapping[str, Tensor]


def read_tensors(path: Path) -> dict[str, Tensors]:
    """Every mapping of names to tensors in a file, under the keys that lead to it, joined by `/`; the outermost: "".

    Read are .safetensors files, and what torch saves, of which only tensors, plain containers and numbers are unpickled
    (and argparse's Namespace, in which many keep their settings). Raises BenchError, naming the file, for one that is
    not there, damaged or of another kind, that holds other objects, compressed archives, and tensors that are larger
    than what is stored of them.
    """
    if not path.is_file():
        raise BenchError(
            f"{path}: {'a weights file must be a regular file' if path.exists() else 'no such weights file'}"
        )
    if not path.stat().st_size:
        raise BenchError(f"{path}: a weights file cannot be empty, this one has 0 bytes")
    content = _load(path)
    found = dict(_mappings(content, "", DEPTH))
    for place, tensors in found.items():
        for name, value in tensors.items():
            _require_held(path, f"{place}/{name}" if place else name, value)
    if not found:
        raise BenchError(f"{path}: holds no tensors under names, but {type(content).__name__}")
    return found


def _load(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if zipfile.is_zipfile(path):
            _require_plain(path)
        with torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except BenchError:
        raise
    except pickle.UnpicklingError as error:
        raise BenchError(
            f"{path}: holds more than tensors, or no tensors at all, and is not loaded ({_culprit(error)}). If you"
            f" trust it, keep its tensors alone, on a machine with nothing to lose:"
            f" torch.save(torch.load(FILE, weights_only=False)['state_dict'], 'tensors.pth')"
        ) from None
    except Exception as error:  # torch and safetensors raise many types for damaged files
        raise BenchError(f"{path}: not a readable weights file ({type(error).__name__}: {_first(error)})") from None


def _require_plain(path: Path) -> None:
    """Refuse an archive that would unpack to more than it is: torch stores its entries as they are."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise BenchError(
            f"{path}: is a compressed archive, which torch does not write; unpack it and name the file inside"
        )
    if (claimed := sum(entry.file_size for entry in entries)) > path.stat().st_size:
        raise BenchError(f"{path}: its entries claim {claimed} bytes, and the file has {path.stat().st_size}")


def _require_held(path: Path, name: str, value: Tensor) -> None:
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        raise BenchError(f"{path}: `{name}` is no plain tensor ({value.layout}, {value.device.type}, {value.dtype})")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise BenchError(f"{path}: `{name}` claims shape {tuple(value.shape)}, of which the file holds only a part")


def _mappings(content: Any, place: str, depth: int) -> Iterator[tuple[str, Tensors]]:
    if not isinstance(content, Mapping) or not depth:
        return
    if tensors := {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}:
        yield place, tensors
    for key, value in content.items():
        if isinstance(key, str):
            yield from _mappings(value, f"{place}/{key}" if place else key, depth - 1)


def _culprit(error: Exception) -> str:
    """The class or function that a pickle asks for, which is what torch refuses."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return f"it asks for {found[1]}" if found else _first(error)


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
