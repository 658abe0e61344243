"""What runs have in a cluster's queue, kept in the store, for a run may be killed while its jobs wait or go on.

slurm/<run>/jobs.json    whose run it is, and the job of the cluster for each key
slurm/<run>/...          what submitit hands to jobs and back, and their logs
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.claims import born, machine
from bench.files import write_whole
from bench.store import Store

FILE = "jobs.json"


@dataclass
class Run:
    """A run's part of the queue."""

    folder: Path
    cluster: str
    host: str = field(default_factory=socket.gethostname)
    machine: str = field(default_factory=machine)
    pid: int = field(default_factory=os.getpid)
    born: str = field(default_factory=lambda: born(os.getpid()))
    jobs: dict[str, tuple[str, str]] = field(default_factory=dict)  # a job's id, and the cluster's, by key

    @property
    def name(self) -> str:
        """That of its jobs in the queue."""
        return f"bench-{self.folder.name}"

    @property
    def names(self) -> list[str]:
        """The cluster's ids of its jobs."""
        return [name for _, name in self.jobs.values()]

    @property
    def alive(self) -> bool:
        """Whether its process lives, as far as can be seen from here."""
        return self.machine == machine() and born(self.pid) == self.born

    def keep(self) -> None:
        """Write it down."""
        told = {name: value for name, value in asdict(self).items() if name != "folder"}
        write_whole(self.folder / FILE, json.dumps(told).encode())


def result(folder: Path, name: str) -> Path:
    """Where the result of a job of the cluster will lie."""
    return folder / f"{name}_0_result.pkl"


def runs(root: Path) -> Iterator[Run]:
    """Those of a store whose jobs may be in a queue."""
    for path in sorted(root.glob(f"*/{FILE}")):
        with suppress(OSError, ValueError, TypeError, AttributeError):
            told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            jobs = {key: (str(job), str(name)) for key, (job, name) in told.pop("jobs").items()}
            yield Run(path.parent, **told, jobs=jobs)


def tidy(run: Run, store: Store) -> None:
    """Remove the files of a run that is over, but for the logs of what failed."""
    kept = {name for key, (_, name) in run.jobs.items() if store.failure(key)}
    for path in run.folder.iterdir() if run.folder.is_dir() else ():
        if not (path.name.endswith("_log.out") and path.name.partition("_0_log")[0] in kept):
            path.unlink(missing_ok=True)
    with suppress(OSError):
        run.folder.rmdir()


def last_line(folder: Path, name: str) -> str:
    """The last thing that a job of the cluster printed, beside the log in the store."""
    try:
        text = (folder / f"{name}_0_log.out").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(text.split("\n")) if line.strip()), "")
