"""DRIVE: the vessels of the retina in fundus photographs, within the field of view, as the first observer drew them.

The official test set is used where its truth is there; newer archives leave that out, and then the 20 training images
are all there is, and are drawn into 12, 3 and 5. LVM-Med's split is not published. The strict convention is primary:
Dice of the vessels in the field of view at the full resolution, which works can be compared by whatever size their
networks see. What LVM-Med's released code scores, on the resized grid and the black border too, is stored beside it.
"""

from pathlib import Path

from bench.data.folders import hold_out, index_by_stem, require_folder
from bench.data.splits import three_way
from bench.errors import BenchError
from bench.spec import Case, Image, Mask, Part, Splits, Truth, task

RECIPE = {"image_size": 224, "batch_size": 16, "lr": 1e-3, "epochs": 50}  # LVM-Med, arXiv:2306.11925, appendix B


def _files(part: str) -> tuple[Image | Truth, ...]:
    return (
        Image(f"{part}/images/{{n:02d}}_{part}.tif"),
        Truth(f"{part}/1st_manual/{{n:02d}}_manual1.gif", {1: 255}),
        Truth(f"{part}/mask/{{n:02d}}_{part}_mask.gif", {0: 255, 1: 255}),
    )


@task(
    "drive",
    title="DRIVE retinal vessels",
    modality="fundus photography",
    classes=("background", "vessel"),
    case="image",
    licence="research only",
    citation="Staal et al., Ridge-Based Vessel Segmentation in Color Images of the Retina, IEEE TMI 2004, "
    "doi:10.1109/TMI.2004.825627",
    url="https://drive.grand-challenge.org",
    layout={"training": Part(20, _files("training"), first=21), "test": Part(20, _files("test"))},
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    release=("dice", (1,)),
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def drive(folder: Path) -> Splits:
    """Official parts, 20 % of training drawn for validation; if test has no truth, training into 12, 3, 5. Seed 42."""
    training = _cases(require_folder(folder, "training"))
    if not (folder / "test" / "1st_manual").is_dir():
        return three_way(training, val=0.15, test=0.25)
    train, val = hold_out(training, 0.2, seed=42)
    return Splits(train, val, _cases(folder / "test"))


def _cases(part: Path) -> tuple[Case, ...]:
    """Every image with its vessels and its field of view. Raises BenchError for one of them without the others."""
    places = {"images": f"_{part.name}", "1st_manual": "_manual1", "mask": f"_{part.name}_mask"}
    found = {kind: _numbered(require_folder(part, kind), ending) for kind, ending in places.items()}
    numbers = sorted(set().union(*found.values()))
    for kind, ending in places.items():
        if lacking := [number for number in numbers if number not in found[kind]]:
            raise BenchError(f"{part / kind}: has no image {lacking[0]}{ending}; was the data set unpacked in full?")
    images, vessels, regions = found.values()
    return tuple(Case(f"{part.name}/{n}", images[n], masks=(Mask(vessels[n], 1),), region=regions[n]) for n in numbers)


def _numbered(place: Path, ending: str) -> dict[str, Path]:
    return {stem.removesuffix(ending): path for stem, path in index_by_stem(place).items() if stem.endswith(ending)}
