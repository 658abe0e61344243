"""A contact sheet of a corpus: a row a source, with images evenly spaced over it and, on the right, some copies."""

import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from bench.data.manifest import read_manifest
from bench.data.shards import shard_name
from bench.data.storage import INDEX, Held, open_images
from bench.data.stream import spaced
from bench.errors import BenchError

ORIGINALS, COPIES = 9, 3  # of a source
TILE, GAP, LINE = 96, 4, 16  # pixels: an image, around it, and the line of text above a row


def draw_sheet(folder: Path, file: Path) -> None:
    """Write the sheet of the corpus in `folder` to `file`, a PNG. Raises BenchError if it is not to be a PNG."""
    if file.suffix.lower() != ".png":
        raise BenchError(f"{file}: a contact sheet ends in .png")
    rows = _rows(folder)
    wanted = sorted(number for _, originals, copies in rows for number in (*originals, *copies))
    images = dict(zip(wanted, _pixels(folder, wanted), strict=True))
    step, high = TILE + GAP, TILE + GAP + LINE
    sheet = Image.new("RGB", (GAP + (ORIGINALS + COPIES) * step, GAP + len(rows) * high), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=LINE - 4)
    for row, (label, originals, copies) in enumerate(rows):
        pen.text((GAP, GAP + row * high), label, fill="black", font=font)
        places = [*enumerate(originals), *enumerate(copies, start=ORIGINALS)]
        for column, number in places:
            tile = Image.fromarray(images[number]).resize((TILE, TILE), Image.Resampling.BILINEAR)
            sheet.paste(tile, (GAP + column * step, GAP + row * high + LINE))
    try:
        sheet.save(file, "PNG")
    except OSError as error:
        raise BenchError(f"{file}: {error.strerror or error}") from None


def _rows(folder: Path) -> list[tuple[str, list[int], list[int]]]:
    """Each source's label, and the numbers of its images and of its copies that are shown."""
    table = read_manifest(folder, ["source", "modality", "organ", "copy"])
    sources = np.array(table["source"].to_pylist(), object)
    copied = table["copy"].to_numpy() > 0
    rows = []
    for source in dict.fromkeys(sources):
        own = sources == source
        first = int(own.argmax())
        originals, copies = np.flatnonzero(own & ~copied), np.flatnonzero(own & copied)
        modality, organ = table["modality"][first].as_py(), table["organ"][first].as_py()
        about = ", ".join(filter(None, (modality, organ)))
        copied_too = f", {len(copies)} copies (on the right)" if len(copies) else ""
        label = f"{source} ({about}): {len(originals)} images{copied_too}"
        shown = (
            numbers[spaced(len(numbers), some)].tolist() for numbers, some in ((originals, ORIGINALS), (copies, COPIES))
        )
        rows.append((label, *shown))
    return rows


def _pixels(folder: Path, numbers: Sequence[int]) -> Iterator[UInt8[np.ndarray, "..."]]:
    """The images of these numbers, which ascend: from the array, or out of the shards that hold them."""
    images = open_images(folder)
    if isinstance(images, Held):
        yield from (np.moveaxis(images.images[number].expand(3, -1, -1).numpy(), 0, 2) for number in numbers)
        return
    counts = [shard["count"] for shard in json.loads((folder / INDEX).read_bytes())["shards"]]
    ends = np.cumsum(counts)
    for number in numbers:
        with tarfile.open(folder / shard_name(int(np.searchsorted(ends, number, side="right")))) as archive:
            name = next(name for name in archive.getnames() if name.startswith(f"{number:09d}."))
            with Image.open(cast(IO[bytes], archive.extractfile(name))) as image:
                yield np.asarray(image.convert("RGB"))
