"""Features, images a second: `extract` of the protocols against the library's own forward at the same batch.

The library's side is what a user would write: the model in evaluation mode without gradients, on batches that are
normalised already, and on the GPU if there is one. `extract` starts from 8-bit images in memory, and gives maps and the
pooled vector.

    python benchmarks/feature_speed.py [--size 224] [--images 32] [--device cuda]
"""

import argparse
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from _clock import synchronize

from bench.protocols import _data
from bench.random import seed_library
from bench.registry import discover

MODELS = {  # plug-in, backbone, and the library's own forward
    "timm's ResNet-50": ("timm_pretrained", "resnet50", lambda model, x: model(x)),
    "timm's ViT-B/16": ("timm_pretrained", "vit_base_patch16_224", lambda model, x: model(x)),
    "open_clip's ViT-B/16": ("clip", "ViT-B-16", lambda model, x: model(x)),
    "SAM's ViT-B": ("sam", "vit_b img_size=224", lambda model, x: model(x)),
    "FLAVA's ViT-B/16": ("flava", "FlavaImageModel", lambda model, x: model(x).last_hidden_state),
}


def rate(function, count, device):
    began = time.perf_counter()
    function()
    synchronize(device)
    return count / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    _data.BATCH = asked.batch
    images = np.random.default_rng(0).integers(0, 256, (asked.images, 3, asked.size, asked.size), np.uint8)
    context = SimpleNamespace(device=asked.device, cache=Path(), progress=lambda *_: None)
    for title, (name, backbone, forward) in MODELS.items():
        seed_library(title)
        encoder = discover().get("method", name, where="benchmark").load().build(backbone, None, asked.size).eval()
        encoder = encoder.to(asked.device)
        ready = encoder.normalise(torch.from_numpy(images).to(asked.device)).split(asked.batch)

        def theirs(model=encoder.model, forward=forward, ready=ready):
            with torch.inference_mode():
                for part in ready:
                    forward(model, part)

        def ours(encoder=encoder):
            _data.extract(encoder, images, context)

        ours()
        theirs()
        synchronize(asked.device)
        rows = [tuple(rate(side, asked.images, asked.device) for side in (ours, theirs)) for _ in range(asked.rounds)]
        ratios = [a / b for a, b in rows]
        speeds = [statistics.median(column) for column in zip(*rows, strict=True)]
        print(
            f"{title:22} {speeds[0]:6.1f} against {speeds[1]:6.1f} images/s, ratio {statistics.median(ratios):.2f}"
            f" ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
