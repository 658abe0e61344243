"""MMWHS, MRI: the published split by volume, the stray value in the published truth, and volumes that are missing."""

import json
import runpy
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bench.data import mmwhs
from bench.data.folders import status
from bench.data.grids import read_labels, read_volume
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
REAL, SPLIT = SHARED / "data" / "mmwhs_mri", SHARED / "splits" / "mmwhs.json"
TASK = runpy.run_path(str(ROOT / "tasks" / "mmwhs_mri.py"))["mmwhs_mri"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "mmwhs_mri"
    draw(TASK, folder, cases=7)
    return folder


@pytest.fixture
def phantom(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "mmwhs_mri")


def truth(case):
    shape = read_volume(case.image, TASK.info.axis).values.shape
    return read_labels(case.masks[0].path, case.image, shape, TASK.info.axis, len(TASK.info.classes), TASK.info.values)


def test_a_phantom_reads_back_in_the_published_split(drawn):
    splits = TASK.splits(drawn)
    ids = [[case.id for case in cases] for _, cases in splits]
    assert ids == [["1001", "1003", "1005", "1006"], ["1004", "1007"], ["1002"]]
    assert set(np.unique(truth(splits.test[0]))) == set(range(8))
    assert status(TASK, drawn).parts == {"training": (7, 20)}
    assert TASK.info.official == 20


def test_the_release_scores_the_left_atrium_and_a_slip_in_its_value_is_mended(phantom):
    assert TASK.info.release == ("iou", (TASK.info.classes.index("left_atrium"),))
    (case,) = TASK.splits(phantom).test
    image = nibabel.load(case.masks[0].path)
    stored = np.asarray(image.dataobj).copy()
    assert set(np.unique(stored)) == {0, 205, 420, 500, 550, 600, 820, 850}
    before = truth(case)
    np.testing.assert_array_equal(before == 2, np.moveaxis(stored == 420, 2, 0))
    stored[stored == 420] = 421
    nibabel.save(nibabel.Nifti1Image(stored, image.affine), case.masks[0].path)
    np.testing.assert_array_equal(truth(case), before)
    stored[stored == 421] = 422
    nibabel.save(nibabel.Nifti1Image(stored, image.affine), case.masks[0].path)
    with pytest.raises(BenchError, match=r"mr_train_1002_label.nii.gz: it holds the value 422, which is no class"):
        truth(case)


def test_missing_and_unknown_volumes_and_wrong_folders_are_named(phantom):
    place = phantom / "mr_train"
    with pytest.raises(BenchError, match=rf"was {phantom} meant"):
        TASK.splits(place)
    (place / "mr_train_1003_label.nii.gz").rename(place / "mr_train_1003_label.nii")
    assert len(TASK.splits(phantom).train) == 4
    for kind in ("image", "label"):
        shutil.copy(place / f"mr_train_1001_{kind}.nii.gz", place / f"mr_train_2001_{kind}.nii.gz")
    with pytest.raises(BenchError, match="volume 2001 is in no part of the published split"):
        TASK.splits(phantom)
    for path in place.glob("*_[2]*"):
        path.unlink()
    (place / "mr_train_1002_label.nii.gz").unlink()
    with pytest.raises(BenchError, match=r"mr_train_1002_image.nii.gz: its truth is missing"):
        TASK.splits(phantom)
    (place / "mr_train_1002_image.nii.gz").unlink()
    with pytest.raises(BenchError, match="no volume of the split's part test: 1002, 1010, 1012, 1019"):
        TASK.splits(phantom)


@pytest.mark.skipif(not SPLIT.is_file(), reason="no published lists in ../shared/splits")
def test_the_split_is_the_published_one():
    published = json.loads(SPLIT.read_text())
    assert {part: list(numbers) for part, numbers in mmwhs.SPLIT.items()} == {
        part: published[part] for part in ("train", "val", "test")
    }


@pytest.mark.skipif(not REAL.is_dir(), reason="no real volumes in ../shared/data/mmwhs_mri: given on an agreement")
def test_real_volumes_have_the_published_counts():
    splits = TASK.splits(REAL)
    assert [len(cases) for _, cases in splits] == [13, 3, 4]
    assert set(np.unique(truth(splits.test[0]))) <= set(range(8))
