"""What a file of weights holds, and which backbones it fits: built without memory, on torch's meta device."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.encoders.checkpoint import Match, best_match, names, require_whole
from bench.encoders.names import token_backbones
from bench.encoders.reading import Tensors
from bench.encoders.timm import TimmEncoder, parse
from bench.errors import BenchError, reason
from bench.registry import Plugin

TOKENS = "vit_small_patch16_224"  # for methods that need a plain transformer, where the grid's backbone is none
SIZE = 224  # pixels, at which backbones of one size are built
BACKBONES = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet10t", "wide_resnet50_2", "resnext50_32x4d"),
    *("densenet121", "efficientnet_b0", "convnext_tiny", "convnext_small", "convnext_base", "convnextv2_tiny"),
    *("swin_tiny_patch4_window7_224", "swin_base_patch4_window7_224"),
    *("vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224", "vit_large_patch16_224"),
    *("vit_small_patch8_224", "vit_base_patch8_224", "vit_base_patch32_224", "vit_huge_patch14_224"),
    *("vit_small_patch14_dinov2", "vit_base_patch14_dinov2", "vit_large_patch14_dinov2", "samvit_base_patch16"),
)


@dataclass(frozen=True)
class Held:
    """A mapping of tensors in a file: `place` are the keys that lead to it, joined by `/`; the outermost: ""."""

    place: str
    tensors: int
    parameters: int
    types: tuple[str, ...]
    first: tuple[str, ...]  # names, some of them


@dataclass(frozen=True)
class Fit:
    """How a backbone fits: `why` not, or "" if in full."""

    backbone: str
    matched: int
    of: int
    source: str
    why: str


def holds(mappings: Mapping[str, Tensors]) -> list[Held]:
    """The mappings that a file was read as."""
    return [
        Held(
            place,
            len(tensors),
            sum(value.numel() for value in tensors.values()),
            tuple(sorted({str(value.dtype).removeprefix("torch.") for value in tensors.values()})),
            tuple(list(tensors)[:3]),
        )
        for place, tensors in mappings.items()
    ]


def fits(path: Path, mappings: Mapping[str, Tensors], backbones: Sequence[str] = BACKBONES) -> list[Fit]:
    """The backbones that a file, read as `mappings`, fits in full or, if there is none, the three that come nearest."""
    found = [fit for fit in _fits(path, mappings, backbones) if fit.matched]
    whole = [fit for fit in found if not fit.why]
    return whole or sorted(found, key=lambda fit: -fit.matched / fit.of)[:3]


def _fits(path: Path, mappings: Mapping[str, Tensors], backbones: Sequence[str]) -> Iterator[Fit]:
    for backbone in backbones:
        with torch.device("meta"):
            own = names(TimmEncoder(backbone, image_size=SIZE))
        found = best_match({name: value for name, (_, value) in own.items()}, mappings)
        yield Fit(backbone, len(found.matched), len(own), found.source, _problem(path, found, own))


def _problem(path: Path, found: Match, own: Mapping[str, object]) -> str:
    try:
        require_whole(path, found, own, ())
    except BenchError as error:
        return str(error).removeprefix(f"{path}: ")
    return f"resampled: {', '.join(found.resampled)}" * bool(found.resampled)


def counted(plugins: Sequence[Plugin], backbone: str, image_size: int) -> list[dict[str, Any]]:
    """`name`, `backbone` and `parameters` of the encoder that each method evaluates, without a head, or an `error`.

    A method without an architecture of its own has the `backbone` given, and those that hide patches a transformer.
    """
    rows = []
    for plugin in plugins:
        name = str(plugin.info.get("backbone") or backbone)
        size = int(plugin.info.get("image_size") or image_size)
        if plugin.info.get("needs") == "tokens" and parse(name)[0] not in token_backbones():
            name, size = TOKENS, SIZE
        try:
            with torch.device("meta"):
                own = plugin.decorator == "foundation_model" and plugin.info.get("backbone")
                encoder = plugin.load().build(name, None, size) if own else TimmEncoder(name, image_size=size)
            found, error = sum(weight.numel() for weight in encoder.parameters()), ""
        except Exception as exc:  # one plug-in that cannot be built hides no other
            found, error = 0, reason(exc)
        rows.append(
            {"name": plugin.name, "backbone": name, "parameters": found or None, **({"error": error} if error else {})}
        )
    return rows
