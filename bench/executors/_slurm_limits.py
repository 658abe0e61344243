"""What is asked of a cluster against what its nodes have, before anything is submitted that would wait for ever."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from bench.config import Executor
from bench.durations import seconds
from bench.errors import BenchError, unknown

HERE = "[executor.slurm]"
OURS = {  # options of sbatch that have a key of their own, or that would break what is relied on
    **{"time": "time", "partition": "partition", "mem": "memory", "cpus-per-task": "cpus", "signal": "signal_seconds"},
    **dict.fromkeys(("gpus", "gpus-per-node", "gpus-per-task"), "gpus"),
    **dict.fromkeys(("array", "job-name", "dependency", "output", "error", "open-mode", "nodes", "ntasks"), ""),
    **dict.fromkeys(("ntasks-per-node", "requeue", "no-requeue", "wrap", "parsable"), ""),
}
SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])i?B?\s*", re.IGNORECASE)


class Node(NamedTuple):
    """What a node has, for jobs of a partition."""

    partition: str
    default: bool
    longest: float  # minutes; infinite
    usual: float  # minutes of a job that asks for no time
    cpus: int
    memory: int  # MB
    gpus: int


class Limits:
    """What a job may have, of the partitions that the grid names, or of the cluster's default."""

    def __init__(self, executor: Executor, table: str) -> None:
        self.asked = executor.slurm
        nodes = [_node(line) for line in table.splitlines()]
        names = [name.strip() for name in self.asked.partition.split(",") if name.strip()]
        for name in names:
            if name not in {node.partition for node in nodes}:
                raise unknown("partition", name, {node.partition for node in nodes}, where=f"{HERE} partition")
        self.nodes = [node for node in nodes if node.partition in names or (not names and node.default)]
        if not self.nodes:
            raise BenchError(f"{HERE} partition: the cluster has no default one; set it")
        self.where = f"a node of {', '.join(f'`{n}`' for n in dict.fromkeys(node.partition for node in self.nodes))}"
        self.memory = megabytes(self.asked.memory)
        several = executor.devices_per_pretrain
        self._at_most("cpus", self.asked.cpus * several, max(node.cpus for node in self.nodes))
        self._at_most("gpus", self.asked.gpus * several, max(node.gpus for node in self.nodes))
        most = max(node.memory for node in self.nodes)
        if self.memory > most:
            raise BenchError(f'{HERE} memory = "{self.asked.memory}": {self.where} has {most} MB')
        for pretrain in (False, True):
            self._in_time(pretrain)

    def minutes(self, *, pretrain: bool) -> int:
        """The time of a job; 0: without an end."""
        asked = self.asked.pretrain_time if pretrain and self.asked.pretrain_time else self.asked.time
        if asked:
            return math.ceil(seconds(asked, HERE) / 60)
        usual = self.nodes[0].usual
        return 0 if math.isinf(usual) else int(usual)

    def _at_most(self, name: str, asked: int, most: int) -> None:
        if asked > most:
            of = (
                f" for each of {asked // getattr(self.asked, name)} devices"
                if asked > getattr(self.asked, name)
                else ""
            )
            raise BenchError(f"{HERE} {name} = {getattr(self.asked, name)}{of}: {self.where} has {most or 'none'}")

    def _in_time(self, pretrain: bool) -> None:
        name = "pretrain_time" if pretrain and self.asked.pretrain_time else "time"
        minutes, longest = self.minutes(pretrain=pretrain), max(node.longest for node in self.nodes)
        if minutes > longest:
            raise BenchError(
                f'{HERE} {name} = "{getattr(self.asked, name)}": more than the {longest:.0f} min of the partition'
            )
        if minutes and 30 * minutes < self.asked.signal_seconds:
            raise BenchError(
                f"{HERE} signal_seconds = {self.asked.signal_seconds}: more than half of {name}, {minutes} min, so that"
                f" a job would do little else than save"
            )


def _node(line: str) -> Node:
    """A line of `sinfo --Node --format=%P|%R|%l|%L|%c|%m|%G`."""
    shown, name, longest, usual, cpus, memory, gres = line.split("|", 6)
    most = _minutes(longest)
    gpus = sum(map(int, re.findall(r"gpu:(?:[^:,()]+:)?(\d+)", gres)))
    most_cpus, memory_mb = (int(re.sub(r"\D.*", "", text) or 0) for text in (cpus, memory))
    return Node(
        name, shown.endswith("*"), most, most if usual == "n/a" else _minutes(usual), most_cpus, memory_mb, gpus
    )


def _minutes(text: str) -> float:
    """A time as sinfo prints it: 1-12:00:00, 2:00:00, 30:00; infinite."""
    days, _, clock = text.rpartition("-")
    if not re.fullmatch(r"[\d:]+", clock):
        return math.inf
    total = 0.0
    for part in clock.split(":"):
        total = 60 * total + int(part)
    return int(days or 0) * 24 * 60 + total / 60


def megabytes(text: str) -> int:
    """An amount of memory; 0 for an empty text. Raises BenchError that says the forms."""
    if not text.strip():
        return 0
    if not (found := SIZE.fullmatch(text)) or not float(found.group(1)):
        raise BenchError(f'{HERE} memory: `{text}` is no amount; write "16GB" or "800MB"')
    return math.ceil(float(found.group(1)) * 1024.0 ** ("KMGT".index(found.group(2).upper()) - 1))


def options(asked: Sequence[str]) -> dict[str, str | bool]:
    """`account=me` and flags as submitit takes them. Raises BenchError for one that is not to be set by hand."""
    found: dict[str, str | bool] = {}
    for text in asked:
        name, given, value = text.strip().lstrip("-").partition("=")
        name = name.strip().replace("_", "-")
        if name in OURS:
            hint = f"set {OURS[name]}, which is for it" if OURS[name] else "bench sets it"
            raise BenchError(f"{HERE} options: `{text}`: {hint}")
        if not re.fullmatch(r"[a-z][a-z-]*", name):
            raise BenchError(f'{HERE} options: `{text}` is no option of sbatch; write "account=me" or "exclusive"')
        found[name] = value.strip() if given else True
    return found
