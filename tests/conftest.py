"""What tests share: phantoms of two shipped tasks, a grid written to where a test works, and records made by hand."""

import socket
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.phantom import draw
from bench.plan import Job
from bench.registry import discover
from bench.store import Record, Store, write_scores

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
def no_network(monkeypatch) -> list[tuple[Any, ...]]:
    """Every attempt to reach another machine, none of which succeeds."""
    tried: list[tuple[Any, ...]] = []

    def refuse(*address, **_):
        tried.append(address)
        raise OSError("a test tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


@pytest.fixture
def one_thread():
    """Networks so small that more threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def write_grid(tmp_path) -> Callable[[str], Path]:
    """Write the text of a grid to tmp_path/bench.toml."""

    def write(text: str) -> Path:
        path = tmp_path / "bench.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def finish() -> Callable[..., Record]:
    """Commit a record of a job, as if it had been run: `finish(job, store, values=[1.0, 0.0], **facts)`."""
    clock = count()

    def commit(job: Job, store: Store, values: Sequence[float] = (1.0, 0.0, 1.0, 1.0), **facts: Any) -> Record:
        cases = tuple(f"case {i}" for i in range(len(values)))
        said = {
            **{"id": job.id, "key": job.key, "kind": job.kind, "parts": job.parts, "seed": job.seed},
            "method": job.method.label,
            "task": job.task.name if job.task else "",
            "protocol": job.protocol.plugin.name if job.protocol else "",
            "phantom": job.phantom,
            "data": [
                {"name": s.name, "kind": s.kind, "fingerprint": s.fingerprint, "found": s.found, "official": s.official}
                for s in job.sources
            ],
            "started": f"2026-01-01T00:00:{next(clock):06d}+00:00",
            "seconds": 1.0,
            "primary": "accuracy",
            "summary": {"accuracy": float(np.mean(values))},
        }
        scores = {"accuracy": np.array(values, np.float64)}
        return store.commit({**said, **facts}, lambda draft: write_scores(draft / "scores.csv", cases, scores))

    return commit
