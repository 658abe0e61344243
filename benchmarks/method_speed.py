"""Every SSL method's training speed against SimCLR's, and that of three against the plainest script with lightly.

All train on the same images with the same backbone, size and batch; each turn is a process of its own, so that its peak
memory is its own. The plain scripts have lightly's transform on PIL images in a DataLoader of two workers, and the same
heads, loss and optimiser. The sides take turns, and a ratio is of neighbouring turns.

    python benchmarks/method_speed.py                     every method against SimCLR
    python benchmarks/method_speed.py --plain             barlow_twins, dino and vicregl against their plain scripts
    python benchmarks/method_speed.py --device cuda --backbone resnet50 --tokens vit_small_patch16_224 --size 224 \\
        --batch 128 --steps 10 --rounds 1                 with the methods' own heads, all turns in one process
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from _clock import Clock, needed

from bench.data.cache import decoded
from bench.data.phantom import draw
from bench.entries import MethodEntry, settings
from bench.pretrain import pretrain
from bench.recipes import Pretrain
from bench.registry import discover
from bench.sources import folder_cases

RESNET, VIT = "resnet18", "vit_tiny_patch16_224 patch_size=8"
# Heads of a size that two cores can train; the same on both sides. All else, and on a GPU these too, are the defaults.
SMALLER = {
    "barlow_twins": {"dim": 2048},
    "vicreg": {"dim": 2048},
    "vicregl": {"dim": 2048},
    "dino": {"dim": 4096},
    "dinov2": {"dim": 4096},
}
NAMES = [p.name for p in discover().all("method") if p.decorator == "ssl_method" and p.name != "simclr"]


def engine(name, backbone, files, asked, folder):
    """Images a second of the engine."""
    from bench.run import build_method

    plugin = discover().get("method", name, where="benchmark")
    count = needed(asked.device, asked.batch, asked.steps)
    recipe = Pretrain(backbone=backbone, image_size=asked.size, batch_size=asked.batch, epochs=1)
    images = decoded((files * (count // len(files) + 1))[:count], recipe.sources, "benchmark", folder)
    heads = SMALLER.get(name, {}) if asked.device == "cpu" else {}
    entry = MethodEntry(name, plugin, settings(plugin, heads, "benchmark"), recipe, {})
    clock = Clock(asked.device, asked.batch, asked.steps)
    pretrain(
        partial(build_method, entry, "random"),
        images,
        recipe,
        views=replace(plugin.load().views),
        seed=0,
        device=asked.device,
        progress=clock,
    )
    return clock.rate


def barlow_twins(size, encoder):
    from lightly.loss import BarlowTwinsLoss
    from lightly.models.modules.heads import BarlowTwinsProjectionHead
    from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform

    transform = BYOLTransform(BYOLView1Transform(input_size=size), BYOLView2Transform(input_size=size))
    head, criterion = BarlowTwinsProjectionHead(512, 2048, 2048), BarlowTwinsLoss()
    pooled = lambda images: head(encoder(images))  # noqa: E731
    return transform, [encoder, head], lambda views: criterion(pooled(views[0]), pooled(views[1])), lambda: None


def dino(size, encoder):
    from copy import deepcopy

    from lightly.loss import DINOLoss
    from lightly.models.modules.heads import DINOProjectionHead
    from lightly.models.utils import update_momentum
    from lightly.transforms.dino_transform import DINOTransform

    transform = DINOTransform(global_crop_size=size, local_crop_size=round(size * 96 / 224), n_local_views=8)
    head, teacher_head = (DINOProjectionHead(512, 2048, 256, 4096, batch_norm=True) for _ in range(2))
    teacher = deepcopy(encoder)
    criterion = DINOLoss(4096)

    def loss(views):
        with torch.no_grad():
            wanted = [teacher_head(teacher(view)) for view in views[:2]]
        return criterion(wanted, [head(encoder(view)) for view in views], epoch=0)

    def follow():
        update_momentum(encoder, teacher, 0.996)
        update_momentum(head, teacher_head, 0.996)

    return transform, [encoder, head], loss, follow


def vicregl(size, encoder):
    from lightly.loss import VICRegLLoss
    from lightly.models.modules.heads import VicRegLLocalProjectionHead, VICRegProjectionHead
    from lightly.transforms.vicregl_transform import VICRegLTransform

    cells = -(-size // 32)
    transform = VICRegLTransform(
        global_crop_size=size, n_local_views=0, global_grid_size=cells, global_crop_scale=(0.08, 1.0)
    )
    head, local_head = VICRegProjectionHead(512, 2048, 2048), VicRegLLocalProjectionHead(512, 512, 512)
    criterion = VICRegLLoss()

    def loss(views):
        features = []
        for view in views[:2]:
            maps = encoder.forward_features(view)
            features.append((head(maps.mean((2, 3))), local_head(maps.movedim(1, 3))))
        return criterion(features, views[2:])

    return transform, [encoder, head, local_head], loss, lambda: None


PLAIN = {f.__name__: f for f in (barlow_twins, dino, vicregl)}


class Files(torch.utils.data.Dataset):
    def __init__(self, files, transform):
        self.files, self.transform = files, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        from PIL import Image

        return self.transform(Image.open(self.files[index]).convert("RGB"))


def plain(name, files, asked):
    """Images a second of the plain script, after one step that is not counted."""
    import timm

    transform, modules, loss_of, follow = PLAIN[name](asked.size, timm.create_model(RESNET, num_classes=0))
    optimiser = torch.optim.AdamW([p for module in modules for p in module.parameters()], lr=1e-3)
    needed = (asked.steps + 1) * asked.batch
    source = Files((files * (needed // len(files) + 1))[:needed], transform)
    began = 0.0
    for views in torch.utils.data.DataLoader(source, asked.batch, shuffle=True, num_workers=2):
        loss = loss_of(views)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()
        follow()
        began = began or time.perf_counter()
    return asked.steps * asked.batch / (time.perf_counter() - began)


def measured(asked, side, name, backbone):
    """Images a second, and peak memory in MB: of this process, or of the GPU."""
    folder = Path(asked.folder)
    files = [case.image for case in folder_cases(folder / "brain_tumor")]
    if asked.device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    speed = plain(name, files, asked) if side == "plain" else engine(name, backbone, files, asked, folder)
    if asked.device != "cpu":
        return speed, torch.cuda.max_memory_allocated() / 2**20
    return speed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def turn(asked, side, name, backbone):
    """One measurement; on a CPU in a process of its own, whose memory is then its own."""
    if asked.device != "cpu":
        return measured(asked, side, name, backbone)
    said = [sys.executable, __file__, "--turn", side, name, backbone, "--folder", asked.folder]
    said += ["--size", str(asked.size), "--batch", str(asked.batch), "--steps", str(asked.steps)]
    done = subprocess.run(said, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(asked, name, mine, other):
    rows = [(turn(asked, *mine), turn(asked, *other)) for _ in range(asked.rounds)]
    ratios = [a[0] / b[0] for a, b in rows]
    speed, memory = (statistics.median(a[i] for a, _ in rows) for i in range(2))
    beside = statistics.median(b[0] for _, b in rows), statistics.median(b[1] for _, b in rows)
    print(
        f"{name:16} {speed:6.1f} against {beside[0]:6.1f} images/s, ratio {statistics.median(ratios):.2f}"
        f" ({min(ratios):.2f} to {max(ratios):.2f}), peak memory {memory:.0f} against {beside[1]:.0f} MB",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=24, help="counted; a loader has some batches ready before")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=NAMES)
    parser.add_argument("--backbone", default=RESNET)
    parser.add_argument("--tokens", default=VIT, help="the backbone of methods that need a transformer")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--plain", action="store_true", help="against the plain scripts, which are for a CPU")
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    parser.add_argument("--turn", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    if asked.turn:
        print(json.dumps(measured(asked, *asked.turn)))
        return
    with tempfile.TemporaryDirectory() as folder:
        asked.folder = folder
        draw(discover().get("task", "brain_tumor", where="benchmark").load(), Path(folder) / "brain_tumor", cases=256)
        device = torch.cuda.get_device_name() if asked.device != "cpu" else f"{torch.get_num_threads()} threads"
        print(f"{asked.size} px, batch {asked.batch}, {device}, torch {torch.__version__}")
        for name in [n for n in asked.methods if n in PLAIN] if asked.plain else asked.methods:
            tokens = discover().get("method", name, where="benchmark").info.get("needs") == "tokens"
            backbone = asked.tokens if tokens else asked.backbone
            other = ("plain", name, RESNET) if asked.plain else ("engine", "simclr", backbone)
            compare(asked, name, ("engine", name, backbone), other)


if __name__ == "__main__":
    main()
