"""How alike methods' scores are over test cases, and how much a score spreads: what `bench published claims` assumes.

Of the records that are committed here, on real data: medians by board, task, protocol and metric. The agreement is the
correlation over test cases of two methods with one seed; the spread the standard deviation of a score over cases as a
share of the largest that its mean allows, sqrt(m (1 - m)).

    python benchmarks/agreement.py
"""

from collections.abc import Iterator
from itertools import combinations, groupby
from pathlib import Path

import numpy as np

from bench.errors import BenchError
from bench.leaderboard.result import Result
from bench.leaderboard.results import stored
from bench.store import Store

BOARDS = Path(__file__).resolve().parents[1] / "leaderboards"
METRICS = ("accuracy", "release_dice", "release_iou")


def columns() -> Iterator[tuple[str, str, list[Result]]]:
    """Board, metric, and the results of one column."""
    for runs in sorted(BOARDS.glob("*/runs")):
        for metric in METRICS:
            try:
                found = stored(Store(runs), metric)
            except BenchError:  # a board without that metric
                continue
            real = [r for r in found if r.state == "done" and not (r.phantom or r.part or r.detections)]
            for _, group in groupby(sorted(real, key=_column), key=_column):
                yield runs.parent.name, metric, list(group)


def _column(result: Result) -> tuple[str, str]:
    return result.task, result.protocol


def agreements(results: list[Result]) -> list[float]:
    """Of each pair of methods, seed by seed."""
    pairs = ((a, b) for a, b in combinations(results, 2) if a.seed == b.seed and a.cases == b.cases)
    return [np.corrcoef(a.values, b.values)[0, 1] for a, b in pairs if a.values.std() and b.values.std()]


def spread(result: Result) -> float:
    """Of one result."""
    return float(np.std(result.values, ddof=1) / np.sqrt(result.mean * (1 - result.mean)))


def main() -> None:
    print(f"{'board':14}{'task / protocol':30}{'metric':14}{'cases':>6}{'pairs':>6}{'agreement':>11}{'spread':>8}")
    for board, metric, results in columns():
        found = agreements(results)
        spreads = [spread(result) for result in results if 0 < result.mean < 1]
        if found:
            column = " / ".join(_column(results[0]))
            numbers = f"{len(results[0].cases):6}{len(found):6}{np.median(found):11.2f}{np.median(spreads):8.2f}"
            print(f"{board:14}{column:30}{metric:14}{numbers}")


if __name__ == "__main__":
    main()
