"""ISIC 2018: text files among the images, masks in any format, and folders that are wrong."""

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
REAL = ROOT.parent / "shared" / "data" / "isic2018"
TASK = runpy.run_path(str(ROOT / "tasks" / "isic2018.py"))["isic2018"]
IMAGES, MASKS = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"


@pytest.fixture
def phantom(tmp_path):
    draw(TASK, tmp_path / "isic2018", cases=12)
    return tmp_path / "isic2018"


def test_a_phantom_reads_back(phantom):
    assert {path.name for path in phantom.glob("*/*.txt")} == {"ATTRIBUTION.txt", "LICENSE.txt"}
    splits = TASK.splits(phantom)
    assert [len(cases) for _, cases in splits] == [7, 2, 3]
    assert {case.id for _, cases in splits for case in cases} == {f"ISIC_{n:07d}" for n in range(12)}
    assert all(case.masks[0].path.stem == f"{case.id}_segmentation" for _, cases in splits for case in cases)
    assert status(TASK, phantom).parts == {"training": (12, 2594)}


def test_formats_do_not_matter(phantom):
    before = [[case.id for case in cases] for _, cases in TASK.splits(phantom)]
    for n, path in enumerate(sorted(phantom.glob("*/*.jpg")) + sorted(phantom.glob("*/*.png"))):
        with Image.open(path) as image:
            pixels = np.asarray(image)
        path.unlink()
        content = Image.fromarray(pixels >= 128) if path.suffix == ".png" else Image.fromarray(pixels)
        content.save(path.with_suffix((".tif", ".bmp", ".PNG")[n % 3]))
    splits = TASK.splits(phantom)
    assert [[case.id for case in cases] for _, cases in splits] == before
    for case in splits.train:
        with Image.open(case.image) as image:
            assert read_truth(case.masks, (image.height, image.width), 2, {}).any()


def test_wrong_folders_and_files_are_explained(phantom):
    for wrong in (phantom.parent, phantom / IMAGES):
        with pytest.raises(BenchError, match=rf"was {re.escape(str(phantom))} meant\?"):
            TASK.splits(wrong)
    (phantom / MASKS / "ISIC_0000003_segmentation.png").rename(phantom / MASKS / "ISIC_0000099_segmentation.png")
    with pytest.raises(
        BenchError, match=rf"{IMAGES}/ISIC_0000003\.jpg is without a mask: .*{MASKS} has no ISIC_0000003_"
    ):
        TASK.splits(phantom)
    (phantom / IMAGES / "ISIC_0000003.jpg").unlink()
    with pytest.raises(BenchError, match=r"ISIC_0000099_segmentation\.png is without an image"):
        TASK.splits(phantom)
    for path in (phantom / MASKS).iterdir():
        path.unlink()
    with pytest.raises(BenchError, match=f"{MASKS}: holds no image"):
        TASK.splits(phantom)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real images in ../shared/data/isic2018")
def test_real_images_give_their_counts():
    splits = TASK.splits(REAL)
    assert [len(cases) for _, cases in splits] == [1024, 256, 320]
    assert status(TASK, REAL).parts == {"training": (1600, 2594)}
    truth = [read_truth(case.masks, (160, 160), 2, {}) for case in splits.val]
    assert all(mask.any() for mask in truth)
    assert 0.15 < np.mean(truth) < 0.25
