"""ACDC: both volumes of a patient in one part, nnU-Net's copy of it, and real volumes of unknown spacing."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.data.folders import status
from bench.data.grids import read_labels, read_volume
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "acdc"
TASK = runpy.run_path(str(ROOT / "tasks" / "acdc.py"))["acdc"]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "acdc"
    draw(TASK, folder, cases=16)
    return folder


def patients(cases):
    return {case.group for case in cases}


def test_a_phantom_reads_back_with_both_volumes_of_a_patient_in_one_part(phantom):
    splits = TASK.splits(phantom)
    assert [len(cases) for _, cases in splits] == [8, 4, 4]
    assert [len(patients(cases)) for _, cases in splits] == [4, 2, 2]
    assert all(case.id.startswith(f"{case.group}_frame") for _, cases in splits for case in cases)
    grid = read_volume(splits.test[0].image, TASK.info.axis)
    found = read_labels(splits.test[0].masks[0].path, splits.test[0].image, grid.values.shape, 2, 4, TASK.info.values)
    assert set(np.unique(found)) == {0, 1, 2, 3}
    assert status(TASK, phantom).parts == {"volumes": (16, 300)}
    assert TASK.info.official == 300


def test_the_copy_of_nnunet_is_the_same_set(phantom, tmp_path):
    shutil.copytree(phantom, tmp_path / "Dataset027_ACDC")
    for path in (tmp_path / "Dataset027_ACDC" / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace(".nii.gz", "_0000.nii.gz")))
    about = tmp_path / "Dataset027_ACDC" / "dataset.json"
    about.write_text(json.dumps({"labels": {"background": 0, "RV": 1, "MLV": 2, "LVC": 3}, "numTraining": 200}))
    ours, theirs = ([[case.id for case in cases] for _, cases in TASK.splits(f)] for f in (phantom, tmp_path))
    assert ours == theirs
    assert status(TASK, tmp_path).parts == {"volumes": (16, 300)}
    about.write_text(json.dumps({"labels": {"background": 0, "LV": 1, "Myo": 2, "RV": 3}}))
    with pytest.raises(BenchError, match="its labels are background, LV, Myo, RV, and"):
        TASK.splits(tmp_path)


def test_a_volume_without_a_patient_is_refused(phantom, tmp_path):
    shutil.copytree(phantom, tmp_path / "acdc")
    for part in ("imagesTr", "labelsTr"):
        path = tmp_path / "acdc" / part / "patient001_frame01.nii.gz"
        path.rename(path.with_name("heart_frame01.nii.gz"))
    with pytest.raises(BenchError, match="finds nothing in the name of case heart_frame01"):
        TASK.splits(tmp_path / "acdc")


@pytest.mark.skipif(not REAL.is_dir(), reason="no real volumes in ../shared/data/acdc")
def test_real_volumes_are_those_of_20_patients_and_their_spacing_is_not_known():
    splits = TASK.splits(REAL)
    assert [len(cases) for _, cases in splits] == [24, 8, 8]
    assert [len(patients(cases)) for _, cases in splits] == [12, 4, 4]
    assert not patients(splits.train) & patients(splits.test)
    assert status(TASK, REAL).parts == {"volumes": (40, 300)}
    for case in splits.test:
        grid = read_volume(case.image, TASK.info.axis)
        assert grid.spacing is None
        assert grid.values.shape[1:] == (160, 160)
        assert 8 <= len(grid.values) <= 11
        found = read_labels(case.masks[0].path, case.image, grid.values.shape, 2, 4, TASK.info.values)
        assert set(np.unique(found)) == {0, 1, 2, 3}
