"""A setting may name a package that not everyone has: the plan says what installs it, and so does `bench doctor`."""

import json
import sys

import pytest

from bench import plan as planning
from bench.cli import data, main
from bench.config import load
from bench.plan import plan
from bench.registry import discover, installed
from bench.store import Store

COMMAND = "git clone https://example.org/no_such_package && pip install ./no_such_package"
PROTOCOL = f'''"""A protocol with two engines."""
from bench.spec import protocol


@protocol("vote", title="none", on_request=True, packages={{"no_such_package": "{COMMAND}", "json": "is there"}})
def vote(encoder, context, *, engine: str = "plain", sizes: tuple = (1, 2)):
    ...
'''
GRID = """
plugins = ["extra"]
[data]
phantom_cases = 16
[pretrain]
corpus = ["brain_tumor"]
[methods]
random_init = {}
simclr = {}
[tasks]
fgadr = { protocols = ["vote"], vote = { engine = "ENGINE" } }
"""


@pytest.fixture
def states(write_grid, tmp_path):
    """State and reason of each job, of a grid that asks for an engine."""
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "vote.py").write_text(PROTOCOL)

    def find(engine, more=""):
        grid = load(write_grid(GRID.replace("ENGINE", engine) + more))
        return {p.job.id: (p.state, p.why) for p in plan(grid, Store(grid.store))}

    return find


def test_an_engine_that_is_not_installed_blocks_its_cells_and_says_what_installs_it(states):
    found = states("no_such_package")
    assert found.keys() == {"random_init/fgadr/vote/0", "simclr/fgadr/vote/0"}  # nothing is pretrained for nothing
    for state, why in found.values():
        assert state == "blocked"
        assert why == f"needs the package `no_such_package`, which is not installed: {COMMAND}"


def test_what_another_cell_waits_for_is_pretrained(states):
    found = states("no_such_package", 'brain_tumor = { protocols = ["knn"] }\n')
    assert {job for job, (state, _) in found.items() if state == "run"} == {
        "simclr/pretrain/0", "simclr/brain_tumor/knn/0", "random_init/brain_tumor/knn/0",
    }  # fmt: skip


@pytest.mark.parametrize("engine", ["plain", "json"])
def test_an_engine_that_is_there_blocks_nothing(states, engine):
    assert {state for state, _ in states(engine).values()} == {"run"}


def test_what_is_stored_needs_no_package(states, finish, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "installed", lambda package: True)
    assert {state for state, _ in states("no_such_package").values()} == {"run"}
    grid = load(tmp_path / "bench.toml")
    job = next(p.job for p in plan(grid, Store(grid.store)) if p.job.id == "random_init/fgadr/vote/0")
    finish(job, Store(grid.store))
    monkeypatch.undo()
    found = states("no_such_package")
    assert found["random_init/fgadr/vote/0"] == ("cached", "")
    assert found["simclr/fgadr/vote/0"][0] == "blocked"


def test_of_the_shipped_protocols_the_default_engine_is_installed():
    named = {p.name: (p.info["packages"], p.settings) for p in discover().all("protocol") if p.info.get("packages")}
    assert "detect" in named
    for packages, settings in named.values():
        assert all(command.strip() for command in packages.values())
        assert not [package for package in packages if package in settings.values() and not installed(package)]


def test_whether_a_package_is_installed_is_told_without_importing_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "raises_when_imported.py").write_text("1 / 0")
    assert installed("raises_when_imported")
    assert "raises_when_imported" not in sys.modules
    assert not installed("no_such_package")


# ---------------------------------------------------------------------------------------------- bench doctor


def doctor(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "doctor", "--json"])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}, code


def test_doctor_lists_the_packages_of_protocols_which_nobody_must_have(monkeypatch, capsys):
    monkeypatch.setattr(data, "CORE", ("numpy",))
    monkeypatch.setattr(data, "EXTRA", {"no-such-package": "pip install 'medssl-bench[none]'", "pytest": "is there"})
    rows, code = doctor(monkeypatch, capsys)
    packages = {name: command for p in discover().all("protocol") for name, command in _packages(p).items()}
    assert packages.keys() | {"numpy", "no-such-package", "pytest"} < rows.keys()
    for name, command in packages.items():
        assert (rows[name]["state"], rows[name]["mend"]) in (("optional", command), ("ok", ""))
    assert rows["no-such-package"]["state"] == "optional"
    assert rows["no-such-package"]["mend"] == "pip install 'medssl-bench[none]'"
    assert (rows["pytest"]["state"], rows["pytest"]["mend"]) == ("ok", "")
    assert (rows["numpy"]["state"], code) == ("ok", 0)  # what is optional is no fault


def test_doctor_fails_where_a_package_is_missing_that_all_must_have(monkeypatch, capsys):
    monkeypatch.setattr(data, "CORE", ("no-such-package",))
    rows, code = doctor(monkeypatch, capsys)
    assert (rows["no-such-package"]["state"], rows["no-such-package"]["mend"], code) == (
        "missing", "pip install no-such-package", 1,
    )  # fmt: skip


def _packages(plugin):
    return plugin.info.get("packages") or {}
