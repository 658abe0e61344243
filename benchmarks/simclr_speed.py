"""SimCLR pretraining, images a second: this engine against the plainest script a user would write with lightly.

The script: SimCLRTransform on PIL images in a DataLoader of two workers, the same timm encoder, head, loss, optimiser,
batch and size. Both see the same image files; the two take turns, and the ratio is of neighbouring runs. On a GPU the
script has bf16 too, and a third side takes its turn: the same steps on two views that lie on the GPU for good, which is
what no loading at all would give.

    python benchmarks/simclr_speed.py --size 64 --images FOLDER     (default: a phantom of brain_tumor)
    python benchmarks/simclr_speed.py --size 224 --batch 256 --backbone resnet50 --workers 16
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _clock import Clock, needed, synchronize, warm

from bench.data.cache import decoded
from bench.data.phantom import draw
from bench.entries import MethodEntry, settings
from bench.nn import View
from bench.optim import optimizer
from bench.pretrain import pretrain
from bench.recipes import Pretrain
from bench.registry import discover
from bench.sources import folder_cases


def plain_script(files, asked):
    """Images a second."""
    import timm
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform
    from PIL import Image

    class Files(torch.utils.data.Dataset):
        def __init__(self):
            self.transform = SimCLRTransform(input_size=asked.size)

        def __len__(self):
            return len(files)

        def __getitem__(self, index):
            return self.transform(Image.open(files[index]).convert("RGB"))

    device = asked.device
    backbone = timm.create_model(asked.backbone, num_classes=0).to(device)
    head = SimCLRProjectionHead(backbone.num_features, 2048, 128).to(device)
    criterion = NTXentLoss(0.1)
    optimiser = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=1e-3)
    loader = torch.utils.data.DataLoader(
        Files(), asked.batch, shuffle=True, drop_last=True, num_workers=asked.workers, persistent_workers=True
    )
    clock, done = Clock(device, asked.batch, asked.steps), 0
    while True:
        for views in loader:
            first, second = (view.to(device) for view in views)
            with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
                loss = criterion(head(backbone(first)), head(backbone(second)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
            done += 1
            clock("images", done * asked.batch, 0)
            if done == asked.steps + warm(device):
                return clock.rate


def entry(recipe):
    plugin = discover().get("method", "simclr", where="benchmark")
    return MethodEntry("simclr", plugin, settings(plugin, {}, "benchmark"), recipe, {})


def ours(images, recipe, asked):
    """Images a second of the engine."""
    from bench.run import build_method

    clock, one = Clock(asked.device, asked.batch, asked.steps), entry(recipe)
    pretrain(
        partial(build_method, one, "random"),
        images,
        recipe,
        views=one.plugin.load().views,
        seed=0,
        device=asked.device,
        progress=clock,
    )
    return clock.rate


def without_loading(recipe, asked):
    """Images a second of the engine's network, loss, optimiser and precision on two views that never change."""
    from bench.run import build_method

    method = build_method(entry(recipe), "random").to(asked.device, memory_format=torch.channels_last).train()
    optimiser, where = optimizer(method, recipe), (torch.zeros(asked.batch, n, device=asked.device) for n in (4, 2, 1))
    boxes, flips, numbers = where
    shape = (asked.batch, 3, asked.size, asked.size)
    views = [View(torch.randn(shape, device=asked.device), boxes, flips.bool(), numbers[:, 0].long()) for _ in range(2)]
    for step in range(warm(asked.device) + asked.steps):
        if step == warm(asked.device):
            synchronize(asked.device)
            began = time.perf_counter()
        with torch.autocast(asked.device, torch.bfloat16, enabled=asked.device != "cpu"):
            loss = method(views)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        method.logged.clear()
    synchronize(asked.device)
    return asked.steps * asked.batch / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=Path, help="folder of images")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--workers", type=int, default=2, help="of the script's DataLoader; 0: no script")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = asked.images
        if images is None:
            images = Path(folder) / "brain_tumor"
            draw(discover().get("task", "brain_tumor", where="benchmark").load(), images, cases=512)
        files = [case.image for case in folder_cases(images)]
        count = needed(asked.device, asked.batch, asked.steps)  # of one epoch: the engine runs whole ones
        recipe = Pretrain(backbone=asked.backbone, image_size=asked.size, batch_size=asked.batch, epochs=1)
        began = time.perf_counter()
        array = decoded(files, recipe.sources, "benchmark", Path(folder))
        print(f"{len(files)} images decoded once, to {recipe.sources} px, in {time.perf_counter() - began:.1f} s")
        array = array[:count] if count <= len(array) else array[np.arange(count) % len(array)]
        rows = []
        for _ in range(asked.rounds):
            mine = ours(array, recipe, asked)
            plain = plain_script(files, asked) if asked.workers else float("nan")
            bare = without_loading(recipe, asked) if asked.device != "cpu" else float("nan")
            rows.append((mine / plain, mine / bare))
            print(
                f"{asked.size} px: bench {mine:.1f} images/s, plain lightly {plain:.1f}, ratio {mine / plain:.2f};"
                f" without loading {bare:.1f}, ratio {mine / bare:.3f}",
                flush=True,
            )
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    device = torch.cuda.get_device_name() if asked.device != "cpu" else "cpu"
    print(
        f"{asked.backbone}, batch {asked.batch}: median ratio {medians[0]:.2f} to the script ({asked.workers} workers),"
        f" {medians[1]:.3f} to no loading ({device}, {torch.get_num_threads()} threads, torch {torch.__version__})"
    )


if __name__ == "__main__":
    main()
