"""Pairs on their grid and slices at one size: resized as stated, read once, and never half kept."""

import json

import numpy as np
import pytest
from PIL import Image as Picture

from bench.data import segments
from bench.data.scenes import scene, write
from bench.data.segments import read_pair, slices
from bench.errors import BenchError
from bench.spec import Case, Mask, TaskInfo

CARD = TaskInfo(
    name="scenes", title="Scenes", modality="none", classes=("background", "organ"), case="image", licence="",
    citation="", url="", layout={}, protocols=(), target="mask",
)  # fmt: skip


@pytest.fixture
def mixed(tmp_path):
    """Three volumes of 5, 6 and 7 slices."""
    cases = []
    for n in range(3):
        grey, classes = scene(1, f"{n}", depth=5 + n)
        write(tmp_path / f"{n}.nii.gz", grey)
        write(tmp_path / f"{n}_label.nii.gz", classes)
        cases.append(Case(f"{n}", tmp_path / f"{n}.nii.gz", masks=(Mask(tmp_path / f"{n}_label.nii.gz"),)))
    return cases


@pytest.fixture
def coloured(tmp_path):
    rng = np.random.default_rng(0)
    Picture.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(tmp_path / "image.png")
    Picture.fromarray(np.uint8(rng.random((60, 80)) > 0.5) * 255).save(tmp_path / "mask.png")
    return Case("one", tmp_path / "image.png", masks=(Mask(tmp_path / "mask.png", 1),))


def test_a_picture_is_one_slice_resized_bilinear_and_its_truth_nearest(coloured, tmp_path):
    found = slices([coloured], CARD, 24, "print", tmp_path / "cache")
    with Picture.open(coloured.image) as image, Picture.open(coloured.masks[0].path) as mask:
        np.testing.assert_array_equal(
            found.images[0], np.moveaxis(np.asarray(image.resize((24, 24), Picture.Resampling.BILINEAR)), 2, 0)
        )
        np.testing.assert_array_equal(
            found.truth[0], np.asarray(mask.resize((24, 24), Picture.Resampling.NEAREST)) // 255
        )


def test_slices_know_their_case(mixed, tmp_path):
    found = slices(mixed, CARD, 16, "print", tmp_path / "cache")
    assert found.images.shape == (18, 1, 16, 16)
    assert found.of.tolist() == [0] * 5 + [1] * 6 + [2] * 7
    part = found.part(1, 2)
    assert part.of.tolist() == [0] * 6 + [1] * 7
    np.testing.assert_array_equal(part.images, found.images[5:])
    np.testing.assert_array_equal(part.truth, found.truth[5:])


def test_the_second_time_nothing_is_decoded(mixed, tmp_path, monkeypatch):
    first = slices(mixed, CARD, 16, "print", tmp_path / "cache")
    monkeypatch.setattr(segments, "read_pair", None)
    second = slices(mixed, CARD, 16, "print", tmp_path / "cache")
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.truth, second.truth)
    for other in ({"size": 8}, {"fingerprint": "other"}):
        with pytest.raises(TypeError):
            slices(mixed, CARD, **({"size": 16, "fingerprint": "print", "folder": tmp_path / "cache"} | other))


@pytest.mark.parametrize("damage", ["cut", "gone", "counts", "garbage"])
def test_a_damaged_cache_is_made_again(mixed, tmp_path, damage):
    first = slices(mixed, CARD, 16, "print", tmp_path / "cache")
    before = np.array(first.images)
    (array,) = (tmp_path / "cache").glob("*.npy")
    (counts,) = (tmp_path / "cache").glob("*.json")
    del first
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:1000])
    elif damage == "gone":
        array.unlink()
    elif damage == "counts":
        counts.write_text(json.dumps([5, 6]))
    else:
        counts.write_text("no json")
    np.testing.assert_array_equal(slices(mixed, CARD, 16, "print", tmp_path / "cache").images, before)


def test_what_cannot_be_read_is_counted_and_nothing_is_kept(mixed, coloured, tmp_path):
    mixed[1].image.write_bytes(b"no volume")
    with pytest.raises(BenchError, match=r"1 of 3 cases cannot be read:\n.*1\.nii\.gz"):
        slices(mixed, CARD, 16, "print", tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*")) == []


def test_a_picture_keeps_the_spacing_that_its_case_states(coloured):
    assert read_pair(coloured, CARD).spacing is None
    stated = Case("one", coloured.image, masks=coloured.masks, spacing=(0.5, 0.25))
    assert read_pair(stated, CARD).spacing == (0.5, 0.25)
