"""Are a board's intervals and claims what they say? Columns are drawn with a known truth, and boards made of them.

Scores are made as `mean + method + seed + case + method x case + rest`, through a link: a normal score, a Dice (the
logistic of one) or right and wrong (its sign). `python benchmarks/board_intervals.py [--repetitions 1000]`; each
setting is a line: how often the 95 % interval of a cell has the truth in it, and in which share of the columns any
method is said to be worse than the best though it is not: all equal, or two equal ones far above the others.
"""

import argparse
import json
import math
import time
from itertools import product

import numpy as np

from bench.leaderboard.building import build
from bench.leaderboard.result import Result

METHODS = 8
KINDS = ("normal", "dice", "accuracy")
# Seeds, patients, cases of each, and the standard deviation between seeds, to that between cases of 1.
SETTINGS = ((1, 50, 1, 0.0), (2, 50, 1, 0.1), (3, 50, 1, 0.1), (3, 50, 1, 0.4), (5, 50, 1, 0.4))
LARGER = (("normal", (1, 60, 3, 0.0)), ("normal", (3, 60, 3, 0.4)), ("accuracy", (3, 200, 1, 0.4)))


def scores(kind: str, z: np.ndarray) -> np.ndarray:
    """Scores from latent ones."""
    if kind == "dice":
        return 1 / (1 + np.exp(-1.5 - z))
    return (z > -1.2).astype(float) if kind == "accuracy" else 0.5 + z


def truths(kind: str, lead: np.ndarray, spread: float) -> np.ndarray:
    """The means over all seeds and cases, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    grid = scores(kind, lead[:, None] + spread * nodes)
    if kind == "accuracy":
        return np.array([0.5 * math.erfc(-(1.2 + x) / spread / math.sqrt(2)) for x in lead])
    return grid @ weights / weights.sum()


def column(
    kind: str, lead: np.ndarray, seeds: int, units: int, per_unit: int, seed_sd: float, draws: np.random.Generator
) -> tuple[list[Result], np.ndarray]:
    """The results of one column, and the true mean of each method."""
    cases, parts = units * per_unit, (seed_sd, 1.0, 0.5, 0.5)
    patient = np.repeat(draws.normal(size=units), per_unit)
    shared = patient if per_unit == 1 else (patient + draws.normal(size=cases)) / math.sqrt(2)
    z = (
        lead[:, None, None]
        + parts[0] * draws.normal(size=(METHODS, seeds, 1))
        + parts[1] * shared
        + parts[2] * draws.normal(size=(METHODS, 1, cases))
        + parts[3] * draws.normal(size=(METHODS, seeds, cases))
    )
    names = tuple(f"case{number}" for number in range(cases))
    patients = tuple(f"patient{number // per_unit}" for number in range(cases)) if per_unit > 1 else ()
    results = [
        Result(
            method=f"m{m}", task="t", protocol="p", seed=s, state="done", metric="x", phantom=False, found=0,
            official=0, cases=names, values=values, patients=patients,
        )
        for m, of in enumerate(scores(kind, z))
        for s, values in enumerate(of)
    ]  # fmt: skip
    return results, truths(kind, lead, math.hypot(*parts))


def measure(kind: str, seeds: int, units: int, per_unit: int, seed_sd: float, repetitions: int) -> dict[str, object]:
    """Coverage over all cells, and the two shares of columns with a false claim."""
    draws = np.random.default_rng([KINDS.index(kind), seeds, units, per_unit, round(100 * seed_sd)])
    equal, two = np.zeros(METHODS), np.where(np.arange(METHODS) < 2, 0.0, -1.5)
    covered, false, widths = list[bool](), {"all equal": 0, "two ahead": 0}, list[float]()
    for _ in range(repetitions):
        for name, lead in (("all equal", equal), ("two ahead", two)):
            results, truth = column(kind, lead, seeds, units, per_unit, seed_sd, draws)
            (table,) = build(results)
            cells = [row.cells[0] for row in table.rows]
            best = truth >= truth.max() - 1e-12
            false[name] += any(top and not cell.alike for top, cell in zip(best, cells, strict=True))
            if name == "all equal":
                covered += [cell.low <= of <= cell.high for cell, of in zip(cells, truth, strict=True)]
                widths += [cell.high - cell.low for cell in cells]
    return {
        **{"scores": kind, "seeds": seeds, "patients": units, "cases": units * per_unit, "seed_sd": seed_sd},
        **{"covered_percent": round(100 * float(np.mean(covered)), 1), "width": round(float(np.median(widths)), 4)},
        **{f"false_{k.replace(' ', '_')}_percent": round(100 * n / repetitions, 1) for k, n in false.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    repetitions, start = parser.parse_args().repetitions, time.perf_counter()
    for kind, setting in [*product(KINDS, SETTINGS), *LARGER]:
        print(json.dumps(measure(kind, *setting, repetitions)), flush=True)
    print(json.dumps({"minutes": round((time.perf_counter() - start) / 60, 1), "repetitions": repetitions}))


if __name__ == "__main__":
    main()
