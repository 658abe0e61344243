"""Where a grid's jobs run, as their records name it: device, threads, how many at a time. Imports no torch."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.config import Executor
from bench.errors import BenchError
from bench.executors import Place
from bench.store import Record


@dataclass(frozen=True)
class Machine:
    """What runs the jobs. A device that cannot be told without starting a job is empty."""

    device: str  # as in the record's environment
    threads: int
    workers: int = 1
    width: int = 1  # workers' devices that a pretraining has
    gpu: bool = False

    def ran(self, record: Record) -> bool:
        """Whether a record was made on this device, with as many threads."""
        made = record.facts.get("environment") or {}
        return bool(self.device) and (made.get("device"), made.get("threads")) == (self.device, self.threads)


def machine(executor: Executor, newest: Record | None = None) -> Machine:
    """Where an executor runs jobs. Of a cluster it is taken to be where the newest record was made."""
    if executor.kind in ("local", "inline"):
        return _this(executor)
    made = (newest.facts.get("environment") or {}) if newest else {}
    gpu = bool(executor.slurm.gpus if executor.kind == "slurm" else executor.ray.num_gpus)
    workers = executor.slurm.parallel if executor.kind == "slurm" else executor.workers or os.cpu_count() or 1
    return Machine(str(made.get("device", "")), executor.threads, workers, gpu=gpu)


def _this(executor: Executor) -> Machine:
    from bench.executors.local import Local

    try:
        local = Local(executor, Place(Path(), Path()), lambda *_: None)
    except BenchError:  # more devices than there are, of which `bench run` complains
        return Machine("", executor.threads)
    gpu = local.gpus > 0
    workers = 1 if executor.kind == "inline" else local.workers
    return Machine(_gpu_name() if gpu else cpu_name(), executor.threads, workers, local.width if gpu else 1, gpu)


def cpu_name() -> str:
    """The processor, as a reader of a record wants to know it."""
    return f"{platform.machine()} CPU, {os.cpu_count()} cores"


def _gpu_name() -> str:
    """The first GPU by the name that torch has for it too: from the driver's files, else by its tool."""
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with suppress(OSError):
            for line in file.read_text(encoding="utf-8").splitlines():
                name, _, value = line.partition(":")
                if name == "Model":
                    return value.strip()
    return next(_smi("name"), "")


def memory_mb(gpu: bool) -> int:
    """Memory of the first GPU, or of the machine; 0 where it cannot be told."""
    if gpu:
        return int(next(filter(str.isdigit, _smi("memory.total")), 0))
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return 0


def _smi(what: str) -> Iterator[str]:
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        return iter([line.strip() for line in told.splitlines()])
    return iter(())
