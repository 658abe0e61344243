"""Where rows and columns stand, which cells lead, and what is said of each; and what results nobody expects give."""

import math

import numpy as np
import pytest

from bench.leaderboard.building import build
from bench.leaderboard.catalogue import FAMILIES, GROUPS
from bench.leaderboard.formats import csv, json, markdown
from bench.leaderboard.result import Result
from bench.leaderboard.table import MARKS, Table


def result(method="a", place="t/p", seed=0, values=None, **more) -> Result:
    task, protocol = place.split("/")
    facts = {
        "method": method, "task": task, "protocol": protocol, "seed": seed, "metric": "accuracy", "phantom": False,
        "state": "pending" if values is None else "done", "found": 0, "official": 0,
        "cases": tuple(f"case{i}" for i in range(len([] if values is None else values))),
        "values": np.asarray([] if values is None else values, np.float64),
    }  # fmt: skip
    return Result(**{**facts, **more})


def share(right, cases=40):
    """So many of the cases are right, the same first."""
    return (np.arange(cases) < right).astype(float)


def one(results) -> Table:
    (table,) = build(results)
    return table


def cells(table, column=0):
    return {row.method: row.cells[column] for row in table.rows}


def which(table, flag, column=0):
    return [method for method, cell in cells(table, column).items() if getattr(cell, flag)]


# ---------------------------------------------------------------------------------------------- places


def test_rows_of_a_group_and_columns_of_a_family_are_together_in_the_known_order():
    methods = {"sam": GROUPS[2], "mine": "my own", "simclr": GROUPS[1], "random": GROUPS[0], "medsam": GROUPS[2],
               "moco": GROUPS[1], "yours": "your own"}  # fmt: skip
    tasks = {"box/detect": FAMILIES[4], "other/p": "new", "heart/p": FAMILIES[2], "tumor/p": FAMILIES[0],
             "box/again": FAMILIES[4]}  # fmt: skip
    table = one([result(m, c, values=[1.0, 0.0], group=g, family=f) for c, f in tasks.items()
                 for m, g in methods.items()])  # fmt: skip
    assert [row.method for row in table.rows] == ["random", "simclr", "moco", "sam", "medsam", "mine", "yours"]
    assert [column.name for column in table.columns] == ["tumor/p", "heart/p", "box/detect", "box/again", "other/p"]
    assert table.groups == (GROUPS[0], GROUPS[1], GROUPS[2], "my own", "your own")
    assert table.families == (FAMILIES[0], FAMILIES[2], FAMILIES[4], "new")
    assert [row.group for row in table.rows] == [methods[row.method] for row in table.rows]
    assert all(row.cells[0].id == f"{row.method}/tumor/p" for row in table.rows)


def test_a_result_may_stand_in_another_row_and_column():
    """As layouts have it: two methods with weights of one kind in a row, two protocols in a column."""
    results = [
        result("vit", "t/prompt", values=[0.2, 0.4], row="LVM-Med", column="t"),
        result("r50", "t/finetune", values=[0.6, 0.8], row="ResNet", column="t"),
        result("r50", "u/finetune", values=[0.5, 0.7], row="LVM-Med"),
    ]
    table = one(results)
    assert [row.method for row in table.rows] == ["LVM-Med", "ResNet"]
    assert [column.name for column in table.columns] == ["t", "u/finetune"]
    assert [cell.id for cell in table.rows[0].cells] == ["vit/t/prompt", "r50/u/finetune"]
    assert [cell.mean for cell in table.rows[0].cells] == pytest.approx([0.3, 0.6])
    assert table.rows[1].cells[1].state == "absent"


def test_two_results_for_one_seed_of_a_row_are_refused():
    with pytest.raises(ValueError, match="two results for one seed"):
        build([result("a", values=[1.0], row="x"), result("b", values=[1.0], row="x")])


# ---------------------------------------------------------------------------------------------- who leads


def test_alike_is_what_no_test_tells_from_the_best():
    right = {"far": 4, "near": 31, "best": 33, "level": 33}
    table = one([result(m, values=share(n)) for m, n in right.items()])
    assert which(table, "best") == ["best", "level"]
    assert which(table, "alike") == ["near", "best", "level"]
    of = cells(table)
    assert of["far"].p == pytest.approx(6 * 1e-4)  # none of the first 9999 flips is as far out, times six
    assert of["near"].p == pytest.approx(1.0)  # two of two: 0.5, times four
    assert of["best"].p is of["level"].p is None
    assert table.tests == ("paired sign flips over test cases", "adjusted by Holm for all pairs of a column")


