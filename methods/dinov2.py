"""DINOv2: DINO on whole images, iBOT's masked patches beside it, and a spread of the batch, KoLeo.

Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024, arXiv:2304.07193; the masked
patches are those of Zhou et al., iBOT, ICLR 2022, arXiv:2111.07832. Teachers are centred as in DINO and iBOT, not by
Sinkhorn-Knopp (section 4).
"""

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float
from lightly.loss import DINOLoss, IBOTPatchLoss, KoLeoLoss
from lightly.models.modules.heads import DINOv2ProjectionHead
from torch import Tensor, nn

from bench.encoders.tokens import block_mask, encode, pool
from bench.modules import Teacher, hold
from bench.nn import embed, rising, warmed
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("dinov2", paper="arXiv:2304.07193", needs="tokens", small={"hidden": 16, "bottleneck": 8, "dim": 32})
class DINOv2(Method):
    """Untied heads, KoLeo 0.1, masks of 10 to 50 % on half the crops, momentum 0.994: the paper's (section 4, B.1).

    KoLeo is of both global crops, as in its code. The last layers rest in the first 1 %. The teacher is evaluated.
    """

    views = Views(
        local_crops=8,
        global_scale=(0.32, 1.0),
        local_scale=(0.05, 0.32),
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
        momentum: float = 0.994,
        masked: float = 0.5,
        mask_ratio: Sequence[float] = (0.1, 0.5),
        koleo: float = 0.1,
        hidden: int = 2048,
        bottleneck: int = 256,
        dim: int = 65536,
    ) -> None:
        super().__init__(encoder)
        sizes = (encoder.dim, hidden, bottleneck, dim)
        with warnings.catch_warnings(action="ignore", category=FutureWarning), torch.no_grad():  # older weight_norm
            self.heads = nn.ModuleList(DINOv2ProjectionHead(*sizes) for _ in range(2))  # of an image, of a patch
        self.teacher = Teacher(encoder, self.heads)
        for head in self.heads:
            hold(self, head.get_submodule("last_layer").parameters(), rest)
        self.mask_token = nn.Parameter(torch.zeros(encoder.dim))
        self.image_loss, self.patch_loss, self.spread = DINOLoss(dim), IBOTPatchLoss(dim), KoLeoLoss()
        self.temperature, self.warmup, self.momentum = teacher_temperature, warmup, momentum
        self.masked, self.mask_ratio, self.koleo = masked, mask_ratio, koleo

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """DINO's, iBOT's and KoLeo's terms (section 4): the student's global crops are masked, the teacher's whole."""
        few, heat = self.views.global_crops, warmed(self.temperature, self.progress, self.warmup)
        whole, teacher = torch.cat([view.images for view in views[:few]]), self.teacher.encoder
        mask = block_mask(len(whole), whole.shape[2] // self.encoder.patch, self.mask_ratio, self.masked, whole.device)
        hidden = mask.flatten(1)
        with torch.no_grad():
            seen = encode(teacher, whole)
            wanted, patches = self.teacher.head[0](pool(teacher, seen)), self.teacher.head[1](seen.patches[hidden])
        tokens = encode(self.encoder, whole, hidden=hidden, mask_token=self.mask_token)
        images = [*pool(self.encoder, tokens).chunk(few), *(local.pooled for local in embed(self.encoder, views[few:]))]
        image_loss = self.image_loss(wanted.chunk(few), [self.heads[0](image) for image in images], teacher_temp=heat)
        patch_loss = self.patch_loss(patches, self.heads[1](tokens.patches[hidden]), mask, teacher_temp=heat)
        return image_loss + patch_loss + self.koleo * sum(self.spread(image) for image in images[:few])

    def after_step(self, progress: float) -> None:
        """The teacher follows, ever more slowly."""
        self.teacher.follow(self.encoder, self.heads, rising(self.momentum, progress))

    def trained(self) -> Encoder:
        """The teacher."""
        return self.teacher.encoder
