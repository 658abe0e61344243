"""What methods have cost by their records, and which of them are worth it."""

import math
import random
from pathlib import Path

import numpy as np
import pytest

from bench.keys import digest
from bench.leaderboard.building import build
from bench.leaderboard.expense import expenses, front
from bench.leaderboard.result import Result
from bench.store import Record

GPU, CPU = "NVIDIA H100", "x86_64 CPU, 2 cores"
RECIPE = {"batch_size": 16, "epochs": 10, "init": "random"}


def pretraining(seed=0, seconds=3600.0, *, init="random", method="simclr", device=CPU, **facts):
    """A record; `init` may be that of the pretraining which it starts from."""
    start = init.parts if isinstance(init, Record) else init
    return record("pretrain", f"{method}/pretrain/{seed}", {"recipe": RECIPE | {"init": start}}, seconds, device, facts)


def cell(encoder, seed=0, seconds=3600.0, *, column="brain/linear", method="simclr", device=CPU, **facts):
    """A record of a cell, which evaluates what a pretraining left, or some weights."""
    of = encoder.parts if isinstance(encoder, Record) else {"weights": encoder}
    return record("evaluate", f"{method}/{column}/{seed}", {"encoder": of}, seconds, device, facts)


def record(kind, name, parts, seconds, device, facts):
    parts = {**parts, "name": name}
    own = {"kind": kind, "seconds": seconds, "environment": {"device": device}} | facts
    return Record(name, digest(parts), parts, own, Path())


def table(*records, **labels):
    """The board of these cells, with those of `labels` under other names."""
    results = []
    for one in records:
        if one.facts["kind"] == "evaluate":
            method, task, protocol, seed = one.id.split("/")
            place = (labels.get(method, method), task, protocol, int(seed), "done", "dice", False, 9, 9)
            results.append(Result(*place, ("a",), np.array([1.0]), record=one.key))
    (found,) = build(results)
    return found


def only(*records, of=None):
    (expense,) = expenses(records, of or table(*records)).values()
    return expense


def test_a_method_costs_what_one_of_its_seeds_does():
    first, second = (
        pretraining(seed, 3600.0 * hours, images_per_second=10.0 * hours) for seed, hours in ((0, 1), (1, 3))
    )
    expense = only(
        *(first, second, cell(first, 0, 360.0), cell(second, 1, 360.0)),
        cell(first, 0, 36.0, column="brain/knn"),
    )
    assert (expense.method, expense.pretraining_hours, expense.images_per_second) == ("simclr", 2.0, 20.0)
    assert expense.evaluation_hours == pytest.approx(0.1 + 0.01)
    assert (expense.cells, expense.device, expense.mixed) == (2, CPU, False)


def test_what_no_record_tells_is_none_and_not_nothing():
    expense = only(cell("sam.pth"))
    assert (expense.pretraining_hours, expense.images_per_second, expense.parameters) == (None, None, None)
    assert (expense.evaluation_hours, expense.pretrained_on, expense.evaluated_on) == (1.0, (), (CPU,))
    gone = cell(pretraining())
    assert only(gone).pretraining_hours is None
    assert only(pretraining(), of=table(gone)).evaluation_hours is None


def test_a_cell_of_which_the_time_is_not_known_makes_the_sum_unknown():
    """A part of the cost must not be taken for all of it."""
    first = cell("x")
    assert only(first, cell("x", column="brain/knn", seconds=None)).evaluation_hours is None
    assert only(first, cell("x", 1, None)).evaluation_hours == 1.0  # as the other seed


def test_only_what_stands_behind_the_table_counts():
    """Not an older record of the same name, another task or another seed, whatever the labels were."""
    old, new = pretraining(method="before", seconds=9.0), pretraining(seconds=7200.0, method="before")
    shown = cell(new, 0, 3600.0)
    others = [old, new, cell(old, 1, 9.0), cell(new, column="heart/linear", seconds=9.0)]
    (expense,) = expenses([*others, shown], table(shown, simclr="a new label")).values()
    assert (expense.method, expense.cells) == ("a new label", 1)
    assert (expense.pretraining_hours, expense.evaluation_hours) == (2.0, 1.0)


