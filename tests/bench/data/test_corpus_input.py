"""Bad input of every kind: each is named with its reason, counted and left out, and nothing else is lost."""

import csv
import os
import shutil
from collections import Counter

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from bench.data import overview
from bench.data.corpus import build
from bench.data.images import read_resized
from bench.data.manifest import read_manifest
from bench.data.storage import open_images
from bench.errors import BenchError

RNG = np.random.default_rng(0)
SIZE = 32


def test_every_kind_of_bad_picture_is_left_out_with_its_reason_and_no_other(one, tmp_path, picture):
    place = tmp_path / "data/d"
    for i in range(3):
        picture(place / f"good{i}.png")
    whole = (place / "good0.png").read_bytes()
    (place / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (place / "magic.jpg").write_bytes(b"<html>not found</html>")
    (place / "zero.png").write_bytes(b"")
    frames = [Image.fromarray(RNG.integers(0, 256, (20, 20, 3), dtype=np.uint8)) for _ in range(2)]
    frames[0].save(place / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("L", (1, 1)).save(place / "dot.png")
    Image.new("1", (30_000, 40)).save(place / "strip.png")
    Image.new("1", (30_000, 4_000)).save(place / "bomb.png")
    os.mkfifo(place / "pipe.png")
    deep = RNG.integers(0, 4000, (40, 50), dtype=np.uint16)
    Image.fromarray(deep).save(place / "deep.png")
    colours = Image.fromarray(RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    colours.convert("CMYK").save(place / "cmyk.jpg")
    colours.convert("P").save(place / "palette.png")
    report = one("sample = 1.0")
    said = {path: reason for _, path, reason in report.refused}
    for path, why in {
        "truncated.png": "cannot be decoded",
        "magic.jpg": "its content is not that of an image",
        "zero.png": "0 bytes",
        "moving.gif": "holds 2",
        "dot.png": "has 1 x 1 pixels, where a side needs 16",
        "strip.png": "has 30000 x 40 pixels, and a side may be 10 times the other",
        "bomb.png": "100 megapixels",
        "pipe.png": "regular file",
    }.items():
        assert why in said.pop(path)
    assert said == {}
    table = read_manifest(report.folder).to_pylist()
    kept = ["cmyk.jpg", "deep.png", "good0.png", "good1.png", "good2.png", "palette.png"]
    assert sorted(row["path"] for row in table) == kept
    assert (report.sources["d"].images, report.sources["d"].refused) == (6, 8)
    (grey,) = (open_images(report.folder).images[row["number"]] for row in table if row["path"] == "deep.png")
    np.testing.assert_array_equal(grey.numpy(), read_resized(place / "deep.png", SIZE))
    with (report.folder / "refused.csv").open() as file:
        lines = list(csv.reader(file))
    assert lines == [["source", "path", "reason"], *map(list, report.refused)]
    overview.verify(report.folder)


def test_bad_volumes_and_arrays_are_left_out_and_no_other(one, tmp_path, volume):
    place = tmp_path / "data/d"
    volume(place / "good.nii.gz")
    volume(place / "cut.nii.gz")
    content = (place / "cut.nii.gz").read_bytes()
    (place / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    (place / "zero.nii").write_bytes(b"")
    (place / "zero.mha").write_bytes(b"")
    (place / "alone.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 20 20 20\nElementType = MET_SHORT\nElementDataFile = gone.raw\n"
    )
    nibabel.save(nibabel.Nifti1Image(np.full((20, 20, 4), np.nan, np.float32), np.eye(4)), place / "nan.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2, 2), np.int16), np.eye(4)), place / "five.nii")
    volume(place / "thin.nii", (8, 40, 5))
    report = one("sample = 1.0")
    said = {path: reason for _, path, reason in report.refused}
    assert set(said) == {"cut.nii.gz", "zero.nii", "zero.mha", "alone.mhd", "nan.nii", "five.nii", "thin.nii"}
    assert "infinite or no numbers" in said["nan.nii"]
    assert "3 or 4 dimensions" in said["five.nii"]
    assert said["thin.nii"] == "has 40 x 8 pixels, where a side needs 16"
    assert all("cannot be decoded" in said[path] for path in ("cut.nii.gz", "alone.mhd"))
    assert all("0 bytes" in said[path] for path in ("zero.nii", "zero.mha"))
    assert not any("\n" in reason or str(tmp_path) in reason for reason in said.values())
    assert report.sources["d"].images == 5


def test_damaged_hdf5_files_are_left_out(tmp_path, one):
    place = tmp_path / "data/d"
    place.mkdir(parents=True)
    for name in ("a.h5", "b.h5"):
        with h5py.File(place / name, "w") as file:
            file["x"] = RNG.integers(0, 256, (4, 20, 20), dtype=np.uint8)
    (place / "b.h5").write_bytes((place / "b.h5").read_bytes()[:700])
    (place / "c.h5").write_bytes(b"")
    report = one("sample = 1.0")
    assert report.sources["d"].images == 4
    assert {path for _, path, _ in report.refused} == {"b.h5", "c.h5"}


def test_patients_of_dicom_files_are_drawn_with_all_their_series(tmp_path, one):
    """Files without an ending count as DICOM: of the six patients with two series each, a third is drawn."""
    place = tmp_path / "data/d"
    for i in range(36):
        dicom(place / f"study/{i:02d}", patient=f"p{i % 6}", series=f"1.{i % 12}", z=-i)
    (place / "study/LICENSE").write_text("terms")
    cut = (place / "study/00").read_bytes()
    (place / "study/99").write_bytes(cut[:-50])
    report = one("sample = 0.34\nkind = 'dicom'")
    counts = report.sources["d"]
    assert (counts.cases, counts.drawn, counts.refused) == (6, 2, 1 + ("p0" in _cases(report)))
    rows = read_manifest(report.folder).to_pylist()
    assert Counter(row["case"] for row in rows) == dict.fromkeys(_cases(report), 6)
    for row in rows:
        number = int(row["path"].rpartition("/")[2])
        assert row["case"] == f"p{number % 6}"
        assert row["slice"] == 2 - number // 12  # z falls from file to file
    assert one("sample = 0.34", out="unsaid").sources["d"].images == counts.images


def test_a_source_of_which_no_header_can_be_read_is_named(tmp_path, one):
    (tmp_path / "data/d").mkdir(parents=True)
    for i in range(3):
        (tmp_path / f"data/d/{i}.dcm").write_bytes(b"junk")
    with pytest.raises(BenchError, match=r"\[sources.d\]: 3 refused, 0 empty; 0.dcm: cannot be decoded"):
        one()


def _cases(report):
    return set(read_manifest(report.folder, ["case"])["case"].to_pylist())


def dicom(path, *, patient, series, z):
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.SOPClassUID, file.SOPInstanceUID, file.Modality = CTImageStorage, f"1.2.3.{-z + 1}", "CT"
    file.PatientID, file.SeriesInstanceUID, file.PhotometricInterpretation = patient, series, "MONOCHROME2"
    file.Rows, file.Columns, file.SamplesPerPixel = 20, 24, 1
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
    file.ImageOrientationPatient, file.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, z]
    file.PixelData = RNG.integers(0, 4000, (20, 24), dtype=np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save_as(path, enforce_file_format=True)


def test_a_name_that_is_not_utf8_is_left_out(one, tmp_path, picture):
    picture(tmp_path / "data/d/good.png")
    try:
        shutil.copy(tmp_path / "data/d/good.png", os.fsencode(tmp_path / "data/d") + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this file system takes no such name")
    report = one()
    ((_, path, reason),) = report.refused
    assert "caf" in path
    assert "UTF-8" in reason
    assert report.images == 1


def test_sources_of_which_nothing_can_be_used_are_named_after_all_others(tmp_path, picture):
    data = tmp_path / "data"
    for i in range(4):
        picture(data / f"chest/{i}.png")
    (data / "bad").mkdir()
    (data / "bad/x.png").write_bytes(b"")
    (data / "plain").mkdir()
    nibabel.save(nibabel.Nifti1Image(np.zeros((20, 20, 3), np.int16), np.eye(4)), data / "plain/v.nii")
    spec = tmp_path / "spec.toml"
    spec.write_text("\n".join(f'[sources.{n}]\nfolder = "{n}"\nmodality = "m"' for n in ("chest", "bad", "plain")))
    with pytest.raises(BenchError) as error:
        build(spec, tmp_path / "out", data_root=data)
    assert "[sources.bad]: 1 refused, 0 empty; x.png: " in str(error.value)
    assert "[sources.plain]: 0 refused, 3 empty" in str(error.value)
    assert "[sources.chest]" not in str(error.value)
    assert "x.png" in (tmp_path / "out/refused.csv").read_text()
    assert not (tmp_path / "out/pixels.json").exists()
