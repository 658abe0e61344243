"""VinDr-CXR: fourteen findings in chest radiographs, boxed by three radiologists each, as Kaggle or PhysioNet has it.

Kaggle published 15000 images with `train.csv`, and copies of it in 512 px add the size that the boxes are in. LVM-Med
(arXiv:2306.11925) takes the images that have boxes, fuses what their radiologists drew, and splits 70 / 10 / 20 %. Its
release splits in the order of the file; here the parts are drawn, seed 42, since the order of a file is no sample.
PhysioNet adds 3000 images, with boxes by consensus, for the test, and eight findings that are not of Kaggle's fourteen:
boxes of those are left out, and counted. LVM-Med's own weights have seen all of the 15000, without their boxes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.data.boxes import Reader, frame_of, whole
from bench.data.folders import hold_out, index_by_stem, layout_of, require_folder
from bench.data.fusion import fuse
from bench.data.splits import three_way
from bench.data.tables import read_table
from bench.errors import BenchError
from bench.spec import Box, Boxes, Case, Image, Part, Splits, task

FINDINGS = (
    *("Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Consolidation", "ILD", "Infiltration"),
    *("Lung Opacity", "Nodule/Mass", "Other lesion", "Pleural effusion", "Pleural thickening", "Pneumothorax"),
    "Pulmonary fibrosis",
)
OTHERS = (
    *("Clavicle fracture", "Edema", "Emphysema", "Enlarged PA", "Lung cavity", "Lung cyst", "Mediastinal shift"),
    "Rib fracture",
)
NONE = "No finding"
EDGES = ("x_min", "y_min", "x_max", "y_max")
RATERS = ("R8", "R9", "R10")
TRAIN, TEST = "annotations/annotations_train.csv", "annotations/annotations_test.csv"
OTHER, SILENT = "boxes of findings that are not scored", "images without a box, left out"


def rows(cases: Sequence[Case], raters: Sequence[str]) -> Iterator[tuple[Case, str, Box | None]]:
    """What each rater says of each case: boxes that differ by pixels, or that there is none."""
    for case in cases:
        for number, rater in enumerate(raters):
            for box in case.boxes:
                shift = min(number, case.frame[1] - box.right)
                yield case, rater, replace(box, left=box.left + shift, right=box.right + shift)
            if not case.boxes:
                yield case, rater, None


def _edges(box: Box | None) -> str:
    return ",".join(f"{edge:g}" for edge in (box.left, box.top, box.right, box.bottom)) if box else ",,,"


def write_kaggle(cases: Sequence[Case], classes: Sequence[str]) -> str:
    """train.csv, as in the copies of 512 px."""
    lines = [",".join(("image_id", "class_name", "class_id", "rad_id", *EDGES, "width", "height"))]
    for case, rater, box in rows(cases, RATERS):
        name, number = (FINDINGS[box.label], box.label) if box else (NONE, len(FINDINGS))
        height, width = case.frame
        lines.append(f"{case.image.stem},{name},{number},{rater},{_edges(box)},{width},{height}")
    return "\n".join(lines) + "\n"


def write_train(cases: Sequence[Case], classes: Sequence[str]) -> str:
    """annotations_train.csv."""
    lines = [",".join(("image_id", "rad_id", "class_name", *EDGES))]
    for case, rater, box in rows(cases, RATERS):
        lines.append(f"{case.image.stem},{rater},{FINDINGS[box.label] if box else NONE},{_edges(box)}")
    return "\n".join(lines) + "\n"


def write_test(cases: Sequence[Case], classes: Sequence[str]) -> str:
    """annotations_test.csv, which has no raters."""
    lines = [",".join(("image_id", "class_name", *EDGES))]
    for case, _, box in rows(cases, ("",)):
        lines.append(f"{case.image.stem},{FINDINGS[box.label] if box else NONE},{_edges(box)}")
    return "\n".join(lines) + "\n"


@task(
    "vindr",
    title="VinDr-CXR",
    modality="chest radiograph",
    classes=FINDINGS,
    case="image",
    licence="PhysioNet Credentialed Health Data License 1.5.0; on Kaggle, the competition's rules",
    citation="Nguyen et al., VinDr-CXR: An open dataset of chest X-rays with radiologist's annotations, "
    "Scientific Data 2022, arXiv:2012.15029",
    url="https://physionet.org/content/vindr-cxr/1.0.0/",
    layout={"train": Part(15000, (Image("train/{n:032x}.png"), Boxes("train.csv", write_kaggle)))},
    layouts={
        TEST: {
            "train": Part(15000, (Image("train/{n:032x}.dicom"), Boxes(TRAIN, write_train))),
            "test": Part(3000, (Image("test/{n:032x}.dicom"), Boxes(TEST, write_test)), first=15001),
        }
    },
    protocols=("detect",),
    primary="map50",
    target="box",
    recipe={"detect": {"lr": 1e-4, "epochs": 40}},
)
def vindr(folder: Path, *, raters: str = "fused", iou: float = 0.2, negatives: bool = False, seed: int = 42) -> Splits:
    """`raters` is fused, by weighted boxes fusion where boxes overlap by more than `iou`, or apart: all boxes are kept.

    With `negatives` the images without a box are there too. Kaggle's are split 70 / 10 / 20 % by image; of PhysioNet's
    the training images are split 87.5 / 12.5 %, and its test is the test.
    """
    if raters not in ("fused", "apart"):
        raise BenchError(f"{folder}: raters = {raters!r} is neither `fused` nor `apart`")
    if not 0 <= iou < 1:
        raise BenchError(f"{folder}: iou = {iou} is no share of two boxes that lies in [0, 1)")
    least = iou if raters == "fused" else None
    if not (folder / TEST).is_file():
        cases, reader, notes = _read(folder, "train", "train.csv", "class_id", least, negatives)
        return reader.finish(folder / "train.csv", replace(three_way(cases, seed, 0.1, 0.2), notes=notes))
    cases, reader, notes = _read(folder, "train", TRAIN, "class_name", least, negatives)
    train, val = hold_out(cases, 0.125, seed)
    tested, own, others = _read(folder, "test", TEST, "class_name", None, negatives)
    splits = Splits(train, val, tuple(tested), notes=dict(Counter(notes) + Counter(others)))
    return own.finish(folder / TEST, reader.finish(folder / TRAIN, splits))


def _read(
    folder: Path, part: str, file: str, key: str, least: float | None, negatives: bool
) -> tuple[list[Case], Reader, dict[str, int]]:
    """The images of a part with the boxes of a file, whose column `key` has their class."""
    images, path = index_by_stem(require_folder(folder, part)), folder / file
    layout = layout_of(vindr, folder)
    reader = Reader(FINDINGS if key == "class_name" else {str(number): number for number in range(len(FINDINGS))})
    boxes, frames, left = dict[str, list[Box]](), dict[str, tuple[int, ...]](), 0
    for place, row in read_table(path, ("image_id", key, *EDGES)):
        stem = row["image_id"]
        if stem not in images:
            if len(images) >= layout[part].official:
                raise BenchError(f"{place}: is of the image {stem}, which {folder / part} does not have")
            continue
        _check_class(row, place)
        frame = _frame(row, place)
        if frames.setdefault(stem, frame) != frame:
            raise BenchError(f"{place}: height and width are not those that other lines have of the image {stem}")
        if row[key] in (NONE, str(len(FINDINGS))):
            continue
        if row[key] in OTHERS:
            left += 1
            continue
        edges = [row[edge] for edge in EDGES]
        boxes.setdefault(stem, []).append(reader.box(place, row[key], edges, frame, row.get("rad_id", "")))
    kept = {stem: path for stem, path in images.items() if negatives or stem in boxes}
    cases = []
    for stem, image in kept.items():
        of = reader.distinct(boxes.get(stem, ()))
        cases.append(Case(stem, image, boxes=of if least is None else fuse(of, least), frame=frames.get(stem, ())))
    return cases, reader, {OTHER: left, SILENT: len(images) - len(kept)}


def _check_class(row: Mapping[str, str], place: str) -> None:
    """Refuse a line of Kaggle's whose number and name of the class differ."""
    number, name = whole(row.get("class_id", "")), row.get("class_name", "")
    if isinstance(number, int) and name and number <= len(FINDINGS) and (*FINDINGS, NONE)[number] != name:
        raise BenchError(f"{place}: class_id {number} is {(*FINDINGS, NONE)[number]}, and class_name is {name}")


def _frame(row: Mapping[str, str], place: str) -> tuple[int, ...]:
    """Height and width of the image that the boxes of a line are in, where it says so."""
    height, width = (row.get(side, "") for side in ("height", "width"))
    return frame_of(whole(height), whole(width), place) if height or width else ()
