"""Volumes as 2D images: formats, axes, window, empty slices, and everything that a volume should not be."""

import gzip
import struct

import h5py
import nibabel
import numpy as np
import pytest
import SimpleITK

from bench.data import volumes
from bench.data.volumes import Frame, count_slices, find_stack, is_empty, read_slices, read_stack, to_bytes, window
from bench.errors import BenchError

RNG = np.random.default_rng(0)
VOLUME = RNG.integers(-1000, 1000, (20, 24, 30)).astype(np.int16)


def nifti(path, array):
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    return path


def metaimage(path, array):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T)), str(path))
    return path


def slices(folder, name, axis=2):
    return [frame.pixels for frame in read_slices(folder, name, axis)]


def expected(volume, axis):
    low, high = np.percentile(volume, [0.5, 99.5])
    scaled = np.rint((np.clip(volume, low, high) - low) / (high - low) * 255).astype(np.uint8)
    return [np.take(scaled, i, axis) for i in range(volume.shape[axis])]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("write", "name"), [(nifti, "v.nii"), (nifti, "v.nii.gz"), (metaimage, "v.mha"), (metaimage, "v.mhd")]
)
def test_every_format_gives_the_same_slices_along_each_axis(tmp_path, write, name, axis):
    write(tmp_path / name, VOLUME)
    found = list(read_slices(tmp_path, name, axis))
    assert [frame.slice for frame in found] == list(range(VOLUME.shape[axis]))
    assert {frame.path for frame in found} == {name}
    np.testing.assert_array_equal([frame.pixels for frame in found], expected(VOLUME, axis))
    assert count_slices(tmp_path / name, axis) == len(found)


def test_the_slope_and_intercept_of_a_nifti_do_not_change_a_window_of_percentiles(tmp_path):
    image = nibabel.Nifti1Image(VOLUME.astype(np.float64) * 3 - 7, np.eye(4))
    image.set_data_dtype(np.float32)
    nibabel.save(image, tmp_path / "v.nii.gz")
    np.testing.assert_allclose(np.array(slices(tmp_path, "v.nii.gz"), int), expected(VOLUME, 2), atol=1)


def test_one_bright_voxel_does_not_darken_a_volume(tmp_path):
    volume = VOLUME.copy()
    volume[0, 0, 0] = 32000
    nifti(tmp_path / "v.nii", volume)
    assert np.mean(slices(tmp_path, "v.nii")) == pytest.approx(np.mean(expected(VOLUME, 2)), abs=1)


