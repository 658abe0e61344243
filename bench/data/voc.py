"""Detection sets in the format of Pascal VOC: an XML file for each image, of the same name in another folder.

Edges are taken as they are written; files count pixels from 1, as VOC's own, or from 0.
"""

from collections.abc import Mapping
from pathlib import Path
from xml.parsers import expat

from bench.data.boxes import Reader, frame_of, whole
from bench.data.folders import index_by_stem, require_folder
from bench.errors import BenchError
from bench.spec import Case

EDGES = ("xmin", "ymin", "xmax", "ymax")

Fields = list[tuple[int, dict[str, str]]]  # by name, after the line of what has them


def read_voc(images: Path, annotations: Path, reader: Reader) -> list[Case]:
    """A case for each image, with its boxes; one without an XML file, or without a box in it, is a negative.

    Raises BenchError, naming the file and the line, for an XML file without an image, one that is not as published,
    one with a document type (which may name other files), and what `Reader` refuses.
    """
    found = index_by_stem(images)
    files = {path.stem: path for path in sorted(require_folder(annotations).iterdir()) if _is_xml(path)}
    if alone := sorted(files.keys() - found.keys()):
        raise BenchError(f"{files[alone[0]]}: its image is missing: {images} has no {alone[0]}")
    return [_case(stem, path, files.get(stem), reader) for stem, path in found.items()]


def _case(stem: str, image: Path, file: Path | None, reader: Reader) -> Case:
    if file is None:
        return Case(stem, image)
    sizes, objects = _parse(file)
    at, size = (*sizes, (1, {}))[0]
    frame = frame_of(whole(size.get("height", "")), whole(size.get("width", "")), f"{file}:{at}: `size`")
    boxes = []
    for line, fields in objects:
        place = f"{file}:{line}"
        if missing := [name for name in ("name", *EDGES) if name not in fields]:
            raise BenchError(f"{place}: the object has no `{missing[0]}`")
        boxes.append(reader.box(place, fields["name"], [fields[edge] for edge in EDGES], frame))
    return Case(stem, image, boxes=reader.distinct(boxes), frame=frame)


def _is_xml(path: Path) -> bool:
    return path.suffix.lower() == ".xml" and not path.name.startswith(".") and path.is_file()


def _parse(file: Path) -> tuple[Fields, Fields]:
    """The fields of `size` and of each `object` with their lines; those of its `parts` are not its own."""
    sizes, objects, path, text = Fields(), Fields(), list[str](), list[str]()
    parser = expat.ParserCreate()

    def start(name: str, _: Mapping[str, str]) -> None:
        path.append(name)
        text.clear()
        if path[1:3] in (["object"], ["size"]):
            (objects if name == "object" else sizes).append((parser.CurrentLineNumber, {}))

    def end(name: str) -> None:
        place = path[1:5]  # of what is deeper, enough to tell that it is
        own = place == ["object", "name"] or place[:-1] == ["object", "bndbox"]
        if own or place[:-1] == ["size"]:
            fields = objects[-1][1] if own else sizes[0][1]
            if name in fields:
                raise BenchError(f"{file}:{parser.CurrentLineNumber}: `{name}` is there twice; keep one")
            fields[name] = "".join(text).strip()
        path.pop()
        text.clear()

    def refuse(*_: object) -> None:
        raise BenchError(f"{file}:{parser.CurrentLineNumber}: has a document type, which is not read; take it out")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text.append, refuse
    try:
        parser.Parse(file.read_bytes(), True)
    except (OSError, ValueError, LookupError, expat.ExpatError) as error:  # the middle two for encodings
        raise BenchError(f"{file}: cannot be read as XML: {error}") from error
    return sizes, objects
