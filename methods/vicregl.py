"""VICRegL: VICReg between images, and between the parts of two views that show the same place or look alike.

Bardes et al., VICRegL: Self-Supervised Learning of Local Visual Features, NeurIPS 2022, arXiv:2210.01571.
"""

from collections.abc import Sequence

from jaxtyping import Float
from lightly.loss import VICRegLLoss
from lightly.models.modules.heads import VicRegLLocalProjectionHead, VICRegProjectionHead
from torch import Tensor

from bench.matching.affinity import positions
from bench.nn import distributed, embed
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("vicregl", paper="arXiv:2210.01571", small={"dim": 16})
class VICRegL(Method):
    """Alpha, matches and projectors are the paper's (section 4). As in its code, 20 from a view and 4 towards it."""

    views = Views(jitter=(0.4, 0.4, 0.2, 0.1), blur_prob=(1.0, 0.1), solarise_prob=(0.0, 0.2))

    def __init__(
        self, encoder: Encoder, *, alpha: float = 0.75, matches: Sequence[int] = (20, 4), dim: int = 8192
    ) -> None:
        super().__init__(encoder)
        self.head = VICRegProjectionHead(encoder.dim, dim, dim)
        self.local_head = VicRegLLocalProjectionHead(encoder.map_dims[-1], 512, 512)
        self.criterion = VICRegLLoss(alpha=alpha, num_matches=tuple(matches), gather_distributed=distributed())

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """Alpha times the global criterion, the rest the local one, by place, flips seen through, and by features."""
        features, places = [], []
        for view, (pooled, maps) in zip(views, embed(self.encoder, views), strict=True):
            features.append((self.head(pooled), self.local_head(maps[-1].movedim(1, 3))))
            places.append(positions(view.boxes, view.flips, *maps[-1].shape[2:]).unflatten(1, maps[-1].shape[2:]))
        few = self.views.global_crops
        local = (features[few:], places[few:]) if features[few:] else (None, None)
        return self.criterion(features[:few], places[:few], *local).squeeze()
