r"""A Table as LaTeX, to be \input into a paper or compiled as it is: booktabs, and siunitx to align numbers.

Below each mean ± standard deviation stands its interval, smaller. Text is never scaled nor turned: a table that is
wider than a column of text is cut into several below each other, and one that is longer than a page goes on in
another float, so that all are read at one size and no class of document needs another package.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, zip_longest
from math import ceil

from bench.leaderboard.names import label
from bench.leaderboard.table import Cell, Column, Row, Table
from bench.leaderboard.tex_numbers import BOLD, kind, underlined
from bench.leaderboard.tex_text import breakable, escape, fold, legible, wide
from bench.leaderboard.words import (
    EMPTY,
    GAP,
    PHANTOM,
    Note,
    arrow,
    capitalised,
    fewer_seeds,
    filled,
    grouped,
    incomplete,
    legend,
    number,
    packed,
    remarks,
    setting,
    texts,
    title,
)

PACKAGES = r"""\usepackage{booktabs}
\usepackage{siunitx}"""
# In Latin Modern, where it is installed, an underscore can be searched for and copied.
DOCUMENT = rf"""\documentclass{{article}}
\IfFileExists{{lmodern.sty}}{{\usepackage[T1]{{fontenc}}\usepackage{{lmodern}}}}{{}}
{PACKAGES}
\begin{{document}}
%s\end{{document}}
"""
# The old names of these options, which new versions of siunitx know too.
SETUP = r"\sisetup{detect-weight, mode=text, separate-uncertainty, retain-zero-uncertainty}"
TEXT_WIDTH = 345 / 4.63  # of the article class, at 10 pt, in digits of \small; most classes have more
PADDING = 12 / 4.63  # left and right of a column
METHOD_WIDTH = 26.0
HEADER_WIDTH = 17.0
SMALLER = 0.8  # an interval, to a mean
NOTE_WIDTH = 345 / 4.25  # in digits of \footnotesize
LINES = 46  # of all that is in a float, but for a caption that is short
AROUND = 2.5  # of them, between tables and at rules


@dataclass(frozen=True)
class Part:
    """What one tabular shows: columns and rows by index, and whether the mean over columns."""

    columns: tuple[int, ...]
    rows: tuple[int, ...]
    averaged: bool


@dataclass(frozen=True)
class Marks:
    """The letter of each note (none, of what is on all of the table), and where the letters stand."""

    notes: dict[Note, str]
    columns: dict[int, str]
    rows: dict[int, str]
    gaps: dict[int, str]  # by row: on its cells that lack a seed


def latex(table: Table) -> str:
    """A float, or several for a table that fits no page; in the last are the notes that the marks refer to."""
    if not table.rows:
        return EMPTY + "\n"
    marks = _marks(table)
    floats = _floats(table, [*marks.notes])
    name = "-".join(["tab:leaderboard", table.name, *([_slug(table.metrics[0])] if table.averaged else [])])
    labels = [name + (f"-{index + 1}" if index else "") for index in range(len(floats))]
    comment = "% in the preamble: " + PACKAGES.replace("\n", " ")
    return "\n".join([comment, *(_float(table, items, marks, labels, n) for n, items in enumerate(floats))])


def standalone(tables: Sequence[Table]) -> str:
    """A document of these tables that pdflatex compiles."""
    return DOCUMENT % ("\n".join(map(latex, tables)) or EMPTY + "\n")


def _slug(metric: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", metric.lower()).strip("-")


# ---------------------------------------------------------------------------------------------- what goes where


def _floats(table: Table, notes: Sequence[Note]) -> list[list[Part | Note]]:
    """The table in parts that fit the width of a page; the parts, and the notes, in floats that fit its height."""
    said = 1.15 * wide(legible(title(table))) + wide(legible(". ".join(_legend(table))))  # the first is bold
    free = LINES - said / TEXT_WIDTH
    items: list[tuple[Part | Note, float]] = [(part, lines) for part, lines in _parts(table, free)]
    items += [(note, ceil(wide(legible(note.text)) / NOTE_WIDTH)) for note in notes]
    return [[items[index][0] for index in group] for group in packed([lines for _, lines in items], free)]


def _parts(table: Table, free: float) -> Iterator[tuple[Part, float]]:
    """Each with its height in lines."""
    heights = [_height(row, table) for row in table.rows]
    for index, before, row in zip(count(1), table.rows, table.rows[1:], strict=False):
        heights[index] += 1.5 * (before.group != row.group)  # its name and a rule
    blocks = _blocks(table)
    for block in blocks:
        head = AROUND + grouped(table) + max(len(_header(table.columns[index], table)) for index in block)
        shown = filled(table, block)
        for group in packed([heights[row] for row in shown], free - head):
            rows = tuple(shown[index] for index in group)
            yield Part(block, rows, table.averaged and block == blocks[-1]), head + sum(heights[row] for row in rows)


def _height(row: Row, table: Table) -> float:
    seconds = any(texts(cell, column.scale)[1] for cell, column in zip(row.cells, table.columns, strict=True))
    return max(len(fold(row.method, METHOD_WIDTH)), 1 + seconds) + 0.5  # and the space below it


def _blocks(table: Table) -> list[tuple[int, ...]]:
    """Consecutive columns that fit side by side, at least one to a block; the last leaves room for the mean."""
    names = max(wide(line) for row in table.rows for line in fold(row.method, METHOD_WIDTH)) + PADDING
    widths = [_width(table, index) for index in range(len(table.columns))]
    widths[-1] += 6 + PADDING if table.averaged else 0
    return packed(widths, TEXT_WIDTH - names)


def _width(table: Table, index: int) -> float:
    column = table.columns[index]
    shown = [texts(row.cells[index], column.scale) for row in table.rows]
    # A bold digit is wider than another, and a mark may follow.
    lines = [1.15 * wide(mean) + 1 for mean, _ in shown] + [SMALLER * wide(second) + 1 for _, second in shown]
    return max(*lines, *(wide(line) + 1 for line in _header(column, table))) + PADDING


# ---------------------------------------------------------------------------------------------- a float


def _float(table: Table, items: Sequence[Part | Note], marks: Marks, labels: Sequence[str], index: int) -> str:
    """One float of a table: tables below each other, then notes."""
    tables = [_tabular(table, item, marks) for item in items if isinstance(item, Part)]
    notes = [_note(item, marks.notes[item]) for item in items if isinstance(item, Note)]
    warning = [f"{{\\bfseries {escape(PHANTOM)}\\par}}\\smallskip"] if table.phantom else []
    lines = [r"\begin{table}[htbp]", r"\centering\small\sloppy", _caption(table, labels, index)]
    lines += [f"\\label{{{labels[index]}}}", r"\par\medskip", *warning]
    if tables:
        lines += [SETUP, "\n\\par\\bigskip\n".join(tables)]
    if notes:
        lines += [r"\par\medskip", r"\begin{minipage}{\linewidth}\footnotesize\raggedright"]
        lines += ["\\par\n".join(notes), r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _caption(table: Table, labels: Sequence[str], index: int) -> str:
    short = escape(title(table))
    warning = f"\\textbf{{{escape(PHANTOM)}}} " if table.phantom else ""
    said = f": {breakable(setting(table))}. {breakable('. '.join(_legend(table)))}.".replace(r" \%", r"~\%")
    if index:
        said = f", continued from Table~\\ref{{{labels[index - 1]}}}."
    if labels[index] != labels[-1]:
        said += f" Continued in Table~\\ref{{{labels[index + 1]}}}."
    return f"\\caption[{{{short}}}]{{{warning}\\textbf{{{breakable(title(table))}}}{said}}}"


def _legend(table: Table) -> list[str]:
    return [capitalised(line) for line in legend(table, best="bold", leads="underlined")]


def _marks(table: Table) -> Marks:
    about, missing = [*fewer_seeds(table), *remarks(table)], incomplete(table)
    marked = [note for note in (*about, *missing) if note.columns or note.rows]
    letters = {note: chr(ord("a") + index % 26) * (1 + index // 26) for index, note in enumerate(marked)}
    return Marks(
        {note: letters.get(note, "") for note in (*about, *missing)},
        {i: ",".join(letters[note] for note in about if i in note.columns) for i in range(len(table.columns))},
        {i: ",".join(letters[note] for note in about if i in note.rows) for i in range(len(table.rows))},
        {i: letters[note] for note in missing for i in note.rows},
    )


def _note(note: Note, mark: str) -> str:
    return (f"{_superscript(mark)}~" if mark else "") + breakable(f"{note.text}.")


# ---------------------------------------------------------------------------------------------- a tabular


def _tabular(table: Table, part: Part, marks: Marks) -> str:
    kinds = [kind([texts(row.cells[i], table.columns[i].scale)[0] for row in table.rows]) for i in part.columns]
    heads = [[f"{{{line}}}" for line in _head(table, index, marks.columns[index])] for index in part.columns]
    if part.averaged:
        kinds.append(kind([_mean(row, table) for row in table.rows]))
        heads.append(["{mean}"])
    stub = [r"\textbf{PHANTOM}"] * table.phantom + ["method"]
    height = max(map(len, [stub, *heads]))
    top = _lines([[""] * (height - len(lines)) + lines for lines in [stub, *heads]])
    width = len(part.columns) + part.averaged + 1
    rows = "".join(_above(table, i, part, width) + "\n".join(_row(table, i, part, marks)) for i in part.rows)
    begin = f"\\begin{{tabular}}{{@{{}}l{''.join(kinds)}@{{}}}}"
    return "\n".join([begin, r"\toprule", *top, r"\midrule", rows, r"\bottomrule", r"\end{tabular}"])


def _above(table: Table, index: int, part: Part, width: int) -> str:
    """What parts a row from the one above: a space, or a rule where a group or what others printed begins."""
    row, first = table.rows[index], index == part.rows[0]
    before = None if first else table.rows[part.rows[part.rows.index(index) - 1]]
    if grouped(table) and not row.source and (before is None or before.group != row.group):
        head = f"\\multicolumn{{{width}}}{{@{{}}l}}{{\\itshape {escape(row.group)}}} \\\\\n"
        return head if first else f"\n\\midrule\n{head}"
    if before is None:
        return ""
    return "\n\\midrule\n" if row.source and not before.source else "\n\\addlinespace\n"


def _head(table: Table, index: int, mark: str) -> list[str]:
    lines = [escape(line) for line in _header(table.columns[index], table)]
    lines[-1] += _superscript(mark)
    return lines


def _header(column: Column, table: Table) -> list[str]:
    """The name of a column with the direction of its metric, and its completeness where partial, in legible lines."""
    unit = f" ({column.scale.unit})" if column.scale.unit else ""
    metric = [] if table.averaged else fold(label(column.metric) + unit, HEADER_WIDTH)
    lines = [*fold(column.task, HEADER_WIDTH), *fold(column.protocol, HEADER_WIDTH), *metric]
    lines[-1] += f" {arrow(column)}"
    return lines + [f"({column.found}/{column.official})"] * column.partial


def _row(table: Table, index: int, part: Part, marks: Marks) -> list[str]:
    """Its lines: the name, folded, beside the number and the interval of each cell."""
    row = table.rows[index]
    gap = _superscript(marks.gaps.get(index, ""))
    names = [escape(line) for line in fold(row.method, METHOD_WIDTH)]
    names[-1] += _superscript(marks.rows[index])
    cells = [_cell(row.cells[column], table, column, gap) for column in part.columns]
    if part.averaged:
        cells.append([_mean(row, table) if row.mean is not None else f"{{{escape(GAP)}{gap}}}"])
    return _lines([names, *cells])


def _mean(row: Row, table: Table) -> str:
    return number(row.mean, table.columns[0].scale, table.columns[0].scale.decimals)


def _cell(cell: Cell, table: Table, index: int, gap: str) -> list[str]:
    r"""Its number and its interval; bold where it is not shown to be worse than the best, as siunitx aligns it.

    `gap` marks what has no number, or not of every seed.
    """
    mean, second = texts(cell, table.columns[index].scale)
    mark = "" if cell.state == "done" else gap
    if cell.mean is None:
        return [f"{{{escape(mean)}{mark}}}"]
    first = BOLD * cell.alike + mean.replace("±", "+-")
    if cell.leads and grouped(table):
        first = underlined(mean, [texts(row.cells[index], table.columns[index].scale)[0] for row in table.rows],
                           bold=cell.alike)  # fmt: skip
    seen = _superscript(r"\S") if "may have seen" in cell.marks else ""
    return [first, f"{{\\scriptsize {second}{mark}{seen}}}"] if second or seen else [first]


def _superscript(mark: str) -> str:
    return f"\\textsuperscript{{{mark}}}" if mark else ""


def _lines(columns: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a row, from those of its cells."""
    return [" & ".join(line).rstrip() + r" \\" for line in zip_longest(*columns, fillvalue="")]
