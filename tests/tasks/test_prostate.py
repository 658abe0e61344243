"""Prostate of six sites: fitted at one, scored at all, and both ways to spell and to store the truth."""

import runpy
import shutil
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bench.data.folders import status
from bench.data.grids import read_labels, read_volume
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "prostate"
TASK = runpy.run_path(str(ROOT / "tasks" / "prostate.py"))["prostate"]
SITES = {"BMC": 30, "RUNMC": 30, "BIDMC": 12, "HK": 12, "I2CVB": 19, "UCL": 13}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "prostate"
    draw(TASK, folder, cases=5)
    return folder


@pytest.fixture
def phantom(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "prostate")


def truth(case):
    shape = read_volume(case.image, TASK.info.axis).values.shape
    return read_labels(case.masks[0].path, case.image, shape, TASK.info.axis, 2, TASK.info.values)


def test_a_phantom_reads_back_with_one_site_to_fit_on_and_all_to_score(drawn):
    splits = TASK.splits(drawn)
    assert {case.site for case in (*splits.train, *splits.val)} == {"BMC"}
    assert [len(splits.train), len(splits.val)] == [3, 1]
    assert Counter(case.site for case in splits.test) == dict.fromkeys(SITES, 5) | {"BMC": 1}
    assert {f"RUNMC/Case{n:02d}" for n in range(5)} <= {case.id for case in splits.test}
    assert all(case.id.startswith(f"{case.site}/Case") for _, cases in splits for case in cases)
    assert set(np.unique(truth(splits.test[-1]))) == {0, 1}
    assert status(TASK, drawn).parts == {site: (5, official) for site, official in SITES.items()}
    assert TASK.info.official == 116
    assert (drawn / "BMC" / "Case00_Segmentation.nii.gz").is_file()
    assert (drawn / "UCL" / "Case00_segmentation.nii.gz").is_file()


def test_either_spelling_and_either_ending_will_do_and_a_site_may_be_missing(phantom):
    for path in (phantom / "BMC").glob("*_Segmentation*"):
        path.rename(path.with_name(path.name.replace("_Segmentation", "_segmentation")))
    for path in (phantom / "HK").iterdir():
        path.rename(path.with_name(path.name.replace("_segmentation", "_SEGMENTATION").removesuffix(".gz")))
    shutil.rmtree(phantom / "UCL")
    assert Counter(case.site for case in TASK.splits(phantom).test)["HK"] == 5
    assert status(TASK, phantom).parts == {s: (5 * (s != "UCL"), official) for s, official in SITES.items()}


def test_both_zones_are_prostate_and_other_values_are_refused(phantom):
    case = TASK.splits(phantom).test[0]
    image = nibabel.load(case.masks[0].path)
    before, stored = truth(case), np.asarray(image.dataobj).copy()
    stored[:, ::2][stored[:, ::2] == 1] = 2
    nibabel.save(nibabel.Nifti1Image(stored, image.affine), case.masks[0].path)
    np.testing.assert_array_equal(truth(case), before)
    stored[stored == 2] = 3
    nibabel.save(nibabel.Nifti1Image(stored, image.affine), case.masks[0].path)
    with pytest.raises(BenchError, match="the value 3, which is no class; known are 0, 1, 2"):
        truth(case)


def test_missing_truth_images_and_the_site_to_fit_on_are_named(phantom):
    (phantom / "UCL" / "Case03_segmentation.nii.gz").unlink()
    with pytest.raises(BenchError, match=r"UCL/Case03.nii.gz: its truth is missing"):
        TASK.splits(phantom)
    (phantom / "UCL" / "Case03.nii.gz").unlink()
    (phantom / "HK" / "Case04.nii.gz").unlink()
    with pytest.raises(BenchError, match=r"HK/Case04_segmentation.nii.gz: its image is missing"):
        TASK.splits(phantom)
    with pytest.raises(BenchError, match=rf"has no folder BMC; was {phantom} meant"):
        TASK.splits(phantom / "BMC")
    shutil.rmtree(phantom / "BMC")
    with pytest.raises(BenchError, match="has no folder BMC; it holds BIDMC, HK"):
        TASK.splits(phantom)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real volumes in ../shared/data/prostate")
def test_real_volumes_have_the_published_counts():
    splits = TASK.splits(REAL)
    assert Counter(case.site for _, cases in splits for case in cases) == SITES
    assert all(set(np.unique(truth(case))) <= {0, 1} for case in splits.test[::10])
