"""Detection, images a second in training: this engine against torchvision's own Faster R-CNN in the plainest loop.

The loop: `fasterrcnn_resnet50_fpn` with first weights drawn and all of it trained, PIL images resized to the same
square in a DataLoader of two workers, Adam, the same clipping, batch and size. Both see the same files, one after the
other in turns; each trains for one epoch of as many images, and decoding counts for both. The encoder is timm's
ResNet-50, and batch-norm learns from the batches on both sides, as it does in torchvision's without weights.

    python benchmarks/detection_speed.py --data FOLDER     (FOLDER holds kvasir/; default: a phantom)
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from _clock import synchronize

from bench.data.phantom import draw
from bench.encoders.timm import TimmEncoder
from bench.protocols._detectors import Recipe, build
from bench.protocols.detect import Trainer, parts
from bench.random import generator
from bench.registry import discover
from bench.spec import Context, Splits


class Files(torch.utils.data.Dataset):
    """What a user would write: open, resize, to tensors."""

    def __init__(self, cases, size):
        self.cases, self.size = cases, size

    def __len__(self):
        return len(self.cases)

    def __getitem__(self, index):
        from PIL import Image

        case, size = self.cases[index], self.size
        image = Image.open(case.image).convert("RGB")
        across, down = size / image.width, size / image.height
        pixels = np.array(image.resize((size, size), Image.Resampling.BILINEAR))
        boxes = [[b.left * across, b.top * down, b.right * across, b.bottom * down] for b in case.boxes]
        target = {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.ones(len(boxes), dtype=torch.int64),
        }
        return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255, target


def plain_loop(cases, given, info):
    """Images a second of an epoch."""
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    size, batch, device = given.size, given.batch, given.device
    model = fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=size, max_size=size
    ).to(device)
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    loader = torch.utils.data.DataLoader(
        Files(cases, size), batch, shuffle=True, num_workers=given.workers,
        collate_fn=lambda pairs: tuple(zip(*pairs, strict=True)),
    )  # fmt: skip
    began = time.perf_counter()
    for images, targets in loader:
        images = [image.to(device) for image in images]
        targets = [{name: value.to(device) for name, value in target.items()} for target in targets]
        loss = sum(model(images, targets).values())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    synchronize(device)
    return len(cases) / (time.perf_counter() - began)


def ours(cases, given, info):
    """Images a second of an epoch, decoding included."""
    size, device = given.size, given.device
    with tempfile.TemporaryDirectory() as folder:
        model = build("torchvision", TimmEncoder("resnet50", image_size=size), 1, Recipe(), train_norm=True)
        model = model.to(device, memory_format=torch.channels_last)
        trainer = Trainer(model, 1e-4, 0.0, 1.0, 0.5, generator("benchmark"))
        context = Context(
            task=info, splits=Splits(cases, cases[:1], cases[:1]), fingerprint="benchmark", seed=0, device=device,
            cache=Path(folder), progress=lambda what, done, of: None,
        )  # fmt: skip
        began = time.perf_counter()
        trainer.epoch(parts(context, size)["train"], given.batch, device)
        synchronize(device)
        return len(cases) / (time.perf_counter() - began)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path)
    arguments.add_argument("--size", type=int, default=256)
    arguments.add_argument("--batch", type=int, default=8)
    arguments.add_argument("--count", type=int, default=32)
    arguments.add_argument("--turns", type=int, default=3)
    arguments.add_argument("--workers", type=int, default=2, help="of the loop's DataLoader")
    arguments.add_argument("--device", default="cpu")
    given = arguments.parse_args()
    torch.set_num_threads(2)
    task = discover().get("task", "kvasir_detection", where="benchmark").load()
    with tempfile.TemporaryDirectory() as drawn:
        folder = given.data / "kvasir" if given.data else Path(drawn) / "kvasir"
        if not given.data:
            draw(task, folder, cases=2 * given.count)
        cases = task.splits(folder).train[: given.count]
        print(f"{len(cases)} images of {given.size} px, batch {given.batch}")
        if given.device != "cpu":  # the first steps on a GPU take its memory and load its kernels
            plain_loop(cases[: given.batch], given, task.info), ours(cases[: given.batch], given, task.info)
        ratios = []
        for turn in range(given.turns):
            first, second = (plain_loop, ours) if turn % 2 == 0 else (ours, plain_loop)
            found = {run: run(cases, given, task.info) for run in (first, second)}
            ratios.append(found[ours] / found[plain_loop])
            print(f"ours {found[ours]:.2f}, torchvision's loop {found[plain_loop]:.2f} images/s: {ratios[-1]:.2f}")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); bar 1.0")


if __name__ == "__main__":
    main()
