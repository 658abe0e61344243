"""BUID (LVM-Med's name for BUSI): tumours in breast ultrasound, split by the list in its release if the grid says so.

Images without a tumour are left out, as there: 647 of 780. Where a tumour was drawn in several files, their union is
the truth. Duplicates are known, within and across the folders (Pawlowska et al., 2023), and stay in, as in the list.
The strict convention is primary: Dice of the tumour in each image at its own resolution, which works can be compared by
whatever size their networks see. What LVM-Med's released code scores, the same on the resized grid, is beside it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from bench.data.folders import index_by_stem, require_folder
from bench.data.splits import divide
from bench.errors import BenchError
from bench.spec import Case, Image, Mask, Part, Splits, Truth, task

HOME = "Dataset_BUSI_with_GT"
KINDS = {"benign": 437, "malignant": 210}
RECIPE = {"image_size": 256, "batch_size": 8, "lr": 1e-4, "epochs": 50}  # LVM-Med, arXiv:2306.11925, and its release


def _files(kind: str) -> tuple[Image | Truth, ...]:
    name = f"{HOME}/{kind}/{kind} ({{n}})"
    return Image(f"{name}.png"), Truth(f"{name}_mask.png", {1: 255})


@task(
    "buid",
    title="Breast ultrasound images (BUSI)",
    modality="ultrasound",
    classes=("background", "tumour"),
    case="image",
    licence="none stated; the article is under CC BY 4.0",
    citation="Al-Dhabyani et al., Dataset of Breast Ultrasound Images, Data in Brief 2020, "
    "doi:10.1016/j.dib.2019.104863",
    url="https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
    layout={kind: Part(official, _files(kind)) for kind, official in KINDS.items()},
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    release=("dice", (1,)),
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def buid(folder: Path, *, split: str = "") -> Splits:
    """The list `split`, a path from the folder that holds the data sets; without it 64 / 16 / 20 %, seed 42."""
    home = require_folder(folder, HOME)
    cases = [case for kind in KINDS for case in _cases(require_folder(home, kind))]
    return divide(cases, folder, split, official=buid.info.official)


def _cases(place: Path) -> Iterator[Case]:
    """Images with their one or more masks. Raises BenchError for either without the other."""
    images, masks = dict[str, Path](), dict[str, list[Path]]()
    for stem, path in index_by_stem(place).items():
        if match := re.fullmatch(r"(.+)_mask(_\d+)?", stem):
            masks.setdefault(match[1], []).append(path)
        else:
            images[stem] = path
    if alone := sorted(images.keys() ^ masks.keys()):
        path, lacks = (images[alone[0]], "mask") if alone[0] in images else (masks[alone[0]][0], "image")
        raise BenchError(f"{path}: has no {lacks} beside it, nor have {len(alone) - 1} more; was all of it unpacked?")
    for name, path in images.items():
        yield Case(name, path, masks=tuple(Mask(mask, 1) for mask in masks[name]))
