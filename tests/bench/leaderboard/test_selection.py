"""What is selected is a board of its own, and rows are ordered within their groups, gaps last."""

import numpy as np
import pytest

from bench.errors import BenchError
from bench.leaderboard.building import build
from bench.leaderboard.result import Result
from bench.leaderboard.selection import chosen, ordered


def result(method: str, column: str, right: int | None, *, seed: int = 0, **facts: object) -> Result:
    task, protocol = column.split("/")
    said = {"metric": "accuracy", "phantom": False, "found": 0, "official": 0, "group": "g", "family": "f"} | facts
    return Result(
        method=method, task=task, protocol=protocol, seed=seed, state="pending" if right is None else "done",
        cases=tuple(map(str, range(20))) if right is not None else (),
        values=(np.arange(20) < right).astype(float) if right is not None else np.zeros(0), **said,
    )  # fmt: skip


BOARD = [
    result("b", "lung@A/linear", 5, part=True, family="sites"),
    result("b", "lung@mean/linear", 6, family="sites"),
    *(result("b", "head/linear", n, seed=s) for s, n in enumerate((9, 11))),
    *(result("a", "head/linear", n, seed=s, group="h") for s, n in enumerate((15, 17))),
    *(result("c", "head/linear", n, seed=s) for s, n in enumerate((12, 14))),
    *(result("d", "head/linear", n, seed=s) for s, n in enumerate((12, None))),
]


def names(results) -> set[str]:
    return {one.name for one in results}


def test_cells_are_chosen_by_their_names_and_sites_by_their_tasks():
    assert names(chosen(BOARD, only="*/lung/linear/0")) == {"b/lung@A/linear/0", "b/lung@mean/linear/0"}
    assert names(chosen(BOARD, only="*/lung@mean/*")) == {"b/lung@mean/linear/0"}
    assert names(chosen(BOARD, only="[ab]/head/*/1")) == {"a/head/linear/1", "b/head/linear/1"}
    assert chosen(BOARD) == BOARD


def test_groups_and_families_are_chosen_by_name():
    assert names(chosen(BOARD, group="h")) == {"a/head/linear/0", "a/head/linear/1"}
    assert names(chosen(BOARD, family="sites")) == names(BOARD[:2])
    assert chosen(BOARD, group="h", family="sites") == []


def test_what_is_chosen_has_a_best_of_its_own():
    (table,) = build(chosen(BOARD, group="g", family="f"))
    assert [row.method for row in table.rows if row.cells[0].best] == ["c"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"only": "nobody/*"}, "--only nobody/*: matches no cell of bench.toml; a cell is method/task/protocol/seed"),
        ({"group": "hh"}, "bench.toml: unknown group `hh`; did you mean `h`"),
        ({"family": "site"}, "bench.toml: unknown family `site`; did you mean `sites`?"),
    ],
)
def test_what_matches_nothing_is_an_error(asked, message):
    with pytest.raises(BenchError) as raised:
        chosen(BOARD, **asked, where="bench.toml")
    assert message in str(raised.value)


def test_of_nothing_nothing_is_chosen():
    assert chosen([], only="*") == []


def order(by: str, results=BOARD[2:]) -> list[str]:
    (table,) = build(results)
    return [row.method for row in ordered(table, by).rows]


def test_rows_are_ordered_within_their_groups():
    assert order("method") == ["b", "c", "d", "a"]
    assert order("mean") == ["c", "b", "d", "a"]  # d lacks a seed, and so a mean
    assert order("head/linear") == ["c", "d", "b", "a"]  # where it has one


def test_where_less_is_better_the_least_comes_first():
    less = [result(m, "head/linear", n, higher_is_better=False) for m, n in (("x", 9), ("y", 4), ("z", 6))]
    assert order("mean", less) == order("head/linear", less) == ["y", "z", "x"]


def test_an_order_that_is_none_is_an_error():
    with pytest.raises(BenchError, match="--sort: unknown order `heads/linear`; did you mean `head/linear`"):
        order("heads/linear")
    mixed = [*BOARD[2:], result("b", "lung/linear", 4, metric="dice")]
    with pytest.raises(BenchError, match="--sort mean: there is none, since metrics differ"):
        order("mean", mixed)
