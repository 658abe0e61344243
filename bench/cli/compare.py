"""The command that compares two methods, and how it words what it finds."""

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import DataRoot, Json, app
from bench.cli.look import opened
from bench.cli.show import as_json, as_table
from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.leaderboard.comparison import Comparison, Difference
    from bench.leaderboard.result import Result

LEAST = 0.0001  # p-values below it are not told apart
METHOD = typer.Argument(help="A method: the label of a row of the board.", show_default=False)


@app.command()
def compare(
    first: Annotated[str, METHOD],
    second: Annotated[str, METHOD],
    task: Annotated[str, typer.Option("--task", help="Only this task.")] = "",
    metric: Annotated[
        str, typer.Option("--metric", help="Compare this in place of each task's primary metric, such as hd95.")
    ] = "",
    grid: Annotated[
        str, typer.Option("--grid", metavar="GRID|STORE", help="A grid, or a store: a folder of records.")
    ] = "bench.toml",
    data: DataRoot = None,
    json: Json = False,
) -> None:
    """Test whether one method is better than another on the same test cases, column by column.

    Differences are positive where FIRST is better. p-values are two-sided, and adjusted by Holm for the number of
    columns compared; a method is said to be better where the adjusted one is below 0.05.

    JSON: a list with one object for real and one for phantom data: `name`, `first`, `second`, `level`, `methods`,
    `columns` (`effect`, `low` and `high` in `unit`; `p`, `adjusted`, `cases`, `seeds`, `verdict`), `left_out` by column
    with the reason, and the overall `verdict`.
    """
    from bench.leaderboard.comparison import compare as compared

    if first == second:
        raise BenchError(f"{first}: compared with itself; name two methods")
    found = opened(grid, data, metric).results
    comparisons = compared(_asked(found, first, second, task, grid), first, second)
    if json:
        as_json([_plain(comparison) for comparison in comparisons])
        return
    for comparison in comparisons:
        _show(comparison)


def _asked(found: "list[Result]", first: str, second: str, task: str, grid: str) -> "list[Result]":
    """The results of a task, or all; those of its sites count as the task's. Raises BenchError for unknown names."""
    for method in (first, second):
        if method not in (labels := {result.method for result in found}):
            raise unknown("method", method, labels, where=grid)
    if not task:
        return found
    asked = [result for result in found if task in (result.task, result.task.partition("@")[0])]
    if not asked:
        raise unknown("task", task, {result.task for result in found}, where=grid)
    return asked


def _show(comparison: "Comparison") -> None:
    metrics = list(dict.fromkeys(d.metric for d in comparison.differences))
    rows = [
        {
            "column": _column(d) + (f", {d.metric}" if len(metrics) > 1 else ""),
            "difference": f"{_amount(d)} {_ends(d)}",
            "p": _number(d.p),
            "adjusted": _number(d.adjusted),
            "cases": d.cases,
            "seeds": ", ".join(map(str, d.seeds)),
        }
        for d in comparison.differences
    ]
    of = f" in {metrics[0]}" if len(metrics) == 1 else ""
    print(f"{comparison.first} minus {comparison.second}{of} on {comparison.name} data; positive: the first is better")  # noqa: T201
    as_table(rows, empty="nothing to compare")
    for d in comparison.differences:
        print(_verdict(comparison, d))  # noqa: T201
    for name, why in comparison.left_out.items():
        print(f"not compared: {name.replace('/', ' / ')}: {why}")  # noqa: T201
    print(f"\n{_overall(comparison)}")  # noqa: T201
    if comparison.differences:
        print("; ".join(comparison.methods))  # noqa: T201


def _plain(comparison: "Comparison") -> dict[str, Any]:
    from bench.leaderboard.verdicts import LEVEL

    columns = [
        {
            **{"name": f"{d.task}/{d.protocol}", "task": d.task, "protocol": d.protocol, "metric": d.metric},
            **{name: getattr(d, name) * d.scale.factor for name in ("effect", "low", "high")},
            **{"unit": _unit(d), "p": d.p, "adjusted": d.adjusted, "cases": d.cases, "seeds": list(d.seeds)},
            **{"test": d.test, "verdict": _verdict(comparison, d)},
        }
        for d in comparison.differences
    ]
    return {
        **{"name": comparison.name, "first": comparison.first, "second": comparison.second, "level": LEVEL},
        **{"methods": list(comparison.methods), "columns": columns, "left_out": comparison.left_out},
        "verdict": _overall(comparison),
    }


def _verdict(comparison: "Comparison", d: "Difference") -> str:
    """What a column says, in a sentence: the better method, if any, first."""
    on = f"on {_column(d)}{', phantom data' if comparison.phantom else ''}"
    if math.isnan(d.p):
        return f"no test {on}: {'there is one case' if d.cases == 1 else 'no resample has a value'}"
    names, turned = (comparison.first, comparison.second), d
    if d.better < 0:
        names, turned = names[::-1], replace(d, effect=-d.effect, low=-d.high, high=-d.low)
    several = sum(not math.isnan(other.p) for other in comparison.differences) > 1
    p = f"{'adjusted ' if several else ''}p {'' if d.adjusted < LEAST else '= '}{_number(d.adjusted)}"
    numbers = f"{' '.join(filter(None, (_amount(turned), _ends(turned))))}, {p}"
    if not d.better:
        return f"no difference that {d.cases} cases can show {on}: {numbers}"
    return f"{names[0]} is better than {names[1]} {on}: {numbers}"


def _overall(comparison: "Comparison") -> str:
    """All columns in a sentence."""
    count, of = Counter(d.better for d in comparison.differences), len(comparison.differences)
    if not of:
        return f"{comparison.first} and {comparison.second} have nothing in common that could be compared"
    where = f"of {of} column{'s' if of > 1 else ''} compared{', phantom data' if comparison.phantom else ''}"
    names = {1: comparison.first, -1: comparison.second}
    said = [f"{name} is better on {count[sign]}" for sign, name in names.items() if count[sign]]
    return f"{', '.join(said) or 'neither is shown to be better on any'} {where}"


def _column(d: "Difference") -> str:
    return f"{d.task} / {d.protocol}"


def _amount(d: "Difference") -> str:
    return f"{_scaled(d.effect, d)} {_unit(d)}".rstrip()


def _ends(d: "Difference") -> str:
    return "" if math.isnan(d.low) else f"[{_scaled(d.low, d)}, {_scaled(d.high, d)}]"


def _scaled(value: float, d: "Difference") -> str:
    return f"{value * d.scale.factor:z.{d.scale.decimals - 1}f}"  # as ends of intervals on a board


def _unit(d: "Difference") -> str:
    return "points" if d.scale.unit == "%" else d.scale.unit


def _number(p: float) -> str:
    if math.isnan(p):
        return ""
    return f"< {LEAST}" if p < LEAST else f"{p:.4f}"
