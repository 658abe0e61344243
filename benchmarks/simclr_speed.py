"""SimCLR pretraining, images a second: this engine against the plainest script a user would write with lightly.

The script: SimCLRTransform on PIL images in a DataLoader of two workers, the same timm encoder, head, loss, optimiser,
batch and size. Both see the same image files; the two take turns, and the ratio is of neighbouring runs.

    python benchmarks/simclr_speed.py --size 64 --images FOLDER     (default: a phantom of brain_tumor)
"""

import argparse
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from bench.data.cache import decoded
from bench.data.phantom import draw
from bench.entries import MethodEntry, settings
from bench.pretrain import pretrain
from bench.recipes import Pretrain
from bench.registry import discover
from bench.sources import folder_cases


def plain_script(files, size, batch, steps, device):
    """Images a second of `steps` steps, after one step that is not counted."""
    import timm
    from lightly.loss import NTXentLoss
    from lightly.models.modules.heads import SimCLRProjectionHead
    from lightly.transforms import SimCLRTransform
    from PIL import Image

    class Files(torch.utils.data.Dataset):
        def __init__(self):
            self.transform = SimCLRTransform(input_size=size)

        def __len__(self):
            return len(files)

        def __getitem__(self, index):
            return self.transform(Image.open(files[index]).convert("RGB"))

    backbone = timm.create_model("resnet18", num_classes=0).to(device)
    head = SimCLRProjectionHead(512, 2048, 128).to(device)
    criterion = NTXentLoss(0.1)
    optimiser = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=1e-3)
    loader = torch.utils.data.DataLoader(
        Files(), batch, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True
    )
    done, began = 0, 0.0
    while True:
        for first, second in loader:
            if done == 1:
                began = time.perf_counter()
            loss = criterion(head(backbone(first.to(device))), head(backbone(second.to(device))))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()
            done += 1
            if done == steps + 1:
                return steps * batch / (time.perf_counter() - began)


def ours(images, recipe, device, steps):
    """Images a second of `steps` steps of the engine, after one step that is not counted."""
    from bench.run import build_method

    plugin = discover().get("method", "simclr", where="benchmark")
    entry = MethodEntry("simclr", plugin, settings(plugin, {}, "benchmark"), recipe, {})
    clock = []
    pretrain(
        partial(build_method, entry, "random"),
        images,
        recipe,
        views=plugin.load().views,
        seed=0,
        device=device,
        progress=lambda what, done, of: clock.append(time.perf_counter()),
    )
    return steps * recipe.batch_size / (clock[steps] - clock[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=Path, help="folder of images")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = asked.images
        if images is None:
            images = Path(folder) / "brain_tumor"
            draw(discover().get("task", "brain_tumor", where="benchmark").load(), images, cases=512)
        files = [case.image for case in folder_cases(images)]
        epochs = -(-(asked.steps + 1) // (len(files) // asked.batch))
        recipe = Pretrain(backbone="resnet18", image_size=asked.size, batch_size=asked.batch, epochs=epochs)
        needed = (asked.steps + 1) * asked.batch  # the engine runs whole epochs: one of just as many images, if it can
        began = time.perf_counter()
        array = decoded(files, recipe.sources, "benchmark", Path(folder))
        print(f"{len(files)} images decoded once, to {recipe.sources} px, in {time.perf_counter() - began:.1f} s")
        rows = []
        for _ in range(asked.rounds):
            mine = ours(array[:needed], recipe, asked.device, asked.steps)
            plain = plain_script(files, asked.size, asked.batch, asked.steps, asked.device)
            rows.append((mine, plain))
            print(
                f"{asked.size} px: bench {mine:.1f} images/s, plain lightly {plain:.1f}, ratio {mine / plain:.2f}",
                flush=True,
            )
    ratio = statistics.median(a / b for a, b in rows)
    print(f"median ratio {ratio:.2f} ({asked.device}, {torch.get_num_threads()} threads, torch {torch.__version__})")


if __name__ == "__main__":
    main()
