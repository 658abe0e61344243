"""`bench plot` as programs and people use it: on a grid, on a store, and on the records that are published here."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.config import load
from bench.plan import plan
from bench.store import Store

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
HOSTILE = "$x_1$ <script>"
GRID = f"""
[bench]
seeds = [0, 1]
[data]
root = "{{data}}"
[pretrain]
corpus = ["brain_tumor"]
[methods]
random_init = {{{{}}}}
simclr = {{{{}}}}
'{HOSTILE}' = {{{{ plugin = "simclr", temperature = 0.5 }}}}
[tasks]
brain_tumor = {{{{ protocols = ["linear", "knn"] }}}}
fgadr = {{{{ protocols = ["linear"] }}}}
"""
RIGHT = {"random_init": 2, HOSTILE: 8, "simclr": 12}  # of 14 cases
KINDS = ("ranks", "critical", "radar", "cost", "column")
DEVICE = {"environment": {"device": "NVIDIA H100"}}
ONE = ("--task", "fgadr")  # the task with one column


@pytest.fixture
def place(write_grid, phantoms, monkeypatch, finish):
    """A grid of three methods, in which all is done; a pretraining of `simclr` took an hour, another's two."""
    path = write_grid(GRID.format(data=phantoms))
    monkeypatch.chdir(path.parent)
    grid = load(path)
    store = Store(grid.store)
    for planned in plan(grid, store):
        good = RIGHT[planned.job.method.label]
        facts = {"seconds": 3600.0 if planned.job.method.label == "simclr" else 7200.0, **DEVICE}
        finish(planned.job, store, values=[1.0] * good + [0.0] * (14 - good), **facts)
    return path.parent


