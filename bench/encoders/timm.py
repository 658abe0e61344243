"""Any backbone of timm as an Encoder: a pooled vector by the model's own pooling, and a pyramid of maps."""

import ast
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bench.encoders.blocks import spaced
from bench.encoders.names import token_backbones
from bench.errors import BenchError, unknown
from bench.spec import Encoder, Features


class TimmEncoder(Encoder):
    """A timm model without its classifier. State-dict keys are `model.` and timm's own.

    `backbone` is a timm name, which options of timm's constructor may follow: `vit_tiny_patch16_224 patch_size=8`.
    Plain transformers take any image that is a multiple of their patch; their position embeddings are resampled.
    Convolutional and hierarchical backbones give every stage that timm states; plain transformers give the outputs of
    four evenly spaced blocks, all at the patch stride.
    """

    model: Any

    def __init__(self, backbone: str, *, image_size: int, pretrained: bool = False) -> None:
        super().__init__()
        import timm

        name, options = parse(backbone)
        if not timm.is_model(name):
            raise unknown("timm model", name, timm.list_models(), where="backbone")
        self.model = _create(name, image_size, pretrained, options)
        if not callable(getattr(self.model, "forward_intermediates", None)):
            raise BenchError(
                f"backbone `{backbone}`: timm gives no intermediate maps for it, which every encoder needs"
            )
        stages = list(self.model.feature_info)
        flat = len(stages) > 1 and len({s["reduction"] for s in stages}) == 1
        self.levels = spaced(len(stages)) if flat else list(range(len(stages)))
        config = self.model.pretrained_cfg
        self.image_size = image_size
        self.mean, self.std = tuple(config["mean"]), tuple(config["std"])
        self.patch = int(stages[0]["reduction"]) if flat else 0  # pixels; 0: no plain transformer
        self.map_dims = tuple(int(stages[i]["num_chs"]) for i in self.levels)
        self.strides = tuple(int(stages[i]["reduction"]) for i in self.levels)
        self.dim = int(getattr(self.model, "head_hidden_size", self.model.num_features))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Features:
        """Features of normalised images; h and w are multiples of the largest stride."""
        last, maps = self.model.forward_intermediates(images, indices=self.levels)
        return Features(self.model.forward_head(last, pre_logits=True), tuple(maps))


def parse(backbone: str) -> tuple[str, dict[str, Any]]:
    """A backbone's timm name and the options that follow it. Raises BenchError."""
    name, *given = backbone.split() or [""]
    try:
        return name, {key: ast.literal_eval(value) for key, value in (option.split("=") for option in given)}
    except (ValueError, SyntaxError):
        raise BenchError(
            f"backbone `{backbone}`: options follow the name as key=value, such as `{name} patch_size=8`"
        ) from None


def _create(backbone: str, image_size: int, pretrained: bool, given: Mapping[str, Any]) -> torch.nn.Module:
    import timm

    options: dict[str, Any] = {"num_classes": 0, **given}
    try:
        config = timm.get_pretrained_cfg(backbone)
    except RuntimeError:  # the architecture is known, the tag of its weights is not
        known = timm.list_models(f"{backbone.partition('.')[0]}.*", pretrained=True)
        raise unknown("timm weights", backbone, known, where="backbone") from None
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size  # position embeddings are built for one size
    if backbone.partition(".")[0] in token_backbones():
        options["dynamic_img_size"] = True  # and resampled for others, such as local crops
    with offline():
        try:
            if pretrained and config is not None and config.url and not config.hf_hub_id:
                _require_downloaded(config.url)
            model: torch.nn.Module = timm.create_model(backbone, pretrained=pretrained, **options)
        except (OSError, RuntimeError, ValueError, AssertionError, TypeError) as exc:
            if not pretrained:
                raise BenchError(f"backbone `{backbone}` cannot be built for {image_size} px: {exc}") from exc
            raise BenchError(
                f"`{backbone}`: timm's cache ({os.environ.get('HF_HOME') or '~/.cache/huggingface'}) holds no "
                f"weights, and nothing is downloaded here. Fetch them once with: "
                f"python -c \"import timm; timm.create_model('{backbone}', pretrained=True)\" "
                f'or name a file in the grid: weights = "FILE"'
            ) from exc
    return model


def _require_downloaded(url: str | tuple[str, str]) -> None:
    """timm's older weights lie at an address of their own; it fetches those whatever the hub's switch says."""
    from timm.models._hub import check_cached_file

    if not check_cached_file(url):
        raise FileNotFoundError(f"{url} has not been fetched")


@contextmanager
def offline() -> Iterator[None]:
    """Look for weights on this machine only: huggingface_hub reads this switch each time it is asked."""
    import huggingface_hub.constants as hub

    before = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before
