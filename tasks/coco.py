"""A detection set of one's own in COCO's format: a folder of images and a JSON file of boxes.

It is read under a name of one's own, here `my_nodules`, from a folder of that name among the data sets:

    [tasks.my_nodules]
    plugin = "coco"
    classes = ["nodule", "mass"]
    annotations = "annotations/instances.json"

An image without a box is a negative.
"""

from collections import Counter
from collections.abc import Sequence
from json import dumps
from pathlib import Path

from bench.data.boxes import Reader
from bench.data.coco import read_coco
from bench.data.folders import hold_out, require_folder
from bench.data.splits import divide
from bench.errors import BenchError
from bench.spec import Boxes, Case, Image, Part, Splits, task


def write(cases: Sequence[Case], classes: Sequence[str]) -> str:
    """A file of COCO's format for these cases."""
    images, annotations = list[dict[str, object]](), list[dict[str, object]]()
    for number, case in enumerate(cases, 1):
        height, width = case.frame
        images.append({"id": number, "file_name": case.image.name, "height": height, "width": width})
        for box in case.boxes:
            sides = [box.left, box.top, box.right - box.left, box.bottom - box.top]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": box.label + 1, "bbox": sides}
                | {"area": sides[2] * sides[3], "iscrowd": 0}
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    return dumps({"images": images, "annotations": annotations, "categories": categories}, indent=1)


@task(
    "coco",
    title="Boxes of one's own, in COCO's format",
    modality="any",
    classes=("lesion", "device"),
    case="image",
    licence="one's own",
    citation="none",
    url="none: put images/ and annotations.json into its folder",
    layout={"images": Part(0, (Image("images/{n:03d}.png"), Boxes("annotations.json", write)))},
    protocols=("detect",),
    primary="map50",
    target="box",
)
def coco(
    folder: Path,
    *,
    images: str = "images",
    annotations: str = "annotations.json",
    val: str = "",
    test: str = "",
    classes: Sequence[str] = ("lesion", "device"),
    split: str = "",
) -> Splits:
    """`classes` are names of its categories. Files `val` and `test`, where given, have the boxes of those parts.

    Without `test`, `split` names a list of train, val and test (see `bench.data.splits`), a path from the folder that
    holds the data sets; without that 64 / 16 / 20 % are drawn by image, seed 42. Without `val`, 20 % of what is not
    tested is drawn.
    """
    home, readers = require_folder(folder, *Path(images).parts), dict[str, Reader]()
    if test and split:
        raise BenchError(f"{folder / test}: is the test, so that the list `split` would change nothing; leave one out")
    if val and not test:
        raise BenchError(f"{folder / val}: is the validation, so that a file `test` is needed too")
    cases, chosen, tested = (
        read_coco(folder / file, home, readers.setdefault(file, Reader(classes))) if file else []
        for file in (annotations, val, test)
    )
    files = Counter(case.id for case in (*cases, *chosen, *tested))
    if twice := [name for name, count in files.items() if count > 1]:
        raise BenchError(f"{folder}: the image {min(twice)} is in two of {annotations}, {val or 'no val'} and {test}")
    if test:
        kept, held = (cases, chosen) if val else hold_out(sorted(cases, key=lambda case: case.id), 0.2, 42)
        splits = Splits(tuple(kept), tuple(held), tuple(tested))
    else:
        splits = divide(cases, folder, split)
    for file, reader in readers.items():
        splits = reader.finish(folder / file, splits)
    return splits
