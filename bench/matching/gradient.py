"""The loss of a matching and a gradient through it: section 3.2.4 of LVM-Med (arXiv:2306.11925).

A matching is piecewise constant in its affinities, so it has no useful gradient; implicit maximum-likelihood estimation
(Niepert et al. 2021, arXiv:2106.01798) takes the difference of two matchings instead. Here c is an affinity, to be
maximised: v~ = GM(c + eps) is found, v_lambda = GM(c + eps - lambda dL/dv) is better, and (v~ - v_lambda) / lambda is
the gradient (eq. 6). With costs, both signs would flip.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bench.matching.arguments import Problem as Problem
from bench.matching.solver import certify, solve

Noise = Literal["gumbel", "margin", "none"]
Solve = Callable[..., Any]


class Matched(NamedTuple):
    """The loss, and the matchings it was computed from: one a sample and graph."""

    loss: Float[Tensor, ""]
    matching: Int64[Tensor, "samples g n"]
    better: Int64[Tensor, "samples g n"]  # v_lambda


def objective(problem: Problem, matching: Int64[Tensor, "g n"]) -> Float[Tensor, " g"]:
    """What eq. 4 maximises, sum c^v_ia v_ia + sum c^e_ia,jb v_ia v_jb: linear in c, and differentiable."""
    vertex, edge, edges_s, edges_t = problem
    matched = vertex.gather(2, matching[..., None]).sum((1, 2))
    return matched + (edge * joint(matching, edges_s, edges_t)).sum((1, 2))


def joint(
    matching: Int64[Tensor, "g n"], edges_s: Int64[Tensor, "g e 2"], edges_t: Int64[Tensor, "g f 2"]
) -> Float[Tensor, "g e f"]:
    """Indicators v_ia v_jb: 1 where both ends of an edge are matched to both ends of the other."""
    graph = torch.arange(len(matching), device=matching.device)[:, None, None]
    images = torch.where(edges_s < 0, -2, matching[graph, edges_s])  # padding is matched to nothing
    return (images[:, :, None] == edges_t[:, None]).all(-1).float()


def hamming(matching: Int64[Tensor, "*g n"], truth: Int64[Tensor, "#*g n"]) -> Float[Tensor, "*g"]:
    """L(v, v*) = v (1 - v*) + v* (1 - v) of eq. 5, summed: twice the number of nodes that are matched wrongly."""
    return 2.0 * (matching != truth).sum(-1)


def gumbel(*shape: int, generator: torch.Generator) -> Float[Tensor, "..."]:
    """Gumbel(0, 1) noise: mean 0.577, variance pi^2 / 6, on the generator's device."""
    uniform = torch.rand(shape, generator=generator, device=generator.device)
    return -(-uniform.clamp(min=torch.finfo(uniform.dtype).tiny).log()).log()


def perturbed(
    problem: Problem, truth: Int64[Tensor, "g n"], noise: Noise, temperature: float, generator: torch.Generator
) -> Problem:
    """The affinities that are solved with: detached, and with noise.

    `gumbel`: independent Gumbel noise times `temperature` on every affinity of vertices and of edges (Algorithm 1).
    `margin`: `temperature` less for the true vertices, which is the "constant value" of Table 6 in the work it cites
    (Rolinek et al. 2020, arXiv:2003.11657); on edges it is not defined. `none`: as they are.
    """
    vertex, edge = problem.vertex.detach().float(), problem.edge.detach().float()
    if noise == "gumbel":
        vertex = vertex + temperature * gumbel(*vertex.shape, generator=generator).to(vertex.device)
        edge = edge + temperature * gumbel(*edge.shape, generator=generator).to(edge.device)
    elif noise == "margin":
        vertex = vertex.scatter_add(2, truth[..., None], vertex.new_full((*truth.shape, 1), -temperature))
    return Problem(vertex, edge, problem.edges_s, problem.edges_t)


def improved(problem: Problem, truth: Int64[Tensor, "g n"], lambda_: float, solver: Solve) -> Int64[Tensor, "g n"]:
    """v_lambda = GM(c - lambda (1 - 2 v*)), for perturbed affinities c: the second solve of eq. 6.

    Up to a constant, lambda dL/dv takes 2 lambda from all but the true vertices. Where a bound proves that v* itself is
    the answer, which is nearly always at lambda >= 20, nothing is solved.
    """
    raised = problem.vertex.scatter_add(2, truth[..., None], problem.vertex.new_full((*truth.shape, 1), 2 * lambda_))
    eased = problem._replace(vertex=raised)
    found = truth.clone()
    if len(rest := (~certify(*eased, truth)).nonzero()[:, 0]):
        found[rest] = solver(*(part[rest] for part in eased))
    return found


def matching_loss(
    problem: Problem,
    truth: Int64[Tensor, "g n"],
    *,
    lambda_: float = 80.0,
    noise: Noise = "gumbel",
    temperature: float = 1.0,
    samples: int = 1,
    generator: torch.Generator,
    solver: Solve = solve,
    rest: Callable[[Tensor], Tensor] | None = None,
) -> Matched:
    """The Hamming loss of the perturbed matching, mean over graphs and samples, with the gradient of Algorithm 1.

    Its value is eq. 5's; its gradient is that of the linear surrogate <v~ - v_lambda, c> / lambda, which is the same as
    Algorithm 1's and, unlike a layer that perturbs by the gradient it is handed, does not change its direction when the
    loss is scaled, averaged, accumulated or shared among processes. lambda is that of one graph's summed loss.

    Where a part of the vertex affinities is too large to differentiate for all pairs, `problem.vertex` holds it as a
    number, and `rest` gives from a matching (g n) its sum over the matched pairs (g), with a gradient.
    """
    graphs = len(truth)
    drawn = Problem(*(part.repeat(samples, 1, 1) for part in problem))
    repeated = truth.repeat(samples, 1)
    noisy = perturbed(drawn, repeated, noise, temperature, generator)
    found = solver(*noisy)
    better = improved(noisy, repeated, lambda_, solver)
    ahead = objective(drawn, found) - objective(drawn, better)
    if rest:
        pairs = zip(found.split(graphs), better.split(graphs), strict=True)
        ahead = ahead + torch.cat([rest(one) - rest(other) for one, other in pairs])
    surrogate = ahead / lambda_
    loss = surrogate + (hamming(found, repeated) - surrogate).detach()
    return Matched(loss.mean(), found.view(samples, graphs, -1), better.view(samples, graphs, -1))
