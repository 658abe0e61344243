"""LVM-Med: two views of a batch are two graphs, and the encoder learns to have them matched node for node.

Nguyen et al., LVM-Med: Learning Large-Scale Self-Supervised Vision Models for Medical Imaging via Second-order Graph
Matching, NeurIPS 2023, arXiv:2306.11925. What the paper leaves open, what was chosen and why: docs/lvm_med.md.
"""

from functools import partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from bench.matching import solve
from bench.matching.affinity import Local, edge_affinity, positions, vertex_affinity
from bench.matching.gradient import Problem, matching_loss
from bench.matching.graphs import MessagePassing, nearest_neighbours, split
from bench.spec import Encoder, Method, View, Views, ssl_method


class Graphs(NamedTuple):
    """The graphs of one view of a batch: what section 3.2.1 makes of it."""

    projected: Float[Tensor, "g n d"]
    nodes: Float[Tensor, "g n d"]  # after message passing
    edges: Int64[Tensor, "g e 2"]
    maps: Float[Tensor, "g n p c"]
    places: Float[Tensor, "g n p 2"]  # of the maps' positions in the source image


@ssl_method("lvm_med", paper="arXiv:2306.11925", small={"dim": 8, "graph_size": 4, "neighbours": 2})
class LVMMed(Method):
    """Sizes, k = 5, lambda = 80 and alpha = 0.8 are appendix A's; what the paper does not have: docs/lvm_med.md."""

    views = Views(global_scale=(0.4, 1.0))

    def __init__(
        self,
        encoder: Encoder,
        *,
        pool: Literal["encoder", "map"] = "encoder",
        dim: int = 128,
        batch_norm: bool = True,
        graph_size: int = 16,
        neighbours: int = 5,
        message_passing: Literal["skip", "node_weight", "equation", "none"] = "skip",
        layers: int = 2,
        local: Literal["equation", "pseudo_code", "none"] = "equation",
        alpha: float = 0.8,
        gamma: float = 0.4,
        second_order: bool = True,
        noise: Literal["gumbel", "margin", "none"] = "gumbel",
        temperature: float = 0.1,
        lambda_: float = 80.0,
        samples: int = 1,
    ) -> None:
        super().__init__(encoder)
        self.pool, width = pool, encoder.dim if pool == "encoder" else encoder.map_dims[-1]
        self.projector = nn.Sequential(nn.Linear(width, dim), *[nn.BatchNorm1d(dim)] * batch_norm)
        self.messages = MessagePassing(dim, layers=layers, form=message_passing)
        self.graph_size, self.neighbours, self.second_order = graph_size, neighbours, second_order
        self.local = None if local == "none" else partial(Local, mix=local, gamma=gamma)
        self.alpha = alpha if self.local else 1.0
        self.matching_loss = partial(
            matching_loss, noise=noise, temperature=temperature, lambda_=lambda_, samples=samples
        )

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """Mean matching loss over the pairs of views with at least one of the first two, the global crops, in them."""
        rows = split(len(views[0].images), self.graph_size).to(views[0].images.device)
        graphs = [self._graphs(view, rows) for view in views]
        return torch.stack([self._match(s, t) for i, s in enumerate(graphs[:2]) for t in graphs[i + 1 :]]).mean()

    def _graphs(self, view: View, rows: Int64[Tensor, "g n"]) -> Graphs:
        pooled, maps = self.encoder(view.images)
        with torch.autocast(view.images.device.type, enabled=False):
            vector = pooled if self.pool == "encoder" else maps[-1].mean((2, 3))
            projected = self.projector(vector.float())[rows]
            edges = nearest_neighbours(projected, self.neighbours)
            nodes = self.messages(projected, edges)
        places = positions(view.boxes, view.flips, *maps[-1].shape[2:])
        return Graphs(projected, nodes, edges, maps[-1].flatten(2).mT[rows], places[rows])

    def _match(self, s: Graphs, t: Graphs) -> Float[Tensor, ""]:
        """Affinities of two graphs (eq. 2 and 3), their perturbed matching (eq. 4) and its loss (eq. 5 and 6)."""
        vertex = self.alpha * vertex_affinity(s.nodes, t.nodes)
        local = self.local and self.local(s.maps, t.maps, s.places, t.places, weight=1 - self.alpha)
        edges_s, edges_t = (e if self.second_order else e[:, :0] for e in (s.edges, t.edges))
        edge = edge_affinity(s.nodes, edges_s, t.nodes, edges_t)
        truth = torch.arange(vertex.shape[1], device=vertex.device).expand(vertex.shape[:2])
        seed = int(torch.randint(2**62, ()))
        loss, found, _ = self.matching_loss(
            Problem(vertex + local.of_all() if local else vertex, edge, edges_s, edges_t),
            truth,
            generator=torch.Generator(vertex.device).manual_seed(seed),
            solver=partial(solve, seed=seed, mode="full" if self.second_order else "linear"),
            rest=local.of_matched if local else None,
        )
        self.log("matching_accuracy", (found == truth).float().mean())
        nearest = vertex_affinity(s.projected, t.projected).argmax(2)
        self.log("nearest_neighbour_accuracy", (nearest == truth).float().mean())
        return loss
