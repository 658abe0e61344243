"""BraTS 2018: both grades in one split, the sequence that a grid chooses, and cases that are not whole."""

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
REAL = ROOT.parent / "shared" / "data" / "brats2018"
TASK = runpy.run_path(str(ROOT / "tasks" / "brats2018.py"))["brats2018"]
HOME = "MICCAI_BraTS_2018_Data_Training"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "brats2018"
    draw(TASK, folder, cases=4)
    return folder


@pytest.fixture
def phantom(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "brats2018")


def test_a_phantom_reads_back(drawn):
    splits = TASK.splits(drawn)
    assert [len(cases) for _, cases in splits] == [4, 2, 2]
    ids = {case.id for _, cases in splits for case in cases}
    assert ids == {f"HGG/Brats18_{n:03d}_1" for n in range(1, 5)} | {f"LGG/Brats18_{n}_1" for n in range(211, 215)}
    case = splits.test[0]
    grid = read_volume(case.image, TASK.info.axis)
    found = read_labels(case.masks[0].path, case.image, grid.values.shape, TASK.info.axis, 4, TASK.info.values)
    assert set(np.unique(found)) == {0, 1, 2, 3}
    assert status(TASK, drawn).parts == {"HGG": (4, 210), "LGG": (4, 75)}
    assert TASK.info.official == 285


def test_regions_and_stored_values_are_those_of_the_challenge():
    assert TASK.info.values == {1: 1, 2: 2, 4: 3}
    names = {name: {TASK.info.classes[n] for n in classes} for name, classes in TASK.info.scored.items()}
    assert names == {
        "whole_tumour": {"necrosis", "oedema", "enhancing"},
        "tumour_core": {"necrosis", "enhancing"},
        "enhancing": {"enhancing"},
    }
    assert TASK.info.release == ("iou", TASK.info.regions["whole_tumour"])


def test_one_sequence_is_chosen(drawn):
    for modality in ("flair", "t1", "t1ce", "t2"):
        chosen = TASK.configured("t", {"modality": modality}).splits(drawn)
        assert {case.image.name.removeprefix(f"{case.image.parent.name}_") for case in chosen.train} == {
            f"{modality}.nii.gz"
        }
    assert all(case.image.name.endswith("_flair.nii.gz") for case in TASK.splits(drawn).train)
    with pytest.raises(BenchError, match="unknown modality `t1c`; did you mean `t1ce`"):
        TASK.configured("t", {"modality": "t1c"}).splits(drawn)


def test_published_names_other_endings_validation_cases_and_a_folder_off_by_one_do_not_matter(phantom):
    before = [len(cases) for _, cases in TASK.splits(phantom)]
    place = phantom / HOME / "HGG" / "Brats18_001_1"
    for path in place.iterdir():
        path.rename(place / path.name.replace("001_1", "TCIA01_131_1"))
    place.rename(place.with_name("Brats18_TCIA01_131_1"))
    shutil.copytree(phantom / HOME / "LGG" / "Brats18_211_1", phantom / "MICCAI_BraTS_2018_Data_Validation" / "X")
    for path in (phantom / HOME / "LGG" / "Brats18_212_1").iterdir():
        path.rename(path.with_name(path.name.removesuffix(".gz")))
    (phantom / HOME / "HGG" / ".DS_Store").touch()
    (phantom / HOME / "survival_data.csv").touch()
    for folder in (phantom, phantom / HOME):
        assert [len(cases) for _, cases in TASK.splits(folder)] == before
        assert status(TASK, folder).parts == {"HGG": (4, 210), "LGG": (4, 75)}
    ids = {case.id for _, cases in TASK.splits(phantom) for case in cases}
    assert {"HGG/Brats18_TCIA01_131_1", "LGG/Brats18_212_1"} <= ids


def test_cases_that_are_not_whole_and_missing_grades_are_named(phantom):
    place = phantom / HOME / "LGG" / "Brats18_211_1"
    (place / "Brats18_211_1_seg.nii.gz").rename(place / "Brats18_999_1_seg.nii.gz")
    with pytest.raises(BenchError, match=r"Brats18_211_1_flair.nii.gz: its truth is missing"):
        TASK.splits(phantom)
    (place / "Brats18_211_1_flair.nii.gz").rename(place / "Brats18_999_1_flair.nii.gz")
    with pytest.raises(BenchError, match=r"LGG/Brats18_211_1: the files of a case are named like its folder"):
        TASK.splits(phantom)
    shutil.rmtree(place)
    place.mkdir()
    with pytest.raises(BenchError, match=r"LGG/Brats18_211_1: holds no volume"):
        TASK.splits(phantom)
    for case in (phantom / HOME / "LGG").iterdir():
        shutil.rmtree(case)
    with pytest.raises(BenchError, match=r"LGG: holds no case"):
        TASK.splits(phantom)
    (phantom / HOME / "LGG").rmdir()
    with pytest.raises(BenchError, match="has no folder LGG"):
        TASK.splits(phantom)
    with pytest.raises(BenchError, match=rf"has no folder HGG; was {phantom / HOME} meant"):
        TASK.splits(phantom / HOME / "HGG")


@pytest.mark.skipif(not REAL.is_dir(), reason="no real volumes in ../shared/data/brats2018: given on registration")
def test_real_volumes_have_the_published_counts_and_grid():
    splits = TASK.splits(REAL)
    assert sum(len(cases) for _, cases in splits) == 285
    grid = read_volume(splits.test[0].image, TASK.info.axis)
    assert (grid.values.shape, grid.spacing) == ((155, 240, 240), (1.0, 1.0, 1.0))
