"""What a method logs: the mean over parts, processes and steps, of every epoch, whatever interrupts it."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from bench import pretrain as loop
from bench.checks import pictures
from bench.entries import MethodEntry
from bench.errors import BenchError
from bench.pretrain import pretrain
from bench.recipes import Pretrain
from bench.registry import discover
from bench.run import build_method
from bench.spec import Encoder, Features, Method, Views

RECIPE = Pretrain(image_size=16, epochs=3, batch_size=8, lr=0.01, checkpoint_minutes=0.0)
IMAGES = pictures(32)  # 4 steps an epoch

pytestmark = pytest.mark.usefixtures("one_thread")


class Tiny(Encoder):
    """One convolution."""

    dim, map_dims, strides, image_size = 4, (4,), (2,), 16
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, images):
        maps = self.conv(images)
        return Features(maps.mean((2, 3)), (maps,))


class Counter(Method):
    """Its loss is the number of steps done, and `note(method, step)` logs."""

    views = Views(global_crops=1)

    def __init__(self, encoder, note):
        super().__init__(encoder)
        self.register_buffer("count", torch.zeros(()))
        self.note = note

    def loss(self, views):
        self.note(self, int(self.count))
        return 0 * self.encoder(views[0].images).pooled.sum() + self.count

    def after_step(self, progress):
        self.count += 1
        self.log("progress", progress)


class Stopped(Exception):
    pass


def train(note, recipe=RECIPE, *, partial=None, stop=None):
    def progress(what, done, of):
        if done == (stop or 0) * recipe.batch_size:
            raise Stopped

    return pretrain(
        lambda: Counter(Tiny(), note), IMAGES, recipe, views=Counter.views, seed=0, partial=partial, progress=progress
    ).history


def everything(method, step):
    method.log("tensor", 2 * method.count)
    method.log("odd", 1.0 if step % 2 else 0.0)
    if step % 2:
        method.log("in odd steps", step)
    if step in (5, 6):
        method.log("once", torch.tensor([step], dtype=torch.bfloat16))
    if step > 8:
        method.log("late", 0.25 * step)
    if step in (4, 5):
        method.log("infinite", math.inf if step == 4 else -math.inf)


WATCHED = ("effective_rank", "embedding_std")  # of every pretraining
EXPECTED = {
    "loss": [1.5, 5.5, 9.5],
    "tensor": [3.0, 11.0, 19.0],
    "odd": [0.5, 0.5, 0.5],
    "progress": pytest.approx([2.5 / 12, 6.5 / 12, 10.5 / 12]),
    "in odd steps": [2.0, 6.0, 10.0],
    "once": pytest.approx([math.nan, 5.5, math.nan], nan_ok=True),
    "infinite": pytest.approx([math.nan, math.nan, math.nan], nan_ok=True),
    "late": pytest.approx([math.nan, math.nan, 2.5], nan_ok=True),
}


def test_the_history_is_the_mean_over_the_steps_that_logged():
    found = train(everything)
    assert next(iter(found)) == "loss"
    assert {name: means for name, means in found.items() if name not in WATCHED} == EXPECTED


@pytest.mark.parametrize("seldom", [1, 3])  # as on a GPU, where steps wait to be read
def test_stopped_at_any_step_the_history_is_the_same(tmp_path, monkeypatch, seldom):
    whole = train(everything)
    monkeypatch.setitem(loop.READ_EVERY, "cpu", seldom)
    for stop in range(1, 12):
        with pytest.raises(Stopped):
            train(everything, partial=tmp_path / str(stop), stop=stop)
        saved = torch.load(tmp_path / str(stop) / "state.pt")["step"] if stop >= seldom else 0
        assert stop - seldom < saved <= stop
        assert repr(train(everything, partial=tmp_path / str(stop))) == repr(whole), stop


def test_a_step_is_the_mean_over_its_parts():
    def note(method, step):
        method.part = getattr(method, "part", -1) + 1  # 0 1 2 3 in the first step, 4 5 6 7 in the second
        method.log("every part", method.part)
        if method.part % 4 in (1, 2):
            method.log("two parts", method.part)
        if step == 0 or method.part % 4 == 0:  # four times in one step and once in the others, which count alike
            method.log("steps alike", float(step))

    found = train(note, replace(RECIPE, accumulate=4, epochs=1))
    assert found["every part"] == found["two parts"] == [(1.5 + 5.5 + 9.5 + 13.5) / 4]
    assert found["steps alike"] == found["loss"] == [1.5]


# ------------------------------------------------------------------------------------------- the call itself


def test_a_logged_tensor_is_kept_as_it_was_without_its_graph_and_in_no_checkpoint():
    method = Counter(Tiny(), None)
    value = torch.ones((), requires_grad=True)
    before = method.state_dict().keys()
    method.log("weight", value * 1)
    method.log("buffer", method.count)
    method.count += 5
    assert {name: (total.item(), count) for name, (total, count) in method.logged.items()} == {
        "weight": (1.0, 1),
        "buffer": (0.0, 1),
    }
    assert not method.logged["weight"][0].requires_grad
    assert method.state_dict().keys() == before


def test_what_was_logged_before_the_first_step_is_of_no_step():
    method = Counter(Tiny(), lambda method, step: method.log("x", 1.0))
    method.log("x", 100.0)
    assert pretrain(lambda: method, IMAGES, RECIPE, views=Counter.views, seed=0).history["x"] == [1.0, 1.0, 1.0]


def test_the_loss_is_reserved_and_a_value_is_one_number():
    with pytest.raises(BenchError, match="`loss` is kept of every method; log under another name"):
        train(lambda method, step: method.log("loss", 1.0))
    with pytest.raises(BenchError, match=r"`x` must be one number, has shape \(2, 3\)"):
        train(lambda method, step: method.log("x", torch.zeros(2, 3)))


# ------------------------------------------------------------------------------------------- several processes

PLUGIN = """
import torch
from bench.spec import Method, Views, ssl_method


