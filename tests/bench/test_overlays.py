"""The figure of a segmentation or detection: which cases it shows, where and in which colours, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bench import overlays
from bench.data.images import read_image
from bench.data.scenes import scene, write
from bench.errors import BenchError
from bench.overlays import chosen, coloured, draw
from bench.spec import Box, Case, Mask, Splits, Task, TaskInfo
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


# ---------------------------------------------------------------------------------------------- boxes

HEIGHT, WIDTH = 10, 16  # few and large pixels, so that half a pixel shows
LEFT, TOP, RIGHT, BOTTOM = EDGES = (3, 2, 9, 7)
COLOURS = [(31, 119, 180), (255, 127, 14)]  # of the first two classes


def boxed(tmp_path, *, frame=(), times=(1, 1), **found):
    """A case whose white object fills its box exactly, and the record of what was found."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[TOP:BOTTOM, LEFT:RIGHT] = 255
    write(tmp_path / "image.png", pixels)
    across, down = times
    box = Box(1, *(float(edge) for edge in np.array(EDGES) * (across, down, across, down)))
    marks = {"image": [], "edges": np.zeros((0, 4)), "score": [], "label": []} | found
    kept = record(tmp_path, **{f"box_{name}": np.array(of, kind(name)) for name, of in marks.items()})
    write_scores(tmp_path / "scores.csv", ["a"], {"f1": np.array([0.5])})
    return kept, Case("a", tmp_path / "image.png", boxes=(box,), frame=frame)


def kind(name):
    return np.int64 if name in ("image", "label") else np.float32


def panels(kept, case, tmp_path, monkeypatch):
    """Image, truth and prediction of the first row, as pixels, in units of pixels of the image from its corner on."""
    drawn = []
    monkeypatch.setattr(overlays, "save", lambda figure, file: drawn.append(figure))
    boxes = replace(task(case).info, target="box", classes=("first", "second"), primary="map50")
    draw(kept, Task(boxes, lambda folder: Splits((), (), (case,))), tmp_path, "title", tmp_path / "figure.png")
    (figure,) = drawn
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = np.asarray(canvas.buffer_rgba())[..., :3]
    for axes in figure.axes[:3]:
        place = axes.get_window_extent()
        top, left = len(shown) - round(place.y1), round(place.x0)
        panel = shown[top : top + round(place.height), left : left + round(place.width)]
        yield panel, panel.shape[1] / WIDTH


def near(panel, colour):
    return (np.abs(panel.astype(int) - colour) < 6).all(2)


def span(panel, scale, colour):
    """Left, top, right and bottom of what has a colour, in pixels of the image."""
    down, across = np.nonzero(near(panel, colour))
    return np.array([across.min(), down.min(), across.max() + 1, down.max() + 1]) / scale


@pytest.mark.parametrize(
    ("frame", "times"), [((), (1, 1)), ((HEIGHT, WIDTH), (1, 1)), ((HEIGHT * 3, WIDTH * 2), (2, 3))]
)
def test_a_box_is_drawn_around_its_object(tmp_path, monkeypatch, frame, times):
    """In pixels of its frame, to a third of a pixel of the image; the object itself shows where that lies."""
    kept, case = boxed(tmp_path, frame=frame, times=times)
    image, truth, prediction = panels(kept, case, tmp_path, monkeypatch)
    assert span(*image, (255, 255, 255)) == pytest.approx(EDGES, abs=0.1)
    half = 1.2 / 72 * 200 / 2 / truth[1]  # of a line, in pixels of the image
    assert span(*truth, COLOURS[1]) == pytest.approx(EDGES + half * np.array([-1, -1, 1, 1]), abs=0.1)
    middle = truth[0][round((TOP + BOTTOM) / 2 * truth[1]), round((LEFT + RIGHT) / 2 * truth[1])]
    assert (middle == 255).all()  # it hides nothing
    assert not near(prediction[0], COLOURS[1]).any()


def test_what_is_found_is_drawn_where_it_was_found_if_it_is_sure(tmp_path, monkeypatch):
    """In pixels of the image as it is stored, whatever the frame of the truth; each class has its colour."""
    edges = [(6, 4, 14, 9), (1, 1, 15, 9), (1, 1, 15, 9)]
    found = {"image": [0, 0, 0], "edges": edges, "score": [0.75, 0.49, 0.2], "label": [0, 1, 1]}
    kept, case = boxed(tmp_path, frame=(HEIGHT * 3, WIDTH * 2), times=(2, 3), **found)
    _, truth, prediction = panels(kept, case, tmp_path, monkeypatch)
    half = 1.2 / 72 * 200 / 2 / truth[1]
    assert span(*prediction, COLOURS[0])[2:] == pytest.approx((14 + half, 9 + half), abs=0.1)  # its score is above
    lower = prediction[0][round(6 * truth[1]) :], truth[1]
    assert span(*lower, COLOURS[0])[0] == pytest.approx(6 - half, abs=0.1)
    assert not near(prediction[0], COLOURS[1]).any()
    assert not near(truth[0], COLOURS[0]).any()


def test_each_image_has_its_own_detections_and_the_likeliest_lies_on_top(tmp_path):
    kept, case = boxed(tmp_path, image=[0, 1, 0], edges=[EDGES] * 3, score=[0.9, 0.8, 0.5], label=[0, 1, 1])
    np.savez(tmp_path / "predictions.npz", **{**np.load(tmp_path / "predictions.npz"), "cases": np.array(["b", "a"])})
    (_, none), (_, truth), (_, found) = overlays._boxes(kept)(case)
    assert list(none) == []
    assert [(mark.label, mark.edges, mark.score) for mark in truth] == [(1, EDGES, 0)]
    assert [(mark.label, mark.score) for mark in found] == [(1, pytest.approx(0.8))]
    (*_, (_, found)) = overlays._boxes(kept)(replace(case, id="b"))
    assert [(mark.label, mark.score) for mark in found] == [(1, 0.5), (0, pytest.approx(0.9))]
