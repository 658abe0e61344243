"""What tests share: phantoms of the two shipped tasks, and a grid written to where a test works."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.data.phantom import draw
from bench.registry import discover

CASES = 40  # of each published part


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch):
    """A test never depends on where the machine's own data lie."""
    monkeypatch.delenv("BENCH_DATA", raising=False)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """A data root with brain_tumor/ and fgadr/ in their published layouts. Not to be changed by a test."""
    root = tmp_path_factory.mktemp("data")
    for name in ("brain_tumor", "fgadr"):
        draw(discover().get("task", name, where="tests").load(), root / name, cases=CASES)
    return root


@pytest.fixture
def write_grid(tmp_path) -> Callable[[str], Path]:
    """Write the text of a grid to tmp_path/bench.toml."""

    def write(text: str) -> Path:
        path = tmp_path / "bench.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