@pytest.mark.parametrize("bad", [None, "1e3", True, -1.0, 0, math.nan, math.inf, [3], {}])
def test_what_is_no_number_is_not_known(bad):
    facts = {"images_per_second": bad, "parameters": bad, "environment": bad, "images": bad}
    first = pretraining(seconds=bad, **facts)
    expense = only(first, cell(first, seconds=bad, **facts))
    assert (expense.pretraining_hours, expense.images_per_second, expense.parameters) == (None, None, None)
    assert (expense.evaluation_hours, expense.device) == (None, "")


def test_a_pretraining_that_was_stopped_costs_all_of_its_parts():
    """Its seconds are of the last part; 64 images, 10 epochs at 0.1 a second are 6400 seconds."""
    first = pretraining(seconds=100.0, images=64, images_per_second=0.1)
    assert only(first, cell(first)).pretraining_hours == pytest.approx(6400 / 3600)
    bare = record("pretrain", "simclr/pretrain/0", {}, 3600.0, CPU, {"images": 64, "images_per_second": 0.1})
    assert only(bare, cell(bare)).pretraining_hours == 1.0


def test_a_pretraining_costs_those_that_it_starts_from_too():
    first = pretraining(method="lvm_med", device=GPU)
    second = pretraining(method="then", seconds=1800.0, init=first)
    third = pretraining(method="last", seconds=1800.0, init=second)
    cells = [cell(of, method=name) for name, of in (("lvm_med", first), ("then", second), ("last", third))]
    found = expenses([third, second, first, *cells], table(*cells))
    assert [found[name].pretraining_hours for name in ("lvm_med", "then", "last")] == [1.0, 1.5, 2.0]
    assert (found["then"].pretrained_on, found["then"].mixed) == ((GPU, CPU), True)
    assert only(second, cells[1]).pretraining_hours is None
    assert only(third, second, cells[2]).pretraining_hours is None


def test_hours_of_several_devices_are_told_apart():
    first, second = pretraining(device=GPU), pretraining(1)
    expense = only(first, second, cell(first), cell(second, 1))
    assert (expense.pretrained_on, expense.evaluated_on) == ((GPU, CPU), (CPU,))
    assert (expense.mixed, expense.device) == (True, f"{GPU} and {CPU}")


def test_parameters_are_of_the_encoder_that_is_evaluated():
    first = pretraining(parameters=12)
    assert only(first, cell(first, parameters=11)).parameters == 11
    assert only(first, cell(first)).parameters == 12
    assert only(cell("x", parameters=11), cell("x", 1, parameters=10)).parameters is None  # which of them is it


# ------------------------------------------------------------------------------------------- the front


def slow_front(costs, scores):
    """By its definition: no other is as good in both and better in one."""
    known = [
        i
        for i, pair in enumerate(zip(costs, scores, strict=True))
        if all(v is not None and math.isfinite(v) for v in pair)
    ]
    return {
        i
        for i in known
        if not any(
            costs[j] <= costs[i] and scores[j] >= scores[i] and (costs[j] < costs[i] or scores[j] > scores[i])
            for j in known
        )
    }


def test_the_front_is_as_defined():
    draws = random.Random(0)
    for _ in range(300):
        n = draws.randrange(12)
        costs, scores = ([draws.choice([None, math.nan, 1, 2.0, 3, 4.5]) for _ in range(n)] for _ in range(2))
        found = front(costs, scores)
        assert set(found) == slow_front(costs, scores)
        assert [costs[i] for i in found] == sorted(costs[i] for i in found)
        minus = [None if c is None else -c for c in costs]
        assert front(minus, scores, cheaper_is_less=False) == found
        assert front(costs, [None if s is None else -s for s in scores], higher_is_better=False) == found


def test_equals_are_on_the_front_together():
    assert front([1, 1, 1], [5, 5, 4]) == (0, 1)
    assert front([2, 1, 1], [5, 5, 5]) == (1, 2)
    assert front([], []) == ()
    assert front([None, math.nan, math.inf], [1, 1, 1]) == ()
    with pytest.raises(ValueError, match=r"shorter|longer"):
        front([1], [])
