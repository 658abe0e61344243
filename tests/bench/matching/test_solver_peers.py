"""Other people's solvers: what they are told, and what is said when they are missing."""

import sys
from itertools import permutations, product
from types import ModuleType

import numpy as np
import pytest
import torch

from bench.errors import BenchError
from bench.matching.solver import solve, value

pytestmark = pytest.mark.usefixtures("one_thread")


def test_pygmtools_solves_our_problems(problem):
    """Its random walks are worse than tabu search, but far better than a wrong order of indices or a wrong sign."""
    pytest.importorskip("pygmtools", reason="pygmtools is an extra: pip install 'medssl-bench[solvers]'")
    given = problem(70, 10, k=3, spread=1.0)  # more than it is given at once
    shuffle = torch.rand(70, 10, generator=torch.Generator().manual_seed(0)).argsort(1)
    hidden = torch.gather(given.vertex, 2, shuffle[:, None].expand(-1, 10, -1))
    back = shuffle.argsort(1)[:, :, None].expand(-1, -1, 2)
    mixed = hidden, given.edge, given.edges_s, back.gather(1, given.edges_t)
    theirs, ours = (value(*mixed, solve(*mixed, solver=name)) for name in ("pygmtools", "tabu"))
    assert (theirs <= ours + 1e-4).double().mean() >= 0.95
    assert (theirs / ours).mean() > 0.98


def test_a_missing_package_is_named_with_what_installs_it(problem, monkeypatch):
    for package in ("pygmtools", "lpmp_py.raw_solvers"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BenchError, match="pip install pygmtools"):
        solve(*problem(1, 4, k=2), solver="pygmtools")
    with pytest.raises(BenchError, match=r"git clone --recursive https://github.com/LPMP/LPMP && pip install ./LPMP"):
        solve(*problem(1, 4, k=2), solver="lpmp")


def cheapest(costs, quadratic_costs, edges_left, edges_right, solver_params):
    """LPMP's interface, solved by trying every matching, partial ones too: a node may be left out at no cost."""
    n = len(costs)
    assert len(set(map(tuple, edges_left))) == len(edges_left)
    assert edges_left.min(initial=0) >= 0
    best, mask = np.inf, None
    for matching, kept in product(permutations(range(n)), product((False, True), repeat=n)):
        cost = sum(costs[i, a] for i, a in enumerate(matching) if kept[i])
        cost += sum(
            quadratic_costs[e, f]
            for (e, (i, j)), (f, (a, b)) in product(enumerate(edges_left), enumerate(edges_right))
            if kept[i] and kept[j] and matching[i] == a and matching[j] == b
        )
        if cost < best:
            best, mask = cost, np.eye(n)[list(matching)] * np.array(kept)[:, None]
    mask[0] *= solver_params.get("maxIter") != 100  # the real one does leave nodes out
    return mask, None


def test_what_lpmp_is_told_has_the_same_best_matching(monkeypatch):
    """LPMP does not install, so a slow stand-in for it is asked: it minimises costs, knows no loops and no padding."""
    module = ModuleType("lpmp_py.raw_solvers")
    module.gm_solver = cheapest
    monkeypatch.setitem(sys.modules, "lpmp_py", ModuleType("lpmp_py"))
    monkeypatch.setitem(sys.modules, "lpmp_py.raw_solvers", module)
    rng = np.random.default_rng(0)
    for _ in range(4):
        edges = [
            np.concatenate([x, x[:, :1], x[:, :1, ::-1], 0 * x[:, :1] - 1], 1) for x in rng.integers(0, 4, (2, 2, 4, 2))
        ]
        problem = rng.normal(size=(2, 4, 4)) - 2, rng.normal(size=(2, 7, 7)), *edges
        assert (solve(*problem, solver="lpmp") == solve(*problem, mode="exact")).all()
