"""Methods by their mean rank over the tasks of a board, each with the interval that other tasks would leave it."""

import math
from pathlib import Path

from bench.leaderboard import ranking_words as words
from bench.leaderboard.plots import canvas, rows
from bench.leaderboard.ranking import RESAMPLES, Ranking, Row


@canvas.style()
def draw(ranking: Ranking, file: Path) -> None:
    """Write the figure. Raises ValueError where nothing is ranked, and BenchError as `curves.save`."""
    if not ranking.rows:
        raise ValueError("nothing is ranked")
    lines = [rows.Line(row.method, row.mean_rank, _ends(row), text=_text(row)) for row in ranking.rows]
    title = f"Mean rank of {words.title(ranking)}"
    figure, _ = canvas.sheet(rows.height(lines), title, _notes(ranking), phantom=ranking.grid.phantom)
    axes = figure.add_subplot()
    rows.draw(axes, lines, f"mean rank (1 is best of {len(lines)})")
    axes.set_xlim(0.8, len(lines) + 0.2)
    axes.set_xticks(range(1, len(lines) + 1, math.ceil(len(lines) / 16)))
    canvas.save(figure, file)


def _ends(row: Row) -> tuple[float, float]:
    """Over other tasks; where there is one task, over other cases."""
    return row.places_by_cases if math.isnan(row.rank_ends[0]) else row.rank_ends


def _text(row: Row) -> str:
    whole = math.isnan(row.rank_ends[0])
    return f"{row.mean_rank:.2f} {words.ends(_ends(row), '.0f' if whole else '.2f')}  {row.groups}".rstrip()


def _notes(ranking: Ranking) -> list[str]:
    tasks, letters = len(ranking.grid.tasks), any(row.groups for row in ranking.rows)
    bar = f"bar and brackets: 95 % interval over other tasks (bootstrap, {RESAMPLES} resamples)"
    if math.isnan(ranking.rows[0].rank_ends[0]):
        bar = "bar and brackets: 95 % of its places when test cases are drawn anew, for one task tells of no others"
    said = "; methods with a letter in common are not told apart" if letters else ""
    return [f"diamond: mean rank over {tasks} task{'s' * (tasks > 1)}; {bar}{said}", *words.left_out(ranking)]
