"""Boxes as annotation files have them, checked one by one: until they are read, they are hostile input.

Three faults are mended, because there is one thing only that can have been meant, and counted: corners that are
swapped, an edge that lies outside the image by a pixel at most (files count pixels from 0 or from 1), and a box that is
there twice. Whatever else is wrong is refused, with the file and the place in it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import final

from bench.errors import BenchError, unknown
from bench.spec import Box, Splits

SWAPPED, OUTSIDE, TWICE = "corners swapped", "edges beyond the image by a pixel at most", "boxes there twice"
SLACK = 1.0  # pixels
FEW = 5  # boxes with swapped corners that any file may have, and the share of a large one
SHARE = 0.1
LONGEST = 1_000_000  # pixels of a side of an image


@final
class Reader:
    """Makes boxes of what a file says, and counts in `mended` what it mended. `classes` are names, or numbers too."""

    def __init__(self, classes: Sequence[str] | Mapping[object, int]) -> None:
        numbers = classes if isinstance(classes, Mapping) else {name: i for i, name in enumerate(classes)}
        if not 0 < len(numbers) == len(classes):
            raise BenchError(
                f"classes: needs one name or more, each once, has {', '.join(map(str, classes)) or 'none'}"
            )
        self.numbers = {str(name): number for name, number in numbers.items()}
        self.mended: Counter[str] = Counter()
        self.read = 0

    def box(
        self, place: str, label: object, edges: Sequence[object], frame: tuple[int, ...] = (), rater: str = ""
    ) -> Box:
        """A box from its left, top, right and bottom, in pixels of an image of the height and width `frame`, if known.

        Raises BenchError, beginning with `place`, the file and where in it, for a class that is not known, an edge that
        is no number, a box without area, and one that reaches out of the image.
        """
        if str(label) not in self.numbers:
            raise unknown("class", str(label), self.numbers, where=place)
        left, top, right, bottom = (number_of(edge, place) for edge in edges)
        said = f"{place}: the box {left:g}, {top:g}, {right:g}, {bottom:g} (left, top, right, bottom)"
        if left > right or top > bottom:
            self.mended[SWAPPED] += 1
            left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
        self.read += 1
        box = Box(self.numbers[str(label)], left, top, right, bottom, rater, place)
        if frame:
            box, clipped = inside(box, frame)
            self.mended[OUTSIDE] += clipped
        if box.left >= box.right or box.top >= box.bottom:
            raise BenchError(f"{said} has no area; correct it, or take it out")
        return box

    def distinct(self, boxes: Iterable[Box]) -> tuple[Box, ...]:
        """The boxes of an image, each once."""
        given = list(boxes)
        kept = tuple(dict.fromkeys(given))
        self.mended[TWICE] += len(given) - len(kept)
        return kept

    def finish(self, path: Path, splits: Splits) -> Splits:
        """The splits with what was mended in the file too. Raises BenchError if it is so much that more is wrong."""
        swapped = self.mended[SWAPPED]
        if swapped > max(FEW, SHARE * self.read):
            raise BenchError(
                f"{path}: {swapped} of {self.read} boxes end before they begin; are their last two numbers width and "
                "height where this format has the right and bottom edge, or the other way round?"
            )
        return replace(splits, notes=dict(Counter(splits.notes) + self.mended))


def inside(box: Box, frame: Sequence[int]) -> tuple[Box, bool]:
    """A box cut to an image of the height and width `frame`, and whether it had to be. Raises BenchError if it is far
    outside.
    """
    height, width = frame
    edges = (box.left, box.top, box.right, box.bottom)
    left, right = (min(max(edge, 0.0), float(width)) for edge in (box.left, box.right))
    top, bottom = (min(max(edge, 0.0), float(height)) for edge in (box.top, box.bottom))
    cut = (left, top, right, bottom)
    if cut == edges:
        return box, False
    if max(abs(a - b) for a, b in zip(cut, edges, strict=True)) > SLACK:
        said = ", ".join(f"{edge:g}" for edge in edges)
        raise BenchError(
            f"{box.place}: the box {said} (left, top, right, bottom) reaches out of its image, which is {width:g} x "
            f"{height:g} pixels; is it in pixels of another size of the image?"
        )
    return Box(box.label, *cut, box.rater, box.place), True


def frame_of(height: object, width: object, place: str) -> tuple[int, int]:
    """Height and width of an image as a file has them. Raises BenchError, beginning with `place`, if they are none."""
    if type(height) is not int or type(width) is not int or not (0 < height <= LONGEST and 0 < width <= LONGEST):
        said = " and ".join(repr(side)[:40] for side in (height, width))
        raise BenchError(f"{place}: needs `height` and `width` in pixels, has {said}")
    return height, width


def whole(text: str) -> int | str:
    """The number that a text is, if it is one of not too many digits, or the text."""
    return int(text) if text.isdecimal() and len(text) <= len(str(LONGEST)) else text


def number_of(value: object, place: str) -> float:
    """A number of pixels, as a number or its text. Raises BenchError, beginning with `place`, for what is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        raise BenchError(f"{place}: {repr(value)[:40]} is no number of pixels; correct the box, or take it out")
    return number
