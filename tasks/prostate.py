"""Prostate in T2 MRI of six sites: fitted on one, and scored there and at five others that no network has seen.

LVM-Med fits on BMC and scores BMC, RUNMC, BIDMC and HK (arXiv:2306.11925, table 4); I2CVB and UCL are scored here too.
Its split of BMC is not published. The strict convention is primary: Dice over a whole volume on its own grid; that of
LVM-Med's released code, on the resized grid, is stored beside it.
"""

from pathlib import Path

from bench.data.folders import pair_volumes, require_folder
from bench.data.splits import three_way
from bench.spec import Case, Image, Mask, Part, Splits, Truth, task

HOME, SITES = "BMC", ("RUNMC", "BIDMC", "HK", "I2CVB", "UCL")
VOLUMES = {"BMC": 30, "RUNMC": 30, "BIDMC": 12, "HK": 12, "I2CVB": 19, "UCL": 13}
RECIPE = {"image_size": 224, "batch_size": 64, "lr": 1e-3, "epochs": 30}  # LVM-Med, arXiv:2306.11925, appendix B


def _files(site: str) -> tuple[Image | Truth, ...]:
    suffix = "Segmentation" if site == HOME else "segmentation"
    return Image(f"{site}/Case{{n:02d}}.nii.gz"), Truth(f"{site}/Case{{n:02d}}_{suffix}.nii.gz", {1: 1})


@task(
    "prostate",
    title="Multi-site prostate MRI",
    modality="MRI",
    classes=("background", "prostate"),
    case="volume",
    licence="research only; terms of NCI-ISBI 2013, I2CVB and PROMISE12, from which it was made",
    citation="Liu et al., MS-Net: Multi-Site Network for Improving Prostate Segmentation with Heterogeneous MRI Data, "
    "IEEE TMI 2020, arXiv:2002.03366",
    url="https://liuquande.github.io/SAML/",
    layout={site: Part(official, _files(site), first=0) for site, official in VOLUMES.items()},
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    values={1: 1, 2: 1},  # some sites tell the peripheral zone from the rest
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def prostate(folder: Path) -> Splits:
    """BMC is split at random with seed 42; to its test part comes every case of the other sites that are there."""
    own = three_way(_cases(require_folder(folder, HOME)))
    others = [case for site in SITES if (folder / site).is_dir() for case in _cases(folder / site)]
    return Splits(own.train, own.val, (*own.test, *others))


def _cases(place: Path) -> list[Case]:
    found = pair_volumes(place, "(.+)", "(.+)_segmentation")
    return [
        Case(f"{place.name}/{name}", image, masks=(Mask(truth),), site=place.name)
        for name, (image, truth) in found.items()
    ]
