"""Robust tabu search, the default solver: graphs shared out among threads, each with random numbers of its own.

Taillard, Robust taboo search for the quadratic assignment problem, Parallel Computing 17, 1991. It swaps the places of
the two nodes that gain most by it (or lose least), may not swap these back for some moves, and starts again from a
random matching when it has not got better for a while. The compiled part is in `kernels`.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from bench.matching.arguments import Problem, centred

AGREEMENT = 8  # rounds that must end at the best value; 6 take a tenth less time, but miss a small graph in 500
CHUNKS = 4  # a thread: graphs differ in the time they take


def match(problem: Problem, *, iterations: int, seed: int, threads: int | None = None) -> Int64[Tensor, "g n"]:
    """A good matching of each graph, after `iterations` moves at most; the same for any number of threads.

    It stops earlier where several rounds from random matchings have ended at the same best value.
    """
    from bench.matching import kernels

    vertex, scale = (x.cpu().numpy() for x in centred(problem))
    edge, edges_s, edges_t = (x.cpu().contiguous().numpy() for x in problem[1:])
    out = np.empty(vertex.shape[:2], np.int64)
    workers = threads or torch.get_num_threads()
    bounds = np.linspace(0, len(out), 1 + (CHUNKS * workers if workers > 1 else 1)).astype(int).tolist()
    start: Any = np.uint64(seed % 2**64)

    def search(low: int, high: int) -> None:
        part = slice(low, high)
        graphs = vertex[part], edge[part], edges_s[part], edges_t[part]
        kernels.search(*graphs, 1 / scale[part], iterations, AGREEMENT, start, low, out[part])

    if workers == 1:
        search(0, len(out))
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(search, bounds[:-1], bounds[1:]))
    return torch.from_numpy(out)
