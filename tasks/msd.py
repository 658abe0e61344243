"""Any set in the layout of the Medical Segmentation Decathlon or of nnU-Net, under the classes that a grid names.

    [tasks.spleen]
    plugin = "msd"
    classes = ["background", "spleen"]

The strict convention is primary: mean Dice of all structures over a whole volume on its own grid; what LVM-Med's
released code would score (class 1 alone, on the resized grid) is stored beside it.
"""

from pathlib import Path

from bench.data.decathlon import read_cases
from bench.data.splits import divide
from bench.errors import BenchError
from bench.spec import Image, Part, Splits, Text, Truth, task

RECIPE = {"image_size": 224, "batch_size": 64, "lr": 1e-3, "epochs": 20}  # ours; LVM-Med's for MMWHS-CT


@task(
    "msd",
    title="a set in the layout of the Medical Segmentation Decathlon",
    modality="as the set",
    classes=("background", "structure"),
    case="volume",
    licence="as the set; those of the Decathlon have CC BY-SA 4.0",
    citation="Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 2022, arXiv:2106.05735",
    url="http://medicaldecathlon.com",
    layout={
        "training": Part(
            0,  # not known
            (
                Image("imagesTr/{n:03d}.nii.gz"),
                Truth("labelsTr/{n:03d}.nii.gz", {number: number for number in range(1, 256)}),
                Text("dataset.json", '{"tensorImageSize": "3D"}'),  # of a phantom the grid alone names the classes
            ),
        )
    },
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def msd(
    folder: Path,
    *,
    classes: tuple[str, ...] = ("background", "structure"),
    channel: int = 0,
    patient: str = "",
    split: str = "",
) -> Splits:
    """`channel` and `patient` as for `read_cases`; classes that are not those of dataset.json are refused.

    `split` names a list of train, val and test (see `bench.data.splits`), a path from the folder that holds the data
    sets; without it 64 / 16 / 20 % are drawn by patient, seed 42.
    """
    if not 2 <= len(classes) <= 255:
        raise BenchError(f"{folder}: `classes` needs the background and 1 to 254 structures, got {list(classes)}")
    return divide(read_cases(folder, classes, channel=channel, patient=patient), folder, split)
