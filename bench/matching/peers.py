"""Other people's solvers behind our arguments, to compare with: optional, slower than `tabu`, and not as good.

`lpmp`: the dual solver of LVM-Med's lineage (Swoboda et al., CVPR 2017; Rolinek et al. 2020, arXiv:2003.11657).
`pygmtools`: reweighted random walks (Cho et al., ECCV 2010), rounded by the Hungarian algorithm.
"""

import importlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from bench.errors import BenchError, missing_package
from bench.matching.arguments import Problem
from bench.matching.dense import tabulate

LPMP = "https://github.com/LPMP/LPMP"
LPMP_SETTINGS = {"timeout": 1000, "primalComputationInterval": 10, "maxIter": 100}  # those of Rolinek et al.
BATCH = 64  # graphs whose n^2 x n^2 affinities pygmtools is given at once

Array = np.ndarray[Any, np.dtype[Any]]


def lpmp(problem: Problem) -> Int64[Tensor, "g n"]:
    """LPMP's matching of each graph, on the CPU. It writes to standard output as it goes."""
    try:
        solver = importlib.import_module("lpmp_py.raw_solvers").gm_solver
    except ImportError as e:
        raise BenchError(
            f"solver lpmp needs the package `lpmp_py`, and its release on PyPI does not install ({e}). Build it: git "
            f"clone --recursive {LPMP} && pip install ./LPMP. Or leave out solver=, for our own"
        ) from e
    own, _ = tabulate(problem, problem.vertex, torch.float64)  # LPMP has no loops: here they are added to the vertices
    graphs = zip(*(x.cpu().numpy() for x in (own, *problem[1:])), strict=True)
    return torch.from_numpy(np.array([_lpmp_one(solver, *graph) for graph in graphs]).reshape(own.shape[:2]))


def _lpmp_one(solver: Any, own: Array, edge: Array, edges_s: Array, edges_t: Array) -> Array:
    from scipy.optimize import linear_sum_assignment

    (sources, which_s), (targets, which_t) = (np.unique(x, axis=0, return_inverse=True) for x in (edges_s, edges_t))
    joint = np.zeros((len(sources), len(targets)))
    np.add.at(joint, (which_s[:, None], which_t), edge)  # parallel edges add up
    kept_s, kept_t = ((x[:, 0] >= 0) & (x[:, 0] != x[:, 1]) for x in (sources, targets))
    joint, sources, targets = joint[kept_s][:, kept_t], sources[kept_s], targets[kept_t]
    # LPMP minimises, and may leave a node out at no cost: so each match earns a prize that exceeds all it can lose
    edges_of_a_node = np.bincount(sources.ravel(), minlength=1).max()
    prize = 1 + 2 * (abs(own).max() + edges_of_a_node * abs(joint).max(initial=0))
    chosen, _ = solver(-(own + prize), -joint, sources, targets, LPMP_SETTINGS)
    return np.asarray(linear_sum_assignment(own + prize * chosen, maximize=True)[1])  # completes what it left out


def pygmtools(problem: Problem) -> Int64[Tensor, "g n"]:
    """The matching by pygmtools' `rrwm` and `hungarian`, with their default settings."""
    try:
        library = importlib.import_module("pygmtools")
    except ImportError as e:
        raise missing_package("pygmtools", needed_by="solver pygmtools") from e
    g, n = problem.vertex.shape[:2]
    found = [torch.empty(0, n, dtype=torch.long)]
    for low in range(0, g, BATCH):
        part = Problem(*(x[low : low + BATCH] for x in problem))
        soft = library.rrwm(_walk(part), n1max=n, n2max=n, n1=_sizes(part), n2=_sizes(part), backend="pytorch")
        found.append(library.hungarian(soft, backend="pytorch").argmax(2).cpu())
    return torch.cat(found)


def _sizes(problem: Problem) -> Int64[Tensor, " g"]:
    g, n = problem.vertex.shape[:2]
    return torch.full((g,), n, device=problem.vertex.device)


def _walk(problem: Problem) -> Float[Tensor, "g m m"]:
    """K of the objective x' K x, (g n^2 n^2), indexed [a n + i, b n + k], and at least 0 as random walks need it.

    Each pair of nodes stands in it twice, so with half of what it gains. What is added to all pairs that can be matched
    together is the same for every matching, as is what is added to all vertices; pairs that cannot be stay at 0.
    """
    g, n = problem.vertex.shape[:2]
    own, table = tabulate(problem, problem.vertex, torch.float32)
    apart = ~torch.eye(n, dtype=torch.bool, device=own.device)
    possible = apart[:, None, :, None] & apart[None, :, None, :]  # i a k b
    table = torch.where(possible, 0.5 * (table - table.amin((1, 2, 3, 4), keepdim=True)), 0)
    matrix = table.permute(0, 2, 1, 4, 3).reshape(g, n * n, n * n)
    return matrix + torch.diag_embed((own - own.amin((1, 2), keepdim=True)).mT.flatten(1))
