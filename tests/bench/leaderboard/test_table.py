"""What a table says is what its results say, worked out by hand."""

import math

import numpy as np
import pytest

from bench.leaderboard.table import Result, Table, build


def result(
    method: str = "simclr",
    column: str = "brain_tumor/linear",
    seed: int = 0,
    values: list[float] | None = None,
    **changed: object,
) -> Result:
    """A done result of these values, or a pending one."""
    task, protocol = column.split("/")
    facts: dict[str, object] = {
        "method": method,
        "task": task,
        "protocol": protocol,
        "seed": seed,
        "state": "pending" if values is None else "done",
        "metric": "accuracy",
        "phantom": False,
        "found": 0,
        "official": 0,
        "cases": tuple(f"case{i}" for i in range(len(values or []))),
        "values": np.array(values or [], np.float64),
    }
    return Result(**(facts | changed))  # type: ignore[arg-type]


def one(results: list[Result]) -> Table:
    (table,) = build(results)
    return table


# ---------------------------------------------------------------------------------------------- a cell


def test_a_cell_is_the_mean_over_seeds_of_means_over_cases():
    table = one([result(seed=0, values=[1, 0, 0, 0]), result(seed=1, values=[1, 1, 1, 0])])
    cell = table.rows[0].cells[0]
    assert cell.mean == 0.5
    assert cell.std == pytest.approx(math.sqrt(2) / 4)  # of 0.25 and 0.75, divisor n - 1
    assert (cell.state, cell.done, cell.seeds, cell.cases) == ("done", (0, 1), 2, 4)


def test_the_interval_is_over_cases_averaged_over_seeds():
    opposite = one([result(seed=0, values=[1, 0] * 20), result(seed=1, values=[0, 1] * 20)]).rows[0].cells[0]
    assert (opposite.low, opposite.high) == (0.5, 0.5)  # every case is 0.5 once its seeds are averaged
    same = one([result(seed=0, values=[1, 0] * 20), result(seed=1, values=[1, 0] * 20)]).rows[0].cells[0]
    assert same.low == pytest.approx(0.35, abs=0.03)  # 0.5 - 1.96 * sqrt(0.25 / 40) = 0.345
    assert same.high == pytest.approx(0.65, abs=0.03)


def test_the_level_reaches_the_interval():
    results = [result(values=[1, 0] * 20)]
    wide, narrow = (build(results, level=level)[0].rows[0].cells[0] for level in (0.99, 0.5))
    assert wide.low < narrow.low < 0.5 < narrow.high < wide.high
    assert build(results, level=0.5)[0].level == 0.5


def test_one_seed_has_no_std_and_one_case_no_interval():
    cell = one([result(values=[0.25])]).rows[0].cells[0]
    assert (cell.mean, cell.std, cell.low, cell.high) == (0.25, None, None, None)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("done", "failed"), "partial"),
        (("done", "pending"), "partial"),
        (("failed", "pending"), "failed"),
        (("pending", "pending"), "pending"),
    ],
)
def test_the_state_of_a_cell(states: tuple[str, str], expected: str):
    table = one([result(seed=s, values=[1.0] if x == "done" else None, state=x) for s, x in enumerate(states)])
    cell = table.rows[0].cells[0]
    assert cell.state == expected
    assert [len(cell.done), len(cell.failed), len(cell.pending)] == [
        states.count("done"),
        states.count("failed"),
        states.count("pending"),
    ]
    assert (cell.mean is None) == ("done" not in states)
    assert table.rows[0].mean is None


# ---------------------------------------------------------------------------------------------- a column


def best(table: Table) -> list[str]:
    return [row.method for row in table.rows if row.cells[0].best]


def test_ties_are_all_best_even_when_summed_in_another_order():
    means = {"a": (0.1, 0.2, 0.3), "b": (0.3, 0.2, 0.1), "c": (0.2, 0.2, 0.1)}
    assert sum(means["a"]) != sum(means["b"])  # in floating point
    table = one([result(m, seed=s, values=[v, v]) for m, of in means.items() for s, v in enumerate(of)])
    assert best(table) == ["a", "b"]


def test_means_that_only_look_alike_are_no_tie():
    assert best(one([result("a", values=[0.71321]), result("b", values=[0.71324])])) == ["b"]


def test_a_cell_with_a_missing_seed_is_never_best():
    results = [result("lucky", seed=0, values=[1.0]), result("lucky", seed=1)]
    results += [result("equal", seed=0, values=[0.5]), result("equal", seed=1, state="failed")]
    assert best(one(results)) == []
    assert best(one([*results, *(result("steady", seed=s, values=[0.5]) for s in (0, 1))])) == ["steady"]


