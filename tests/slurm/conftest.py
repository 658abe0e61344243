"""A real Slurm of one machine, where it can be started (see start.sh), and a small grid to run on it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
import torch

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
BENCH = Path(sys.executable).with_name("bench")
START = Path(__file__).with_name("start.sh")
CANNOT = 77  # start.sh ends with it where Slurm is not installed or we are not root


@dataclass(frozen=True)
class Slurm:
    """A Slurm that runs: its commands find it by $SLURM_CONF, which is set while tests run."""

    conf: Path
    node: str = "node1"
    partition: str = "main"  # the default; its jobs preempt those of the other
    preempted: str = "low"

    @property
    def folder(self) -> Path:
        """Where the logs of its daemons lie."""
        return self.conf.parent

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints, which has to succeed."""
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A Slurm with four CPUs and two GPUs, whatever the machine has, so that jobs run side by side. Tests that need
    it are skipped where it cannot be started. Each process of pytest has its own.
    """
    with pytest.MonkeyPatch.context() as patch:
        # Inside a job of another Slurm, or where one is configured, commands would take options from these.
        for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_", "SQUEUE_", "SINFO_"))]:
            patch.delenv(name)
        done = subprocess.run(
            [START, "start", "--cpus", "4", "--gpus", "2"], capture_output=True, text=True, timeout=120
        )
        if done.returncode == CANNOT:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        conf = Path(done.stdout.removeprefix("export SLURM_CONF=").strip())
        try:
            patch.setenv("SLURM_CONF", str(conf))
            running = Slurm(conf)
            assert running.ask("sinfo", "--noheader", "--format=%P %N %t") == "main* node1 idle\nlow node1 idle"
            yield running
        finally:
            subprocess.run([START, "stop", conf.parent], check=True, timeout=120)


GRID = """
[bench]
seeds = [0]
[data]
missing = "error"
[pretrain]
corpus = ["brain_tumor", "fgadr"]
backbone = "resnet10t"
image_size = 32
epochs = 8
batch_size = 16
checkpoint_minutes = 0
[methods]
random_init = {}
simclr = { hidden = 32, dim = 16 }
[tasks]
brain_tumor = { protocols = ["knn"] }
[executor]
device = "cpu"
"""
PRETRAINING = "simclr/pretrain/0"
STEPS = 24  # 28 + 32 training images make 3 batches an epoch


@dataclass(frozen=True)
class Small:
    """A grid of three jobs, a pretraining and two cells, in a folder of its own, and the command line over it."""

    folder: Path
    environment: dict[str, str]

    def of(self, executor: str) -> "Small":
        """Another executor."""
        (self.folder / "bench.toml").write_text(GRID + executor)
        return self

    def bench(self, *words: str, code: int = 0) -> str:
        """What a command prints, which has to end with that code."""
        done = subprocess.run(
            [BENCH, *words], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def begun(self, *words: str) -> "Iterator[subprocess.Popen[str]]":
        """`bench run` in a process group of its own, as a terminal's shell has it."""
        process = subprocess.Popen(
            [BENCH, "run", *words],
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def step(self) -> int:
        """That of the pretraining's checkpoint; 0 where there is none."""
        try:
            (path,) = (self.folder / "runs" / "partial").glob("*/state.pt")
            return int(torch.load(path, weights_only=True)["step"])
        except (ValueError, FileNotFoundError):
            return 0

    def wait_for_step(self, step: int) -> int:
        """Wait until the checkpoint is of that step or a later one."""
        return until(lambda: reached if (reached := self.step()) >= step else 0)

    def wait_for_attempt(self, number: int) -> None:
        """Wait until the pretraining was begun that often."""
        until(lambda: self.attempts().get(PRETRAINING, 0) >= number)

    def signal(self, number: int) -> None:
        """Send a signal to the process that has the pretraining."""
        claims = [json.loads(path.read_text()) for path in (self.folder / "runs" / "claims").glob("*.json")]
        (process,) = [claim["pid"] for claim in claims if claim["id"] == PRETRAINING]
        os.kill(process, number)

    def attempts(self) -> dict[str, int]:
        """How often each job was begun."""
        logs = [path.read_text() for path in (self.folder / "runs" / "logs").glob("*.log")]
        return Counter(name for log in logs for name in re.findall(r"begun (\S+) by", log))

    def results(self) -> dict[tuple[str, str], bytes]:
        """The bytes of all that is a result."""
        found = {}
        for record in (self.folder / "runs" / "jobs").iterdir():
            name = json.loads((record / "record.json").read_text())["id"]
            for kind in ("scores.csv", "encoder.safetensors"):
                if (record / kind).exists():
                    found[name, kind] = (record / kind).read_bytes()
        return found


def until(met: Callable[[], T], seconds: float = 120) -> T:
    """What is true once something is met."""
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.fixture
def small(tmp_path: Path, phantoms: Path) -> Small:
    """A grid that nothing was run of yet."""
    return Small(tmp_path, {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_DATA": str(phantoms)})


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, phantoms: Path) -> dict[tuple[str, str], bytes]:
    """The results of the grid by the plainest executor."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_DATA": str(phantoms)}
    grid = Small(tmp_path_factory.mktemp("plain"), environment).of('kind = "inline"')
    grid.bench("run")
    return grid.results()
