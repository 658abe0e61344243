"""The process that speaks with Ray, for `bench.executors.ray`, and the task that a worker of Ray's runs.

It takes ("start", id, task, needs), ("cancel", id, force) and ("close",), and tells ("refused", why) or
("nodes", [...]) first and then ("nodes", [...]), ("ended", id, answer), ("died", id, why) and ("gone", why). Whatever
it prints goes to a log of the store.
"""

import os
import re
import secrets
import signal
import socket
import threading
import time
import traceback
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from bench import __version__
from bench.attempt import WORKER, attempt
from bench.config import Ray as Config
from bench.errors import BenchError, reason
from bench.executors import Answer, Task
from bench.executors.local import die_with_parent
from bench.executors.ray_needs import Node, connect

TURN = 0.1  # seconds between two looks at what ended
PULSE = 3.0  # seconds between two looks at the cluster
VISIT = 30.0  # seconds in which a node has to show that it can do a job; one that does not is left in peace
PRIVATE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}  # a Ray of our own reports to and obeys nobody
TOKEN = b"InvalidAuthToken"  # what Ray prints, and does not raise
WANTED = "; it wants a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, as for `ray status`"
OBJECTS = 100 * 2**20  # bytes of shared memory of a Ray of our own; tasks and answers are small


class Gone(Exception):
    """The cluster is lost."""


def work(task: Task) -> Answer:
    """Do a job, in a worker of Ray's."""
    os.environ[WORKER] = "1"
    _die_with_node()
    return attempt(task, lambda what, done, of: None)


