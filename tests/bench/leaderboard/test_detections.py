"""From records of detections to boards: what is no mean over cases is computed anew, and so is its interval."""

import json as json_module

import numpy as np
import pytest

from bench.cli.live import Reporter
from bench.config import load
from bench.detections import Detections, collect, write
from bench.errors import BenchError
from bench.executors import Event
from bench.keys import digest
from bench.leaderboard.building import build
from bench.leaderboard.formats import csv, json, markdown
from bench.leaderboard.intervals import Drawn
from bench.leaderboard.result import RESAMPLES, Result
from bench.leaderboard.results import results, stored
from bench.leaderboard.words import caption, title
from bench.plan import plan
from bench.store import Store, write_scores

CLASSES = ("lung_nodule", "mass", "fracture, rib", "effusion")
GRID = """
[bench]
seeds = [0, 1]
[data]
phantom_cases = 20
[methods]
random_init = {}
imagenet_supervised = {}
[tasks]
kvasir_detection = {}
brain_tumor = { protocols = ["knn"] }
"""


@pytest.fixture
def found(scenes):
    """`found(seed)`: detections on the same images with the same objects, whatever the seed."""
    _, truth = scenes(0)
    cases = [f"image {n}" for n in range(12)]

    def draw(seed):
        generator, (marks, _) = np.random.default_rng(seed), scenes(0)
        return collect(cases, CLASSES, [m._replace(scores=generator.permutation(m.scores)) for m in marks], truth)

    return draw


def commit(store, detections, *, method="m", task="chest", seed=0, **facts):
    """A record as `bench run` leaves it; of a job, where its id, key and parts are given."""
    parts = {"method": method, "task": task, "seed": seed}
    summary = {"f1": float(detections.agreement().mean()), **detections.summary()}
    said = {
        "id": f"{method}/{task}/detect/{seed}", "key": digest(parts), "parts": parts, "kind": "evaluate",
        "method": method, "task": task, "protocol": "detect", "seed": seed, "primary": "map50", "phantom": False,
        "started": "2026-01-01", "data": [{"found": 12, "official": 12}], "summary": summary,
        "classes": list(detections.classes), **facts,
    }  # fmt: skip

    def files(draft):
        write_scores(draft / "scores.csv", detections.cases, {"f1": detections.agreement()})
        write(draft / "detections.csv", detections)

    return store.commit(said, files)


def one(table):
    (row,) = table.rows
    (cell,) = row.cells
    return cell


# ---------------------------------------------------------------------------------------------- a cell


@pytest.mark.parametrize("metric", ["map50", "map", "map75", "froc", "ap50_lung_nodule", "ap_fracture, rib"])
def test_a_cell_is_the_mean_over_seeds_with_the_interval_of_what_they_resample_to(tmp_path, found, metric, recipe):
    seeds = [found(1), found(2)]
    for seed, of in enumerate(seeds):
        commit(Store(tmp_path), of, seed=seed)
    (table,) = build(stored(Store(tmp_path), metric))
    cell, values = one(table), [of.value(metric) for of in seeds]
    assert (cell.state, cell.done, cell.cases) == ("done", (0, 1), 12)
    assert (cell.mean, cell.std) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    drawn = np.array([of.resampled(metric, resamples=RESAMPLES) for of in seeds])
    mean = drawn.mean(axis=0)
    squares = (np.var(values, ddof=1) / 2, 12 / 11 * mean.var())
    low, high = recipe(np.mean(values), mean, squares, (1, 11), biased=metric != "froc")
    assert (cell.low, cell.high) == pytest.approx((max(0, low), min(1, high)), abs=0.03 * (high - low))
    assert cell.low < cell.mean < cell.high
    assert high - low > 1.05 * np.diff(np.quantile(mean, [0.025, 0.975]))
    assert table.interval.endswith("bias-corrected for average precision")
    narrow = one(build(stored(Store(tmp_path), metric), level=0.5)[0])
    assert cell.low < narrow.low < narrow.high < cell.high


