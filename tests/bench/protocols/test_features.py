"""Features of a frozen encoder: of a device with little memory the same, in smaller batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.protocols import _data
from bench.protocols._data import extract
from bench.registry import discover
from bench.spec import Context, Encoder, Features, Splits

TOLD = []


class Mean(Encoder):
    """The mean of each image, on a device that has room for so many."""

    dim, map_dims, strides, image_size = 3, (3,), (1,), 4
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, room):
        super().__init__()
        self.room, self.seen = room, []

    def forward(self, images):
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seen.append(len(images))
        return Features(images.mean((2, 3)), ())


@pytest.fixture
def context():
    task = discover().get("task", "brain_tumor", where="here").load().info
    none = Splits((), (), ())
    return Context(
        task=task,
        splits=none,
        fingerprint="",
        seed=0,
        device="cpu",
        cache=Path(),
        progress=lambda *done: TOLD.append(done),
    )


def test_a_batch_that_is_too_large_is_halved_until_it_fits(context, monkeypatch):
    monkeypatch.setattr(_data, "BATCH", 16)
    array = np.random.default_rng(0).integers(0, 256, (37, 3, 4, 4), np.uint8)
    roomy, narrow = Mean(16), Mean(5)
    expected = extract(roomy, array, context)
    TOLD.clear()
    found = extract(narrow, array, context)
    assert np.array_equal(found, expected)
    assert np.allclose(found, array.mean((2, 3)) / 255, atol=1e-6)
    assert narrow.seen == [4] * 9 + [1]
    assert TOLD[-1] == ("features", 37, 37)


def test_not_even_one_image_is_a_failure(context):
    with pytest.raises(torch.OutOfMemoryError):
        extract(Mean(0), np.zeros((2, 3, 4, 4), np.uint8), context)
