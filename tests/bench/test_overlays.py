"""The figure of a segmentation: which cases it shows, in which colours, and what it refuses."""

import numpy as np
import pytest

from bench.data.images import read_image
from bench.data.scenes import scene, write
from bench.errors import BenchError
from bench.overlays import chosen, coloured, draw
from bench.spec import Case, Mask, Splits, Task, TaskInfo
from bench.store import Record, write_scores


def test_best_median_and_worst_are_chosen_by_score():
    scores = {"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.7, "e": 0.9}
    assert chosen(scores) == [("best", "a"), ("median", "d"), ("worst", "b")]
    assert chosen({"only": 0.5}) == [("best", "only"), ("median", "only"), ("worst", "only")]


def test_structures_are_tinted_and_the_rest_stays_as_it_is():
    image = np.full((4, 4, 3), 100, np.uint8)
    classes = np.zeros((4, 4), np.uint8)
    classes[0, 0], classes[1, 1] = 1, 2
    shown = coloured(image, classes)
    assert (shown[classes == 0] == 100).all()
    assert len({tuple(shown[y, x]) for y, x in ((0, 0), (1, 1), (2, 2))}) == 3


def record(folder, **arrays):
    np.savez(folder / "predictions.npz", cases=np.array(["a"]), **arrays)
    write_scores(folder / "scores.csv", ["a"], {"dice": np.array([0.5])})
    facts = {"primary": "dice"}
    return Record(id="simclr/scenes/finetune/0", key="", parts={}, facts=facts, folder=folder)


def task(*cases):
    info = TaskInfo(
        name="scenes", title="Scenes", modality="none", classes=("background", "organ"), case="image", licence="",
        citation="", url="", layout={}, protocols=(), target="mask",
    )  # fmt: skip
    return Task(info, lambda folder: Splits((), (), cases))


@pytest.fixture
def case(tmp_path):
    grey, classes = scene(1, "a")
    write(tmp_path / "image.png", grey)
    write(tmp_path / "mask.png", classes * 255)
    return Case("a", tmp_path / "image.png", masks=(Mask(tmp_path / "mask.png", 1),)), classes


def test_a_figure_is_drawn(tmp_path, case):
    file = tmp_path / "figure.png"
    draw(record(tmp_path, mask_0=np.moveaxis(case[1], 2, 0)), task(case[0]), tmp_path, "title", file)
    assert read_image(file).std() > 10


def test_without_predictions_it_says_how_to_keep_them(tmp_path, case):
    with pytest.raises(BenchError, match="keep_predictions = true"):
        draw(record(tmp_path), task(case[0]), tmp_path, "title", tmp_path / "figure.png")


def test_a_case_that_is_gone_is_named(tmp_path):
    with pytest.raises(BenchError, match="has no test case a any more"):
        draw(record(tmp_path, mask_0=np.zeros((1, 2, 2))), task(), tmp_path, "title", tmp_path / "figure.png")


def test_a_prediction_of_another_size_is_refused(tmp_path, case):
    with pytest.raises(BenchError, match="and the prediction of it"):
        draw(record(tmp_path, mask_0=np.zeros((1, 2, 2))), task(case[0]), tmp_path, "title", tmp_path / "figure.png")
