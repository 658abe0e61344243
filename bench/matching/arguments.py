"""What a solver is given: checked once, in one form, whether it came as tensors or as numpy arrays."""

from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from bench.errors import BenchError

Array = TypeVar("Array", Tensor, np.ndarray[Any, np.dtype[Any]])


class Problem(NamedTuple):
    """A batch of matching problems, on one device; every affinity is finite and every edge within its graph."""

    vertex: Float[Tensor, "g n n"]
    edge: Float[Tensor, "g e f"]  # float32 or float64, as `vertex`
    edges_s: Int64[Tensor, "g e 2"]  # -1 at both ends: padding
    edges_t: Int64[Tensor, "g f 2"]


def read(vertex: Array, edge: Array, edges_s: Array, edges_t: Array) -> Problem:
    """The problem that the arguments of `solve` state; a BenchError says what is wrong with them."""
    v, c, s, t = (_tensor(x) for x in (vertex, edge, edges_s, edges_t))
    n = _nodes(v, c, s, t)
    v, c = (_affinities(name, x) for name, x in (("vertex", v), ("edge", c)))
    return Problem(v, c, _edges("edges_s", s, n), _edges("edges_t", t, n))


def read_matching(matching: Tensor | np.ndarray[Any, np.dtype[Any]], problem: Problem) -> Int64[Tensor, "g n"]:
    """`matching` beside the problem, if each row of it is a permutation; else a BenchError."""
    places = _tensor(matching).to(problem.vertex.device)
    g, n = problem.vertex.shape[:2]
    every = torch.arange(n, device=places.device)
    if places.is_floating_point() or places.shape != (g, n) or not bool((places.sort(1).values == every).all()):
        raise BenchError(f"graph matching: expected matchings (g n), here ({g}, {n}), of all nodes 0 to {n - 1}; got "
                         f"{tuple(places.shape)} {places.dtype}")  # fmt: skip
    return places.long()


def like(answer: Tensor, given: Array) -> Array:
    """`answer` as an array of the kind of `given`, on its device."""
    return answer.to(given.device) if isinstance(given, Tensor) else answer.cpu().numpy()


def centred(problem: Problem) -> tuple[Float64[Tensor, "g n n"], Float64[Tensor, " g"]]:
    """`vertex` without what all matchings have in common, and the largest affinity that is left (1 if there is none).

    A constant on a row or a column adds the same to every matching, but would cost a search in float32 its digits.
    """
    vertex = problem.vertex.double()
    vertex = vertex - vertex.mean(2, keepdim=True)
    vertex = vertex - vertex.mean(1, keepdim=True)
    scale = torch.stack([abs(end).double() for x in (vertex, problem.edge) for end in _range(x)]).amax(0)
    return vertex, torch.where(scale > 0, scale, 1.0)


def _range(x: Float[Tensor, "g _ _"]) -> tuple[Float[Tensor, " g"], Float[Tensor, " g"]]:
    """The least and the largest number of each graph (0 if it has none), or NaN if one is: faster than `isfinite`."""
    return (x.amin((1, 2)), x.amax((1, 2))) if x.numel() else (x.new_zeros(len(x)), x.new_zeros(len(x)))


def _tensor(given: Tensor | np.ndarray[Any, np.dtype[Any]]) -> Tensor:
    if isinstance(given, Tensor):
        return given.detach()
    return torch.from_numpy(np.require(given, requirements=["C", "W"]))  # torch warns of what cannot be written


def _nodes(v: Tensor, c: Tensor, s: Tensor, t: Tensor) -> int:
    """n, if the four arguments agree on g, n, e and f."""
    shapes = ", ".join(
        f"{name} {tuple(x.shape)}" for name, x in (("vertex", v), ("edge", c), ("edges_s", s), ("edges_t", t))
    )
    g, n, e, f = (*v.shape[:2], *c.shape[1:3]) if v.ndim == c.ndim == 3 else (0, 0, 0, 0)
    if [x.shape for x in (v, c, s, t)] != [(g, n, n), (g, e, f), (g, e, 2), (g, f, 2)]:
        raise BenchError(f"graph matching: expected vertex (g n n), edge (g e f), edges_s (g e 2), edges_t (g f 2); "
                         f"got {shapes}")  # fmt: skip
    if n < 1:
        raise BenchError("graph matching: a graph needs one node or more")
    return int(n)


def _affinities(name: str, x: Tensor) -> Float[Tensor, "g _ _"]:
    """`x` as float32, or float64 where it has more digits."""
    if x.is_complex() or x.dtype == torch.bool:
        raise BenchError(f"graph matching: {name} holds {x.dtype}, where affinities are real numbers")
    x = x if x.dtype in (torch.float32, torch.float64) else x.float() if x.is_floating_point() else x.double()
    bad = ~torch.isfinite(torch.stack(_range(x))).all(0)
    if bad.any():
        graphs = bad.nonzero()[:, 0].tolist()
        raise BenchError(f"graph matching: {name} holds a NaN or an infinite affinity in graph {graphs[0]}"
                         f" ({len(graphs)} of {len(x)} graphs do)")  # fmt: skip
    return x


def _edges(name: str, x: Tensor, n: int) -> Int64[Tensor, "g _ 2"]:
    """`x` as int64, if every edge joins two nodes or is padding."""
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise BenchError(f"graph matching: {name} holds {x.dtype}, where nodes are integers")
    x = x.long()
    start, end = x.unbind(2)
    bad = (x < -1).any(2) | (x >= n).any(2) | ((start < 0) != (end < 0))
    if bad.any():
        graph, edge = bad.nonzero()[0].tolist()
        raise BenchError(f"graph matching: {name} joins {x[graph, edge].tolist()} in graph {graph}; nodes are 0 to "
                         f"{n - 1}, and padding is -1 at both ends")  # fmt: skip
    return x
