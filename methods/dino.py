"""DINO: a student sees crops and predicts what its moving average makes of the whole, centred and sharpened.

Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021, arXiv:2104.14294.
"""

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from torch import Tensor

from bench.modules import Teacher, hold
from bench.nn import embed, rising, warmed
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("dino", paper="arXiv:2104.14294", small={"hidden": 16, "bottleneck": 8, "dim": 32})
class DINO(Method):
    """Head, temperatures, momentum 0.996 rising to 1 and 2 + 8 crops are the paper's (section 3, appendix C).

    The teacher's temperature rises in the first 30 of 100 epochs, and the last layer rests in the first. The teacher is
    what is evaluated (section 3.1). For ResNets the head has batch-norm, and the authors' crops begin at 0.14.
    """

    views = Views(
        local_crops=8,
        global_scale=(0.4, 1.0),
        jitter=(0.4, 0.4, 0.2, 0.1),
        blur_prob=(1.0, 0.1, 0.5),
        solarise_prob=(0.0, 0.2, 0.0),
    )

    def __init__(
        self,
        encoder: Encoder,
        *,
        teacher_temperature: Sequence[float] = (0.04, 0.07),
        warmup: float = 0.3,
        rest: float = 0.01,
        momentum: float = 0.996,
        hidden: int = 2048,
        bottleneck: int = 256,
        dim: int = 65536,
    ) -> None:
        super().__init__(encoder)
        with warnings.catch_warnings(action="ignore", category=FutureWarning), torch.no_grad():  # older weight_norm
            self.head = DINOProjectionHead(encoder.dim, hidden, bottleneck, dim, not encoder.patch)
        self.teacher = Teacher(encoder, self.head)
        hold(self, [self.head.get_parameter("last_layer.weight_v")], rest)
        self.criterion = DINOLoss(dim)
        self.temperature, self.warmup, self.momentum = teacher_temperature, warmup, momentum

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """Cross-entropy of the student on each crop with the teacher on each other global crop (eq. 3)."""
        wanted = self.teacher(views[: self.views.global_crops])
        given = [self.head(features.pooled) for features in embed(self.encoder, views)]
        return self.criterion(wanted, given, teacher_temp=warmed(self.temperature, self.progress, self.warmup))

    def after_step(self, progress: float) -> None:
        """The teacher follows, ever more slowly (section 3.1)."""
        self.teacher.follow(self.encoder, self.head, rising(self.momentum, progress))

    def trained(self) -> Encoder:
        """The teacher."""
        return self.teacher.encoder
