"""The tables of a page as HTML: all of it is there to be read without a script, which only adds to it.

Whatever comes from a grid or a record goes through `text`; the tags alone are written here.
"""

import html
from collections.abc import Iterable, Sequence
from itertools import groupby

from bench.leaderboard import words
from bench.leaderboard.beside import bare
from bench.leaderboard.names import label
from bench.leaderboard.page.standings import standings
from bench.leaderboard.ranking import Ranking
from bench.leaderboard.ranking_words import ends
from bench.leaderboard.table import MARKS, Cell, Column, Row, Table

PRINTED = "As others print them"  # the last group, of rows in no best, mean or rank


def board(table: Table, ranking: Ranking | None) -> str:
    """A section: the table, what its marks mean, the ranking, and all that has to be said of it."""
    name, marks = table.name, _marks(table)
    ranks = {row.method: f"{row.mean_rank:.2f}|{ends(row.rank_ends, '.1f')}" for row in ranking.rows} if ranking else {}
    warning = f'<p class="warning" role="note">{text(words.PHANTOM)}</p>' if table.phantom else ""
    return (
        f'<section class="board{" phantom" * table.phantom}" id="{name}" aria-labelledby="{name}-title">\n'
        f'<h2 id="{name}-title">{text(words.title(table))}</h2>\n{warning}'
        f'<p class="setting">{text(words.capitalised(words.setting(table)))}.</p>\n<div class="tools"></div>\n'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(words.title(table))}: table">\n'
        f'<table class="results"><caption class="unseen">{text(words.title(table))}</caption>\n'
        f"{_head(table, marks, ranks)}{_body(table, marks, ranks)}</table>\n</div>\n"
        f'{_legend(table, marks)}<div class="charts"></div>\n'
        f"{standings(ranking) if ranking else ''}{_notes(table)}</section>\n"
    )


def text(value: object) -> str:
    """As text of an element or a quoted attribute, in one line and in the order it is stored in."""
    return html.escape(words.plain(str(value)))


# ---------------------------------------------------------------------------------------------- the head


def _head(table: Table, marks: Sequence[str], ranks: dict[str, str]) -> str:
    heads = ['<th scope="col" class="name" data-key="method">Method</th>']
    if table.averaged:
        over, of = len(table.averaged_over), table.columns[0]
        said = ", ".join(filter(None, (of.scale.unit, f"{over} column{'s' * (over != 1)}", words.arrow(of))))
        heads.append(f'<th scope="col" class="total" data-key="mean">Mean{_small(said)}</th>')
    if ranks:
        heads.append(f'<th scope="col" class="total" data-key="rank">Rank{_small("mean, ↓")}</th>')
    heads += [_column(index, column, table, marks) for index, column in enumerate(table.columns)]
    return f"<thead>{_families(table, len(heads) - len(table.columns))}<tr>{''.join(heads)}</tr></thead>\n"


def _families(table: Table, before: int) -> str:
    if not any(column.family for column in table.columns):
        return ""
    runs = [(name, len(list(of))) for name, of in groupby(column.family for column in table.columns)]
    cells = "".join(f'<th scope="colgroup" colspan="{size}">{text(name)}</th>' for name, size in runs)
    return f'<tr class="families"><td colspan="{before}"></td>{cells}</tr>'


def _column(index: int, column: Column, table: Table, marks: Sequence[str]) -> str:
    metric = " ".join(filter(None, (label(column.metric), column.scale.unit, words.arrow(column))))
    measure = "" if table.averaged else _small(metric)  # the title has it, and which way is better
    partial = text(f" {column.found}/{column.official}" * column.partial)
    signs = _letters(everywhere(table, index), marks)
    return (
        f'<th scope="col" data-column="{index}"><span class="task">{_breakable(column.task)}</span>'
        f'<span class="protocol">{text(column.protocol)}{partial}{signs}</span>'
        f"{measure}</th>"
    )


# ---------------------------------------------------------------------------------------------- the body


def _body(table: Table, marks: Sequence[str], ranks: dict[str, str]) -> str:
    width = 1 + table.averaged + bool(ranks) + len(table.columns)
    rows, parts = list(enumerate(table.rows)), []
    for group, of in groupby(rows, key=lambda numbered: PRINTED if numbered[1].source else numbered[1].group):
        named = group == PRINTED or words.grouped(table)
        head = f'<th scope="rowgroup" colspan="{width}"><span>{text(group)}</span></th>'
        head = f'<tr class="group">{head}</tr>' if named else ""
        lines = "".join(_row(index, row, table, marks, ranks) for index, row in of)
        parts.append(f'<tbody data-group="{text(group)}">{head}{lines}</tbody>\n')
    return "".join(parts)


