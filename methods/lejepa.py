"""LeJEPA: views agree with their mean, and embeddings are an isotropic Gaussian along random lines; no other device.

Balestriero and LeCun, LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics, 2025,
arXiv:2511.08544.
"""

import torch
from jaxtyping import Float
from lightly.loss import LeJEPALoss
from lightly.models.modules.heads import LeJEPAProjectionHead
from torch import Tensor

from bench.errors import BenchError
from bench.nn import distributed, embed
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("lejepa", paper="arXiv:2511.08544", small={"hidden": 16, "dim": 8, "slices": 32})
class LeJEPA(Method):
    """Lambda 0.05 is the paper's (section 6.1), 1024 slices and 2 + 6 crops its code's; any backbone will do."""

    views = Views(
        local_crops=6, global_scale=(0.3, 1.0), local_scale=(0.05, 0.3), jitter=(0.4, 0.4, 0.2, 0.1), solarise_prob=0.2
    )

    def __init__(
        self, encoder: Encoder, *, lambda_: float = 0.05, slices: int = 1024, hidden: int = 2048, dim: int = 64
    ) -> None:
        super().__init__(encoder)
        self.head = LeJEPAProjectionHead(encoder.dim, hidden, dim)
        self.criterion = LeJEPALoss(lambda_, distributed(), sigreg_num_vectors=slices)

    def begin(self, images: int) -> None:
        """Raise BenchError without local crops: nothing else would differ from the mean."""
        if not self.views.local_crops:
            raise BenchError("lejepa: needs local crops; set views.local_crops")

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """Lambda times SIGReg and the rest the distance of all views to the mean of the global ones (section 5.2)."""
        projected = torch.stack([self.head(features.pooled) for features in embed(self.encoder, views)])
        few = self.views.global_crops
        return self.criterion(local_proj=projected[few:], global_proj=projected[:few])
