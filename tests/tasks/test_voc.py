"""A detection set of one's own in Pascal VOC's format: phantoms, VOC's own lists, negatives, and what is told of it."""

import json
import runpy
from pathlib import Path

import pytest
from PIL import Image

from bench.config import load
from bench.data.folders import status
from bench.data.phantom import draw
from bench.data.scenes import objects
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
TASK = runpy.run_path(str(ROOT / "tasks" / "voc.py"))["voc"]


def fill(folder, count=10, images="JPEGImages", annotations="Annotations", edges=(1, 2, 20, 25)):
    """Images `cell 0` ..., each with a box but the last two, of which one has a file and the other none."""
    for place in (images, annotations):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for n in range(count):
        Image.new("RGB", (40, 30)).save(folder / images / f"cell {n}.jpg")
        sides = zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
        inner = "".join(f"<{side}>{edge}</{side}>" for side, edge in sides)
        one = (
            f"<object>\n<name>{('RBC', 'WBC')[n % 2]}</name><bndbox>{inner}</bndbox></object>" if n < count - 2 else ""
        )
        size = "<size><width>40</width><height>30</height></size>"
        (folder / annotations / f"cell {n}.xml").write_text(f"<annotation>\n{size}\n{one}</annotation>")
    (folder / annotations / f"cell {count - 1}.xml").unlink()
    return folder


def read(folder, **settings):
    return TASK.splits(folder, classes=("RBC", "WBC"), **settings)


def cases(splits):
    return {case.id: case for _, of in splits for case in of}


def test_a_phantom_reads_back_as_it_was_drawn(tmp_path):
    draw(TASK, tmp_path / "voc", cases=20)
    splits = TASK.splits(tmp_path / "voc")
    assert [len(of) for _, of in splits] == [12, 4, 4]
    for case in cases(splits).values():
        grey, found = objects(2, f"0/voc/images/{int(case.id)}")
        assert case.frame == grey.shape[:2]
        assert [(box.label, (box.left, box.top, box.right, box.bottom)) for box in case.boxes] == found
    assert status(TASK, tmp_path / "voc").parts == {"images": (20, 0)}


def test_folders_and_classes_may_be_ones_own_and_images_without_boxes_are_negatives(tmp_path):
    fill(tmp_path / "data" / "my_cells", images="scans/a", annotations="scans/xml")
    (tmp_path / "bench.toml").write_text(
        'data.root = "data"\n[tasks.my_cells]\nplugin = "voc"\nimages = "scans/a"\nannotations = "scans/xml"\n'
        'classes = ["WBC", "RBC"]\n'
    )
    (entry,) = load(tmp_path / "bench.toml").tasks
    found = cases(entry.load().splits(tmp_path / "data" / "my_cells"))
    assert {name: [box.label for box in case.boxes] for name, case in found.items()} == {
        f"cell {n}": [(n + 1) % 2] if n < 8 else [] for n in range(10)
    }
    assert {case.frame for case in found.values()} == {(30, 40), ()}


def test_lists_are_json_or_a_folder_as_voc_has_it(tmp_path):
    folder = fill(tmp_path / "mine")
    parts = {"train": [f"cell {n}" for n in (9, 3, 4, 5)], "val": ["cell 0", "cell 8"], "test": ["cell 1", "cell 2"]}
    parts["train"] += ["cell 6", "cell 7"]
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for name, listed in parts.items():
        (lists / f"{name}.txt").write_text("\n".join(listed) + "\n")
    (lists / "trainval.txt").write_text("cell 0\n")
    (tmp_path / "list.json").write_text(json.dumps(parts))
    for split in ("mine/ImageSets/Main", "list.json"):
        splits = read(folder, split=split)
        assert {name: [case.id for case in of] for name, of in splits} == parts
    (lists / "test.txt").unlink()
    with pytest.raises(BenchError, match=r"mine/ImageSets/Main: needs one file test\.txt"):
        read(folder, split="mine/ImageSets/Main")


def test_what_was_mended_is_told_and_what_is_wrong_breaks_the_set(tmp_path):
    task = TASK.configured("my_cells", {"classes": ["RBC", "WBC"]})
    folder = fill(tmp_path / "mine", count=7, edges=(20, 2, 1, 31))
    told = status(task, folder)
    assert (told.state, told.found) == ("complete", 7)
    assert told.reason == "images 7 of 0, 5 corners swapped, 5 edges beyond the image by a pixel at most"
    told = status(task, fill(folder, edges=(20, 2, 1, 31)))  # eight of eight: it is no mistake of a few
    assert told.state == "broken"
    assert "mine: 8 of 8 boxes end before they begin; are their last two numbers width and height" in told.reason
    told = status(task, fill(folder, edges=(1, 2, 20, 32)))
    assert told.reason.startswith(f"{folder}/Annotations/cell 0.xml:3: the box 1, 2, 20, 32 ")
    fill(folder)
    (folder / "JPEGImages" / "cell 3.jpg").unlink()
    assert status(task, folder).reason.startswith(f"{folder}/Annotations/cell 3.xml: its image is missing")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": "scans"}, "has no folder scans; it holds Annotations, JPEGImages"),
        ({"annotations": "xml"}, "has no folder xml"),
        ({"split": "none"}, "none: cannot be read as a list of cases: No such file"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path, settings, message):
    with pytest.raises(BenchError, match=message):
        read(fill(tmp_path / "mine"), **settings)
