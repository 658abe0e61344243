"""Distances between surfaces are those of the definition, pair by pair, and of monai; and the hand-worked ones."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bench.surfaces import compare, hd95, nsd

GRIDS = {
    "2D": ((40, 52), (1.0, 1.0)),
    "2D, anisotropic": ((52, 40), (0.7, 2.5)),
    "3D": ((20, 24, 22), (1.0, 1.0, 1.0)),
    "3D, anisotropic": ((24, 22, 12), (1.5, 0.8, 3.0)),
}


def blobs(shape: tuple[int, ...], seed: int, above: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Two masks that are much alike: smooth noise above a threshold, and the same with noise added."""
    generator = np.random.default_rng(seed)
    first, second = (gaussian_filter(generator.standard_normal(shape), 2.5) for _ in range(2))
    return first > above * first.std(), first + 0.4 * second > above * first.std()


def mask(shape: tuple[int, ...], *pixels: tuple[int, ...]) -> np.ndarray:
    found = np.zeros(shape, bool)
    for pixel in pixels:
        found[pixel] = True
    return found


def box(shape: tuple[int, ...], *ends: tuple[int, int]) -> np.ndarray:
    found = np.zeros(shape, bool)
    found[tuple(slice(*end) for end in ends)] = True
    return found


def slow_surface(found: np.ndarray) -> list[tuple[int, ...]]:
    def taken(pixel: tuple[int, ...]) -> bool:
        return all(0 <= i < n for i, n in zip(pixel, found.shape, strict=True)) and bool(found[pixel])

    def neighbours(pixel: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [(*pixel[:a], pixel[a] + step, *pixel[a + 1 :]) for a in range(found.ndim) for step in (-1, 1)]

    everywhere = itertools.product(*map(range, found.shape))
    return [pixel for pixel in everywhere if taken(pixel) and not all(map(taken, neighbours(pixel)))]


def slow(predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...], tolerance: float) -> tuple[float, float]:
    """Both metrics from their definitions: every pair of surface pixels, a sorted list, a count."""

    def place(pixel: tuple[int, ...]) -> list[float]:
        return [i * size for i, size in zip(pixel, spacing, strict=True)]

    def directed(these: list[tuple[int, ...]], those: list[tuple[int, ...]]) -> list[float]:
        return sorted(min(math.dist(place(a), place(b)) for b in those) for a in these)

    def percentile(ordered: list[float]) -> float:
        rank = 95 * (len(ordered) - 1) / 100
        low = math.floor(rank)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (rank - low) * (ordered[high] - ordered[low])

    p, t = slow_surface(predicted), slow_surface(truth)
    ways = directed(p, t), directed(t, p)
    within = sum(distance <= tolerance for way in ways for distance in way)
    return max(map(percentile, ways)), within / (len(p) + len(t))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("full", [0.03, 0.5, 0.9])
@pytest.mark.parametrize(
    ("shape", "spacing"), [((9, 7), (1.0, 1.0)), ((8, 9), (0.3, 1.7)), ((4, 6, 5), (1.1, 3.0, 0.7))]
)
def test_they_are_those_of_the_definition(shape, spacing, full: float, seed: int):
    generator = np.random.default_rng(seed)
    predicted, truth = (generator.random(shape) < full for _ in range(2))
    predicted.flat[seed] = truth.flat[-1 - seed] = True  # none is empty
    for tolerance in (0.0, 0.75, 2.2):
        expected = slow(predicted, truth, spacing, tolerance)
        assert compare(predicted, truth, spacing, tolerance) == pytest.approx(expected, abs=1e-12)


@pytest.fixture
def exact_percentiles(monkeypatch):
    """monai's percentiles in double precision: in single, torch.quantile misses the rank between order statistics."""
    quantile = torch.quantile
    monkeypatch.setattr(torch, "quantile", lambda distances, q: quantile(distances.double(), q))


def monais(
    predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...], tolerance: float
) -> tuple[float, float]:
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    p, t = (torch.from_numpy(found)[None, None].float() for found in (predicted, truth))
    asked = {"include_background": True, "spacing": spacing}
    return (
        float(compute_hausdorff_distance(p, t, percentile=95, directed=False, **asked)),
        float(compute_surface_dice(p, t, [tolerance], **asked)),
    )


