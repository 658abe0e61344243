"""BraTS 2018: glioma in MRI of the brain, in one of the four sequences, as LVM-Med does.

The strict convention is primary: mean IoU of the challenge's three regions over a whole volume on its own grid. What
LVM-Med's released code scores, the IoU of the whole tumour on the resized grid, is stored beside it. Its split is not
published, and the challenge's validation cases have no public truth: all three parts are drawn from the training set.
"""

from pathlib import Path

from bench.data.folders import enclosing, pair_volumes, require_folder
from bench.data.splits import three_way
from bench.errors import BenchError, unknown
from bench.spec import Case, Image, Mask, Part, Splits, Truth, task

SEQUENCES = ("flair", "t1", "t1ce", "t2")
HGG = "MICCAI_BraTS_2018_Data_Training/HGG/Brats18_{n:03d}_1/Brats18_{n:03d}_1_"
LGG = "MICCAI_BraTS_2018_Data_Training/LGG/Brats18_{n:03d}_1/Brats18_{n:03d}_1_"
STORED = {1: 1, 2: 2, 3: 4}
RECIPE = {"image_size": 224, "batch_size": 128, "lr": 1.5e-3, "epochs": 20}  # LVM-Med, arXiv:2306.11925, appendix B


@task(
    "brats2018",
    title="Brain Tumor Segmentation Challenge 2018",
    modality="MRI",
    classes=("background", "necrosis", "oedema", "enhancing"),
    case="volume",
    licence="on registration, non-commercial research only",
    citation="Menze et al., The Multimodal Brain Tumor Image Segmentation Benchmark, IEEE TMI 2015, "
    "doi:10.1109/TMI.2014.2377694; Bakas et al., arXiv:1811.02629",
    url="https://www.med.upenn.edu/sbia/brats2018/data.html",
    layout={
        "HGG": Part(210, (*(Image(f"{HGG}{s}.nii.gz") for s in SEQUENCES), Truth(f"{HGG}seg.nii.gz", STORED))),
        "LGG": Part(75, (*(Image(f"{LGG}{s}.nii.gz") for s in SEQUENCES), Truth(f"{LGG}seg.nii.gz", STORED)), 211),
    },
    protocols=("finetune", "frozen"),
    primary="iou",
    target="mask",
    values={stored: number for number, stored in STORED.items()},
    regions={"whole_tumour": (1, 2, 3), "tumour_core": (1, 3), "enhancing": (3,)},
    release=("iou", (1, 2, 3)),
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def brats2018(folder: Path, *, modality: str = "flair") -> Splits:
    """Cases of both grades, split at random with seed 42; `modality` is flair, t1, t1ce or t2."""
    if modality not in SEQUENCES:
        raise unknown("modality", modality, SEQUENCES, where="brats2018")
    home = enclosing(folder, "HGG")
    return three_way([case for grade in ("HGG", "LGG") for case in _cases(require_folder(home, grade), modality)])


def _cases(grade: Path, modality: str) -> list[Case]:
    """The case of each folder of a grade, which is named like its files."""
    cases = []
    for place in sorted(path for path in grade.iterdir() if path.is_dir() and not path.name.startswith(".")):
        found = pair_volumes(place, f"(.+)_{modality}", "(.+)_seg")
        if list(found) != [place.name]:
            raise BenchError(f"{place}: the files of a case are named like its folder, these are of {', '.join(found)}")
        image, truth = found[place.name]
        cases.append(Case(f"{grade.name}/{place.name}", image, masks=(Mask(truth),)))
    if not cases:
        raise BenchError(f"{grade}: holds no case; was the data set unpacked in full?")
    return cases
