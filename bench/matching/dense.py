"""Matching problems as dense tables, for solvers that have no other form: n^4 numbers a graph, 262 kB at n = 16."""

import torch
from jaxtyping import Float
from torch import Tensor

from bench.matching.arguments import Problem


def tabulate(
    problem: Problem, vertex: Float[Tensor, "g n n"], dtype: torch.dtype
) -> tuple[Float[Tensor, "g n n"], Float[Tensor, "g n n n n"]]:
    """Own and joint gains: own[g, i, a] of i at a, loops included, and table[g, i, a, k, b] of i at a and k at b.

    The objective is the sum of the own gains and half the sum of the joint ones, which are symmetric: [i, a, k, b] is
    [k, b, i, a]. `vertex` replaces that of the problem. No number leaves the device.
    """
    (g, n), device = vertex.shape[:2], vertex.device
    graph = torch.arange(g, device=device)[:, None, None].expand(problem.edge.shape)
    i, k = (problem.edges_s[:, :, None, end].expand(problem.edge.shape) for end in (0, 1))
    a, b = (problem.edges_t[:, None, :, end].expand(problem.edge.shape) for end in (0, 1))
    real = (i >= 0) & (a >= 0) & ((i == k) == (a == b))  # a loop pairs with loops alone
    gain = torch.where(real, problem.edge, 0).to(dtype)
    i, k, a, b = (x.clamp(min=0) for x in (i, k, a, b))
    table = torch.zeros(g, n, n, n, n, dtype=dtype, device=device)
    table.index_put_((graph, i, a, k, b), gain, accumulate=True)
    diagonal = table.view(g, n * n, n * n).diagonal(dim1=1, dim2=2)
    own = vertex.to(dtype) + diagonal.view(g, n, n)
    diagonal.zero_()
    return own, table + table.permute(0, 3, 4, 1, 2)
