"""A training step of LVM-Med against one of SimCLR: same backbone, images, views, batch and optimiser, in one run.

The two take turns, and the ratio is of neighbouring steps.

    python benchmarks/lvm_med_step.py --size 96 --batch 64                  (two cores: ResNet-18)
    python benchmarks/lvm_med_step.py --backbone resnet50 --size 224 --batch 256 --device cuda --bf16
"""

import argparse
import statistics
import time

import numpy as np
import torch

from bench.encoders.timm import TimmEncoder
from bench.random import generator
from bench.registry import discover
from bench.spec import Views
from bench.views import draw_views


def prepared(name, asked, settings):
    """A step of the method: views, forward, backward, optimiser."""
    torch.manual_seed(0)
    plugin = discover().get("method", name, where="benchmark")
    method = plugin.load()(TimmEncoder(asked.backbone, image_size=asked.size), **settings)
    method = method.to(asked.device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (asked.batch, asked.size * 2, asked.size * 2, 3), dtype=np.uint8)
    source = torch.from_numpy(images).to(asked.device).permute(0, 3, 1, 2)
    views, encoder = Views(global_scale=(0.4, 1.0)), method.encoder

    def step(number):
        draws = generator("views", number)
        both = draw_views(source, views, asked.size, mean=encoder.mean, std=encoder.std, generator=draws)
        with torch.autocast(torch.device(asked.device).type, torch.bfloat16, enabled=asked.bf16):
            loss = method(both)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        method.logged.clear()
        return loss

    return step


def timed(step, number, device):
    began = time.perf_counter()
    step(number)
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--graph-size", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    asked = parser.parse_args()
    ours = prepared("lvm_med", asked, {"graph_size": asked.graph_size})
    theirs = prepared("simclr", asked, {})
    for number in range(2):  # compilation, allocation
        timed(ours, number, asked.device), timed(theirs, number, asked.device)
    pairs = [(timed(ours, n, asked.device), timed(theirs, n, asked.device)) for n in range(2, 2 + asked.steps)]
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = sorted(a / b for a, b in pairs)
    name = torch.cuda.get_device_name() if asked.device != "cpu" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{asked.backbone}, {asked.size} px, batch {asked.batch}, graphs of {asked.graph_size}, {name}")
    rates = asked.batch / mine, asked.batch / other
    low, middle, high = (ratios[round(share * (len(ratios) - 1))] for share in (0.25, 0.5, 0.75))
    print(f"LVM-Med {mine:.3f} s, SimCLR {other:.3f} s a step; {rates[0]:.1f} and {rates[1]:.1f} images/s")
    print(f"ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
