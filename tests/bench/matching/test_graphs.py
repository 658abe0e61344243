"""Graphs of a batch: who is in them, who is whose neighbour, what is passed; against slow loops of the equations."""

import pytest
import torch
from torch.nn.functional import cosine_similarity, one_hot

from bench.errors import BenchError
from bench.matching.graphs import MessagePassing, adjacency, nearest_neighbours, split

FORMS = ("skip", "node_weight", "equation", "none")


@pytest.mark.parametrize(("count", "size"), [(32, 16), (16, 16), (9, 3), (2, 2), (4, 2)])
def test_a_batch_that_divides_is_cut_into_its_rows_in_order(count, size):
    assert split(count, size).tolist() == torch.arange(count).view(-1, size).tolist()


@pytest.mark.parametrize(("count", "size"), [(33, 16), (47, 16), (17, 16), (5, 2), (11, 4)])
def test_of_a_batch_that_does_not_divide_every_row_is_in_a_full_graph(count, size):
    rows = split(count, size)
    assert rows.shape == (-(-count // size), size)
    assert rows.unique().tolist() == list(range(count))
    assert (rows.diff(dim=1) == 1).all()  # no row twice in a graph
    assert rows[:-1].flatten().tolist() == list(range(rows[:-1].numel()))  # only the last graph borrows


@pytest.mark.parametrize("count", [2, 3, 15])
def test_a_batch_smaller_than_a_graph_is_one_graph(count):
    assert split(count, 16).tolist() == [list(range(count))]


@pytest.mark.parametrize(("count", "size"), [(1, 16), (0, 16), (16, 1), (16, 0)])
def test_one_image_is_no_graph(count, size):
    with pytest.raises(BenchError, match=f"the batch has {count}, graph_size is {size}"):
        split(count, size)


def slow_neighbours(nodes, k):
    edges = []
    for i, one in enumerate(nodes.double()):
        others = [j for j in range(len(nodes)) if j != i]
        edges += [(i, j) for j in sorted(others, key=lambda j: ((one - nodes[j].double()).norm().item(), j))[:k]]
    return edges


def edges_of(nodes, k):
    return [[tuple(edge) for edge in graph] for graph in nearest_neighbours(nodes, k).tolist()]


@pytest.mark.parametrize(("n", "k"), [(16, 5), (16, 1), (6, 5), (6, 6), (4, 100), (2, 5), (2, 1)])
def test_neighbours_are_those_of_a_slow_loop(n, k):
    nodes = torch.randn(7, n, 12, generator=torch.Generator().manual_seed(n))
    assert edges_of(nodes, k) == [slow_neighbours(graph, k) for graph in nodes]


def test_neighbours_in_a_crowd_far_from_zero_are_those_of_a_slow_loop():
    nodes = 100 + 0.01 * torch.randn(3, 16, 128, generator=torch.Generator().manual_seed(0))
    assert edges_of(nodes, 5) == [slow_neighbours(graph, 5) for graph in nodes]


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_of_equal_distances_the_lower_index_is_nearer(scale):
    line = scale * torch.tensor([0.0, 1.0, 2.0, 2.0, 1.0, 0.0])[None, :, None]  # two nodes at each place
    expected = [(0, 5), (0, 1), (1, 4), (1, 0), (2, 3), (2, 1), (3, 2), (3, 1), (4, 1), (4, 0), (5, 0), (5, 1)]
    assert edges_of(line, 2) == [expected]
    assert edges_of(line, 2) == [slow_neighbours(line[0], 2)]


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_duplicates_are_neighbours_and_no_node_is_its_own(offset):
    nodes = torch.randn(3, 16, 128, generator=torch.Generator().manual_seed(0)) + offset
    nodes[:, 9], nodes[2] = nodes[:, 4], offset  # a pair of one image; a graph that collapsed
    edges = nearest_neighbours(nodes, 5)
    assert (edges[..., 0] != edges[..., 1]).all()
    assert edges[:2, 20, 1].tolist() == [9, 9]
    assert edges[:2, 45, 1].tolist() == [4, 4]
    assert edges[2, :, 1].view(16, 5)[[0, 3, 15]].tolist() == [[1, 2, 3, 4, 5], [0, 1, 2, 4, 5], [0, 1, 2, 3, 4]]


def test_the_choice_of_neighbours_has_no_gradient_and_no_autocast():
    nodes = torch.randn(4, 16, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
    edges = nearest_neighbours(nodes, 5)
    assert not edges.requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(nearest_neighbours(nodes, 5), edges)
        assert torch.equal(nearest_neighbours(nodes.bfloat16(), 5), nearest_neighbours(nodes.bfloat16().float(), 5))


def test_an_edge_either_way_makes_two_nodes_adjacent():
    edges = torch.tensor([[[0, 1], [1, 0], [2, 0], [3, 1]], [[0, 3], [1, 3], [2, 3], [3, 2]]])
    a = adjacency(edges, 5)
    assert a.dtype == torch.float32
    pairs = [[(i, j) for i in range(5) for j in range(5) if graph[i, j] == 1] for graph in a]
    assert pairs[0] == [(0, 1), (0, 2), (1, 0), (1, 3), (2, 0), (3, 1)]
    assert pairs[1] == [(0, 3), (1, 3), (2, 3), (3, 0), (3, 1), (3, 2)]
    assert a.sum() == 12


def neighbourhoods(edges, n):
    return [sorted({j for e in edges.tolist() for i, j in (e, e[::-1]) if i == node}) for node in range(n)]


def slow_convolution(nodes, near, weight):
    """D^-1/2 (A + I) D^-1/2 H W, node by node."""
    degree = [1 + len(others) for others in near]
    rows = []
    for i, others in enumerate(near):
        passed = [nodes[j] / (degree[i] * degree[j]) ** 0.5 for j in [*others, i]]
        rows.append(weight @ sum(passed))
    return torch.stack(rows)


def slow_messages(net, form, nodes, edges):
    """One graph, in float64."""
    h, near = nodes.double(), neighbourhoods(edges, len(nodes))
    weights = [layer.weight.detach().double() for layer in net.neighbours]
    for number, weight in enumerate(weights):
        last = number + 1 == len(weights)
        if form == "node_weight":
            own = net.own[number]
            rows = [own.weight.detach().double() @ x + own.bias.detach().double() for x in h]
            h = torch.stack(
                [x + (weight @ h[others].mean(0) if others else 0) for x, others in zip(rows, near, strict=True)]
            )
        else:
            h = slow_convolution(h, near, weight)
        h = h if last and form != "equation" else h.clamp(min=0)
    return nodes.double() + h if form == "skip" else h


def network(form, dim=8, layers=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MessagePassing(dim, layers=layers, form=form)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("form", ["skip", "node_weight", "equation"])
def test_messages_are_those_of_a_slow_loop(form, layers):
    nodes = torch.randn(3, 7, 8, generator=torch.Generator().manual_seed(1))
    edges = nearest_neighbours(nodes, 2)
    net = network(form, layers=layers)
    expected = torch.stack([slow_messages(net, form, *graph) for graph in zip(nodes, edges, strict=True)])
    assert (net(nodes, edges) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("form", ["skip", "node_weight", "equation"])
def test_a_node_without_neighbours_hears_only_itself(form):
    nodes, edges = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([[[0, 1], [1, 0]]])
    net = network(form)
    assert (net(nodes, edges)[0] - slow_messages(net, form, nodes[0], edges[0])).abs().max() < 1e-5


def test_without_message_passing_nodes_stay_and_nothing_is_learned():
    nodes, net = torch.randn(2, 5, 8), network("none")
    assert torch.equal(net(nodes, nearest_neighbours(nodes, 2)), nodes)
    assert not list(net.parameters())


@pytest.mark.parametrize("form", ["skip", "node_weight", "equation"])
def test_every_weight_has_a_gradient(form):
    nodes, net = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(1)), network(form)
    net(nodes, nearest_neighbours(nodes, 2)).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in net.parameters())


@pytest.mark.parametrize("form", FORMS)
def test_nodes_in_another_order_give_the_same_in_that_order(form):
    generator = torch.Generator().manual_seed(3)
    nodes, order = torch.randn(5, 16, 8, generator=generator), torch.randperm(16, generator=generator)
    net = network(form)
    plain = net(nodes, nearest_neighbours(nodes, 5))
    moved = net(nodes[:, order], nearest_neighbours(nodes[:, order], 5))
    assert (moved - plain[:, order]).abs().max() < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_messages_under_autocast_are_near_those_without(form):
    nodes, net = torch.randn(2, 16, 8, generator=torch.Generator().manual_seed(1)), network(form)
    edges = nearest_neighbours(nodes, 5)
    with torch.autocast("cpu", torch.bfloat16):
        for given in (nodes, nodes.bfloat16()):
            assert (net(given, edges).float() - net(nodes, edges).float()).abs().max() < 0.05
    assert (net(nodes.bfloat16().float(), edges) - net(nodes, edges)).abs().max() < 0.05


def likeness(nodes):
    """Mean cosine of different nodes of a graph."""
    n = nodes.shape[1]
    between = cosine_similarity(nodes[:, :, None], nodes[:, None], dim=-1)
    return between[:, ~one_hot(torch.arange(n), n).bool()].mean().item()


def test_the_equation_as_printed_makes_nodes_alike_and_a_path_of_their_own_does_not():
    nodes = torch.randn(20, 16, 128, generator=torch.Generator().manual_seed(0))
    edges = nearest_neighbours(nodes, 5)
    alike = {form: likeness(network(form, dim=128)(nodes, edges)) for form in FORMS}
    assert alike["none"] == pytest.approx(0, abs=0.01)
    assert alike["equation"] > 0.85
    assert alike["skip"] < 0.1
    assert alike["node_weight"] < alike["equation"] - 0.2
