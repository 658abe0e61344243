"""Weights from a file into an encoder, whatever the file calls them; no partial match passes in silence.

A file whose keys are wrapped or prefixed in another way than expected loads nothing, and where nobody looks, the
weights that were there before are evaluated, as may have happened in published comparisons. So a match is searched for,
written down, and refused unless it is whole.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.encoders.blocks import resampled
from bench.encoders.reading import Tensors, read_tensors
from bench.errors import BenchError
from bench.keys import file_digest
from bench.nn import Encoder
from bench.spec import Weights

SEQUENTIAL = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}  # lightly's ResNets
COUNTERS = "*.num_batches_tracked"  # used by no network in evaluation, and not in files of old
RANKS = (("teacher", -1), ("student", 1), ("momentum", 2), ("encoder_k", 2), ("target", 2))  # lower goes first
LISTED = 8


@dataclass(frozen=True)
class Match:
    """How the tensors of a file fit an encoder: names are the encoder's own, without what they all begin with."""

    place: str  # the keys that lead to the mapping in the file
    prefix: str  # that its names have
    matched: Mapping[str, Tensor] = field(repr=False)
    missing: tuple[str, ...]  # not in the file
    misfit: tuple[str, ...]  # in the file, in another shape: "`name` is (3, 4) and not (3, 5)"
    unexpected: tuple[str, ...]  # in the file and not in the encoder
    resampled: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where in the file the tensors are, in words."""
        return (
            " ".join(word for word in (self.place, self.prefix and f"{self.prefix}*") if word) or "the outermost names"
        )

    def plain(self) -> dict[str, Any]:
        """For the record."""
        return {
            "place": self.place,
            "prefix": self.prefix,
            "matched": len(self.matched),
            "missing": list(self.missing),
            "unexpected": len(self.unexpected),
            "resampled": list(self.resampled),
        }


def load_weights(
    encoder: nn.Module, weights: Weights | Path | None, published: Callable[[str], str] = str
) -> dict[str, Any] | None:
    """Load a file into an encoder in place; how it fitted, which `encoder.loaded` keeps for the record.

    The file may have anything before the names that the encoder's library has for its tensors, and hold others beside
    them: a classifier, a student, an optimiser. Position embeddings of another grid are resampled. Without a file
    nothing happens. `published` gives the name in files of a tensor that a library calls otherwise by now.

    Raises BenchError that names the file and the first offending key, unless every tensor of the encoder is there in
    its shape and finite, but for those that `weights.missing` has patterns for; and where the file has more of the
    backbone than the encoder.
    """
    if weights is None or (isinstance(weights, Weights) and weights.file is None):
        return None
    path, allowed = (weights.file, weights.missing) if isinstance(weights, Weights) else (weights, ())
    assert path is not None
    own = {published(short): pair for short, pair in names(encoder).items()}
    there = {place: {published(name): value for name, value in of.items()} for place, of in read_tensors(path).items()}
    found = best_match({short: value for short, (_, value) in own.items()}, there)
    require_whole(path, found, own, allowed)
    encoder.load_state_dict({own[short][0]: value for short, value in found.matched.items()}, strict=False)
    told = {"file": path.name, "sha256": file_digest(path), **found.plain()}
    if isinstance(encoder, Encoder):
        encoder.loaded = told
    return told


def names(encoder: nn.Module) -> dict[str, tuple[str, Tensor]]:
    """The encoder's tensors by their library's names: `model.`, or whatever all of them begin with, is left out."""
    state = encoder.state_dict()
    first = {key.partition(".")[0] for key in state}
    common = f"{first.pop()}." if len(first) == 1 and all("." in key for key in state) else ""
    return {key.removeprefix(common): (key, value) for key, value in state.items()}


def best_match(own: Tensors, mappings: Mapping[str, Tensors]) -> Match:
    """The mapping and prefix with most of the tensors; of equals a teacher, then a student, then its moving copy."""
    found = [
        match(own, tensors, place, prefix) for place, tensors in mappings.items() for prefix in prefixes(own, tensors)
    ]
    return min(found, key=lambda m: (-len(m.matched), _rank(f"{m.place}/{m.prefix}"), len(m.prefix), m.place, m.prefix))


def _rank(source: str) -> int:
    return next((rank for word, rank in RANKS if word in source), 0)


def prefixes(own: Tensors, tensors: Tensors) -> list[str]:
    """What the names of a mapping may have before those of the encoder; "" always."""
    anchors = {name.partition(".")[0]: name for name in sorted(own, key=lambda n: (n.count("."), len(n), n))}.values()
    wanted = {f".{alias}" for anchor in anchors for alias in (anchor, _sequential(anchor)) if alias}
    found = {name[: len(name) - len(end) + 1] for name in tensors for end in wanted if name.endswith(end)}
    return ["", *sorted(found)]


def _sequential(name: str) -> str:
    """A ResNet's name where its stages are numbered, as in a `nn.Sequential` of them."""
    first, dot, rest = name.partition(".")
    number = next((number for number, stage in SEQUENTIAL.items() if stage == first), "")
    return f"{number}{dot}{rest}" if number else ""