@ssl_method("ranks", paper="none")
class Ranks(Method):
    views = Views(global_crops=1)

    def __init__(self, encoder, *, stop: int = 99):
        super().__init__(encoder)
        self.stop = stop
        self.register_buffer("count", torch.zeros(()))

    def loss(self, views):
        rank, step = torch.distributed.get_rank(), int(self.count)
        assert step < self.stop, "stopped here"
        self.log("mean", 10.0 * rank + step)
        if rank == 1 and step % 2:
            self.log("of one", self.count)
        if rank == 0 and step == 3:
            self.log("late", 7.0)
        return 0 * self.encoder(views[0].images).pooled.sum() + self.count + rank

    def after_step(self, progress):
        self.count += 1
"""


def test_two_processes_keep_the_mean_also_when_stopped_and_of_names_that_one_of_them_logs(tmp_path):
    (tmp_path / "ranks.py").write_text(PLUGIN)
    plugin = discover([str(tmp_path / "ranks.py")]).get("method", "ranks", where="test")
    recipe = Pretrain(
        backbone="resnet10t", image_size=32, epochs=2, batch_size=16, warmup_epochs=0.0, checkpoint_minutes=0.0
    )

    def run(stop):
        build = partial(build_method, MethodEntry("ranks", plugin, {"stop": stop}, recipe, {}), "random")
        views, folder = plugin.load().views, tmp_path / "partial"
        return pretrain(build, pictures(32), recipe, views=views, seed=0, devices=2, partial=folder).history

    with pytest.raises(Exception, match="stopped here"):
        run(3)
    assert torch.load(tmp_path / "partial" / "state.pt")["step"] == 3
    assert {name: means for name, means in run(99).items() if name not in WATCHED} == {
        "loss": [1.0, 3.0],
        "mean": [5.5, 7.5],
        "of one": [1.0, 3.0],
        "late": pytest.approx([math.nan, 7.0], nan_ok=True),
    }