def test_seeds_are_resampled_with_the_same_draws(tmp_path):
    """What one seed finds the other does not: each object is found by one of two, whichever images are drawn."""
    for seed, rows in enumerate((range(3), range(3, 10))):
        of = np.array(rows)
        hits, nothing = np.ones((len(of), 10), bool), np.zeros(len(of), np.int64)
        kept = Detections(
            tuple("abcdefghij"), ("spot",), np.ones((10, 1), np.int64), of, nothing, np.ones(len(of)), hits
        )
        commit(Store(tmp_path), kept, seed=seed)
    cell = one(build(stored(Store(tmp_path), "froc"))[0])
    assert cell.mean == pytest.approx(0.5)
    assert cell.std == pytest.approx(0.4 / 2**0.5)
    drawn = Drawn.of(stored(Store(tmp_path), "froc"))
    assert drawn.drawn.mean(axis=0) == pytest.approx(np.full(RESAMPLES, 0.5))
    assert float(drawn.spread(None).cases) == pytest.approx(0)


def test_one_case_has_no_interval(tmp_path):
    nothing = np.zeros(1, np.int64)
    kept = Detections(
        ("a",), ("spot",), np.ones((1, 1), np.int64), nothing, nothing, np.ones(1), np.ones((1, 10), bool)
    )
    commit(Store(tmp_path), kept)
    cell = one(build(stored(Store(tmp_path)))[0])
    assert (cell.mean, cell.low, cell.high) == (pytest.approx(1), None, None)


def test_seeds_on_other_images_are_refused(tmp_path, found):
    commit(Store(tmp_path), found(1))
    other = found(1)
    object.__setattr__(other, "cases", (*other.cases[:-1], "another"))
    commit(Store(tmp_path), other, seed=1)
    with pytest.raises(ValueError, match="m/chest/detect/1: scored on other cases than m/chest/detect/0: 2 are in"):
        build(stored(Store(tmp_path)))


# ---------------------------------------------------------------------------------------------- a store


def test_what_is_a_mean_over_cases_stays_one(tmp_path, found):
    record = commit(Store(tmp_path), found(1))
    (result,) = stored(Store(tmp_path), "f1")
    assert result.detections is None
    assert dict(zip(result.cases, result.values, strict=True)) == record.scores()["f1"]
    assert one(build([result])[0]).mean == pytest.approx(found(1).agreement().mean())


def test_a_metric_that_nobody_has_is_named(tmp_path, found):
    commit(Store(tmp_path), found(1))
    with pytest.raises(BenchError, match=r"unknown metric `frok`.*did you mean `froc`"):
        stored(Store(tmp_path), "frok")
    with pytest.raises(BenchError, match=r"unknown metric `ap50_effusion`"):  # a class that no image has
        stored(Store(tmp_path), "ap50_effusion")


def test_a_damaged_file_stops_the_board_with_what_mends_it(tmp_path, found):
    (commit(Store(tmp_path), found(1)).folder / "detections.csv").write_text("")
    for metric in ("", "f1"):
        with pytest.raises(BenchError, match=r"detections\.csv: changed.*--only 'm/chest/detect/0'"):
            stored(Store(tmp_path), metric)


def test_sites_are_apart_in_what_is_a_mean_over_cases_alone(tmp_path, found):
    kept = found(1)
    of = {case: ("home", "far")[n % 2] for n, case in enumerate(kept.cases)}
    commit(Store(tmp_path), kept, sites={"trained_on": ["home"], "of": of})
    (whole,) = stored(Store(tmp_path))
    assert (whole.task, whole.mean) == ("chest", kept.value("map50"))
    assert one(build([whole])[0]).low is not None
    assert [cell.task for cell in stored(Store(tmp_path), "f1")] == [
        f"chest@{site}" for site in ("home", "far", "mean", "drop")
    ]


