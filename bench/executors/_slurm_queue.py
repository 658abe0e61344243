"""Slurm as we talk to it: sbatch through submitit, squeue and scancel by ourselves, for many clusters keep no accounts.

submitit learns a job's state from sacct, which not every cluster has; here a state is what squeue lists, and an end is
a file. Nothing is concluded from a Slurm that does not answer.
"""

import io
import logging
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import Any, NamedTuple

from bench.config import Executor
from bench.errors import BenchError, missing_package
from bench.executors._slurm_job import Work
from bench.executors._slurm_limits import Limits, options

ANSWER = 60.0  # seconds after which a command of Slurm is given up
AT_ONCE = 100  # ids in a command


class NoAnswer(Exception):
    """Slurm refused, or did not answer; the message is its own."""


class Listed(NamedTuple):
    """A job in the queue."""

    state: str  # such as PENDING
    why: str  # it is in that state
    name: str


def ask(*command: str) -> str:
    """What a command of Slurm prints. Raises NoAnswer."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("SQUEUE_", "SINFO_"))}  # a person's filters
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER, env=mine, start_new_session=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise NoAnswer(str(exc)) from None
    if done.returncode:
        raise NoAnswer((done.stderr.strip() or done.stdout.strip()).split("\n")[0])
    return done.stdout.strip()


def listed(ids: Iterable[str], *more: str) -> dict[str, Listed]:
    """Which of these jobs, and others of the same arrays, are in the queue. Raises NoAnswer."""
    whole, found = sorted({name.partition("_")[0] for name in ids}), {}
    for first in range(0, len(whole), AT_ONCE):
        chunk = ",".join(whole[first : first + AT_ONCE])
        try:
            lines = ask("squeue", "--noheader", "--array", "--format=%i|%T|%r|%j", f"--jobs={chunk}", *more)
        except NoAnswer as exc:
            if "Invalid job id" not in str(exc):  # which is said of a single one that Slurm has forgotten
                raise
            continue
        for name, *rest in (line.split("|", 3) for line in lines.splitlines()):
            found[name] = Listed(*rest)
    return found


class SlurmQueue:
    """The queue of a cluster. Raises BenchError where there is none, or where it would not take what is asked."""

    ahead = True
    every = 5.0  # seconds between two looks at it, at least
    patience = 10.0  # seconds for which a job is not listed before it is given up

    def __init__(self, executor: Executor, folder: Path) -> None:
        self.asked, self.folder, self.name = executor.slurm, folder, f"bench-{folder.name}"
        self.several = executor.devices_per_pretrain
        self.cpus = max(self.asked.cpus, executor.threads)
        self.workers = self.asked.parallel
        quiet_submitit()
        if not shutil.which("sbatch"):
            raise BenchError(
                '[executor] kind = "slurm": there is no sbatch here; run this where jobs are submitted from, or try'
                ' the grid with [executor.slurm] cluster = "local"'
            )
        try:
            ask("scontrol", "ping")
            told = dict(line.split("=", 1) for line in ask("scontrol", "show", "config").splitlines() if "=" in line)
            nodes = ask("sinfo", "--all", "--noheader", "--Node", "--format=%P|%R|%l|%L|%c|%m|%G")
        except NoAnswer as exc:
            raise BenchError(f'[executor] kind = "slurm": Slurm does not answer: {exc}') from None
        config = {name.strip(): value.strip() for name, value in told.items()}
        self.cluster = config.get("ClusterName", "slurm")
        self.most = max(1, int(config.get("MaxArraySize", "1001")))  # jobs of an array
        self.limits = Limits(executor, nodes)
        self.options = options(self.asked.options)

    def gpus(self, *, pretrain: bool) -> int:
        """GPUs of a job."""
        return self.asked.gpus * (self.several if pretrain else 1)

    def submit(self, works: Sequence[Work], *, pretrain: bool, after: str = "") -> list[str]:
        """Put jobs in the queue, as one array, to begin once another has ended; their ids. Raises NoAnswer."""
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError
        from submitit.helpers import clean_env

        # What has no checkpoint begins anew: that often is enough.
        executor = SlurmExecutor(self.folder, max_num_timeout=self.requeues(pretrain=pretrain))
        executor.update_parameters(**self._parameters(pretrain, after))
        kept = {name: os.environ[name] for name in ("SLURM_CONF",) if name in os.environ}
        said = io.StringIO()
        try:
            with redirect_stderr(said), clean_env():  # we may be in a job ourselves
                os.environ.update(kept)
                ids: list[str] = [job.job_id for job in executor.submit_array(works)]
        except (FailedJobError, FailedSubmissionError, OSError) as exc:
            raise NoAnswer((said.getvalue().strip() or str(exc)).removeprefix("sbatch: error: ")) from None
        return ids

    def requeues(self, *, pretrain: bool) -> int:
        """Times that a job is queued again after its time; what has no checkpoint begins anew, twice at most."""
        return self.asked.requeues if pretrain else min(2, self.asked.requeues)

    def _parameters(self, pretrain: bool, after: str) -> dict[str, Any]:
        cpus, minutes = self.cpus * (self.several if pretrain else 1), self.limits.minutes(pretrain=pretrain)
        asked = {
            "job_name": self.name,
            "time": minutes or 60 * 24 * 365,
            "cpus_per_task": cpus,
            "gpus_per_node": self.gpus(pretrain=pretrain) or None,
            "mem": f"{self.limits.memory}MB" if self.limits.memory else None,
            "partition": self.asked.partition or None,
            "dependency": f"afterany:{after}" if after else None,
            "setup": list(self.asked.setup) or None,
            "array_parallelism": self.asked.parallel,
            "signal_delay_s": self.asked.signal_seconds,
            "srun_args": ["--cpus-per-task", str(cpus)],  # which srun no longer takes from sbatch
            "stderr_to_stdout": True,
            "additional_parameters": {**self.options, **({} if minutes else {"time": "0"})},  # 0: without an end
        }
        return {name: value for name, value in asked.items() if value is not None}

    def states(self, ids: Iterable[str]) -> dict[str, Listed]:
        """Those of these jobs that are in the queue. Raises NoAnswer."""
        wanted = set(ids)
        return {name: row for name, row in listed(wanted).items() if name in wanted}

    def ended(self, ids: Iterable[str]) -> dict[str, str]:
        """The states in which jobs ended, where Slurm still knows, as it does for some minutes."""
        with suppress(NoAnswer):
            return {name: row.state for name, row in listed(ids, "--states=all").items()}
        return {}

    def cancel(self, ids: Iterable[str], *, pending: bool = False) -> None:
        """End jobs, or only those that have not begun; what was submitted last goes first, for it waits for others."""
        names = list(ids)[::-1]
        for first in range(0, len(names), AT_ONCE):
            with suppress(NoAnswer):  # of some that have ended meanwhile
                ask("scancel", "--quiet", *(["--state=PENDING"] if pending else []), *names[first : first + AT_ONCE])

    def close(self) -> None:
        """Nothing is held."""


def quiet_submitit() -> None:
    """What submitit would tell of every job is told by us. Raises BenchError where it is not installed."""
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise missing_package("submitit", needed_by='[executor] kind = "slurm"') from None
    logging.getLogger("submitit").setLevel(logging.ERROR)
