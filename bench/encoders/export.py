"""A pretrained encoder as a file for another library, with a card that says how it came about."""

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.encoders.reading import read_tensors
from bench.encoders.timm import TimmEncoder, parse
from bench.errors import BenchError
from bench.keys import file_digest

State = dict[str, Tensor]


def _own(state: State, backbone: str) -> State:
    return state


def _timm(state: State, backbone: str) -> State:
    return {name.removeprefix("model."): value for name, value in state.items()}


def _torchvision(state: State, backbone: str) -> State:
    """torchvision's and timm's plain ResNets have one form. Raises BenchError for others."""
    import torchvision

    name, renamed = parse(backbone)[0], _timm(state, backbone)
    known = torchvision.models.list_models(torchvision.models)
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name).state_dict() if name in known else {}
    wanted = {key: value.shape for key, value in theirs.items() if not key.startswith("fc.")}
    if wanted != {key: value.shape for key, value in renamed.items()}:
        raise BenchError(f"torchvision has no {backbone} with these tensors; its ResNets are resnet18 to resnet152")
    return renamed


def _sam(state: State, backbone: str) -> State:
    """An image encoder in a file of Segment Anything (arXiv:2304.02643). Raises BenchError for another backbone."""
    if not backbone.startswith("samvit_"):
        raise BenchError(f"{backbone} is no image encoder of SAM; timm's are samvit_base_patch16 and its larger kin")
    return {f"image_encoder.{name.replace('mlp.fc', 'mlp.lin')}": v for name, v in _timm(state, backbone).items()}


class Format(Enum):
    """Ending of the file, how its tensors are called, and how it is loaded."""

    safetensors = (".safetensors", _own, 'in a grid: weights = "FILE", or [pretrain] init = "FILE"')
    timm = (".safetensors", _timm, 'timm.create_model("BACKBONE", num_classes=0, checkpoint_path="FILE"OPTIONS)')
    torchvision = (
        ".pth",
        _torchvision,
        'm = torchvision.models.BACKBONE(); m.fc = torch.nn.Identity(); m.load_state_dict(torch.load("FILE"))',
    )
    sam = (".pth", _sam, "the image encoder of segment_anything's Sam, whose keys begin with image_encoder.")


def export(weights: Path, facts: Mapping[str, Any], format: str, out: Path) -> tuple[Path, Path]:
    """Write the encoder of a pretraining's record and its card; the file and the card.

    `weights` is the record's file. Raises BenchError for a format that its backbone has not, and a file that is there.
    """
    ending, rename, usage = Format[format].value
    backbone = str(facts["parts"]["recipe"]["backbone"])
    file = out if out.suffix == ending else out.with_name(out.name + ending)
    card = file.with_name(file.name + ".md")
    for path in (file, card):
        if path.exists():
            raise BenchError(f"{path}: exists, and is not written over; name another with --out")
    state = rename(dict(read_tensors(weights)[""]), backbone)
    file.parent.mkdir(parents=True, exist_ok=True)
    if ending == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, file, metadata={"format": "pt"})
    else:
        torch.save(state, file)
    name, options = parse(backbone)
    given = "".join(f", {key}={value!r}" for key, value in options.items())
    said = usage.replace("BACKBONE", name).replace("FILE", file.name).replace("OPTIONS", given)
    card.write_text(_card(facts, file, backbone, state, said), encoding="utf-8")
    return file, card


def _card(facts: Mapping[str, Any], file: Path, backbone: str, state: State, usage: str) -> str:
    """What a user of the file must know of it, in Markdown."""
    recipe, method = facts["parts"]["recipe"], facts["parts"]["method"]
    with torch.device("meta"):
        encoder = TimmEncoder(backbone, image_size=recipe["image_size"])
    data = [
        f"{s['name']} ({s['kind']}, {s['found']} cases found, {s['left_out_of_corpus']} training images left out"
        " because they are or look like images that are scored)"
        for s in facts["data"]
    ]
    lines = {
        "method": f"{facts['method']} (plug-in {method['plugin']}, settings {method['settings']})",
        "backbone": f"{backbone}, {sum(p.numel() for p in encoder.parameters())} parameters, {len(state)} tensors",
        "input": f"RGB of {recipe['image_size']} px, scaled to [0, 1], less {encoder.mean}, over {encoder.std}",
        "trained on": f"{facts.get('images', 'unknown')} images of: {'; '.join(data)}",
        "recipe": ", ".join(f"{key} {value}" for key, value in recipe.items()),
        "seed": facts["seed"],
        "loss": _ends(facts.get("history", {}).get("loss", [])),
        "collapsed": facts.get("collapsed") or "no",
        "record": facts["key"],
        "made": f"{facts['started']}, {facts['environment']}",
        "sha256": file_digest(file),
        "licence": "that of the weights follows from the terms of the data, which each set keeps",
    }
    warning = (
        "\nPHANTOM data: it was trained on drawn images and says nothing about medicine.\n" if facts["phantom"] else ""
    )
    body = "\n".join(f"- {name}: {_line(str(value))}" for name, value in lines.items())
    return f"# {_line(facts['id'])}\n{warning}\n{body}\n\nTo load it: `{usage}`\n"


def _ends(curve: list[float]) -> str:
    return f"{curve[0]:.4g} -> {curve[-1]:.4g}" if curve else "unknown"


def _line(text: str) -> str:
    """Names come from files that users write: one line, and no markup."""
    return re.sub(r"([\\`*<>\[\]|])", r"\\\1", "".join(c if c.isprintable() else " " for c in text))
