"""VinDr-CXR as Kaggle and as PhysioNet has it: raters, sizes of the originals, negatives, and files that are wrong."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bench.data.boxes import OUTSIDE, SWAPPED, TWICE
from bench.data.folders import official, status
from bench.data.images import read_image
from bench.data.phantom import draw
from bench.data.scenes import objects
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
MODULE = runpy.run_path(str(ROOT / "tasks" / "vindr.py"))
TASK, FINDINGS, TEST, OTHER, SILENT = (MODULE[name] for name in ("vindr", "FINDINGS", "TEST", "OTHER", "SILENT"))
PHYSIONET = replace(TASK.info, layout=TASK.info.layouts[TEST])
HEAD = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
NONE = "No finding,14,R8,,,,"


def kaggle(folder, *rows, images="abcdefghij", head=f"{HEAD},width,height", size=(64, 64)):
    """Images of 64 px, each with a nodule of R8 in an original of 1000 x 800 but those that `rows` say more of."""
    (folder / "train").mkdir(parents=True, exist_ok=True)
    for name in images:
        Image.new("L", size).save(folder / "train" / f"{name}.png")
    said = {row.split(",")[0] for row in rows}
    plain = [f"{name},Nodule/Mass,8,R8,100,200,300,400,1000,800" for name in images if name not in said]
    cut = None if head.endswith("height") else -2
    (folder / "train.csv").write_text("\n".join([head, *(",".join(row.split(",")[:cut]) for row in (*rows, *plain))]))
    return folder


def case(splits, name="a"):
    return next((one for _, cases in splits for one in cases if one.id == name), None)


def edges(one):
    return [(FINDINGS[box.label], box.left, box.top, box.right, box.bottom) for box in one.boxes]


def drawn_boxes(name, n):
    return [(FINDINGS[label], *of) for label, of in objects(14, f"0/vindr/{name}/{n}")[1]]


# ------------------------------------------------------------------------------------------- phantoms


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    root = tmp_path_factory.mktemp("vindr")
    draw(TASK, root / "kaggle", cases=30)
    draw(replace(TASK, info=PHYSIONET), root / "physionet", cases=30)
    return root


def test_a_phantom_of_kaggles_reads_back_with_raters_fused(phantoms):
    splits = TASK.splits(phantoms / "kaggle", negatives=True)
    assert [len(cases) for _, cases in splits] == [21, 3, 6]
    assert not splits.notes
    for _, cases in splits:
        for one in cases:
            wanted = drawn_boxes("train", int(one.id, 16))
            assert one.frame == read_image(one.image).shape[:2]
            for (name, *found), (told, *there) in zip(edges(one), wanted, strict=True):
                assert name == told
                assert found == pytest.approx(there, abs=1.01)  # raters are a pixel apart, to the right
    told = status(TASK, phantoms / "kaggle")
    assert (told.state, told.parts) == ("partial", {"train": (30, 15000)})


def test_a_phantom_of_physionets_has_dicom_and_a_test_of_its_own(phantoms):
    splits = TASK.splits(phantoms / "physionet", negatives=True)
    assert [len(cases) for _, cases in splits] == [26, 4, 30]
    for one in splits.test:
        assert one.image.suffix == ".dicom"
        assert edges(one) == drawn_boxes("test", int(one.id, 16))  # by consensus: as they are
        assert one.frame == ()
    assert read_image(splits.test[0].image).shape[2] == 3
    told = status(TASK, phantoms / "physionet")
    assert (told.state, told.parts) == ("partial", {"train": (30, 15000), "test": (30, 3000)})
    assert [official(TASK, phantoms / name) for name in ("kaggle", "physionet")] == [15000, 18000]


@pytest.mark.parametrize("name", ["kaggle", "physionet"])
def test_raters_may_stay_apart_and_negatives_out(phantoms, name):
    fused, apart = (TASK.splits(phantoms / name, raters=raters) for raters in ("fused", "apart"))
    whole = TASK.splits(phantoms / name, negatives=True)
    silent = [one.id for _, cases in whole for one in cases if not one.boxes]
    assert 0 < len(silent) < 12
    assert fused.notes == apart.notes == {SILENT: len(silent)}
    assert not [one for _, cases in fused for one in cases if not one.boxes]
    assert [len(cases) for _, cases in fused] == [len(cases) for _, cases in apart]
    for one in fused.train:
        other = case(apart, one.id)
        assert len(other.boxes) == 3 * len(one.boxes)
        assert {box.rater for box in other.boxes} == {"R8", "R9", "R10"}
        assert {box.rater for box in one.boxes} == {""}
    strict = TASK.splits(phantoms / name, iou=0.99)  # which boxes a pixel apart do not reach
    assert sum(len(one.boxes) for one in strict.train) > 2 * sum(len(one.boxes) for one in fused.train)
    assert [c.id for c in TASK.splits(phantoms / name, seed=1).train] != [c.id for c in fused.train]


# ------------------------------------------------------------------------------------------- Kaggle's file


def test_boxes_are_in_the_original_where_the_file_has_its_size(tmp_path):
    one = case(TASK.splits(kaggle(tmp_path / "with")))
    assert (one.frame, edges(one)) == ((800, 1000), [("Nodule/Mass", 100, 200, 300, 400)])
    one = case(TASK.splits(kaggle(tmp_path / "without", head=HEAD)))
    assert (one.frame, edges(one)) == ((), [("Nodule/Mass", 100, 200, 300, 400)])


def test_boxes_of_raters_are_fused_where_they_overlap_enough(tmp_path):
    rows = [
        f"a,Nodule/Mass,8,R{n},{100 + step},200,{200 + step},300,1000,800" for n, step in ((8, 0), (9, 30), (10, 300))
    ]
    folder = kaggle(tmp_path, *rows, "a,ILD,5,R9,100,200,200,300,1000,800", rows[1], f"b,{NONE},1000,800")
    splits = TASK.splits(folder)
    fused = [("Nodule/Mass", 115, 200, 215, 300), ("Nodule/Mass", 400, 200, 500, 300), ("ILD", 100, 200, 200, 300)]
    assert edges(case(splits)) == fused  # a box that a rater has twice does not count twice
    assert case(splits, "b") is None
    assert splits.notes == {TWICE: 1, SILENT: 1}
    assert len(case(TASK.splits(folder, iou=0.6)).boxes) == 4
    apart = TASK.splits(folder, raters="apart", negatives=True)
    assert [box.rater for box in case(apart).boxes] == ["R8", "R9", "R10", "R9"]
    assert (case(apart, "b").boxes, case(apart, "b").frame) == ((), (800, 1000))


def test_what_was_mended_is_told(tmp_path):
    folder = kaggle(tmp_path, "a,ILD,5,R9,300,200,100,801,1000,800")
    assert TASK.splits(folder).notes == {SWAPPED: 1, OUTSIDE: 1}
    assert status(TASK, folder).reason == (f"train 10 of 15000, 1 {SWAPPED}, 1 {OUTSIDE}")
    kaggle(tmp_path, *(f"{name},ILD,5,R9,300,200,50,60,1000,800" for name in "abcdef"))
    with pytest.raises(BenchError, match=r"train\.csv: 6 of 10 boxes end before they begin"):
        TASK.splits(folder)


GOOD = "100,200,300,400"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"Nodule/Mass,8,R8,{GOOD},80,80", "the box 100, 200, 300, 400 .* reaches out of its image, which is 80 x 80"),
        ("ILD,5,R8,100,200,100,400,1000,800", "has no area; correct it, or take it out"),
        ("ILD,5,R8,nan,200,300,400,1000,800", "'nan' is no number of pixels"),
        ("ILD,5,R8,1e999,200,300,400,1000,800", "'1e999' is no number of pixels"),
        ("ILD,5,R8,,,,,1000,800", "'' is no number of pixels"),
        (f"ILD,8,R8,{GOOD},1000,800", "class_id 8 is Nodule/Mass, and class_name is ILD"),
        (f"No finding,8,R8,{GOOD},1000,800", "class_id 8 is Nodule/Mass, and class_name is No finding"),
        (f"ILD,14,R8,{GOOD},1000,800", "class_id 14 is No finding, and class_name is ILD"),
        *(
            (f"ILD,{number},R8,{GOOD},1000,800", "unknown class `")
            for number in ("15", "-1", "5.0", "", "ILD", "9" * 5000)
        ),
        *(
            (f"ILD,5,R8,{GOOD},{size}", "needs `height` and `width` in pixels")
            for size in ("1000,", ",800", "0,800", "1000,-800", "1e3,800", "1000,800.5", f"1000,{'9' * 5000}")
        ),
        (f"ILD,5,R8,{GOOD}", "has 8 columns where the header has 10"),
    ],
    ids=lambda value: value[:45],
)
def test_a_line_that_is_wrong_is_told_by_its_number(tmp_path, row, message):
    folder = kaggle(tmp_path, "a,ILD,5,R8,100,200,300,400,1000,800", f"b,{row}")
    with pytest.raises(BenchError, match=rf"/train\.csv:3: .*{message}"):
        TASK.splits(folder)


@pytest.mark.parametrize("size", ["1000,801", "800,1000", ","])
def test_an_image_has_one_size(tmp_path, size):
    """Its boxes would be taken to be in pixels of the last."""
    folder = kaggle(tmp_path, f"a,ILD,5,R8,{GOOD},1000,800", f"b,{NONE},1000,800", f"a,ILD,5,R9,{GOOD},{size}")
    with pytest.raises(
        BenchError, match=r"/train\.csv:4: height and width are not those that other lines have of .* a$"
    ):
        TASK.splits(folder)


@pytest.mark.parametrize("column", ["image_id", "class_id", "x_min", "y_max"])
def test_a_header_that_lacks_a_column_is_told(tmp_path, column):
    folder = kaggle(tmp_path, head=f"{HEAD},width,height".replace(column, f"{column}s"))
    with pytest.raises(BenchError, match=rf"/train\.csv:1: .*lacks the column `{column}`; did you mean `{column}s`"):
        TASK.splits(folder)


def test_boxes_of_an_image_that_is_not_there_are_wrong_in_a_whole_set_alone(tmp_path, monkeypatch):
    folder = kaggle(tmp_path, f"zz,ILD,5,R8,{GOOD},1000,800")
    assert sum(len(cases) for _, cases in TASK.splits(folder)) == 10
    part = replace(TASK.info.layout["train"], official=10)
    whole = replace(TASK, info=replace(TASK.info, layout={"train": part}))
    monkeypatch.setitem(TASK.splits.__globals__, "vindr", whole)
    with pytest.raises(BenchError, match=r"/train\.csv:2: is of the image zz, which .*/train does not have"):
        TASK.splits(folder)
    kaggle(tmp_path, "a,ILD,5,R8,1,2,3,4,1000,800")
    (folder / "train.csv").write_text("\n".join((folder / "train.csv").read_text().split("\n")[:-1]))
    assert TASK.splits(folder).notes == {SILENT: 1}  # an image of which no line says anything is a negative
    assert status(whole, folder).state == "complete"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"raters": "R8"}, "raters = 'R8' is neither `fused` nor `apart`"),
        *(({"iou": iou}, rf"iou = {iou} is no share") for iou in (-0.1, 1.0, float("nan"))),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path, settings, message):
    with pytest.raises(BenchError, match=message):
        TASK.splits(kaggle(tmp_path), **settings)


# ------------------------------------------------------------------------------------------- PhysioNet's files


def test_findings_that_are_not_scored_are_left_out_and_counted(tmp_path):
    draw(replace(TASK, info=PHYSIONET), tmp_path / "vindr", cases=12)
    folder, before = tmp_path / "vindr", {}
    for name, head in (("train", "{},R8,{},1,2,30,40\n"), ("test", "{},{},1,2,30,40\n")):
        path = folder / "annotations" / f"annotations_{name}.csv"
        stem = sorted((folder / name).iterdir())[0].stem
        before[name] = path.read_text()
        path.write_text(before[name] + head.format(stem, "Rib fracture") + head.format(stem, "Edema"))
    assert TASK.splits(folder, negatives=True).notes == {OTHER: 4}
    assert "4 boxes of findings that are not scored" in status(TASK, folder).reason
    (folder / "annotations" / "annotations_test.csv").write_text(before["test"] + head.format(stem, "Rib fractures"))
    line = before["test"].count("\n") + 1
    with pytest.raises(BenchError, match=rf"annotations_test\.csv:{line}: unknown class `Rib fractures`"):
        TASK.splits(folder)


def test_boxes_of_the_test_are_by_consensus_and_so_not_fused_but_mended_alike(tmp_path):
    draw(replace(TASK, info=PHYSIONET), tmp_path / "vindr", cases=12)
    path = tmp_path / "vindr" / "annotations" / "annotations_test.csv"
    stem, text = sorted((tmp_path / "vindr" / "test").iterdir())[0].stem, path.read_text()
    path.write_text(text + "".join(f"{stem},ILD,{left},2,{left + 60},40\n" for left in (1, 2)))
    found = edges(case(TASK.splits(tmp_path / "vindr"), stem))
    assert found[-2:] == [("ILD", 1, 2, 61, 40), ("ILD", 2, 2, 62, 40)]
    train = path.with_name("annotations_train.csv")
    train.write_text(
        train.read_text() + f"{sorted((tmp_path / 'vindr' / 'train').iterdir())[0].stem},R8,ILD,60,2,1,40\n"
    )
    path.write_text(text + "".join(f"{stem},ILD,{60 + n},2,{n},40\n" for n in range(5)))
    assert TASK.splits(tmp_path / "vindr").notes[SWAPPED] == 6
    path.write_text(text + "".join(f"{stem},ILD,{60 + n},2,{n},40\n" for n in range(6)))
    with pytest.raises(BenchError, match=r"annotations_test\.csv: 6 of \d\d boxes end before they begin"):
        TASK.splits(tmp_path / "vindr")