def match(own: Tensors, tensors: Tensors, place: str, prefix: str) -> Match:
    """How the tensors under a prefix fit."""
    there = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    if "conv1.weight" in own and "conv1.weight" not in there and "0.weight" in there:
        there = {_named(name): value for name, value in there.items()}
    matched, resampled, misfit = dict[str, Tensor](), [], []
    for name, value in own.items():
        if name not in there:
            continue
        if there[name].shape == value.shape:
            matched[name] = there[name]
        elif (fitted := resample(name, there[name], value, own)) is not None:
            matched[name] = fitted
            resampled.append(name)
        else:
            misfit.append(f"`{name}` is {tuple(there[name].shape)} and not {tuple(value.shape)}")
    missing = tuple(name for name in own if name not in there)
    unexpected = tuple(name for name in there if name not in own)
    return Match(place, prefix, matched, missing, tuple(misfit), unexpected, tuple(resampled))


def _named(name: str) -> str:
    first, dot, rest = name.partition(".")
    return SEQUENTIAL.get(first, first) + dot + rest


def resample(name: str, given: Tensor, wanted: Tensor, own: Tensors) -> Tensor | None:
    """Position embeddings on the encoder's grid, bicubic; SAM's, absolute and relative, too. None for all else."""
    from timm.layers.pos_embed import resample_abs_pos_embed
    from torch.nn.functional import interpolate

    if name.endswith("pos_embed") and given.ndim == wanted.ndim == 3 and given.shape[2] == wanted.shape[2]:
        prefix = sum(int(own[token].shape[1]) for token in ("cls_token", "reg_token") if token in own)
        for extra in {prefix, 0}:  # some keep the class token's apart
            sides = [round((count - extra) ** 0.5) for count in (given.shape[1], wanted.shape[1]) if count > extra]
            if [side**2 + extra for side in sides] == [given.shape[1], wanted.shape[1]]:
                grid = resample_abs_pos_embed(given.float(), [sides[1]] * 2, num_prefix_tokens=extra)
                return torch.as_tensor(grid)
    if name.endswith("pos_embed") and given.ndim == wanted.ndim == 4 and given.shape[3] == wanted.shape[3]:
        return resampled(given.float(), *wanted.shape[1:3])
    if re.search(r"rel_pos_[hw]$", name) and given.ndim == wanted.ndim == 2 and given.shape[1] == wanted.shape[1]:
        return interpolate(given.float().T[None], len(wanted), mode="linear")[0].T
    return None


def require_whole(path: Path, found: Match, own: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Raise BenchError unless all of the encoder is there, of its shape and finite, and no more of the backbone."""
    wrong = f"{path}: does not fit the backbone"
    told = f"{len(found.matched)} of {len(own)} tensors match, from {found.source}"
    if found.misfit:
        raise BenchError(f"{wrong}: {found.misfit[0]} ({told})")
    lacking = [name for name in found.missing if not any(fnmatchcase(name, p) for p in (*allowed, COUNTERS))]
    if lacking or not found.matched:
        mend = f'; if it may lack them, say missing = ["{lacking[0]}"]' if found.matched and lacking else ""
        raise BenchError(f"{wrong}: no `{(lacking or [*own])[0]}` ({told}{mend}). It holds {_listed(found.unexpected)}")
    parts = {_part(name) for name in own} | {"pos_embed"}  # without its positions it would be another network
    if more := [name for name in found.unexpected if _part(name) in parts]:
        raise BenchError(f"{wrong}: it also holds `{more[0]}`, and {len(more) - 1} more of a larger backbone ({told})")
    for name, value in found.matched.items():
        if not torch.isfinite(value).all():
            raise BenchError(f"{path}: `{name}` holds values that are not finite")


def _part(name: str) -> str:
    """`layer4` is of the same part of a backbone as `layer3`."""
    return name.partition(".")[0].rstrip("0123456789")


def _listed(unexpected: Sequence[str]) -> str:
    more = f" and {len(unexpected) - LISTED} more" if len(unexpected) > LISTED else ""
    return ", ".join(f"`{name}`" for name in unexpected[:LISTED]) + more if unexpected else "nothing else"
