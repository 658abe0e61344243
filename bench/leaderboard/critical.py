"""The critical-difference diagram of a ranking: mean ranks on a line, and bars over methods that are not told apart.

Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006, figure 1.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from bench import curves
from bench.leaderboard.plots import canvas
from bench.leaderboard.ranking import Ranking
from bench.leaderboard.ranking_words import p_value, title
from bench.leaderboard.words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP = 0.32  # inches from one name, or bar, to the next


@canvas.style()
def draw(ranking: Ranking, file: Path) -> None:
    """Write the diagram. Raises ValueError where nothing is ranked, and BenchError as `curves.save`."""
    from matplotlib.figure import Figure

    test, methods = ranking.test, len(ranking.rows)
    if test is None:
        raise ValueError("nothing is ranked")
    bars = _bars(ranking)
    left = (methods + 1) // 2
    depth = (0.5 * len(bars) + left + 0.9) * STEP
    figure = Figure(figsize=(canvas.WIDTH, depth + 1.0), layout="constrained", dpi=200)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(1 - 0.6 * methods, methods + 0.6 * methods)
    axes.set_ylim(-depth, (3 if math.isfinite(test.difference) else 1.5) * STEP)
    p = "no test" if math.isnan(test.p) else p_value(test.p)
    said = canvas.folded(f"{title(ranking)}; {p}", canvas.letters(canvas.WIDTH, canvas.TITLE))
    axes.set_title("\n".join(said), fontsize=canvas.TITLE, loc="left")
    _scale(axes, methods, test.difference)
    for number, (low, high) in enumerate(bars):
        y = -(0.5 * number + 0.6) * STEP
        axes.plot([low - 0.03, high + 0.03], [y, y], color="black", linewidth=3, solid_capstyle="butt")
    _names(axes, ranking, -(0.5 * len(bars) + 1) * STEP)
    curves.save(figure, file)


def _bars(ranking: Ranking) -> list[tuple[float, float]]:
    """Lowest and highest mean rank of each group of several; without a test there is none."""
    test = ranking.test
    if test is None or math.isnan(test.p):
        return []
    return [(test.mean_ranks[of[0]], test.mean_ranks[of[-1]]) for of in test.groups if len(of) > 1]


def _scale(axes: "Axes", methods: int, difference: float) -> None:
    """The line of ranks, best on the left, and above it how long the critical difference is."""
    axes.plot([1, methods], [0, 0], color="black", linewidth=1)
    every = math.ceil(methods / 20)
    for rank in range(1, methods + 1):
        axes.plot([rank, rank], [0, 0.25 * STEP], color="black", linewidth=1)
        if (rank - 1) % every == 0:
            axes.text(rank, 0.4 * STEP, str(rank), ha="center", va="bottom", fontsize=8)
    if math.isfinite(difference):
        y = 1.8 * STEP
        axes.plot([1, 1 + difference], [y, y], color="black", linewidth=1, marker="|", markersize=6)
        axes.text(1 + difference / 2, y + 0.2 * STEP, f"critical difference {difference:.2f}", ha="center", fontsize=8)


def _names(axes: "Axes", ranking: Ranking, top: float) -> None:
    """Names below, the better half to the left, each joined to its mean rank."""
    methods = len(ranking.rows)
    left = (methods + 1) // 2
    for place, row in enumerate(ranking.rows):
        to_left = place < left
        y = top - (place if to_left else methods - 1 - place) * STEP
        edge = 1 - 0.06 * methods if to_left else methods + 0.06 * methods
        axes.plot([row.mean_rank, row.mean_rank, edge], [0, y, y], color="0.45", linewidth=0.8)
        name = plain(row.method)
        name = name if len(name) <= 28 else f"{name[:18]}…{name[-9:]}"  # entries of a plug-in differ in how they end
        text = f"{name}  {row.mean_rank:.2f}" if to_left else f"{row.mean_rank:.2f}  {name}"
        side = "right" if to_left else "left"
        axes.text(edge + (-0.01 if to_left else 0.01) * methods, y, text, ha=side, va="center", fontsize=8)
