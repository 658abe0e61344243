"""DRIVE: archives with and without truth for the test images, and folders that are wrong."""

import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from bench.data.folders import status
from bench.data.images import read_image
from bench.data.masks import read_region, read_truth
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
TASK = runpy.run_path(str(ROOT / "tasks" / "drive.py"))["drive"]


@pytest.fixture
def phantom(tmp_path):
    draw(TASK, tmp_path / "drive", cases=20)
    return tmp_path / "drive"


def ids(splits):
    return [[case.id for case in cases] for _, cases in splits]


def test_the_official_parts_are_used_where_test_has_truth(phantom):
    train, val = train_test_split([f"training/{n}" for n in range(21, 41)], test_size=0.2, random_state=42)
    splits = TASK.splits(phantom)
    assert ids(splits) == [train, val, [f"test/{n:02d}" for n in range(1, 21)]]
    assert status(TASK, phantom).parts == {"training": (20, 20), "test": (20, 20)}
    for case in splits.test[:3]:
        shape = read_image(case.image).shape[:2]
        assert read_truth(case.masks, shape, 2, {}).any()
        assert read_region(case.region, shape).all()  # a phantom's field of view is all of it


def test_without_truth_for_test_training_is_all_there_is(phantom):
    shutil.rmtree(phantom / "test" / "1st_manual")
    splits = TASK.splits(phantom)
    assert [len(part) for part in ids(splits)] == [12, 3, 5]
    assert {name for part in ids(splits) for name in part} == {f"training/{n}" for n in range(21, 41)}
    shutil.rmtree(phantom / "test")
    assert ids(TASK.splits(phantom)) == ids(splits)


def test_formats_and_a_second_observer_do_not_matter(phantom):
    before = ids(TASK.splits(phantom))
    shutil.copytree(phantom / "test" / "1st_manual", phantom / "test" / "2nd_manual")
    for path in [*phantom.glob("*/*/*.tif"), *phantom.glob("*/*/*.gif")]:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        path.unlink()
        Image.fromarray(pixels).save(path.with_suffix(".png"))
    assert ids(TASK.splits(phantom)) == before


@pytest.mark.parametrize(
    ("path", "lacking"),
    [
        ("training/images/24_training.tif", "24_training"),
        ("training/1st_manual/24_manual1.gif", "24_manual1"),
        ("test/mask/04_test_mask.gif", "04_test_mask"),
        ("test/1st_manual/04_manual1.gif", "04_manual1"),
    ],
)
def test_what_is_missing_is_named(phantom, path, lacking):
    (phantom / path).unlink()
    with pytest.raises(BenchError, match=rf"{Path(path).parent}: has no image {lacking}; was the data set unpacked"):
        TASK.splits(phantom)


def test_wrong_folders_are_explained(phantom):
    for wrong in (phantom.parent, phantom / "training"):
        with pytest.raises(BenchError, match=rf"was {re.escape(str(phantom))} meant\?"):
            TASK.splits(wrong)
    shutil.rmtree(phantom / "training" / "mask")
    with pytest.raises(BenchError, match="has no folder mask; it holds 1st_manual, images"):
        TASK.splits(phantom)
