"""MAE: three quarters of the patches are left out, and a small decoder paints them from the rest.

He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, arXiv:2111.06377.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from lightly.models.modules import MaskedVisionTransformerDecoderTIMM
from lightly.models.utils import get_at_index, patchify, set_at_index
from torch import Tensor, nn

from bench.encoders.tokens import encode, prefix_tokens
from bench.errors import BenchError
from bench.spec import Encoder, Method, View, Views, ssl_method


@ssl_method("mae", paper="arXiv:2111.06377", needs="tokens", small={"dim": 16, "depth": 1, "heads": 2})
class MAE(Method):
    """Ratio 0.75, a decoder of 8 blocks of 512, pixels as they are, crops and flips alone: the paper's (table 1).

    With `normalise` each patch is divided by its own standard deviation (section 3), which is a little better on
    photographs; but where medical images are black, it makes the noise of one grey level as large as anatomy.
    """

    views = Views(global_crops=1, global_scale=(0.2, 1.0), jitter_prob=0.0, grey_prob=0.0, blur_prob=0.0)
    separable = True

    def __init__(
        self,
        encoder: Encoder,
        *,
        ratio: float = 0.75,
        normalise: bool = False,
        dim: int = 512,
        depth: int = 8,
        heads: int = 16,
    ) -> None:
        super().__init__(encoder)
        if getattr(encoder.model, "attn_pool", None) is not None:
            raise BenchError(
                "mae: this backbone pools by attention, which painting patches does not train; choose another"
            )
        self.normalise = normalise
        self.patches = (encoder.image_size // encoder.patch) ** 2
        self.kept = max(1, round(self.patches * (1 - ratio)))
        self.project = nn.Linear(encoder.dim, dim)
        sizes = (self.patches, dim, depth, heads, prefix_tokens(encoder))
        self.decoder = MaskedVisionTransformerDecoderTIMM(*sizes)
        self.paint = nn.Linear(dim, 3 * encoder.patch**2)

    def loss(self, views: list[View]) -> Float[Tensor, ""]:
        """Squared error on the pixels of the patches left out (section 3)."""
        images = views[0].images
        keep, left_out = (
            torch.rand(len(images), self.patches, device=images.device).argsort(1).tensor_split([self.kept], dim=1)
        )
        seen = encode(self.encoder, images, keep=keep)
        shown = self.project(seen.patches)
        blank = self.decoder.mask_token.to(shown.dtype).expand(len(images), self.patches, -1)  # bf16, where autocast is
        sequence = torch.cat([self.project(seen.prefix), set_at_index(blank, keep, shown)], dim=1)
        decoded = self.decoder.decode(self.decoder.add_pos_embed(sequence))[:, seen.prefix.shape[1] :]
        wanted = get_at_index(patchify(images, self.encoder.patch), left_out)
        if self.normalise:
            wanted = F.layer_norm(wanted, wanted.shape[-1:], eps=1e-6)
        return F.mse_loss(self.paint(get_at_index(decoded, left_out)), wanted)
