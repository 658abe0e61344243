"""SAM's prompt encoder and mask decoder on embeddings that are kept: boxes in, logits of a mask out.

Kirillov et al., Segment Anything, ICCV 2023, arXiv:2304.02643. The image encoder is the one under test, and rests; so
the embedding of an image never changes, and is computed once.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from bench.data.segments import Slices
from bench.encoders.checkpoint import load_weights
from bench.errors import BenchError
from bench.files import replacing
from bench.keys import ENGINE, digest
from bench.metrics import Array
from bench.protocols._data import weights_digest
from bench.random import generator
from bench.spec import Case, Context, Encoder

CHANNELS, STRIDE, LOW = 256, 16, 4  # of SAM's embeddings; and pixels of the input to a pixel of the decoder's masks
GRID = 256  # pixels a side, in which the offsets of boxes are said, as in LVM-Med's released code
BATCH = 8  # images of a forward pass of the encoder


class Prompts(NamedTuple):
    """What is asked for: a structure on a slice, and the box that points at it, in pixels of the resized slice."""

    rows: Int64[Array, " k"]  # of Slices
    classes: Int64[Array, " k"]
    boxes: Float[Array, "k 4"]  # left, top, right, bottom


class PromptDecoder(nn.Module):
    """SAM's prompt encoder, which rests, and its mask decoder, which may be trained, for square images of `size` px.

    `file` holds a whole SAM, or these parts of one; without it the weights are drawn. Raises BenchError for a size that
    is no multiple of 16 px, and a file that does not fit.
    """

    def __init__(self, size: int, file: Path | None = None) -> None:
        super().__init__()
        from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer  # type: ignore[import-untyped]

        if size % STRIDE:
            raise BenchError(f"prompt: images of {size} px; SAM takes multiples of {STRIDE} px")
        grid = (size // STRIDE, size // STRIDE)
        self.prompt_encoder = PromptEncoder(CHANNELS, grid, (size, size), mask_in_chans=16)
        transformer = TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=2048, num_heads=8)
        self.mask_decoder = MaskDecoder(
            transformer_dim=CHANNELS, transformer=transformer, iou_head_depth=3, iou_head_hidden_dim=256
        )
        self.loaded = load_weights(self, file)
        self.prompt_encoder.requires_grad_(False)
        self.mask_decoder.iou_prediction_head.requires_grad_(False)  # it ranks several masks; one is asked for

    def forward(
        self, embeddings: Float[Tensor, "b 256 h w"], boxes: Float[Tensor, "b 4"]
    ) -> Float[Tensor, "b 4*h 4*w"]:
        """Logits of one mask for each image and its box, on a grid of a quarter of the input's side."""
        with torch.no_grad():
            sparse, dense = self.prompt_encoder(points=None, boxes=boxes, masks=None)
            positions = self.prompt_encoder.get_dense_pe()

        def decode(embedding: Tensor, points: Tensor, plane: Tensor) -> Tensor:
            masks: Tensor = self.mask_decoder(embedding[None], positions, points[None], plane[None], False)[0]
            return masks[0, 0]

        # SAM's decoder takes one image with many prompts: over images it is mapped.
        logits: Tensor = torch.vmap(decode)(embeddings, sparse, dense)
        return logits


def prompts(truth: UInt8[Array, "n s s"], names: Sequence[str], context: Context, push: Sequence[int]) -> Prompts:
    """A prompt for each structure on each slice that shows it; `names` are those of the slices, and name their draws.

    Its box is the tight one, each side pushed outward by a whole number of pixels drawn from `push` (both ends), of a
    grid of 256, and cut at the image: once for a slice, a structure and a seed, whatever else is asked for.
    """
    size, low, high = truth.shape[2], *push
    rows, classes, boxes = [], [], []
    for row, (labels, name) in enumerate(zip(truth, names, strict=True)):
        for number in np.unique(labels[labels > 0]).tolist():
            y, x = np.nonzero(labels == number)
            draws = generator("box", context.task.name, name, number, context.seed)
            away = torch.randint(low, high + 1, (4,), generator=draws).numpy() * size / GRID
            tight = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float64)
            rows.append(row)
            classes.append(number)
            boxes.append(np.clip(tight + away * (-1, -1, 1, 1), 0, size))
    return Prompts(np.array(rows, np.int64), np.array(classes, np.int64), np.array(boxes, np.float32).reshape(-1, 4))


class Embedder:
    """The encoder under test, at rest, as SAM's decoder sees it. Raises BenchError for one without such embeddings."""

    def __init__(self, encoder: Encoder) -> None:
        if not hasattr(encoder, "embedding"):
            raise BenchError(
                "prompt: needs an image encoder of SAM, such as `sam`, `medsam` or `lvm_med_vit`, whose embeddings its"
                " mask decoder knows; this encoder has none"
            )
        self.encoder: Any = encoder.eval()

    @cached_property
    def seal(self) -> str:
        """SHA-256 of its weights."""
        return weights_digest(self.encoder)

    def __call__(self, images: UInt8[Tensor, "b _ s s"]) -> Float[Tensor, "b 256 u v"]:
        """Embeddings of 8-bit images, grey or RGB."""
        with torch.inference_mode():
            found: Tensor = self.encoder.embedding(self.encoder.normalise(images.expand(-1, 3, -1, -1)))
            return found

    def kept(self, data: Slices, rows: Sequence[int], cases: Sequence[Case], context: Context) -> Array:
        """(k, 256, s / 16, s / 16) float16 embeddings of slices of cases, computed once for the weights and mapped."""
        size = data.images.shape[2]
        shape = (len(rows), CHANNELS, size // STRIDE, size // STRIDE)
        parts = {
            "engine": ENGINE,
            "weights": self.seal,
            "normalise": [self.encoder.mean, self.encoder.std],
            "size": size,
            "data": context.fingerprint,
            "cases": [case.id for case in cases],
            "axis": context.task.axis,
            "slices": [int(row) for row in rows],
            "device": context.device.partition(":")[0],
        }
        path = context.cache / "embeddings" / f"{digest(parts)}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if (found := _kept(path, shape)) is None:
                with replacing(path) as file:
                    np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
                    for start in range(0, len(rows), BATCH):
                        images = np.ascontiguousarray(data.images[list(rows[start : start + BATCH])])
                        block = self(torch.from_numpy(images).to(context.device)).half().cpu().numpy()
                        file.write(block.tobytes())
                        context.progress("embeddings", start + len(block), len(rows))
                found = _kept(path, shape)
        if found is None:
            raise BenchError(
                f"{path}: was damaged while it was written; is the disk full, or does another program write?"
            )
        return found


def _kept(path: Path, shape: tuple[int, ...]) -> Array | None:
    try:
        array: Array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.float16 else None
