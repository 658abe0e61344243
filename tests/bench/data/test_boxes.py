"""Boxes as files have them: what is mended and counted, and what is refused with its place and the mend."""

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.boxes import OUTSIDE, SWAPPED, TWICE, Reader, frame_of, inside, number_of, whole
from bench.errors import BenchError
from bench.spec import Box, Splits

PLACE = "boxes.csv:7"
FRAME = (50, 80)  # height, width
HERE = Path("boxes.csv")


@pytest.fixture
def reader():
    return Reader(("nodule", "mass"))


def edges(box):
    return box.left, box.top, box.right, box.bottom


def mended(reader):
    return reader.finish(HERE, Splits((), (), ())).notes


def test_a_box_is_read_from_numbers_and_from_text(reader):
    for given in ((1, 2.5, 30, 50), ("1", " 2.5", "3e1", "50.0")):
        box = reader.box(PLACE, "mass", given, FRAME, "R1")
        assert (box.label, edges(box), box.rater, box.place) == (1, (1.0, 2.5, 30.0, 50.0), "R1", PLACE)
    assert mended(reader) == {}
    assert Reader({7: 0, 9: 1}).box(PLACE, "9", (0, 0, 1, 1)).label == 1  # classes may be numbers in a file


WRONG = [math.nan, math.inf, "nan", "-inf", "1e999", "", "ten", "1_0", "0x10", "1,5", None, True, [], {}, 10**400]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("which", range(4))
def test_an_edge_that_is_no_number_is_refused(reader, value, which):
    given: list[object] = [1, 2, 30, 40]
    given[which] = value
    with pytest.raises(BenchError, match=r"^boxes\.csv:7: .+ is no number of pixels; correct the box, or take it out"):
        reader.box(PLACE, "mass", given, FRAME)


def test_what_is_long_is_told_in_short():
    with pytest.raises(BenchError) as error:
        number_of("x" * 10_000, PLACE)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("nodul", r"unknown class `nodul`; did you mean `nodule`\?"),
        ("", "unknown class ``; known: `mass`, `nodule`"),
        (None, "unknown class `None`"),
        (1, "unknown class `1`"),
        (["mass"], "unknown class"),
    ],
)
def test_a_class_that_is_not_known_is_refused(reader, label, message):
    with pytest.raises(BenchError, match=r"^boxes\.csv:7: " + message):
        reader.box(PLACE, label, (1, 2, 3, 4), FRAME)


@pytest.mark.parametrize("classes", [(), ("a", "b", "a")])
def test_classes_are_there_and_each_once(classes):
    """Of two classes of one name, the second would take every box."""
    with pytest.raises(BenchError, match="classes: needs one name or more, each once"):
        Reader(classes)


# ------------------------------------------------------------------------------------------- mended


@pytest.mark.parametrize("given", [(30, 2, 1, 40), (1, 40, 30, 2), (30, 40, 1, 2)])
def test_swapped_corners_are_mended_and_counted(reader, given):
    assert edges(reader.box(PLACE, "mass", given, FRAME)) == (1, 2, 30, 40)
    assert mended(reader) == {SWAPPED: 1}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((-1, 2, 30, 40), (0, 2, 30, 40)),
        ((1, -0.5, 30, 40), (1, 0, 30, 40)),
        ((1, 2, 81, 40), (1, 2, 80, 40)),
        ((1, 2, 30, 51), (1, 2, 30, 50)),
        ((-1, -1, 81, 51), (0, 0, 80, 50)),
        ((30, 51, 1, 2), (1, 2, 30, 50)),
    ],
)
def test_an_edge_that_is_out_by_a_pixel_is_cut_and_counted(reader, given, wanted):
    assert edges(reader.box(PLACE, "mass", given, FRAME)) == wanted
    assert mended(reader)[OUTSIDE] == 1
    assert edges(reader.box(PLACE, "mass", wanted, FRAME)) == wanted  # on the border is inside
    assert mended(reader)[OUTSIDE] == 1


def test_a_box_that_is_there_twice_is_kept_once_and_counted(reader):
    box = Box(0, 1.0, 2.0, 3.0, 4.0, "R1", "a:1")
    others = (replace(box, label=1), replace(box, rater="R2"), replace(box, bottom=4.001))
    given = [box, *others, replace(box, place="a:9"), box]
    assert reader.distinct(given) == (box, *others)
    assert mended(reader) == {TWICE: 2}
    assert reader.distinct([]) == ()


