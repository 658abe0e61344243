"""The Decathlon's layout: both forms of labels, channels, patients, and a dataset.json that disagrees with files."""

import json
import re
from pathlib import Path

import pytest

from bench.data.decathlon import patient_of, read_cases
from bench.data.folders import count, enclosing, index_volumes, is_volume, pair_volumes
from bench.errors import BenchError
from bench.spec import Image, Part, Splits, Truth, task

CLASSES = ("background", "RV", "Myo")
OLD = {"0": "background", "1": "RV", "2": "Myo"}
NEW = {"background": 0, "RV": 1, "Myo": 2}


def fill(folder: Path, images, labels=None, ending=".nii.gz", **about) -> Path:
    """A set whose volumes have no content: their names are what is read here."""
    for part, names in (("imagesTr", images), ("labelsTr", images if labels is None else labels)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / part / f"{name}{ending}").touch()
    (folder / "dataset.json").write_text(json.dumps({"labels": OLD} | about), encoding="utf-8")
    return folder


def entries(*names):
    return [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in names]


def read(folder, **settings):
    return {case.id: case for case in read_cases(folder, CLASSES, **settings)}


def refused(message, folder, **settings):
    with pytest.raises(BenchError, match=message) as caught:
        read(folder, **settings)
    return str(caught.value)


# ----------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("labels", [OLD, NEW, {key: name.upper() for key, name in OLD.items()}])
@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".NII.GZ"])
def test_cases_are_the_labels_with_their_images_in_natural_order(tmp_path, labels, ending):
    fill(tmp_path, ["a_10", "a_9", "b"], ending=ending, training=entries("a_9", "a_10", "b"))
    about = json.loads((tmp_path / "dataset.json").read_text()) | {"labels": labels}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    cases = read_cases(tmp_path, CLASSES)
    assert [case.id for case in cases] == ["a_9", "a_10", "b"]
    assert cases[0].files == (tmp_path / "imagesTr" / f"a_9{ending}", tmp_path / "labelsTr" / f"a_9{ending}")
    assert [(mask.label, case.group, case.target) for case in cases for mask in case.masks] == [(0, "", 0)] * 3


def test_the_set_may_lie_one_folder_deeper_and_its_unlabelled_images_and_hidden_files_are_left_out(tmp_path):
    home = fill(tmp_path / "Task09_Spleen", ["spleen_1"])
    (home / "imagesTs").mkdir()
    (home / "imagesTs" / "spleen_2.nii.gz").touch()
    for place in ("imagesTr", "labelsTr"):
        (home / place / "._spleen_1.nii.gz").touch()
        (home / place / "notes.txt").touch()
    assert read(tmp_path)["spleen_1"].image == home / "imagesTr" / "spleen_1.nii.gz"
    assert list(read(home)) == ["spleen_1"]
    fill(tmp_path / "Task10_Colon", ["colon_1"])
    refused("2 of its folders have a folder imagesTr; which is meant", tmp_path)
    refused(re.escape(f"was {home} meant?"), home / "imagesTr")


def test_one_of_the_channels_of_nnunet_is_chosen(tmp_path):
    fill(tmp_path, ["a_0000", "a_0001", "b_0000", "b_0001"], ["a", "b"], training=entries("a", "b"))
    assert [case.image.name for case in read(tmp_path).values()] == ["a_0000.nii.gz", "b_0000.nii.gz"]
    assert [case.image.name for case in read(tmp_path, channel=1).values()] == ["a_0001.nii.gz", "b_0001.nii.gz"]
    refused(r"labelsTr/a.nii.gz: has no image a_0002 in imagesTr$", tmp_path, channel=2)
    (tmp_path / "imagesTr" / "a.nii.gz").touch()
    refused(r"labelsTr/a.nii.gz: a and a_0000 in imagesTr both are its image", tmp_path)
    assert read(tmp_path, channel=1)["a"].image.name == "a_0001.nii.gz"


def test_a_name_that_ends_like_a_channel_is_a_name(tmp_path):
    fill(tmp_path, ["case_0001", "case_0002"])
    assert list(read(tmp_path)) == ["case_0001", "case_0002"]
    refused("has no image case_0001_0001 in imagesTr", tmp_path, channel=1)


