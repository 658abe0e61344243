"""DeepCluster-v2: each epoch, k-means over remembered embeddings gives each image the classes that it is to predict.

Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, NeurIPS 2020,
arXiv:2006.09882, section 4 and appendix A.1; the idea is that of Caron et al., Deep Clustering, ECCV 2018.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from lightly.models.modules.heads import SwaVProjectionHead
from torch import Tensor

from bench.modules import spherical_k_means
from bench.nn import embed, gathered
from bench.spec import Encoder, Method, View, Views, ssl_method

IGNORED = -100  # the class, for torch's cross-entropy, of an image that was not there to be clustered


@ssl_method("deepcluster_v2", paper="arXiv:2006.09882", small={"dim": 8, "clusters": 6, "heads": 2})
class DeepClusterV2(Method):
    """Three heads of 3000 clusters, 10 iterations, temperature 0.1 and SwAV's 2 + 6 crops are the paper's (A.1, B.1).

    Never more clusters than a quarter of the images: a cluster of one teaches to tell an image from all others.
    """

    views = Views(local_crops=6, global_scale=(0.14, 1.0), local_scale=(0.05, 0.14))
    memory: Tensor
    classes: Tensor
    centroids: Tensor

    def __init__(
        self, encoder: Encoder, *, clusters: int = 3000, heads: int = 3, temperature: float = 0.1, dim: int = 128
    ) -> None:
        super().__init__(encoder)
        self.head = SwaVProjectionHead(encoder.dim, 2048, dim)
        self.clusters, self.heads, self.temperature, self.dim = clusters, heads, temperature, dim

    def begin(self, images: int) -> None:
        """Room for an embedding of each global crop of each image, their classes, and the centroids of each head."""
        clusters = min(self.clusters, max(2, images // 4))
        self.register_buffer("memory", torch.zeros(self.views.global_crops, images, self.dim))
        self.register_buffer("classes", torch.full((self.heads, images), IGNORED))
        self.register_buffer("centroids", torch.zeros(self.heads, clusters, self.dim))

    @torch.no_grad()
    def before_epoch(self, epoch: int, batches: Iterator[list[View]]) -> None:
        """Cluster the memory anew, once a head; before the first epoch the memory is filled."""
        for views in batches if epoch == 0 else ():
            self._remember(views[0].numbers, self._units(views[: self.views.global_crops]))
        known = self.memory.any(2).all(0)  # not what is left out of the corpus, or out of an epoch's last batch
        for head in range(self.heads):
            units = self.memory[head % len(self.memory), known]
            found, self.classes[head, known] = spherical_k_means(units, self.centroids.shape[1], iterations=10)
            self.centroids[head, : len(found)] = found

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """Cross-entropy of each crop's likeness to the centroids with its image's class, over heads and crops."""
        units, numbers = self._units(views), views[0].numbers
        wanted = self.classes[:, numbers]
        terms = [
            F.cross_entropy(unit @ self.centroids[head].T / self.temperature, wanted[head], reduction="sum")
            for head in range(self.heads)
            for unit in units
        ]
        self._remember(numbers, units[: self.views.global_crops])
        return torch.stack(terms).mean() / (wanted[0] != IGNORED).sum().clamp(min=1)

    def _units(self, views: list[View]) -> list[Float[Tensor, "b d"]]:
        return [F.normalize(self.head(features.pooled), dim=1) for features in embed(self.encoder, views)]

    def _remember(self, numbers: Int64[Tensor, " b"], units: list[Float[Tensor, "b d"]]) -> None:
        everyone = gathered(numbers)
        for memory, unit in zip(self.memory, units, strict=True):
            memory[everyone] = gathered(unit.float())