@cache
def _die_with_node() -> None:
    """End this process once its node's is gone: nobody would hear what it does, and the next run would wait for it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def drive(pipe: Connection, asked: Config, store: Path, log: Path, cpus: int) -> None:
    """Serve orders until told to close, or until Ray or the parent is gone."""
    os.setsid()  # Ctrl-C is the parent's business: Ray's own processes have to outlive it for jobs to be saved
    with log.open("ab") as file:
        before = file.tell()
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=die_with_parent, daemon=True).start()
    try:
        driver = Driver(pipe, asked, store, cpus)
    except Exception as exc:
        token = TOKEN in log.read_bytes()[before:]
        pipe.send(("refused", _line(exc) + (WANTED if token else "")))
        return
    try:
        driver.loop()
    except Exception as exc:
        traceback.print_exc()
        pipe.send(("gone", str(exc) if isinstance(exc, Gone) else _line(exc)))
        os._exit(1)  # a shutdown would wait for the cluster


class Driver:
    """A connection with Ray. Raises whatever Ray does where there is none."""

    def __init__(self, pipe: Connection, asked: Config, store: Path, cpus: int) -> None:
        python = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if asked.address:
            options["runtime_env"] = {"env_vars": {"PYTHONPATH": python}}
        else:
            os.environ |= {**PRIVATE, "RAY_AUTH_TOKEN": secrets.token_hex(32), **os.environ, "PYTHONPATH": python}
            options |= {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": OBJECTS}
            options |= {} if asked.num_gpus else {"num_gpus": 0}
        import ray

        self.pipe, self.ray = pipe, cast(Any, ray)  # in parts without types
        self.ray.init(address=asked.address or "local", **options)
        self.address = asked.address.removeprefix("ray://")
        if self.address == asked.address:
            self.address = self.ray.get_runtime_context().gcs_address
        once = {"max_calls": 1} if asked.num_gpus else {}  # a process sees the GPUs of its first job for ever
        self.work = self.ray.remote(max_retries=0, **once)(work)  # the scheduler counts, tells and spaces attempts
        self.refs: dict[Any, str] = {}
        self.looked, self.began = 0.0, False
        if asked.address:
            self._visit(store)

    def loop(self) -> None:
        """Take orders and tell of ends."""
        while True:
            self._look()
            while self.pipe.poll(0 if self.refs else TURN):
                order, *rest = self.pipe.recv()
                if order == "close":
                    return self._close()
                getattr(self, order)(*rest)
            ended = self.ray.wait(list(self.refs), num_returns=len(self.refs), timeout=TURN)[0] if self.refs else []
            for ref in ended:
                self.pipe.send(self._end(self.refs.pop(ref), ref))

    def start(self, name: str, task: Task, needs: Node) -> None:
        """Have Ray run a job."""
        self.refs[self.work.options(name=name, num_cpus=needs.cpus, num_gpus=needs.gpus).remote(task)] = name

    def cancel(self, name: str, force: bool) -> None:
        """Take a job back; nothing is told of it any more."""
        for ref in [ref for ref, other in self.refs.items() if other == name]:
            self.ray.cancel(ref, force=force)
            del self.refs[ref]

    def _close(self) -> None:
        for ref in self.refs:
            self.ray.cancel(ref, force=True)
        if self.refs:
            self.ray.wait(list(self.refs), num_returns=len(self.refs), timeout=5)
        self.ray.shutdown()

    def _end(self, name: str, ref: Any) -> tuple[str, ...]:
        errors = self.ray.exceptions
        try:
            return "ended", name, self.ray.get(ref)
        except errors.LocalRayletDiedError:
            raise Gone("its process on this machine died") from None
        except errors.RayTaskError as exc:  # an attempt answers whatever happens: it did not come to one
            return "died", name, f"Ray could not run it: {_line(exc.cause or exc)}"
        except errors.OutOfMemoryError:
            return (
                "died",
                name,
                "Ray ended the worker: its node was out of memory; a larger num_cpus has fewer share it",
            )
        except errors.WorkerCrashedError:
            return "died", name, "the worker died; out of memory, or killed"
        except errors.RayError as exc:
            self.looked = 0.0
            self._look()  # it may be Ray that died, and no fault of the job
            return "died", name, f"the worker or its node died ({_line(exc)})"

    def _look(self) -> None:
        """Tell what nodes there are. Raises Gone where there is no cluster: Ray's own calls would wait a minute."""
        if time.monotonic() - self.looked < PULSE:
            return
        try:
            connect(self.address)
        except OSError as exc:
            raise Gone(f"nobody answers at {self.address} ({exc})") from None
        if not (nodes := self._nodes()):
            raise Gone("it has no node left")
        self.looked = time.monotonic()
        if self.refs or not self.began:  # nobody listens while there is nothing to hear of
            self.pipe.send(("nodes", list(nodes.values())))
            self.began = True

    def _nodes(self) -> dict[str, Node]:
        alive = [(node["NodeID"], node["Resources"]) for node in self.ray.nodes() if node["Alive"]]
        return {name: Node(has.get("CPU", 0.0), has.get("GPU", 0.0)) for name, has in alive}

    def _visit(self, store: Path) -> None:
        """Ask each node whether it has this bench and sees the store. Raises BenchError of the first that does not."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        token = store / "claims" / f"{os.getpid()}.visit"
        token.touch()
        visit = self.ray.remote(num_cpus=0, max_retries=0)(_visited)
        nodes = [name for name, node in self._nodes().items() if node.cpus or node.gpus]
        places = [NodeAffinitySchedulingStrategy(name, soft=False) for name in nodes]
        refs = [visit.options(scheduling_strategy=place).remote(token, __version__) for place in places]
        try:
            for ref in self.ray.wait(refs, num_returns=len(refs), timeout=VISIT)[0] if refs else ():
                if why := self.ray.get(ref):
                    raise BenchError(why)
        except self.ray.exceptions.RayTaskError as exc:
            raise BenchError(f"its nodes cannot run medssl-bench: {_line(exc.cause or exc)}") from None
        finally:
            token.unlink()


def _visited(token: Path, version: str) -> str:
    """Why this node cannot do a job; nothing where it can."""
    host = socket.gethostname()
    if not token.exists():
        return f"{host} does not see the store {token.parents[1]}, which all nodes have to share under one path"
    return "" if version == __version__ else f"{host} has medssl-bench {__version__}, and this machine {version}"


def _line(exc: BaseException) -> str:
    """What Ray says, in a line and without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", reason(exc)).strip()
    return re.split(r"(?<=[^.])\. (?=[A-Z])|\n\n", text)[0].replace("\n", " ")[:400]
