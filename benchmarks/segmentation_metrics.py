"""CPU time of Dice, IoU, HD95 and surface Dice: `bench.metrics.segmentation` against monai's functions for each.

    python benchmarks/segmentation_metrics.py [--cases 1000] [--volumes 20] [--batch 8]

Masks of 512 x 512 with a few blobs, and volumes of 160 x 160 x 80 (1.5 x 1.5 x 3 mm) with two structures; a prediction
is the truth with its surfaces moved by some four pixels. Ours starts from class maps, a case a call. monai starts from
one-hot maps in the type that it is fastest with, made before the clock starts, a case a call and a batch a call; the
faster of these counts. The sides take turns batch by batch, with one thread each. A difference is relative to the value
where that is above 1, and absolute below. torch.quantile takes the rank between order statistics in single precision,
which moves monai's HD95: it is compared as it is, and with that one step in double precision.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from unittest.mock import patch

import monai
import numpy as np
import torch
import torch.nn.functional as F
from monai.metrics import compute_hausdorff_distance, compute_iou, compute_surface_dice
from monai.metrics.meandice import compute_dice

from bench.metrics import segmentation

TOLERANCE = 2.0
SETS = {  # shape, spacing, structures and how many blobs each has
    "cases": ((512, 512), (1.0, 1.0), 1, 3),
    "volumes": ((160, 160, 80), (1.5, 1.5, 3.0), 2, 1),
}
METRICS = ("dice", "iou", "hd95", "nsd")


def draw(shape: tuple[int, ...], structures: int, blobs: int, generator: torch.Generator) -> torch.Tensor:
    """A class map of bent ellipsoids, 0.08 to 0.25 of the grid in radius: uint8, of the shape asked for."""
    labels = torch.zeros(shape, dtype=torch.uint8)
    axes = torch.meshgrid(*(torch.linspace(0, 1, n) for n in shape), indexing="ij")
    for blob in range(structures * blobs):
        centre = 0.3 + 0.4 * torch.rand(len(shape), generator=generator)
        radius = 0.08 + 0.17 * torch.rand(len(shape), generator=generator)
        distance = sum(((x - c) / r) ** 2 for x, c, r in zip(axes, centre, radius, strict=True))
        labels[distance < 1] = 1 + blob % structures
    return warp(labels, 0.03 * min(shape), generator)


def warp(labels: torch.Tensor, pixels: float, generator: torch.Generator) -> torch.Tensor:
    """Labels moved by smooth noise of about so many pixels along each axis."""
    shape = labels.shape
    coarse = torch.randn(1, len(shape), *(8 for _ in shape), generator=generator)
    field = F.interpolate(coarse, shape, mode="bilinear" if len(shape) == 2 else "trilinear")
    by = field.movedim(1, -1) * 2 * pixels / torch.tensor(shape[::-1])
    grid = F.affine_grid(torch.eye(len(shape), len(shape) + 1)[None], [1, 1, *shape], align_corners=False) + by
    return F.grid_sample(labels[None, None].float(), grid, mode="nearest", align_corners=False)[0, 0].byte()


def batches(name: str, count: int, batch: int) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    shape, _, structures, blobs = SETS[name]
    generator = torch.Generator().manual_seed(0)
    for start in range(0, count, batch):
        truths = [draw(shape, structures, blobs, generator) for _ in range(min(batch, count - start))]
        yield [(warp(truth, 4.0, generator).numpy(), truth.numpy()) for truth in truths]


def one_hot(maps: list[np.ndarray], regions: dict[str, tuple[int, ...]]) -> torch.Tensor:
    """(case, region, ...), float32: of float, bool and uint8 the type that monai is fastest with."""
    masks = [[np.isin(labels, region) for region in regions.values()] for labels in maps]
    return torch.from_numpy(np.array(masks, np.float32))


def monais(p: torch.Tensor, t: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
    """(case, region, metric)."""
    values = (
        compute_dice(p, t),
        compute_iou(p, t),
        hausdorff(p, t, spacing),
        compute_surface_dice(p, t, [TOLERANCE] * p.shape[1], include_background=True, spacing=spacing),
    )
    return torch.stack(values, dim=2)


def hausdorff(p: torch.Tensor, t: torch.Tensor, spacing: tuple[float, ...]) -> torch.Tensor:
    return compute_hausdorff_distance(p, t, include_background=True, percentile=95, spacing=spacing)


def timed(function: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    began = time.process_time()
    values = function()
    return time.process_time() - began, values.double()


def differences(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """The largest over cases and regions, for each metric."""
    return ((ours - theirs).abs() / theirs.clamp(min=1)).amax((0, 1))


def measure(name: str, count: int, batch: int) -> tuple[dict[str, float], torch.Tensor]:
    """CPU seconds of each side, and the largest difference of each metric; last, of HD95 in double precision."""
    _, spacing, structures, _ = SETS[name]
    regions = {str(label): (label,) for label in range(1, structures + 1)}
    seconds, apart = dict.fromkeys(("ours", "by case", "by batch"), 0.0), torch.zeros(len(METRICS) + 1).double()
    quantile = torch.quantile
    for pairs in batches(name, count, batch):
        p, t = (one_hot(list(maps), regions) for maps in zip(*pairs, strict=True))

        def ours(pairs=pairs) -> torch.Tensor:
            found = [segmentation(*pair, regions, spacing=spacing, tolerance=TOLERANCE) for pair in pairs]
            rows = [[[of[f"{metric}_{region}"] for metric in METRICS] for region in regions] for of in found]
            return torch.tensor(rows, dtype=torch.double)

        def by_case(p=p, t=t) -> torch.Tensor:
            return torch.cat([monais(*pair, spacing) for pair in zip(p.split(1), t.split(1), strict=True)])

        def by_batch(p=p, t=t) -> torch.Tensor:
            return monais(p, t, spacing)

        values = {}
        for side, function in zip(seconds, (ours, by_case, by_batch), strict=True):
            spent, values[side] = timed(function)
            seconds[side] += spent
        with patch.object(torch, "quantile", lambda distances, q: quantile(distances.double(), q)):
            exact = hausdorff(p, t, spacing).double()
        as_is = differences(values["ours"], values["by batch"])
        hd95 = differences(values["ours"][..., 2:3], exact[..., None])
        apart = apart.maximum(torch.cat([as_is, hd95]))
    return seconds, apart


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--volumes", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="monai")
    print(f"CPU seconds, and the largest differences; torch {torch.__version__}, monai {monai.__version__}")
    columns = "".join(f"{metric:>12}" for metric in (*METRICS, "exact hd95"))
    print(f"{'':26}{'ours':>8}{'monai: case':>13}{'batch':>8}{'ratio':>7}{columns}")
    for name in SETS:
        measure(name, 2, 2)  # imports and first calls are not counted
        seconds, apart = measure(name, getattr(asked, name), asked.batch)
        ours, *theirs = seconds.values()
        title = f"{getattr(asked, name)} {name}, {' x '.join(map(str, SETS[name][0]))}"
        columns = "".join(f"{value:12.0e}" for value in apart)
        print(f"{title:26}{ours:8.2f}{theirs[0]:13.2f}{theirs[1]:8.2f}{min(theirs) / ours:7.1f}{columns}", flush=True)


if __name__ == "__main__":
    main()
