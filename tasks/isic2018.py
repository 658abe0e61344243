"""ISIC 2018, task 1: the outlines of skin lesions in dermoscopy.

Only the images of the training set have had public truth from the start, and LVM-Med splits those 2594 at random (its
2596 are, it seems, these and the two text files that lie among them); the ids it drew are not published. The strict
convention is primary: Dice of the lesion in each image at its own resolution, which works can be compared by whatever
size their networks see. What LVM-Med's released code scores, the same on the resized grid, is stored beside it.
"""

from pathlib import Path

from bench.data.folders import require_folder
from bench.data.splits import pair_images, three_way
from bench.spec import Image, Part, Splits, Text, Truth, task

IMAGES, MASKS = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"
TEXTS = tuple(Text(f"{home}/{name}.txt", "") for home in (IMAGES, MASKS) for name in ("ATTRIBUTION", "LICENSE"))
RECIPE = {"image_size": 512, "batch_size": 16, "lr": 1e-4, "epochs": 35}  # LVM-Med, arXiv:2306.11925, appendix B


@task(
    "isic2018",
    title="ISIC 2018, task 1: lesion boundaries",
    modality="dermoscopy",
    classes=("background", "lesion"),
    case="image",
    licence="CC0 or CC BY-NC 4.0, by image",
    citation="Codella et al., Skin Lesion Analysis Toward Melanoma Detection 2018, arXiv:1902.03368; "
    "Tschandl et al., The HAM10000 Dataset, Scientific Data 2018, arXiv:1803.10417",
    url="https://challenge.isic-archive.com/data/#2018",
    layout={
        "training": Part(
            2594,
            (
                Image(f"{IMAGES}/ISIC_{{n:07d}}.jpg"),
                Truth(f"{MASKS}/ISIC_{{n:07d}}_segmentation.png", {1: 255}),
                *TEXTS,
            ),
            first=0,
        )
    },
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    release=("dice", (1,)),
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def isic2018(folder: Path) -> Splits:
    """64 / 16 / 20 % of the training set, drawn with seed 42."""
    return three_way(pair_images(require_folder(folder, IMAGES), require_folder(folder, MASKS), "_segmentation"))
