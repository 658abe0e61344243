"""The command that ranks the methods of a board over its tasks, and the page that it prints."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import DataRoot, GridOrStore, Json, app
from bench.cli.look import opened
from bench.cli.plot import drawn, of_rankings, say_files
from bench.cli.show import as_json, as_table
from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.leaderboard.duel import Duel
    from bench.leaderboard.ranking import Ranking, Row
    from bench.leaderboard.result import Result


@app.command()
def ranks(
    grid: GridOrStore = "bench.toml",
    data: DataRoot = None,
    metric: Annotated[
        str, typer.Option("--metric", help="Rank by this in place of each task's primary metric, such as hd95.")
    ] = "",
    protocol: Annotated[str, typer.Option("--protocol", metavar="P", help="Only this protocol.")] = "",
    rope: Annotated[
        float | None,
        typer.Option("--rope", metavar="X", help="A difference that does not matter: 1 point, 1 mm, or else 0.01."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw the critical-difference diagram: a .png, .svg or .pdf."),
    ] = None,
    json: Json = False,
) -> None:
    """Rank the methods over all tasks, and say how firm the order is and whether the first is really better.

    Mean rank, Borda, wins, Elo and interquartile mean with intervals; Friedman's test with Nemenyi's critical
    difference; of the first and the second a Bayesian signed-rank test with a region of practical equivalence (--rope),
    and how many seeds, cases or tasks would part them; whether protocols agree; how often each is first when cases or
    tasks are drawn anew. All on what is complete: methods and columns with gaps are left out, and named.

    JSON: a list with one object for real and one for phantom data: `name`, `methods` (rows, best first), `tasks`,
    `friedman`, `duel` (the first against the second, in `unit`), `orderings`, `protocols`, `shares`, `left_out`,
    `fewer_seeds`, `sentences`. With --figure: {"figure": [FILE]}, two files if there are both.
    """
    from bench.leaderboard.ranking import rank

    if rope is not None and not (math.isfinite(rope) and rope >= 0):
        raise BenchError(f"--rope is {rope}, not a number from 0 on")
    rankings = rank(_of_protocol(opened(grid, data, metric).results, protocol, grid), rope)
    if figure:
        from bench.leaderboard import critical

        say_files(drawn(of_rankings(critical.draw, rankings, grid), figure), json=json)
    elif json:
        as_json([_plain(ranking) for ranking in rankings])
    else:
        _show(rankings)


def _of_protocol(found: "list[Result]", protocol: str, grid: str) -> "list[Result]":
    names = {result.protocol for result in found}
    if protocol and protocol not in names:
        raise unknown("protocol", protocol, names, where=grid)
    return [result for result in found if protocol in ("", result.protocol)]


def _show(rankings: "tuple[Ranking, ...]") -> None:
    from rich.console import Console
    from rich.text import Text

    from bench.leaderboard import ranking_words as words
    from bench.leaderboard.words import EMPTY, plain

    console = Console()
    if not rankings:
        print(EMPTY)  # noqa: T201
    for number, ranking in enumerate(rankings):
        said = ["" if number else None, words.title(ranking), *words.opening(ranking)]
        for line in said:
            if line is not None:
                console.print(Text(plain(line)))
        if ranking.rows:
            as_table([_row(row) for row in ranking.rows])
            as_table([_places(row) for row in ranking.rows])
        for line in words.sentences(ranking):
            console.print(Text(plain(line)))


def _row(row: "Row") -> dict[str, str]:
    from bench.leaderboard.ranking_words import ends
    from bench.leaderboard.words import plain

    def with_ends(value: str, interval: str) -> str:
        return f"{value}\n{interval}".rstrip()

    return {
        "method": plain(row.method),
        "mean rank": with_ends(f"{row.mean_rank:.2f}", ends(row.rank_ends, ".2f")),
        "": row.groups,
        "Borda": f"{row.borda:g}",
        "won": f"{100 * row.wins:.0f} %",
        "Elo": with_ends(f"{row.elo:.0f}", ends(row.elo_ends, ".0f")),
        "IQM": with_ends(f"{row.iqm:z.3f}", ends(row.iqm_ends, ".2f")),
    }


def _places(row: "Row") -> dict[str, str]:
    from bench.leaderboard.ranking_words import ends
    from bench.leaderboard.words import plain

    def share(value: float) -> str:
        return "" if math.isnan(value) else f"{100 * value:.0f} %"

    cases = {"first, other cases": share(row.first_by_cases), "places": ends(row.places_by_cases, ".0f")}
    tasks = {"first, other tasks": share(row.first_by_tasks), "places ": ends(row.places_by_tasks, ".0f")}
    return {"method": plain(row.method), **cases, **({} if math.isnan(row.first_by_tasks) else tasks)}


def _plain(ranking: "Ranking") -> dict[str, Any]:
    from bench.leaderboard import ranking_words as words

    grid, test, names = ranking.grid, ranking.test, ranking.grid.methods
    friedman = test and {
        **{"columns": test.columns, "statistic": test.statistic, "p": test.p, "f": test.f, "f_p": test.f_p},
        **{"critical_difference": test.difference, "groups": [[names[i] for i in group] for group in test.groups]},
    }
    tasks = [
        {"task": t.task, "protocols": t.protocols, "metric": t.metric, "seeds": t.seeds, "cases": len(t.cases)}
        for t in grid.tasks
    ]
    return {
        **{"name": ranking.name, "methods": [asdict(row) for row in ranking.rows], "tasks": tasks},
        **{"friedman": friedman, "duel": ranking.duel and _plain_duel(ranking.duel), "orderings": ranking.orderings},
        **{"protocols": [asdict(one) for one in ranking.protocols], "shares": ranking.shares},
        **{"left_out": grid.left_out, "fewer_seeds": grid.fewer},
        "sentences": words.whole(ranking),
    }


def _plain_duel(duel: "Duel") -> dict[str, Any]:
    from bench.leaderboard.ranking_words import unit

    factor, spread = duel.scale.factor, duel.spread
    return {
        **{"first": duel.first, "second": duel.second, "unit": unit(duel), "tasks": spread.tasks},
        **{"lead": factor * duel.lead, "error_here": factor * spread.here, "error_anywhere": factor * spread.anywhere},
        **{"rope": factor * duel.rope, "belief": duel.belief and asdict(duel.belief), "shares": spread.shares},
        "needed": asdict(duel.needed),
    }
