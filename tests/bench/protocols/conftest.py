"""A task of flat colours that any encoder can tell, and a small encoder that counts its passes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bench.spec import Case, Context, Encoder, Features, Splits, TaskInfo

CLASSES = ("red", "green", "blue")


class Counting(Encoder):
    """Convolution, batch-norm, mean; `passes` counts how often it was asked."""

    dim, map_dims, strides, image_size = 8, (8,), (2,), 16
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.passes = 0

    def forward(self, images):
        self.passes += 1
        maps = self.norm(self.conv(images)).relu()
        return Features(maps.mean((2, 3)), (maps,))


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """For every test of this folder."""


@pytest.fixture
def encoder() -> Callable[[], Counting]:
    return Counting


@pytest.fixture(scope="session")
def colours(tmp_path_factory) -> Splits:
    """33 + 15 + 12 noisy images; a sixth of the training and validation labels are wrong, so that choices differ."""
    folder, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    parts = []
    for name, count in (("train", 33), ("val", 15), ("test", 12)):
        cases = []
        for i in range(count):
            path = folder / f"{name}{i}.png"
            pixels = rng.normal(110, 50, (24, 24, 3))
            pixels[..., i % 3] += 60
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
            wrong = name != "test" and i % 6 == 5
            cases.append(Case(path.stem, path, (i + wrong) % 3))
        parts.append(tuple(cases))
    return Splits(*parts)


@pytest.fixture
def make_context(colours, tmp_path) -> Callable[..., Context]:
    """A context over the colours; any of its fields can be given."""
    info = TaskInfo(
        name="colours", title="", modality="", classes=CLASSES, case="image", licence="", citation="", url="",
        layout={}, protocols=(),
    )  # fmt: skip
    plain = Context(
        task=info, splits=colours, fingerprint="colours", seed=0, device="cpu", cache=tmp_path / "cache",
        progress=lambda what, done, of: None,
    )  # fmt: skip
    return lambda **changes: replace(plain, **changes)


@pytest.fixture
def poisoned(colours, tmp_path) -> Splits:
    """The same, but every test image is another and has another label."""
    rng, cases = np.random.default_rng(1), []
    for case in colours.test:
        path = tmp_path / f"{case.id}.png"
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(path)
        cases.append(Case(case.id, path, (case.target + 1) % 3))
    return replace(colours, test=tuple(cases))
