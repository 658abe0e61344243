"""CPU time of a random view: `bench.views` against lightly's SimCLRTransform on Pillow images.

    python benchmarks/views_speed.py [--threads 1] [--batch 64] [--repeats 10]
    python benchmarks/views_speed.py --device cuda --batch 256       ours alone, on a GPU

Both sides start from decoded images and end with two batches of normalised views: ours from one call, lightly's from
one call an image and `torch.stack`, as a DataLoader worker does it. CPU time is summed over all threads; each number is
the least of some repeats, which alternate between the sides. Compare with lightly at one thread, as its workers run:
with more, CPU time includes threads that only wait.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from _clock import synchronize
from lightly.transforms import SimCLRTransform
from lightly.transforms.utils import IMAGENET_NORMALIZE
from torchvision.transforms.v2.functional import to_pil_image

from bench.spec import Views
from bench.views import draw_views

SIZES = ((64, 160), (224, 256))  # of the view and of the source, in pixels


def photographs(n: int, side: int) -> torch.Tensor:
    """Smooth colourful 8-bit images: (n, 3, side, side)."""
    coarse = torch.rand(n, 3, side // 8, side // 8, generator=torch.Generator().manual_seed(0))
    return (255 * F.interpolate(coarse, (side, side), mode="bicubic")).clamp(0, 255).byte()


def contestants(size: int, source: int, batch: int) -> dict[str, Callable[[], object]]:
    images = photographs(batch, source)
    interleaved = images.contiguous(memory_format=torch.channels_last)
    pillow = [to_pil_image(image) for image in images]
    transform = SimCLRTransform(input_size=size, gaussian_blur=0.5)
    generator = torch.Generator().manual_seed(0)

    def ours(source: torch.Tensor) -> object:
        return draw_views(source, Views(), size, **IMAGENET_NORMALIZE, generator=generator)

    def lightlys() -> object:
        return [torch.stack(views) for views in zip(*map(transform, pillow), strict=True)]

    return {"lightly": lightlys, "ours": lambda: ours(images), "ours, channels_last": lambda: ours(interleaved)}


def on_gpu(options: argparse.Namespace) -> None:
    """Milliseconds of two views of a batch: until the GPU has them, and until the program may go on."""
    for size, source in SIZES:
        images, generator = photographs(options.batch, source).to(options.device), torch.Generator().manual_seed(0)
        spent = []
        for _ in range(options.repeats + 2):
            synchronize(options.device)
            began = time.perf_counter()
            draw_views(images, Views(), size, **IMAGENET_NORMALIZE, generator=generator)
            asked = time.perf_counter() - began
            synchronize(options.device)
            spent.append((time.perf_counter() - began, asked))
        done, asked = (1000 * sorted(column)[len(column) // 2] for column in zip(*spent[2:], strict=True))
        print(f"{source} to {size} px, batch {options.batch}: two views in {done:.2f} ms, asked for in {asked:.2f} ms")


def least(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """Least CPU and least wall seconds of each function; the first call does not count."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            cpu, wall = time.process_time(), time.perf_counter()
            function()
            spent = (time.process_time() - cpu, time.perf_counter() - wall)
            if repeat:
                times[name].append(spent)
    return {name: (min(cpu for cpu, _ in spent), min(wall for _, wall in spent)) for name, spent in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.device != "cpu":
        on_gpu(options)
        return
    torch.set_num_threads(options.threads)
    torch.empty(31 * 2**18).fill_(0)  # freed at once: malloc now keeps what it is given back, as in a training process
    print(f"microseconds a view, batch {options.batch}, {options.threads} threads, torch {torch.__version__}")
    print(f"{'source':>6} {'view':>5}  {'':20} {'CPU':>7} {'wall':>7} {'CPU of lightly / this':>22}")
    for size, source in SIZES:
        times = least(contestants(size, source, options.batch), options.repeats)
        for name, spent in times.items():
            cpu, wall = (1e6 * seconds / (2 * options.batch) for seconds in spent)
            print(f"{source:6} {size:5}  {name:20} {cpu:7.0f} {wall:7.0f} {times['lightly'][0] / spent[0]:22.2f}")


if __name__ == "__main__":
    main()
