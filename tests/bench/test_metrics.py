"""Values of one case of segmentation: monai's where monai has one, the stated ones where a region is empty."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bench.metrics import released, segmentation

REGIONS = {"whole_tumour": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
GRIDS = {
    "2D": ((44, 36), (1.0, 1.0)),
    "2D, anisotropic": ((44, 36), (0.5, 2.0)),
    "3D": ((18, 24, 20), (1.0, 1.0, 1.0)),
    "3D, anisotropic": ((18, 24, 20), (3.0, 1.5, 0.75)),
}


def class_maps(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two class maps that are much alike, of classes 0 to 3, the higher inside the lower."""
    generator = np.random.default_rng(seed)
    first, second = (gaussian_filter(generator.standard_normal(shape), 2.5) for _ in range(2))
    smooth = (first, first + 0.4 * second)
    return tuple(np.digitize(field, [c * first.std() for c in (0.2, 0.7, 1.2)]).astype(np.uint8) for field in smooth)


@pytest.fixture
def exact_percentiles(monkeypatch):
    """monai's percentiles in double precision: in single, torch.quantile misses the rank between order statistics."""
    quantile = torch.quantile
    monkeypatch.setattr(torch, "quantile", lambda distances, q: quantile(distances.double(), q))


def monais(predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, ...], tolerance: float) -> dict[str, float]:
    from monai.metrics import compute_hausdorff_distance, compute_iou, compute_surface_dice
    from monai.metrics.meandice import compute_dice

    p, t = (
        torch.from_numpy(np.stack([np.isin(labels, classes) for classes in REGIONS.values()])[None]).float()
        for labels in (predicted, truth)
    )
    asked = {"include_background": True, "spacing": spacing}
    values = {
        "dice": compute_dice(p, t)[0].double(),
        "iou": compute_iou(p, t)[0].double(),
        "hd95": compute_hausdorff_distance(p, t, percentile=95, directed=False, **asked)[0].double(),
        "nsd": compute_surface_dice(p, t, [tolerance] * len(REGIONS), **asked)[0].double(),
    }
    named = {f"{key}_{name}": float(v[i]) for i, name in enumerate(REGIONS) for key, v in values.items()}
    return {key: float(v.mean()) for key, v in values.items()} | named


@pytest.mark.filterwarnings("ignore:monai.metrics:FutureWarning")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grid", GRIDS)
def test_segmentation_is_monais(grid: str, seed: int, exact_percentiles):
    shape, spacing = GRIDS[grid]
    predicted, truth = class_maps(shape, seed)
    inside = np.random.default_rng(seed).random(shape) < 0.9
    for tolerance in (0.5, 2.0):
        found = segmentation(predicted, truth, REGIONS, spacing=spacing, tolerance=tolerance)
        expected = monais(predicted, truth, spacing, tolerance)
        assert list(found) == list(expected)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)
        found = segmentation(predicted, truth, REGIONS, spacing=spacing, inside=inside, tolerance=tolerance)
        expected = monais(predicted * inside, truth * inside, spacing, tolerance)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_shift_by_a_pixel():
    """Of two boxes of 4 x 4, one moved by a row, 12 pixels of 20 are shared; the fronts are one row apart."""
    predicted, truth = np.zeros((2, 10, 10), np.uint8)
    truth[2:6, 3:7] = predicted[3:7, 3:7] = 7
    values = segmentation(predicted, truth, {"box": (7,)}, spacing=(3.0, 1.0))
    expected = {"dice": 24 / 32, "iou": 12 / 20, "hd95": 3.0, "nsd": 8 / 12}
    assert values == expected | {f"{metric}_box": value for metric, value in expected.items()}
    assert list(segmentation(predicted, truth, {"box": (7,)})) == ["dice", "iou", "dice_box", "iou_box"]


def test_order_and_means():
    predicted, truth = class_maps((30, 30), 5)
    values = segmentation(predicted, truth, {"b": (1, 2, 3), "a": (3,)}, spacing=(1.0, 1.0))
    metrics = ["dice", "iou", "hd95", "nsd"]
    assert {type(value) for value in values.values()} == {float}
    assert list(values) == metrics + [f"{metric}_b" for metric in metrics] + [f"{metric}_a" for metric in metrics]
    for metric in metrics:
        assert values[metric] == (values[f"{metric}_a"] + values[f"{metric}_b"]) / 2


def test_a_region_is_the_union_of_its_classes():
    predicted, truth = np.array([[[1, 2, 3, 0]], [[2, 1, 0, 3]]], np.uint8)
    values = segmentation(predicted, truth, {"both": (1, 2), "one": (1,), "all": (0, 1, 2, 3), "none": (9,)})
    assert {name: values[f"dice_{name}"] for name in ("both", "one", "all", "none")} == {
        **{"both": 1.0, "one": 0.0, "all": 1.0, "none": 1.0}
    }


