"""Runs that are killed at a random moment and started again, until they end: is the end what it would have been?

    python benchmarks/killed_runs.py [--runs 50] [--seed 0] [--kill group worker ray]

Each run is of a small grid on phantoms. `group` kills every process of the run, `worker` one that has a job, `ray` all
processes of a local Ray. Compared with a run that nobody disturbed: every score, prediction and weight to the byte,
every record but for what a clock, a process or a machine's load says, and the board. From the logs: whether a job was
done twice. From the checkpoints: how old the last one was when its pretraining was killed.
"""

import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BENCH = Path(sys.executable).with_name("bench")
INTERVAL = 1.2  # seconds between two checkpoints
GRID = """
[bench]
seeds = [0]
[pretrain]
corpus = ["brain_tumor", "fgadr"]
backbone = "resnet10t"
image_size = 32
epochs = 12
batch_size = 16
checkpoint_minutes = 0.02
[methods]
random_init = {{}}
simclr = {{ hidden = 32, dim = 16 }}
[tasks]
brain_tumor = {{ protocols = ["linear", "finetune"], finetune = {{ epochs = 4 }} }}
[executor]
kind = "{kind}"
workers = 2
retries = 4  # a job may be hit each time that a worker is
device = "cpu"
"""
# What a record says of how it came about, which differs from one run to the next.
OF_THE_MOMENT = ("started", "seconds", "images_per_second", "peak_memory_mb", "environment")