def texts(file):
    root = ElementTree.parse(file).getroot()
    return ["".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_every_kind_is_drawn_of_a_grid_and_of_a_store(place, bench):
    for kind in KINDS:
        drawn = []
        for source in ("bench.toml", "runs"):
            words = ("plot", kind, source, "--out", f"figures/{kind}.svg", *(ONE if kind == "column" else ()))
            assert bench(*words) == f"figures/{kind}.svg\n"
            said = " ".join(texts(place / "figures" / f"{kind}.svg"))
            assert "PHANTOM" in said
            assert all(name in said for name in RIGHT)
            drawn.append((place / "figures" / f"{kind}.svg").read_bytes())
        assert json.loads(bench(*words, "--json")) == {"figure": [f"figures/{kind}.svg"]}
        assert (place / "figures" / f"{kind}.svg").read_bytes() == drawn[1]


def test_pixels_and_pages(place, bench):
    for ending, begins in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        bench("plot", "cost", "--out", f"a.{ending}")
        assert (place / f"a.{ending}").read_bytes().startswith(begins)


def test_costs_are_of_the_records(place, bench):
    bench("plot", "cost", "--out", "a.svg")
    said = texts(place / "a.svg")
    assert "time of pretraining (h), NVIDIA H100" in said
    assert {"1", "2"} <= {number.rstrip("0").rstrip(".") for number in said}
    bench("plot", "cost", "--by", "evaluation", "--protocol", "knn", "--out", "a.svg")
    said = texts(place / "a.svg")
    assert "accuracy (%), brain_tumor / knn (higher is better)" in said
    assert "time of evaluation (h), NVIDIA H100" in said


def test_labels_are_those_of_the_grid_and_not_of_the_record(place, bench):
    grid = (place / "bench.toml").read_text()
    (place / "bench.toml").write_text(grid.replace("simclr = {}", 'renamed = { plugin = "simclr" }'))
    bench("plot", "cost", "--out", "a.svg")
    said = texts(place / "a.svg")
    assert "renamed" in said
    assert "simclr" not in said
    assert said.count("time of pretraining") == 1  # of random_init alone it is not known


def test_real_and_phantom_data_are_drawn_apart(place, bench, finish):
    store = Store(place / "runs")
    for planned in plan(load(place / "bench.toml"), store):
        if planned.job.task and planned.job.task.name == "fgadr":
            store.drop(planned.job.key)
            good = RIGHT[planned.job.method.label]
            finish(planned.job, store, values=[1.0] * good + [0.0] * (14 - good), phantom=False, **DEVICE)
    for kind in KINDS:
        more = ("--protocol", "linear") if kind == "column" else ("--by", "evaluation") if kind == "cost" else ()
        assert bench("plot", kind, "runs", "--out", "a.svg", *more) == "a-real.svg\na-phantom.svg\n"
        real, phantom = (" ".join(texts(place / f"a-{name}.svg")) for name in ("real", "phantom"))
        assert "real data" in real
        assert "PHANTOM" not in real
        assert "PHANTOM data" in phantom
        assert ("brain_tumor" in real, "fgadr" in phantom) == (False, False)


MISTAKES = (
    (("ranks", "--out", "a.gif"), "a.gif: a figure ends in .png, .svg or .pdf"),
    (("ranks", "--out", "bench.toml/a.png"), "bench.toml: "),
    (("ranks", "missing.toml", "--out", "a.png"), "missing.toml"),
    (("ranks", "--task", "fgard", "--out", "a.png"), "unknown task `fgard`; did you mean `fgadr`?"),
    (("ranks", "--protocol", "lineal", "--out", "a.png"), "unknown protocol `lineal`; did you mean `linear`?"),
    (("radar", "--metric", "dice", "--out", "a.png"), "unknown metric `dice`"),
    (("radar", "--by", "hours", "--out", "a.png"), "--by is of `bench plot cost` alone"),
    (("cost", "--by", "images", "--out", "a.png"), "no record tells the speed of pretraining of any method"),
    (("cost", "--by", "parameters", "--out", "a.png"), "no record tells the parameters of the encoder"),
    (
        ("column", "--out", "a.png"),
        "takes one of 3: --task brain_tumor --protocol linear, --task brain_tumor --protocol knn, --task fgadr",
    ),
)


def test_mistakes_are_said_in_a_line(place, bench):
    for words, message in MISTAKES:
        said = bench("plot", *words, code=2)
        assert message in said
        assert said.count("\n") == 1
    assert not list(place.glob("*.png"))


def test_with_nothing_done_there_is_nothing_to_draw(place, bench, write_grid, phantoms):
    (place / "empty").mkdir()
    for kind in KINDS:
        said = bench("plot", kind, "empty", "--out", "a.png", code=2)
        assert "empty: nothing is done, so there is nothing to draw" in said
    (place / "bench.toml").write_text(GRID.format(data=phantoms) + "[protocols]\nlinear.epochs = 3\nknn.k = 3\n")
    assert "nothing is done" in bench("plot", "radar", "--out", "a.png", code=2)
    (place / "bench.toml").write_text(
        GRID.format(data=phantoms).replace("simclr = {}\n", "") + "[protocols.knn]\nk=3\n"
    )
    assert bench("plot", "ranks", "--protocol", "linear", "--out", "a.svg") == "a.svg\n"


def test_results_that_do_not_go_together_are_said(place, bench, finish):
    store = Store(place / "runs")
    first = next(p for p in plan(load(place / "bench.toml"), store) if p.job.id == "simclr/fgadr/linear/0")
    store.drop(first.job.key)
    finish(first.job, store, values=[1.0] * 3)
    said = bench("plot", "column", *ONE, "--out", "a.png", code=2)
    assert "scored on other cases" in said


@pytest.mark.parametrize("name", ["segmentation", "ssl_methods", "lvm_med"])
def test_the_published_records_can_be_drawn(bench, tmp_path, name):
    store = str(BOARDS / name / "runs")
    for kind in ("ranks", "critical", "radar", "cost"):
        bench("plot", kind, store, "--out", str(tmp_path / f"{kind}.svg"))
        said = " ".join(texts(tmp_path / f"{kind}.svg"))
        assert "random_init" in said
        assert "nan" not in said