def test_p_is_corrected_for_all_pairs():
    """Six of forty cases apart, all one way: 2 / 2 ** 6 = 0.031, of three pairs the least of three."""
    two = one([result("best", values=share(36)), result("less", values=share(30))])
    assert cells(two)["less"].p == pytest.approx(2 / 2**6)
    assert which(two, "alike") == ["best"]
    three = one([result("best", values=share(36)), result("less", values=share(30)), result("even", values=share(31))])
    assert cells(three)["less"].p == pytest.approx(3 * 2 / 2**6, abs=0.006)  # three standard errors of random flips
    assert which(three, "alike") == ["best", "less", "even"]


def test_seeds_are_said_to_be_tested():
    table = one([result(m, seed=s, values=share(n + s)) for m, n in (("a", 30), ("b", 4)) for s in (0, 1)])
    assert any("Student's t over seeds and cases" in said for said in table.tests)
    assert "of several seeds" in table.interval


def test_each_group_has_its_leader_and_one_alone_leads_nothing():
    right = {"a": ("x", 30), "b": ("x", 20), "c": ("y", 36), "d": ("z", 8), "e": ("z", 8), "f": ("z", None)}
    table = one([result(m, values=None if n is None else share(n), group=g) for m, (g, n) in right.items()])
    assert which(table, "leads") == ["a", "d", "e"]
    lower = one([result(m, values=share(n), group=g, higher_is_better=False)
                 for m, (g, n) in right.items() if n is not None])  # fmt: skip
    assert which(lower, "leads") == ["b", "d", "e"]


def test_a_cell_that_lacks_a_seed_is_told_apart_by_nothing():
    results = [result(m, seed=s, values=share(n)) for m, n in (("a", 30), ("b", 29)) for s in (0, 1)]
    table = one([*results, result("c", seed=0, values=share(40)), result("c", seed=1)])
    assert (which(table, "best"), which(table, "alike"), which(table, "leads")) == (["a"], ["a", "b"], ["a"])
    assert cells(table)["c"].p is None
    assert cells(table)["a"].p is None
    assert cells(one(results))["b"].p == cells(table)["b"].p  # it does not count among the pairs


# ---------------------------------------------------------------------------------------------- what is said


def test_marks_say_what_a_reader_must_know():
    def marks(**more):
        return one([result(values=[1.0, 0.0], **more)]).rows[0].cells[0].marks

    assert marks() == ()
    assert marks(found=7, official=9) == ("partial data",)
    assert marks(found=11, official=9) == ("partial data",)
    assert marks(found=9, official=9) == ()
    assert marks(seen=3) == ("seen in training",)
    assert marks(may_have_seen=True) == ("may have seen",)
    assert marks(metric="release_dice") == ("release",)
    assert marks(collapsed=True) == ("collapsed",)
    every = marks(found=7, official=9, seen=1, may_have_seen=True, metric="release_dice", collapsed=True)
    assert every == tuple(MARKS)


def test_marks_are_of_the_cell_and_a_pending_one_has_none():
    table = one([result("a", values=[1.0, 0.0], may_have_seen=True), result("b", values=[1.0, 0.0]),
                 result("c", may_have_seen=True, collapsed=True)])  # fmt: skip
    assert {m: cell.marks for m, cell in cells(table).items()} == {"a": ("may have seen",), "b": (), "c": ()}
    assert table.rows[2].collapsed == (0,)
    one_of_two = one([result(seed=0, values=[1.0]), result(seed=1, values=[1.0], collapsed=True)])
    assert one_of_two.rows[0].cells[0].marks == ("collapsed",)


def test_seeds_means_and_records_are_in_one_order():
    results = [result(seed=s, values=[v, v], record=f"key{s}") for s, v in ((4, 0.1), (1, 0.3), (3, 0.2))]
    cell = one([*results[:2], result(seed=2, state="failed"), results[2]]).rows[0].cells[0]
    assert cell.done == (4, 1, 3)
    assert cell.seed_means == pytest.approx((0.1, 0.3, 0.2))
    assert cell.records == ("key4", "key1", "key3")
    assert cell.mean == pytest.approx(np.mean(cell.seed_means))


