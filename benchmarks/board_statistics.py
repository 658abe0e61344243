"""The statistics of a large board: 20 methods on 15 tasks with 5 seeds and 500 cases each, drawn at random.

Prints the time of all tables with their tests in every format, and of all that `bench ranks` computes and says, of
results that are in memory; and the memory it takes.

    python benchmarks/board_statistics.py            (--protocols 10: as many values as a board has of ten metrics)
"""

import argparse
import resource
import time

import numpy as np

from bench.cli.ranks import _plain
from bench.leaderboard import formats, latex, parquet
from bench.leaderboard.building import build
from bench.leaderboard.ranking import rank
from bench.leaderboard.result import Result

METHODS, TASKS, SEEDS, CASES = 20, 15, 5, 500


def drawn(protocols):
    """Methods with a skill, better or worse than that in each task; hard cases are hard for all."""
    rng, cases = np.random.default_rng(0), tuple(f"case {n}" for n in range(CASES))
    skill = rng.normal(0, 0.03, METHODS)
    for task in range(TASKS):
        hard, here = rng.normal(0, 0.15, CASES), rng.normal(0, 0.02, METHODS)
        for protocol in range(protocols):
            for method in range(METHODS):
                for seed in range(SEEDS):
                    values = (
                        0.7 + skill[method] + here[method] + rng.normal(0, 0.01) + hard + rng.normal(0, 0.05, CASES)
                    )
                    names = (f"method {method}", f"task {task}", f"protocol {protocol}")
                    yield Result(*names, seed, "done", "dice", False, CASES, CASES, cases, np.clip(values, 0, 1))


BOARDS = []


def tables(results):
    BOARDS[:] = build(results)


def written(_):
    for table in BOARDS:
        for write in (formats.markdown, formats.csv, latex.latex):
            write(table)
    formats.json(BOARDS)
    parquet.parquet(BOARDS)


def ranked(results):
    for ranking in rank(results):
        _plain(ranking)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--protocols", type=int, default=1)
    results = list(drawn(arguments.parse_args().protocols))
    print(f"{sum(len(result.values) for result in results)} values in {len(results)} results")
    for turn in ("first", "again"):
        total = 0.0
        for what, make in {"tables, tests": tables, "formats": written, "ranks": ranked}.items():
            began, cpu = time.perf_counter(), time.process_time()
            make(results)
            taken, used = time.perf_counter() - began, time.process_time() - cpu
            total += taken
            print(f"{turn}, {what}: {taken:.2f} s, {used:.2f} s of CPU")
        print(f"{turn}: {total:.2f} s (the first imports scipy)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"peak memory {peak:.0f} MB, of it the values {sum(result.values.nbytes for result in results) / 2**20:.0f} MB"
    )
    print("bar 5 s on two cores, 2048 MB")


if __name__ == "__main__":
    main()
