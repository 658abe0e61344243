"""Polyps as boxes: the published file on real images against their masks, negatives, and files that are wrong."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from bench.data.boxes import OUTSIDE, SWAPPED, TWICE
from bench.data.folders import MARKER, status
from bench.data.images import read_size
from bench.data.phantom import draw
from bench.data.scenes import objects
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
REAL, LIST = SHARED / "data" / "kvasir", SHARED / "splits" / "kvasir.json"
TASK = runpy.run_path(str(ROOT / "tasks" / "kvasir_detection.py"))["kvasir_detection"]
FILE = "Kvasir-SEG/kavsir_bboxes.json"


@pytest.fixture
def phantom(tmp_path):
    draw(TASK, tmp_path / "kvasir", cases=12)
    return tmp_path / "kvasir"


@pytest.fixture
def change(phantom):
    """Write the file anew, an image a line, as `edit` leaves it."""

    def to(edit):
        content = json.loads((phantom / FILE).read_text())
        edit(content)
        (phantom / FILE).write_text(
            "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in content.items()) + "\n}"
        )
        return phantom

    return to


def cases(splits):
    return {case.id: case for _, of in splits for case in of}


def test_a_phantom_reads_back_as_it_was_drawn(phantom):
    splits = TASK.splits(phantom)
    assert [len(of) for _, of in splits] == [7, 2, 3]
    for case in cases(splits).values():
        grey, found = objects(1, f"0/kvasir_detection/images/{int(case.id[3:])}")
        assert case.frame == grey.shape[:2]
        assert [(box.label, (box.left, box.top, box.right, box.bottom)) for box in case.boxes] == found
    told = status(TASK, phantom)
    assert (told.state, told.parts) == ("partial", {"images": (12, 1000)})


def test_an_image_that_the_file_does_not_have_is_a_negative(change):
    folder = change(lambda content: content.pop("cju0002"))
    case = cases(TASK.splits(folder))["cju0002"]
    assert (case.boxes, case.frame) == ((), ())


def test_what_was_mended_is_told(change):
    one, two = (
        {"label": "polyp", **dict(zip(("xmin", "ymin", "xmax", "ymax"), of, strict=True))}
        for of in ((9, 2, 4, 5), (-1, 2, 9, 5))
    )
    folder = change(lambda content: content["cju0002"].update(bbox=[one, one, two]))
    assert len(cases(TASK.splits(folder))["cju0002"].boxes) == 2
    assert TASK.splits(folder).notes == {SWAPPED: 2, OUTSIDE: 1, TWICE: 1}
    told = status(TASK, folder).reason.split(", ")
    assert (told[0], set(told[1:])) == ("images 12 of 1000", {f"2 {SWAPPED}", f"1 {OUTSIDE}", f"1 {TWICE}"})


BOX = {"label": "polyp", "xmin": 1, "ymin": 2, "xmax": 30, "ymax": 40}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (5, "cju0002 must be an object, is 5"),
        ([], "cju0002 must be an object"),
        ({"bbox": []}, "cju0002: needs `height` and `width` in pixels, has None and None"),
        *(({"height": side, "width": 50, "bbox": []}, "needs `height`") for side in (0, -5, 50.0, "50", True, 10**400)),
        ({"height": 50, "width": 50}, "`bbox` of cju0002 must be a list, is null"),
        ({"height": 50, "width": 50, "bbox": {}}, r"`bbox` of cju0002 must be a list, is \{\}"),
        ({"height": 50, "width": 50, "bbox": [BOX, 5]}, "a box of cju0002 must be an object, is 5"),
        ({"height": 50, "width": 50, "bbox": [[1, 2, 3, 4]]}, "a box of cju0002 must be an object"),
        *(
            ({"height": 50, "width": 50, "bbox": [BOX, {**BOX, **wrong}]}, message)
            for wrong, message in (
                ({"label": "polyps"}, r"cju0002: unknown class `polyps`; did you mean `polyp`\?"),
                ({"label": None}, "unknown class `None`"),
                ({"xmax": None}, "None is no number of pixels"),
                ({"xmax": True}, "True is no number of pixels"),
                ({"xmax": [30]}, r"\[30\] is no number of pixels"),
                ({"xmax": float("nan")}, "nan is no number of pixels"),
                ({"xmax": 10**400}, "10{30,} is no number of pixels"),
                ({"xmax": 1}, "the box 1, 2, 1, 40 .* has no area"),
                ({"xmax": 52}, "the box 1, 2, 52, 40 .* reaches out of its image, which is 50 x 50 pixels"),
            )
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_entry_that_is_wrong_is_told_by_its_line_once(change, entry, message):
    folder = change(lambda content: content.update(cju0002=entry))
    with pytest.raises(
        BenchError, match=f"/kavsir_bboxes\\.json:3: {'.*' if 'cju' not in message else ''}{message}"
    ) as error:
        TASK.splits(folder)
    assert str(error.value).count("kavsir_bboxes") == 1


def test_a_file_that_is_none_is_refused(phantom):
    text = (phantom / FILE).read_text()
    for content, message in (
        ("[]", r":1: the file must be an object, is \[\]"),
        ("", ": cannot be read as JSON"),
        (text[:-1] + ',\n"cju0003": {}}', ":2: `cju0003` is there twice; keep one"),
    ):
        (phantom / FILE).write_text(content)
        with pytest.raises(BenchError, match=r"/kavsir_bboxes\.json" + message):
            TASK.splits(phantom)
    (phantom / FILE).unlink()
    assert status(TASK, phantom).reason == f"{phantom / FILE}: cannot be read as JSON: No such file or directory"


def test_boxes_of_an_image_that_is_not_there_are_wrong_in_a_whole_set_alone(phantom, monkeypatch):
    (phantom / "Kvasir-SEG" / "images" / "cju0003.jpg").unlink()
    assert len(cases(TASK.splits(phantom))) == 11
    (part,) = TASK.info.layout.values()
    monkeypatch.setattr(type(TASK.info), "official", 11)
    assert part.official == 1000
    with pytest.raises(BenchError, match=r"\.json:1: cju0003 has boxes and no image in .*/Kvasir-SEG/images$"):
        TASK.splits(phantom)


def test_a_list_is_followed(phantom):
    (phantom / MARKER).unlink()  # of a phantom, no list is asked for
    names = sorted(cases(TASK.splits(phantom)))
    (phantom.parent / "mine.json").write_text(json.dumps({"train": names[6:], "valid": names[:2], "test": names[2:6]}))
    splits = TASK.splits(phantom, split="mine.json")
    assert [[case.id for case in of] for _, of in splits] == [names[6:], names[:2], names[2:6]]
    (phantom / "Kvasir-SEG" / "images" / f"{names[2]}.jpg").unlink()  # of a set in part, what is there is taken
    assert [case.id for case in TASK.splits(phantom, split="mine.json").test] == names[3:6]


@pytest.mark.skipif(not REAL.is_dir(), reason="no real images in ../shared/data/kvasir")
def test_real_boxes_are_the_outer_edges_of_the_parts_of_the_masks():
    splits = TASK.splits(REAL, split="../splits/kvasir.json")
    assert [len(of) for _, of in splits] == [640, 160, 200]
    listed = json.loads(LIST.read_text())
    assert [[case.id for case in of] for _, of in splits] == [listed[part] for part in ("train", "val", "test")]
    assert not splits.notes
    assert status(TASK, REAL).state == "complete"
    masks = {path.stem: path for path in (REAL / "Kvasir-SEG" / "masks").iterdir()}
    several = 0
    for case in cases(splits).values():
        assert read_size(case.image) == case.frame
        mask = np.asarray(Image.open(masks[case.id]).convert("L")) >= 128
        parts, _ = ndimage.label(mask, np.ones((3, 3)))
        edges = sorted((x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(parts))
        found = sorted((box.left, box.top, box.right, box.bottom) for box in case.boxes)
        np.testing.assert_allclose(found, edges, atol=1, err_msg=case.id)
        several += len(edges) > 1
    assert several > 40
