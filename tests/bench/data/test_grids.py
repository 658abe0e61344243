"""Volumes on their own grid: axes, window, spacing and truth, and all that an image or its truth should not be."""

import gzip
import os
import re
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bench.data import volumes
from bench.data.grids import read_labels, read_volume
from bench.errors import BenchError

RNG = np.random.default_rng(0)
VOLUME = RNG.integers(-1000, 1000, (6, 7, 8)).astype(np.int16)
LABELS = RNG.integers(0, 4, VOLUME.shape).astype(np.uint8)
AFFINE = np.array([[0, -0.5, 0, 10.0], [0.5, 0, 0, -20], [0, 0, 2.5, 30], [0, 0, 0, 1]])


def save(path: Path, array, affine=AFFINE, unit="mm", zooms=None) -> Path:
    image = nibabel.Nifti1Image(array, affine)
    if unit:
        image.header.set_xyzt_units(unit)
    if zooms:
        image.header["pixdim"][1:4] = zooms
    nibabel.save(image, path)
    return path


@pytest.fixture
def pair(tmp_path):
    return save(tmp_path / "image.nii.gz", VOLUME), save(tmp_path / "truth.nii.gz", LABELS)


def truth(path, image, axis=2, classes=4, values=()):
    return read_labels(path, image, read_volume(image, axis).values.shape, axis, classes, dict(values))


def refused(message, call, *args, **kwargs):
    """The error names the file it is about, and says how to mend it."""
    with pytest.raises(BenchError, match=f"^{re.escape(str(args[0]))}: .*{message}.*; download") as caught:
        call(*args, **kwargs)
    return str(caught.value)


# --------------------------------------------------------------------------------------------------- images


@pytest.mark.parametrize(("axis", "order"), [(0, (0, 1, 2)), (1, (1, 0, 2)), (2, (2, 0, 1))])
def test_slices_and_spacing_follow_the_axis_and_the_others_keep_their_order(pair, axis, order):
    grid = read_volume(pair[0], axis)
    low, high = np.percentile(VOLUME, [0.5, 99.5])
    windowed = np.rint((np.clip(VOLUME, low, high) - low) / (high - low) * 255)
    np.testing.assert_array_equal(grid.values, windowed.transpose(order))
    assert grid.values.dtype == np.uint8
    assert grid.spacing == tuple((0.5, 0.5, 2.5)[one] for one in order)
    np.testing.assert_array_equal(truth(pair[1], pair[0], axis), LABELS.transpose(order))


@pytest.mark.parametrize(
    ("unit", "zooms"),
    [("", None), ("meter", None), ("micron", None), ("mm", (1, 0, 1)), ("mm", (1, -1, 1)), ("mm", (1, np.nan, 1))],
)
def test_a_spacing_that_the_header_does_not_state_in_mm_is_not_known(tmp_path, unit, zooms):
    path = save(tmp_path / "v.nii", VOLUME)
    content = bytearray(path.read_bytes())
    content[123] = {"": 0, "meter": 1, "mm": 2, "micron": 3}[unit]
    if zooms:
        content[80:92] = struct.pack("<3f", *zooms)
    path.write_bytes(content)
    assert read_volume(path, 2).spacing is None


def test_a_unit_of_time_beside_mm_does_not_matter_even_one_that_is_none(tmp_path):
    path = save(tmp_path / "v.nii", VOLUME, zooms=(0.25, 0.5, 3))
    content = bytearray(path.read_bytes())
    content[123] = 2 + 64 + 128
    path.write_bytes(content)
    assert read_volume(path, 2).spacing == (3, 0.25, 0.5)


def test_last_dimensions_of_length_one_are_none_and_several_volumes_are_refused(tmp_path):
    five = save(tmp_path / "five.nii.gz", VOLUME[..., None, None])
    assert read_volume(five, 2).values.shape == (8, 6, 7)
    assert truth(save(tmp_path / "t.nii.gz", LABELS[..., None]), five).shape == (8, 6, 7)
    four = save(tmp_path / "four.nii.gz", np.stack([VOLUME, VOLUME], axis=3))
    assert "choose one of several volumes or channels is not supported" in refused(
        "has .6, 7, 8, 2.", read_volume, four, 2
    )
    refused(r"needs 3 dimensions, has \(6, 7\)", read_volume, save(tmp_path / "two.nii.gz", VOLUME[:, :, 0]), 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_in_images_and_truth(tmp_path, pair, value):
    broken = VOLUME.astype(np.float32)
    broken[1, 2, 3] = value
    refused("infinite or no numbers", read_volume, save(tmp_path / "b.nii.gz", broken), 2)
    labels = LABELS.astype(np.float32)
    labels[1, 2, 3] = value
    refused("infinite or no numbers", truth, save(tmp_path / "t.nii.gz", labels), pair[0])


def test_voxels_that_are_no_plain_numbers_are_refused(tmp_path):
    colours = np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    refused("one plain number", read_volume, save(tmp_path / "c.nii.gz", colours), 2)
    refused("one plain number", read_volume, save(tmp_path / "i.nii.gz", VOLUME.astype(np.complex64)), 2)


def truncated(path):
    content = save(path, VOLUME).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def bomb(path):
    content = bytearray(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).to_bytes())
    content[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    path.write_bytes(gzip.compress(bytes(content)))


def magic(path):
    content = bytearray(save(path.with_suffix(""), VOLUME).read_bytes())
    content[344:348] = b"none"
    path.write_bytes(gzip.compress(bytes(content)))


def negative(path):
    content = bytearray(save(path.with_suffix(""), VOLUME).read_bytes())
    content[42:44] = struct.pack("<h", -6)
    path.write_bytes(gzip.compress(bytes(content)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (truncated, "cannot be read as a volume"),
        (bomb, "500 million voxels, its header says 27000000"),
        (magic, "cannot be read as a volume"),
        (negative, r"needs 3 dimensions, has \(-6, 7, 8\)"),
        (lambda path: path.write_bytes(b""), "0 bytes"),
        (lambda path: path.write_bytes(b"<html>not found</html>" * 99), "cannot be read as a volume"),
        (lambda path: path.write_bytes(gzip.compress(b"\0" * 999)), "cannot be read as a volume"),
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "regular file"),
        (os.mkfifo, "regular file"),
    ],
)
def test_a_file_that_is_no_volume_is_named_as_an_image_as_truth_and_as_the_image_of_truth(
    tmp_path, pair, make, message
):
    bad = tmp_path / "bad.nii.gz"
    make(bad)
    refused(message, read_volume, bad, 2)
    refused(message, read_labels, bad, pair[0], (8, 6, 7), 2, 4, {})
    with pytest.raises(BenchError, match=rf"bad\.nii\.gz: .*{message}"):
        read_labels(pair[1], bad, (8, 6, 7), 2, 4, {})


