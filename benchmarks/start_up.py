"""How fast the command line answers: help, a plan of 1500 stored cells, and a run with nothing to do.

python benchmarks/start_up.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.config import load
from bench.plan import plan
from bench.store import Store, write_scores

GRID = """
[bench]
name = "many"
seeds = [0, 1, 2]
[pretrain]
corpus = ["brain_tumor", "fgadr"]
[tasks]
brain_tumor = {}
fgadr = {}
[methods]
""" + "\n".join(f'"entry {i}" = {{ plugin = "simclr", temperature = {0.1 + i / 100} }}' for i in range(50))


def stored(folder):
    """A grid of 50 entries x 10 columns x 3 seeds, every job of it with a record of 200 cases."""
    path = Path(folder) / "bench.toml"
    path.write_text(GRID)
    grid = load(path)
    store = Store(grid.store)
    cases = [f"case {i}" for i in range(200)]
    for planned in plan(grid, store):
        job = planned.job
        facts = {"id": job.id, "key": job.key, "kind": job.kind, "parts": job.parts, "started": ""}
        store.commit(facts, lambda draft: write_scores(draft / "scores.csv", cases, {"accuracy": [0.5] * 200}))
    return path, sum(p.job.kind == "evaluate" for p in plan(grid, Store(grid.store)))


def seconds(*command):
    """Median wall time of five runs after one."""
    times = []
    for _ in range(6):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "bench", *command], capture_output=True, text=True, check=False)
        times.append(time.perf_counter() - began)
        if done.returncode:
            raise SystemExit(f"{command}: {done.stderr}")
    return median(times[1:])


def main():
    with tempfile.TemporaryDirectory() as folder:
        grid, cells = stored(folder)
        start = seconds("--help")
        print(f"bench --help: {start:.2f} s")
        for name in ("plan", "run"):
            took = seconds(name, str(grid), "--json")
            print(f"bench {name}, {cells} cells, all cached: {took:.2f} s, {took - start:.2f} s beyond start-up")


if __name__ == "__main__":
    main()