def _row(index: int, row: Row, table: Table, marks: Sequence[str], ranks: dict[str, str]) -> str:
    cells = [_name(row)]
    if table.averaged:
        scale = table.columns[0].scale
        cells.append(f'<td class="total">{words.number(row.mean, scale, scale.decimals)}</td>')
    if ranks:
        mean, _, interval = ranks.get(row.method, words.GAP).partition("|")
        cells.append(f'<td class="total">{mean}{_interval(interval)}</td>')
    for place, (cell, column) in enumerate(zip(row.cells, table.columns, strict=True)):
        own = [mark for mark in cell.marks if mark not in everywhere(table, place)]
        kind = ["best"] * (cell.best or cell.alike) + ["leads"] * (cell.leads and words.grouped(table))
        cells.append(_cell(place, cell, column, kind, _letters(own, marks)))
    published = ' class="published"' if row.source else ""
    return f'<tr data-row="{index}"{published}>{"".join(cells)}</tr>'


def _name(row: Row) -> str:
    done, of = row.coverage
    notes = _small(f"{done} of {of} cells") if not row.complete else ""
    notes += _small(f"{row.method.partition(' ')[0]} {row.source}") if row.source else ""
    return f'<th scope="row" class="name"><span class="method">{_breakable(bare(row))}</span>{notes}</th>'


def _cell(index: int, cell: Cell, column: Column, kind: Sequence[str], letters: str) -> str:
    mean, notes = words.texts(cell, column.scale)
    value, _, spread = mean.partition(" ± ")
    kind = [cell.state] if cell.mean is None else kind
    of = f'<span class="mean">{text(value)}</span>' + (
        f'<span class="spread"> ± {text(spread)}</span>' if spread else ""
    )
    said = f' class="{" ".join(kind)}"' if kind else ""
    return f'<td data-column="{index}"{said}>{of}{letters}{_interval(notes)}</td>'


def _breakable(said: str) -> str:
    """Names of files and plug-ins, which have no spaces, may break after an underscore."""
    return text(said).replace("_", "_<wbr>")


def _interval(said: str) -> str:
    return f'<span class="interval">{text(said)}</span>' if said else ""


def _small(said: str) -> str:
    return f"<small>{text(said.strip(', '))}</small>"


# ---------------------------------------------------------------------------------------------- what is said below


def _marks(table: Table) -> list[str]:
    """Every mark of its cells, the known ones in their order."""
    found = dict.fromkeys(mark for row in table.rows for cell in row.cells for mark in cell.marks)
    return [*(mark for mark in MARKS if mark in found), *(mark for mark in found if mark not in MARKS)]


def everywhere(table: Table, column: int) -> list[str]:
    """Marks that all measured numbers of a column have: its head carries them, and no cell."""
    cells = [row.cells[column] for row in table.rows if not row.source and row.cells[column].mean is not None]
    return [mark for mark in cells[0].marks if all(mark in cell.marks for cell in cells)] if cells else []


def _letters(own: Iterable[str], marks: Sequence[str]) -> str:
    """Of marks, as the legend has them."""
    found = [f'<abbr title="{text(MARKS.get(mark, mark))}">{letter(marks.index(mark))}</abbr>' for mark in own]
    return f"<sup>{' '.join(found)}</sup>" if found else ""


def letter(number: int) -> str:
    """The sign of a mark, by its place."""
    return chr(ord("a") + number) if number < 26 else f"[{number + 1}]"


def _legend(table: Table, marks: Sequence[str]) -> str:
    said = [line.partition(": ") for line in words.legend(table, best="bold", leads="underlined")]
    signs = [f'<dt class="{sign}">{sign}</dt><dd>{text(of)}</dd>' for sign, _, of in said if sign != words.SEEN]
    signs += [f"<dt>{letter(number)}</dt><dd>{text(MARKS.get(mark, mark))}</dd>" for number, mark in enumerate(marks)]
    return f'<dl class="legend">{"".join(f"<div>{sign}</div>" for sign in signs)}</dl>\n'


def _notes(table: Table) -> str:
    notes = [*words.fewer_seeds(table), *words.remarks(table), *words.incomplete(table)]
    items = "".join(f"<li>{text(note.text)}</li>" for note in notes)
    return f'<section class="notes"><h3>What a reader must know</h3><ul>{items}</ul></section>\n' if items else ""
