"""Kvasir-SEG: polyps in endoscopy, split by the list published with LVM-Med where the grid names one.

The strict convention is primary: Dice of the polyp in each image at its own resolution, which works can be compared by
whatever size their networks see. What LVM-Med's released code scores, the same on the resized grid, is stored beside
it. That code drops training masks with greys between 50 and 200, which JPEG leaves in some; here none is dropped.
"""

from pathlib import Path

from bench.data.folders import require_folder
from bench.data.splits import divide, pair_images
from bench.spec import Image, Part, Splits, Truth, task

RECIPE = {"image_size": 224, "batch_size": 64, "lr": 1e-3, "epochs": 35}  # LVM-Med, arXiv:2306.11925, and its release


@task(
    "kvasir",
    title="Kvasir-SEG",
    modality="endoscopy",
    classes=("background", "polyp"),
    case="image",
    licence="research and education only",
    citation="Jha et al., Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020, arXiv:1911.07069",
    url="https://datasets.simula.no/kvasir-seg/",
    layout={
        "images": Part(
            1000,
            (Image("Kvasir-SEG/images/cju{n:04d}.jpg"), Truth("Kvasir-SEG/masks/cju{n:04d}.jpg", {1: 255})),
        )
    },
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    release=("dice", (1,)),
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def kvasir(folder: Path, *, split: str = "") -> Splits:
    """The list `split`, a path from the folder that holds the data sets; without it 64 / 16 / 20 %, seed 42."""
    home = require_folder(folder, "Kvasir-SEG")
    cases = pair_images(require_folder(home, "images"), require_folder(home, "masks"))
    return divide(cases, folder, split, official=kvasir.info.official)
