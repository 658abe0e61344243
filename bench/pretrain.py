"""The one pretraining loop: views on the device, mixed precision, accumulation, several GPUs, exact resume.

Every draw of a step comes from a generator named by (seed, step), and the order of an epoch from (seed, epoch); so a
checkpoint is the step, the weights and the optimiser, and a run that was killed ends with the same bytes as any other.
"""

import functools
import math
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench.collapse import PROBED, probe
from bench.data.storage import Batch, Held, Images, open_images
from bench.errors import BenchError, Stopped
from bench.files import replacing
from bench.history import History
from bench.optim import learning_rate, optimizer
from bench.random import generator, seed_library
from bench.recipes import Pretrain
from bench.spec import Method, View, Views
from bench.views import draw_views

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Steps between two looks at the losses on a GPU, which has to stop for each; elsewhere every loss is looked at.
READ_EVERY = {"cuda": 20}

Progress = Callable[[str, int, int], None]
Array = np.ndarray[Any, np.dtype[np.uint8]]


class Corpus(NamedTuple):
    """A built corpus: its folder, and the numbers of images in it that are not trained on."""

    folder: Path
    left_out: frozenset[int] = frozenset()


@dataclass
class Run:
    """Where a pretraining stands."""

    step: int = 0
    history: History = field(default_factory=History)


class Trained(NamedTuple):
    """What pretraining gives: the encoder's weights, the means of each epoch by name, and images a second in all.

    `history` begins with `loss`; a name that was not logged in an epoch is nan there.
    """

    weights: dict[str, Tensor]
    history: dict[str, list[float]]
    images_per_second: float
    images: int  # in the corpus, less those left out


def pretrain(
    build: Callable[[], Method],
    images: Array | Corpus,
    recipe: Pretrain,
    *,
    views: Views,
    seed: int,
    device: str = "cpu",
    devices: int | list[int] = 1,
    partial: Path | None = None,
    progress: Progress | None = None,
    stop: Callable[[], str] | None = None,
    micro: int = 1,
) -> Trained:
    """Pretrain a method on (n, 3, S, S) 8-bit images, or on a built corpus, and return its encoder's weights.

    `build` makes the method with its initial weights; it is called under a library seed of its own, in every process
    when there are several `devices`, a number of them or the indices of GPUs. `partial` is the folder of the
    checkpoint, from which a killed run goes on; once `stop` gives a reason, one is saved and Stopped raised. Each batch
    is computed in `micro` parts, which only a loss that is a mean over images allows. Raises BenchError when the corpus
    is smaller than a batch or the loss is not finite.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    several = devices if isinstance(devices, int) else len(devices)
    if recipe.batch_size % (recipe.accumulate * several):
        raise BenchError(
            f"[pretrain] batch_size must be a multiple of accumulate x devices ({recipe.accumulate} x {several})"
        )
    kind, _, index = device.partition(":")
    half = recipe.precision == "bf16" or (recipe.precision == "auto" and kind == "cuda")
    fabric = Fabric(
        accelerator=kind,
        devices=[int(index)] if index and several == 1 else devices,
        strategy="ddp_spawn" if several > 1 else "auto",
        precision="bf16-mixed" if half else "32-true",
        plugins=LightningEnvironment(),  # a job of a cluster is one job of ours: its processes are started here
    )
    loop = _Loop(build, images, recipe, views, seed, partial, progress or _silent, stop or _never, micro)
    if (found := len(loop.corpus)) < recipe.batch_size:
        raise BenchError(f"[pretrain] batch_size {recipe.batch_size} is more than the corpus's {found} images")
    return loop.run(fabric) if several == 1 else _launch(loop, fabric)


def _launch(loop: "_Loop", fabric: "Fabric") -> Trained:
    """Run the loop in a process for each device. Each opens the corpus itself; none of them can report progress."""
    from torch.multiprocessing.spawn import ProcessRaisedException

    images = loop.images
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "trained.pt"
        if isinstance(images, np.ndarray):  # as an argument it would block the pipe to a process that dies at its start
            file = Path(str(images.filename)) if isinstance(images, np.memmap) else Path(folder) / "corpus.npy"
            if not file.exists():
                np.save(file, images)
            images = file
        loop = replace(loop, images=images, progress=_silent)
        work = functools.partial(_run_to_file, loop=loop, result=result, threads=torch.get_num_threads())
        try:
            fabric.launch(work)
        except ProcessRaisedException as exc:  # its message is the traceback of the process that failed first
            for kind in (BenchError, Stopped):
                _, told, reason = str(exc).rpartition(f"bench.errors.{kind.__name__}: ")
                if told:
                    raise kind(reason.strip()) from exc
            raise
        return Trained(**torch.load(result, weights_only=True))


def _run_to_file(fabric: "Fabric", loop: "_Loop", result: Path, threads: int) -> None:
    """A tensor does not outlive the process that returns it, and a large value blocks its pipe; a file does neither.

    Fabric gives a process as many threads as the machine or OMP_NUM_THREADS says, and their number changes last bits.
    """
    torch.set_num_threads(threads)
    trained = loop.run(fabric)
    if fabric.global_rank == 0:
        torch.save(trained._asdict(), result)


def _silent(what: str, done: int, of: int) -> None: ...


def _never() -> str:
    return ""


class _Objective(nn.Module):
    """The method as Fabric has it. Its views come in a function, for Fabric takes in mixed precision what it is given
    apart, and a View is not to be taken apart.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, views: Callable[[], list[View]]) -> Tensor:
        loss: Tensor = self.method(views())
        return loss


