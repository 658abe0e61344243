"""JSRT: lungs, heart and clavicles in chest radiographs, as outlined in the SCR database.

The radiographs, raw, lie at the root or in any one folder, and SCR's `fold1` and `fold2` at the root; a plain layout,
`images/` and `masks/<structure>/`, is read as well. SCR's outlines have half the side of the radiographs, which are
read at their size (`bench.data.images`). A pixel has one class: clavicles and heart lie over the lungs behind them.

The strict convention is primary: mean Dice of the five structures on the grid of the outlines, which works can be
compared by whatever size their networks see. What LVM-Med's released code scores is stored beside it: there the lungs
are one class, and on the resized grid. Its split is not published.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.data.folders import index_by_stem, is_image, require_folder
from bench.data.splits import three_way
from bench.errors import BenchError, unknown
from bench.spec import Case, Image, Mask, Part, Splits, Truth, task

STRUCTURES = ("left lung", "right lung", "heart", "left clavicle", "right clavicle")  # a later one lies over the others
NAME = re.compile(r"JPC[LN]N\d{3}")
PUBLISHED, SPACING = 2 * 2048**2, (0.35, 0.35)  # bytes of a radiograph, and mm of a pixel at half its side
RECIPE = {"image_size": 224, "batch_size": 32, "lr": 1e-3, "epochs": 50}  # LVM-Med, arXiv:2306.11925, appendix B


def _files(name: str) -> tuple[Image | Truth, ...]:
    masks = (Truth(f"fold{{fold}}/masks/{s}/{name}.gif", {k: 255}) for k, s in enumerate(STRUCTURES, 1))
    return Image(f"{name}.IMG"), *masks


@task(
    "jsrt",
    title="JSRT chest radiographs with SCR outlines",
    modality="X-ray",
    classes=("background", "left lung", "right lung", "heart", "left clavicle", "right clavicle"),
    case="image",
    licence="research only, no redistribution",
    citation="Shiraishi et al., Development of a Digital Image Database for Chest Radiographs, AJR 2000; "
    "van Ginneken et al., Segmentation of Anatomical Structures in Chest Radiographs, Medical Image Analysis 2006",
    url="http://db.jsrt.or.jp/eng.php",
    layout={"with nodule": Part(154, _files("JPCLN{n:03d}")), "without": Part(93, _files("JPCNN{n:03d}"))},
    protocols=("finetune", "frozen"),
    primary="dice",
    target="mask",
    release=("dice", (1, 2)),
    recipe={"finetune": RECIPE, "frozen": RECIPE},
)
def jsrt(
    folder: Path,
    *,
    classes: Sequence[str] = ("background", "left lung", "right lung", "heart", "left clavicle", "right clavicle"),
) -> Splits:
    """64 / 16 / 20 %, drawn with seed 42. `classes` may leave out structures, as copies of the data do, but no lung."""
    if tuple(classes[:3]) != ("background", *STRUCTURES[:2]) or len(set(classes)) < len(classes):
        raise BenchError(f"{folder}: `classes` must begin with background, left lung, right lung, which LVM-Med scores")
    if strange := [name for name in classes[1:] if name not in STRUCTURES]:
        raise unknown("class", strange[0], STRUCTURES, where=f"{folder}: `classes`")
    places = _outlines(require_folder(folder), classes)
    images = _radiographs(folder)
    outlines = {name: _index(places, name) for name in STRUCTURES if name in classes}
    for name, found in outlines.items():
        if alone := sorted(images.keys() ^ found.keys()):
            path, lacks = (images[alone[0]], name) if alone[0] in images else (found[alone[0]], "radiograph")
            raise BenchError(f"{path}: has no {lacks}, nor have {len(alone) - 1} more; was all of it unpacked?")
    return three_way([_case(name, path, outlines, classes) for name, path in images.items()])


def _case(name: str, path: Path, outlines: Mapping[str, Mapping[str, Path]], classes: Sequence[str]) -> Case:
    masks = tuple(Mask(found[name], classes.index(structure)) for structure, found in outlines.items())
    published = path.suffix.lower() == ".img" and path.stat().st_size == PUBLISHED
    return Case(name, path, masks=masks, spacing=SPACING if published else ())


def _radiographs(folder: Path) -> dict[str, Path]:
    """The radiographs by name. Raises BenchError unless they are all in `folder` or all in one folder in it."""
    places = [place for place in (folder, *_inside(folder)) if _holds(place)]
    if not places:
        meant = [p for p in (folder.absolute().parent, *_inside(folder)) if any(map(_holds, (p, *_inside(p))))]
        hint = f"; was {meant[0]} meant?" if meant else ""
        raise BenchError(f"{folder}: holds no radiograph JPCLN001 ... JPCNN093, and no folder in it does{hint}")
    if len(places) > 1:
        raise BenchError(f"{folder}: there are radiographs in {places[0]} and in {places[1]}; keep those of one")
    return {name: path for name, path in index_by_stem(places[0]).items() if NAME.fullmatch(name)}


def _holds(place: Path) -> bool:
    return any(NAME.fullmatch(path.stem) and is_image(path) for path in place.iterdir())


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _outlines(folder: Path, classes: Sequence[str]) -> list[Path]:
    """The folders that hold one folder a structure. Raises BenchError if there is none, or none for a class."""
    if (folder / "masks").is_dir():
        places = [folder / "masks"]
    else:  # the archive of SCR puts all into a folder `scratch`
        home = folder / "scratch" if (folder / "scratch").is_dir() else folder
        plain = any(path.is_dir() for path in folder.glob("*/masks")) or (folder.absolute().parent / "masks").is_dir()
        parts = [("masks",)] if plain and not list(home.glob("fold*")) else [("fold1", "masks"), ("fold2", "masks")]
        places = [require_folder(home, *part) for part in parts]
    for place in places:
        there = {path.name.replace("_", " ") for path in _inside(place)}
        if missing := [name for name in classes[1:] if name not in there]:
            rest = ", ".join(f'"{name}"' for name in classes if name not in missing)
            mend = f"; score what is there with `classes = [{rest}]`" if there.issuperset(STRUCTURES[:2]) else ""
            raise BenchError(f"{place}: has no folder {missing[0]}{mend}")
    return places


def _index(places: Sequence[Path], structure: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in places:
        home = place / structure if (place / structure).is_dir() else place / structure.replace(" ", "_")
        more = index_by_stem(home)
        if both := sorted(found.keys() & more.keys()):
            raise BenchError(f"{more[both[0]]}: is the same outline as {found[both[0]]}; keep one")
        found |= more
    return found
