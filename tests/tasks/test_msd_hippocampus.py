"""Hippocampus: the phantom, folders that are wrong, and the real volumes on their grid of 1 mm."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from bench.data.folders import status
from bench.data.grids import read_labels, read_volume
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "msd_hippocampus"
TASK = runpy.run_path(str(ROOT / "tasks" / "msd_hippocampus.py"))["msd_hippocampus"]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "msd_hippocampus"
    draw(TASK, folder, cases=8)
    return folder


def truth(case, shape):
    return read_labels(case.masks[0].path, case.image, shape, TASK.info.axis, len(TASK.info.classes), TASK.info.values)


def test_a_phantom_reads_back(phantom):
    splits = TASK.splits(phantom)
    assert [len(cases) for _, cases in splits] == [4, 2, 2]
    assert {case.id for _, cases in splits for case in cases} == {f"hippocampus_{n:03d}" for n in range(1, 9)}
    grid = read_volume(splits.test[0].image, TASK.info.axis)
    assert grid.spacing == (3.0, 1.5, 1.5)
    assert set(np.unique(truth(splits.test[0], grid.values.shape))) == {0, 1, 2}
    assert status(TASK, phantom).parts == {"training": (8, 260)}
    assert TASK.info.official == 260
    assert TASK.info.scored == {"anterior": (1,), "posterior": (2,)}


def test_the_folder_of_the_task_will_do_and_others_are_explained(phantom):
    assert TASK.splits(phantom / "Task04_Hippocampus").train
    assert status(TASK, phantom / "Task04_Hippocampus").parts == {"training": (8, 260)}
    with pytest.raises(BenchError, match=r"has no folder imagesTr; was .*Task04_Hippocampus meant"):
        TASK.splits(phantom / "Task04_Hippocampus" / "labelsTr")


@pytest.mark.skipif(not REAL.is_dir(), reason="no real volumes in ../shared/data/msd_hippocampus")
def test_real_volumes_are_a_part_of_the_published_ones_on_a_grid_of_1_mm():
    splits = TASK.splits(REAL)
    assert [len(cases) for _, cases in splits] == [83, 21, 26]
    assert status(TASK, REAL).parts == {"training": (130, 260)}
    assert status(TASK, REAL).state == "partial"
    voxels = np.zeros(3, np.int64)
    for case in splits.test:
        grid = read_volume(case.image, TASK.info.axis)
        assert grid.spacing == (1.0, 1.0, 1.0)
        assert grid.values.min() == 0 < 255 == grid.values.max()
        voxels += np.bincount(truth(case, grid.values.shape).ravel(), minlength=3)
    assert 0.9 < voxels[0] / voxels.sum() < 0.99
    assert 0.5 < voxels[1] / voxels[2] < 2
