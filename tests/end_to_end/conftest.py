"""The command line, called in the process of the test, and a page of a board in a real browser."""

import json
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from bench.cli import main
from bench.keys import digest
from bench.leaderboard.building import build
from bench.leaderboard.page import page
from bench.leaderboard.ranking import rank
from bench.leaderboard.result import Result
from bench.store import Record

SPEC = spec_from_file_location("browser", Path(__file__).parents[2] / "benchmarks" / "browser.py")
driver = module_from_spec(SPEC)
SPEC.loader.exec_module(driver)


@pytest.fixture
def bench(monkeypatch, capsys):
    """Call the command in this process: what it printed, or, with the code 2, what it complained of."""

    def call(*words: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert (end.value.code or 0) == code, out + err
        return err if code == 2 else out

    return call


# ---------------------------------------------------------------------------------------------- the page of a board

FLOOR, OURS = "supervised", "SSL on medical images"
METHODS = {"random_init": (FLOOR, 0.60), "simclr": (OURS, 0.70), "byol": (OURS, 0.65), "lvm_med": (OURS, 0.80)}
TASKS = {
    **{"kvasir": "2D segmentation", "isic2018": "2D segmentation", "jsrt": "2D segmentation"},
    **{"acdc": "3D segmentation"},
}
SCRIPT, IMAGE = "<script>alert(1)</script>", '"><img src=x onerror=alert(2)>'
HOSTILE = (SCRIPT, IMAGE, "</script><script>alert(3)</script>", "=cmd|'/c calc'!A1", "__proto__")


def drawn(method, skill, group, task, family, seed, protocol="finetune", **more):
    rng = np.random.default_rng([seed, len(method), len(task)])
    values = np.clip(skill + rng.normal(0, 0.1, 300), 0, 1)
    found = 200 if task == "acdc" else 300
    said = {"metric": "dice", "phantom": False, "found": found, "official": 300, "group": group, "family": family}
    cases = tuple(f"case {n}" for n in range(300))
    key = digest([method, task, protocol, seed])
    return Result(method, task, protocol, seed, "done", cases=cases, values=values, record=key, **{**said, **more})


def recorded(result):
    device = "another CPU" if result.phantom and result.method == "simclr" else "one CPU"
    encoder = {"kind": "encoder", "method": {"plugin": "simclr", "settings": {"temperature": 0.1}}, "seed": result.seed}
    facts = {
        **{"id": result.name, "kind": "evaluate", "method": result.method, "task": result.task, "seed": result.seed},
        **{"protocol": result.protocol, "phantom": result.phantom, "started": "2026-11-01T00:00:00+00:00"},
        **{"seconds": 60.0 * (1 + len(result.method)), "summary": {"dice": result.mean, "iou": 0.5}},
        **{"environment": {"torch": "2.15.0", "device": device}, "files": {"scores.csv": "f" * 64}},
        **{"data": [{"name": result.task, "found": result.found, "official": result.official}]},
    }
    return Record(result.name, result.record, {"encoder": encoder, "protocol": {"name": "finetune"}}, facts, Path())


def written(folder, results):
    file = folder / "board.html"
    file.write_text(page(build(results), results, list(map(recorded, results)), rank(results)), encoding="utf-8")
    return f"file://{file}"


@pytest.fixture(scope="session")
def usual(tmp_path_factory):
    """Four methods in two groups, four tasks in two families, the last in part; phantoms on two devices."""
    results = [
        drawn(method, skill, group, task, family, seed)
        for method, (group, skill) in METHODS.items()
        for task, family in TASKS.items()
        for seed in (0, 1, 2)
    ]
    results += [drawn(m, skill, group, "kvasir", TASKS["kvasir"], 0, "frozen") for m, (group, skill) in METHODS.items()]
    results += [replace(result, phantom=True, record=digest(result.name)) for result in results[:24]]
    return written(tmp_path_factory.mktemp("usual"), results)


@pytest.fixture(scope="session")
def names():
    """Of methods that would like to be markup, or a formula, or a property of every object."""
    return HOSTILE


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """A board of such names alone."""
    results = [
        drawn(name, 0.5 + n / 20, SCRIPT if n % 2 else IMAGE, task, IMAGE if n % 2 else task, seed)
        for n, name in enumerate(HOSTILE)
        for task in (SCRIPT, "b" * 60)
        for seed in (0, 1)
    ]
    results = [replace(result, family=IMAGE) for result in results]
    return written(tmp_path_factory.mktemp("hostile"), results)


class Board(driver.Browser):
    """A browser that shows a board's page; scripts name its elements."""

    @staticmethod
    def head(task):
        return f"[...document.querySelectorAll('table.results thead th')].find(h => h.textContent.startsWith('{task}'))"

    @staticmethod
    def line(method):
        return (
            "[...document.querySelectorAll('section.board:not([hidden]) tr[data-row]')]"
            f".find(line => line.querySelector('.method').textContent == {json.dumps(method)})"
        )

    @classmethod
    def cell(cls, method, column=0):
        return f"{cls.line(method)}.querySelector('td[data-column=\"{column}\"] button.cell')"

    def rows(self):
        """The methods that are seen, from the top."""
        return self.run(
            "[...document.querySelectorAll('section.board:not([hidden]) tbody:not([hidden]) "
            "tr[data-row]:not([hidden])')].map(line => line.querySelector('.method').textContent)"
        )

    def columns(self):
        """The tasks of the columns that are seen."""
        return self.run(
            "[...document.querySelectorAll('section.board:not([hidden]) .results th[data-column]:not([hidden])')]"
            ".map(head => head.querySelector('.task').textContent)"
        )

    def tick(self, label, *names):
        """Boxes of a menu, by mouse; then close it."""
        found = f".find(e => e.textContent.trim() == {json.dumps(label)})"
        self.click(f"[...document.querySelectorAll('details.menu > summary')]{found}")
        for name in names:
            found = f".find(e => e.textContent == {json.dumps(name)})"
            self.click(f"[...document.querySelectorAll('details[open] label')]{found}")
        self.press("Escape")

    def close(self):
        """The dialog, by keyboard."""
        self.press("Escape")
        self.wait("!document.querySelector('dialog')")

    def focus(self):
        """The name of what has it."""
        return self.run("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")


@pytest.fixture(scope="session")
def started():
    if not (program := driver.found()):
        pytest.skip("no chromium: apt-get install chromium")
    with Board(program) as browser:
        yield browser


@pytest.fixture
def browser(started):
    """The browser, 1400 pixels wide; in the end it has met no error, no dialog and no network."""
    started.size(1400, 900)
    started.media(prefers_color_scheme="light")
    yield started
    said = [event for event in started.events if event["method"] in driver.TROUBLE]
    assert said == []
    sent = [e["params"]["request"]["url"] for e in started.events if e["method"] == "Network.requestWillBeSent"]
    assert [url.partition("#")[0] for url in sent if not url.startswith(("file:", "about:"))] == []
