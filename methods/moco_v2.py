"""MoCo v2: a view finds its twin among the keys of past batches, which a slowly moving encoder made.

Chen et al., Improved Baselines with Momentum Contrastive Learning, 2020, arXiv:2003.04297; queue and momentum encoder
are those of He et al., CVPR 2020, arXiv:1911.05722. Batches are not shuffled: batch-norm is synchronised.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from lightly.models.modules.heads import MoCoProjectionHead
from torch import Tensor

from bench.modules import Queue, Teacher
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("moco_v2", paper="arXiv:2003.04297", small={"dim": 8, "queue": 32})
class MoCoV2(Method):
    """Temperature and head are v2's (table 1, section 3), queue and momentum v1's (section 4.1).

    The queue is never more than a quarter of the corpus, or an image's own keys of past epochs would repel it.
    """

    views = Views(global_scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1))

    def __init__(
        self, encoder: Encoder, *, temperature: float = 0.2, queue: int = 65536, momentum: float = 0.999, dim: int = 128
    ) -> None:
        super().__init__(encoder)
        self.head = MoCoProjectionHead(encoder.dim, 2048, dim)
        self.teacher = Teacher(encoder, self.head)
        self.temperature, self.momentum, self.size, self.dim = temperature, momentum, queue, dim

    def begin(self, images: int) -> None:
        """A queue of random keys."""
        self.queue = Queue(max(1, min(self.size, images // 4)), self.dim)
        self.queue.rows.copy_(F.normalize(torch.randn_like(self.queue.rows), dim=1))

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """InfoNCE (He et al., eq. 1) of each query with its key against the queue, which then takes the keys in."""
        queries = F.normalize(self.head(self.encoder(views[0].images).pooled), dim=1)
        keys = F.normalize(self.teacher(views[1:])[0], dim=1)
        likeness = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ self.queue.rows.T], dim=1)
        self.queue.push(keys)
        return F.cross_entropy(likeness / self.temperature, torch.zeros_like(likeness[:, 0], dtype=torch.int64))

    def after_step(self, progress: float) -> None:
        """The key encoder follows the query encoder (He et al., eq. 2)."""
        self.teacher.follow(self.encoder, self.head, self.momentum)
