"""A ranking as HTML: its table, and all that is said of it."""

import html
import math

from bench.leaderboard import ranking_words, words
from bench.leaderboard.ranking import Ranking, Row
from bench.leaderboard.ranking_words import ends

HEADS = ("Method", "Mean rank", "Groups", "Borda", "Won", "Elo", "IQM", "First, other cases", "First, other tasks")


def standings(ranking: Ranking) -> str:
    """A section with the rows, best first, or why nothing is ranked."""
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    table = (
        f'<div class="scroll" role="region" tabindex="0" aria-label="Ranking"><table class="ranking">'
        f'<caption class="unseen">{_text(ranking_words.title(ranking))}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(map(_row, ranking.rows))}</tbody></table></div>"
    )
    said = "".join(f"<p>{_text(line)}</p>" for line in ranking_words.whole(ranking))
    kept = table if ranking.rows else ""
    return (
        f'<section class="standings"><h3>Ranks over tasks</h3><p>{_text(ranking_words.title(ranking))}.</p>'
        f'<div class="chart-place"></div>{kept}<details><summary>How firm the order is</summary>{said}</details>'
        "</section>\n"
    )


def _row(row: Row) -> str:
    cells = [
        (f"{row.mean_rank:.2f}", ends(row.rank_ends, ".2f")),
        (row.groups or words.GAP, ""),
        (f"{row.borda:g}", ""),
        (f"{100 * row.wins:.0f} %", ""),
        (f"{row.elo:.0f}", ends(row.elo_ends, ".0f")),
        (f"{row.iqm:z.3f}", ends(row.iqm_ends, ".2f")),
        (_share(row.first_by_cases), _places(ends(row.places_by_cases, ".0f"))),
        (_share(row.first_by_tasks), _places(ends(row.places_by_tasks, ".0f"))),
    ]
    shown = "".join(f"<td>{_text(value)}{_interval(interval)}</td>" for value, interval in cells)
    return f'<tr><th scope="row">{_text(row.method)}</th>{shown}</tr>'


def _share(value: float) -> str:
    return words.GAP if math.isnan(value) else f"{100 * value:.0f} %"


def _places(interval: str) -> str:
    return f"places {interval.strip('[]').replace(', ', '–')}" if interval else ""


def _interval(said: str) -> str:
    return f'<span class="interval">{_text(said)}</span>' if said else ""


def _text(value: str) -> str:
    return html.escape(words.plain(value))
