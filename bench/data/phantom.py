"""Draws a phantom of a data set on disk in its published layout, so that the reader under test is the reader in use.

Each image is a soft ellipse of smooth tissue with lesions. The class sets how many lesions there are, their size, sign
and texture, but neither the lesioned area nor the mean brightness: a network has to look at the shapes.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from bench.data.folders import MARKER, fields_of, is_phantom
from bench.data.noise import draws, smooth, soft
from bench.data.scenes import DEPTH, SIDE, objects, scene, write
from bench.errors import BenchError
from bench.spec import Box, Boxes, Case, Part, Row, Task, Text, Truth
from bench.spec import Image as ImageFile

VERSION = 1  # to be raised when the same arguments would draw other pixels
COUNTS = (0, 1, 4, 9, 16)  # lesions of classes 0 to 4; the next five classes have dark ones, then come ringed ones
LESIONED = 0.06  # share of the image's area that the lesions of an image cover together


def draw(task: Task, folder: Path, *, cases: int, seed: int = 0) -> None:
    """Draw `cases` cases of every part (or as many as are published, if fewer), classes dealt in turn.

    The n-th case of a part is the same whatever `cases` is. A phantom that was drawn before with the same arguments is
    kept, one drawn with others is replaced, and a folder that holds anything else is refused with a BenchError.
    """
    classes = len(task.info.classes)
    if cases < classes and task.info.target == "class":
        raise BenchError(f"a phantom of {task.info.name} needs {classes} cases or more, one of each class")
    marker = _marker(task, cases, seed)
    if is_phantom(folder):
        if (folder / MARKER).read_text(encoding="utf-8") == marker:
            return
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"{folder}: holds something that is no phantom; choose another folder, or move it away")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        draft.chmod(0o755)  # mkdtemp makes it the user's alone, and a data set is shared
        for name, part in task.info.layout.items():
            make = _draw_detections if task.info.target == "box" else _draw_part
            make(task, name, part, draft, cases=min(cases, part.official or cases), seed=seed)
        (draft / MARKER).write_text(marker, encoding="utf-8")
        _place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _place(draft: Path, folder: Path) -> None:
    """Move the drawn folder to its place; if another process was first with its own, that one is as good."""
    if is_phantom(folder):
        shutil.rmtree(folder)
    try:
        draft.rename(folder)
    except OSError:
        if not is_phantom(folder):
            raise


def _marker(task: Task, cases: int, seed: int) -> str:
    return (
        f"This is no real data. It is a phantom of {task.info.title},\n"
        "drawn by medssl-bench in the published layout to try the software on.\n"
        "Numbers measured on it say nothing about any method.\n"
        f"task {task.info.name}, {cases} cases of each part, seed {seed}, drawing {VERSION}\n"
        f"The real data: {task.info.url}\n"
    )


def _draw_part(task: Task, name: str, part: Part, folder: Path, *, cases: int, seed: int) -> None:
    """Write every file of a part's cases: images whole, rows appended to their text file."""
    for i in range(cases):
        n, label = part.first + i, i % len(task.info.classes)
        fields = {**fields_of(n), "name": task.info.classes[label], "label": label}
        identity = f"{seed}/{task.info.name}/{name}/{n}"
        if task.info.target == "mask":
            _draw_scene(task, part, folder, fields, identity)
        for file in part.files:
            path = folder / file.path.format(**fields)
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(file, Row):
                with path.open("a", encoding="utf-8") as text:
                    text.write(file.text.format(**fields) + "\n")
            elif isinstance(file, Text):
                path.write_text(file.text, encoding="utf-8")
            elif task.info.target == "class":
                Image.fromarray(picture(label, identity)).save(path, quality=95, compress_level=1)


