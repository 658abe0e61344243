"""What a table says is what its results say, worked out by hand."""

import math

import numpy as np
import pytest

from bench.leaderboard.building import build
from bench.leaderboard.result import Result
from bench.leaderboard.table import Table
from bench.moderation import moderated


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
    assert same.low == pytest.approx(0.34, abs=0.01)  # 0.5 - 2.02 * sqrt(0.25 / 39), of whole cases
    assert same.high == pytest.approx(0.66, abs=0.01)


def test_the_interval_is_that_of_the_mean_squares_with_seeds_moderated_by_the_column(squares, recipe):
    draws = np.random.default_rng(0)
    methods = {
        name: draws.beta(5, 3, 14) * 0.8 + draws.normal(0, 0.02, (3, 14)) + draws.normal(0, spread, (3, 1))
        for name, spread in (("a", 0.01), ("b", 0.03), ("c", 0.1), ("d", 0.02))
    }
    table = one([result(m, seed=s, values=v.tolist()) for m, of in methods.items() for s, v in enumerate(of)])
    firm = moderated([of.mean(axis=1).tolist() for of in methods.values()])
    moved = []
    for row, values, seeds in zip(table.rows, methods.values(), firm, strict=True):
        (_, cases), (_, free) = squares(values)
        mean = values.mean(axis=0)
        drawn = mean[draws.integers(14, size=(20_000, 14))].mean(axis=1)
        ends = recipe(mean.mean(), drawn, (seeds.variance / 3, cases), (seeds.freedom, free))
        alone = recipe(mean.mean(), drawn, *squares(values))
        (cell,) = row.cells
        assert (cell.low, cell.high) == pytest.approx(ends, abs=0.03 * (ends[1] - ends[0]))
        moved.append(abs(cell.high - alone[1]) / (cell.high - cell.mean))
    assert max(moved) > 0.2  # from where an interval of its own seeds alone would end
    assert "moderated" in table.interval


def test_cells_of_a_patient_are_one_and_are_said_to_be():
    values = [1.0, 1.0, 0.0, 0.0] * 10
    patients = tuple(f"p{n // 2}" for n in range(40))
    plain = one([result(values=values)])
    together = one([result(values=values, patients=patients)])
    ratio = np.ptp([together.rows[0].cells[0].low, together.rows[0].cells[0].high]) / np.ptp(
        [plain.rows[0].cells[0].low, plain.rows[0].cells[0].high]
    )
    assert ratio == pytest.approx(2**0.5, rel=0.1)
    assert "a patient's cases together" in together.interval
    assert "patient" not in plain.interval


def test_the_interval_stays_within_what_the_metric_can_be():
    cell = one([result(values=[1.0] * 19 + [0.6])]).rows[0].cells[0]
    assert cell.high == 1.0
    assert one([result(values=[1.0] * 19 + [0.6], metric="kappa")]).rows[0].cells[0].high > 1.0


def test_equal_values_are_their_own_interval():
    for seeds in (1, 3):
        cell = one([result(seed=seed, values=[0.1] * 7) for seed in range(seeds)]).rows[0].cells[0]
        assert (cell.low, cell.high) == pytest.approx((0.1, 0.1), abs=1e-15)


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


def test_means_are_over_the_columns_that_are_done_for_most():
    results = [result("full", f"t{n}/knn", values=[value]) for n, value in enumerate((1.0, 0.5, 0.6))]
    results += [result("gap", f"t{n}/knn", values=[0.0]) for n in (0, 1)] + [result("gap", "t2/knn", state="failed")]
    results += [result("absent", "t0/knn", values=[0.2]), result("absent", "t1/knn", values=[0.4])]
    results += [result("started", "t0/knn", values=[0.9]), result("started", "t1/knn"), result("started", "t2/knn")]
    table = one(results)
    full, gap, absent, started = table.rows
    assert table.averaged_over == (0, 1)
    assert (full.mean, full.complete, full.coverage) == (0.75, True, (3, 3))
    assert (gap.mean, gap.complete, gap.coverage) == (0.0, False, (2, 3))
    assert (absent.mean, absent.complete, absent.cells[2].state) == (pytest.approx(0.3), False, "absent")
    assert (started.mean, started.coverage) == (None, (1, 3))


def test_columns_of_different_metrics_have_no_mean():
    results = [result(values=[1.0]), result(column="t2/knn", values=[0.5], metric="kappa")]
    assert one(results).rows[0].mean is None
    assert one(results).averaged_over == ()
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
