"""COCO's format: images, boxes and categories go by id, and whatever is wrong is told by file and line."""

import json
import re

import pytest
from PIL import Image

from bench.data.boxes import OUTSIDE, SWAPPED, TWICE, Reader
from bench.data.coco import read_coco
from bench.errors import BenchError
from bench.spec import Box, Splits

NUMBERED = re.compile(r"^(\w+)\[(\d+)\]")


def content():
    """Three images, of which the last has no box, and three boxes; ids are out of order."""
    sides = {"height": 50, "width": 80}
    return {
        "images": [{"id": n, "file_name": f, **sides} for n, f in ((7, "a.png"), ("x", "sub/b.1.png"), (0, "c.png"))],
        "annotations": [
            {"id": 5, "image_id": 7, "category_id": 2, "bbox": [1, 2, 30, 40], "iscrowd": 0, "area": 1200},
            {"id": 4, "image_id": "x", "category_id": 9, "bbox": [0, 0, 80, 50]},
            {"id": 3, "image_id": 7, "category_id": 9, "bbox": [5.5, 6, 7.25, 8]},
        ],
        "categories": [{"id": 2, "name": "mass"}, {"id": 9, "name": "nodule"}],
    }


def lines(of):
    """JSON in which every entry of a list has a line of its own, and a list its line before them."""
    parts = []
    for key, entries in of.items():
        rows = (
            "[\n" + ",\n".join(map(json.dumps, entries)) + "\n]" if isinstance(entries, list) else json.dumps(entries)
        )
        parts.append(f"{json.dumps(key)}: {rows}")
    return "{\n" + ",\n".join(parts) + "\n}"


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "sub/b.1.jpg", "c.png", "not_listed.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (80, 50)).save(tmp_path / "images" / name)
    return tmp_path


@pytest.fixture
def read(folder):
    def of(made, reader=None):
        (folder / "a.json").write_text(made if isinstance(made, str) else lines(made))
        return read_coco(folder / "a.json", folder / "images", reader or Reader(("nodule", "mass")))

    return of


def test_boxes_go_to_their_images_and_classes_by_name(read, folder):
    a, b, c = read(content())
    assert [case.id for case in (a, b, c)] == ["a", "sub/b.1", "c"]
    assert [case.image for case in (a, b, c)] == [folder / "images" / p for p in ("a.png", "sub/b.1.jpg", "c.png")]
    assert a.boxes == (Box(1, 1.0, 2.0, 31.0, 42.0), Box(0, 5.5, 6.0, 12.75, 14.0))
    assert b.boxes == (Box(0, 0.0, 0.0, 80.0, 50.0),)
    assert c.boxes == ()  # a negative, which is legal
    assert {case.frame for case in (a, b, c)} == {(50, 80)}


def test_what_is_certain_is_mended_and_counted(read, folder):
    made, reader = content(), Reader(("nodule", "mass"))
    made["annotations"][0]["bbox"] = [31, 42, -30, -40]  # drawn from the last corner to the first
    made["annotations"][1]["bbox"] = [-1, 0, 82, 50.5]
    made["annotations"].append({**made["annotations"][2], "id": 11})
    a, b, _ = read(made, reader)
    assert a.boxes == (Box(1, 1.0, 2.0, 31.0, 42.0), Box(0, 5.5, 6.0, 12.75, 14.0))
    assert b.boxes == (Box(0, 0.0, 0.0, 80.0, 50.0),)
    notes = reader.finish(folder / "a.json", Splits((), (), ())).notes
    assert notes == {SWAPPED: 1, OUTSIDE: 1, TWICE: 1}


