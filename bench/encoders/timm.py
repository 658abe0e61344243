"""Any backbone of timm as an Encoder: a pooled vector by the model's own pooling, and a pyramid of maps."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bench.errors import BenchError, unknown
from bench.spec import Encoder, Features

LEVELS = 4  # maps that a backbone of one stride is sampled at


class TimmEncoder(Encoder):
    """A timm model without its classifier. State-dict keys are `model.` and timm's own.

    Convolutional and hierarchical backbones give every stage that timm states; plain transformers give the outputs of
    four evenly spaced blocks, all at the patch stride.
    """

    model: Any

    def __init__(self, backbone: str, *, image_size: int, pretrained: bool = False) -> None:
        super().__init__()
        import timm

        if not timm.is_model(backbone):
            raise unknown("timm model", backbone, timm.list_models(), where="backbone")
        self.model = _create(backbone, image_size, pretrained)
        if not callable(getattr(self.model, "forward_intermediates", None)):
            raise BenchError(
                f"backbone `{backbone}`: timm gives no intermediate maps for it, which every encoder needs"
            )
        stages = list(self.model.feature_info)
        step = len(stages) / LEVELS if len({s["reduction"] for s in stages}) == 1 and len(stages) > LEVELS else 1
        self.levels = [round((i + 1) * step) - 1 for i in range(LEVELS)] if step > 1 else list(range(len(stages)))
        config = self.model.pretrained_cfg
        self.image_size = image_size
        self.mean, self.std = tuple(config["mean"]), tuple(config["std"])
        self.map_dims = tuple(int(stages[i]["num_chs"]) for i in self.levels)
        self.strides = tuple(int(stages[i]["reduction"]) for i in self.levels)
        self.dim = int(getattr(self.model, "head_hidden_size", self.model.num_features))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Features:
        """Features of normalised images; h and w are multiples of the largest stride."""
        last, maps = self.model.forward_intermediates(images, indices=self.levels)
        return Features(self.model.forward_head(last, pre_logits=True), tuple(maps))


def _create(backbone: str, image_size: int, pretrained: bool) -> torch.nn.Module:
    import timm

    options: dict[str, Any] = {"num_classes": 0}
    try:
        config = timm.get_pretrained_cfg(backbone)
    except RuntimeError:  # the architecture is known, the tag of its weights is not
        known = timm.list_models(f"{backbone.partition('.')[0]}.*", pretrained=True)
        raise unknown("timm weights", backbone, known, where="backbone") from None
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_size  # position embeddings are built for one size
    with offline():
        try:
            if pretrained and config is not None and config.url and not config.hf_hub_id:
                _require_downloaded(config.url)
            model: torch.nn.Module = timm.create_model(backbone, pretrained=pretrained, **options)
        except (OSError, RuntimeError, ValueError, AssertionError) as exc:
            if not pretrained:
                raise BenchError(f"backbone `{backbone}` cannot be built for {image_size} px: {exc}") from exc
            raise BenchError(
                f"`{backbone}`: timm's cache ({os.environ.get('HF_HOME') or '~/.cache/huggingface'}) holds no ImageNet "
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