def _draw_scene(task: Task, part: Part, folder: Path, fields: dict[str, object], identity: str) -> None:
    """Write the images of a case, all of one scene, and its truth as each file of it stores the classes."""
    images = [file for file in part.files if isinstance(file, ImageFile)]
    depth = DEPTH if images[0].path.endswith(".nii.gz") else 0
    side = SIDE if images[0].path.endswith(".IMG") else 0
    grey, classes = scene(len(task.info.classes) - 1, identity, depth, side)
    for file in part.files:
        path = folder / file.path.format(**fields)
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file, ImageFile):
            write(path, grey)
        elif isinstance(file, Truth):
            stored = np.zeros(max(256, *file.values.values()), np.uint16)
            for number, value in file.values.items():
                stored[number] = value
            write(path, stored[classes] if max(file.values.values()) > 255 else stored[classes].astype(np.uint8))


def _draw_detections(task: Task, name: str, part: Part, folder: Path, *, cases: int, seed: int) -> None:
    """Write the images of a part, and what says where their objects are."""
    drawn: dict[Boxes, list[Case]] = {}
    for n in range(part.first, part.first + cases):
        grey, found = objects(len(task.info.classes), f"{seed}/{task.info.name}/{name}/{n}")
        image = next(folder / file.path.format(**fields_of(n)) for file in part.files if isinstance(file, ImageFile))
        image.parent.mkdir(parents=True, exist_ok=True)
        write(image, grey)
        boxes = tuple(Box(label, *edges) for label, edges in found)
        case = Case(image.stem, image, boxes=boxes, frame=grey.shape[:2])
        for file in part.files:
            if isinstance(file, Boxes):
                drawn.setdefault(replace(file, path=file.path.format(**fields_of(n))), []).append(case)
    for file, of in drawn.items():
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.write(of, task.info.classes), encoding="utf-8")


def picture(label: int, identity: str) -> UInt8[np.ndarray, "h w"]:
    """A grey image of class `label`, sides of 96 to 160 pixels; every `identity` is another patient."""
    rng = draws(identity)
    height, width = (int(side) for side in rng.integers(96, 161, 2))
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    centre, axes = rng.uniform(-0.08, 0.08, 2), rng.uniform(0.72, 0.92, 2)
    radius = np.hypot((y - centre[0]) / axes[0], (x - centre[1]) / axes[1])
    body = soft(1 - radius, 0.04)
    tissue = 0.45 + 0.2 * smooth(rng, height, width, cells=5) + 0.06 * smooth(rng, height, width, cells=24)
    rim = np.exp(-(((radius - 0.95) / 0.04) ** 2))  # a skull, or the border of an organ
    values = body * (tissue + _lesions(label, y, x, centre, axes, rng)) + 0.35 * rim
    values += 0.015 * rng.standard_normal(values.shape)
    # The same mean for every class: an encoder that sees only how bright an image is learns nothing.
    values += rng.uniform(0.35, 0.45) - values.mean()
    pixels: UInt8[np.ndarray, "h w"] = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return pixels


def _lesions(
    label: int,
    y: Float[np.ndarray, "h w"],
    x: Float[np.ndarray, "h w"],
    centre: Float[np.ndarray, "2"],
    axes: Float[np.ndarray, "2"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w"]:
    """What the lesions of a class add to the tissue: the more there are, the smaller; their area is always the same."""
    count, group = COUNTS[label % len(COUNTS)], label // len(COUNTS)
    sign, ringed = (-1 if group % 2 else 1), group % 4 >= 2
    added = np.zeros_like(y)
    size = np.sqrt(4 * LESIONED / np.pi / max(count, 1))  # the image's area is 4, its sides being 2
    for _ in range(count):
        angle, distance = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 0.45))
        top, left = centre[0] + axes[0] * distance * np.sin(angle), centre[1] + axes[1] * distance * np.cos(angle)
        radius = np.hypot(y - top, x - left) / (size * rng.uniform(0.85, 1.15))
        shape = soft(1 - radius, 0.12)
        if ringed:
            shape = shape - soft(0.55 - radius, 0.12)
        added = np.maximum(added, shape)
    added *= sign * rng.uniform(0.25, 0.35)
    return added
