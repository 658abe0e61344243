"""What protocols read: decoded images, targets, and a frozen encoder's features, each kept under all that makes it."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from bench.data.cache import decoded
from bench.errors import BenchError
from bench.files import write_whole
from bench.keys import ENGINE, digest
from bench.metrics import Array, classification
from bench.spec import Context, Encoder, Scores

BATCH = 256  # images of a forward pass; it changes no result by more than rounding, and is part of the features' key


@dataclass(frozen=True)
class Labelled:
    """Inputs (images or features) and class indices of one split."""

    inputs: Tensor
    targets: Int[Tensor, " n"]


def images(context: Context, size: int) -> UInt8[Array, "n 3 s s"]:
    """All images of the task at one size, train then validation then test, decoded once for every cell."""
    paths = [case.image for _, cases in context.splits for case in cases]
    folder = context.cache / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{context.fingerprint[:16]}-{size}.lock"):
        return decoded(paths, size, context.fingerprint, folder)


def split(context: Context, inputs: Tensor) -> dict[str, Labelled]:
    """Inputs of all cases, taken apart into the splits."""
    parts, start = {}, 0
    for name, cases in context.splits:
        targets = torch.tensor([case.target for case in cases])
        parts[name] = Labelled(inputs[start : start + len(cases)], targets)
        start += len(cases)
    return parts


def features(encoder: Encoder, context: Context, size: int) -> dict[str, Labelled]:
    """Pooled features of every split by the frozen encoder, computed once for all seeds, settings and protocols.

    Raises BenchError for a size that the encoder does not take.
    """
    if encoder.patch and size % encoder.patch:
        near = max(1, round(size / encoder.patch)) * encoder.patch
        raise BenchError(
            f"images of {size} px; this encoder takes multiples of its patch of {encoder.patch} px: image_size = {near}"
        )
    key = digest(
        {
            "engine": ENGINE,
            "weights": weights_digest(encoder),
            "modules": [[name, type(module).__name__] for name, module in encoder.named_modules()],
            "layer": "pooled",
            "normalise": [encoder.mean, encoder.std],
            "size": size,
            "batch": BATCH,
            "data": context.fingerprint,
            "device": context.device.partition(":")[0],  # rounding differs between devices; a CPU never reads a GPU's
        }
    )
    path = context.cache / "features" / f"{key}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        kept = _kept(path, sum(len(cases) for _, cases in context.splits), encoder.dim)
        if kept is None:
            kept = extract(encoder, images(context, size), context)
            buffer = io.BytesIO()
            np.save(buffer, kept)
            write_whole(path, buffer.getvalue())
    return split(context, torch.from_numpy(kept))


def _kept(path: Path, n: int, dim: int) -> Array | None:
    try:
        array: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == (n, dim) and array.dtype == np.float32 else None


@torch.inference_mode()
def extract(encoder: Encoder, array: UInt8[Array, "n 3 s s"], context: Context) -> Float[Array, "n d"]:
    """Pooled features of 8-bit images. The encoder is frozen altogether: batch-norm statistics too.

    A batch that is too large for the device is halved, which is another rounding at most, for no image sees another.
    """
    encoder.eval()
    rows, start, size = [], 0, BATCH
    while start < len(array):
        try:
            batch = torch.from_numpy(np.array(array[start : start + size])).to(context.device)
            rows.append(encoder(encoder.normalise(batch)).pooled.float().cpu())
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            continue
        start += len(batch)
        context.progress("features", start, len(array))
    return torch.cat(rows).numpy()


def weights_digest(encoder: Encoder) -> str:
    """SHA-256 of every tensor of an encoder, by name."""
    seal = hashlib.sha256()
    for name, value in sorted(encoder.state_dict().items()):
        seal.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        seal.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return seal.hexdigest()


def scores(context: Context, probabilities: Float[Tensor, "n c"], chosen: dict[str, Any]) -> Scores:
    """Scores of class probabilities on the test split."""
    targets = np.array([case.target for case in context.splits.test])
    table = probabilities.cpu().numpy()
    return Scores(
        cases=tuple(case.id for case in context.splits.test),
        values=classification(table, targets),
        predictions={"probabilities": table.astype(np.float32), "targets": targets},
        chosen=chosen,
    )
