"""torchvision's Faster R-CNN against detectron2's: the same encoder, data, boxes, schedule and scoring.

What differs is theirs: how regions are pooled (detectron2 shifts by half a pixel and takes as many points as a cell has
pixels, torchvision four), the loss of boxes (L1, and smooth L1), first weights of the box head, and random draws. Needs
detectron2, which is built from its source: see docs/detection.md.

    python benchmarks/detection_engines.py --data FOLDER     (FOLDER holds kvasir/; default: a phantom)
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

from bench.data.phantom import draw
from bench.encoders.timm import TimmEncoder
from bench.protocols.detect import detect
from bench.random import seed_library
from bench.registry import discover
from bench.spec import Context

RECIPE = {"batch_size": 8, "lr": 1e-3, "width": 64, "hidden": 256, "regions": 64, "train_norm": True}


def trained(engine, task, splits, given, seed, cache):
    """Detections on the test images, and images a second of training with its validation."""
    seed_library("benchmark", seed)
    encoder = TimmEncoder(given.backbone, image_size=given.size)
    context = Context(
        task=task.info, splits=splits, fingerprint="benchmark", seed=seed, device="cpu", cache=cache,
        progress=lambda what, done, of: None,
    )  # fmt: skip
    began = time.perf_counter()
    found = detect.fit_and_score(encoder, context, engine=engine, epochs=given.epochs, image_size=given.size, **RECIPE)
    return found.detections, len(splits.train) * given.epochs / (time.perf_counter() - began)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path)
    arguments.add_argument("--backbone", default="resnet10t")
    arguments.add_argument("--size", type=int, default=128)
    arguments.add_argument("--epochs", type=int, default=10)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments.add_argument("--threads", type=int, default=2)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    warnings.filterwarnings("ignore")  # detectron2's, of torch's news
    task = discover().get("task", "kvasir_detection", where="benchmark").load()
    with tempfile.TemporaryDirectory() as drawn:
        folder = given.data / "kvasir" if given.data else Path(drawn) / "kvasir"
        if not given.data:
            draw(task, folder, cases=96)
        splits = task.splits(folder)
        for seed in given.seeds:
            found = {}
            for engine in ("torchvision", "detectron2"):
                found[engine], speed = trained(engine, task, splits, given, seed, Path(drawn))
                said = []
                for metric in ("map50", "map"):
                    low, high = np.quantile(found[engine].resampled(metric, resamples=1000), (0.025, 0.975))
                    said.append(f"{metric} {found[engine].value(metric):.3f} [{low:.3f}, {high:.3f}]")
                print(f"seed {seed}, {engine}: {', '.join(said)}; {speed:.1f} images/s", flush=True)
            for metric in ("map50", "map"):
                one, other = (of.resampled(metric, resamples=1000) for of in found.values())
                low, high = np.quantile(one - other, (0.025, 0.975))
                print(f"seed {seed}, torchvision less detectron2, {metric}: [{low:+.3f}, {high:+.3f}]", flush=True)


if __name__ == "__main__":
    main()
