"""MMWHS, the CT volumes: seven structures of the heart, in the split published with LVM-Med.

The strict convention is primary: mean IoU of all seven structures over a whole volume on its own grid. What LVM-Med's
released code scores, the IoU of the left atrium alone on the resized grid, is stored beside it: the paper's number for
"heart structures" is that one. The challenge's test volumes have no public truth, and are not used.
"""

from pathlib import Path

from bench.data import mmwhs
from bench.spec import Splits, task

RECIPE = {"image_size": 224, "batch_size": 64, "lr": 1e-3, "epochs": 20}  # LVM-Med, arXiv:2306.11925, appendix B


@task(
    "mmwhs_ct",
    title="Multi-Modality Whole Heart Segmentation, CT",
    modality="CT angiography",
    classes=mmwhs.CLASSES,
    case="volume",
    licence=mmwhs.LICENCE,
    citation=mmwhs.CITATION,
    url=mmwhs.URL,
    layout=mmwhs.published("ct_train"),
    protocols=("finetune", "frozen"),
    primary="iou",
    target="mask",
    values=mmwhs.VALUES,
    release=("iou", (2,)),
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def mmwhs_ct(folder: Path) -> Splits:
    """The published split, of the volumes that are there."""
    return mmwhs.read_splits(folder, "ct_train")
