"""The curves of a pretraining: which epochs a table shows, and a figure with a panel for each quantity."""

import subprocess
import sys
from itertools import pairwise

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from bench import curves
from bench.errors import BenchError


def test_a_table_has_the_loss_first_and_a_row_an_epoch():
    assert curves.rows({"b": [None, 0.123456], "a": [7.0, 1e-7], "loss": [2.0, 1234.56]}) == [
        {"epoch": "1", "loss": "2", "a": "7", "b": ""},
        {"epoch": "2", "loss": "1235", "a": "1e-07", "b": "0.1235"},
    ]
    assert list(curves.rows({"b": [1.0], "a": [1.0], "loss": [1.0]})[0]) == ["epoch", "loss", "a", "b"]
    assert curves.rows({}) == []


@pytest.mark.parametrize(("epochs", "shown"), [(1, 1), (12, 12), (13, 12), (100, 12), (1000, 12)])
def test_a_long_table_is_thinned_evenly_from_the_first_epoch_to_the_last(epochs, shown):
    found = curves.rows({"loss": [float(i) for i in range(epochs)]})
    numbers = [int(row["epoch"]) for row in found]
    assert (numbers[0], numbers[-1], len(set(numbers)), len(numbers)) == (1, epochs, shown, shown)
    gaps = [b - a for a, b in pairwise(numbers)]
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert [row["loss"] for row in found] == [f"{n - 1:.4g}" for n in numbers]


@pytest.fixture
def drawn(monkeypatch):
    """Every figure that is written."""
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), save(self, *a, **k)))
    return figures


@pytest.mark.parametrize("panels", [1, 2, 3, 4, 7])
def test_a_figure_has_a_panel_for_each_curve_with_the_loss_first(tmp_path, drawn, panels):
    history = {f"q_{i}": [1.0, None, 3.0] for i in range(panels - 1)} | {"loss": [3.0, 2.0, 1.0]}
    curves.draw(history, "simclr/pretrain/0", tmp_path / "a.PNG")
    (figure,) = drawn
    assert [axes.get_title("left") for axes in figure.axes] == ["loss", *(f"q {i}" for i in range(panels - 1))]
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    (line,) = figure.axes[0].lines
    assert line.get_xydata().tolist() == [[1, 3], [2, 2], [3, 1]]
    pixels = imread(tmp_path / "a.PNG", format="png")
    assert pixels.shape[1] == 640 * min(panels, 3)
    assert pixels.std() > 0


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
@pytest.mark.parametrize("epochs", [1, 2, 300])
def test_odd_curves_are_drawn_too(tmp_path, drawn, ending, epochs):
    # Names and titles are text, and no formula that could be wrong.
    history = {"loss": [1e-9] * epochs, "never finite": [None] * epochs, "$\\x_1$": [None] * (epochs - 1) + [1.0]}
    file = tmp_path / f"a.{ending}"
    curves.draw(history, "$\\odd$", file)
    assert file.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")
    alone = drawn[0].axes[1]
    assert alone.get_title("left") == "$\\x 1$"
    assert alone.lines[0].get_marker() == "."  # a point between gaps is seen


@pytest.mark.parametrize("name", ["a.jpg", "a", "png"])
def test_another_ending_is_refused_before_anything_is_drawn(tmp_path, name):
    with pytest.raises(BenchError, match=r"a figure ends in .png, .svg or .pdf"):
        curves.draw({"loss": [1.0]}, "title", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_pyplot_alone(tmp_path):
    code = (
        "import sys; from pathlib import Path; from bench.curves import draw; draw({'loss': [1.0]}, '', Path('a.png'))"
    )
    code += "; assert 'matplotlib.pyplot' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
