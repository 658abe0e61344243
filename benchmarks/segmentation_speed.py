"""Segmentation, images a second: this engine against the plainest script a user would write, and its decoded cache.

The script: segmentation-models-pytorch's Unet with its own ResNet-50, PIL images and masks resized in a DataLoader of
two workers, the same loss, optimiser, clipping, batch and size. Both see the same files; they take turns, each trains
for one epoch of as many images, and decoding counts for both. On a GPU each trains on a few images first, uncounted.

    python benchmarks/segmentation_speed.py --data FOLDER --count 96    (FOLDER holds kvasir/; default: a phantom)
    python benchmarks/segmentation_speed.py --cache --data FOLDER       (FOLDER holds isic2018/)
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _clock import synchronize
from torch.nn import functional

from bench.data.phantom import draw
from bench.data.segments import read_pair, resized, slices
from bench.encoders.timm import TimmEncoder
from bench.protocols._decoders import Segmenter
from bench.protocols.segmentation import Trainer, epoch_order
from bench.random import generator
from bench.registry import discover


class Files(torch.utils.data.Dataset):
    """What a user would write: open, resize, to tensors."""

    def __init__(self, cases, size):
        self.cases, self.size = cases, size

    def __len__(self):
        return len(self.cases)

    def __getitem__(self, index):
        from PIL import Image

        case, size = self.cases[index], (self.size, self.size)
        image = Image.open(case.image).convert("RGB").resize(size, Image.Resampling.BILINEAR)
        mask = Image.open(case.masks[0].path).convert("L").resize(size, Image.Resampling.NEAREST)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return pixels, torch.from_numpy(np.array(mask) >= 128).long()


def plain_script(cases, asked):
    """Images a second of an epoch."""
    import segmentation_models_pytorch as smp

    size, batch, device = asked.size, asked.batch, asked.device
    model = smp.Unet(asked.backbone, encoder_weights=None, classes=2).to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    began = time.perf_counter()
    for images, truth in torch.utils.data.DataLoader(
        Files(cases, size), batch, shuffle=True, num_workers=asked.workers
    ):
        images, truth = images.to(device), truth.to(device)
        logits = model(images)
        likely, shown = logits.softmax(1), functional.one_hot(truth, 2).movedim(3, 1)
        both, sizes = (likely * shown).sum((0, 2, 3)), (likely + shown).sum((0, 2, 3))
        loss = functional.cross_entropy(logits, truth) + 1 - ((2 * both + 1e-6) / (sizes + 1e-6)).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    synchronize(device)
    return len(cases) / (time.perf_counter() - began)


def ours(cases, info, asked, folder):
    """Images a second of the first epoch, with decoding; and of the second, without."""
    size, device = asked.size, asked.device
    model = Segmenter(TimmEncoder(asked.backbone, image_size=size), 2).to(device, memory_format=torch.channels_last)
    trainer, draws = Trainer(model, 1e-3, asked.batch, 1.0, device), generator("benchmark")
    speeds = []
    for _ in range(2):
        began = time.perf_counter()
        data = slices(cases, info, size, "benchmark", folder)
        trainer.epoch(data, epoch_order(np.ones(len(cases), bool), False, draws))
        synchronize(device)
        speeds.append(len(cases) / (time.perf_counter() - began))
    return speeds


def training(asked, folder):
    """The table of training speeds."""
    task = discover().get("task", "kvasir", where="benchmark").load()
    data = asked.data / "kvasir" if asked.data else folder / "kvasir"
    if not asked.data:
        draw(task, data, cases=asked.count)
    splits = task.splits(data)
    cases = [*splits.train, *splits.val, *splits.test][: asked.count]
    rows = []
    if asked.device != "cpu":
        ours(cases[: asked.batch], task.info, asked, folder / "warm")
        plain_script(cases[: asked.batch], asked)
    for number in range(asked.rounds):
        first, second = ours(cases, task.info, asked, folder / f"{number}")
        plain = plain_script(cases, asked)
        rows.append((first / plain, second / plain))
        print(
            f"{first:.2f} images/s ({second:.2f} in the second epoch), script {plain:.2f}: {first / plain:.2f}",
            flush=True,
        )
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(f"median ratio {medians[0]:.2f}, second epoch {medians[1]:.2f}; {len(cases)} images of {asked.size} px")


def caching(asked, folder):
    """Images a second read and resized, and from the cache; the pixels must be the same."""
    task = discover().get("task", "isic2018", where="benchmark").load()
    data = asked.data / "isic2018" if asked.data else folder / "isic2018"
    if not asked.data:
        draw(task, data, cases=asked.count)
    cases = task.splits(data).train[: asked.count]
    slices(cases, task.info, 512, "benchmark", folder / "cache")
    ratios = []
    for _ in range(asked.rounds):
        began = time.perf_counter()
        direct = [resized(read_pair(case, task.info), 512)[0] for case in cases]
        without = len(cases) / (time.perf_counter() - began)
        began = time.perf_counter()
        kept = slices(cases, task.info, 512, "benchmark", folder / "cache")
        read = [(kept.images[n].copy(), kept.truth[n].copy()) for n in range(len(cases))]
        cached = len(cases) / (time.perf_counter() - began)
        same = all(
            np.array_equal(pixels[:-1], image) and np.array_equal(pixels[-1], truth)
            for pixels, (image, truth) in zip(direct, read, strict=True)
        )
        ratios.append(cached / without)
        print(f"{without:.0f} images/s without, {cached:.0f} with: {ratios[-1]:.1f}, same pixels: {same}", flush=True)
    print(f"median ratio {statistics.median(ratios):.1f} ({len(cases)} images of 512 px)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds the data sets")
    parser.add_argument("--cache", action="store_true", help="the cache, and not training")
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--count", type=int, default=96, help="images")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="of the script's DataLoader")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (caching if asked.cache else training)(asked, Path(folder))


if __name__ == "__main__":
    main()