def test_means_are_over_the_common_sub_grid_without_columns_of_parts():
    results = [result(m, f"t{n}/p", values=[0.1 * n, 0.1 * n]) for m in ("a", "b") for n in range(3)]
    results += [result(m, "whole/p", values=[0.7, 0.7]) for m in ("a", "b", "late")]
    results += [result(m, "site/p", values=[9.0, 9.0], part=True, metric="x") for m in ("a", "b")]
    table = one(results)
    assert [table.columns[n].name for n in table.averaged_over] == ["t0/p", "t1/p", "t2/p", "whole/p"]
    assert [row.mean for row in table.rows] == [pytest.approx(0.25), pytest.approx(0.25), None]
    assert [row.coverage for row in table.rows] == [(5, 5), (5, 5), (1, 5)]
    assert "late is incomplete (1 of 5 done) and has no mean" in markdown(table)


# ---------------------------------------------------------------------------------------------- results nobody expects


def test_no_record():
    table = one([result(m, seed=s) for m in ("a", "b") for s in (0, 1)])
    assert {(c.state, c.mean, c.low, c.p, c.alike, c.best) for c in cells(table).values()} == {
        ("pending", None, None, None, False, False)
    }
    assert (table.tests, table.averaged_over, [row.mean for row in table.rows]) == ((), (), [None, None])
    assert "no mean: no column is done for any method" in markdown(table)


def test_one_seed():
    table = one([result("a", values=share(30)), result("b", values=share(28))])
    cell = cells(table)["a"]
    assert cell.std is None
    assert cell.low < cell.mean < cell.high
    assert "seeds" not in table.interval + " ".join(table.tests)


def test_one_case():
    """It has a mean and no interval; no test tells the two apart, so that neither is shown to be worse."""
    table = one([result("a", values=[1.0]), result("b", values=[0.0])])
    assert {m: (c.mean, c.low, c.high, c.p) for m, c in cells(table).items()} == {
        "a": (1.0, None, None, None), "b": (0.0, None, None, None),
    }  # fmt: skip
    assert (which(table, "best"), which(table, "alike"), table.tests) == (["a"], ["a", "b"], ())


def test_one_patient_is_as_one_case():
    table = one([result(m, values=[v, 0.5, v], patients=("p",) * 3) for m, v in (("a", 1.0), ("b", 0.0))])
    assert {(c.low, c.p, c.alike) for c in cells(table).values()} == {(None, None, True)}


def test_all_ties():
    table = one([result(m, seed=s, values=share(20)) for m in "abc" for s in (0, 1)])
    assert which(table, "best") == which(table, "alike") == ["a", "b", "c"]
    assert {cell.p for cell in cells(table).values()} == {None}
    assert table.tests == ()  # nothing that they would explain


def test_lower_is_better():
    sway = np.resize([0.2, -0.2], 40)  # about which nothing is certain
    values = {"near": 0.36 + sway, "far": np.full(40, 5.0), "best": np.full(40, 0.35)}
    table = one([result(m, values=v, metric="hd95", higher_is_better=False) for m, v in values.items()])
    assert (which(table, "best"), which(table, "alike")) == (["best"], ["near", "best"])


def test_what_is_not_a_number_is_refused_by_name():
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="a/t/p/0: 1 of 2 values are not finite"):
            result(values=[0.5, bad])


@pytest.mark.parametrize("what", ["strata", "patients"])
def test_strata_and_patients_are_one_for_each_case(what):
    with pytest.raises(ValueError, match=f"2 cases but 3 {what}"):
        result(values=[0.5, 0.6], **{what: ("x", "y", "z")})


def test_other_cases_in_a_column_are_not_tested():
    table = one([result("a", values=share(40)), result("b", values=share(2), cases=tuple(f"o{n}" for n in range(40)))])
    assert cells(table)["b"].p is None
    assert which(table, "alike") == ["a", "b"]
    assert "not tested, for lack of a second case or of cases and seeds that all have" in markdown(table)


@pytest.mark.parametrize("results", [
    [result()], [result(values=[1.0])], [result(values=[1.0, 1.0])], [result(state="failed")],
    [result(values=share(3)), result("b", "u/p")],
])  # fmt: skip
def test_whatever_there_is_every_format_says_it(results):
    table = one(results)
    assert markdown(table)
    assert csv(table)
    assert json([table])
