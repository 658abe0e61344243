"""A detection set of one's own in the format of Pascal VOC: a folder of images, and an XML file for each.

It is read under a name of one's own, here `my_cells`, from a folder of that name among the data sets:

    [tasks.my_cells]
    plugin = "voc"
    classes = ["RBC", "WBC", "platelet"]

An image without an XML file, or without a box in it, is a negative.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from bench.data.boxes import Reader
from bench.data.folders import require_folder
from bench.data.splits import divide
from bench.data.voc import EDGES, read_voc
from bench.spec import Boxes, Case, Image, Part, Splits, task


def write(cases: Sequence[Case], classes: Sequence[str]) -> str:
    """The XML file of the one case."""
    (case,) = cases
    lines = ["<annotation>", f"  <filename>{escape(case.image.name)}</filename>"]
    lines += [f"  <size><width>{case.frame[1]}</width><height>{case.frame[0]}</height><depth>3</depth></size>"]
    for box in case.boxes:
        edges = zip(EDGES, (box.left, box.top, box.right, box.bottom), strict=True)
        said = "".join(f"<{name}>{edge:g}</{name}>" for name, edge in edges)
        lines += [f"  <object><name>{escape(classes[box.label])}</name><bndbox>{said}</bndbox></object>"]
    return "\n".join([*lines, "</annotation>"]) + "\n"


@task(
    "voc",
    title="Boxes of one's own, in Pascal VOC's format",
    modality="any",
    classes=("lesion", "device"),
    case="image",
    licence="one's own",
    citation="none",
    url="none: put JPEGImages/ and Annotations/ into its folder",
    layout={"images": Part(0, (Image("JPEGImages/{n:03d}.jpg"), Boxes("Annotations/{n:03d}.xml", write)))},
    protocols=("detect",),
    primary="map50",
    target="box",
)
def voc(
    folder: Path,
    *,
    images: str = "JPEGImages",
    annotations: str = "Annotations",
    classes: Sequence[str] = ("lesion", "device"),
    split: str = "",
) -> Splits:
    """`split` names a list of train, val and test, or a folder of train.txt, val.txt and test.txt such as VOC's own.

    It is a path from the folder that holds the data sets, here "my_cells/ImageSets/Main"; without it 64 / 16 / 20 % are
    drawn by image, seed 42.
    """
    reader = Reader(classes)
    pictures, files = (require_folder(folder, *Path(name).parts) for name in (images, annotations))
    return reader.finish(folder, divide(read_voc(pictures, files, reader), folder, split))
