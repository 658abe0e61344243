"""What the CT and the MRI volumes of MMWHS share: structures, stored values, and the split published with LVM-Med."""

from pathlib import Path

from bench.data.folders import pair_volumes, require_folder
from bench.errors import BenchError
from bench.spec import Case, Image, Mask, Part, Splits, Truth

CLASSES = (
    "background",
    "myocardium",
    "left_atrium",
    "left_ventricle",
    "right_atrium",
    "right_ventricle",
    "ascending_aorta",
    "pulmonary_artery",
)
STORED = {1: 205, 2: 420, 3: 500, 4: 550, 5: 600, 6: 820, 7: 850}
VALUES = {**{stored: number for number, stored in STORED.items()}, 421: 2}  # 421: a slip in one published label
SPLIT = {  # by volume, the same for CT and MRI
    "train": (1001, 1003, 1005, 1006, 1008, 1009, 1011, 1014, 1015, 1016, 1017, 1018, 1020),
    "val": (1004, 1007, 1013),
    "test": (1002, 1010, 1012, 1019),
}
LICENCE = "on a signed agreement, research only, no redistribution"
CITATION = (
    "Zhuang et al., Evaluation of algorithms for Multi-Modality Whole Heart Segmentation: An open-access grand "
    "challenge, Medical Image Analysis 2019, arXiv:1902.07880"
)
URL = "https://zmiclab.github.io/zxh/0/mmwhs/"


def published(kind: str) -> dict[str, Part]:
    """The layout of `ct_train` or `mr_train`."""
    truth = Truth(f"{kind}/{kind}_{{n}}_label.nii.gz", STORED)
    return {"training": Part(20, (Image(f"{kind}/{kind}_{{n}}_image.nii.gz"), truth), first=1001)}


def read_splits(folder: Path, kind: str) -> Splits:
    """The published split, of the volumes that are there. Raises BenchError for one that it does not name."""
    place = require_folder(folder, kind)
    found = pair_volumes(place, rf"{kind}_(\d+)_image", rf"{kind}_(\d+)_label")
    if strangers := found.keys() - {str(number) for numbers in SPLIT.values() for number in numbers}:
        raise BenchError(f"{place}: volume {min(strangers)} is in no part of the published split")
    parts = {}
    for part, numbers in SPLIT.items():
        names = [str(number) for number in numbers if str(number) in found]
        if not names:
            raise BenchError(f"{place}: has no volume of the split's part {part}: {', '.join(map(str, numbers))}")
        parts[part] = tuple(Case(name, found[name][0], masks=(Mask(found[name][1]),)) for name in names)
    return Splits(parts["train"], parts["val"], parts["test"])