IMAGE, BOX, CATEGORY = "images", "annotations", "categories"
FAULTS = [  # part, number, what to put there, message
    (IMAGE, 1, {"id": 7}, r"has the id 7, which another has too"),
    (IMAGE, 1, {"id": None}, "needs `id`, a whole number or text"),
    (IMAGE, 1, {"id": 1.0}, "needs `id`"),
    (IMAGE, 1, {"id": True}, "needs `id`"),
    (IMAGE, 1, {"id": [1]}, "needs `id`"),
    (IMAGE, 1, "a.png", "needs `id`"),
    (IMAGE, 2, {"file_name": 5}, "needs `file_name`"),
    (IMAGE, 2, {"file_name": None}, "needs `file_name`"),
    *((IMAGE, 2, {"height": side}, "needs `height` and `width`") for side in (0, -1, 50.0, "50", True, None, 10**400)),
    (IMAGE, 2, {"width": 0}, "needs `height` and `width`"),
    *(
        (IMAGE, 2, {"file_name": name}, "lies outside the folder of the images")
        for name in ("/etc/c.png", "../images/c.png", "sub/../../c.png", "..\\c.png", "..", ".", "", "/")
    ),
    (IMAGE, 2, {"file_name": "gone.png"}, r".*images/gone\.png is missing; take its entry out"),
    (IMAGE, 2, {"file_name": "none/c.png"}, r".*has no folder none; it holds sub"),
    (IMAGE, 2, {"file_name": "a.png"}, r"a\.png and a\.png are the same image; keep one"),
    (IMAGE, 2, {"file_name": "./a.jpg"}, r"a\.jpg and a\.png are the same image"),  # cases of one id
    (BOX, 1, {"image_id": 8}, "is of the image 8, which `images` does not have"),
    (BOX, 1, {"image_id": "7"}, "is of the image '7', which"),
    (BOX, 1, {"image_id": None}, "needs `image_id`"),
    (BOX, 1, {"image_id": {}}, "needs `image_id`"),
    (BOX, 1, None, "needs `image_id`"),
    (BOX, 1, [], "needs `image_id`"),
    (BOX, 1, {"id": 5}, "has the id 5, which another has too"),
    (BOX, 1, {"id": None}, "needs `id`"),
    (BOX, 1, {"iscrowd": 1}, "is a crowd, which cannot be scored; take it out"),
    (BOX, 1, {"category_id": 3}, "is of the category 3, which `categories` does not have"),
    (BOX, 1, {"category_id": [2]}, "is of the category"),
    (BOX, 1, {"category_id": True}, "is of the category True"),
    *(
        (BOX, 1, {"bbox": value}, "needs `bbox`, four numbers: left, top, width and height")
        for value in (None, 5, "1234", {}, [], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, None, 4], ["1", 2, 3, 4])
    ),
    (BOX, 1, {"bbox": [3, 4, "12", 5]}, "needs `bbox`"),
    (BOX, 1, {"bbox": [3, 4, True, 5]}, "needs `bbox`"),
    (BOX, 1, {"bbox": [3, float("nan"), 2, 5]}, "nan is no number of pixels"),
    (BOX, 1, {"bbox": [3, 4, float("inf"), 5]}, "inf is no number of pixels"),
    (BOX, 1, {"bbox": [3, 4, 10**400, 5]}, "10{30,} is no number of pixels"),
    (BOX, 1, {"bbox": [1e308, 4, 1e308, 5]}, "inf is no number of pixels"),
    (BOX, 1, {"bbox": [3, 4, 0, 5]}, "the box 3, 4, 3, 9 .* has no area"),
    (BOX, 1, {"bbox": [3, 4, 90, 5]}, "the box 3, 4, 93, 9 .* reaches out of its image, which is 80 x 50 pixels"),
    (CATEGORY, 1, {"name": "nodul"}, r"unknown class `nodul`; did you mean `nodule`\?"),  # told with its box
    (CATEGORY, 1, {"id": 2}, "needs a name, and an id that no other has"),
    (CATEGORY, 1, {"name": None}, "needs a name"),
    (CATEGORY, 1, {"id": None}, "needs `id`"),
    (CATEGORY, 1, 5, "needs `id`"),
]


@pytest.mark.parametrize(("part", "number", "change", "message"), FAULTS)
def test_an_entry_that_is_wrong_is_told_by_its_line(read, part, number, change, message):
    made = content()
    made[part][number] = {**made[part][number], **change} if isinstance(change, dict) else change
    with pytest.raises(BenchError) as error:
        read(made)
    said = re.fullmatch(r".*/a\.json:(\d+): (.*)", str(error.value))
    assert said, error.value
    line, reason = int(said[1]), said[2]
    if part == CATEGORY and "unknown class" in message:
        part = BOX
    first = lines(made).split("\n").index(f'"{part}": [') + 2
    assert line == first + number
    numbered = NUMBERED.match(reason)
    assert not numbered or numbered[0] == f"{part}[{number}]"
    assert re.search(message, reason), reason


@pytest.mark.parametrize("part", [IMAGE, BOX, CATEGORY])
@pytest.mark.parametrize("value", [None, {}, "text", 5])
def test_a_part_that_is_no_list_is_told_by_its_line(read, part, value):
    made = content() | {part: value}
    line = next(n for n, text in enumerate(lines(made).split("\n"), 1) if text.startswith(f'"{part}"'))
    with pytest.raises(BenchError, match=rf"a\.json:{line}: `{part}` must be a list, is "):
        read(made)
    del made[part]
    with pytest.raises(BenchError, match=rf"a\.json:1: `{part}` must be a list, is null"):
        read(made)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r":1: the file must be an object, is \[\]"),
        ("null", ":1: the file must be an object, is null"),
        ("{", ": cannot be read as JSON"),
        ('{"images": [],\n"images": []}', ":2: `images` is there twice; keep one"),
        ('{\n"images": [], "annotations": [], "categories": []}', ":2: `images` is empty"),
    ],
)
def test_a_file_that_is_none_of_cocos_is_refused(read, text, message):
    with pytest.raises(BenchError, match=r"a\.json" + message):
        read(text)


def test_a_box_whose_key_is_there_twice_is_told_by_its_line(read):
    text = lines(content()).replace('"bbox": [5.5', '"bbox": [1, 1, 2, 2], "bbox": [5.5')
    line = next(n for n, row in enumerate(text.split("\n"), 1) if "5.5" in row)
    with pytest.raises(BenchError, match=rf"a\.json:{line}: `bbox` is there twice"):
        read(text)


def test_of_a_set_without_a_box_there_are_negatives_alone(read):
    assert [case.boxes for case in read(content() | {BOX: []})] == [(), (), ()]
    assert len(read(content() | {CATEGORY: content()[CATEGORY] + [{"id": 1, "name": "never used"}]})) == 3