def test_what_was_mended_stands_beside_what_was_noted_before(reader):
    reader.box(PLACE, "mass", (-1, 2, 3, 4), FRAME)
    case = Splits((), (), (), notes={"left out": 3, "none": 0})
    assert reader.finish(HERE, case).notes == {"left out": 3, OUTSIDE: 1}


@pytest.mark.parametrize(("swapped", "of", "refused"), [(5, 5, False), (6, 59, True), (6, 60, False), (100, 100, True)])
def test_too_many_swapped_corners_must_mean_something_else(reader, swapped, of, refused):
    """Width and height in place of the right and bottom edge look like that, and cannot be mended."""
    for number in range(of):
        reader.box(PLACE, "mass", (30, 2, 1, 40) if number < swapped else (1, 2, 30, 40), FRAME)
    if not refused:
        assert mended(reader) == {SWAPPED: swapped}
        return
    with pytest.raises(BenchError, match=rf"^boxes\.csv: {swapped} of {of} boxes end before .* width and height"):
        mended(reader)


# ------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("given", [(1, 2, 1, 40), (1, 2, 30, 2), (5, 5, 5, 5), (-1, 2, 0, 40), (80, 2, 81, 40)])
def test_a_box_without_area_is_refused(reader, given):
    said = ", ".join(f"{edge:g}" for edge in given)
    with pytest.raises(BenchError, match=rf"^boxes\.csv:7: the box {said} \(.*\) has no area; correct it, or take it"):
        reader.box(PLACE, "mass", given, FRAME)


@pytest.mark.parametrize(
    "given",
    [(-1.01, 2, 30, 40), (1, -9, 30, 40), (1, 2, 82, 40), (1, 2, 30, 51.5), (200, 200, 300, 300), (1, 2, 3, 1e300)],
)
def test_a_box_that_reaches_out_of_its_image_is_refused(reader, given):
    with pytest.raises(BenchError, match=r"^boxes\.csv:7: the box .* reaches out of its image, which is 80 x 50 pix"):
        reader.box(PLACE, "mass", given, FRAME)
    assert edges(reader.box(PLACE, "mass", given)) == given  # of an image whose size is told later


def test_what_is_read_lies_in_its_image_or_is_refused():
    """Whatever the numbers are, within some pixels around an image."""
    draws, reader, kept = random.Random(0), Reader("a"), 0
    for _ in range(2000):
        height, width = draws.randint(1, 12), draws.randint(1, 12)
        given = [draws.choice((draws.randint(-2, 14), draws.uniform(-2, 14))) for _ in range(4)]
        far = min(given) < -1 or max(given[::2]) > width + 1 or max(given[1::2]) > height + 1
        cut = [
            sorted(min(max(edge, 0), side) for edge in of) for of, side in ((given[::2], width), (given[1::2], height))
        ]
        if far or any(low == high for low, high in cut):
            with pytest.raises(BenchError, match="reaches out of its image" if far else "has no area"):
                reader.box(PLACE, "a", given, (height, width))
            continue
        box = reader.box(PLACE, "a", given, (height, width))
        assert [[box.left, box.right], [box.top, box.bottom]] == cut
        assert inside(box, (height, width)) == (box, False)
        kept += 1
    assert kept > 150


@pytest.mark.parametrize("side", [0, -3, 2.0, 1e999, True, None, "20", [20], 10**7, 10**400])
def test_a_size_that_is_none_is_refused(side):
    assert frame_of(20, 30, PLACE) == (20, 30)
    for sides in ((side, 30), (20, side)):
        with pytest.raises(BenchError, match=r"^boxes\.csv:7: needs `height` and `width` in pixels, has ") as error:
            frame_of(*sides, PLACE)
        assert len(str(error.value)) < 200


def test_text_is_a_whole_number_or_stays_text():
    assert [whole(text) for text in ("20", "007", "", "-1", "2.0", "1e3", "9" * 5000)] == [
        20,
        7,
        *("", "-1"),
        *("2.0", "1e3"),
        "9" * 5000,
    ]
