"""Records to results: a site is a column of its own, beside the mean of the sites and the drop away from home."""

from pathlib import Path

import numpy as np
import pytest

from bench.leaderboard.results import by_site
from bench.leaderboard.table import Result, build
from bench.store import Record

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
    assert table.rows[0].mean == pytest.approx((0.8 + 0.5 + 0.2) / 3)  # of the sites, and not of what is made of them
