"""What jobs ask of Ray, what fits its nodes, and what could never run, which is said before anything is started."""

import importlib.util
import math
import re
import socket
from dataclasses import dataclass
from typing import NamedTuple

from bench.config import Executor, Ray
from bench.errors import BenchError, missing_package
from bench.plan import Job

ANSWERS = 3.0  # seconds in which an address has to take a connection
WHERE = "[executor.ray]"


class Node(NamedTuple):
    """What a node has in all, busy or not; or what a job needs of one."""

    cpus: float
    gpus: float

    def __str__(self) -> str:
        cpus, gpus = (f"{n:g} {what}{'s' * (n != 1)}" for n, what in zip(self, ("CPU", "GPU"), strict=True))
        return f"{cpus} and {gpus}"

    def fits(self, needs: "Node") -> int:
        """How many jobs of such needs it has room for."""
        return math.floor(min(has / need for has, need in zip(self, needs, strict=True) if need) + 1e-6)


@dataclass(frozen=True)
class Needs:
    """What the jobs of a run ask for. A pretraining on several devices is as large as so many jobs."""

    asked: Ray
    width: int  # devices of a pretraining
    cap: int  # jobs at a time; 0: as many as fit

    def size(self, job: Job) -> int:
        """How many jobs' worth of devices a job has."""
        return self.width if job.kind == "pretrain" else 1

    def of(self, size: int) -> Node:
        """What a job of a size needs; one that has several GPUs has them whole."""
        if size > 1 and self.asked.num_gpus:
            return Node(self.asked.num_cpus, float(size))
        return Node(self.asked.num_cpus * size, self.asked.num_gpus)

    def cpus(self, here: int) -> int:
        """CPUs that a Ray of our own gives out, on a machine where so many may be used."""
        return math.ceil(max(self.cap, self.width) * self.asked.num_cpus) if self.cap else here

    def count(self, nodes: list[Node]) -> int:
        """Jobs of one device that run at a time."""
        fit = sum(node.fits(self.of(1)) for node in nodes)
        return max(1, min(fit, self.cap or fit))

    def refuse(self, nodes: list[Node], what: str) -> None:
        """Raise BenchError where a job of some kind would wait for ever, for no node is large enough."""
        for size in {1, self.width}:
            if not any(node.fits(self.of(size)) for node in nodes):
                whose = f"a pretraining (devices_per_pretrain = {size})" if size > 1 else "a job"
                largest = max(nodes, key=lambda node: (node.gpus, node.cpus), default=Node(0.0, 0.0))
                raise BenchError(f"{what}: {whose} asks for {self.of(size)}, and the largest node has {largest}")


def needs(executor: Executor) -> Needs:
    """What the jobs of a grid ask for. Raises BenchError for what no cluster could run, or for none."""
    asked, device = executor.ray, executor.device
    if importlib.util.find_spec("ray") is None:
        raise missing_package("ray", needed_by='[executor] kind = "ray"')
    if not asked.num_cpus and not asked.num_gpus:
        raise BenchError(f"{WHERE} num_cpus, num_gpus: one of them has to be more than 0")
    if asked.num_gpus > 1 and asked.num_gpus % 1:
        raise BenchError(f"{WHERE} num_gpus = {asked.num_gpus}: a part of one GPU, or a whole number of them")
    if device not in ("auto", "cpu", "cuda"):
        raise BenchError(f'[executor] device = "{device}": Ray chooses the GPU of a job; say "cuda", "cpu" or "auto"')
    if device == "cuda" and not asked.num_gpus:
        raise BenchError(f'[executor] device = "cuda": a job gets a GPU of Ray only by {WHERE} num_gpus')
    if asked.address not in ("", "auto"):
        _knock(asked.address)
    return Needs(asked, executor.devices_per_pretrain, executor.workers)


def _knock(address: str) -> None:
    """Raise BenchError where nobody listens at an address; Ray itself would try for minutes."""
    what = f'{WHERE} address = "{address}"'
    if not re.fullmatch(r"(ray://)?[^/]+:\d{1,5}", address):
        raise BenchError(f'{what}: needs "auto", "host:port" (6379 by default) or "ray://host:port" (10001 by default)')
    try:
        connect(address.removeprefix("ray://"))
    except (OSError, OverflowError) as exc:
        raise BenchError(f"{what}: nobody answers there ({exc}); `ray status` on the cluster says its address") from exc


def connect(address: str) -> None:
    """Raise OSError where nobody listens at host:port."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), ANSWERS).close()
