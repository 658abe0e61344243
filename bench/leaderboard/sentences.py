"""What is said of printed rows: whose they are, how far they are from what was measured, what their wins are worth."""

from collections.abc import Sequence

from bench.leaderboard.beside import Beside, Difference
from bench.leaderboard.names import Scale, scale_of
from bench.leaderboard.outperformance import Claim, assumed
from bench.leaderboard.table import Table

LEAST = 0.001  # probabilities below it are not told apart


def sources(table: Table, beside: Beside) -> list[str]:
    """A sentence for each source, with the mark of its rows."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for (row, _), of in beside.cells.items():
        found.setdefault((table.rows[row].method.partition(" ")[0], of.source), {})[of.table] = None
    return [
        f"{mark}: printed in {source} (table{'s' * (len(of) > 1)} {', '.join(of)}), not measured here; ± as printed; "
        "in no best, mean or rank"
        for (mark, source), of in found.items()
    ]


def differences(beside: Beside) -> list[str]:
    """A sentence for each measured row and each printed row of its method: the differences, and what is not alike."""
    pairs: dict[tuple[str, str, str], list[Difference]] = {}
    for one in beside.differences:
        pairs.setdefault((one.method, one.printed.name, one.printed.source), []).append(one)
    return [
        f"{method} here minus {name} in {source}: "
        + ", ".join(f"{_column(one)} {amount(one.value, one.column.scale)}" for one in of)
        + f"; {_apart(of)}"
        for (method, name, source), of in pairs.items()
    ]


def _apart(of: Sequence[Difference]) -> str:
    """In what the two differ, with the columns where it is not in all of them."""
    reasons = dict.fromkeys(why for one in of for why in one.differs)
    said = []
    for why in reasons:
        columns = [_column(one) for one in of if why in one.differs]
        said.append(why if len(columns) == len(of) else f"{why} ({', '.join(columns)})")
    return f"not alike: {'; '.join(said)}" if said else "alike in weights, backbone, data and test cases"


def _column(one: Difference) -> str:
    return f"{one.column.task} / {one.column.protocol}"


def wins(beside: Beside) -> list[str]:
    """A sentence for each win that is printed in these columns, and one for what they assume."""
    return [*map(win, beside.claims), *([assumed(beside.agreement, beside.spread)] if beside.claims else [])]


def win(claim: Claim) -> str:
    """How likely it is that a printed win is none, in a sentence."""
    first, by = claim.first, amount(claim.difference, scale_of(claim.first.metric)).lstrip("+")
    over = f"{' / '.join(first.column)} in table {first.table} of {first.source}: {first.name} over {claim.second.name}"
    if claim.probability is None:
        return f"{over} by {by}: no probability, since {claim.why}"
    sign = "" if claim.probability < LEAST else "= "
    return f"{over} by {by} on {claim.cases} cases: P(no better) {sign}{chance(claim.probability)}"


def chance(probability: float) -> str:
    """A probability as readers are shown it."""
    return f"< {LEAST}" if probability < LEAST else f"{probability:.3f}"


def amount(value: float, scale: Scale) -> str:
    """A difference, with its sign and unit."""
    unit = "points" if scale.unit == "%" else scale.unit
    return f"{scale.factor * value:+z.{scale.decimals}f} {unit}".rstrip()
