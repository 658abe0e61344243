"""What all figures share: type sizes, colours with marks, names as literal text, a title above and notes below."""

import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import curves
from bench.leaderboard.words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, EDGE = 7.0, 0.06  # inches: the text of a page; free at all sides
LINE = 1.35 / 72  # inches of a line of text, a point
SIZE, SMALL, TITLE = 8.0, 7.0, 9.5  # points
NOTES = 8  # sentences below a figure before the others are counted
GREY = "0.45"
# Okabe and Ito's colours but the yellow, which is too light for a line on paper. As many marks as share no factor with
# them, so that no two of 77 methods look alike, in grey too.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#CC79A7")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", "p", ">", "h")
DASHES = ("-", "--", "-.", ":")
SCRIPTS = ("Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Noto Sans Arabic", "Noto Sans Devanagari")


class Look(NamedTuple):
    """How a method is drawn in all panels of a figure."""

    colour: str
    mark: str
    dash: str


def looks(count: int) -> list[Look]:
    """One for each method, by its place."""
    return [Look(COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)], DASHES[i % len(DASHES)]) for i in range(count)]


@contextmanager
def style() -> Iterator[None]:
    """Of all that is drawn and written within: a `$` in a name begins no formula, and a letter unknown is a box."""
    from matplotlib import rc_context

    rules: dict[Any, Any] = {
        **{"text.parse_math": False, "font.family": _families(), "axes.linewidth": 0.6, "grid.linewidth": 0.4},
        **dict.fromkeys(("font.size", "axes.labelsize", "axes.titlesize", "xtick.labelsize", "ytick.labelsize"), SIZE),
        **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    }
    with rc_context(rules), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        yield


def without_glyph(names: Iterable[str]) -> str:
    """The letters of these names that no font at hand has, which are drawn as boxes."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts = [get_font(findfont(FontProperties(family=[family]))) for family in _families()]
    letters = sorted({letter for name in names for letter in plain(name)})
    return "".join(letter for letter in letters if not any(font.get_char_index(ord(letter)) for font in fonts))


def _families() -> list[str]:
    """Of fonts, those for other scripts where they are installed."""
    from matplotlib.font_manager import get_font_names

    there = set(get_font_names())
    return ["DejaVu Sans", *(name for name in SCRIPTS if name in there), "sans-serif"]  # the last for an svg


def sheet(
    height: float, title: str, notes: Sequence[str], *, phantom: bool, width: float = WIDTH
) -> tuple["Figure", float]:
    """A figure with so many inches to draw on, between its title and its notes, and where those begin from below.

    What is drawn is laid out between the two. Phantom data are marked all over.
    """
    from matplotlib.figure import Figure

    head = folded(title, letters(width, TITLE))
    foot = [line for note in _few(notes) for line in folded(note, letters(width, SMALL))]
    above, below = (2 * EDGE + LINE * size * len(of) for of, size in ((head, TITLE), (foot, SMALL)))
    tall = above + height + below
    figure = Figure(figsize=(width, tall), dpi=200)
    figure.set_layout_engine("constrained", rect=(0, below / tall, 1, height / tall))
    said = [
        figure.text(EDGE / width, 1 - EDGE / tall, "\n".join(head), va="top", fontsize=TITLE),
        figure.text(EDGE / width, EDGE / tall, "\n".join(foot), va="bottom", fontsize=SMALL, color="0.25"),
    ]
    if phantom:
        angle = math.degrees(math.atan2(min(tall, width), width)) / 2
        mark = figure.text(0.5, (below + height / 2) / tall, "PHANTOM", ha="center", va="center", rotation=angle)
        mark.set(fontsize=width * 10, color="0.9", zorder=-1)
        said.append(mark)
    for text in said:
        text.set_in_layout(False)
    return figure, below


def save(figure: "Figure", file: Path) -> None:
    """Write a figure. Raises BenchError as `curves.save`."""
    curves.save(figure, file)


def letters(width: float, size: float) -> int:
    """About how many of a type size fit into so many inches."""
    return max(12, int(width * 72 / (0.57 * size)))


def folded(text: str, width: int, lines: int = 99) -> list[str]:
    """Text in lines of so many letters; of more lines than there is room for the middle is left out."""
    text = plain(text)
    found = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    if len(found) > lines:
        room = width * lines - lines - 1  # words do not fill their lines
        return folded(f"{text[: room // 2]}…{text[-room // 2 :]}", width)[:lines]
    return found


def name(text: str, width: int = 30) -> str:
    """The name of a method or column beside a mark, in up to three lines."""
    return "\n".join(folded(text, width, 3))


def open_frame(axes: "Axes", *, along: str) -> None:
    """Fine lines to read numbers from, behind what is drawn; `along` which axis they are of."""
    axes.grid(axis="both" if along == "both" else "x" if along == "x" else "y", color="0.85")
    axes.set_axisbelow(True)
    axes.patch.set_visible(False)  # the word behind a figure of phantoms stays to be seen


def _few(notes: Sequence[str]) -> list[str]:
    more = len(notes) - NOTES
    return [*islice(notes, NOTES), *([f"and {more} more of such"] if more > 0 else [])]
