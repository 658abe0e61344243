"""The best matching of small graphs by trying every one, extended node by node: for tests, and as a reference."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from bench.errors import BenchError
from bench.matching.arguments import Problem
from bench.matching.dense import tabulate

LARGEST = 10  # 3.6 million matchings, a second and 0.5 GB


def match(problem: Problem) -> Int64[Tensor, "g n"]:
    """The best matching of each graph, the first of equals; values are summed in float64."""
    g, n = problem.vertex.shape[:2]
    if n > LARGEST:
        raise BenchError(f"graph matching: mode exact tries all matchings, of {LARGEST} nodes at most, not of {n}")
    own, table = (x.cpu().numpy() for x in tabulate(problem, problem.vertex, torch.float64))
    best = np.empty((g, n), np.int64)
    for index in range(g):
        found, value = np.empty((1, 0), np.int8), np.zeros(1)
        for i in range(n):
            origin, label = np.nonzero((found[:, :, None] != np.arange(n)).all(1))
            found, value = found[origin], value[origin] + own[index, i, label]
            for k in range(i):
                value += table[index, i, label, k, found[:, k]]
            found = np.concatenate([found, label[:, None].astype(np.int8)], axis=1)
        best[index] = found[value.argmax()]
    return torch.from_numpy(best)