@dataclass(frozen=True)
class _Loop:
    """All that a process of the pretraining needs; it is pickled to each."""

    build: Callable[[], Method]
    images: Array | Corpus | Path
    recipe: Pretrain
    views: Views
    seed: int
    partial: Path | None
    progress: Progress
    stop: Callable[[], str]
    micro: int

    @cached_property
    def corpus(self) -> Images:
        if isinstance(self.images, Corpus):
            return open_images(self.images.folder, left_out=self.images.left_out)
        return Held(np.load(self.images, mmap_mode="c") if isinstance(self.images, Path) else self.images)

    @property
    def steps_per_epoch(self) -> int:
        return self.corpus.steps(self.recipe.batch_size)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.recipe.epochs

    def run(self, fabric: "Fabric") -> Trained:
        seed_library("init", self.seed)
        method = self.build().to(memory_format=torch.channels_last)
        method.views = self.views
        corpus = _on_device(self.corpus, fabric.device)
        method.begin(corpus.places)
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            method = torch.nn.SyncBatchNorm.convert_sync_batchnorm(method)
        wrapped, steps = fabric.setup(_Objective(method), optimizer(method, self.recipe))
        run = self._resume(method, steps, fabric)
        method.train()
        began, first, saved = time.monotonic(), run.step, time.monotonic()
        for batch in self._batches(run, method, fabric, corpus):
            self._step(run, fabric, wrapped, method, steps, batch)
            if run.step % self.steps_per_epoch == 0:
                run.history.note(probe(method.trained(), corpus.sample(PROBED), self.recipe.image_size))
                run.history.close_epoch()
            # What is not read may have diverged, and is of this process alone.
            if not run.history.unread and fabric.global_rank == 0:
                why = self.stop() if run.step < self.steps else ""
                if self.partial and (why or time.monotonic() - saved >= 60 * self.recipe.checkpoint_minutes):
                    self._save(run, method, steps)
                    saved = time.monotonic()
                if why:
                    raise Stopped(why)
            self.progress("images", run.step * self.recipe.batch_size, self.steps * self.recipe.batch_size)
        seconds = max(time.monotonic() - began, 1e-9)
        weights = {k: v.detach().cpu().contiguous() for k, v in method.trained().state_dict().items()}
        speed = (run.step - first) * self.recipe.batch_size / seconds
        return Trained(weights, run.history.means, speed, len(corpus))

    def _batches(self, run: Run, method: Method, fabric: "Fabric", corpus: Images) -> Iterator[Batch]:
        """This process's share of every batch that is still to come; the method's hook goes before each epoch."""
        share = {"processes": fabric.world_size, "process": fabric.global_rank, "batch_size": self.recipe.batch_size}
        while run.step < self.steps:
            epoch, place = divmod(run.step, self.steps_per_epoch)
            if place == 0:
                draws = generator("before", self.seed, epoch, fabric.global_rank)
                batches = corpus.batches(self.seed, epoch, **share)
                seed_library("epoch", self.seed, epoch)
                method.before_epoch(epoch, (self._views(batch, method, fabric, draws) for batch in batches))
            yield from corpus.batches(self.seed, epoch, first=place, **share)

    def _step(
        self, run: Run, fabric: "Fabric", wrapped: Any, method: Method, optimiser: torch.optim.Optimizer, batch: Batch
    ) -> None:
        """One optimiser step: the batch in `accumulate` parts, each with views of its own."""
        seed_library("step", self.seed, run.step, fabric.global_rank)
        rate = learning_rate(self.recipe, run.step, self.steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        method.logged.clear()
        method.progress = run.step / self.steps
        parts = list(map(Batch, *(values.chunk(self.recipe.accumulate) for values in batch)))
        total = torch.zeros((), device=fabric.device)
        for number, part in enumerate(parts):
            draws = generator("views", self.seed, run.step, fabric.global_rank, number)
            views = self._views(part, method, fabric, draws)
            pieces = list(zip(*(view.chunk(self.micro) for view in views), strict=True))
            for place, piece in enumerate(pieces):
                last = number == len(parts) - 1 and place == len(pieces) - 1
                share = len(piece[0].numbers) / len(part.numbers)
                with fabric.no_backward_sync(wrapped, enabled=not last):
                    loss = wrapped(functools.partial(list, piece)) * share / len(parts)
                    fabric.backward(loss)
                total += loss.detach()
        if self.recipe.clip:
            fabric.clip_gradients(wrapped, optimiser, max_norm=self.recipe.clip, error_if_nonfinite=False)
        optimiser.step()
        optimiser.zero_grad()
        run.step += 1
        method.after_step(run.step / self.steps)
        logged = {name: noted / count for name, (noted, count) in method.logged.items()}
        run.history.unread.append({"loss": total, **logged})
        epoch_over = run.step % self.steps_per_epoch == 0
        if epoch_over or len(run.history.unread) >= READ_EVERY.get(fabric.device.type, 1):
            self._read(run, fabric.world_size)

    def _views(self, batch: Batch, method: Method, fabric: "Fabric", draws: torch.Generator) -> list[View]:
        encoder = method.encoder
        return draw_views(
            batch.images.to(fabric.device, non_blocking=True),
            self.views,
            self.recipe.image_size,
            mean=encoder.mean,
            std=encoder.std,
            generator=draws,
            numbers=batch.numbers,
            multiple=encoder.patch or 1,
        )

    def _read(self, run: Run, processes: int) -> None:
        """Take in what was noted since the last time, and stop at a loss that is not finite."""
        first = run.step - len(run.history.unread)
        for step, value in enumerate(run.history.read(processes), start=first):
            if not math.isfinite(value):
                rate, epoch = learning_rate(self.recipe, step, self.steps), step // self.steps_per_epoch
                raise BenchError(
                    f"the loss is {value} at step {step} (epoch {epoch}, learning rate {rate:.2g}); the run is"
                    f" stopped. A lower [pretrain] lr or a longer warm-up may help"
                )

    def _save(self, run: Run, method: Method, optimiser: torch.optim.Optimizer) -> None:
        """Write the checkpoint. One process does, at a moment of its own: the others hold the same state."""
        assert self.partial is not None
        told = {"means": run.history.means, "epoch": run.history.epoch}
        state = {"step": run.step, "history": told, "method": method.state_dict(), "optimizer": optimiser.state_dict()}
        with replacing(self.partial / "state.pt") as file:
            torch.save(state, file)

    def _resume(self, method: Method, optimiser: torch.optim.Optimizer, fabric: "Fabric") -> Run:
        """Where the last checkpoint left off, loaded in place; the beginning if there is none that can be read."""
        path = self.partial / "state.pt" if self.partial else None
        if path is None or not path.exists():
            return Run()
        try:
            with zipfile.ZipFile(path) as archive:  # torch writes check sums and does not look at them
                if damaged := archive.testzip():
                    raise ValueError(f"{damaged} is damaged")
            state = torch.load(path, map_location="cpu", weights_only=True)
            run, saved, own = Run(state["step"], History(**state["history"])), state["method"], method.state_dict()
            if {k: v.shape for k, v in saved.items()} != {k: v.shape for k, v in own.items()}:
                raise ValueError("the checkpoint is of another method")
            optimiser.load_state_dict(state["optimizer"])  # refuses what does not fit before it takes anything
        except Exception:  # a damaged checkpoint costs time and never a result
            with suppress(FileNotFoundError):  # another process of this run was first
                path.rename(path.with_suffix(".damaged"))
            return Run()
        method.load_state_dict(saved)
        return run


def _on_device(corpus: Images, device: torch.device) -> Images:
    """The corpus, on a GPU where it is held and takes at most a quarter of the free memory; else where it is."""
    if device.type != "cuda" or not isinstance(corpus, Held):
        return corpus
    if corpus.images.nbytes < torch.cuda.mem_get_info(device)[0] / 4:
        corpus.images = corpus.images.to(device)
    return corpus