def test_only_pixels_inside_count():
    predicted, truth = np.array([[[1, 1, 0, 1]], [[1, 0, 0, 0]]], np.uint8)
    inside = np.array([[True, False, True, False]])
    kept = predicted.copy(), truth.copy()
    values = segmentation(
        predicted, truth, {"it": (1,), "rest": (0,)}, inside=inside, spacing=(1.0, 1.0), tolerance=0.5
    )
    assert values == dict.fromkeys(values, 1.0) | {"hd95": 0.0, "hd95_it": 0.0, "hd95_rest": 0.0}
    assert segmentation(predicted, truth, {"it": (1,)}, inside=np.ones_like(inside)) == {
        **{"dice": 0.5, "iou": 1 / 3, "dice_it": 0.5, "iou_it": 1 / 3}
    }
    assert (kept[0] == predicted).all()
    assert (kept[1] == truth).all()


def test_empty_regions():
    """Values are finite: full agreement where both are empty, and none, at the diagonal's length, where one is."""
    empty, some = np.zeros((2, 3, 6), np.uint8), np.zeros((2, 3, 6), np.uint8)
    some[1, 1, 1] = 1
    agreed, missed = (
        {"dice": 1.0, "iou": 1.0, "hd95": 0.0, "nsd": 1.0},
        {"dice": 0.0, "iou": 0.0, "hd95": 7.0, "nsd": 0.0},
    )

    def values(predicted: np.ndarray, truth: np.ndarray, name: str) -> dict[str, float]:
        found = segmentation(predicted, truth, {"it": (1,), "other": (2,)}, spacing=(1.0, 1.0, 1.0), tolerance=99.0)
        return {metric: found[f"{metric}_{name}"] for metric in agreed}

    assert values(empty, empty, "it") == values(some, empty, "other") == agreed
    assert values(empty, some, "it") == values(some, empty, "it") == missed
    assert segmentation(some, empty, {"it": (1,), "other": (2,)})["dice"] == 0.5
    everywhere = np.ones((2, 3, 6), bool)
    assert segmentation(some, empty, {"it": (1,)}, inside=~everywhere)["dice"] == 1.0


def test_what_does_not_fit_is_refused():
    labels = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match=r"shapes differ: \(4, 5\) and \(5, 4\)"):
        segmentation(labels, labels.T, REGIONS)
    with pytest.raises(ValueError, match=r"shapes differ: \(4, 5\) and \(1, 5\)"):
        segmentation(labels, labels, REGIONS, inside=np.ones((1, 5), bool))
    with pytest.raises(ValueError, match="spacing is"):
        segmentation(labels, labels, REGIONS, spacing=(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="no region"):
        segmentation(labels, labels, {})
    with pytest.raises(ValueError, match="shapes differ"):
        released(labels, labels.T, (1,), "dice")
    with pytest.raises(ValueError, match="metric is 'hd95'"):
        released(labels, labels, (1,), "hd95")


def plain_release(predicted: torch.Tensor, truth: torch.Tensor, classes: tuple[int, ...], metric: str) -> float:
    """As the release computes it, from maps of zeros and ones; here in double precision."""
    p, t = (sum((labels == label).double() for label in classes) for labels in (predicted, truth))
    intersection, both = (p * t).sum(), p.sum() + t.sum()
    if metric == "dice":
        return float((2 * intersection + 1e-6) / (both + 1e-6))
    return float((intersection + 1e-6) / (both - intersection + 1e-6))


@pytest.mark.parametrize("metric", ["dice", "iou"])
@pytest.mark.parametrize("classes", [(1,), (2, 3)])
def test_released_is_the_formula_of_the_release(metric: str, classes: tuple[int, ...]):
    for shape in ((30, 30), (6, 20, 20)):
        predicted, truth = class_maps(shape, 3)
        expected = plain_release(torch.from_numpy(predicted), torch.from_numpy(truth), classes, metric)
        assert released(predicted, truth, classes, metric) == pytest.approx(expected, rel=1e-12)
        plain = segmentation(predicted, truth, {"it": classes})[metric]
        assert math.isclose(released(predicted, truth, classes, metric), plain, abs_tol=1e-6)


def test_released_by_hand():
    predicted, truth = np.array([[[1, 1, 1, 0]], [[0, 1, 1, 2]]], np.uint8)
    empty = np.zeros_like(truth)
    assert released(predicted, truth, (1,), "dice") == (4 + 1e-6) / (5 + 1e-6)
    assert released(predicted, truth, (1,), "iou") == (2 + 1e-6) / (3 + 1e-6)
    assert released(predicted, truth, (1, 2), "iou") == (2 + 1e-6) / (4 + 1e-6)
    assert released(empty, empty, (1,), "dice") == released(empty, empty, (1,), "iou") == 1.0
    assert released(predicted, empty, (1,), "dice") == 1e-6 / (3 + 1e-6)
