"""The curves of a pretraining, from the history in its record: rows for a table, and a figure for a paper."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = Sequence[float | None]  # the mean of each epoch; None where there is no finite one

ENDINGS = (".png", ".svg", ".pdf")
ROWS = 12  # of a table
DOTTED = 40  # a curve of up to so many points shows them


def ordered(history: Mapping[str, Curve]) -> dict[str, Curve]:
    """The loss first, and then by name."""
    return {name: history[name] for name in sorted(history, key=lambda name: (name != "loss", name))}


def rows(history: Mapping[str, Curve]) -> list[dict[str, str]]:
    """A row an epoch, counted from 1; of more than 12 epochs 12 of them, evenly spaced from the first to the last."""
    curves = ordered(history)
    epochs = max(map(len, curves.values()), default=0)
    chosen = [round(i * (epochs - 1) / (ROWS - 1)) for i in range(ROWS)] if epochs > ROWS else range(epochs)
    return [
        {"epoch": str(epoch + 1), **{name: _number(curve[epoch]) for name, curve in curves.items()}} for epoch in chosen
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def draw(history: Mapping[str, Curve], title: str, file: Path) -> None:
    """Write the curves as a figure, a panel each. Raises BenchError for a file that is no png, svg or pdf."""
    from matplotlib.figure import Figure

    curves = ordered(history)
    across = min(3, len(curves))
    down = math.ceil(len(curves) / across)
    figure = Figure(figsize=(3.2 * across, 2.4 * down + 0.3), layout="constrained", dpi=200)
    figure.suptitle(title, fontsize=9, parse_math=False)
    for number, (name, curve) in enumerate(curves.items(), start=1):
        _panel(figure.add_subplot(down, across, number), name, curve)
    save(figure, file)


def require_figure(file: Path) -> None:
    """Raise BenchError for a file that is no png, svg or pdf, before anything is drawn."""
    if file.suffix.lower() not in ENDINGS:
        raise BenchError(f"{file}: a figure ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")


def save(figure: "Figure", file: Path) -> None:
    """Write a figure, in the same bytes each time. Raises BenchError as `require_figure`, or where it cannot write.

    The text of an svg stays text, and that of a pdf is TrueType: journals refuse the default, Type 3.
    """
    require_figure(file)
    from matplotlib import rc_context

    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(file.suffix.lower())
    try:
        with rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "bench"}):
            figure.savefig(file, metadata=undated)
    except OSError as exc:
        raise BenchError(f"{file}: {exc.strerror}") from None


def _panel(axes: "Axes", name: str, curve: Curve) -> None:
    """One curve over the epochs, with a gap where it has no value."""
    from matplotlib.ticker import MaxNLocator

    points = len(curve) - list(curve).count(None)
    values = [math.nan if value is None else value for value in curve]
    # Marks, because a value between two gaps has no line to be seen by.
    axes.plot(range(1, len(curve) + 1), values, marker="." if points <= DOTTED else "", linewidth=1.2)
    axes.set_title(name.replace("_", " "), fontsize=9, loc="left", parse_math=False)
    axes.set_xlabel("epoch", fontsize=8)
    axes.set_xlim(0.5, len(curve) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3, linewidth=0.5)
