"""CSV files with a header: places of rows, columns that are lacking, and what is no table."""

import pytest

from bench.data.tables import read_table
from bench.errors import BenchError

COLUMNS = ("image", "left")


@pytest.fixture
def read(tmp_path):
    def of(content):
        path = tmp_path / "a.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(place.removeprefix(f"{path}:"), row) for place, row in read_table(path, COLUMNS)]

    return of


def test_rows_are_told_by_line_and_column_in_any_order(read):
    text = 'left, image ,more\r\n1,a,x\r\n\r\n" 2 ","b, c","x\r\ny"\r\n,d,\r\n'
    wanted = [
        ("2", {"left": "1", "image": "a", "more": "x"}),
        ("5", {"left": "2", "image": "b, c", "more": "x\r\ny"}),  # its last line
        ("6", {"left": "", "image": "d", "more": ""}),
    ]
    assert read(text) == read("\ufeff" + text) == wanted
    assert read("image,left\n") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Image,left\na,1\n", r":1: unknown header, which lacks the column `image`; did you mean `Image`\?"),
        ("image;left\na;1\n", r":1: .*lacks the column `image`; did you mean `image;left`\?"),
        ("a,1\nb,2\n", r":1: .*lacks the column `image`; known: `1`, `a`"),
        ("", ":1: .*lacks the column `image`; known: none"),
        ("\nimage,left\n", ":1: .*lacks the column `image`"),
        ("image,left,left\na,1,2\n", ":1: the header has a column twice: image, left, left"),
        ("image,left\na,1\nb\n", ":3: has 1 columns where the header has 2"),
        ("image,left\na,1\nb,2,3\n", ":3: has 3 columns where the header has 2"),
        ('image,left\na,1\n"b,2\n', ":3: cannot be read as a table: "),
        ('image,left\na,1\n"b"x,2\nc,3\n', ":3: cannot be read as a table: "),
        ("image,left\na," + "1" * 200_000 + "\n", ":2: cannot be read as a table: field larger"),
        (b"image,left\n\xff\xfe,1\n", ": cannot be read as a table: .*utf-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", ": cannot be read as a table: "),
    ],
)
def test_what_is_no_such_table_is_refused(read, content, message):
    with pytest.raises(BenchError, match=r"a\.csv" + message):
        read(content)


def test_what_cannot_be_opened_is_refused(tmp_path):
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "none.csv", "No such file")):
        with pytest.raises(BenchError, match=rf"{path.name}: cannot be read as a table: .*{reason}"):
            list(read_table(path, COLUMNS))
