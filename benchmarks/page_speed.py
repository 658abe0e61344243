"""The page of a large board, with all its records: how large it is, and how soon it answers in a browser.

20 methods on 15 tasks with 5 seeds and 500 cases each. Prints the time it takes to write, its size, and of several
openings from disk the time from the start of the navigation until the table answers and until all charts are drawn;
then the time of a click on a head and on a cell, until the next frame is on the screen.

    python benchmarks/page_speed.py --keep board.html
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from board_statistics import drawn
from browser import Browser, found

from bench.keys import digest
from bench.leaderboard.building import build
from bench.leaderboard.page import page
from bench.leaderboard.ranking import rank
from bench.store import Record

OPENINGS = 7
FAMILIES = ("classification", "2D segmentation", "3D segmentation")
GROUPS = ("supervised", "SSL on medical images", "foundation models")
ENVIRONMENT = {
    **{"bench": "0.1.0", "commit": "0" * 40, "device": "NVIDIA H100", "python": "3.11.7", "system": "Linux"},
    **dict.fromkeys(("lightly", "numpy", "pillow", "timm", "torch", "torchvision"), "1.2.3"),
}
RECIPE = {
    **{"backbone": "resnet50", "batch_size": 64, "epochs": 100, "image_size": 224, "lr": 0.001, "optimizer": "adamw"},
    **{"precision": "auto", "schedule": "cosine", "warmup_epochs": 10.0, "weight_decay": 0.0001, "init": "random"},
}


def encoder(result):
    method = {"plugin": result.method, "settings": {"dim": 128, "hidden": 2048, "temperature": 0.1}, "source": "a" * 16}
    return {"kind": "encoder", "engine": 1, "method": method, "recipe": RECIPE, "seed": result.seed}


def recorded(result):
    """A record as large as a real one."""
    protocol = {"name": result.protocol, "settings": {"batch_size": 16, "epochs": 30, "lr": 0.001}, "source": "b" * 16}
    parts = {"encoder": encoder(result), "protocol": protocol, "task": {"name": result.task, "data": "c" * 32}}
    data = {"fingerprint": "d" * 32, "found": 500, "kind": "real", "name": result.task, "official": 500}
    facts = {
        **{"id": result.name, "kind": "evaluate", "method": result.method, "task": result.task, "seed": result.seed},
        **{"protocol": result.protocol, "phantom": False, "started": f"2026-01-{1 + result.seed:02d}T00:00:00+00:00"},
        **{"seconds": 100.0 + len(result.method), "peak_memory_mb": 5000, "environment": ENVIRONMENT, "data": [data]},
        "summary": dict.fromkeys(("dice", "dice_organ", "iou", "iou_organ", "release_dice"), result.mean),
        "files": {name: digest([result.name, name]) * 2 for name in ("predictions.npz", "scores.csv")},
        **{"cases": {"train": 2000, "val": 500, "test": 500}, "chosen": {"epoch": 12, "val_dice": result.mean}},
    }
    return Record(result.name, result.record, parts, facts, Path())


def pretrained(result):
    parts, name = encoder(result), f"{result.method}/pretrain/{result.seed}"
    history = {key: [result.mean / (1 + n) for n in range(100)] for key in ("loss", "effective_rank", "embedding_std")}
    facts = {
        **{"id": name, "kind": "pretrain", "method": result.method, "task": "", "protocol": "", "seed": result.seed},
        **{"started": "2026-01-01T00:00:00+00:00", "seconds": 3600.0 * (1 + int(result.method.split()[1]))},
        **{"images_per_second": 1000.0, "environment": ENVIRONMENT, "history": history, "phantom": False},
    }
    return Record(name, digest(parts), parts, facts, Path())


def board():
    """Results in groups and families, and the records behind them."""
    results = []
    for result in drawn(1):
        group, family = GROUPS[int(result.method.split()[1]) % 3], FAMILIES[int(result.task.split()[1]) % 3]
        results.append(replace(result, record=digest(result.name), group=group, family=family))
    return results, [*map(recorded, results), *(pretrained(r) for r in results if r.task == "task 0")]


def written():
    began = time.perf_counter()
    results, records = board()
    print(f"{sum(len(result.values) for result in results)} values, {len(records)} records")
    tables = build(results)
    print(f"tables: {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    rankings = rank(results)
    print(f"rankings: {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    text = page(tables, results, records, rankings)
    print(f"page: {time.perf_counter() - began:.2f} s, {len(text.encode()) / 1e6:.2f} MB (bar 5 MB)")
    return text


FRAME = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"


def opened(browser, address):
    """Milliseconds from the start of the navigation: the table answers, and all is drawn; then of two clicks."""
    browser.open(address)
    marks = dict(browser.run("performance.getEntriesByType('mark').map(mark => [mark.name, mark.startTime])"))
    head = "document.querySelector('table.results th[data-column] button')"
    cell = "document.querySelector('table.results button.cell')"
    clicks = [
        browser.run(
            f"(async () => {{ const began = performance.now(); {what}.click(); await {FRAME}; "
            "return performance.now() - began; })()"
        )
        for what in (head, cell)
    ]
    assert browser.run("document.querySelector('th[aria-sort]') && document.querySelector('dialog h2')") is not None
    return marks["table ready"], marks["charts ready"], *clicks


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--keep", type=Path, help="where to keep the page")
    keep = arguments.parse_args().keep
    with tempfile.TemporaryDirectory() as folder:
        file = keep.resolve() if keep else Path(folder) / "board.html"
        file.write_text(written(), encoding="utf-8")
        if not (program := found()):
            raise SystemExit("no chromium: apt-get install chromium")
        with Browser(program) as browser:
            times = [opened(browser, f"file://{file}") for _ in range(OPENINGS)]
    for what, each in zip(
        ("table answers", "charts drawn", "sorted", "cell opened"), zip(*times, strict=True), strict=True
    ):
        print(f"{what}: {statistics.median(each):.0f} ms ({min(each):.0f} to {max(each):.0f}, {OPENINGS} openings)")
    print("bar: interactive within 1000 ms")


if __name__ == "__main__":
    main()
