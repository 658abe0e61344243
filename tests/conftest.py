"""What tests share: phantoms of two shipped tasks, a grid written to where a test works, and records made by hand."""

import socket
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data.phantom import draw
from bench.plan import Job
from bench.registry import discover
from bench.store import Record, Store, write_scores

CASES = 40  # of each published part


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch):
    """A test never depends on where the machine's own data lie."""
    monkeypatch.delenv("BENCH_DATA", raising=False)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """A data root with brain_tumor/ and fgadr/ in their published layouts. Not to be changed by a test."""
    root = tmp_path_factory.mktemp("data")
    for name in ("brain_tumor", "fgadr"):
        draw(discover().get("task", name, where="tests").load(), root / name, cases=CASES)
    return root


@pytest.fixture
def no_network(monkeypatch) -> list[tuple[Any, ...]]:
    """Every attempt to reach another machine, none of which succeeds."""
    tried: list[tuple[Any, ...]] = []

    def refuse(*address, **_):
        tried.append(address)
        raise OSError("a test tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.fixture
def one_thread():
    """Networks so small that more threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def write_grid(tmp_path) -> Callable[[str], Path]:
    """Write the text of a grid to tmp_path/bench.toml."""

    def write(text: str) -> Path:
        path = tmp_path / "bench.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def finish() -> Callable[..., Record]:
    """Commit a record of a job, as if it had been run: `finish(job, store, values=[1.0, 0.0], **facts)`."""
    clock = count()

    def commit(job: Job, store: Store, values: Sequence[float] = (1.0, 0.0, 1.0, 1.0), **facts: Any) -> Record:
        cases = tuple(f"case {i}" for i in range(len(values)))
        said = {
            **{"id": job.id, "key": job.key, "kind": job.kind, "parts": job.parts, "seed": job.seed},
            "method": job.method.label,
            "task": job.task.name if job.task else "",
            "protocol": job.protocol.plugin.name if job.protocol else "",
            "phantom": job.phantom,
            "data": [
                {"name": s.name, "kind": s.kind, "fingerprint": s.fingerprint, "found": s.found, "official": s.official}
                for s in job.sources
            ],
            "started": f"2026-01-01T00:00:{next(clock):06d}+00:00",
            "seconds": 1.0,
            "primary": "accuracy",
            "summary": {"accuracy": float(np.mean(values))},
        }
        scores = {"accuracy": np.array(values, np.float64)}
        return store.commit({**said, **facts}, lambda draft: write_scores(draft / "scores.csv", cases, scores))

    return commit


DOTS = '''
"""An encoder that does nothing, and a protocol that does what its seed says."""

import ctypes
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from bench.data.folders import index_by_stem
from bench.spec import Case, Encoder, Features, Image, Part, Scores, Splits, foundation_model, protocol, task


class Nothing(Encoder):
    dim, map_dims, strides, image_size = 1, (1,), (1,), 8
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def forward(self, images):
        return Features(images.mean((1, 2, 3))[:, None], ())


@foundation_model("nothing", paper="none", licence="none", trained_on="nothing")
def nothing(backbone, weights, image_size):
    return Nothing()


@task("dots", title="Dots", modality="none", classes=("a", "b"), case="image", licence="none", citation="none",
      url="https://example.org", layout={"all": Part(6, (Image("{n}.png"),))}, protocols=("told",))
def dots(folder):
    cases = [Case(k, p, n % 2) for n, (k, p) in enumerate(sorted(index_by_stem(folder).items()))]
    return Splits(tuple(cases[:2]), tuple(cases[2:4]), tuple(cases[4:]))


def once(context, name):
    """Whether this is the first time."""
    try:
        (context.cache / name).mkdir(parents=True)
    except FileExistsError:
        return False
    return True


@protocol("told", title="what the seed says")
def told(encoder, context):
    if context.seed == 1:
        ctypes.string_at(0)
    if context.seed == 2:
        os._exit(3)
    if context.seed == 3 and once(context, "killed"):
        os.kill(os.getpid(), 9)
    if context.seed == 4:
        while True:
            time.sleep(0.05)
            context.progress("naps", 1, 2)
    context.cache.mkdir(exist_ok=True)
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    (context.cache / f"seed-{context.seed}").write_text(f"{os.getpid()} {cores}")
    time.sleep(0.3)
    cases = tuple(case.id for case in context.splits.test)
    return Scores(cases, {"accuracy": np.ones(len(cases)), "log_loss": np.zeros(len(cases))}, {})
'''
DOTS_GRID = """
plugins = ["plugins.py"]
[bench]
seeds = [0, 1, 2, 3, 4, 5, 6, 7]
[methods]
nothing = { weights = "random" }
[tasks]
dots = {}
[executor]
device = "cpu"
workers = 2
"""


@pytest.fixture
def dots(tmp_path) -> Path:
    """A folder with a grid of eight quick cells: an encoder that does nothing, and a protocol told by its seed."""
    (tmp_path / "plugins.py").write_text(DOTS)
    (tmp_path / "data" / "dots").mkdir(parents=True)
    for number in range(6):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(tmp_path / "data" / "dots" / f"{number}.png")
    (tmp_path / "bench.toml").write_text(DOTS_GRID)
    return tmp_path
