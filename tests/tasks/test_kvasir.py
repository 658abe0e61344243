"""Kvasir-SEG: the published list and counts on real images, masks as JPEG leaves them, and folders that are wrong."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.checks import Broken, check_card, check_phantom
from bench.data.folders import status
from bench.data.images import read_image
from bench.data.masks import read_truth
from bench.data.phantom import draw
from bench.errors import BenchError
from bench.registry import discover

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
REAL, LIST = SHARED / "data" / "kvasir", SHARED / "splits" / "kvasir.json"
TASK = runpy.run_path(str(ROOT / "tasks" / "kvasir.py"))["kvasir"]


@pytest.fixture
def phantom(tmp_path):
    draw(TASK, tmp_path / "kvasir", cases=12)
    return tmp_path / "kvasir"


def test_a_phantom_reads_back(phantom):
    splits = TASK.splits(phantom)
    assert [len(cases) for _, cases in splits] == [7, 2, 3]
    for _, cases in splits:
        for case in cases:
            assert case.image.parent.name == "images"
            assert [(m.path.parent.name, m.path.stem, m.label) for m in case.masks] == [("masks", case.id, 1)]
            image = read_image(case.image)
            truth = read_truth(case.masks, image.shape[:2], 2, {})  # a JPEG, as published
            assert 0.02 < truth.mean() < 0.6
    assert status(TASK, phantom).parts == {"images": (12, 1000)}


def test_a_mask_with_greys_of_jpeg_is_kept(phantom):
    """LVM-Med's released code leaves such masks out of training."""
    (mask,) = TASK.splits(phantom).train[0].masks
    before = np.asarray(Image.open(mask.path)) >= 128
    Image.fromarray(before * np.uint8(255)).save(mask.path, quality=20)
    stored = np.asarray(Image.open(mask.path))
    assert ((stored > 50) & (stored < 200)).any()
    assert (read_truth([mask], before.shape, 2, {}) == before).mean() > 0.99


def test_a_list_is_followed_and_one_of_other_images_refused(phantom):
    marker = phantom / "PHANTOM.txt"
    marker.unlink()  # of a phantom, no list is asked for
    names = [case.id for _, cases in TASK.splits(phantom) for case in cases]
    lists = {"train": [f"{n}.jpg" for n in names[6:]], "valid": names[:2], "test": names[2:6]}
    (phantom.parent / "mine.json").write_text(json.dumps(lists))
    splits = TASK.splits(phantom, split="mine.json")
    assert [[case.id for case in cases] for _, cases in splits] == [names[6:], names[:2], names[2:6]]
    (phantom.parent / "mine.json").write_text(json.dumps({key: ["other"] for key in lists}))
    with pytest.raises(BenchError, match=r"mine\.json: names none of the 12 cases"):
        TASK.splits(phantom, split="mine.json")
    with pytest.raises(BenchError, match=r"none\.json: cannot be read"):
        TASK.splits(phantom, split="none.json")


def test_wrong_folders_and_files_are_explained(phantom):
    home = phantom / "Kvasir-SEG"
    for wrong in (phantom.parent, home):
        with pytest.raises(BenchError, match=rf"was {re.escape(str(phantom))} meant\?"):
            TASK.splits(wrong)
    (home / "masks" / "cju0003.jpg").rename(home / "masks" / "odd.png")
    with pytest.raises(BenchError, match=r"images/cju0003\.jpg is without a mask"):
        TASK.splits(phantom)
    (home / "images" / "cju0003.jpg").unlink()
    with pytest.raises(BenchError, match=r"masks/odd\.png is without an image"):
        TASK.splits(phantom)
    assert status(TASK, phantom).state == "broken"


SPLIT = "return divide(cases, folder, split, official=kvasir.info.official)"
REST = "three = Splits(tuple(cases[:5]), tuple(cases[5:9]), tuple(cases[9:])); return three"
FAULTS = {
    "": (SPLIT, SPLIT, ""),
    "no masks": (SPLIT, f"cases = [replace(c, masks=()) for c in cases]; {REST}", r"train: cju0001 has no mask"),
    "no file": (
        SPLIT,
        f"cases = [replace(c, region=Path('x')) for c in cases]; {REST}",
        r"files that are not there: \['x",
    ),
    "a patient twice": (SPLIT, f"cases = [replace(c, group='p') for c in cases]; {REST}", r"a group .* in two splits"),
    "a case twice": (SPLIT, REST.replace("[5:9]", "[4:9]"), "a case is in two splits"),
    "no test": (SPLIT, REST.replace("[9:]", "[99:]"), "test: no case in it"),
    "labels": (SPLIT, f"cases = [replace(c, masks=(Mask(c.masks[0].path),)) for c in cases]; {REST}", "is no class"),
    "a structure never seen": ('"polyp")', '"polyp", "tool")', r"train: a class is missing, \['tool'\]"),
    "release of no class": ("(1,))", "(2,))", r"release have classes that are not there: \[2\]"),
    "values of no class": ('target="mask",', 'target="mask", values={7: 3},', r"classes that are not there: \[3\]"),
}


@pytest.mark.parametrize(("old", "new", "message"), FAULTS.values(), ids=FAULTS)
def test_the_contract_suite_tells_what_is_wrong_in_a_segmentation(tmp_path, old, new, message):
    text = (ROOT / "tasks" / "kvasir.py").read_text().replace(old, new)
    (tmp_path / "plug.py").write_text(
        text.replace('    "kvasir",', '    "plug",').replace("import Image,", "import Mask, Image,")
        + "\nfrom dataclasses import replace\n"
    )
    (plugin,) = [found for found in discover([str(tmp_path / "plug.py")]).plugins if found.name == "plug"]

    def check():
        check_card(plugin)
        check_phantom(plugin)

    if message:
        with pytest.raises((Broken, BenchError), match=message):
            check()
    else:
        check()


@pytest.mark.skipif(not REAL.is_dir(), reason="no real images in ../shared/data/kvasir")
def test_real_images_give_the_published_counts_and_list():
    assert [len(cases) for _, cases in TASK.splits(REAL)] == [640, 160, 200]
    splits = TASK.splits(REAL, split="../splits/kvasir.json")
    listed = json.loads(LIST.read_text())
    assert [[case.id for case in cases] for _, cases in splits] == [listed[part] for part in ("train", "val", "test")]
    assert [len(cases) for _, cases in splits] == [640, 160, 200]
    assert status(TASK, REAL).state == "complete"
    truth = [read_truth(case.masks, (224, 224), 2, {}) for case in splits.test]
    assert all(mask.any() for mask in truth)
    assert 0.1 < np.mean(truth) < 0.17
