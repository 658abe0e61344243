"""VICReg: the projections of two views agree, each feature varies over the batch, and no two features covary.

Bardes et al., VICReg: Variance-Invariance-Covariance Regularization, ICLR 2022, arXiv:2105.04906.
"""

from jaxtyping import Float
from lightly.loss import VICRegLoss
from lightly.models.modules.heads import VICRegProjectionHead
from torch import Tensor

from bench.nn import distributed
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("vicreg", paper="arXiv:2105.04906", small={"dim": 16})
class VICReg(Method):
    """Weights 25, 25, 1 and three layers of 8192 are the paper's (section 4.2); both views are drawn alike (C.1)."""

    views = Views(jitter=(0.4, 0.4, 0.2, 0.1), solarise_prob=0.1)

    def __init__(
        self,
        encoder: Encoder,
        *,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        dim: int = 8192,
    ) -> None:
        super().__init__(encoder)
        self.head = VICRegProjectionHead(encoder.dim, dim, dim)
        self.criterion = VICRegLoss(invariance, variance, covariance, gather_distributed=distributed())

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """Lambda times invariance, mu times variance, nu times covariance (eq. 6, scaled as in its code)."""
        first, second = (self.head(self.encoder(view.images).pooled) for view in views)
        return self.criterion(first, second)
