"""Phantoms: in the published layout, the same every time, never in the place of real data, and learnable by shape."""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.data.folders import is_phantom
from bench.data.images import read_image
from bench.data.phantom import draw, picture
from bench.data.scenes import LEVELS, objects
from bench.errors import BenchError
from bench.spec import Boxes, Image, Part, Row, Splits, task

FILES = (Image("images/{name}/{n:03d}.png"), Row("labels.csv", "{n:03d},{label}"))


@task(
    "toy",
    title="Toy",
    modality="none",
    classes=("none", "one", "four", "nine", "sixteen"),
    case="image",
    licence="none",
    citation="none",
    url="https://example.org",
    layout={"train": Part(200, FILES), "test": Part(7, FILES, first=201)},
    protocols=("linear",),
)
def toy(folder: Path) -> Splits:
    return Splits((), (), ())


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_layout_is_the_published_one_with_all_classes(tmp_path):
    draw(toy, tmp_path / "toy", cases=10)
    rows = [line.split(",") for line in (tmp_path / "toy" / "labels.csv").read_text().splitlines()]
    assert [int(n) for n, _ in rows] == [*range(1, 11), *range(201, 208)]
    assert Counter(label for _, label in rows[:10]) == dict.fromkeys("01234", 2)
    for n, label in rows:
        pixels = read_image(tmp_path / "toy" / "images" / toy.info.classes[int(label)] / f"{n}.png")
        assert all(96 <= side <= 160 for side in pixels.shape[:2])
    assert is_phantom(tmp_path / "toy")
    assert "no real data" in (tmp_path / "toy" / "PHANTOM.txt").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


def test_the_same_arguments_draw_the_same_and_a_case_does_not_depend_on_how_many_there_are(tmp_path):
    draw(toy, tmp_path / "a", cases=5)
    draw(toy, tmp_path / "b", cases=5)
    draw(toy, tmp_path / "more", cases=6)
    draw(toy, tmp_path / "seeded", cases=5, seed=1)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    case = Path("images/one/002.png")
    assert content(tmp_path / "a")[case] == content(tmp_path / "more")[case] != content(tmp_path / "seeded")[case]


