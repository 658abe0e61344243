"""JSRT: raw radiographs, SCR's outlines in folds, the plain layout, and what is wrong in either."""

import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data.folders import is_image, status
from bench.data.images import read_image
from bench.data.masks import read_truth
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "jsrt"
TASK = runpy.run_path(str(ROOT / "tasks" / "jsrt.py"))["jsrt"]
STRUCTURES = TASK.info.classes[1:]
NAMES = [f"JPCLN{n:03d}" for n in range(1, 9)] + [f"JPCNN{n:03d}" for n in range(1, 5)]


def raw(path, words):
    np.asarray(words, ">u2").tofile(path)
    return path


@pytest.fixture
def published(tmp_path):
    """Twelve radiographs of 8 x 8 and their outlines: of the k-th structure, row k and all below it."""
    folder = tmp_path / "jsrt"
    for fold in ("fold1", "fold2"):
        for structure in STRUCTURES:
            (folder / fold / "masks" / structure).mkdir(parents=True)
    for name in NAMES:
        raw(folder / f"{name}.IMG", np.full((8, 8), int(name[-3:])))
        for k, structure in enumerate(STRUCTURES, 1):
            fold = "fold2" if int(name[-1]) % 2 == 0 else "fold1"
            mask = np.zeros((8, 8), np.uint8)
            mask[k:] = 255
            Image.fromarray(mask).save(folder / fold / "masks" / structure / f"{name}.gif")
    return folder


@pytest.fixture
def plain(published):
    """The same as a copy has it, without the clavicles."""
    folder = published.parent / "plain"
    (folder / "images").mkdir(parents=True)
    for path in published.glob("*.IMG"):
        Image.fromarray(read_image(path)).save(folder / "images" / f"{path.stem}.png")
    for structure in STRUCTURES[:3]:
        place = folder / "masks" / structure.replace(" ", "_")
        place.mkdir(parents=True)
        for path in published.glob(f"fold*/masks/{structure}/*"):
            shutil.copy(path, place)
    return folder


def test_the_published_folds_and_raw_images_are_read(published):
    splits = TASK.splits(published)
    assert [len(cases) for _, cases in splits] == [7, 2, 3]
    assert {case.id for _, cases in splits for case in cases} == set(NAMES)
    for _, cases in splits:
        for case in cases:
            assert case.image.name == f"{case.id}.IMG"
            assert [mask.path.parent.name for mask in case.masks] == list(STRUCTURES)
            assert {mask.path.parents[2].name for mask in case.masks} == {f"fold{2 - int(case.id[-1]) % 2}"}
            truth = read_truth(case.masks, read_image(case.image).shape[:2], 6, {})
            np.testing.assert_array_equal(truth[:, 0], [0, 1, 2, 3, 4, 5, 5, 5])  # clavicles over heart over lungs
            assert case.spacing == ()
    assert status(TASK, published).parts == {"with nodule": (8, 154), "without": (4, 93)}
    assert TASK.info.official == 247
    assert [TASK.info.classes[k] for k in TASK.info.release[1]] == ["left lung", "right lung"]


def test_radiographs_may_lie_in_one_folder_and_outlines_in_scratch(published):
    before = [[case.id for case in cases] for _, cases in TASK.splits(published)]
    (published / "All247images").mkdir()
    (published / "scratch").mkdir()
    for path in published.glob("*.IMG"):
        path.rename(published / "All247images" / path.with_suffix(".img").name)
    for fold in ("fold1", "fold2"):
        (published / fold).rename(published / "scratch" / fold)
    assert [[case.id for case in cases] for _, cases in TASK.splits(published)] == before
    assert status(TASK, published).parts == {"with nodule": (8, 154), "without": (4, 93)}
    shutil.copy(published / "All247images" / "JPCLN001.img", published)
    with pytest.raises(BenchError, match=r"there are radiographs in .*jsrt and in .*All247images; keep those of one"):
        TASK.splits(published)


def test_a_phantom_is_drawn_in_the_published_layout(tmp_path):
    draw(TASK, tmp_path / "jsrt", cases=6)
    splits = TASK.splits(tmp_path / "jsrt")
    assert [len(cases) for _, cases in splits] == [7, 2, 3]
    assert all(len(case.masks) == 5 and all(path.is_file() for path in case.files) for case in splits.train)
    assert status(TASK, tmp_path / "jsrt").parts == {"with nodule": (6, 154), "without": (6, 93)}


def test_a_copy_without_clavicles_is_scored_without_them(plain):
    with pytest.raises(BenchError) as error:
        TASK.splits(plain)
    names = '"background", "left lung", "right lung", "heart"'
    assert str(error.value).endswith(
        f"masks: has no folder left clavicle; score what is there with `classes = [{names}]`"
    )
    task = TASK.configured("jsrt", {"classes": ["background", "left lung", "right lung", "heart"]})
    splits = task.splits(plain)
    assert len(task.info.classes) == 4
    assert {case.id for _, cases in splits for case in cases} == set(NAMES)
    np.testing.assert_array_equal(read_truth(splits.test[0].masks, (8, 8), 4, {})[:, 0], [0, 1, 2] + [3] * 5)
    assert status(task, plain).parts == {"with nodule": (8, 154), "without": (4, 93)}


