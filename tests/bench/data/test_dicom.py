"""DICOM series: grouping, order along the patient, units, colours, and files that are none or hold no image."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import convert_color_space
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless, generate_uid

from bench.data.dicom import find_series, read_picture, read_series, read_size
from bench.data.volumes import Frame, Refusal
from bench.errors import BenchError

RNG = np.random.default_rng(0)
HEAD = RNG.integers(0, 4000, (6, 20, 24), dtype=np.uint16)  # from feet to head


def dicom(path, pixels, *, patient="p", series="1.2.3", z=None, number=1, syntax=ExplicitVRLittleEndian, **tags):
    """Write an image, or one a frame, with the tags that matter here; `None` takes a tag away."""
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, generate_uid()
    file.PatientID, file.SeriesInstanceUID, file.Modality, file.InstanceNumber = patient, series, "CT", number
    colour = pixels.shape[-1] == 3
    shape = pixels.shape[:-1] if colour else pixels.shape
    file.Rows, file.Columns = shape[-2:]
    if len(shape) == 3:
        file.NumberOfFrames = shape[0]
    file.SamplesPerPixel = 3 if colour else 1
    file.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        file.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    file.BitsAllocated = file.BitsStored = bits
    file.HighBit, file.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    if z is not None:
        file.ImageOrientationPatient, file.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-100, -100, z]
    file.PixelData = pixels.tobytes()
    if syntax == JPEGLSLossless:
        file.PixelData = encapsulate([b"junk of even length!"])
    elif syntax == RLELossless:
        file.compress(RLELossless)
    for name, value in tags.items():
        if value is None:
            delattr(file, name)
        else:
            setattr(file, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)
    return path.name


def windowed(values, whole):
    low, high = np.percentile(whole, [0.5, 99.5])
    return np.rint((np.clip(values, low, high) - low) / (high - low) * 255).astype(np.uint8)


def images(found):
    return [one.pixels for one in found if isinstance(one, Frame)]


def test_slices_are_sorted_along_the_patient_and_windowed_together(tmp_path):
    order = [3, 0, 5, 1, 4, 2]
    paths = [dicom(tmp_path / f"{i}.dcm", HEAD[z], z=2.5 * z, number=6 - i) for i, z in enumerate(order)]
    ((patient, files, count),), refused = find_series(tmp_path, paths)
    assert (patient, count, refused) == ("p", 6, [])
    assert [order[int(file[0])] for file in files] == list(range(6))
    found = list(read_series(tmp_path, files))
    assert [(frame.path, frame.slice) for frame in found] == list(zip(files, range(6), strict=True))
    np.testing.assert_array_equal(images(found), windowed(HEAD, HEAD))


def test_without_a_position_the_number_of_the_scanner_tells_the_order(tmp_path):
    paths = [dicom(tmp_path / f"{i}.dcm", HEAD[i], z=10.0 * i, number=5 - i) for i in range(5)]
    dicom(tmp_path / "2.dcm", HEAD[2], number=3)
    ((_, files, _),), _ = find_series(tmp_path, paths)
    assert files == ("4.dcm", "3.dcm", "2.dcm", "1.dcm", "0.dcm")


def test_series_are_kept_apart_and_patients_told_by_id_study_or_folder(tmp_path):
    image = HEAD[0]
    dicom(tmp_path / "a/1.dcm", image, patient="anna", series="1.1")
    dicom(tmp_path / "a/2.dcm", image, patient="anna", series="1.2")
    dicom(tmp_path / "b/1.dcm", image, patient="bert", series="1.1")
    dicom(tmp_path / "c/1.dcm", image, patient="", series="1.3", StudyInstanceUID="9.9")
    dicom(tmp_path / "d/1.dcm", image, PatientID=None, series="1.4")
    dicom(tmp_path / "d/2.dcm", image, PatientID=None, SeriesInstanceUID=None)
    paths = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*.dcm"))]
    series, refused = find_series(tmp_path, paths)
    assert [one.patient for one in series] == ["anna", "anna", "bert", "9.9", "d", "d"]
    assert not refused


def test_units_and_inverted_greys(tmp_path):
    """A slice with another slope is brought to the unit of the others; MONOCHROME1 is shown as it is meant."""
    first = dicom(tmp_path / "1.dcm", HEAD[0], z=0, RescaleSlope=2, RescaleIntercept=-1024)
    second = dicom(tmp_path / "2.dcm", HEAD[1], z=1, RescaleSlope=1, RescaleIntercept=-1024)
    both = np.stack([HEAD[0] * 2.0, HEAD[1] * 1.0]) - 1024
    np.testing.assert_array_equal(images(read_series(tmp_path, [first, second])), windowed(both, both))
    inverted = dicom(tmp_path / "3.dcm", HEAD[2], PhotometricInterpretation="MONOCHROME1")
    (image,) = images(read_series(tmp_path, [inverted]))
    np.testing.assert_array_equal(image, windowed(-HEAD[2].astype(float), -HEAD[2].astype(float)))


def test_frames_of_one_file_colours_signed_and_compressed_values(tmp_path):
    frames = dicom(tmp_path / "frames.dcm", HEAD)
    (series,), _ = find_series(tmp_path, [frames])
    assert series.images == 6
    np.testing.assert_array_equal(images(read_series(tmp_path, [frames])), windowed(HEAD, HEAD))
    signed = HEAD.astype(np.int16) - 2000
    np.testing.assert_array_equal(
        images(read_series(tmp_path, [dicom(tmp_path / "signed.dcm", signed)])), windowed(signed, signed)
    )
    packed = dicom(tmp_path / "rle.dcm", HEAD[0], syntax=RLELossless)
    np.testing.assert_array_equal(images(read_series(tmp_path, [packed])), [windowed(HEAD[0], HEAD[0])])


def test_colours_are_taken_as_they_are(tmp_path):
    colours = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    ycc = convert_color_space(colours, "RGB", "YBR_FULL")
    plain = dicom(tmp_path / "rgb.dcm", colours)
    video = dicom(tmp_path / "video.dcm", np.stack([colours, colours[::-1]]))
    other = dicom(tmp_path / "ycc.dcm", ycc, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(images(read_series(tmp_path, [plain])), [colours])
    np.testing.assert_array_equal(images(read_series(tmp_path, [video])), [colours, colours[::-1]])
    (back,) = images(read_series(tmp_path, [other]))
    np.testing.assert_allclose(back.astype(int), colours, atol=2)


def test_palettes_are_looked_up(tmp_path):
    table = RNG.integers(0, 256, (3, 256), dtype=np.uint16) * 256
    palette = {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour, values in zip(("Red", "Green", "Blue"), table, strict=True)
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", values.tobytes()))
    }
    index = RNG.integers(0, 256, (20, 24), dtype=np.uint8)
    name = dicom(tmp_path / "p.dcm", index, PhotometricInterpretation="PALETTE COLOR", **palette)
    (image,) = images(read_series(tmp_path, [name]))
    np.testing.assert_array_equal(image, (table // 256).astype(np.uint8)[:, index].transpose(1, 2, 0))


def test_files_that_are_no_images_are_refused_before_they_are_decoded(tmp_path):
    (tmp_path / "text.dcm").write_bytes(b"not DICOM at all" * 40)
    (tmp_path / "none.dcm").write_bytes(b"")
    dicom(tmp_path / "mask.dcm", HEAD[0], Modality="SEG")
    dicom(tmp_path / "plan.dcm", HEAD[0], Modality="RTSTRUCT", Rows=None, Columns=None, PixelData=None)
    dicom(tmp_path / "good.dcm", HEAD[0])
    series, refused = find_series(tmp_path, sorted(path.name for path in tmp_path.iterdir()))
    assert [one.files for one in series] == [("good.dcm",)]
    assert {one.path: one.reason.split("(")[0] for one in refused} == {
        "mask.dcm": "holds no image ",
        "none.dcm": refused[1].reason,
        "plan.dcm": "holds no image ",
        "text.dcm": refused[3].reason,
    }
    assert "modality RTSTRUCT" in refused[2].reason
    assert all(one.reason.startswith("cannot be decoded: ") for one in (refused[1], refused[3]))


def test_a_file_that_cannot_be_decoded_costs_no_other_of_its_series(tmp_path):
    names = [dicom(tmp_path / f"{i}.dcm", HEAD[i], z=i) for i in range(4)]
    (tmp_path / "1.dcm").write_bytes((tmp_path / "1.dcm").read_bytes()[:-100])
    bare = pydicom.dcmread(tmp_path / "2.dcm")
    del bare.PixelData
    bare.save_as(tmp_path / "2.dcm")
    names.append(dicom(tmp_path / "4.dcm", HEAD[4], z=4, syntax=JPEGLSLossless))
    ((_, files, _),), refused = find_series(tmp_path, names)
    assert not refused
    found = list(read_series(tmp_path, files))
    left = HEAD[[0, 3]]
    np.testing.assert_array_equal(images(found), windowed(left, left))
    said = {one.path: one.reason for one in found if isinstance(one, Refusal)}
    assert list(said) == ["1.dcm", "2.dcm", "4.dcm"]
    assert said["1.dcm"].startswith("cannot be decoded: ")
    assert said["2.dcm"] == "holds no pixels"
    assert "JPEG-LS Lossless" in said["4.dcm"]
    assert "pip install" in said["4.dcm"]


@pytest.mark.parametrize("position", [None, [1, 2], ["a", "b", "c"]])
def test_a_position_that_is_none_does_not_stop_a_series(tmp_path, position):
    names = [dicom(tmp_path / f"{i}.dcm", HEAD[i], z=i, number=2 - i) for i in range(2)]
    if position != ["a", "b", "c"]:
        dicom(tmp_path / "0.dcm", HEAD[0], z=0, number=2, ImagePositionPatient=position)
    else:
        content = (tmp_path / "0.dcm").read_bytes().replace(b"-100.0\\", b"-1xx.0\\")
        (tmp_path / "0.dcm").write_bytes(content)
    ((_, files, _),), refused = find_series(tmp_path, names)
    assert files == ("1.dcm", "0.dcm")
    assert not refused


# ------------------------------------------------------------------------------------------- one picture


def test_a_picture_is_windowed_on_its_own_and_its_size_is_in_the_header(tmp_path):
    colours = RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    for name, pixels, tags in (
        ("grey", HEAD[0], {"RescaleSlope": 2, "RescaleIntercept": -1024}),
        ("inverted", HEAD[1], {"PhotometricInterpretation": "MONOCHROME1"}),
        ("colour", colours, {}),
        ("packed", HEAD[2], {"syntax": RLELossless}),
        ("frame", HEAD[3:4], {}),
    ):
        path = tmp_path / f"{name}.dcm"
        dicom(path, pixels, **tags)
        values = -pixels.astype(float) if name == "inverted" else pixels.astype(float)
        wanted = pixels if name == "colour" else np.squeeze(windowed(values, values))
        np.testing.assert_array_equal(read_picture(path), wanted, err_msg=name)
        assert read_size(path) == (20, 24)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"NumberOfFrames": 6}, "holds 6 images where one is wanted"),
        ({"Modality": "SEG"}, r"holds no image \(modality SEG\)"),
        ({"Rows": None}, "holds no image"),
        ({"Columns": 0}, "holds no image"),
        ({"Rows": 65535, "Columns": 65535}, "may have 500 million pixels, this one has more"),
    ],
)
def test_what_is_no_picture_is_refused_before_it_is_decoded(tmp_path, monkeypatch, tags, message):
    """A few compressed bytes may claim to be gigabytes."""
    dicom(tmp_path / "a.dcm", HEAD[0], syntax=RLELossless)
    file = pydicom.dcmread(tmp_path / "a.dcm")
    for name, value in tags.items():
        setattr(file, name, value)
    file.save_as(tmp_path / "a.dcm")
    monkeypatch.setattr("bench.data.dicom._decode", lambda path: pytest.fail("it was decoded"))
    with pytest.raises(BenchError, match=message):
        read_picture(tmp_path / "a.dcm")
