"""The methods in one column of a board: each seed, their mean, and the interval over test cases."""

import math
from pathlib import Path

from bench.leaderboard.plots import canvas, rows
from bench.leaderboard.plots import remarks as said
from bench.leaderboard.table import Cell, Column, Table
from bench.leaderboard.words import capitalised, fewer_seeds, measure, remarks, texts


@canvas.style()
def draw(table: Table, file: Path) -> None:
    """Write the figure of a table of one column. Raises ValueError for several, and BenchError as `curves.save`."""
    (column,) = table.columns
    lines = [_line(row.method, row.cells[0], column) for row in table.rows]
    sign = -1.0 if column.higher_is_better else 1.0
    lines.sort(key=lambda line: (math.isnan(line.value), sign * line.value))  # what has no number comes last
    title = f"{capitalised(measure(column))}, {said.full(column)}, {said.data(table)}"
    figure, _ = canvas.sheet(rows.height(lines), title, _notes(table), phantom=table.phantom)
    rows.draw(figure.add_subplot(), lines, f"{measure(column)}, {said.better(column)}")
    canvas.save(figure, file)


def _line(method: str, cell: Cell, column: Column) -> rows.Line:
    shown, factor = texts(cell, column.scale), column.scale.factor
    if cell.mean is None or not math.isfinite(cell.mean):
        return rows.Line(method, math.nan, text=f"no number: {'not defined' if cell.done else cell.state}")
    dots = tuple(factor * mean for mean in cell.seed_means)
    ends = (math.nan, math.nan) if cell.low is None or cell.high is None else (factor * cell.low, factor * cell.high)
    return rows.Line(method, factor * cell.mean, ends, dots, " ".join(shown).strip())


def _notes(table: Table) -> list[str]:
    cells = [row.cells[0] for row in table.rows]
    cases = max((cell.cases for cell in cells), default=0)
    over = f"{cases} test case{'s' * (cases != 1)}"
    bar = f"bar and brackets: {100 * table.level:g} % interval ({table.interval})"
    if all(cell.low is None for cell in cells):
        bar = "no interval, for it takes two test cases"
    spread = " (± standard deviation)" * any(cell.std is not None for cell in cells)
    notes = [f"ring: mean of a seed over {over}; diamond: {said.seeds(table)}{spread}; {bar}"]
    notes += [note.text for note in (*fewer_seeds(table), *remarks(table)) if not note.text.startswith("no mean")]
    return notes
