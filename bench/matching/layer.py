"""Graph matching as a differentiable layer, for any loss on top of it.

Rolinek et al., Deep Graph Matching via Blackbox Differentiation of Combinatorial Solvers, ECCV 2020 (arXiv:2003.11657),
with affinities in place of costs. For the Hamming loss, `gradient.matching_loss` is the better choice.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bench.matching.gradient import joint
from bench.matching.solver import solve


def match(
    vertex: Float[Tensor, "g n n"],
    edge: Float[Tensor, "g e f"],
    edges_s: Int64[Tensor, "g e 2"],
    edges_t: Int64[Tensor, "g f 2"],
    *,
    lambda_: float = 80.0,
    solver: Callable[..., Tensor] = solve,
) -> tuple[Float[Tensor, "g n n"], Float[Tensor, "g e f"]]:
    """Indicators v of matched nodes and v_ia v_jb of matched edges, through which a loss has a gradient.

    Backward solves again with c - lambda dy, where the incoming gradient dy of each graph is first divided by its
    largest absolute entry, so that lambda means the same however the loss is scaled; the answer is multiplied by it
    again. A graph with no incoming gradient gets none. Add noise to the affinities before the call.
    """
    found: tuple[Tensor, Tensor] = _Match.apply(vertex, edge, edges_s, edges_t, lambda_, solver)
    return found


class _Match(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, vertex: Tensor, edge: Tensor, edges_s: Tensor, edges_t: Tensor, lambda_: float, solver: Any
    ) -> tuple[Tensor, Tensor]:
        nodes, edges = _indicators(solver(vertex, edge, edges_s, edges_t), edges_s, edges_t)
        ctx.save_for_backward(vertex, edge, edges_s, edges_t, nodes, edges)
        ctx.lambda_, ctx.solver = lambda_, solver
        return nodes, edges

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        vertex, edge, edges_s, edges_t, *found = ctx.saved_tensors
        size = torch.stack([g.abs().flatten(1).amax(1) if g[0].numel() else g.new_zeros(len(g)) for g in upstream])
        scale = size.amax(0)[:, None, None]
        step = ctx.lambda_ / torch.where(scale > 0, scale, 1)
        better = _indicators(
            ctx.solver(vertex - step * upstream[0], edge - step * upstream[1], edges_s, edges_t), edges_s, edges_t
        )
        gradients = (scale / ctx.lambda_ * (v - w) for v, w in zip(found, better, strict=True))
        return *gradients, None, None, None, None


def _indicators(matching: Tensor, edges_s: Tensor, edges_t: Tensor) -> tuple[Tensor, Tensor]:
    nodes = torch.nn.functional.one_hot(matching, matching.shape[1]).float()
    return nodes, joint(matching, edges_s, edges_t)
