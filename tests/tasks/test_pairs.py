"""A folder of one's own: two classes or more, names and lists of one's own, and everything that can be wrong in it."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.config import load
from bench.data.folders import status
from bench.data.masks import read_truth
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
TASK = runpy.run_path(str(ROOT / "tasks" / "pairs.py"))["pairs"]


def fill(folder, images="images", masks="masks", suffix="", values=(0, 255), count=10):
    """Pairs of one's own, in which the n-th image has a mask with a block of each value."""
    truth = np.repeat(np.array(values, np.uint8), 6)[None].repeat(8, 0)
    for place in (images, masks):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for n in range(count):
        Image.fromarray(np.full((*truth.shape, 3), 20 * n, np.uint8)).save(folder / images / f"scan {n}.jpg")
        Image.fromarray(truth).save(folder / masks / f"scan {n}{suffix}.png")
    return folder


def test_two_classes_are_black_and_white(tmp_path):
    splits = TASK.splits(fill(tmp_path / "mine"))
    assert [len(cases) for _, cases in splits] == [6, 2, 2]
    np.testing.assert_array_equal(read_truth(splits.test[0].masks, (8, 12), 2, {})[0], [0] * 6 + [1] * 6)
    assert status(TASK, tmp_path / "mine").parts == {"images": (10, 0)}


def test_more_classes_are_numbers(tmp_path):
    task = TASK.configured("organs", {"classes": ["none", "liver", "spleen"]})
    assert (task.info.name, task.info.classes) == ("organs", ("none", "liver", "spleen"))
    splits = task.splits(fill(tmp_path / "mine", values=(0, 1, 2)))
    np.testing.assert_array_equal(read_truth(splits.test[0].masks, (8, 18), 3, {})[0, ::6], [0, 1, 2])
    fill(tmp_path / "mine", values=(0, 1, 3))
    with pytest.raises(BenchError, match="holds 3, which is no class; known: 0, 1, 2"):
        read_truth(splits.test[0].masks, (8, 18), 3, {})
    for classes in ((), ("background",)):
        with pytest.raises(BenchError, match="`classes` needs the background and 1 to 254 structures"):
            TASK.splits(tmp_path / "mine", classes=classes)


def test_folders_suffix_and_list_may_be_ones_own(tmp_path):
    folder = fill(tmp_path / "mine", images="x/scans", masks="x/drawn", suffix="_seg")
    names = [f"scan {n}" for n in range(10)]
    (tmp_path / "parts.json").write_text(json.dumps({"train": names[4:], "val": names[:2], "test": names[2:4]}))
    settings = {"images": "x/scans", "masks": "x/drawn", "suffix": "_seg", "split": "parts.json"}
    splits = TASK.splits(folder, **settings)
    assert [[case.id for case in cases] for _, cases in splits] == [names[4:], names[:2], names[2:4]]
    (folder / "x" / "scans" / "scan 0.jpg").rename(folder / "x" / "scans" / "scan 77.jpg")
    (folder / "x" / "drawn" / "scan 0_seg.png").rename(folder / "x" / "drawn" / "scan 77_seg.png")
    with pytest.raises(BenchError, match=r"parts\.json: scan 0 is in it, but not among the 10 cases"):
        TASK.splits(folder, **settings)


def test_images_and_masks_in_one_folder(tmp_path):
    folder = fill(tmp_path / "mine", images=".", masks=".", suffix="_mask")
    assert sum(len(cases) for _, cases in TASK.splits(folder, images=".", masks=".", suffix="_mask")) == 10


def test_what_is_wrong_in_the_folder_is_named(tmp_path):
    folder = fill(tmp_path / "mine")
    for wrong in (tmp_path, folder / "images"):
        with pytest.raises(BenchError, match=rf"was {re.escape(str(folder))} meant\?"):
            TASK.splits(wrong)
    with pytest.raises(BenchError, match="has no folder photos; it holds images, masks"):
        TASK.splits(folder, images="photos")
    (folder / "masks" / "scan 4.png").rename(folder / "masks" / "scan 4_mask.png")
    with pytest.raises(BenchError, match=r"images/scan 4\.jpg is without a mask: .*there is .*masks/scan 4_mask\.png"):
        TASK.splits(folder)
    (folder / "images" / "scan 4.jpg").unlink()
    with pytest.raises(BenchError, match=r"masks/scan 4_mask\.png is without an image"):
        TASK.splits(folder)
    Image.new("L", (2, 2)).save(folder / "images" / "scan 5.tiff")
    with pytest.raises(BenchError, match=r"scan 5\.jpg and scan 5\.tiff are the same image"):
        TASK.splits(folder)
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(BenchError, match="images: holds no image"):
        TASK.splits(folder)


def test_a_grid_names_it_and_its_classes(tmp_path):
    fill(tmp_path / "data" / "my_polyps", values=(0, 1, 2))
    (tmp_path / "bench.toml").write_text(
        '[data]\nroot = "data"\n[tasks.my_polyps]\nplugin = "pairs"\nprotocols = []\nclasses = ["none", "a", "b"]\n'
    )
    (entry,) = load(tmp_path / "bench.toml").tasks
    task = entry.load()
    assert (task.info.name, task.info.classes) == ("my_polyps", ("none", "a", "b"))
    assert task.splits(tmp_path / "data" / "my_polyps").train[0].masks[0].label == 0
