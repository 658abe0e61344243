"""Lists of files: every way in which a released list names a file, and what it names that is not there."""

import json

import pytest

from bench.data.file_lists import choose, read_list
from bench.errors import BenchError

FILES = sorted(
    [
        *("a/one.png", "a/two.png", "b/one.png", "b/three.jpg", "v1.2.png", "10003_left.jpeg", "ISIC_0000001.jpg"),
        *("HGG/Brats18_A/Brats18_A_t1.nii.gz", "HGG/Brats18_A/Brats18_A_t2.nii.gz", "HGG/Brats18_AB/x.nii.gz"),
        *("Task02/imagesTr/la_003.nii.gz", "Task02/imagesTr/la_004.nii.gz"),
        *(
            "P-1/S/1-009.dcm",
            "P-2/S/1-009.dcm",
            "case_0/imaging.nii.gz",
            "case_0/segmentation.nii.gz",
            "luna/1.3.6.mhd",
        ),
    ]
)


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("a/one.png", ["a/one.png"]),  # a path
        ("two.png", ["a/two.png"]),  # a name
        ("two", ["a/two.png"]),  # a stem
        ("a/two", ["a/two.png"]),
        ("three.png", ["b/three.jpg"]),  # another format
        ("v1.2", ["v1.2.png"]),  # a stem with a dot in it
        ("root/b/one.png", ["b/one.png"]),  # the list starts further up
        ("b/three.jpg", ["b/three.jpg"]),
        ("0_10003_left.jpeg", ["10003_left.jpeg"]),  # a class before the name
        ("MEL_ISIC_0000001.jpg", ["ISIC_0000001.jpg"]),
        ("0_SSL_three.jpg", ["b/three.jpg"]),
        ("0_SSL_P-1/S/1-009.dcm", ["P-1/S/1-009.dcm"]),
        ("P-2/S/1-009.dcm", ["P-2/S/1-009.dcm"]),
        ("Brats18_A", ["HGG/Brats18_A/Brats18_A_t1.nii.gz", "HGG/Brats18_A/Brats18_A_t2.nii.gz"]),  # a folder
        ("HGG/Brats18_AB", ["HGG/Brats18_AB/x.nii.gz"]),
        ("case_0/imaging.nii.gz", ["case_0/imaging.nii.gz"]),
        ("1.3.6.raw", ["luna/1.3.6.mhd"]),  # the half of a MetaImage that holds the voxels
        ("la_003.nii.gz", ["Task02/imagesTr/la_003.nii.gz"]),
    ],
)
def test_a_line_names_a_file_in_many_ways(line, files):
    assert choose(FILES, [line]) == (files, [])


def test_a_folder_with_single_files_listed_is_a_heading():
    assert choose(FILES, ["Task02", "Task02/imagesTr/la_004.nii.gz"]).paths == ["Task02/imagesTr/la_004.nii.gz"]
    assert len(choose(FILES, ["Task02"]).paths) == 2


def test_what_is_not_there_or_not_clear_is_named():
    chosen = choose(FILES, ["four.png", "one.png", "P-3/S/1-009.dcm", "two.png"])
    assert chosen.paths == ["a/two.png"]
    said = dict(chosen.absent)
    assert list(said) == ["four.png", "one.png", "P-3/S/1-009.dcm"]
    assert "not there" in said["four.png"]
    assert "2 of this name (a/one.png, b/one.png); give the path" in said["one.png"]
    assert "not there" in said["P-3/S/1-009.dcm"]


def test_a_list_of_ten_thousand_names_is_not_compared_with_every_file():
    files = sorted(f"p{i // 100:04d}/{i:06d}.png" for i in range(10_000))
    assert choose(files, (f"0_{path.rpartition('/')[2]}" for path in files)).paths == files


def test_lists_are_lines_or_json(tmp_path):
    (tmp_path / "a.txt").write_text("\ufeffone.png\n\n  ./two.png \nc\\three.png\none.png\n", encoding="utf-8")
    assert read_list(tmp_path / "a.txt", "") == ["one.png", "two.png", "c/three.png"]
    (tmp_path / "b.json").write_text(json.dumps({"train": ["x", "y"], "test": ["z"], "source": "text"}))
    assert read_list(tmp_path / "b.json", "train") == ["x", "y"]
    (tmp_path / "c.json").write_text('["x"]')
    assert read_list(tmp_path / "c.json", "") == ["x"]


@pytest.mark.parametrize(
    ("name", "content", "part", "said"),
    [
        ("a.json", b'{"train": ["x"]}', "trian", "unknown part `trian`; did you mean `train`"),
        ("a.json", b'{"train": ["x"]}', "", "unknown part"),
        ("a.json", b'{"train": [1]}', "train", "is a list of texts"),
        ("a.json", b"{", "train", "cannot be read as a list"),
        ("a.txt", b"\xff\xfe\x00", "", "cannot be read as a list"),
        ("a.txt", b"\n \n", "", "names no file"),
        ("b.txt", None, "", "cannot be read as a list"),
    ],
)
def test_lists_that_are_none(tmp_path, name, content, part, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BenchError, match=said):
        read_list(tmp_path / name, part)
