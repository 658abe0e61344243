"""What the scheduler costs: jobs that do nothing, through `local` and in one process; and a run with nothing to do.

    python benchmarks/scheduler_overhead.py [--jobs 10000] [--workers 1]

A job's own time is what it takes in this process: claim, data, record on disk. What `local` takes above that, per job,
is its overhead. Then the same command is run again, which has nothing to do but read every record and print the board.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

TASK = '''
"""A task of six images."""

from bench.data.folders import index_by_stem
from bench.spec import Case, Image, Part, Splits, task


@task("dots", title="Dots", modality="none", classes=("a", "b"), case="image", licence="none", citation="none",
      url="https://example.org", layout={"all": Part(6, (Image("{n}.png"),))}, protocols=("trivial",))
def dots(folder):
    cases = [Case(k, p, n % 2) for n, (k, p) in enumerate(sorted(index_by_stem(folder).items()))]
    return Splits(tuple(cases[:2]), tuple(cases[2:4]), tuple(cases[4:]))
'''
PLUGINS = '''
"""An encoder and a protocol that do nothing."""

import numpy as np
import torch

from bench.spec import Encoder, Features, Scores, foundation_model, protocol


class Nothing(Encoder):
    dim, map_dims, strides, image_size = 1, (1,), (1,), 8
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return Features(images.mean((1, 2, 3))[:, None] * self.weight, ())


@foundation_model("nothing", paper="none", licence="none", trained_on="nothing")
def nothing(backbone, weights, image_size):
    return Nothing()


@protocol("trivial", title="nothing at all")
def trivial(encoder, context):
    cases = tuple(case.id for case in context.splits.test)
    return Scores(cases, {"accuracy": np.ones(len(cases)), "log_loss": np.zeros(len(cases))}, {})
'''
GRID = """
plugins = ["plugins.py", "dots.py"]
[bench]
seeds = {seeds}
[methods]
nothing = {{ weights = "random" }}
[tasks]
dots = {{}}
[executor]
kind = "{kind}"
workers = {workers}
device = "cpu"
"""


def lay(folder: Path, jobs: int, kind: str, workers: int) -> None:
    (folder / "data" / "dots").mkdir(parents=True)
    (folder / "plugins.py").write_text(PLUGINS)
    (folder / "dots.py").write_text(TASK)
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / "data" / "dots" / f"{number}.png")
    (folder / "bench.toml").write_text(GRID.format(seeds=list(range(jobs)), kind=kind, workers=workers))


def timed(folder: Path) -> float:
    began = time.perf_counter()
    bench = Path(sys.executable).with_name("bench")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run([bench, "run"], cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    print(f"   {done.stdout.strip().splitlines()[-2]}   {seconds:.1f} s", flush=True)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    taken = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, workers in (("inline", 1), ("local", asked.workers)):
            for jobs in (1, asked.jobs):
                place = Path(folder) / f"{kind}-{jobs}"
                lay(place, jobs, kind, workers)
                taken[kind, jobs] = timed(place)
                if jobs > 1:
                    again = timed(place)
                    start = timed(Path(folder) / f"{kind}-1")
                    print(
                        f"{kind}: nothing to do over {jobs} cells: {again:.2f} s, {again - start:.2f} above one cell's"
                    )
    own = (taken["inline", asked.jobs] - taken["inline", 1]) / (asked.jobs - 1)
    through = (taken["local", asked.jobs] - taken["local", 1]) / (asked.jobs - 1)
    print(f"own time {1e3 * own:.2f} ms a job; through local with {asked.workers} workers {1e3 * through:.2f} ms")
    print(f"overhead {1e3 * (through * asked.workers - own):.2f} ms of a worker's time a job")


if __name__ == "__main__":
    main()
