"""Detection sets in COCO's format: a JSON file with `images`, `annotations` and `categories`, and a folder of images.

Boxes are left, top, width and height in pixels; https://cocodataset.org/#format-data.
"""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bench.data.boxes import Reader, frame_of, number_of
from bench.data.folders import index_by_stem, require_folder
from bench.data.json_files import located, place, read_json, require
from bench.errors import BenchError
from bench.spec import Box, Case


def read_coco(file: Path, folder: Path, reader: Reader) -> list[Case]:
    """A case for each image that `file` lists, with its boxes; its id is the file name without its ending.

    Raises BenchError, naming the file and the line, for what is missing or wrong, two images or boxes of one id, a box
    of no image, an image that is not in `folder`, a file without images, and what `Reader` refuses.
    """
    content = require(read_json(file), dict, file, "the file")
    parts = {name: require(content.get(name), list, file, f"`{name}`", name) for name in ("images", "annotations")}
    names = _categories(file, content)
    images = _images(file, parts["images"])
    if not images:
        raise BenchError(f"{place(file, 'images')}: `images` is empty")
    boxes: dict[Hashable, list[Box]] = {key: [] for key in images}
    seen = set[Hashable]()
    for number, entry in enumerate(parts["annotations"]):
        with located(file, "annotations", number):
            key = _key(entry, "image_id", f"annotations[{number}]")
            if key not in images:
                raise BenchError(f"annotations[{number}] is of the image {key!r}, which `images` does not have")
            own = _key(entry, "id", f"annotations[{number}]")
            if own in seen:
                raise BenchError(f"annotations[{number}] has the id {own!r}, which another has too")
            seen.add(own)
            boxes[key].append(_box(entry, names, images[key], reader, f"annotations[{number}]"))
    files = _files(file, [name for name, _ in images.values()], folder)
    return [
        Case(
            PurePosixPath(name).with_suffix("").as_posix(), files[name], boxes=reader.distinct(boxes[key]), frame=frame
        )
        for key, (name, frame) in images.items()
    ]


def _files(file: Path, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Where each image lies, whatever its format is by now."""
    inside, found, taken = dict[PurePosixPath, dict[str, Path]](), dict[str, Path](), dict[Path, str]()
    for number, name in enumerate(names):
        path = PurePosixPath(name)
        with located(file, "images", number):
            if path.parent not in inside:
                inside[path.parent] = index_by_stem(require_folder(folder, *path.parent.parts))
            if path.stem not in inside[path.parent]:
                raise BenchError(f"{folder / path} is missing; take its entry out")
            found[name] = inside[path.parent][path.stem]
            if found[name] in taken:
                raise BenchError(f"{name} and {taken[found[name]]} are the same image; keep one")
            taken[found[name]] = name
    return found


def _categories(file: Path, content: Mapping[str, Any]) -> dict[Hashable, str]:
    names: dict[Hashable, str] = {}
    for number, entry in enumerate(require(content.get("categories"), list, file, "`categories`", "categories")):
        with located(file, "categories", number):
            key = _key(entry, "id", f"categories[{number}]")
            if key in names or not isinstance(entry.get("name"), str):
                raise BenchError(f"categories[{number}] needs a name, and an id that no other has")
            names[key] = entry["name"]
    return names


def _images(file: Path, entries: Sequence[Any]) -> dict[Hashable, tuple[str, tuple[int, int]]]:
    """File name, height and width of each image by its id."""
    found: dict[Hashable, tuple[str, tuple[int, int]]] = {}
    for number, entry in enumerate(entries):
        with located(file, "images", number):
            key = _key(entry, "id", f"images[{number}]")
            name = entry.get("file_name")
            if key in found:
                raise BenchError(f"images[{number}] has the id {key!r}, which another has too")
            if not isinstance(name, str):
                raise BenchError(f"images[{number}] needs `file_name`")
            sides = frame_of(entry.get("height"), entry.get("width"), f"images[{number}]")
            path = PurePosixPath(name.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or not path.name:
                raise BenchError(f"images[{number}]: `{name}` lies outside the folder of the images")
            found[key] = (path.as_posix(), sides)
    return found


def _key(entry: Any, name: str, said: str) -> Hashable:
    key = entry.get(name) if isinstance(entry, dict) else None
    if type(key) not in (int, str):
        raise BenchError(f"{said} needs `{name}`, a whole number or text")
    return key


def _box(
    entry: Mapping[str, Any], names: Mapping[Hashable, str], image: tuple[str, tuple[int, int]], reader: Reader, at: str
) -> Box:
    edges, category = entry.get("bbox"), entry.get("category_id")
    if entry.get("iscrowd"):
        raise BenchError(f"{at} is a crowd, which cannot be scored; take it out")
    if type(category) not in (int, str) or category not in names:
        raise BenchError(f"{at} is of the category {category!r}, which `categories` does not have")
    if not isinstance(edges, list) or len(edges) != 4 or any(type(edge) not in (int, float) for edge in edges):
        raise BenchError(f"{at} needs `bbox`, four numbers: left, top, width and height")
    left, top, width, height = (number_of(edge, at) for edge in edges)
    return reader.box(at, names[category], (left, top, left + width, top + height), image[1])