def test_classes_name_structures_and_begin_with_the_lungs(published):
    lungs = ["background", "left lung", "right lung"]
    over = TASK.splits(published, classes=[*lungs, "right clavicle", "heart"]).test[0]
    np.testing.assert_array_equal(read_truth(over.masks, (8, 8), 5, {})[:, 0], [0, 1, 2, 4, 4, 3, 3, 3])
    for classes in (
        ["background", "heart"],
        lungs[:2],
        [*lungs, "heart", "heart"],
        ["left lung", "right lung", "heart"],
    ):
        with pytest.raises(BenchError, match="`classes` must begin with background, left lung, right lung"):
            TASK.splits(published, classes=classes)
    with pytest.raises(BenchError, match="unknown class `hart`; did you mean `heart`"):
        TASK.splits(published, classes=[*lungs, "hart"])


def test_wrong_folders_are_explained(published, plain, tmp_path):
    kept = tmp_path / "data"
    kept.mkdir()
    for folder in (published, plain):
        task = TASK.configured("jsrt", {"classes": TASK.info.classes[:4]})
        place = folder.rename(kept / folder.name)
        for wrong in (kept, place / ("images" if folder is plain else "fold1")):
            with pytest.raises(BenchError, match=rf"was {re.escape(str(place))} meant\?"):
                task.splits(wrong)
        place.rename(folder)
    with pytest.raises(BenchError, match="no such folder"):
        TASK.splits(published / "none")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("fold1/masks/heart/JPCLN003.gif", r"JPCLN003\.IMG: has no heart, nor have 0 more"),
        ("JPCLN003.IMG", r"fold1/masks/left lung/JPCLN003\.gif: has no radiograph, nor have 0 more"),
        ("fold2/masks/heart", "fold2/masks: has no folder heart"),
        ("fold2", "has no folder fold2/masks"),
    ],
)
def test_what_is_missing_is_named(published, path, message):
    path = published / path
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(BenchError, match=message):
        TASK.splits(published)


def test_an_outline_that_is_there_twice_is_named(published):
    shutil.copy(published / "fold1" / "masks" / "heart" / "JPCLN003.gif", published / "fold2" / "masks" / "heart")
    with pytest.raises(BenchError, match=r"fold2/masks/heart/JPCLN003\.gif: is the same outline as .*fold1"):
        TASK.splits(published)
    shutil.copy(published / "JPCLN004.IMG", published / "JPCLN004.png")
    with pytest.raises(BenchError, match=r"JPCLN004\.IMG and JPCLN004\.png are the same image"):
        TASK.splits(published)


# ------------------------------------------------------------------------------------------- the raw format


def test_raw_radiographs_are_inverted_and_windowed(tmp_path):
    """Air is high in the file, and dark in a picture."""
    words = np.arange(16).reshape(4, 4) * 200 + 500
    pixels = read_image(raw(tmp_path / "a.IMG", words))
    assert pixels.shape == (4, 4, 3)
    np.testing.assert_array_equal(pixels[:, :, 0], np.rint(255 - np.arange(16).reshape(4, 4) * 17))
    assert (pixels == pixels[:, :, :1]).all()
    np.testing.assert_array_equal(read_image((tmp_path / "a.IMG").rename(tmp_path / "a.img")), pixels)
    assert is_image(tmp_path / "a.img")
    assert not read_image(raw(tmp_path / "flat.IMG", np.full((3, 3), 4095))).any()


def test_the_official_size_is_averaged_to_the_grid_of_the_outlines(published):
    words = np.zeros((2048, 2048), int)
    words[::2, ::2], words[1::2, ::2], words[1, 1] = 4000, 2000, 4094
    raw(published / "JPCLN001.IMG", words)
    pixels = read_image(published / "JPCLN001.IMG")[:, :, 0]
    assert pixels.shape == (1024, 1024)
    assert (pixels[0, 0], pixels[0, 1], pixels[9, 9]) == (0, 255, 255)  # the means of four are 2523.5 and 1500
    (case,) = [case for _, cases in TASK.splits(published) for case in cases if case.id == "JPCLN001"]
    assert case.spacing == (0.35, 0.35)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        (b"\x00" * 31, "is a square of 16-bit words .* and 31 bytes are none"),
        (b"\x00" * 24, "and 24 bytes are none"),
        (b"\x01", "and 1 bytes are none"),
        (np.full(16, 4096, ">u2").tobytes(), "no value of 4096; is it another kind of .img file"),
        (np.full(16, 300, "<u2").tobytes(), "12 bits, high byte first, and so no value of 11265"),
    ],
)
def test_what_is_no_raw_radiograph_is_refused(tmp_path, content, message):
    (tmp_path / "a.IMG").write_bytes(content)
    with pytest.raises(BenchError, match=r"a\.IMG: .*" + message):
        read_image(tmp_path / "a.IMG")


def test_raw_files_that_are_huge_or_no_files_are_refused(tmp_path):
    with (tmp_path / "a.IMG").open("wb") as file:
        file.truncate(2 * 20_000**2)
    with pytest.raises(BenchError, match="800000000 bytes are none"):
        read_image(tmp_path / "a.IMG")
    (tmp_path / "b.IMG").mkdir()
    with pytest.raises(BenchError, match="regular file"):
        read_image(tmp_path / "b.IMG")


@pytest.mark.skipif(not REAL.is_dir(), reason="no real images in ../shared/data/jsrt")
def test_real_images_give_their_counts():
    task = TASK.configured("jsrt", {"classes": TASK.info.classes[:4]})
    splits = task.splits(REAL)
    assert [len(cases) for _, cases in splits] == [157, 40, 50]
    assert status(task, REAL).parts == {"with nodule": (154, 154), "without": (93, 93)}
    assert status(task, REAL).state == "complete"
    for case in splits.test:
        truth = read_truth(case.masks, (256, 256), 4, {})
        columns = [np.nonzero(truth == k)[1].mean() for k in (2, 3, 1)]
        assert columns == sorted(columns), case.id  # one faces the patient: the right lung is on the left
