"""How methods are pretrained: the settings of [pretrain], and named sets of them, which lie in recipes.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from bench.errors import unknown
from bench.values import convert, read


@dataclass(frozen=True)
class Pretrain:
    """How methods are pretrained. A method entry may override any of it in its own `pretrain` table."""

    corpus: tuple[str, ...] = ()  # tasks, of which only training images are used, or folders of images
    backbone: str = "resnet18"
    init: str = "random"  # or "imagenet", a checkpoint file, or "method:LABEL": what that method of the grid leaves
    image_size: int = field(default=64, metadata={"min": 8})  # pixels, side of a global crop and of evaluation
    source_size: int = field(default=0, metadata={"min": 0})  # pixels of the square that views are cut from; 0: twice
    epochs: int = field(default=100, metadata={"min": 1})
    batch_size: int = field(default=64, metadata={"min": 2})  # images of an optimiser step, over all devices
    accumulate: int = field(default=1, metadata={"min": 1})  # parts that a batch is computed in
    optimizer: Literal["adamw", "adam", "sgd", "lars"] = "adamw"
    lr: float = field(default=1e-3, metadata={"min": 0.0})
    weight_decay: float = field(default=1e-4, metadata={"min": 0.0})
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[float, ...] = (0.6, 0.8)  # shares of training at which "step" multiplies the rate by `decay`
    warmup_epochs: float = field(default=1.0, metadata={"min": 0.0})
    precision: Literal["auto", "32", "bf16"] = "auto"  # auto: bf16 on a GPU, 32 on a CPU
    checkpoint_minutes: float = field(default=10.0, metadata={"min": 0.0})
    decay: float = field(default=0.1, metadata={"min": 0.0, "added": True})
    clip: float = field(default=0.0, metadata={"min": 0.0, "added": True})  # largest norm of the gradient; 0: any

    @property
    def numbers(self) -> dict[str, Any]:
        """What can change a number, for the key. What was added later is in it where it is not as before."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("checkpoint_minutes", "corpus")}
        old = {f.name: f.default for f in fields(self) if f.metadata.get("added")}
        return {name: value for name, value in told.items() if name not in old or value != old[name]}

    @property
    def follows(self) -> str:
        """The label of the method whose encoder this one starts from, if any."""
        return self.init.removeprefix("method:") if self.init.startswith("method:") else ""

    @property
    def sources(self) -> int:
        """Side, in pixels, of the stored images that views are cut from."""
        return self.source_size or 2 * self.image_size


def read_recipe(given: Mapping[str, Any], base: Pretrain, where: str) -> Pretrain:
    """A pretrain table on top of the recipe that it names or, without one, of `base`. Raises BenchError."""
    own = dict(given)
    if "recipe" in own:
        recipes = tomllib.loads((Path(__file__).parent / "recipes.toml").read_text(encoding="utf-8"))
        name = convert(own.pop("recipe"), str, f"{where} recipe")
        if name not in recipes:
            raise unknown("recipe", name, recipes, where=where)
        base = read(Pretrain, recipes[name], f"recipes.toml: [{name}]", base=Pretrain(corpus=base.corpus))
    return read(Pretrain, own, where, base=base)
