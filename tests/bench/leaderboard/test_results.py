"""Records to results: a site is a column of its own, beside the mean of the sites and the drop away from home."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.keys import digest
from bench.leaderboard.building import build
from bench.leaderboard.formats import markdown
from bench.leaderboard.result import Result
from bench.leaderboard.results import by_site, of_record, stored
from bench.leaderboard.words import caption
from bench.store import Record, Store, write_scores

CASES = ("home/1", "home/2", "far/1", "far/2", "far/3", "abroad/1")
VALUES = np.array([0.9, 0.7, 0.6, 0.5, 0.4, 0.2])


def result(**more):
    facts = {
        "method": "m", "task": "prostate", "protocol": "finetune", "seed": 0, "state": "done", "metric": "dice",
        "phantom": False, "found": 6, "official": 6, "cases": CASES, "values": VALUES,
    }  # fmt: skip
    return Result(**{**facts, **more})


def record(trained_on):
    of = {case: case.split("/")[0] for case in CASES}
    return kept({"sites": {"trained_on": trained_on, "of": of}})


def kept(facts):
    return Record(id="m/prostate/finetune/0", key="", parts={}, facts=facts, folder=Path())


def test_without_sites_a_result_is_itself():
    one = result()
    assert by_site(one, kept({})) == [one]
    assert by_site(one, None) == [one]


def test_each_site_is_a_column_and_mean_and_drop_weigh_sites_alike():
    found = {r.task.partition("@")[2]: r for r in by_site(result(), record(["home"]))}
    assert list(found) == ["home", "far", "abroad", "mean", "drop"]
    assert found["far"].cases == ("far/1", "far/2", "far/3")
    assert found["far"].values.tolist() == [0.6, 0.5, 0.4]
    home, far, abroad = 0.8, 0.5, 0.2
    assert found["mean"].values.mean() == pytest.approx((home + far + abroad) / 3)
    assert found["drop"].values.mean() == pytest.approx(home - (far + abroad) / 2)
    assert [r.higher_is_better for r in found.values()] == [True, True, True, True, False]


def test_there_is_no_drop_where_every_site_is_trained_on():
    names = [r.task for r in by_site(result(), record(["home", "far", "abroad"]))]
    assert names[-1] == "prostate@mean"


def test_a_board_has_a_column_for_each():
    (table,) = build(by_site(result(), record(["home"])))
    assert [column.task for column in table.columns] == [
        "prostate@home", "prostate@far", "prostate@abroad", "prostate@mean", "prostate@drop",
    ]  # fmt: skip
    assert table.rows[0].mean == pytest.approx((0.8 + 0.5 + 0.2) / 3)  # of the sites, each once
    assert [column.part for column in table.columns] == [True, True, True, False, True]


def test_sites_are_no_spread_of_their_mean_and_of_the_drop():
    """Each of three sites has one value in all its cases: they are certain, however far they lie apart."""
    values = np.array([0.8, 0.8, 0.5, 0.5, 0.5, 0.2])
    (table,) = build(by_site(result(values=values), record(["home"])))
    mean, drop = table.rows[0].cells[3:]
    assert (mean.low, mean.high) == pytest.approx((0.5, 0.5))
    assert (drop.low, drop.high) == pytest.approx((0.45, 0.45))


def test_intervals_of_mean_and_drop_are_as_wide_as_their_sites_say():
    """Sites drawn apart: the variance of their mean is the sum of theirs over the squared number of sites."""
    draws = np.random.default_rng(0)
    of = ["home"] * 40 + ["far"] * 160
    cases = tuple(f"{site}/{n}" for n, site in enumerate(of))
    values = np.concatenate([draws.normal(0.9, 0.05, 40), draws.normal(0.3, 0.1, 160)])
    facts = kept({"sites": {"trained_on": ["home"], "of": dict(zip(cases, of, strict=True))}})
    (table,) = build(by_site(result(cases=cases, values=values), facts))
    errors = [values[:40].std() / 40**0.5, values[40:].std() / 160**0.5]
    wide = 2 * 1.96 * float(np.hypot(*errors))
    mean, drop = table.rows[0].cells[2:]
    assert mean.high - mean.low == pytest.approx(wide / 2, rel=0.05)
    assert drop.high - drop.low == pytest.approx(wide, rel=0.05)


def test_of_distances_the_drop_is_how_much_they_grow():
    far = result(metric="hd95", higher_is_better=False, values=VALUES * 10)
    drop = by_site(far, record(["home"]))[-1]
    assert drop.values.mean() == pytest.approx(10 * ((0.5 + 0.2) / 2 - 0.8))


# ------------------------------------------------------------------------------------------------ of a store


SITES = {"trained_on": ["home"], "of": {case: case.split("/")[0] for case in CASES}}


def commit(store, task, scores, **more):
    facts = {
        "id": f"m/{task}/finetune/0", "key": digest({"task": task}), "parts": {"task": task}, "kind": "evaluate",
        "method": "m", "task": task, "protocol": "finetune", "seed": 0, "primary": "dice", "phantom": False,
        "started": "2026-01-01", "data": [{"found": 6, "official": 6}], **more,
    }  # fmt: skip
    store.commit(facts, lambda draft: write_scores(draft / "scores.csv", CASES, scores))


@pytest.fixture
def store(tmp_path):
    """Two records: `sites` has sites, distances and one structure; `plain` has no distances."""
    made = Store(tmp_path)
    distances = {"hd95": VALUES * 10, "hd95_gland": VALUES}
    commit(made, "sites", {"dice": VALUES, **distances, "release_dice": VALUES}, sites=SITES)
    commit(made, "plain", {"dice": VALUES, "release_iou": VALUES})
    return made


def test_patients_are_those_that_the_record_names(store):
    """A case that it does not name is its own; a site has the patients of its cases."""
    of = {case: f"patient {number // 2}" for number, case in enumerate(CASES[:4])}
    commit(store, "patients", {"dice": VALUES}, patients=of)
    found = next(one for one in stored(store) if one.task == "patients")
    assert found.patients == ("patient 0", "patient 0", "patient 1", "patient 1", *CASES[4:])
    assert not any(one.patients for one in stored(store) if one.task != "patients")
    store.drop(digest({"task": "patients"}))
    commit(store, "patients", {"dice": VALUES}, patients=of, sites=SITES)
    told = {one.task: one for one in stored(store)}
    for site in ("home", "far", "abroad"):
        one = told[f"patients@{site}"]
        assert one.patients == tuple(of.get(case, case) for case in one.cases)
    assert told["patients@mean"].patients == found.patients


def test_another_metric_is_shown_where_it_was_computed(store):
    assert {cell.metric for cell in stored(store)} == {"dice"}
    shown = stored(store, "hd95")
    assert {cell.task.partition("@")[0] for cell in shown} == {"sites"}
    assert not any(cell.higher_is_better for cell in shown)
    assert {cell.task for cell in stored(store, "release_iou")} == {"plain"}
    with pytest.raises(BenchError, match=r"unknown metric `relaese_dice`.*did you mean `release_dice`"):
        stored(store, "relaese_dice")


def test_a_primary_metric_of_which_less_is_better_is_known_as_one(store):
    (record,) = (record for record in store.records() if record.facts["task"] == "sites")
    (told,) = {cell.higher_is_better for cell in of_record(replace(record, facts={**record.facts, "primary": "hd95"}))}
    assert told is False


def test_the_board_says_what_each_metric_is(store):
    (table,) = build(stored(store))
    assert markdown(table).startswith("### Dice (%) on real data")
    assert "lower is better for sites@drop" in " ".join(caption(table, best="bold", leads="underlined"))
    assert "cases found of the official data set: sites 6 of 6; plain 6 of 6" in caption(
        table, best="bold", leads="underlined"
    )
    (table,) = build(stored(store, "hd95_gland"))
    assert markdown(table).startswith("### HD95, gland (mm) on real data")
    assert "lower is better" in caption(table, best="bold", leads="underlined")[0]
    (table,) = build(stored(store, "release_dice"))
    assert markdown(table).startswith("### Dice as LVM-Med's code computes it (%) on real data")


def test_a_task_with_fewer_seeds_is_told():
    found = [result(task="small", seed=seed) for seed in (0, 1)] + [result(task="large"), result(task="huge")]
    (table,) = build(found)
    assert "seeds of large, huge: 0" in caption(table, best="bold", leads="underlined")
    (table,) = build(found[:2])
    assert not any(line.startswith("seeds of") for line in caption(table, best="bold", leads="underlined"))