def environment(data: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_DATA": str(data)}


def lay(folder: Path, kind: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "bench.toml").write_text(GRID.format(kind=kind))
    return folder


def begin(folder: Path, data: Path) -> "subprocess.Popen[str]":
    with (folder / "out.txt").open("a") as out:
        return subprocess.Popen(
            [BENCH, "run"], cwd=folder, env=environment(data), start_new_session=True, stdout=out, stderr=out, text=True
        )


def outcome(folder: Path, data: Path) -> dict[str, object]:
    """Everything that a run leaves and that is a result."""
    found: dict[str, object] = {}
    for record in (folder / "runs" / "jobs").iterdir():
        if record.name.startswith("."):
            continue
        facts = json.loads((record / "record.json").read_text())
        found[facts["id"]] = {key: value for key, value in facts.items() if key not in OF_THE_MOMENT}
        for file in record.iterdir():
            if file.name != "record.json":
                found[f"{facts['id']}: {file.name}"] = file.read_bytes()
    for form in ("md", "tex", "csv"):
        asked = [BENCH, "leaderboard", "--format", {"tex": "latex"}.get(form, form)]
        found[form] = subprocess.run(asked, cwd=folder, env=environment(data), capture_output=True, check=True).stdout
    return found


def repeated(folder: Path) -> list[str]:
    """Jobs that were done more than once, by their logs."""
    logs = (folder / "runs" / "logs").glob("[0-9a-f]*.log")  # not that of Ray
    return [log.stem for log in logs if len(re.findall(r"^\S+ done$", log.read_text(), re.MULTILINE)) != 1]


def begun(folder: Path) -> dict[str, tuple[int, float]]:
    """Jobs under way: their processes, and seconds since the last checkpoint, or the first step after a start."""
    found = {}
    for path in (folder / "runs" / "claims").glob("*.json"):
        try:
            told = json.loads(path.read_text())
            state = folder / "runs" / "partial" / path.stem / "state.pt"
            saved = state.stat().st_mtime if state.exists() else 0.0
            found[told["id"]] = (told["pid"], time.time() - max(saved, first_step(folder, path.stem)))
        except (OSError, ValueError):
            continue
    return found


def first_step(folder: Path, key: str) -> float:
    """When the attempt that is under way made its first step, by its log, to a second; now, if it has not."""
    log = (folder / "runs" / "logs" / f"{key}.log").read_text().rpartition(" begun ")[2]
    steps = re.findall(r"^(\S+) \d+ of \d+ images$", log, re.MULTILINE)
    return datetime.fromisoformat(steps[0]).timestamp() if steps else time.time()


def descendants(pid: int) -> list[int]:
    """A process and all below it, and what Ray started for it in sessions of its own."""
    lines = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout.split("\n")[1:]
    parents = {int(a): int(b) for a, b in (line.split() for line in lines if line.strip())}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def kill(process: "subprocess.Popen[str]", how: str, under: dict[str, tuple[int, float]], draw: random.Random) -> bool:
    """Kill the run, one of its workers or its Ray; whether there was anything to kill."""
    if how == "group":
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    pids = [pid for pid, _ in under.values()] if how == "worker" else descendants(process.pid)[1:]
    for pid in [draw.choice(pids)] if how == "worker" and pids else pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(pids)


def disturbed(folder: Path, data: Path, how: str, length: float, draw: random.Random) -> tuple[int, int, list[float]]:
    """Kill a run up to three times; starts that it took, kills, and ages of checkpoints at each kill."""
    starts, ages, kills, left = 0, [], 0, draw.randint(1, 3)
    while True:
        process, starts = begin(folder, data), starts + 1
        while left and process.poll() is None:
            deadline = time.monotonic() + draw.uniform(0.1, 0.7) * length
            while time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.02)
            under = begun(folder)
            if process.poll() is None:
                ages += [age for name, (_, age) in under.items() if "/pretrain/" in name]
                hit = kill(process, how, under, draw)
                kills, left = kills + hit, left - hit
            if how != "worker":
                break
        code = process.wait(timeout=600)
        if code == 0:
            return starts, kills, ages
        assert starts < 10, (folder / "out.txt").read_text()[-3000:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kill", nargs="+", default=["group", "worker", "ray"], choices=["group", "worker", "ray"])
    asked = parser.parse_args()
    draw, ages, wrong = random.Random(asked.seed), [], []
    with tempfile.TemporaryDirectory() as base:
        data = Path(base) / "data"
        from bench.data.phantom import draw as draw_phantom
        from bench.registry import discover

        for name in ("brain_tumor", "fgadr"):
            draw_phantom(discover().get("task", name, where="here").load(), data / name, cases=40)
        references, lengths = {}, {}
        for kind in {"ray" if how == "ray" else "local" for how in asked.kill}:
            folder, began = lay(Path(base) / f"reference-{kind}", kind), time.monotonic()
            assert begin(folder, data).wait() == 0, (folder / "out.txt").read_text()[-3000:]
            references[kind], lengths[kind] = outcome(folder, data), time.monotonic() - began
        assert len({json.dumps(sorted(r)) for r in references.values()}) == 1
        first = next(iter(references.values()))
        assert all(reference == first for reference in references.values()), "the executors differ"
        for number in range(asked.runs):
            how = asked.kill[number % len(asked.kill)]
            kind = "ray" if how == "ray" else "local"
            folder = lay(Path(base) / f"run-{number}", kind)
            starts, kills, seen = disturbed(folder, data, how, lengths[kind], draw)
            while not kills:  # it was quicker than we were
                folder = lay(Path(base) / f"run-{number}-{draw.random()}", kind)
                starts, kills, seen = disturbed(folder, data, how, lengths[kind], draw)
            found = outcome(folder, data)
            bad = [key for key in {*found, *first} if found.get(key) != first.get(key)]
            twice = repeated(folder)
            ages += seen
            wrong += [number] if bad or twice else []
            said = f"differ: {bad or 'nothing'}; done twice: {twice or 'none'}"
            oldest = max(seen, default=0.0)
            print(
                f"{number:3} {how:6} {kills} kills, {starts} starts; {said}; oldest checkpoint {oldest:.1f} s",
                flush=True,
            )
    print(f"{asked.runs} runs, {len(wrong)} wrong; {len(ages)} pretrainings killed, their last checkpoints"
          f" {statistics.median(ages or [0.0]):.1f} s old in the median, {max(ages, default=0.0):.1f} s at most;"
          f" one is due every {INTERVAL} s")  # fmt: skip
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
