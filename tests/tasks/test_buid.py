"""BUID: several masks of one image, what is left out, the published list, and folders that are wrong."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.folders import status
from bench.data.masks import read_truth
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
REAL, LIST = SHARED / "data" / "buid", SHARED / "splits" / "buid.json"
TASK = runpy.run_path(str(ROOT / "tasks" / "buid.py"))["buid"]


@pytest.fixture
def phantom(tmp_path):
    draw(TASK, tmp_path / "buid", cases=12)
    normal = tmp_path / "buid" / "Dataset_BUSI_with_GT" / "normal"
    normal.mkdir()
    for name in ("normal (1)", "normal (1)_mask"):
        Image.new("L", (20, 20)).save(normal / f"{name}.png")
    return tmp_path / "buid"


def place(phantom):
    return phantom / "Dataset_BUSI_with_GT" / "benign"


def test_a_phantom_reads_back_without_the_normal_images(phantom):
    splits = TASK.splits(phantom)
    assert [len(cases) for _, cases in splits] == [15, 4, 5]
    ids = {case.id for _, cases in splits for case in cases}
    assert ids == {f"{kind} ({n})" for kind in ("benign", "malignant") for n in range(1, 13)}
    assert status(TASK, phantom).parts == {"benign": (12, 437), "malignant": (12, 210)}
    assert TASK.info.official == 647


def test_several_masks_of_an_image_are_one(phantom):
    first = np.asarray(Image.open(place(phantom) / "benign (4)_mask.png")) > 0
    for n, rows in ((1, slice(0, 5)), (2, slice(5, 9))):
        more = np.zeros_like(first)
        more[rows] = True
        Image.fromarray(more).save(place(phantom) / f"benign (4)_mask_{n}.png")
        first = first | more
    (case,) = [case for _, cases in TASK.splits(phantom) for case in cases if case.id == "benign (4)"]
    assert [mask.path.stem[10:] for mask in case.masks] == ["_mask", "_mask_1", "_mask_2"]
    np.testing.assert_array_equal(read_truth(case.masks, first.shape, 2, {}), first)
    assert status(TASK, phantom).parts["benign"] == (12, 437)  # masks are no images


def test_the_published_list_has_no_spaces_and_may_name_more_than_there_is(phantom):
    (phantom / "PHANTOM.txt").unlink()
    lists = {"train": ["benign(1).png", "malignant(2).png"], "valid": ["benign(300).png", "benign(2).png"]}
    (phantom.parent / "buid.json").write_text(json.dumps({**lists, "test": ["malignant (1).png"]}))
    splits = TASK.splits(phantom, split="buid.json")
    assert [[case.id for case in cases] for _, cases in splits] == [
        ["benign (1)", "malignant (2)"],
        ["benign (2)"],
        ["malignant (1)"],
    ]


def test_wrong_folders_and_files_are_explained(phantom):
    for wrong in (phantom.parent, phantom / "Dataset_BUSI_with_GT"):
        with pytest.raises(BenchError, match=rf"was {re.escape(str(phantom))} meant\?"):
            TASK.splits(wrong)
    (place(phantom) / "benign (3)_mask.png").rename(place(phantom) / "benign (13)_mask_1.png")
    with pytest.raises(BenchError, match=r"benign \(13\)_mask_1\.png: has no image beside it, nor have 1 more"):
        TASK.splits(phantom)
    (place(phantom) / "benign (13)_mask_1.png").unlink()
    with pytest.raises(BenchError, match=r"benign \(3\)\.png: has no mask beside it"):
        TASK.splits(phantom)
    Image.new("L", (2, 2)).save(place(phantom) / "benign (3).tif")
    with pytest.raises(BenchError, match="are the same image; keep one"):
        TASK.splits(phantom)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real images in ../shared/data/buid")
def test_real_images_follow_the_published_list():
    listed = json.loads(LIST.read_text())
    splits = TASK.splits(REAL, split="../splits/buid.json")
    for part, cases in splits:
        there = [
            name for name in listed[part] if (REAL / "Dataset_BUSI_with_GT" / name.split()[0] / f"{name}.webp").exists()
        ]
        assert [case.id for case in cases] == there
    assert [len(cases) for _, cases in splits] == [66, 16, 17]
    assert [len(cases) for _, cases in TASK.splits(REAL)] == [63, 16, 20]
    assert status(TASK, REAL).parts == {"benign": (49, 437), "malignant": (50, 210)}
    assert sum(len(case.masks) - 1 for _, cases in splits for case in cases) == 2
    assert all(read_truth(case.masks, (224, 224), 2, {}).any() for case in splits.test)


@pytest.mark.skipif(not LIST.is_file(), reason="no published lists in ../shared/splits")
def test_the_published_list_fits_the_whole_set(tmp_path):
    """All 647 images as empty files: every name is found, and none is left over."""
    for kind, number in (("benign", 437), ("malignant", 210)):
        folder = tmp_path / "data" / "buid" / "Dataset_BUSI_with_GT" / kind
        folder.mkdir(parents=True)
        for n in range(1, number + 1):
            for end in ("", "_mask"):
                (folder / f"{kind} ({n}){end}.png").touch()
    (tmp_path / "buid.json").write_text(LIST.read_text())
    folder = tmp_path / "data" / "buid"
    assert [len(cases) for _, cases in TASK.splits(folder, split="../buid.json")] == [413, 104, 130]
    assert [len(cases) for _, cases in TASK.splits(folder)] == [413, 104, 130]
    assert status(TASK, folder).state == "complete"
    for name in ("benign (9).png", "benign (9)_mask.png"):
        (folder / "Dataset_BUSI_with_GT" / "benign" / name).unlink()
    assert sum(len(cases) for _, cases in TASK.splits(folder, split="../buid.json")) == 646
