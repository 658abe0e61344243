"""What `solve`, `value` and `certify` answer: against every permutation, and for whatever they may be given."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from bench.errors import BenchError
from bench.matching.solver import certify, solve, value

pytestmark = pytest.mark.usefixtures("one_thread")


def draw(seed, n=None, graphs=2, kind=np.float32):
    """Random affinities and edges, among which parallel, reversed, looping and padding ones."""
    rng = np.random.default_rng(seed)
    n = n or int(rng.integers(1, 8))
    e, f = rng.integers(0, 3 * n, 2)
    edges = [rng.integers(0, n, (graphs, count, 2)) for count in (e, f)]
    for some in edges:
        some[:, 1::4] = some[:, 0::4][:, : some[:, 1::4].shape[1]]
        some[:, 2::4] = some[:, 0::4][:, : some[:, 2::4].shape[1], ::-1]
        some[rng.random(some.shape[:2]) < 0.15] = -1
    return (*(rng.normal(size=shape).astype(kind) for shape in ((graphs, n, n), (graphs, e, f))), *edges)


def tensors(*arguments, **options):
    return tuple(torch.from_numpy(x) for x in draw(*arguments, **options))


def slow_value(vertex, edge, edges_s, edges_t, matching):
    """The objective of one graph, term by term as it is defined."""
    total = sum(float(vertex[i, a]) for i, a in enumerate(matching))
    for e, (i, j) in enumerate(edges_s):
        for f, (a, b) in enumerate(edges_t):
            if i >= 0 and a >= 0 and matching[i] == a and matching[j] == b:
                total += float(edge[e, f])
    return total


def best_values(problem):
    """The largest value of any matching of each graph."""
    every = np.array(list(permutations(range(problem[0].shape[1]))))
    return np.array(
        [max(value(*(np.stack([x] * len(every)) for x in graph), every)) for graph in zip(*problem, strict=True)]
    )


def identity(problem):
    return np.tile(np.arange(problem[0].shape[1]), (len(problem[0]), 1))


@pytest.mark.parametrize("how", [{"mode": "exact"}, {"solver": "tabu"}, {"solver": "torch"}], ids=str)
def test_every_solver_finds_the_best_of_all_permutations_of_small_graphs(how):
    for seed in range(50):  # two graphs each
        problem = draw(seed)
        found = solve(*problem, **how)
        assert found.dtype == np.int64
        assert (np.sort(found, axis=1) == identity(problem)).all()
        np.testing.assert_allclose(value(*problem, found), best_values(problem), atol=1e-5)


def test_the_value_is_that_of_the_definition():
    for seed in range(30):
        problem = draw(seed, n=5)
        matching = np.array([np.random.default_rng((seed, g)).permutation(5) for g in range(2)])
        expected = [slow_value(*graph) for graph in zip(*problem, matching, strict=True)]
        assert value(*problem, matching).dtype == np.float64
        np.testing.assert_allclose(value(*problem, matching), expected, atol=1e-6)


def test_graphs_of_more_than_sixteen_nodes_and_of_one_to_three():
    """Above 16 another loop looks for the best swap, and rows have a width of 32."""
    for n in (1, 2, 3, 17, 33):
        vertex, edge, edges_s, edges_t = draw(n, n=n)
        truth = np.array([np.random.default_rng((n, g)).permutation(n) for g in range(2)])
        np.put_along_axis(vertex, truth[..., None], 50, axis=2)
        assert (solve(vertex, edge, edges_s, edges_t) == truth).all()


@pytest.mark.parametrize("solver", ["tabu", "torch"])
def test_padding_gains_nothing_beside_a_loop(solver):
    """With 16 nodes: shorter rows have room in which a wrong index would do no harm."""
    vertex, edge, edges_s, edges_t = draw(5, n=16)
    edges_s[:, :2], edges_t[:, :2] = ((3, 3), (-1, -1)), ((5, 5), (-1, -1))
    edge[:, 0, 1] = edge[:, 1, :2] = 100
    vertex[:, range(16), range(15, -1, -1)] += 15
    assert (solve(vertex, edge, edges_s, edges_t, solver=solver) == np.arange(15, -1, -1)).all()
    assert certify(vertex, edge, edges_s, edges_t, identity((vertex,))[:, ::-1]).all()


def test_the_names_of_the_nodes_do_not_matter():
    vertex, edge, edges_s, edges_t = draw(0, n=7, graphs=20)
    to_s, to_t = (np.random.default_rng(seed).permutation(7) for seed in (1, 2))
    other = np.empty_like(vertex)
    other[:, to_s[:, None], to_t] = vertex
    renamed = (other, edge, *(np.where(x < 0, -1, to[x]) for x, to in ((edges_s, to_s), (edges_t, to_t))))
    found, again = solve(vertex, edge, edges_s, edges_t), solve(*renamed)
    expected = np.empty_like(found)
    expected[:, to_s] = to_t[found]
    assert (again == expected).all()
    np.testing.assert_allclose(value(vertex, edge, edges_s, edges_t, found), value(*renamed, again))


@pytest.mark.parametrize("how", [{"mode": "linear"}, {"solver": "tabu"}, {"solver": "torch"}], ids=str)
def test_what_is_added_to_a_row_or_a_column_changes_no_matching(how):
    vertex, *rest = tensors(0, n=12, graphs=8)
    shift = torch.Generator().manual_seed(3)
    rows, columns = 1e5 * torch.randn(2, 8, 12, dtype=torch.double, generator=shift)
    shifted = vertex.double() + rows[:, :, None] + columns[:, None]
    assert solve(shifted, *rest, **how).equal(solve(vertex, *rest, **how))


@pytest.mark.parametrize("how", [{"mode": "linear"}, {"solver": "tabu"}, {"solver": "torch"}], ids=str)
def test_without_edges_it_is_linear_assignment(how):
    vertex, edge, edges_s, edges_t = draw(2, n=16, graphs=6)
    expected = [linear_sum_assignment(profit, maximize=True)[1].tolist() for profit in vertex]
    padding = np.full_like(edges_s, -1)
    for e, s, t in ((edge[:, :0], edges_s[:, :0], edges_t), (edge[:, :, :0], edges_s, edges_t[:, :0]),
                    (edge, padding, edges_t)):  # fmt: skip
        assert solve(vertex, e, s, t, **how).tolist() == expected
    assert solve(vertex[:0], edge[:0], edges_s[:0], edges_t[:0], **how).shape == (0, 16)


@pytest.mark.parametrize("solver", ["tabu", "torch"])
def test_equal_affinities_and_equal_nodes_give_a_matching(solver):
    _, edge, *edges = draw(0, n=16)
    for number in (0, 1):
        found = solve(np.full((2, 16, 16), number), np.full_like(edge, number), *edges, solver=solver)
        assert (np.sort(found, axis=1) == np.arange(16)).all()
    vertex, edge, edges_s, edges_t = (x.copy() for x in draw(1, n=6))
    vertex[:, :, 3] = vertex[:, :, 2]
    twins = vertex, edge, edges_s, edges_t
    np.testing.assert_allclose(value(*twins, solve(*twins, solver=solver)), best_values(twins), atol=1e-5)


def test_affinities_of_any_size_and_type():
    vertex, edge, *edges = tensors(3, n=8, graphs=4)
    found = solve(vertex, edge, *edges)
    for factor in (1e-30, 1e30):
        assert solve(vertex * factor, edge * factor, *edges).equal(found)
    assert solve(vertex.double() * 1e200, edge.double() * 1e200, *edges).equal(found)
    whole = [(100 * x).round() for x in (vertex, edge)]
    assert solve(*(x.long() for x in whole), *edges).equal(solve(*whole, *(x.int() for x in edges)))
    assert solve(vertex.bfloat16(), edge.half(), *edges).shape == found.shape


def test_arrays_and_tensors_are_answered_in_kind():
    given, arrays = tensors(4, n=8), draw(4, n=8)
    for array in arrays:
        array.setflags(write=False)  # torch warns of such
    found = solve(*given)
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.int64
    assert (solve(*arrays) == found.numpy()).all()
    for judge, kind in ((value, np.float64), (certify, np.bool_)):
        ours, theirs = judge(*given, found), judge(*arrays, found.numpy())
        assert isinstance(ours, torch.Tensor)
        assert theirs.dtype == kind
        assert ours.tolist() == theirs.tolist()
    assert solve(*(x.mT.contiguous().mT for x in given)).equal(found)  # not contiguous
    assert solve(given[0].clone().requires_grad_(), *given[1:]).equal(found)


def test_a_certificate_is_never_false():
    """Of the same graph with ever more in favour of the identity, each step judged: where it is first proven counts."""
    steps = 40
    right = proven = 0
    for seed in range(80):
        vertex, *rest = (np.repeat(x, steps, axis=0) for x in draw(seed, n=4 + seed % 2, graphs=1, kind=np.float64))
        vertex[:, range(vertex.shape[1]), range(vertex.shape[1])] += np.linspace(0, 8, steps)[:, None]
        problem = vertex, *rest
        best = value(*problem, identity(problem)) >= best_values(problem) - 1e-9
        sure = certify(*problem, identity(problem))
        assert not (sure & ~best).any()
        right, proven = right + best.sum(), proven + sure.sum()
    assert proven / right > 0.8


def test_exact_refuses_what_would_take_too_long():
    with pytest.raises(BenchError, match="10 nodes at most, not of 11"):
        solve(*draw(0, n=11), mode="exact")
    assert solve(*draw(0, n=8), mode="exact").shape == (2, 8)
