"""Barlow Twins: over a batch, each feature of one view correlates with itself in the other view, and with no other.

Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy Reduction, ICML 2021, arXiv:2103.03230.
"""

from jaxtyping import Float
from lightly.loss import BarlowTwinsLoss
from lightly.models.modules.heads import BarlowTwinsProjectionHead
from torch import Tensor

from bench.nn import distributed
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("barlow_twins", paper="arXiv:2103.03230", small={"dim": 16})
class BarlowTwins(Method):
    """Lambda 0.005 and three layers of 8192 are the paper's (section 2.2); the views are BYOL's, as it has them."""

    views = Views(jitter=(0.4, 0.4, 0.2, 0.1), blur_prob=(1.0, 0.1), solarise_prob=(0.0, 0.2))

    def __init__(self, encoder: Encoder, *, lambda_: float = 5e-3, dim: int = 8192) -> None:
        super().__init__(encoder)
        self.head = BarlowTwinsProjectionHead(encoder.dim, dim, dim)
        self.criterion = BarlowTwinsLoss(lambda_, gather_distributed=distributed())

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """The cross-correlation matrix of the projections should be the identity (eq. 1 and 2)."""
        first, second = (self.head(self.encoder(view.images).pooled) for view in views)
        return self.criterion(first, second)
