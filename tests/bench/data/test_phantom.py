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
from bench.errors import BenchError
from bench.spec import Image, Part, Row, Splits, task

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
