"""`prompt`: training SAM's mask decoder on kept embeddings against running the frozen image encoder in every epoch.

Both sides see the same images, boxes, order and first weights, and their losses are compared. The kept side pays for
computing its embeddings once. The encoder has random weights, which cost the same as others.

    python benchmarks/prompt_embeddings.py --data FOLDER     (FOLDER holds kvasir/; default: a phantom)
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bench.data.phantom import draw
from bench.encoders.sam import SamEncoder
from bench.protocols import prompt
from bench.protocols._prompting import Embedder, PromptDecoder
from bench.random import seed_library
from bench.registry import discover
from bench.spec import Context, Splits


class Anew(prompt.Part):
    """Embeddings are computed whenever they are asked for, in single precision."""

    def __init__(self, embedder, *rest):
        self.embedder = embedder
        super().__init__(embedder, *rest)

    def inputs(self, chosen, device):
        rows = self.asked.rows[chosen]
        found = self.embedder(torch.from_numpy(np.ascontiguousarray(self.data.images[rows])))
        return found.clone(), torch.from_numpy(self.asked.boxes[chosen])


def train(kind, encoder, context, asked):
    """Seconds, and the loss of each step."""
    losses, real = [], prompt.mask_loss
    prompt.mask_loss = lambda *given: losses.append(real(*given)) or losses[-1]
    began = time.perf_counter()
    train, val = (
        kind(Embedder(encoder), cases, context, asked.size, prompt.Rule()) for _, cases in list(context.splits)[:2]
    )
    if kind is Anew:
        began = time.perf_counter()  # it needs no embeddings kept: making them is not counted
    seed_library("decoder")
    recipe = prompt.Recipe(1e-4, asked.epochs, asked.batch, 1.0)
    prompt.train(PromptDecoder(asked.size), train, val, context, recipe)
    prompt.mask_loss = real
    return time.perf_counter() - began, np.array([float(loss.detach()) for loss in losses])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds kvasir/")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--size", type=int, default=256, help="pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--backbone", default="vit_b")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        task = discover().get("task", "kvasir", where="benchmark").load()
        data = asked.data / "kvasir" if asked.data else Path(folder) / "kvasir"
        if not asked.data:
            draw(task, data, cases=max(2 * asked.images, 16))
        splits = task.splits(data)
        few = Splits(splits.train[: asked.images], splits.val[:1], splits.test[:1])
        context = Context(
            task=task.info, splits=few, fingerprint="benchmark", seed=0, device="cpu", cache=Path(folder) / "cache",
            progress=lambda *_: None,
        )  # fmt: skip
        seed_library("encoder")
        encoder = SamEncoder(asked.backbone, image_size=asked.size)
        kept, losses = train(prompt.Part, encoder, context, asked)
        context = replace(context, cache=Path(folder) / "other")
        anew, others = train(Anew, encoder, context, asked)
    apart = np.abs(losses - others).max()
    said = f"{len(few.train)} images of {asked.size} px, {asked.epochs} epochs, {torch.get_num_threads()} threads"
    print(
        f"{said}: kept {kept:.1f} s, anew {anew:.1f} s, ratio {anew / kept:.1f}; losses differ by {apart:.1e} at most"
    )


if __name__ == "__main__":
    main()
