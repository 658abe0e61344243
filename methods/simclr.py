"""SimCLR: two views of an image attract; every other image in the batch repels.

Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020, arXiv:2002.05709.
"""

from jaxtyping import Float
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor

from bench.nn import distributed
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("simclr", paper="arXiv:2002.05709", small={"hidden": 16, "dim": 8})
class SimCLR(Method):
    """Temperature 0.1 is the paper's best on ImageNet (table 5); the head is its 2-layer MLP to 128 (section 4.2)."""

    views = Views(global_crops=2)

    def __init__(self, encoder: Encoder, *, temperature: float = 0.1, hidden: int = 2048, dim: int = 128) -> None:
        super().__init__(encoder)
        self.head = SimCLRProjectionHead(encoder.dim, hidden, dim)
        self.criterion = NTXentLoss(temperature, gather_distributed=distributed())

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """NT-Xent (eq. 1) between the two views' projections."""
        first, second = (self.head(self.encoder(view.images).pooled) for view in views)
        return self.criterion(first, second)