def cases(shape: tuple[int, ...]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Masks that are easily got wrong, in pairs."""
    last = tuple(n - 1 for n in shape)
    first = tuple(0 for _ in shape)
    middle = tuple(n // 2 for n in shape)
    line = box(shape, (2, shape[0] - 2), *((i, i + 1) for i in middle[1:]))
    return {
        **{f"blobs {seed}": blobs(shape, seed) for seed in range(4)},
        "small blobs": blobs(shape, 4, above=1.5),
        "blobs that fill the grid": blobs(shape, 5, above=-1.0),
        "the whole grid": (np.ones(shape, bool), blobs(shape, 6)[1]),
        "corner to corner": (mask(shape, first), mask(shape, last)),
        "a pixel against a blob": (mask(shape, last), blobs(shape, 7)[1]),
        "a blob against a pixel": (blobs(shape, 8)[0], mask(shape, middle)),
        "the same pixel": (mask(shape, middle), mask(shape, middle)),
        "a line against a slanting line": (line, mask(shape, *((i,) * len(shape) for i in range(min(shape))))),
        "a line against a blob": (line, blobs(shape, 9)[1]),
        "a box at the border": (box(shape, *((0, 6) for _ in shape)), box(shape, *((n - 7, n) for n in shape))),
    }


@pytest.mark.filterwarnings("ignore:monai.metrics:FutureWarning")
@pytest.mark.parametrize("grid", GRIDS)
def test_they_are_monais(grid: str, exact_percentiles):
    shape, spacing = GRIDS[grid]
    for name, (predicted, truth) in cases(shape).items():
        for tolerance in (0.5, 2.0, 3.0):
            expected = monais(predicted, truth, spacing, tolerance)
            assert compare(predicted, truth, spacing, tolerance) == pytest.approx(expected, rel=1e-6, abs=1e-6), name


def test_a_shift_by_a_pixel():
    """A box of 4 x 4, 12 pixels of surface, moved by a row of 3 mm; columns are 1 mm apart.

    In each direction the 4 pixels of the front are 3 mm from the other box, the inner 2 of the back 1 mm from its
    sides, and the 6 that are left lie on its sides.
    """
    truth, predicted = box((10, 10), (2, 6), (3, 7)), box((10, 10), (3, 7), (3, 7))
    assert compare(predicted, truth, (3.0, 1.0), 0.5) == (3.0, 6 / 12)
    assert compare(predicted, truth, (3.0, 1.0), 1.0) == (3.0, 8 / 12)
    assert compare(predicted, truth, (3.0, 1.0), 3.0) == (3.0, 1.0)
    assert compare(predicted, truth, (1.0, 3.0), 0.5) == (1.0, 6 / 12)


@pytest.mark.parametrize(
    ("spacing", "distance"), [((1.0, 1.0), 5.0), ((2.0, 1.0), math.sqrt(52)), ((1.0, 2.0), math.sqrt(73))]
)
def test_two_points_at_a_known_distance(spacing: tuple[float, float], distance: float):
    predicted, truth = mask((7, 9), (1, 2)), mask((7, 9), (4, 6))  # 3 rows and 4 columns apart
    found, within = compare(predicted, truth, spacing, distance)
    assert found == pytest.approx(distance, rel=1e-15)
    assert within == 1.0
    assert compare(predicted, truth, spacing, 0.999 * distance)[1] == 0.0


def test_hd95_is_of_the_worse_direction_and_between_order_statistics():
    near, far = np.zeros(20), np.array([0.0] * 19 + [4.0, 10.0])
    assert hd95(near, far) == hd95(far, near) == 4.0  # rank 19 of 0 to 20
    assert hd95(near, far[1:]) == pytest.approx(4.0 + 0.05 * 6.0)  # rank 18.05 of 0 to 19


def test_a_distance_equal_to_the_tolerance_is_within_it_whatever_its_last_bits():
    predicted, truth = mask((1, 9), (0, 1)), mask((1, 9), (0, 4))
    for size in (0.1, float(np.float32(0.1)), 0.7, float(np.float32(0.7))):
        assert compare(predicted, truth, (1.0, size), round(3 * size, 3))[1] == 1.0
        assert compare(predicted, truth, (1.0, size), round(3 * size, 3) - 1e-4)[1] == 0.0
    assert nsd(np.array([2.0]), np.array([2.001]), 2.0) == 0.5


@pytest.mark.parametrize("grid", GRIDS)
def test_nothing_but_the_masks_matters(grid: str):
    """Neither the order of the masks, nor empty room around them, nor the axes' order if the spacing's goes with it."""
    shape, spacing = GRIDS[grid]
    room = tuple((1 + axis, 3) for axis in range(len(shape)))
    predicted, truth = (np.pad(found, 1) for found in blobs(shape, 11))
    expected = pytest.approx(compare(predicted, truth, spacing, 1.0), rel=1e-12)
    assert compare(truth, predicted, spacing, 1.0) == expected
    assert compare(np.pad(predicted, room), np.pad(truth, room), spacing, 1.0) == expected
    assert compare(predicted.T, truth.T, spacing[::-1], 1.0) == expected
    kept = predicted.copy(), truth.copy()
    compare(predicted, truth, spacing, 1.0)
    assert (kept[0] == predicted).all()
    assert (kept[1] == truth).all()


def test_empty_masks():
    empty, some = np.zeros((3, 4), bool), mask((3, 4), (1, 1))
    assert compare(empty, empty, (1.0, 1.0), 2.0) == (0.0, 1.0)
    for predicted, truth in ((empty, some), (some, empty)):
        assert compare(predicted, truth, (1.0, 1.0), 100.0) == (5.0, 0.0)
        assert compare(predicted, truth, (4.0, 1.25), 100.0) == (13.0, 0.0)


@pytest.mark.parametrize(
    "spacing", [(1.0,), (1.0, 1.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (1.0, math.nan), (math.inf, 1.0)]
)
def test_a_spacing_that_means_nothing_is_refused(spacing: tuple[float, ...]):
    with pytest.raises(ValueError, match="spacing is"):
        compare(np.ones((3, 4), bool), np.ones((3, 4), bool), spacing, 2.0)
