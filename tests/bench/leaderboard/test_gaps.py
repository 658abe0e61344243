"""The common sub-grid: nothing is missing in it, and what goes is what lacks most."""

import numpy as np
import pytest

from bench.leaderboard.gaps import common


def grid(*rows: str) -> np.ndarray:
    return np.array([[cell == "x" for cell in row] for row in rows], bool).reshape(len(rows), -1)


@pytest.mark.parametrize(
    ("rows", "kept", "columns"),
    [
        (("xx", "xx"), [0, 1], [0, 1]),
        (("xxx", "xx.", "xx."), [0, 1, 2], [0, 1]),  # the column lacks two of three, no row as much
        (("xxx", "x..", "xxx"), [0, 2], [0, 1, 2]),  # the row lacks two of three
        (("xx", "x."), [0, 1], [0]),  # of equals the column goes
        (("x.", ".x"), [1], [1]),
        (("..", ".."), [], []),
        (("xx", "..", "xx"), [0, 2], [0, 1]),
        ((".x.", "xxx", "xxx", "xxx"), [1, 2, 3], [0, 1, 2]),
        (("x",), [0], [0]),
    ],
)
def test_what_lacks_most_goes_first(rows, kept, columns):
    found = common(grid(*rows))
    assert [of.tolist() for of in found] == [kept, columns]


def test_nothing_is_nothing():
    for shape in ((0, 3), (3, 0), (0, 0)):
        assert [of.tolist() for of in common(np.zeros(shape, bool))] == [[], []]


def test_nothing_is_missing_within_and_each_step_is_the_worst():
    draws = np.random.default_rng(0)
    for _ in range(200):
        full = draws.random((draws.integers(1, 9), draws.integers(1, 9))) < 0.8
        rows, columns = (list(of) for of in common(full))
        assert full[np.ix_(rows, columns)].all()
        left, right = list(range(full.shape[0])), list(range(full.shape[1]))
        while left and right and not full[np.ix_(left, right)].all():
            of_rows = [sum(not full[r, c] for c in right) / len(right) for r in left]
            of_columns = [sum(not full[r, c] for r in left) / len(left) for c in right]
            if max(of_columns) > max(of_rows) - 1e-12:
                del right[int(np.argmax(np.round(of_columns, 12)))]
            else:
                del left[int(np.argmax(np.round(of_rows, 12)))]
        if left and right:  # what goes for the sake of what goes later comes back
            right = [c for c in range(full.shape[1]) if full[left, c].all()]
            left = [r for r in range(full.shape[0]) if full[r, right].all()]
        assert (rows, columns) == ((left, right) if left and right else ([], []))


def test_the_grid_that_is_given_stays():
    full = grid("x.", "xx")
    common(full)
    assert (full == grid("x.", "xx")).all()