def test_images_without_label_labels_without_image_and_two_of_a_name_are_named(tmp_path):
    fill(tmp_path / "image", ["a", "b"], ["a"])
    refused(r"imagesTr/b.nii.gz: has no label in labelsTr", tmp_path / "image")
    fill(tmp_path / "channel", ["a_0000", "b_0000"], ["a"])
    refused(r"imagesTr/b_0000.nii.gz: has no label", tmp_path / "channel")
    fill(tmp_path / "label", ["a"], ["a", "b"])
    refused(r"labelsTr/b.nii.gz: has no image b_0000 in imagesTr, and no b$", tmp_path / "label")
    fill(tmp_path / "twice", ["a"])
    (tmp_path / "twice" / "labelsTr" / "a.nii").touch()
    refused("a.nii and a.nii.gz are the same volume", tmp_path / "twice")
    fill(tmp_path / "none", [])
    refused(r"labelsTr: holds no volume", tmp_path / "none")
    (tmp_path / "none" / "labelsTr").rmdir()
    refused("has no folder labelsTr", tmp_path / "none")


@pytest.mark.parametrize(
    ("pattern", "patients"),
    [("", ["", ""]), (r"^p\d+", ["p1", "p2"]), (r"_(\w)", ["x", "x"]), (r"(?:p)(\d)|q", ["1", "2"])],
)
def test_a_pattern_tells_the_patient(tmp_path, pattern, patients):
    fill(tmp_path, ["p1_x", "p2_x"])
    assert [case.group for case in read(tmp_path, patient=pattern).values()] == patients


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is no regular expression"),
        ("z", "finds nothing in the name of case p1"),
        ("z*", "nothing"),
        ("(z)?p", "nothing"),
    ],
)
def test_a_pattern_that_tells_no_patient_is_refused(pattern, message):
    with pytest.raises(BenchError, match=f"^patient: `.*{message}"):
        patient_of("p1", pattern)


# ---------------------------------------------------------------------------------------------- dataset.json


def test_labels_that_are_not_the_classes_are_told_with_what_to_write(tmp_path):
    fill(tmp_path, ["a"])
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "MLV": 2, "RV": 1}}))
    assert 'classes = ["background", "RV", "MLV"]' in refused("its labels are background, RV, MLV, and", tmp_path)
    assert read(tmp_path, alike={"MLV": "Myo"})
    (tmp_path / "dataset.json").write_text("{}")
    assert read(tmp_path)


@pytest.mark.parametrize(
    "labels",
    [
        ["background", "RV", "Myo"],
        {"0": "background", "1": "RV", "3": "Myo"},
        {"1": "RV", "2": "Myo"},
        {"background": 0, "RV": 1, "Myo": 1},
        {"background": 0, "RV": [1, 2], "Myo": 2},
        {"background": 0, "RV": True, "Myo": 2},
        {"0": "background", "1": 1, "2": "Myo"},
        {"0": "background", "00": "RV"},
        {"background": 0, "RV": 1.0},
    ],
)
def test_labels_without_a_number_of_their_own_are_refused(tmp_path, labels):
    fill(tmp_path, ["a"])
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    refused(r"dataset.json: .*label", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as JSON"),
        ('{"labels": ', "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("\xff", "cannot be read as JSON"),
        ("[]", "is no table of keys"),
        (" " * 17 * 2**20, "may have 16 MiB, has 17"),
        (None, "no such file"),
    ],
)
def test_a_dataset_json_that_is_none_is_refused(tmp_path, text, message):
    fill(tmp_path, ["a"])
    path = tmp_path / "dataset.json"
    path.unlink() if text is None else path.write_text(text, encoding="latin-1")
    refused(f"dataset.json: {message}", tmp_path)


@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize(
    "path", ["../a.nii.gz", "./imagesTr/../../a.nii.gz", "/etc/a.nii.gz", "C:\\a.nii.gz", "..\\a.nii.gz", "", "."]
)
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, key, path):
    (entry,) = entries("a")
    fill(tmp_path, ["a"], training=[entry | {key: path}])
    refused("is no file in the folder of dataset.json", tmp_path)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"training": {"a": 1}}, "`training` is no list"),
        ({"training": ["./imagesTr/a.nii.gz"]}, "has an `image` and a `label`, not ./imagesTr"),
        ({"training": [{"image": "a.nii.gz"}]}, "has an `image` and a `label`"),
        ({"training": [{"image": None, "label": None}]}, "has an `image` and a `label`"),
        ({"training": [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/b.nii.gz"}]}, "pairs imagesTr/a"),
        ({"training": entries("a"), "numTraining": "1"}, "`numTraining` is no whole number but '1'"),
        ({"training": entries("a"), "numTraining": True}, "`numTraining` is no whole number"),
    ],
)
def test_entries_of_another_form_are_refused(tmp_path, about, message):
    refused(f"dataset.json: .*{message}", fill(tmp_path, ["a"], **about))


def test_an_entry_without_files_is_wrong_only_where_as_many_are_there_as_the_set_has(tmp_path):
    three = entries("a", "b", "c")
    assert list(read(fill(tmp_path / "partial", ["a", "b"], training=three, numTraining=3))) == ["a", "b"]
    assert list(read(fill(tmp_path / "silent", ["a", "b"], training=three))) == ["a", "b"]
    renamed = fill(tmp_path / "renamed", ["a", "b", "C"], training=three, numTraining=3)
    refused("names c, of which there is no file; 3 others are there", renamed)
    refused("names c", fill(tmp_path / "fewer", ["a", "b"], training=three, numTraining=2))


# ---------------------------------------------------------------------------- folders of volumes, of any layout


def test_volumes_are_nifti_files_that_are_not_hidden(tmp_path):
    for name in ("a.nii", "b.NII.gz", ".c.nii", "d.gz", "e.png", "f.nii.gz.part"):
        (tmp_path / name).touch()
    (tmp_path / "g.nii.gz").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir() if is_volume(path)) == ["a.nii", "b.NII.gz"]
    assert list(index_volumes(tmp_path)) == ["a", "b"]


