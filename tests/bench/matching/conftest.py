"""What tests of graph matching share: instances like those of two views of a batch, the best of all matchings."""

from itertools import permutations

import pytest
import torch
from torch.nn.functional import normalize, one_hot

from bench.matching.affinity import edge_affinity, vertex_affinity
from bench.matching.gradient import Problem
from bench.matching.graphs import nearest_neighbours


@pytest.fixture
def embeddings():
    """Embeddings of two views: z of random directions, and z + `spread` times other ones (3: an untrained encoder)."""

    def draw(graphs, n, *, spread=0.3, dim=128, seed=0):
        generator = torch.Generator().manual_seed(seed)
        z, other = normalize(torch.randn(2, graphs, n, dim, generator=generator), dim=-1)
        return z, normalize(z + spread * other, dim=-1)

    return draw


@pytest.fixture
def problem(embeddings):
    """A batch of problems of such embeddings, the identity the true matching."""

    def draw(graphs, n, *, k=5, spread=0.3, seed=0):
        return pose(*embeddings(graphs, n, spread=spread, seed=seed), k)

    return draw


def pose(z_s, z_t, k):
    edges_s, edges_t = nearest_neighbours(z_s, k), nearest_neighbours(z_t, k)
    return Problem(vertex_affinity(z_s, z_t), edge_affinity(z_s, edges_s, z_t, edges_t), edges_s, edges_t)


@pytest.fixture(name="pose")
def _pose():
    """The problem of two embeddings and their k nearest neighbours."""
    return pose


@pytest.fixture
def values():
    """The objective of every permutation: (permutations n), and (g permutations) in float64."""
    return value_of_all


def value_of_all(vertex, edge, edges_s, edges_t):
    graphs, n, _ = vertex.shape
    every = torch.tensor(list(permutations(range(n))))
    nodes = one_hot(every, n).double().flatten(1)
    i, j = edges_s[:, :, None].unbind(-1)
    a, b = edges_t[:, None].unbind(-1)
    places = ((i * n + a) * n * n + j * n + b).flatten(1)  # (ia, jb): edges between the same nodes add up
    pairs = vertex.new_zeros(graphs, n**4, dtype=torch.double).scatter_add_(1, places, edge.double().flatten(1))
    both = (nodes[:, :, None] * nodes[:, None]).flatten(1)
    return every, vertex.double().flatten(1) @ nodes.T + pairs @ both.T


@pytest.fixture
def exact():
    """A solver that tries every permutation."""

    def solve(vertex, edge, edges_s, edges_t):
        every, worth = value_of_all(vertex.detach(), edge.detach(), edges_s, edges_t)
        return every[worth.argmax(1)]

    return solve