def test_each_volume_of_four_dimensions_is_windowed_on_its_own(tmp_path):
    channels = np.stack([VOLUME, VOLUME // 8 + 500], axis=3).astype(np.int16)
    nifti(tmp_path / "v.nii.gz", channels)
    found = list(read_slices(tmp_path, "v.nii.gz", 1))
    assert [frame.slice for frame in found] == list(range(48))
    assert count_slices(tmp_path / "v.nii.gz", 1) == 48
    np.testing.assert_array_equal([f.pixels for f in found[24:]], expected(channels[..., 1], 1))


def test_further_dimensions_of_length_one_are_none_and_a_flat_volume_is_a_picture(tmp_path):
    nifti(tmp_path / "five.nii", VOLUME[..., None, None])
    assert len(slices(tmp_path, "five.nii")) == 30
    nifti(tmp_path / "flat.nii", VOLUME[:, :, 0])
    (flat,) = slices(tmp_path, "flat.nii", axis=0)
    assert flat.shape == (20, 24)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_volume_with_a_value_that_is_no_number_is_refused(tmp_path, value):
    volume = VOLUME.astype(np.float32)
    volume[3, 3, 3] = value
    nifti(tmp_path / "v.nii", volume)
    with pytest.raises(BenchError, match="infinite or no numbers"):
        slices(tmp_path, "v.nii")


def test_volumes_of_other_dimensions_colours_and_too_many_voxels_are_refused(tmp_path, monkeypatch):
    nifti(tmp_path / "five.nii", np.zeros((4, 4, 4, 2, 2), np.int16))
    with pytest.raises(BenchError, match="needs 3 or 4 dimensions"):
        slices(tmp_path, "five.nii")
    colours = SimpleITK.GetImageFromArray(RNG.integers(0, 255, (4, 20, 20, 3), dtype=np.uint8), isVector=True)
    SimpleITK.WriteImage(colours, str(tmp_path / "colours.mha"))
    with pytest.raises(BenchError, match="3 values a voxel"):
        slices(tmp_path, "colours.mha")
    nifti(tmp_path / "v.nii", VOLUME)
    metaimage(tmp_path / "v.mha", VOLUME)
    monkeypatch.setattr(volumes, "MAX_VOXELS", VOLUME.size - 1)
    for name in ("v.nii", "v.mha"):
        with pytest.raises(BenchError, match="million voxels"):
            slices(tmp_path, name)


def test_a_header_that_promises_a_bomb_is_refused_before_anything_is_read(tmp_path):
    content = bytearray(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).to_bytes())
    content[42:48] = struct.pack("<3h", 30000, 30000, 30000)
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(BenchError, match="million voxels"):
        slices(tmp_path, "bomb.nii.gz")


def test_the_slices_of_a_file_without_a_readable_header_are_not_counted(tmp_path):
    for name in ("v.nii", "v.nii.gz", "v.mha"):
        (tmp_path / name).write_bytes(b"nothing of the sort")
        assert count_slices(tmp_path / name, 2) == 0


def test_the_package_that_is_missing_is_named_and_only_where_it_is_needed(monkeypatch):
    monkeypatch.setattr(volumes, "find_spec", lambda name: None)
    volumes.require_packages(["a.nii.gz", "b.png"])
    for path, package in (("a.MHA", "SimpleITK"), ("b.h5", "h5py")):
        with pytest.raises(BenchError, match=f"pip install {package}"):
            volumes.require_packages(["c.nii", path])


# ------------------------------------------------------------------------------------------------ 8 bits


def test_the_window_is_that_of_all_parts_together_and_falls_back_to_all_values():
    parts = [RNG.normal(size=(5, 7)), RNG.normal(3, 2, size=(40, 3))]
    both = np.concatenate([part.ravel() for part in parts])
    assert window(parts) == pytest.approx(np.percentile(both, [0.5, 99.5]))
    sparse = np.zeros(1000)
    sparse[0] = 9
    assert window([sparse]) == (0, 9)
    assert to_bytes(np.full((2, 2), 5.0), 5.0, 5.0).max() == 0
    with pytest.raises(BenchError, match="no values"):
        window([np.zeros((0, 3))])


def test_empty_slices_are_plain_or_have_less_than_a_hundredth_of_anything_else():
    blank = np.full((100, 100), 40, np.uint8)
    noise = RNG.integers(0, 12, (100, 100)).astype(np.uint8)
    few, enough, dark = blank.copy(), blank.copy(), blank.copy()
    few.flat[:99] = 255
    enough.flat[:150] = 255
    dark.flat[:99] = 0
    assert [is_empty(image) for image in (blank, noise, few, dark, enough)] == [True, True, True, True, False]
    ramp = np.linspace(0, 13.9, 10000).astype(np.uint8).reshape(100, 100)
    assert not is_empty(ramp)
    assert is_empty(ramp // 2)


# -------------------------------------------------------------------------------------------------- HDF5


@pytest.fixture
def stack(tmp_path):
    """A file like PatchCamelyon's: colour patches in `x`, and here also grey ones of 16 bits in `deep`."""
    colours = RNG.integers(0, 256, (50, 20, 20, 3), dtype=np.uint8)
    deep = RNG.integers(0, 4000, (5, 20, 24), dtype=np.uint16)
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["x"], file["group/deep"], file["y"] = colours, deep, np.zeros((50, 1, 1, 1), np.uint8)
    return colours, deep


def test_rows_of_an_array_are_read_as_they_are_or_windowed_one_by_one(tmp_path, stack):
    colours, deep = stack
    assert find_stack(tmp_path / "s.h5", "x") == ("x", 50, 1200)
    found = list(read_stack(tmp_path, "s.h5", "x", (3, 7, 8)))
    assert [frame.slice for frame in found] == [3, 7, 8]
    np.testing.assert_array_equal([frame.pixels for frame in found], colours[[3, 7, 8]])
    (frame,) = read_stack(tmp_path, "s.h5", "group/deep", (4,))
    np.testing.assert_array_equal(frame.pixels, to_bytes(deep[4], *np.percentile(deep[4], [0.5, 99.5])))


def test_an_array_has_to_be_named_where_there_are_several_and_to_hold_images(tmp_path, stack):
    with pytest.raises(BenchError, match=r"name it in `dataset`.*`x` \(50, 20, 20, 3\)"):
        find_stack(tmp_path / "s.h5", "")
    for name in ("y", "z"):
        with pytest.raises(BenchError, match=f"no array `{name}`"):
            find_stack(tmp_path / "s.h5", name)
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["images"] = np.zeros((3, 20, 20, 1), np.uint8)
    assert find_stack(tmp_path / "one.h5", "").name == "images"
    (frame,) = read_stack(tmp_path, "one.h5", "images", (1,))
    assert frame.pixels.shape == (20, 20)


def test_a_row_that_is_no_image_or_damaged_costs_no_other(tmp_path):
    values = RNG.normal(size=(4, 20, 20))
    values[1, 0, 0] = np.nan
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(1, 20, 20), compression="gzip")
        chunk = file["x"].id.get_chunk_info(2)
    with (tmp_path / "s.h5").open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(bytes(chunk.size))
    found = list(read_stack(tmp_path, "s.h5", "x", (0, 1, 2, 3)))
    assert [isinstance(one, Frame) for one in found] == [True, False, False, True]
    assert [one.path for one in found] == ["s.h5", "s.h5#1", "s.h5#2", "s.h5"]
