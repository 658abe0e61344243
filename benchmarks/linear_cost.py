"""What `linear` costs beside the one feature pass it needs: three seeds with ten learning rates each.

python benchmarks/linear_cost.py --data FOLDER --size 64     (FOLDER is a brain_tumor data set; default: a phantom)
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from bench.data.phantom import draw
from bench.encoders.timm import TimmEncoder
from bench.protocols._data import extract, images
from bench.registry import discover
from bench.spec import Context


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    registry = discover()
    task = registry.get("task", "brain_tumor", where="benchmark").load()
    linear = registry.get("protocol", "linear", where="benchmark")
    recipe = {**linear.settings, **task.info.recipe["linear"]}
    encoder = TimmEncoder(asked.backbone, image_size=asked.size).to(asked.device)
    with tempfile.TemporaryDirectory() as folder:
        data = asked.data
        if data is None:
            data = Path(folder) / "brain_tumor"
            draw(task, data, cases=1000)
        splits = task.splits(data)

        def context(seed, cache):
            return Context(task=task.info, splits=splits, fingerprint="benchmark", seed=seed, device=asked.device,
                           cache=Path(folder) / cache, progress=lambda what, done, of: None)  # fmt: skip

        array = images(context(0, "cache"), asked.size)  # decoded once; the pass below does not pay for it
        extract(encoder, array[:256], context(0, "cache"))
        began = time.perf_counter()
        extract(encoder, array, context(0, "cache"))
        once = time.perf_counter() - began
        began = time.perf_counter()
        for seed in range(3):
            linear.load().fit_and_score(encoder, context(seed, "cache"), **recipe)
        whole = time.perf_counter() - began
    print(f"one feature pass over {len(array)} images of {asked.size} px: {once:.2f} s")
    print(f"linear, 3 seeds x 10 rates, the pass included: {whole:.2f} s = {whole / once:.2f} passes ({asked.device})")


if __name__ == "__main__":
    main()