def test_a_phantom_is_kept_or_replaced_and_real_data_is_refused(tmp_path):
    draw(toy, tmp_path / "toy", cases=5)
    image = tmp_path / "toy" / "images" / "one" / "002.png"
    time_drawn = image.stat().st_mtime_ns
    draw(toy, tmp_path / "toy", cases=5)
    assert image.stat().st_mtime_ns == time_drawn
    draw(toy, tmp_path / "toy", cases=6)
    assert len((tmp_path / "toy" / "labels.csv").read_text().splitlines()) == 12
    (tmp_path / "empty").mkdir()
    draw(toy, tmp_path / "empty", cases=5)
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "image.png").touch()
    (tmp_path / "file").touch()
    for place in (tmp_path / "real", tmp_path / "file"):
        with pytest.raises(BenchError, match="no phantom"):
            draw(toy, place, cases=5)
    with pytest.raises(BenchError, match="5 cases or more"):
        draw(toy, tmp_path / "few", cases=4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file", "real", "toy"]


def test_a_drawing_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.data.phantom.picture", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        draw(toy, tmp_path / "toy", cases=5)
    assert not list(tmp_path.iterdir())


def test_drawing_is_fast(tmp_path):
    start = time.perf_counter()
    draw(toy, tmp_path / "toy", cases=160)
    assert time.perf_counter() - start < 5  # about 0.6 s; type checks at run time and other jobs slow it down


def spectrum(pixels):
    """Log power by spatial frequency, of a 64 px version less its mean: what a small network can see of shape."""
    small = np.asarray(Pillow.fromarray(pixels).resize((64, 64), Pillow.Resampling.BILINEAR), float)
    power = np.abs(np.fft.fftshift(np.fft.fft2(small - small.mean()))) ** 2
    y, x = np.indices(power.shape) - 32
    ring = np.hypot(y, x).astype(int)
    return np.log(np.bincount(ring.ravel(), power.ravel())[1:30] / np.bincount(ring.ravel())[1:30])


def test_classes_can_be_told_by_shape_but_not_by_brightness():
    labels = np.arange(400) % 5
    pictures = [picture(int(label), f"0/toy/{n}") for n, label in enumerate(labels)]

    def accuracy(features):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        return model.fit(features[:250], labels[:250]).score(features[250:], labels[250:])

    means = np.array([[p.mean()] for p in pictures])
    assert 0.34 * 255 < means.min() < means.max() < 0.46 * 255
    assert accuracy(means) < 0.32  # chance is 0.2
    assert accuracy(np.array([spectrum(p) for p in pictures])) > 0.6


def test_more_than_five_classes_differ_in_sign_and_texture():
    drawn = [picture(label, "0/toy/1").astype(int) for label in range(20)]
    assert all(np.abs(a - b).max() > 20 for i, a in enumerate(drawn) for b in drawn[:i] if (i % 5, i > 0) != (0, True))


# ------------------------------------------------------------------------------------------- objects


def told(cases, classes):
    return "\n".join(f"{c.id} {c.frame} {classes[b.label]} {b.left} {b.right}" for c in cases for b in c.boxes)


def detections(*files):
    card = {"title": "Toy", "modality": "none", "case": "image", "licence": "none", "citation": "none", "url": "none"}
    layout = {"a": Part(9, files), "b": Part(2, (Image("b/{n:02d}.png"), Boxes("b.txt", told)), first=10)}
    return task("boxed", **card, classes=("x", "y"), layout=layout, protocols=(), target="box")(lambda folder: None)


def test_boxes_are_written_a_file_for_a_part_or_for_an_image(tmp_path):
    draw(detections(Image("a/{n:02d}.png"), Boxes("all.txt", told)), tmp_path / "one", cases=5)
    draw(detections(Image("a/{n:02d}.png"), Boxes("text/{n:02d}.txt", told)), tmp_path / "each", cases=50)
    one, each = content(tmp_path / "one"), content(tmp_path / "each")
    assert sorted(map(str, one)) == [
        *("PHANTOM.txt", *(f"a/0{n}.png" for n in range(1, 6)), "all.txt", "b.txt", "b/10.png", "b/11.png")
    ]
    assert len(each) == 1 + 9 * 2 + 3
    joined = b"\n".join(text for n in range(1, 6) if (text := each[Path(f"text/0{n}.txt")]))
    assert one[Path("all.txt")] == joined
    assert one[Path("a/03.png")] == each[Path("a/03.png")]


def test_objects_lie_in_the_picture_apart_and_are_what_their_boxes_say():
    """Classes are told by brightness; about a tenth of the pictures have no object."""
    counts, near = Counter(), 0
    for n in range(400):
        grey, found = objects(4, f"0/toy/{n}")
        counts[len(found)] += 1
        taken = np.zeros(grey.shape[:2], int)
        for label, edges in found:
            left, top, right, bottom = map(int, edges)
            assert (left, top, right, bottom) == edges
            assert 0 <= left < right <= grey.shape[1]
            assert 0 <= top < bottom <= grey.shape[0]
            y, x = (np.linspace(-1, 1, number) for number in (bottom - top, right - left))
            inner = np.hypot(y[:, None], x[None]) < 0.8  # an ellipse that fills its box
            taken[top:bottom, left:right] += inner
            level = np.median(grey[top:bottom, left:right, 0][inner]) / 255 - 0.45
            near += int(np.argmin(np.abs(np.array(LEVELS[:4]) - level))) == label
        assert taken.max(initial=0) <= 1
    assert 20 < counts[0] < 80
    assert set(counts) == {0, 1, 2, 3}
    assert near > 0.85 * sum(number * count for number, count in counts.items())


def test_boxes_are_tight():
    """Of a bright class alone, what is brighter than the tissue has the edges of the boxes."""
    off = []
    for n in range(60):
        grey, found = objects(1, f"0/toy/{n}")
        for _, (left, top, right, bottom) in found:
            part = grey[int(top) : int(bottom), int(left) : int(right), 0]
            rows, columns = (np.flatnonzero((part > 0.6 * 255).mean(axis) > 0.15) for axis in (1, 0))
            off += [rows[0], columns[0], len(part) - 1 - rows[-1], part.shape[1] - 1 - columns[-1]]
    assert np.percentile(off, 90) <= 4
    assert np.mean(off) < 2.5