def test_images_and_truth_of_one_folder_are_paired_by_name_in_any_letter_case(tmp_path):
    for name in ("Case2", "Case10", "Case2_Segmentation", "Case10_segmentation", "notes_old"):
        (tmp_path / f"{name}.nii.gz").touch()
    pairs = pair_volumes(tmp_path, r"(case\d+)", "(.+)_segmentation")
    assert {name: [path.name for path in pair] for name, pair in pairs.items()} == {
        "Case2": ["Case2.nii.gz", "Case2_Segmentation.nii.gz"],
        "Case10": ["Case10.nii.gz", "Case10_segmentation.nii.gz"],
    }
    assert list(pairs) == ["Case2", "Case10"]
    with pytest.raises(BenchError, match="no volume that is named as published"):
        pair_volumes(tmp_path, "(x)", "(y)")
    (tmp_path / "Case2.nii.gz").unlink()
    with pytest.raises(BenchError, match=r"Case2_Segmentation.nii.gz: its image is missing"):
        pair_volumes(tmp_path, r"(case\d+)", "(.+)_segmentation")
    (tmp_path / "Case10_segmentation.nii.gz").unlink()
    with pytest.raises(BenchError, match=r"Case10.nii.gz: its truth is missing"):
        pair_volumes(tmp_path, r"(case\d+)", "(.+)_segmentation")


def test_a_folder_that_is_not_there_or_a_file_encloses_nothing(tmp_path):
    (tmp_path / "file").touch()
    for place, message in (("none", "no such folder"), ("file", "is a file and no folder"), (".", "has no folder x")):
        with pytest.raises(BenchError, match=message):
            enclosing(tmp_path / place, "x")


def counted(folder, image, truth):
    @task(
        "toy",
        title="Toy",
        modality="none",
        classes=("background", "one"),
        case="volume",
        licence="none",
        citation="none",
        url="https://example.org",
        layout={"all": Part(9, (Image(image), Truth(truth, {1: 1})))},
        protocols=("finetune",),
        target="mask",
    )
    def toy(folder: Path) -> Splits:
        return Splits((), (), ())

    return count(toy, folder)["all"]


def test_volumes_are_counted_by_their_truth_wherever_the_first_folder_lies(tmp_path):
    layout = "Task01/imagesTr/a_{n:03d}.nii.gz", "Task01/labelsTr/a_{n:03d}.nii.gz"
    fill(tmp_path / "own" / "Task01", ["a_001", "a_002", "other"])
    fill(tmp_path / "other" / "Dataset001", ["a_001_0000", "a_001_0001", "a_x_0000"], ["a_001", "a_x"], ending=".nii")
    fill(tmp_path / "bare", ["a_001"])
    assert [counted(tmp_path / name, *layout) for name in ("own", "other", "bare")] == [(2, 9), (2, 9), (1, 9)]
    assert counted(tmp_path / "nowhere", *layout) == (0, 9)


def test_volumes_beside_their_truth_and_in_folders_of_their_own_are_counted_once(tmp_path):
    for name in ("BMC/Case00", "BMC/Case00_Segmentation", "BMC/Case01", "HK/Case00", "HK/Case00_segmentation"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.nii.gz").touch()
    files = "{site}/Case{{n:02d}}.nii.gz", "{site}/Case{{n:02d}}_segmentation.nii.gz"
    assert [counted(tmp_path, *(f.format(site=site) for f in files))[0] for site in ("BMC", "HK", "UCL")] == [1, 1, 0]
    for name in ("flair", "t1", "seg"):
        (tmp_path / "data" / "HGG" / "B_AB_1").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "HGG" / "B_AB_1" / f"B_AB_1_{name}.nii.gz").touch()
    names = "Training/HGG/B_{n}/B_{n}_t1.nii.gz", "Training/HGG/B_{n}/B_{n}_seg.nii.gz"
    assert counted(tmp_path, *names) == (1, 9)
