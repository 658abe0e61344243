"""Matching as a layer: its indicators, and a gradient that is the difference of two matchings whatever the scale."""

import pytest
import torch
from torch.nn.functional import one_hot

from bench.matching import solve
from bench.matching.gradient import Problem, joint, matching_loss
from bench.matching.layer import match

pytestmark = pytest.mark.usefixtures("one_thread")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def leaves(problem):
    return Problem(problem.vertex.clone().requires_grad_(), problem.edge.clone().requires_grad_(), *problem[2:])


def test_a_small_case_by_hand():
    edges = torch.tensor([[[0, 1]]])
    vertex, edge = torch.eye(2)[None].requires_grad_(), torch.tensor([[[0.5]]], requires_grad=True)
    nodes, pairs = match(vertex, edge, edges, edges, lambda_=10.0)
    assert nodes.tolist() == [[[1, 0], [0, 1]]]
    assert pairs.tolist() == [[[1]]]
    (3 * nodes[0, 0, 0]).backward()  # 10 less for 0 at 0, and the two change places; times 3
    assert torch.allclose(vertex.grad, torch.tensor([[[0.3, -0.3], [-0.3, 0.3]]]))
    assert torch.allclose(edge.grad, torch.tensor([[[0.3]]]))


def test_a_loss_too_small_to_change_the_matching_has_no_gradient():
    edges = torch.tensor([[[0, 1]]])
    vertex, edge = torch.eye(2)[None].requires_grad_(), torch.tensor([[[0.5]]], requires_grad=True)
    match(vertex, edge, edges, edges, lambda_=2.4)[0][0, 0, 0].backward()  # 1 + 1 + 0.5 against 2.4
    assert vertex.grad.abs().max() == edge.grad.abs().max() == 0


@pytest.mark.parametrize("solver", ["exact", "default"])
def test_indicators_are_those_of_the_matching(problem, exact, solver):
    given, solver = problem(6, 5, k=2, spread=3.0), exact if solver == "exact" else solve
    nodes, pairs = match(*given, solver=solver)
    found = solver(*given)
    assert torch.equal(nodes, one_hot(found, 5).float())
    assert torch.equal(pairs, joint(found, *given[2:]))


def expected(given, upstream, lambda_, exact):
    """scale / lambda times (v - GM(c - lambda dy / scale)), graph by graph."""
    vertex, edge, edges_s, edges_t = (x.detach() for x in given)
    total = [torch.zeros_like(vertex), torch.zeros_like(edge)]
    for g in range(len(vertex)):
        scale = max(x[g].abs().max().item() for x in upstream)
        if scale == 0:
            continue
        dy = [x[g : g + 1] / scale for x in upstream]
        ends = edges_s[g : g + 1], edges_t[g : g + 1]
        found = exact(vertex[g : g + 1], edge[g : g + 1], *ends)
        better = exact(vertex[g : g + 1] - lambda_ * dy[0], edge[g : g + 1] - lambda_ * dy[1], *ends)
        total[0][g] = scale / lambda_ * (one_hot(found, 5) - one_hot(better, 5))[0]
        total[1][g] = scale / lambda_ * (joint(found, *ends) - joint(better, *ends))[0]
    return total


@pytest.mark.parametrize("scale", [1e-3, 1.0, 65536.0])
@pytest.mark.parametrize("of", ["both", "nodes", "edges"])
def test_the_gradient_is_the_difference_of_two_matchings_at_any_scale(problem, exact, of, scale):
    given, lambda_ = leaves(problem(8, 5, k=2, spread=1.0)), 4.0
    upstream = [random(8, 5, 5), random(8, 10, 10, seed=1)]
    upstream = [scale * (of in ("both", name)) * x for x, name in zip(upstream, ("nodes", "edges"), strict=True)]
    for dy in upstream:
        dy[3], dy[5] = 0, 1000 * dy[5]  # each graph has a scale of its own, and one has no gradient
    indicators = match(*given, lambda_=lambda_, solver=exact)
    sum((v * dy).sum() for v, dy in zip(indicators, upstream, strict=True)).backward()
    for found, wanted in zip(given[:2], expected(given, upstream, lambda_, exact), strict=True):
        assert found.grad[3].abs().max() == 0
        assert (found.grad.abs().amax((1, 2)) > 0).sum() >= 3
        assert torch.allclose(found.grad, wanted, rtol=1e-5, atol=0)


def test_a_batch_with_no_upstream_gradient_gets_none(problem):
    given = leaves(problem(2, 5, k=2))
    (0 * match(*given)[0].sum()).backward()
    assert given.vertex.grad.abs().max() == given.edge.grad.abs().max() == 0


@pytest.mark.parametrize("lambda_", [0.3, 2.0, 80.0])
def test_for_the_hamming_loss_the_gradient_is_that_of_the_matching_loss(problem, exact, lambda_):
    given, other = (leaves(problem(20, 5, k=2, spread=3.0)) for _ in range(2))
    truth = torch.arange(5).expand(20, 5)
    matched = matching_loss(given, truth, lambda_=lambda_, noise="none", generator=torch.Generator(), solver=exact)
    nodes, true = match(*other, lambda_=lambda_, solver=exact)[0], one_hot(truth, 5)
    loss = (nodes * (1 - true) + true * (1 - nodes)).sum((1, 2)).mean()
    assert loss.item() == pytest.approx(matched.loss.item(), rel=1e-6)
    matched.loss.backward()
    loss.backward()
    assert given.vertex.grad.abs().max() > 0
    for a, b in zip(given[:2], other[:2], strict=True):
        assert (a.grad - b.grad).abs().max() < 1e-6


@pytest.mark.parametrize("solver", ["exact", "default"])
def test_without_edges_it_is_a_linear_assignment(exact, solver):
    vertex, none = random(7, 5, 5).requires_grad_(), torch.zeros(7, 0, 2, dtype=torch.int64)
    solver = exact if solver == "exact" else solve
    nodes, pairs = match(vertex, torch.zeros(7, 0, 0), none, none, lambda_=3.0, solver=solver)
    assert pairs.shape == (7, 0, 0)
    assert torch.equal(nodes, one_hot(solve(vertex, torch.zeros(7, 0, 0), none, none, mode="linear"), 5).float())
    (nodes * torch.eye(5)).sum().backward()
    better = solve(vertex - 3 * torch.eye(5), torch.zeros(7, 0, 0), none, none, mode="linear")
    assert torch.allclose(vertex.grad, (nodes - one_hot(better, 5)) / 3)
    assert vertex.grad.abs().max() > 0


def test_it_learns_from_a_loss_of_edges_alone(problem):
    given = leaves(problem(4, 8, k=3, spread=3.0))
    optimizer = torch.optim.SGD(given[:2], lr=2.0)
    wanted = joint(torch.arange(8).expand(4, 8), *given[2:])

    def missing():
        return (wanted * (1 - match(*given, lambda_=20.0)[1])).sum()

    before = missing().item()
    for _ in range(30):
        optimizer.zero_grad()
        missing().backward()
        optimizer.step()
    assert missing().item() < before / 4
