"""Which of timm's backbones are plain vision transformers, told from its source so that a plan needs no torch."""

import importlib.util
import re
from functools import cache
from pathlib import Path


@cache
def token_backbones() -> frozenset[str]:
    """Names of timm's `VisionTransformer` models: patches of one size, which a method can hide from it."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        return frozenset()
    source = Path(spec.origin).parent / "models" / "vision_transformer.py"
    return frozenset(re.findall(r"^@register_model\ndef (\w+)\(", source.read_text(encoding="utf-8"), re.MULTILINE))
