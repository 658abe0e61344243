"""What is installed: one top-level name, every plug-in, and the files that are no Python."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def test_the_list_of_packages_is_what_is_on_disk():
    folders = {f.parent.relative_to(ROOT) for f in (ROOT / "bench").rglob("*.py")} | {Path("methods"), Path("tasks")}
    names = {path.as_posix().replace("/", ".") for path in folders}
    code = {f"bench.{n}" if n in ("methods", "tasks") else n for n in names}
    assert set(SETUPTOOLS["packages"]) == code | {"bench.published"}
    assert len(SETUPTOOLS["packages"]) == len(set(SETUPTOOLS["packages"]))
    assert all((ROOT / path / "__init__.py").is_file() for path in folders)
    assert SETUPTOOLS["package-dir"] == {
        **{"bench.methods": "methods", "bench.tasks": "tasks"},
        "bench.published": "leaderboards/published",
    }


def test_the_command_is_the_one_that_is_documented():
    assert PROJECT["project"]["scripts"] == {"bench": "bench.cli:main"}
    assert PROJECT["project"]["name"] == "medssl-bench"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of the tree, so that nothing is left in it."""
    missing = [name for name in ("build", "setuptools") if find_spec(name) is None]
    if missing:
        pytest.skip(f"a wheel is built with {' and '.join(missing)}: pip install {' '.join(missing)}")
    tree = tmp_path_factory.mktemp("tree")
    for name in ("bench", "methods", "tasks", "leaderboards/published"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "bench.toml"):
        shutil.copy(ROOT / name, tree)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tree / "out"), str(tree)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (tree / "out").iterdir()
    return found


def test_the_wheel_holds_bench_alone_and_all_of_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bench"}
    assert {"bench/methods/simclr.py", "bench/tasks/fgadr.py", "bench/cli/new_method.txt"} <= names
    files = [f.relative_to(ROOT) for f in (ROOT / "bench").rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    files += [Path("bench") / f.relative_to(ROOT) for d in ("methods", "tasks") for f in (ROOT / d).glob("*.py")]
    files += [Path("bench/published") / f.name for f in (ROOT / "leaderboards/published").glob("*.csv")]
    assert {name for name in names if name.startswith("bench/")} == {file.as_posix() for file in files}


def test_what_is_installed_finds_its_plugins_without_a_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    (tmp_path / "elsewhere").mkdir()
    code = (
        "import bench; from bench.registry import discover;"
        "print(bench.__file__, *sorted((p.kind, p.name, p.error) for p in discover().plugins), sep='\\n')"
    )

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
            cwd=tmp_path / "elsewhere",
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where, *found = run("-c", code).splitlines()
    assert where == str(tmp_path / "site" / "bench" / "__init__.py")
    assert "('method', 'simclr', '')" in found
    assert "('task', 'fgadr', '')" in found
    assert [line for line in found if not line.endswith(" '')")] == []
    assert "lvm_med_2023" in run("-m", "bench", "published", "ls", "--json")
    (tmp_path / "elsewhere" / "methods").mkdir()
    assert "bench check mine" in run("-m", "bench", "new", "method", "mine")
    assert (tmp_path / "elsewhere" / "methods" / "mine.py").is_file()
