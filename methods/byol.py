"""BYOL: an encoder predicts what its own moving average makes of another view; nothing repels.

Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, arXiv:2006.07733.
"""

from jaxtyping import Float
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
from torch import Tensor

from bench.modules import Teacher
from bench.nn import rising
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("byol", paper="arXiv:2006.07733", small={"hidden": 16, "dim": 8})
class BYOL(Method):
    """Heads, momentum 0.996 rising to 1, and the two different views are the paper's (section 3.3, appendix B)."""

    views = Views(jitter=(0.4, 0.4, 0.2, 0.1), blur_prob=(1.0, 0.1), solarise_prob=(0.0, 0.2))

    def __init__(self, encoder: Encoder, *, momentum: float = 0.996, hidden: int = 4096, dim: int = 256) -> None:
        super().__init__(encoder)
        self.projector = BYOLProjectionHead(encoder.dim, hidden, dim)
        self.predictor = BYOLPredictionHead(dim, hidden, dim)
        self.teacher = Teacher(encoder, self.projector)
        self.criterion, self.momentum = NegativeCosineSimilarity(), momentum

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """Squared distance of unit vectors (eq. 2), with either view as the one predicted from."""
        given = [self.predictor(self.projector(self.encoder(view.images).pooled)) for view in views]
        wanted = [self.teacher([view])[0] for view in views]
        return 4 + 2 * self.criterion(given[0], wanted[1]) + 2 * self.criterion(given[1], wanted[0])

    def after_step(self, progress: float) -> None:
        """The teacher follows, ever more slowly (eq. 1 and section 3.3)."""
        self.teacher.follow(self.encoder, self.projector, rising(self.momentum, progress))
