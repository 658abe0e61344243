"""Splits: the draw of LVM-Med by group, lists that are published or wrong, and images whose masks are not there."""

import json
import random
from pathlib import Path

import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from bench.data.folders import MARKER
from bench.data.splits import divide, from_list, pair_images, three_way
from bench.errors import BenchError
from bench.spec import Case

HERE = Path("image.png")


def cases_of(*ids, group=""):
    return [Case(name, HERE, group=group) for name in ids]


def ids(splits):
    return [[case.id for case in cases] for _, cases in splits]


@pytest.fixture
def listed(tmp_path):
    """Write a list and read it: `listed(cases, train=[...], val=[...], test=[...])`."""

    def read(cases, official=0, **lists):
        path = tmp_path / "list.json"
        path.write_text(json.dumps(lists))
        return from_list(cases, path, official=official)

    return read


# ------------------------------------------------------------------------------------------- drawn


@pytest.mark.parametrize(
    ("number", "sizes"), [(1000, [640, 160, 200]), (647, [413, 104, 130]), (2594, [1660, 415, 519]), (5, [3, 1, 1])]
)
def test_the_draw_has_the_sizes_of_lvm_meds_lists(number, sizes):
    drawn = ids(three_way(cases_of(*(f"image ({n})" for n in range(number)))))
    assert [len(part) for part in drawn] == sizes
    assert len({name for part in drawn for name in part}) == number


def test_the_draw_is_scikit_learns_twice_with_seed_42():
    names = [f"a{n}" for n in range(30)]
    rest, test = train_test_split(names, test_size=0.2, random_state=42)
    train, val = train_test_split(rest, test_size=0.2, random_state=42)
    assert ids(three_way(cases_of(*names))) == [train, val, test]


def test_the_draw_depends_on_names_and_seed_alone():
    cases = cases_of(*(f"a{n}" for n in range(50)), "a01", "a001")  # twins of a1, where numbers are told as such
    once = ids(three_way(cases))
    for other in (cases[::-1], random.Random(0).sample(cases, len(cases))):
        assert ids(three_way(other)) == once
    assert ids(three_way(cases, seed=7)) != once


def test_cases_of_a_group_stay_together_and_shares_are_of_groups():
    cases = [Case(f"{patient}/{n}", HERE, group=f"p{patient}") for patient in range(20) for n in range(1 + patient % 4)]
    splits = three_way(cases)
    groups = [{case.group for case in part} for _, part in splits]
    assert [len(part) for part in groups] == [12, 4, 4]
    assert len(set.union(*groups)) == 20
    assert sum(len(part) for _, part in splits) == len(cases)
    assert [case.id for case in splits.test if case.group == splits.test[0].group] == [
        case.id for case in cases if case.group == splits.test[0].group
    ]


def test_other_shares_and_too_few_cases():
    assert [len(part) for part in ids(three_way(cases_of(*"abcdefghijklmnopqrst"), val=0.15, test=0.25))] == [12, 3, 5]
    for number in (0, 1, 2):
        with pytest.raises(BenchError, match="too few"):
            three_way(cases_of(*"ab"[:number]))


# ------------------------------------------------------------------------------------------- listed


def test_a_list_is_read_in_its_order_by_file_name_stem_and_number(listed):
    cases = [*cases_of("benign (1)", "benign (2)", "b/c", "x.y"), Case("1001", HERE)]
    lists = {"train": ["benign(2).png", 1001], "valid": ["x.y.nii.gz"], "test": ["c.JPG", "benign (1)"]}
    assert ids(listed(cases, source="LVM-Med", **lists)) == [["benign (2)", "1001"], ["x.y"], ["b/c", "benign (1)"]]


def test_a_list_may_name_groups(listed):
    cases = [*cases_of("a/1", "a/2", group="a"), *cases_of("b/1", group="b"), *cases_of("c/1", group="c")]
    assert ids(listed(cases, train=["a"], val=["b"], test=["c"])) == [["a/1", "a/2"], ["b/1"], ["c/1"]]
    with pytest.raises(BenchError, match=r"list\.json: a is in train and, with a/2, in val"):
        listed(cases, train=["a/1", "c/1"], val=["a/2"], test=["b"])