def test_a_volume_that_ends_after_its_header_is_named(tmp_path):
    whole = save(tmp_path / "v.nii.gz", RNG.integers(-1000, 1000, (20, 24, 30)).astype(np.int16))
    whole.write_bytes(whole.read_bytes()[:-100])
    refused("Compressed file ended", read_volume, whole, 2)
    refused("Compressed file ended", read_labels, whole, whole, (30, 20, 24), 2, 4, {})
    plain = save(tmp_path / "v.nii", VOLUME)
    plain.write_bytes(plain.read_bytes()[:-100])
    refused("cannot be read as a volume", read_volume, plain, 2)


def test_other_formats_and_too_many_voxels_are_refused(tmp_path, pair, monkeypatch):
    (tmp_path / "v.mha").write_bytes(b"ObjectType = Image")
    refused("are NIfTI", read_volume, tmp_path / "v.mha", 2)
    monkeypatch.setattr(volumes, "MAX_VOXELS", VOLUME.size - 1)
    refused("million voxels", read_volume, pair[0], 2)


# ---------------------------------------------------------------------------------------------------- truth


def test_stored_values_become_classes_and_what_the_card_does_not_name_is_background_only_if_it_is_0(tmp_path, pair):
    card = {205: 1, 420: 2, 421: 2, 850: 3}
    stored = np.array([0, 205, 420, 850], np.uint16)[LABELS]
    stored[0, 0, 0] = 421
    path = save(tmp_path / "t.nii.gz", stored)
    expected = LABELS.copy()
    expected[0, 0, 0] = 2
    np.testing.assert_array_equal(truth(path, pair[0], values=card), expected.transpose(2, 0, 1))
    del card[421]
    refused("value 421, which is no class; known are 0, 205, 420, 850", truth, path, pair[0], values=card)


@pytest.mark.parametrize(("value", "said"), [(4, "4"), (-1, "-1"), (250, "250"), (2**40, str(2**40))])
def test_a_value_without_a_class_is_named(tmp_path, pair, value, said):
    labels = LABELS.astype(np.int64)
    labels[5, 6, 7] = value
    path = tmp_path / "t.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE, dtype=np.int64), path)
    refused(f"value {said}, which is no class; known are 0, 1, 2, 3", truth, path, pair[0])


@pytest.mark.parametrize("kind", [np.int16, np.float32, np.float64])
def test_whole_numbers_may_be_stored_in_any_way(tmp_path, pair, kind):
    labels = LABELS.astype(kind)
    if kind == np.float32:
        labels += np.float32(1e-6)  # as a slope in the header leaves them
    found = truth(save(tmp_path / "t.nii", labels), pair[0])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, LABELS.transpose(2, 0, 1))


def test_truth_between_classes_is_refused(tmp_path, pair):
    labels = LABELS.astype(np.float32)
    labels[0, 0, 0] = 1.5
    refused("labels are whole numbers, it holds 1.5", truth, save(tmp_path / "t.nii.gz", labels), pair[0])


def test_truth_on_another_grid_is_refused_and_both_files_named(tmp_path, pair):
    image = pair[0]
    other = save(tmp_path / "other.nii.gz", LABELS[:, :, :-1])
    message = refused(r"has \(7, 6, 7\) voxels and .* \(8, 6, 7\)", truth, other, image)
    assert str(image) in message
    turned = save(tmp_path / "turned.nii.gz", LABELS.transpose(1, 0, 2))  # as many voxels
    refused(r"has \(8, 7, 6\) voxels", truth, turned, image)
    for shift, wrong in ((5e-4, False), (2e-3, True), (np.nan, True)):
        moved = AFFINE.copy()
        moved[0, 3] += shift
        path = save(tmp_path / "moved.nii", LABELS)
        content = bytearray(path.read_bytes())
        content[280:296] = struct.pack("<4f", *moved[0])
        path.write_bytes(content)
        if wrong:
            assert str(image) in refused("affine in the header is another than that of", truth, path, image)
        else:
            truth(path, image)


def test_truth_flipped_against_its_image_is_refused(tmp_path, pair):
    flipped = save(tmp_path / "flipped.nii.gz", LABELS, affine=AFFINE @ np.diag([1, 1, -1, 1]))
    refused("affine", truth, flipped, pair[0])
