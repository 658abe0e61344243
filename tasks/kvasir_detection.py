"""Polyps in endoscopy as boxes: Kvasir-SEG with the boxes published beside its masks (the file is spelt as published).

LVM-Med (arXiv:2306.11925, appendix B) has 512 px, Adam at 2.5e-4 and batches of 8, and says neither epochs nor split;
the epochs here are those of its other detection task, and the split may be the one it published for segmentation. An
image that is not in the file is a negative; Kvasir-SEG itself has none.
"""

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import Any

from bench.data.boxes import Reader, frame_of
from bench.data.folders import index_by_stem, require_folder
from bench.data.json_files import located, read_json, require
from bench.data.splits import divide
from bench.errors import BenchError
from bench.spec import Boxes, Case, Image, Part, Splits, task

HOME, FILE = "Kvasir-SEG", "kavsir_bboxes.json"
EDGES = ("xmin", "ymin", "xmax", "ymax")


def write(cases: Sequence[Case], classes: Sequence[str]) -> str:
    """The published file for these cases."""
    found = {}
    for case in cases:
        edges = [(box.left, box.top, box.right, box.bottom) for box in case.boxes]
        boxes = [{"label": "polyp", **dict(zip(EDGES, map(int, of), strict=True))} for of in edges]
        found[case.image.stem] = {"height": case.frame[0], "width": case.frame[1], "bbox": boxes}
    return dumps(found)


@task(
    "kvasir_detection",
    title="Kvasir-SEG, polyps as boxes",
    modality="endoscopy",
    classes=("polyp",),
    case="image",
    licence="research and education only",
    citation="Jha et al., Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020, arXiv:1911.07069",
    url="https://datasets.simula.no/kvasir-seg/",
    layout={"images": Part(1000, (Image(f"{HOME}/images/cju{{n:04d}}.jpg"), Boxes(f"{HOME}/{FILE}", write)))},
    protocols=("detect",),
    primary="map50",
    target="box",
    recipe={"detect": {"lr": 2.5e-4, "batch_size": 8}},
)
def kvasir_detection(folder: Path, *, split: str = "") -> Splits:
    """The list `split`, a path from the folder that holds the data sets; without it 64 / 16 / 20 %, seed 42."""
    home = require_folder(folder, HOME)
    images, file = index_by_stem(require_folder(home, "images")), home / FILE
    content = require(read_json(file), dict, file, "the file")
    official = kvasir_detection.info.official
    if len(images) >= official and (alone := [stem for stem in content if stem not in images]):
        with located(file, alone[0]):
            raise BenchError(f"{alone[0]} has boxes and no image in {home / 'images'}")
    reader = Reader(kvasir_detection.info.classes)
    cases = [_case(stem, path, file, content[stem], reader) for stem, path in images.items() if stem in content]
    cases += [Case(stem, path) for stem, path in images.items() if stem not in content]
    return reader.finish(file, divide(cases, folder, split, official=official))


def _case(stem: str, path: Path, file: Path, entry: Any, reader: Reader) -> Case:
    entry = require(entry, dict, file, stem, stem)
    with located(file, stem):
        frame = frame_of(entry.get("height"), entry.get("width"), stem)
    boxes = []
    for number, box in enumerate(require(entry.get("bbox"), list, file, f"`bbox` of {stem}", stem, "bbox")):
        box = require(box, dict, file, f"a box of {stem}", stem, "bbox", number)
        with located(file, stem, "bbox", number):
            boxes.append(reader.box(stem, box.get("label"), [box.get(edge) for edge in EDGES], frame))
    return Case(stem, path, boxes=reader.distinct(boxes), frame=frame)
