"""Second-order graph matching: the permutation that gains most on nodes and on the edges that it maps to edges.

The objective is Lawler's quadratic assignment problem (Lawler, The quadratic assignment problem, Management Science 9,
1963), and eq. 4 of LVM-Med (arXiv:2306.11925). A matching p gains vertex[i, p(i)] for each node i, and edge[e, f] for
each edge e = (i, j) of the first graph and f = (a, b) of the second with p(i) = a and p(j) = b. Parallel and reversed
edges add up; a loop can only be mapped to a loop.
"""

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bench.errors import BenchError, unknown
from bench.matching.arguments import Array, Problem, like, read, read_matching

Mode = Literal["full", "linear", "exact"]
Solver = Literal["tabu", "torch", "lpmp", "pygmtools"]
ITERATIONS = 1000  # 0.1 % below the best on the hardest graphs of benchmarks/matching_speed.py, 0.01 % on the others


def solve(
    vertex: Array,
    edge: Array,
    edges_s: Array,
    edges_t: Array,
    *,
    mode: Mode = "full",
    solver: Solver = "tabu",
    iterations: int = ITERATIONS,
    seed: int = 0,
    threads: int | None = None,
) -> Array:
    """The best matching found of each of g pairs of graphs: (g n) int64, the column that each row is matched to.

    Arguments are tensors or numpy arrays; the answer is of the kind and on the device of `vertex`. `vertex` (g n n) and
    `edge` (g e f) are affinities, any finite numbers: more is better. `edges_s` (g e 2) and `edges_t` (g f 2) are the
    nodes that an edge goes from and to, in [0, n), or -1 twice for an edge that only fills the batch up.

    `mode`: `full`; `linear`, the best by the vertices alone (Crouse 2016, in scipy); `exact`, all of at most 10 nodes
    tried. `solver` of `full`: `tabu`; `torch`, a tabu search on the device of the affinities; `lpmp` and `pygmtools`,
    other people's, to compare with. `iterations` (of `tabu` and `torch`) bounds the moves made for a graph. The same
    `seed` gives the same matchings for any number of `threads` (of `tabu`; None: as many as torch uses).

    Raises BenchError for shapes that do not fit, affinities that are not finite, edges that join no nodes, names that
    do not exist, packages that are missing.
    """
    problem = read(vertex, edge, edges_s, edges_t)
    for what, name, known in (("mode", mode, get_args(Mode)), ("solver", solver, get_args(Solver))):
        if name not in known:
            raise unknown(what, name, known, where="graph matching")
    if iterations < 1 or (threads is not None and threads < 1):
        raise BenchError(f"graph matching: iterations ({iterations}) and threads ({threads}) are at least 1")
    if mode == "linear":
        return like(_assign(problem.vertex), vertex)
    if mode == "exact":
        from bench.matching import exact

        return like(exact.match(problem), vertex)
    found = _search(problem, solver, iterations, seed, threads)
    bare = (problem.edges_s < 0).all(2).all(1) | (problem.edges_t < 0).all(2).all(1)
    if bare.any():  # what is easily solved exactly
        found[bare] = _assign(problem.vertex[bare]).to(found.device)
    return like(found, vertex)


def _search(problem: Problem, solver: Solver, iterations: int, seed: int, threads: int | None) -> Int64[Tensor, "g n"]:
    if solver == "tabu":
        from bench.matching import tabu

        return tabu.match(problem, iterations=iterations, seed=seed, threads=threads)
    if solver == "torch":
        from bench.matching import tabu_torch

        return tabu_torch.match(problem, iterations=iterations, seed=seed)
    from bench.matching import peers

    return peers.lpmp(problem) if solver == "lpmp" else peers.pygmtools(problem)


def _assign(vertex: Float[Tensor, "g n n"]) -> Int64[Tensor, "g n"]:
    """The best linear assignment of each graph, on the CPU."""
    from scipy.optimize import linear_sum_assignment

    columns = [linear_sum_assignment(profit, maximize=True)[1] for profit in vertex.cpu().numpy()]
    return torch.from_numpy(np.array(columns, dtype=np.int64).reshape(vertex.shape[:2]))


def value(vertex: Array, edge: Array, edges_s: Array, edges_t: Array, matching: Array) -> Array:
    """What each matching (g n) gains on its graph, the objective that `solve` maximises: (g) float64."""
    problem = read(vertex, edge, edges_s, edges_t)
    places = read_matching(matching, problem)
    gained = problem.vertex.double().gather(2, places[..., None]).sum((1, 2))
    n = places.shape[1]
    ends = places.gather(1, problem.edges_s.clamp(min=0).flatten(1)).view(problem.edges_s.shape)
    mapped = torch.where(problem.edges_s < 0, n, ends)  # padding is mapped to no edge, be it padding
    (start, end), (first, last) = mapped.unbind(2), problem.edges_t.unbind(2)
    same = (start * n + end)[:, :, None] == (first * n + last)[:, None]
    return like(gained + torch.where(same, problem.edge, 0).sum((1, 2), dtype=torch.float64), vertex)


def certify(vertex: Array, edge: Array, edges_s: Array, edges_t: Array, matching: Array) -> Array:
    """Whether each matching (g n) is proven to be the best of its graph: (g) bool. False says nothing.

    No matching gains more than the sum of what each node that it moves is charged for in `kernels.charge`. So where the
    best linear assignment of the charges is to move none, the matching is the best (but for rounding in float64). It
    proves nearly all that is easy, as at lambda = 80 in LVM-Med, and next to nothing of noise.
    """
    from bench.matching import kernels

    problem: Problem = read(vertex, edge, edges_s, edges_t)
    v, c, s, t, places = (x.cpu().contiguous().numpy() for x in (*problem, read_matching(matching, problem)))
    charges = np.empty(v.shape)
    kernels.charge(v, c, s, t, places, charges)
    proven = np.asarray((charges <= 0).all((1, 2)))
    undecided = torch.from_numpy(charges[~proven])
    proven[~proven] = undecided.gather(2, _assign(undecided)[..., None]).sum((1, 2)).numpy() <= 0
    return like(torch.from_numpy(proven), vertex)
