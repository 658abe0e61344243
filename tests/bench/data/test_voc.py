"""Pascal VOC's format: a file for an image, negatives without one, and XML that is hostile."""

import re

import pytest
from PIL import Image

from bench.data.boxes import OUTSIDE, SWAPPED, TWICE, Reader
from bench.data.voc import read_voc
from bench.errors import BenchError
from bench.spec import Box, Splits

SIZE = "<size>\n<width>80</width><height>50</height><depth>3</depth>\n</size>"  # from line 2 on, if in `xml`


def box(name="WBC", edges=(1, 2, 30, 40), more=""):
    sides = zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
    inner = "".join(f"<{side}>{edge}</{side}>" for side, edge in sides)
    return f"<object><name>{name}</name>{more}<bndbox>{inner}</bndbox></object>"


def xml(*objects, size=SIZE):
    """Objects have a line each, the first of them the fifth."""
    return "\n".join(["<annotation>", size, *objects, "</annotation>"])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "xml").mkdir()
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.c.jpg", "d.png"):
        Image.new("L", (80, 50)).save(tmp_path / "images" / name)
    return tmp_path


@pytest.fixture
def read(folder):
    def of(text=None, name="a.xml", reader=None):
        if text is not None:
            (folder / "xml" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_voc(folder / "images", folder / "xml", reader or Reader(("RBC", "WBC")))

    return of


def test_boxes_go_to_the_image_of_their_files_name(read, folder):
    part = "<part><name>RBC</name><bndbox><xmin>0</xmin></bndbox></part>"  # what VOC has of people
    read(xml(box("WBC", (1, " 2.5 ", 30, 40), part), box("RBC", (0, 0, 80, 50))))
    read(xml(), "b.c.XML")
    for name in ("._a.xml", "notes.txt"):  # left by a Mac, and one's own
        (folder / "xml" / name).write_bytes(b"\0\5\x16\7")
    (folder / "xml" / "old.xml").mkdir()
    a, b, d = read()
    assert [case.id for case in (a, b, d)] == ["a", "b.c", "d"]
    assert a.boxes == (Box(1, 1.0, 2.5, 30.0, 40.0), Box(0, 0.0, 0.0, 80.0, 50.0))
    assert [one.place for one in a.boxes] == [f"{folder / 'xml' / 'a.xml'}:{line}" for line in (5, 6)]
    assert (a.frame, b.frame, d.frame) == ((50, 80), (50, 80), ())
    assert (b.boxes, d.boxes) == ((), ())  # a file without a box, or no file, is a negative


def test_what_is_certain_is_mended_and_counted(read, folder):
    reader = Reader(("RBC", "WBC"))
    a, *_ = read(xml(box("WBC", (30, 40, 1, 2)), box("WBC", (1, 2, 30, 40)), box("RBC", (1, 1, 81, 51))), reader=reader)
    assert a.boxes == (Box(1, 1.0, 2.0, 30.0, 40.0), Box(0, 1.0, 1.0, 80.0, 50.0))
    assert reader.finish(folder, Splits((), (), ())).notes == {SWAPPED: 1, OUTSIDE: 1, TWICE: 1}


@pytest.mark.parametrize(
    ("objects", "line", "message"),
    [
        ([box(), box("WBG")], 6, r"unknown class `WBG`; did you mean `WBC`\?"),
        ([box(""), box()], 5, "unknown class ``"),
        ([box(edges=(1, 2, 1, 40))], 5, r"the box 1, 2, 1, 40 .* has no area; correct it, or take it out"),
        ([box(), box(), box(edges=(1, 2, 82, 40))], 7, "reaches out of its image, which is 80 x 50 pixels"),
        *(
            ([box(edges=(1, 2, edge, 40))], 5, "no number of pixels")
            for edge in ("nan", "1e999", "", "x", "1_0", "<a/>")
        ),
        (["<object><name>WBC</name></object>"], 5, "the object has no `xmin`"),
        ([box().replace("<ymax>40</ymax>", "")], 5, "the object has no `ymax`"),
        ([box().replace("<name>WBC</name>", "")], 5, "the object has no `name`"),
        ([box().replace("bndbox", "polygon")], 5, "the object has no `xmin`"),
        ([box().replace("</bndbox>", "\n<xmax>31</xmax></bndbox>")], 6, "`xmax` is there twice; keep one"),
        ([box(more="<name>RBC</name>")], 5, "`name` is there twice"),
        ([box(more="<bndbox><xmin>1</xmin></bndbox>")], 5, "`xmin` is there twice"),
        ([SIZE], 6, "`width` is there twice"),
    ],
)
def test_an_object_that_is_wrong_is_told_by_its_line(read, objects, line, message):
    with pytest.raises(BenchError, match=rf"/xml/a\.xml:{line}: .*{message}"):
        read(xml(*objects))


@pytest.mark.parametrize(
    ("size", "line"),
    [
        ("", 1),
        ("<size/>", 2),
        ("\n<size><width>80</width></size>", 3),
        *((SIZE.replace("80", side), 2) for side in ("0", "-80", "80.0", "", "1e2", "wide", "9" * 5000)),
        (SIZE.replace("50", "0"), 2),
    ],
    ids=lambda given: str(given)[:40],
)
def test_a_size_that_is_none_is_told_by_its_line(read, size, line):
    with pytest.raises(BenchError, match=rf"/xml/a\.xml:{line}: `size`: needs `height` and `width` in pixels, has "):
        read(xml(box(), size=size))


BOMB = '<!DOCTYPE a [<!ENTITY x "ha">{}]>\n'.format("".join(f'<!ENTITY x{n} "{"&x;" * 99}">' for n in range(9)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '<?xml version="1.0"?>\n' + BOMB + xml(box("&x8;")),
            ":2: has a document type, which is not read; take it out",
        ),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd">' + xml(box()), ":1: has a document type"),
        ('<!DOCTYPE a [<!ENTITY y SYSTEM "file:///etc/passwd">]>' + xml(box("&y;")), ":1: has a document type"),
        (xml(box("&unknown;")), ": cannot be read as XML: undefined entity: line 5"),
        (xml(box())[:-4], ": cannot be read as XML: .*line 6"),
        (xml(box().replace("</name>", "</nane>")), ": cannot be read as XML: mismatched tag: line 5"),
        ("", ": cannot be read as XML: no element found: line 1"),
        (b"\x89PNG\r\n\x1a\n", ": cannot be read as XML"),
        ('<?xml version="1.0" encoding="gbk"?>' + xml(), ": cannot be read as XML: multi-byte encodings"),
        ('<?xml version="1.0" encoding="none"?>' + xml(), ": cannot be read as XML: unknown encoding"),
        ("<html><body>404</body></html>", ":1: `size`: needs"),
        ("<a>" * 100_000 + "</a>" * 100_000, ":1: `size`: needs"),
    ],
    ids=range(12),
)
def test_hostile_and_broken_xml_is_refused(read, text, message):
    with pytest.raises(BenchError, match=r"/xml/a\.xml" + message):
        read(text)


def test_other_encodings_are_read(read):
    text = xml(box("Ü"))
    for encoding in ("utf-8-sig", "utf-16", "iso-8859-1"):
        head = '<?xml version="1.0" encoding="iso-8859-1"?>' if encoding == "iso-8859-1" else ""
        assert len(read((head + text).encode(encoding), reader=Reader(("Ü",)))[0].boxes) == 1


def test_a_file_without_an_image_and_folders_that_are_not_there(read, folder):
    with pytest.raises(
        BenchError, match=rf"xml/e\.xml: its image is missing: {re.escape(str(folder))}/images has no e"
    ):
        read(xml(box()), "e.xml")
    for images, annotations in (("images", "none"), ("none", "xml"), ("images/a.png", "xml")):
        with pytest.raises(BenchError, match=r"no such folder|is a file and no folder"):
            read_voc(folder / images, folder / annotations, Reader(("a",)))
