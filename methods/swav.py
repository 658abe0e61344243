"""SwAV: a view predicts to which prototypes another view of its image was assigned, in a batch spread evenly over them.

Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, NeurIPS 2020,
arXiv:2006.09882.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from lightly.loss import SwaVLoss
from lightly.models.modules.heads import SwaVProjectionHead
from lightly.models.utils import normalize_weight
from torch import Tensor, nn

from bench.modules import Queue, hold
from bench.nn import distributed, embed
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("swav", paper="arXiv:2006.09882", small={"dim": 8, "prototypes": 12, "queue": 16})
class SwAV(Method):
    """3000 prototypes, temperature 0.1, 2 + 6 crops, a queue for small batches from epoch 15 of 200 on: appendix A.

    Prototypes rest in the first of those epochs. The queue is never more than a quarter of the corpus.
    """

    views = Views(local_crops=6, global_scale=(0.14, 1.0), local_scale=(0.05, 0.14))

    def __init__(
        self,
        encoder: Encoder,
        *,
        prototypes: int = 3000,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        queue: int = 3840,
        queue_from: float = 0.075,
        rest: float = 0.005,
        dim: int = 128,
    ) -> None:
        super().__init__(encoder)
        self.head = SwaVProjectionHead(encoder.dim, 2048, dim)
        self.prototypes = nn.Linear(dim, prototypes, bias=False)
        hold(self, [self.prototypes.weight], rest)
        self.criterion = SwaVLoss(temperature, sinkhorn_epsilon=epsilon, sinkhorn_gather_distributed=distributed())
        self.size, self.queue_from, self.dim = queue, queue_from, dim

    def begin(self, images: int) -> None:
        """An empty queue, with the global crops of an image side by side."""
        self.queue = Queue(min(self.size, images // 4), self.views.global_crops * self.dim)

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """Swapped prediction (eq. 2; eq. 6 with local crops) of the codes of Sinkhorn-Knopp (eq. 3 to 5)."""
        normalize_weight(self.prototypes.weight)
        units = [F.normalize(self.head(pooled), dim=1) for pooled, _ in embed(self.encoder, views)]
        scores, few = [self.prototypes(unit) for unit in units], self.views.global_crops
        queued = self.progress >= self.queue_from and self.queue.full
        past = [self.prototypes(rows).detach() for rows in self.queue.share.chunk(few, dim=1)] if queued else None
        self.queue.push(torch.cat(units[:few], dim=1))
        return self.criterion(scores[:few], scores[few:], past).squeeze()
