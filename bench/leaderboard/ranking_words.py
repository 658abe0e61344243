"""What is said of a Ranking on a terminal and in JSON: sentences that need no other page to be understood."""

import math

from bench.leaderboard.duel import FEWEST, Duel
from bench.leaderboard.names import label
from bench.leaderboard.ranking import RESAMPLES, Agreement, Ends, Ranking
from bench.leaderboard.words import PHANTOM
from bench.spread import POWER, SEEN

SURE = 0.975  # a probability from which on the Bayesian verdict is given; of equal methods 0.95 gave too many
LEAST = 0.0001  # p-values below it are not told apart


def title(ranking: Ranking) -> str:
    """What is ranked, in a line."""
    grid, metrics = ranking.grid, dict.fromkeys(label(task.metric) for task in ranking.grid.tasks)
    of = f" by {', '.join(metrics)}" if metrics else ""
    kind = "PHANTOM data" if grid.phantom else "real data"
    return f"{_many(len(grid.methods), 'method')} over {_many(len(grid.tasks), 'task')}{of}, {kind}"


def opening(ranking: Ranking) -> list[str]:
    """What a reader must know of the table above all."""
    lines = [PHANTOM] if ranking.grid.phantom else []
    if not ranking.rows:
        return [*lines, f"Nothing to rank: {_lack(ranking)}."]
    together = [task for task in ranking.grid.tasks if len(task.protocols) > 1]
    if together:
        lines.append(
            f"{_many(len(together), 'task')} with several protocols count{'s' if len(together) == 1 else ''} once, by "
            "the mean over them, since protocols of a task rise and fall together; --protocol takes one."
        )
    return lines


def meaning() -> str:
    """How the columns of the tables come about."""
    return (
        "In brackets: 95 % intervals, of ranks and Elo over other tasks, of the IQM over other seeds (bootstrap, "
        f"{RESAMPLES} resamples). Borda, won and Elo (Bradley-Terry, ties half a win) give the order of the mean rank. "
        "IQM: interquartile mean of scores, 0 for the worst and 1 for the best method of each task. Methods with "
        "a letter in common are not told apart. How often each is first, and 95 % of its places: with cases, or tasks, "
        "drawn anew."
    )


def friedman(ranking: Ranking) -> str:
    """The test over all methods, and how many pairs it tells apart."""
    test, methods = ranking.test, len(ranking.rows)
    assert test is not None
    if math.isnan(test.p):
        return f"No test over tasks: there {_are(test.columns, 'task')}."
    over = f"over {test.columns} tasks"
    if methods == 2:
        verdict = "the two differ" if test.differ else "no difference is shown"
        return f"Wilcoxon's signed-rank test {over}, exact: {p_value(test.p)}: {verdict}."
    f = f"{test.f:.2f}" if math.isfinite(test.f) else "infinite"
    said = (
        f"Friedman's test {over}: chi-squared {test.statistic:.2f} with {methods - 1} degrees of freedom, "
        f"{p_value(test.p)} (Iman and Davenport's F: {f}, {p_value(test.f_p)})"
    )
    distance = f"the critical difference of mean ranks is {test.difference:.2f} (Nemenyi, 5 %)"
    if not test.differ:
        return f"{said}: no difference between methods is shown, and so no two are told apart; {distance}."
    pairs = methods * (methods - 1) // 2
    apart = sum(test.apart(i, j) for i in range(methods) for j in range(i))
    lie = "lies" if apart == 1 else "lie"
    return f"{said}: some methods differ; {distance}, and {apart} of {pairs} pairs {lie} as far apart."


def duel(of: Duel) -> list[str]:
    """The first against the second: what to believe, and what would settle it."""
    return [_lead(of), _belief(of), *_needed(of), f"Of the variance of that lead {shares(of.spread.shares)}."]


def shares(parts: dict[str, float]) -> str:
    """Shares of a variance, in words."""
    known = [f"{100 * part:.0f} % is from {name}" for name, part in parts.items() if not math.isnan(part)]
    unknown = [name for name, part in parts.items() if math.isnan(part)]
    if not known:
        return "there is none to share out"
    more = "; what other {} do is not known, for there is only one".format(" and ".join(unknown)) if unknown else ""
    return f"{', '.join(known)}{more}"


def protocols(ranking: Ranking) -> list[str]:
    """Whether the winner depends on the probe."""
    if ranking.protocols:
        return [_agreement(one) for one in ranking.protocols]
    names = dict.fromkeys(name for column in ranking.grid.columns for name in column.protocols)
    why = f"all is {next(iter(names))}" if len(names) == 1 else "no task has two of them"
    return [f"Whether the order depends on the protocol is not known: {why}."]


def orderings(ranking: Ranking) -> str:
    """How far the orderings agree."""
    said = [f"{name.replace(' / ', ' and ')} {_tau(tau)}" for name, tau in ranking.orderings.items()]
    return f"Agreement of the orderings (Kendall's tau, 1 is the same): {', '.join(said)}."


def left_out(ranking: Ranking) -> list[str]:
    """What is not ranked, and of which columns only some seeds are."""
    gone = [f"left out: {name.replace('/', ' / ')}: {why}" for name, why in ranking.grid.left_out.items()]
    return gone + [f"{name.replace('/', ' / ')}: {why}" for name, why in ranking.grid.fewer.items()]