def test_of_a_partial_set_what_is_missing_or_not_named_is_left_out(listed):
    lists = {"train": ["a", "gone"], "val": ["b", "lost"], "test": ["c"]}
    cases = cases_of("a", "b", "c", "d")
    assert ids(listed(cases, official=5, **lists)) == [["a"], ["b"], ["c"]]
    for official in (0, 4):
        with pytest.raises(BenchError, match=r"list\.json: gone, lost are in it, but not among the 4 cases"):
            listed(cases, official=official, **lists)
    with pytest.raises(BenchError, match=r"list\.json: d is in no part of it"):
        listed(cases, train=["a"], val=["b"], test=["c"])
    with pytest.raises(BenchError, match=r"no case of test is on disk"):
        listed(cases, official=5, train=["a"], val=["b"], test=["gone"])


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            {"train": ["x"], "val": ["y"], "test": ["z"]},
            r"names none of the 3 cases of the data set; one of them is a$",
        ),
        ({"train": [], "val": [], "test": []}, "names none of the 3 cases"),
        ({"train": ["a"], "val": ["a"], "test": ["c"]}, "val names `a`, and a is in train already"),
        ({"train": ["a", "a.png"], "val": ["b"], "test": ["c"]}, r"train names `a\.png`, and a is in train already"),
        ({"train": ["a"], "test": ["c"]}, "needs one list `val` or `valid`; it has train, test"),
        ({"train": ["a"], "val": ["b"], "valid": ["b"], "test": ["c"]}, "needs one list `val` or `valid`"),
        ({}, "needs one list `train`; it has nothing"),
        ({"train": "abc", "val": ["b"], "test": ["c"]}, "`train` is no list"),
        ({"train": [["a"]], "val": ["b"], "test": ["c"]}, r"train holds \['a'\], which is no name"),
        ({"train": [True], "val": ["b"], "test": ["c"]}, "train holds True"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(listed, lists, message):
    with pytest.raises(BenchError, match=r"list\.json: .*" + message):
        listed(cases_of("a", "b", "c"), **lists)


def test_a_name_that_several_cases_end_in_must_be_written_out(listed):
    cases = cases_of("a/1", "b/1", "c")
    assert ids(listed(cases, train=["a/1"], val=["b/1"], test=["c"])) == [["a/1"], ["b/1"], ["c"]]
    with pytest.raises(BenchError, match="`1` may be a/1 or b/1; write all of the id"):
        listed(cases, official=9, train=["1"], val=["b/1"], test=["c"])


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"[" * 100_000])
def test_what_is_no_list_is_refused(tmp_path, content):
    (tmp_path / "list.json").write_bytes(content)
    with pytest.raises(BenchError, match=r"list\.json: (cannot be read|must hold)"):
        from_list(cases_of("a"), tmp_path / "list.json")
    with pytest.raises(BenchError, match=r"none\.json: cannot be read .*No such file"):
        from_list(cases_of("a"), tmp_path / "none.json")


@pytest.fixture
def folder(tmp_path):
    """Write a folder of text files and give its path: `folder(train="a\\nb", val="c", test="d")`."""

    def write(**files):
        (tmp_path / "Main").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "Main" / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / "Main"

    return write