def test_lower_can_be_better():
    results = [result("a", values=[0.2]), result("b", values=[0.1])]
    lower = [result(r.method, values=list(r.values), higher_is_better=False) for r in results]
    assert (best(one(results)), best(one(lower))) == (["a"], ["b"])


def test_completeness_is_of_what_was_scored_and_of_the_least_complete():
    column = one([result("a", values=[1.0], found=1600, official=2594), result("b")]).columns[0]
    assert (column.partial, column.completeness) == (True, "1600 of 2594")
    column = one([result("a", values=[1.0]), result("b")]).columns[0]
    assert (column.partial, column.completeness) == (False, "unknown")
    results = [result(m, values=[1.0], found=n, official=10) for m, n in (("a", 10), ("b", 7))]
    assert one([*results, result("c", found=0, official=10)]).columns[0].completeness == "7 of 10"
    assert one(results[:1]).columns[0].partial is False


# ---------------------------------------------------------------------------------------------- rows and tables


def test_rows_and_columns_keep_the_order_of_the_grid():
    grid = [(m, c) for m in ("zeta", "alpha") for c in ("t2/knn", "t1/linear", "t2/linear")]
    table = one([result(m, c, values=[1.0]) for m, c in grid])
    assert [row.method for row in table.rows] == ["zeta", "alpha"]
    assert [column.name for column in table.columns] == ["t2/knn", "t1/linear", "t2/linear"]


def test_a_row_has_a_mean_only_when_it_is_complete():
    results = [result("full", "t1/knn", values=[1.0]), result("full", "t2/knn", values=[0.5])]
    results += [result("gap", "t1/knn", values=[1.0]), result("gap", "t2/knn", state="failed")]
    results += [result("absent", "t1/knn", values=[1.0])]
    full, gap, absent = one(results).rows
    assert (full.mean, full.complete) == (0.75, True)
    assert (gap.mean, gap.complete) == (None, False)
    assert (absent.mean, absent.complete, absent.cells[1].state) == (None, False, "absent")


def test_columns_of_different_metrics_have_no_mean():
    results = [result(values=[1.0]), result(column="t2/knn", values=[0.5], metric="kappa")]
    assert one(results).rows[0].mean is None
    assert one(results).rows[0].complete is True


def test_real_and_phantom_data_never_share_a_table():
    results = [result(column="t1/knn", values=[1.0], phantom=True), result(column="t2/knn", values=[0.5])]
    real, phantom = build(results)
    assert [(t.name, [c.name for c in t.columns]) for t in (real, phantom)] == [
        ("real", ["t2/knn"]),
        ("phantom", ["t1/knn"]),
    ]
    assert (real.rows[0].mean, phantom.rows[0].mean) == (0.5, 1.0)


def test_a_column_of_both_kinds_is_two_columns():
    real, phantom = build([result("a", values=[0.0]), result("b", values=[1.0], phantom=True)])
    assert ([r.method for r in real.rows], [r.method for r in phantom.rows]) == (["a"], ["b"])


def test_no_results_make_no_table():
    assert build([]) == ()


# ---------------------------------------------------------------------------------------------- refused


def test_seeds_scored_on_different_cases_are_refused_by_name():
    results = [result(seed=0, values=[1, 0]), result(seed=1, values=[1, 0], cases=("case0", "other"))]
    with pytest.raises(ValueError, match=r"^simclr/brain_tumor/linear/1: .*linear/0: 2 are in only one"):
        build(results)
    results[1] = result(seed=1, values=[1, 0], cases=("case1", "case0"))
    with pytest.raises(ValueError, match="another order"):
        build(results)


def test_a_seed_twice_is_refused_by_name():
    with pytest.raises(ValueError, match="simclr/brain_tumor/linear/0: two results"):
        build([result(values=[1.0]), result()])


def test_two_metrics_in_a_column_are_refused_by_name():
    with pytest.raises(ValueError, match=r"brain_tumor/linear: .*accuracy \(higher is better\), kappa"):
        build([result("a", values=[1.0]), result("b", metric="kappa")])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"values": [1.0, math.nan, math.inf]}, "2 of 3 values are not finite"),
        ({"values": [1.0], "state": "finished"}, "state is 'finished'"),
        ({"values": [1.0], "cases": ("a", "b")}, "2 cases but 1 values"),
        ({"values": [1.0], "state": "failed"}, "failed, with 1 cases"),
        ({"state": "done"}, "done, with 0 cases"),
    ],
)
def test_a_result_that_cannot_be_averaged_is_refused_by_name(changed: dict[str, object], said: str):
    with pytest.raises(ValueError, match=f"^simclr/brain_tumor/linear/0: {said}"):
        result(**changed)  # type: ignore[arg-type]
