"""Hippocampus in MRI: head (anterior) and body with tail (posterior), task 4 of the Medical Segmentation Decathlon.

The strict convention is primary: mean Dice of both structures over a whole volume on its own grid. LVM-Med has no such
task; what its released code would score (class 1 alone, on the resized grid) is stored beside it. The test set of the
Decathlon has no public truth, so all three parts are drawn from its training set.
"""

from pathlib import Path

from bench.data.decathlon import read_cases
from bench.data.splits import three_way
from bench.spec import Image, Part, Splits, Text, Truth, task

ABOUT = (
    '{"name": "Hippocampus", "tensorImageSize": "3D", "modality": {"0": "MRI"}, "numTraining": 260, '
    '"labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}'
)
RECIPE = {"image_size": 96, "batch_size": 64, "lr": 1e-3, "epochs": 20}  # ours: slices have about 35 x 50 pixels


@task(
    "msd_hippocampus",
    title="Medical Segmentation Decathlon, task 4: hippocampus",
    modality="MRI",
    classes=("background", "anterior", "posterior"),
    case="volume",
    licence="CC BY-SA 4.0",
    citation="Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 2022, arXiv:2106.05735",
    url="http://medicaldecathlon.com",
    layout={
        "training": Part(
            260,
            (
                Image("Task04_Hippocampus/imagesTr/hippocampus_{n:03d}.nii.gz"),
                Truth("Task04_Hippocampus/labelsTr/hippocampus_{n:03d}.nii.gz", {1: 1, 2: 2}),
                Text("Task04_Hippocampus/dataset.json", ABOUT),
            ),
        )
    },
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def msd_hippocampus(folder: Path) -> Splits:
    """One volume a patient; split at random with seed 42."""
    return three_way(read_cases(folder, msd_hippocampus.info.classes))