TITLES = {
    "map50": "mAP50 (%)",
    "map": "mAP (%)",
    "ap50_lung_nodule": "AP50, lung_nodule (%)",
    "froc": "FROC sensitivity (%)",
    "f1": "F1 of an image (%)",
}


@pytest.mark.parametrize("metric", TITLES)
def test_a_board_says_what_it_shows_in_percent(tmp_path, found, metric):
    commit(Store(tmp_path), found(1))
    (table,) = build(stored(Store(tmp_path), metric))
    assert title(table) == f"{TITLES[metric]} on real data"
    cell = one(table)
    assert f"{100 * cell.mean:.2f}** [{100 * cell.low:.1f}, {100 * cell.high:.1f}]" in markdown(table)
    assert "higher is better" in caption(table, best="bold", leads="underlined")[0]
    assert json_module.loads(json_module.dumps(json([table]), allow_nan=False))[0]["rows"][0]["mean"] == cell.mean
    assert str(cell.low) in csv(table)


def test_titles_of_other_metrics_begin_as_before():
    for metric, expected in {"accuracy": "Accuracy (%)", "kappa": "Kappa", "log_loss": "Log_loss"}.items():
        done = Result(
            method="m", task="t", protocol="p", seed=0, state="done", metric=metric, phantom=False, found=0, official=0,
            cases=("a",), values=np.ones(1),
        )  # fmt: skip
        assert title(build([done])[0]) == f"{expected} on real data"


# ---------------------------------------------------------------------------------------------- a grid


@pytest.fixture
def planned(write_grid, tmp_path, found, finish):
    """A grid of which one cell of a detection is done, and one of a classification; its plan and its store."""
    grid, store = load(write_grid(GRID)), Store(tmp_path / "runs")
    jobs = {p.job.id: p.job for p in plan(grid, store)}
    job = jobs["random_init/kvasir_detection/detect/1"]
    facts = {"id": job.id, "key": job.key, "parts": job.parts, "method": "random_init", "task": job.task.name}
    commit(store, found(1), seed=1, **facts)
    finish(jobs["imagenet_supervised/brain_tumor/knn/0"], store)
    return lambda: plan(grid, store), store, job


def test_of_a_grid_what_is_not_done_is_pending(planned, found):
    cells = results(planned[0]())
    assert {cell.name for cell in cells if cell.state == "done"} == {
        "random_init/kvasir_detection/detect/1", "imagenet_supervised/brain_tumor/knn/0",
    }  # fmt: skip
    (table,) = build(cells)  # of phantoms
    assert title(table) == "Accuracy (%), mAP50 (%) on PHANTOM data"
    row = next(row for row in table.rows if row.method == "random_init")
    cell = row.cells[[column.task for column in table.columns].index("kvasir_detection")]
    assert (cell.state, cell.done, cell.pending) == ("partial", (1,), (0,))
    assert cell.mean == found(1).value("map50")
    assert {c.state for r in table.rows for c in r.cells} == {"partial", "pending"}


@pytest.mark.parametrize("metric", ["map75", "ap50_lung_nodule", "f1"])
def test_of_a_grid_another_metric_is_shown_where_it_was_computed(planned, metric):
    cells = results(planned[0](), metric)
    assert {(cell.task, cell.metric) for cell in cells} == {("kvasir_detection", metric)}
    assert sorted(cell.state for cell in cells) == ["done", "pending", "pending", "pending"]
    assert len(build(cells)[0].rows) == 2


def test_the_line_of_a_finished_job_has_the_primary_metric(planned, tmp_path):
    _, store, job = planned
    said = tmp_path / "said"
    with said.open("w") as file, Reporter([job], store, live=False, file=file) as reporter:
        reporter.hear(Event(job, "started"))
        reporter.hear(Event(job, "done"))
    names = [part.split()[0] for part in said.read_text().partition(job.id)[2].partition("(")[0].split(",")]
    assert names == ["map50"]
