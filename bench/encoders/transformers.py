"""Image towers of Hugging Face's transformers as Encoders: FLAVA's and DINOv2's transformers, ALIGN's EfficientNet.

Weights are matched by the names that published files have: the library renames what it holds from version to version.
"""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from bench.encoders.blocks import laid_out, spaced
from bench.encoders.checkpoint import load_weights
from bench.encoders.hub import held
from bench.encoders.timm import parse
from bench.errors import BenchError, unknown
from bench.spec import Encoder, Features, Weights

FILES = ("model.safetensors", "pytorch_model.bin")  # of a repository of the hub
RENAMED = {  # since version 5 of the library: what DINOv2's attention is called, and what it is in files
    ".attention.q_proj.": ".attention.attention.query.",
    ".attention.k_proj.": ".attention.attention.key.",
    ".attention.v_proj.": ".attention.attention.value.",
    ".attention.o_proj.": ".attention.output.dense.",
}
Triple = tuple[float, float, float]


class TokenEncoder(Encoder):
    """`FlavaImageModel` or `Dinov2Model`, as the library calls them. State-dict keys are `model.` and the library's.

    Options of the library's configuration may follow the name: `Dinov2Model image_size=518`, the size that the position
    embeddings are for. Any image that is a multiple of the patch is taken; they are resampled to it, bicubic.

    Pooled is the class token after the last norm: what FLAVA projects to the space it shares with texts (its further
    `pooler` no loss of its pretraining has seen, and it is left out), and what DINOv2 is evaluated by. Maps are outputs
    of four evenly spaced blocks. No feature depends on the token for hidden patches, which is held as part of the file.
    """

    model: Any

    def __init__(self, backbone: str, *, image_size: int, mean: Triple, std: Triple) -> None:
        super().__init__()
        from transformers import Dinov2Config, Dinov2Model, FlavaImageConfig, FlavaImageModel

        kinds = {"FlavaImageModel": FlavaImageConfig, "Dinov2Model": Dinov2Config}
        config: Any = configured(backbone, kinds)
        flava = isinstance(config, FlavaImageConfig)
        self.model = FlavaImageModel(config, add_pooling_layer=False) if flava else Dinov2Model(config)
        self.options = {"interpolate_pos_encoding": True} if flava else {}  # DINOv2 does it unasked
        self.levels = spaced(config.num_hidden_layers)
        self.image_size, self.mean, self.std = image_size, mean, std
        self.dim, self.patch = config.hidden_size, config.patch_size
        self.map_dims, self.strides = (self.dim,) * len(self.levels), (self.patch,) * len(self.levels)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Features:
        """Features of normalised images; h and w are multiples of the patch."""
        found = self.model(images, output_hidden_states=True, return_dict=True, **self.options)
        blocks = found.hidden_states[1:]  # before them the embedded patches
        height, width = (side // self.patch for side in images.shape[2:])
        maps = tuple(laid_out(blocks[level][:, 1:], height, width) for level in self.levels)
        return Features(found.last_hidden_state[:, 0], maps)


class AlignEncoder(Encoder):
    """`AlignVisionModel`, ALIGN's EfficientNet-B7. State-dict keys are `model.` and the library's.

    Options of the library's configuration may follow the name: `AlignVisionModel width_coefficient=0.25`. Pooled is the
    mean over positions of the last block's output, which ALIGN compares with texts as it is; maps are the last outputs
    at each stride, from 2 to 32.
    """

    model: Any

    def __init__(self, backbone: str, *, image_size: int, mean: Triple, std: Triple) -> None:
        super().__init__()
        from transformers import AlignVisionConfig, AlignVisionModel

        # The original's momentum of 0.99 keeps 99 % of the running statistics; torch's would keep 1 %.
        config = configured(backbone, {"AlignVisionModel": AlignVisionConfig}, batch_norm_momentum=0.01)
        self.model = AlignVisionModel(config)
        blocks = self.model.encoder.blocks
        steps = [number for number, block in enumerate(blocks) if block.depthwise_conv.stride == 2]
        self.levels = [*(number - 1 for number in steps), len(blocks) - 1]
        self.map_dims = tuple(int(blocks[i].projection.project_conv.out_channels) for i in self.levels)
        self.strides = tuple(2 ** (i + 1) for i in range(len(self.levels)))  # the stem's, and twice at each step
        self.image_size, self.mean, self.std = image_size, mean, std
        self.dim = self.map_dims[-1]

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Features:
        """Features of normalised images; maps have the stated strides where h and w are multiples of the largest."""
        x = self.model.embeddings(images)
        maps = []
        for number, block in enumerate(self.model.encoder.blocks):
            x = block(x)
            if number in self.levels:
                maps.append(x)
        return Features(x.mean((2, 3)), tuple(maps))


def configured(backbone: str, kinds: Mapping[str, Any], **changed: Any) -> Any:
    """The configuration that a backbone's name and the options after it make. Raises BenchError for unknown ones."""
    from huggingface_hub.errors import StrictDataclassError

    name, given = parse(backbone)
    if name not in kinds:
        raise unknown("tower of transformers", name, kinds, where="backbone")
    known = [key for key in vars(kinds[name]()) if not key.startswith("_")]
    for key in given:
        if key not in known:  # the library would take it, and do nothing with it
            raise unknown("option", key, known, where=f"backbone `{backbone}`")
    try:
        return kinds[name](**changed, **given)
    except (StrictDataclassError, TypeError, ValueError) as exc:
        raise BenchError(f"backbone `{backbone}` cannot be built: {exc.__cause__ or exc}") from exc


def load(encoder: Encoder, weights: Weights | None, repository: str) -> None:
    """`load_weights`, of a file or of what the hub's cache has of a repository, by published names or the library's."""
    load_weights(encoder, held(weights, repository, FILES), published)


def published(name: str) -> str:
    """A tensor's name as files have it."""
    for now, then in RENAMED.items():
        name = name.replace(now, then)
    return name