def test_a_list_may_be_a_folder_as_voc_has_it(folder):
    cases = cases_of("000012", "000017", "b (1)", "c 1", "x.y", "-1")
    path = folder(train="\ufeff000012 -1\r\n000017  1\r\n\r\n", val="b (1).png\n", test="c 1\nx.y  0\n-1", trainval="?")
    assert ids(from_list(cases, path)) == [["000012", "000017"], ["b (1)"], ["c 1", "x.y", "-1"]]
    (path / "val.txt").rename(path / "valid.txt")
    assert ids(from_list(cases, path))[1] == ["b (1)"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": "a", "val": "b"}, r"Main: needs one file test\.txt$"),
        ({"train": "a", "val": "b", "valid": "b", "test": "c"}, r"Main: needs one file val\.txt or valid\.txt$"),
        ({"train": b"\xff", "val": "b", "test": "c"}, r"train\.txt: cannot be read as a list of cases: "),
        ({"train": "a\na", "val": "b", "test": "c"}, "Main: train names `a`, and a is in train already"),
        ({"train": "a", "val": "b a", "test": "c"}, "Main: b a is in it, but not among the 3 cases"),
        ({"train": "a", "val": "b", "test": "\n\n"}, "Main: c is in no part of it"),
    ],
)
def test_a_folder_that_is_no_list_is_refused(folder, files, message):
    with pytest.raises(BenchError, match=message):
        from_list(cases_of("a", "b", "c"), folder(**files))


def test_a_list_lies_from_the_folder_of_the_data_sets(tmp_path, monkeypatch):
    (tmp_path / "splits").mkdir()
    (tmp_path / "data" / "mine").mkdir(parents=True)
    (tmp_path / "splits" / "mine.json").write_text('{"train": ["c"], "val": ["b"], "test": ["a"]}')
    cases = cases_of("a", "b", "c")
    monkeypatch.chdir(tmp_path / "data" / "mine")
    for folder in (tmp_path / "data" / "mine", Path()):
        assert ids(divide(cases, folder, "../splits/mine.json")) == [["c"], ["b"], ["a"]]
    assert ids(divide(cases, Path())) == ids(three_way(cases))
    (tmp_path / "data" / "mine" / MARKER).touch()  # a phantom has other cases than the list
    assert ids(divide(cases, Path(), "../splits/mine.json")) == ids(three_way(cases))


# ------------------------------------------------------------------------------------------- paired


def place(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.new("L", (2, 2)).save(folder / name)
    return folder


def test_images_and_masks_go_by_stem_whatever_their_formats(tmp_path):
    images, masks = place(tmp_path / "i", "a.jpg", "b.PNG"), place(tmp_path / "m", "b_seg.gif", "a_seg.png")
    (images / "LICENSE.txt").touch()
    (images / "._a.jpg").touch()
    first, second = pair_images(images, masks, "_seg", 3)
    assert (first.id, first.image, first.masks[0].path) == ("a", images / "a.jpg", masks / "a_seg.png")
    assert (second.id, second.masks[0].path, second.masks[0].label) == ("b", masks / "b_seg.gif", 3)


def test_images_and_masks_may_share_a_folder(tmp_path):
    both = place(tmp_path / "i", "a.png", "a_mask.png", "b.png", "b_mask.png", "odd_mask.png", "odd_mask_mask.png")
    assert [case.id for case in pair_images(both, both, "_mask")] == ["a", "b", "odd_mask"]
    with pytest.raises(BenchError, match="holds images and masks, so the masks need a suffix"):
        pair_images(both, both)
    (both / "b_mask.png").unlink()
    with pytest.raises(BenchError, match=r"b\.png is without a mask: .*i has no b_mask"):
        pair_images(both, both, "_mask")


def test_what_has_no_partner_is_named_by_its_path(tmp_path):
    images, masks = place(tmp_path / "i", *(f"{n}.png" for n in range(6))), place(tmp_path / "m", "0.png", "1_mask.png")
    with pytest.raises(BenchError, match=r"i/1\.png, .*i/2\.png, .*i/3\.png and 2 more are without a mask"):
        pair_images(images, masks)
    with pytest.raises(BenchError, match=r"m has no 0_mask$"):
        pair_images(images, masks, "_mask")
    place(masks, *(f"{n}.png" for n in range(1, 6)))
    with pytest.raises(BenchError, match=r"m/1_mask\.png is without an image: .*i has no 1_mask$"):
        pair_images(images, masks)
    place(masks, "0.gif")
    with pytest.raises(BenchError, match=r"m: 0\.gif and 0\.png are the same image"):
        pair_images(images, masks)
    with pytest.raises(BenchError, match="holds no image"):
        pair_images(place(tmp_path / "e"), masks)
