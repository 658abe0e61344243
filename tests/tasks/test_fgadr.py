"""FGADR: the published split by number, and a table of grades that is wrong in every way it can be."""

import re
import runpy
from collections import Counter
from pathlib import Path

import pytest
from sklearn.model_selection import train_test_split

from bench.data.folders import status
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "fgadr"
TASK = runpy.run_path(str(ROOT / "tasks" / "fgadr.py"))["fgadr"]


@pytest.fixture
def phantom(tmp_path):
    draw(TASK, tmp_path / "fgadr", cases=20)
    return tmp_path / "fgadr"


def test_a_phantom_reads_back(phantom):
    splits = TASK.splits(phantom)
    train, val = train_test_split([f"{n:04d}_1" for n in range(1, 21)], test_size=0.2, random_state=42)
    assert [case.id for case in splits.train] == train
    assert [case.id for case in splits.val] == val
    assert [case.id for case in splits.test] == [f"{n}_1" for n in range(1501, 1521)]
    assert Counter(case.target for case in splits.test) == dict.fromkeys(range(5), 4)
    assert all(case.image.stem == case.id for _, cases in splits for case in cases)
    assert (phantom / "Seg-set" / "Original_Images" / "0000_1.png").exists()
    assert status(TASK, phantom).parts == {"train": (20, 1500), "test": (20, 341), "left out": (1, 1)}
    assert TASK.info.official == 1842


def test_suffixes_formats_and_order_of_rows_do_not_matter(phantom):
    images, table = phantom / "Seg-set" / "Original_Images", phantom / "Seg-set" / "DR_Seg_Grading_Label.csv"
    before = [[case.target for case in cases] for _, cases in TASK.splits(phantom)]
    text = table.read_text()
    for n, suffix in ((3, 2), (4, 3), (1502, 2)):
        (images / f"{n:04d}_1.png").rename(images / f"{n:04d}_{suffix}.WEBP")
        text = text.replace(f"{n:04d}_1.png", f"{n:04d}_{suffix}.png")
    table.write_text("\n".join(reversed(text.replace(".png", "", 4).splitlines())))
    splits = TASK.splits(phantom)
    assert [[case.target for case in cases] for _, cases in splits] == before
    assert {"0003_2", "0004_3", "1502_2"} <= {case.id for _, cases in splits for case in cases}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("image,grade", "Label.csv:3: `image,grade` is not of the form"),
        ("0003_1.png,5", "Label.csv:3: `0003_1.png,5` is not of the form"),
        ("0003_1.png,", "Label.csv:3: `0003_1.png,` is not of the form"),
        ("0003_1.png,²", "Label.csv:3: `0003_1.png,²` is not of the form"),
        ("../0003_1.png,2", "Label.csv:3: `../0003_1.png,2` is not of the form"),
        ("0003_4.png,2", "Label.csv:3: `0003_4.png,2` is not of the form"),
        ("0003_1.png,2,0", "Label.csv:3: has 3 columns where 2 are published"),
        ("0003_1.png", "Label.csv:3: has 1 columns"),
        ("0002_1.png,2", r"Label.csv:3: image 0002_1 has a row before, at .*Label.csv:2"),
        ("0777_1.png,2", "Label.csv:3: image 0777_1 is not in .*Original_Images"),
        ("1842_1.png,2", "Label.csv:3: `1842_1.png,2` is not of the form"),
        ("", r"Label.csv: has no row for .*0003_1.png and 0 more"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(phantom, line, message):
    table = phantom / "Seg-set" / "DR_Seg_Grading_Label.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:2], line, *lines[3:]]), encoding="utf-8")
    with pytest.raises(BenchError, match=message):
        TASK.splits(phantom)


def test_a_missing_image_or_table_and_a_wrong_folder_are_explained(phantom):
    images = phantom / "Seg-set" / "Original_Images"
    for wrong in (phantom.parent, phantom / "Seg-set", images):
        with pytest.raises(BenchError, match=rf"was {re.escape(str(phantom))} meant\?"):
            TASK.splits(wrong)
    (images / "0007_1.png").unlink()
    with pytest.raises(BenchError, match=r"Label\.csv:7: image 0007_1 is not in"):
        TASK.splits(phantom)
    (phantom / "Seg-set" / "DR_Seg_Grading_Label.csv").unlink()
    with pytest.raises(BenchError, match=r"Label\.csv: cannot be read as a table"):
        TASK.splits(phantom)


@pytest.mark.skipif(
    not REAL.is_dir(), reason="no real images in ../shared/data/fgadr: the data set is given on request"
)
def test_real_images_give_the_published_counts():
    splits = TASK.splits(REAL)
    assert [len(cases) for _, cases in splits] == [1200, 300, 341]
    assert [sum(c.target == g for c in splits.test) for g in range(5)] == [16, 44, 107, 112, 62]