def sentences(ranking: Ranking) -> list[str]:
    """All that is said of a ranking below its table, with an empty line where another part begins."""
    if not ranking.rows or ranking.duel is None:
        return left_out(ranking)
    return [
        meaning(),
        "",
        friedman(ranking),
        *duel(ranking.duel),
        f"Of the variance of a method's lead over the mean of all {shares(ranking.shares)}.",
        *protocols(ranking),
        orderings(ranking),
        *left_out(ranking),
    ]


def whole(ranking: Ranking) -> list[str]:
    """All that is said of a ranking but its title."""
    return [line for line in (*opening(ranking), *sentences(ranking)) if line]


def ends(pair: Ends, form: str) -> str:
    """An interval; nothing where there is none."""
    return "" if math.isnan(pair[0]) else f"[{pair[0]:z{form}}, {pair[1]:z{form}}]"


def p_value(p: float) -> str:
    """As `p = 0.0123`."""
    return f"p < {LEAST}" if p < LEAST else f"p = {p:.4f}"


def unit(of: Duel) -> str:
    """Of a difference."""
    return "points" if of.scale.unit == "%" else of.scale.unit


def _lack(ranking: Ranking) -> str:
    if not ranking.grid.tasks:
        return "no task has results of all methods"
    return "there is one method"


def _lead(of: Duel) -> str:
    where, spread = f"over {_many(of.spread.tasks, 'task')}", of.spread
    here = f"standard error {_size(of, spread.here)} on these tasks"
    if not math.isnan(spread.of_tasks):
        here += f", {_size(of, spread.anywhere)} on tasks of their kind"
    places = f"{of.first} is first and {of.second} second"
    if of.tied:
        places = f"{of.first} and {of.second} share the first place"
    if spread.lead < 0:
        return f"{places}; in the mean {where} {of.second} leads by {_amount(of, -spread.lead)} ({here})."
    return f"{places}; in the mean {where} {of.first} leads by {_amount(of, spread.lead)} ({here})."


def _belief(of: Duel) -> str:
    belief = of.belief
    if belief is None:
        return f"No Bayesian signed-rank test: it takes {FEWEST} tasks, and there {_are(of.spread.tasks, 'task')}."
    said = {
        f"{of.first} is better": belief.first,
        "they are practically equal": belief.equal,
        f"{of.second} is better": belief.second,
    }
    verdict = next((name for name, p in said.items() if p >= SURE), f"undecided, for none reaches {SURE}")
    size = of.rope * of.scale.factor
    within = f"{size:g} {'point' if size == 1 and unit(of) == 'points' else unit(of)}".rstrip()
    numbers = f"{belief.first:.3f}; practically equal, within {within}: {belief.equal:.3f}; {of.second}"
    test = "Bayesian signed-rank test, the difference of each task taken as exact"
    return f"{test}: {of.first} better: {numbers} better: {belief.second:.3f}. So {verdict}."


def _needed(of: Duel) -> list[str]:
    spread, need = of.spread, of.needed
    if spread.lead <= 0:
        return ["There is no lead of the first in the mean that more seeds, cases or tasks could confirm."]
    begins = "To show a lead of this size four times in five (normal approximation)"
    lines = [f"{begins} on these tasks it takes {_here(of)}."]
    if spread.here == 0 or spread.lead / spread.here >= SEEN + POWER:
        size = f"{spread.lead / spread.here:.1f} standard errors" if spread.here else "without spread"
        rough = "" if math.isnan(need.seeds) or spread.seeds >= 5 else f", rough of {spread.seeds} seeds,"
        lines = [f"On these tasks seeds and cases suffice: by a normal approximation{rough} the lead is {size}."]
    if math.isnan(need.seeds):
        lines.append("No two seeds are in all of these tasks: what other seeds do is not counted in this.")
    if not math.isnan(need.tasks):
        lines.append(f"{begins} on tasks of their kind it takes {_tasks(need.tasks)} (now {spread.tasks}).")
    return lines


def _here(of: Duel) -> str:
    """How many seeds, or cases, it takes on the tasks at hand."""
    need, (fewest, most) = of.needed, of.cases
    now = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    does, not_alone = list[str](), list[str]()
    if math.isinf(need.seeds):
        not_alone.append("seeds")
    elif not math.isnan(need.seeds):
        does.append(f"{_many(int(need.seeds), 'seed')} (now {of.spread.seeds})")
    if math.isinf(need.cases):
        not_alone.append("cases")
    else:
        does.append(f"{need.cases:.1f} times the cases (now {now} a task)")
    if not does:
        return f"more than {' or '.join(not_alone)} alone"
    return " or ".join(does) + (f"; more {not_alone[0]} alone would not do" if not_alone else "")


def _tasks(count: float) -> str:
    return "more than tasks alone" if math.isinf(count) else _many(int(count), "task")


def _agreement(one: Agreement) -> str:
    (a, b), where = one.leaders, f"over {_many(one.tasks, 'task')}"
    said = f"{one.first} and {one.second} {where}: Kendall's tau {_tau(one.tau)}; first"
    if set(a) == set(b):
        return f"{said} under both: {' and '.join(a)}."
    return (
        f"{said}: {' and '.join(a)} under {one.first}, {' and '.join(b)} under {one.second}: it depends on the probe."
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _are(count: int, what: str) -> str:
    return f"{'is' if count == 1 else 'are'} {_many(count, what)}"


def _amount(of: Duel, value: float) -> str:
    return f"{_size(of, value)} {unit(of)}".rstrip()


def _size(of: Duel, value: float) -> str:
    return f"{value * of.scale.factor:.{of.scale.decimals}f}"


def _tau(tau: float) -> str:
    return "not defined (all methods tie)" if math.isnan(tau) else f"{tau:.2f}"
