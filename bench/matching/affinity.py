"""How alike two nodes, and two edges, of two graphs are: section 3.2.2 of LVM-Med (arXiv:2306.11925).

`s` and `t` are the two graphs, in the paper's letters; g graphs a batch, n nodes, e and f edges, d channels. Everything
is computed in float32 whatever autocast says: a matching is decided by differences in the third digit.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

SMALLEST = 1e-6  # a vector no longer than this, as between two equal embeddings, has no direction and no gradient
Mix = Literal["equation", "pseudo_code"]


def vertex_affinity(z_s: Float[Tensor, "g n d"], z_t: Float[Tensor, "g m d"]) -> Float[Tensor, "g n m"]:
    """The global affinity c^glo_ia = cos(z_i, z_a), in [-1, 1]; 0 for an embedding of 0."""
    with _float32(z_s):
        z_s, z_t = z_s.float(), z_t.float()
        unit_s, unit_t = (z * _inverse(z.square().sum(-1, keepdim=True)) for z in (z_s, z_t))
        return unit_s @ unit_t.mT


def edge_affinity(
    z_s: Float[Tensor, "g n d"],
    edges_s: Int64[Tensor, "g e 2"],
    z_t: Float[Tensor, "g m d"],
    edges_t: Int64[Tensor, "g f 2"],
) -> Float[Tensor, "g e f"]:
    """The edge affinity c^e_ia,jb = cos(z_i - z_j, z_a - z_b), in [-1, 1]; 0 for an edge between equal embeddings."""
    return vertex_affinity(_differences(z_s, edges_s), _differences(z_t, edges_t))


def _differences(z: Float[Tensor, "g n d"], edges: Int64[Tensor, "g e 2"]) -> Float[Tensor, "g e d"]:
    graphs = torch.arange(len(z), device=z.device)[:, None]
    return z.float()[graphs, edges[..., 0]] - z.float()[graphs, edges[..., 1]]


def positions(
    boxes: Float[Tensor, "b 4"], flips: Bool[Tensor, "b 2"], height: int, width: int
) -> Float[Tensor, "b {height}*{width} 2"]:
    """Where the centre of each cell of a map lies (y, x) in the source image of its crop, as fractions of its sides."""
    along = [(torch.arange(size, device=boxes.device) + 0.5) / size for size in (height, width)]
    y, x = (c.flatten() for c in torch.meshgrid(*along, indexing="ij"))
    y = torch.where(flips[:, 1:], 1 - y, y)
    x = torch.where(flips[:, :1], 1 - x, x)
    return boxes[:, None, :2] + torch.stack([y, x], dim=-1) * boxes[:, None, 2:]


def local_affinity(
    y_s: Float[Tensor, "*b p d"],
    y_t: Float[Tensor, "*b q d"],
    at_s: Float[Tensor, "*b p 2"],
    at_t: Float[Tensor, "*b q 2"],
    *,
    gamma: float = 1.0,
    mix: Mix = "equation",
) -> Float[Tensor, "*b"]:
    """The local affinity of pairs of feature maps, in the paper's two versions.

    A position p of one map is compared, by cosine, with the position of the other map nearest to it in the source
    image, and with the one of the nearest feature vector (L2); of each kind the share `gamma` of the positions with the
    nearest matches is kept and averaged. `equation`: both kinds added, from s to t and from t to s (eq. 2 and the
    second term of eq. 3; in [-4, 4]). `pseudo_code`: half their sum, from s to t (appendix A; in [-1, 1]).
    Which positions match has no gradient.
    """
    with _float32(y_s):
        y_s, y_t = y_s.float(), y_t.float()
        features = y_s @ y_t.mT
        return _local(features, y_s.square().sum(-1), y_t.square().sum(-1), _squared(at_s, at_t), gamma, mix)


def local_affinities(
    y_s: Float[Tensor, "g n p d"],
    y_t: Float[Tensor, "g m q d"],
    at_s: Float[Tensor, "g n p 2"],
    at_t: Float[Tensor, "g m q 2"],
    *,
    gamma: float = 1.0,
    mix: Mix = "equation",
    largest: int = 2**24,
) -> Float[Tensor, "g n m"]:
    """`local_affinity` of every node of one graph with every node of the other, with no gradient.

    One product of matrices a chunk of graphs, or of a graph's nodes; no tensor has more than about `largest` numbers.
    """
    (graphs, n, p, _), (_, m, q, _) = y_s.shape, y_t.shape
    out = torch.empty(graphs, n, m, device=y_s.device)
    few, some = max(1, largest // (n * m * p * q)), max(1, largest // (m * p * q))  # graphs, nodes at once
    with torch.no_grad(), _float32(y_s):
        y_s, y_t = y_s.detach().float(), y_t.detach().float()
        norms_s, norms_t = y_s.square().sum(-1), y_t.square().sum(-1)
        for g in (slice(first, first + few) for first in range(0, graphs, few)):
            for i in (slice(first, first + some) for first in range(0, n, some)):
                features = torch.einsum("gnpd,gmqd->gnmpq", y_s[g, i], y_t[g])
                places = _squared(at_s[g, i, None], at_t[g, None])
                out[g, i] = _local(features, norms_s[g, i, None], norms_t[g, None], places, gamma, mix)
    return out


@dataclass(frozen=True)
class Local:
    """`weight` times the local affinities of two graphs: of all pairs without, of matched ones with a gradient.

    That is all a matching loss needs (`rest` of `gradient.matching_loss`), for about 2 n of n^2 pairs have a gradient.
    """

    y_s: Float[Tensor, "g n p d"]
    y_t: Float[Tensor, "g n q d"]
    at_s: Float[Tensor, "g n p 2"]
    at_t: Float[Tensor, "g n q 2"]
    weight: float
    gamma: float = 1.0
    mix: Mix = "equation"

    def of_all(self) -> Float[Tensor, "g n n"]:
        """Of every node of one graph with every node of the other."""
        every = local_affinities(self.y_s, self.y_t, self.at_s, self.at_t, gamma=self.gamma, mix=self.mix)
        return self.weight * every

    def of_matched(self, matching: Int64[Tensor, "g n"]) -> Float[Tensor, " g"]:
        """Summed over the pairs of a matching."""
        pairs = torch.arange(len(matching), device=matching.device)[:, None], matching
        found = local_affinity(self.y_s, self.y_t[pairs], self.at_s, self.at_t[pairs], gamma=self.gamma, mix=self.mix)
        return self.weight * found.sum(1)


def _squared(a: Float[Tensor, "*#b p 2"], b: Float[Tensor, "*#b q 2"]) -> Float[Tensor, "..."]:
    """Squared L2 distances (... p q) of positions."""
    y, x = (a[..., :, None, axis] - b[..., None, :, axis] for axis in range(2))
    return y.square() + x.square()


def _local(features: Tensor, norms_s: Tensor, norms_t: Tensor, places: Tensor, gamma: float, mix: Mix) -> Tensor:
    """From the products (... p q) of feature vectors, their squared norms, and the squared distances of positions."""
    distances = norms_s[..., :, None] + norms_t[..., None, :] - 2 * features.detach()
    cosines = features * (_inverse(norms_s)[..., :, None] * _inverse(norms_t)[..., None, :])
    ways = [_nearest(cosines, near, gamma) for near in (places, distances)]
    if mix == "pseudo_code":
        return 0.5 * (ways[0] + ways[1])
    back = [_nearest(cosines.mT, near.mT, gamma) for near in (places, distances)]
    return ways[0] + ways[1] + back[0] + back[1]


def _nearest(cosines: Tensor, distances: Tensor, gamma: float) -> Tensor:
    """Mean cosine of the positions p with their nearest q, over the share `gamma` of them with the nearest."""
    near, match = distances.detach().min(-1)
    kept = max(1, round(gamma * near.shape[-1]))
    best = near.argsort(dim=-1, stable=True)[..., :kept]
    return cosines.gather(-1, match[..., None]).squeeze(-1).gather(-1, best).mean(-1)


def _inverse(squared_norms: Tensor) -> Tensor:
    """1 / norm; 0, and with a gradient of 0, where the norm is next to nothing."""
    return squared_norms.where(squared_norms > SMALLEST**2, torch.inf).rsqrt()


def _float32(like: Tensor) -> torch.autocast:
    return torch.autocast(like.device.type, enabled=False)
