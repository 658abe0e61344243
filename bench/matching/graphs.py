"""Graphs over embeddings: who is whose neighbour, and what passes between neighbours.

Section 3.2.1 of LVM-Med (Nguyen et al., NeurIPS 2023, arXiv:2306.11925); the layers are those of Kipf and Welling 2017
(arXiv:1609.02907) and of Morris et al. 2019 (arXiv:1810.02244).
"""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from bench.errors import BenchError

Form = Literal["skip", "node_weight", "equation", "none"]


def split(count: int, size: int) -> Int64[Tensor, "g n"]:
    """Rows of a batch of `count` in graphs of `size` consecutive ones, every row in at least one graph.

    Where `size` does not divide `count`, the last graph is filled up from the one before it, so those rows count twice;
    a batch smaller than `size` is one small graph. Raises BenchError below two rows, of which no graph can be made.
    """
    if count < 2 or size < 2:
        raise BenchError(f"a graph to be matched needs at least 2 images; the batch has {count}, graph_size is {size}")
    size = min(size, count)
    starts = torch.tensor([min(start, count - size) for start in range(0, count, size)])
    return starts[:, None] + torch.arange(size)


def nearest_neighbours(nodes: Float[Tensor, "g n d"], k: int) -> Int64[Tensor, "g e 2"]:
    """Directed edges (i, j) from each node i to its k nearest others j by L2 distance; e = n min(k, n - 1).

    Among equal distances the lower index is nearer. The choice of edges has no gradient.
    """
    graphs, n, _ = nodes.shape
    with torch.no_grad(), torch.autocast(nodes.device.type, enabled=False):
        distance = torch.cdist(nodes.float(), nodes.float(), compute_mode="donot_use_mm_for_euclid_dist")
        distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
        nearest = distance.argsort(dim=2, stable=True)[:, :, : min(k, n - 1)]
    sources = torch.arange(n, device=nodes.device)[:, None].expand_as(nearest)
    return torch.stack([sources, nearest], dim=-1).view(graphs, -1, 2)


def adjacency(edges: Int64[Tensor, "g e 2"], n: int) -> Float[Tensor, "g {n} {n}"]:
    """1 where an edge runs either way: a graph convolution wants the symmetric matrix, nearest neighbours give none."""
    flat = edges[..., 0] * n + edges[..., 1]
    directed = torch.zeros(len(edges), n * n, device=edges.device).scatter_(1, flat, 1.0).view(-1, n, n)
    return directed.maximum(directed.mT)


class MessagePassing(nn.Module):
    """g_eps: `layers` graph convolutions of `dim` channels with a ReLU after each, in one of four forms.

    - `equation` (eq. 1): H' = relu(D^-1/2 (A + I) D^-1/2 H W). D are the degrees of A + I, as in the work it cites; in
      print they are those of A. A node's own embedding is one of about six that are averaged, twice.
    - `skip`: H + g(H), g as in `equation` with no ReLU at its end, so that the node keeps what it is.
    - `node_weight`: H' = H W1 + A H W2 with A's rows averaged: a weight of its own for the node, which the authors'
      later work uses; no ReLU at the end.
    - `none`: H, with no weights.
    """

    def __init__(self, dim: int, *, layers: int = 2, form: Form = "skip") -> None:
        super().__init__()
        self.form = form
        count = 0 if form == "none" else layers
        self.neighbours = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in range(count))
        self.own = nn.ModuleList(nn.Linear(dim, dim) for _ in range(count if form == "node_weight" else 0))

    def forward(self, nodes: Float[Tensor, "g n d"], edges: Int64[Tensor, "g e 2"]) -> Float[Tensor, "g n d"]:
        """Embeddings of the nodes after all layers."""
        if self.form == "none":
            return nodes
        a = adjacency(edges, nodes.shape[1]).to(nodes.dtype)
        hidden = nodes
        for number, layer in enumerate(self.neighbours):
            if self.form == "node_weight":
                hidden = self.own[number](hidden) + mean_of_neighbours(a) @ layer(hidden)
            else:
                hidden = normalised(a) @ layer(hidden)
            if self.form == "equation" or number + 1 < len(self.neighbours):
                hidden = hidden.relu()
        return nodes + hidden if self.form == "skip" else hidden


def normalised(a: Float[Tensor, "g n n"]) -> Float[Tensor, "g n n"]:
    """D^-1/2 (A + I) D^-1/2 of eq. 1, D the degrees of A + I."""
    a = a + torch.eye(a.shape[1], device=a.device, dtype=a.dtype)
    root = a.sum(-1).rsqrt()
    return root[:, :, None] * a * root[:, None, :]


def mean_of_neighbours(a: Float[Tensor, "g n n"]) -> Float[Tensor, "g n n"]:
    """Rows of A divided by their sums; a row of zeros stays one."""
    return a / a.sum(-1, keepdim=True).clamp(min=1)
