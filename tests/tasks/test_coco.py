"""A detection set of one's own in COCO's format: its parts, its classes from the grid, what is told of its files."""

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
TASK = runpy.run_path(str(ROOT / "tasks" / "coco.py"))["coco"]


def fill(folder, count=10, images="images", **files):
    """Images 0.png ... with a box each but the last; `files` name those that each annotation file lists (none: all)."""
    (folder / images).mkdir(parents=True, exist_ok=True)
    for n in range(count):
        Image.new("L", (40, 30)).save(folder / images / f"{n}.png")
    for name, listed in (files or {"annotations": range(count)}).items():
        content = {
            "images": [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 30} for n in listed],
            "annotations": [
                {"id": n, "image_id": n, "category_id": n % 2, "bbox": [n, 2, 5, 6]} for n in listed if n != count - 1
            ],
            "categories": [{"id": 0, "name": "lesion"}, {"id": 1, "name": "device"}],
        }
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def ids(splits):
    return [[case.id for case in cases] for _, cases in splits]


def test_a_phantom_reads_back_as_it_was_drawn(tmp_path):
    draw(TASK, tmp_path / "coco", cases=20)
    splits = TASK.splits(tmp_path / "coco")
    assert [len(cases) for _, cases in splits] == [12, 4, 4]
    for _, cases in splits:
        for case in cases:
            grey, found = objects(2, f"0/coco/images/{int(case.id)}")
            assert case.frame == grey.shape[:2]
            assert [(box.label, (box.left, box.top, box.right, box.bottom)) for box in case.boxes] == found
    assert not splits.notes
    assert status(TASK, tmp_path / "coco").parts == {"images": (20, 0)}


def test_a_grid_names_it_and_its_classes_in_five_lines(tmp_path):
    (tmp_path / "data" / "my_nodules" / "annotations").mkdir(parents=True)
    fill(tmp_path / "data" / "my_nodules", **{"annotations/instances": range(10)})
    (tmp_path / "bench.toml").write_text(
        'data.root = "data"\n[tasks.my_nodules]\nplugin = "coco"\nclasses = ["device", "lesion"]\n'
        'annotations = "annotations/instances.json"\n'
    )
    (entry,) = load(tmp_path / "bench.toml").tasks
    task = entry.load()
    assert (task.info.name, task.info.classes, task.info.target) == ("my_nodules", ("device", "lesion"), "box")
    assert [protocol.plugin.name for protocol in entry.protocols] == ["detect"]
    splits = task.splits(tmp_path / "data" / "my_nodules")
    labels = {case.id: [box.label for box in case.boxes] for _, cases in splits for case in cases}
    assert labels == {str(n): [(n + 1) % 2] if n < 9 else [] for n in range(10)}


def test_parts_are_drawn_listed_or_files_of_their_own(tmp_path):
    folder = fill(tmp_path / "mine", annotations=range(10), few=range(5), val=(5, 6), test=(7, 8, 9))
    assert [len(part) for part in ids(TASK.splits(folder))] == [6, 2, 2]
    (tmp_path / "list.json").write_text(json.dumps({"train": [*range(3, 10)], "val": [2, 1], "test": ["0.png"]}))
    assert ids(TASK.splits(folder, split="list.json")) == [[str(n) for n in range(3, 10)], ["2", "1"], ["0"]]
    whole = TASK.splits(folder, annotations="few.json", val="val.json", test="test.json")
    assert ids(whole) == [[*"01234"], ["5", "6"], ["7", "8", "9"]]
    drawn = ids(TASK.splits(folder, annotations="few.json", test="test.json"))
    assert [len(part) for part in drawn] == [4, 1, 3]
    assert (sorted(drawn[0] + drawn[1]), drawn[2]) == ([*"01234"], ["7", "8", "9"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test": "test.json"}, r"mine: the image 7 is in two of annotations\.json, no val and test\.json"),
        ({"annotations": "few.json", "val": "val.json", "test": "both.json"}, "the image 6 is in two of few"),
        ({"annotations": "few.json", "val": "val.json"}, r"val\.json: is the validation, so that a file `test` is nee"),
        ({"annotations": "few.json", "test": "test.json", "split": "l.json"}, r"test\.json: .* the list `split` would"),
        ({"annotations": "few.json", "test": "empty.json"}, r"empty\.json:1: `images` is empty"),
        ({"annotations": "few.json", "val": "empty.json", "test": "test.json"}, r"empty\.json:1: `images` is empty"),
        ({"annotations": "none.json"}, r"none\.json: cannot be read as JSON: No such file"),
        ({"images": "scans"}, "has no folder scans; it holds images"),
        ({"classes": ("lesion",)}, r"annotations\.json:1: annotations\[1\]: unknown class `device`; known: `lesion`"),
        ({"classes": ()}, "classes: needs one name or more"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path, settings, message):
    files = {"annotations": range(10), "few": range(5), "val": (5, 6), "test": (7, 8, 9), "both": (6, 7), "empty": ()}
    folder = fill(tmp_path / "mine", **files)
    with pytest.raises(BenchError, match=message):
        TASK.splits(folder, **settings)


def test_what_was_mended_is_told_and_what_is_wrong_breaks_the_set(tmp_path):
    folder = fill(tmp_path / "mine")
    content = json.loads((folder / "annotations.json").read_text())
    content["annotations"][0]["bbox"] = [-1, 2, 5, 6]
    content["annotations"][1]["bbox"] = [9, 9, -3, -4]
    content["annotations"].append({**content["annotations"][2], "id": 100})
    (folder / "annotations.json").write_text(json.dumps(content, indent=0))
    told = status(TASK, folder)
    assert told.state == "complete"
    assert sorted(told.reason.split(", ")) == [
        "1 boxes there twice",
        "1 corners swapped",
        "1 edges beyond the image by a pixel at most",
        "images 10 of 0",
    ]
    fill(folder, few=range(5), test=(7, 8, 9))
    assert sum(TASK.splits(folder, annotations="few.json", test="test.json").notes.values()) == 0
    for name, number in (("few", 4), ("test", 2)):
        own = json.loads((folder / f"{name}.json").read_text())
        for box in own["annotations"][:number]:
            box["bbox"] = [15, 2, -5, 6]
        (folder / f"{name}.json").write_text(json.dumps(own))
    assert TASK.splits(folder, annotations="few.json", test="test.json").notes == {"corners swapped": 6}
    content["annotations"][0]["bbox"] = [-2, 2, 5, 6]
    (folder / "annotations.json").write_text(json.dumps(content, indent=0))
    told = status(TASK, folder)
    assert told.state == "broken"
    line = (folder / "annotations.json").read_text().split("\n").index('"bbox": [') - 3  # from 1, the "{" before
    assert told.reason.startswith(f"{folder / 'annotations.json'}:{line}: annotations[0]: the box -2, 2, 3, 8 ")
