"""What is scored is never pretrained on, whatever it is called and wherever it lies."""

import shutil

import pytest

from bench.config import load
from bench.sources import find_sources
from bench.store import Store

GRID = """
[data]
root = "data"
missing = "error"
[pretrain]
corpus = {corpus}
[methods]
simclr = {{}}
[tasks]
brain_tumor = {{}}
"""


@pytest.fixture
def found(tmp_path, phantoms, write_grid):
    """Sources of a grid over a copy of a data set, after a change to its files."""

    def sources(change, corpus='["brain_tumor"]'):
        folder = tmp_path / "data" / "brain_tumor"
        if not folder.exists():
            shutil.copytree(phantoms / "brain_tumor", folder)
        change(folder)
        grid = load(write_grid(GRID.format(corpus=corpus)))
        return find_sources(grid, Store(grid.store))

    return sources


def one(folder):
    return sorted(folder.glob("*/*"))[0]


def test_a_test_image_under_another_name_is_seen_and_left_out(found):
    before = found(lambda folder: None)["brain_tumor"]
    assert (before.seen, before.left_out) == (0, frozenset())

    def copy(folder):
        shutil.copy(one(folder / "Testing"), folder / "Training" / "glioma_tumor" / "image(9999).jpg")

    after = found(copy)["brain_tumor"]
    in_train = {c.id for c in after.task.load().splits(after.folder).train}
    name = "Training/glioma_tumor/image(9999)"
    assert after.left_out == ({name} if name in in_train else set())
    assert after.seen == len(after.left_out)
    assert name not in {case.id for case in after.training_cases()}
    assert after.fingerprint != before.fingerprint


def test_a_training_image_that_is_also_tested_is_left_out(found):
    def copy(folder):
        split = found(lambda f: None)["brain_tumor"].task.load().splits(folder)
        shutil.copy(split.train[0].image, split.test[0].image)

    source = found(copy)["brain_tumor"]
    train = source.task.load().splits(source.folder).train
    assert source.left_out == {train[0].id}
    assert source.seen == 1
    assert [case.id for case in source.training_cases()] == [case.id for case in train[1:]]


def test_a_corpus_folder_gives_no_scored_image(found, tmp_path):
    sources = found(lambda folder: None, corpus='["data/brain_tumor"]')
    task, folder = sources["brain_tumor"], sources["data/brain_tumor"]
    kept = {case.image.read_bytes() for case in folder.training_cases()}
    splits = task.task.load().splits(task.folder)
    assert not kept & {case.image.read_bytes() for case in (*splits.val, *splits.test)}
    assert len(folder.training_cases()) == len(splits.train)


def test_what_is_left_out_changes_the_corpus_and_nothing_else_does(found):
    before = found(lambda folder: None)["brain_tumor"]

    def swap(folder):
        image = before.task.load().splits(folder).test[0].image
        image.write_bytes(before.task.load().splits(folder).test[1].image.read_bytes())

    after = found(swap)["brain_tumor"]
    assert after.training == before.training
    assert after.fingerprint != before.fingerprint


def test_a_file_that_cannot_be_read_stops_no_other_source(found, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "pictures" / "text.txt").write_text("no image")
    sources = found(lambda folder: None, corpus='["brain_tumor", "pictures"]')
    assert "pictures" in sources["pictures"].error
    assert not sources["brain_tumor"].error
