"""A whole pretraining from encoded images, images a second: shards of 224 px JPEG read, decoded, made views of, learnt.

Beside it, the same from pixels in memory, which go to the GPU at once; and the time that LVM-Med's 1.3 million images
and 100 epochs would take at the first rate. The images are those of `corpus_storage.py`, or a folder's, repeated and
shifted.

    python benchmarks/stream_speed.py --device cuda [--method lvm_med] [--backbone resnet50] [--batch 256]
"""

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _clock import Clock, needed
from corpus_storage import SIZE, corpus, pool_of_images

from bench.data.images import read_resized
from bench.data.storage import write
from bench.entries import MethodEntry, settings
from bench.pretrain import Corpus, pretrain
from bench.recipes import Pretrain
from bench.registry import discover
from bench.sources import folder_cases

IMAGES, EPOCHS = 1_300_000, 100


def rate(images, asked):
    """Images a second of the engine."""
    from bench.run import build_method

    plugin = discover().get("method", asked.method, where="benchmark")
    recipe = Pretrain(backbone=asked.backbone, image_size=SIZE, source_size=SIZE, batch_size=asked.batch, epochs=1)
    entry = MethodEntry(asked.method, plugin, settings(plugin, {}, "benchmark"), recipe, {})
    clock = Clock(asked.device, asked.batch, asked.steps)
    build = partial(build_method, entry, "random")
    pretrain(build, images, recipe, views=plugin.load().views, seed=0, device=asked.device, progress=clock)
    return clock.rate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="lvm_med")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--images", type=Path, help="folder of images")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    count = needed(asked.device, asked.batch, asked.steps)
    if asked.images:
        pool = [read_resized(case.image, SIZE).transpose(1, 2, 0) for case in folder_cases(asked.images)]
    else:
        pool = pool_of_images(500)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), corpus(pool, count), size=SIZE, kind="shards", workers=os.cpu_count() or 1, total=count)
        streamed = rate(Corpus(Path(folder)), asked)
    held = np.stack([np.broadcast_to(x if x.ndim == 3 else x[..., None], (SIZE, SIZE, 3)) for x in corpus(pool, count)])
    beside = rate(np.ascontiguousarray(held.transpose(0, 3, 1, 2)), asked)
    device = torch.cuda.get_device_name() if asked.device != "cpu" else "cpu"
    print(
        f"{asked.method}, {asked.backbone}, {SIZE} px, batch {asked.batch}: {streamed:.1f} images/s from shards,"
        f" {beside:.1f} from memory, ratio {streamed / beside:.3f}; {IMAGES} images x {EPOCHS} epochs in"
        f" {IMAGES * EPOCHS / streamed / 86400:.2f} days ({device}, {os.cpu_count()} cores, torch {torch.__version__})"
    )


if __name__ == "__main__":
    main()
