"""The loop: the same bytes whatever interrupts it, what accumulation and several processes compute, and clear ends."""

import copy
import math
import random
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import dropout, normalize

from bench.checks import RECIPE as CHECKED
from bench.checks import pictures, small
from bench.encoders.timm import TimmEncoder
from bench.entries import MethodEntry
from bench.errors import BenchError
from bench.pretrain import pretrain
from bench.recipes import Pretrain
from bench.registry import discover
from bench.run import build_method
from bench.spec import Encoder, Features, Method, Views

RECIPE = Pretrain(image_size=16, epochs=2, batch_size=8, lr=0.01, warmup_epochs=1.0, checkpoint_minutes=0.0)
IMAGES = pictures(33)  # 4 batches of 8 an epoch, and one image that each epoch leaves out
STEPS = 8


pytestmark = pytest.mark.usefixtures("one_thread")


class Tiny(Encoder):
    """Convolution, batch-norm, mean."""

    dim, map_dims, strides, image_size = 8, (8,), (2,), 16
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, images):
        maps = self.norm(self.conv(images)).relu()
        return Features(maps.mean((2, 3)), (maps,))


class Toy(Method):
    """All that has to survive an interruption: a head, a teacher, a queue, and dropout from torch's own generator."""

    views = Views(local_crops=1)

    def __init__(self, encoder):
        super().__init__(encoder)
        self.head = nn.Linear(encoder.dim, 4)
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)
        self.register_buffer("queue", normalize(torch.randn(16, 4), dim=-1))
        self.register_buffer("latest", torch.zeros(2, 4))

    def loss(self, views):
        first, second = (normalize(self.head(dropout(self.encoder(v.images).pooled)), dim=-1) for v in views[:2])
        third = self.teacher(views[2].images).pooled
        with torch.no_grad():
            self.latest.copy_(second[:2])
        logits = torch.cat([(first * second).sum(-1, keepdim=True), first @ self.queue.T], 1) / 0.2
        return (
            logits.logsumexp(1).mean()
            - logits[:, 0].mean()
            + (self.encoder(views[2].images).pooled - third).square().mean()
        )

    @torch.no_grad()
    def after_step(self, progress):
        self.queue.copy_(torch.cat([self.queue[2:], self.latest]))
        for own, other in zip(self.teacher.parameters(), self.encoder.parameters(), strict=True):
            own.lerp_(other, 0.1 * (1 - progress))


def make(kind=Toy):
    return kind(Tiny())


class Stopped(Exception):
    pass


def train(recipe=RECIPE, *, kind=Toy, images=IMAGES, seed=0, partial=None, stop=None):
    def progress(what, done, of):
        if stop and done == stop * recipe.batch_size:
            raise Stopped

    return pretrain(lambda: make(kind), images, recipe, views=kind.views, seed=seed, partial=partial, progress=progress)


def same(one, other):
    assert repr(one.history) == repr(other.history)  # where nan is nan
    assert one.weights.keys() == other.weights.keys()
    return all(torch.equal(one.weights[k], other.weights[k]) for k in one.weights)


# ------------------------------------------------------------------------------------------- interruptions


@pytest.mark.parametrize(("optimizer", "accumulate"), [("adamw", 1), ("adamw", 2), ("sgd", 1), ("lars", 2)])
def test_stopped_at_any_step_it_ends_with_the_same_bytes(tmp_path, optimizer, accumulate):
    recipe = replace(RECIPE, optimizer=optimizer, accumulate=accumulate)
    whole = train(recipe)
    for stop in (1, 3, 4, 6, 7):  # after the first, within an epoch, at its end, within the next, before the last
        with pytest.raises(Stopped):
            train(recipe, partial=tmp_path / str(stop), stop=stop)
        assert same(whole, train(recipe, partial=tmp_path / str(stop))), stop


def test_stopped_again_and_again(tmp_path):
    for stop in (2, 3, 6):
        with pytest.raises(Stopped):
            train(partial=tmp_path, stop=stop)
    assert same(train(), train(partial=tmp_path))
    assert same(train(), train(partial=tmp_path))  # what is finished is not trained further


SCRIPT = """
import sys
from functools import partial
from pathlib import Path
import torch
from bench.checks import RECIPE, pictures, small
from bench.pretrain import pretrain
from bench.registry import discover

torch.set_num_threads(1)
simclr = discover().get("method", "simclr", where="test")
pretrain(partial(small, simclr), pictures(), RECIPE, views=simclr.load().views, seed=0, partial=Path(sys.argv[1]),
         progress=lambda what, done, of: print(done, flush=True))
"""


def test_killed_for_real_it_ends_with_the_same_bytes(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert [process.stdout.readline().strip() for _ in range(3)] == ["16", "32", "48"]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    simclr, told = discover().get("method", "simclr", where="test"), []

    def run(folder):
        return pretrain(
            partial(small, simclr), pictures(), CHECKED, views=simclr.load().views, seed=0, partial=folder,
            progress=lambda what, done, of: told.append(done),
        )  # fmt: skip

    rest = run(tmp_path)
    assert told[0] in (64, 80)  # it went on, and did not begin again
    assert same(run(None), rest)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[content.index(torch.load(path, weights_only=True)["method"]["queue"].numpy().tobytes())] ^= 1
    path.write_bytes(content)


def without(key):
    def damage(path):
        state = torch.load(path, weights_only=True)
        del state[key]
        torch.save(state, path)

    return damage


def with_another_shape(path):
    state = torch.load(path, weights_only=True)
    state["method"]["head.weight"] = torch.zeros(5, 8)
    torch.save(state, path)


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "no checkpoint": lambda path: path.write_text("step 7"),
    "one bit": flip_a_bit,
    "no optimiser": without("optimizer"),
    "no weights": without("method"),
    "of another method": with_another_shape,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_put_aside_and_costs_only_time(tmp_path, damage):
    with pytest.raises(Stopped):
        train(partial=tmp_path, stop=5)
    damage(tmp_path / "state.pt")
    (tmp_path / "state.pt.draft").write_bytes(b"half a checkpo")
    assert same(train(), train(partial=tmp_path))
    assert (tmp_path / "state.damaged").exists()


# ------------------------------------------------------------------------------------------- what is computed


class Plain(Method):
    """A mean over images of views that are always the whole image, so that a batch may be split as one likes."""

    views = Views(
        global_crops=1, global_scale=(1.0, 1.0), aspect=(1.0, 1.0), flip=0.0, jitter_prob=0.0, grey_prob=0.0,
        blur_prob=0.0,
    )  # fmt: skip
    sizes: list[int] = []  # noqa: RUF012

    def loss(self, views):
        assert len(views) == 1
        self.sizes.append(len(views[0].images))
        return (self.encoder(views[0].images).pooled.sum(-1) - 1).square().mean()


def test_accumulation_changes_neither_loss_nor_weights():
    # ConvNeXt has no batch-norm; with SGD a wrong factor of the gradient would show.
    recipe = replace(RECIPE, epochs=1, optimizer="sgd", lr=1e-3, image_size=32)
    found = {}
    for parts in (1, 2, 4):
        Plain.sizes.clear()
        found[parts] = pretrain(
            lambda: Plain(TimmEncoder("convnext_atto", image_size=32)), IMAGES[:16], replace(recipe, accumulate=parts),
            views=Plain.views, seed=0,
        )  # fmt: skip
        assert Plain.sizes == [8 // parts] * 2 * parts
    for parts in (2, 4):
        assert found[parts].history["loss"] == pytest.approx(found[1].history["loss"], rel=1e-5)
        for name, value in found[1].weights.items():
            torch.testing.assert_close(found[parts].weights[name], value, rtol=1e-4, atol=1e-6)


class Counter(Method):
    """Its loss is the number of steps done."""

    def __init__(self, encoder):
        super().__init__(encoder)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("bad", torch.tensor(math.inf))
        self.shares = []

    def loss(self, views):
        zero = 0 * self.encoder(views[0].images).pooled.sum()
        return zero + self.count if self.count < self.bad else zero + math.nan

    def after_step(self, progress):
        self.count += 1
        self.shares.append(progress)


def test_history_is_the_mean_loss_of_each_epoch_also_when_resumed(tmp_path):
    assert train(kind=Counter).history["loss"] == [1.5, 5.5]
    with pytest.raises(Stopped):
        train(kind=Counter, partial=tmp_path, stop=6)
    assert train(kind=Counter, partial=tmp_path).history["loss"] == [1.5, 5.5]


def test_after_step_is_told_the_share_done():
    method = make(Counter)
    pretrain(lambda: method, IMAGES, RECIPE, views=Counter.views, seed=0)
    assert method.shares == pytest.approx([(i + 1) / STEPS for i in range(STEPS)])


def test_each_epoch_sees_each_image_once_in_an_order_of_its_own():
    class Watcher(Method):
        views = Plain.views

        def loss(self, views):
            seen.extend(views[0].images.mean((1, 2, 3)).tolist())
            return self.encoder(views[0].images).pooled.sum()

    seen = []
    train(kind=Watcher)
    first, second = seen[:32], seen[32:]
    assert len({round(v, 5) for v in first}) == len({round(v, 5) for v in second}) == 32
    assert first != second
    seen.clear()
    train(kind=Watcher, seed=1)
    assert first != seen[:32]


def test_progress_is_told_after_each_step():
    told = []
    trained = pretrain(make, IMAGES, RECIPE, views=Toy.views, seed=0, progress=lambda *what: told.append(what))
    assert told == [("images", 8 * (step + 1), 8 * STEPS) for step in range(STEPS)]
    assert 0 < trained.images_per_second < math.inf


def test_the_weights_are_the_encoders_and_trained():
    trained = train()
    assert trained.weights.keys() == Tiny().state_dict().keys()
    Tiny().load_state_dict(trained.weights)
    assert trained.weights["norm.num_batches_tracked"] == 3 * STEPS  # three passes of it a step
    assert trained.weights["conv.weight"].std() > 0


# ------------------------------------------------------------------------------------------- random numbers


def test_a_seed_is_a_result():
    assert same(train(seed=3), train(seed=3))
    other = train(seed=4)
    assert not torch.equal(train(seed=3).weights["conv.weight"], other.weights["conv.weight"])


class Seeder(Method):
    """A plug-in that seeds everything there is, all the time."""

    views = Toy.views

    def __init__(self, encoder):
        super().__init__(encoder)
        self.inner = Toy(encoder)
        self.seed_all()

    def seed_all(self):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)

    def loss(self, views):
        loss = self.inner.loss(views)
        self.seed_all()
        return loss


def test_a_plug_in_that_seeds_everything_changes_no_other():
    whole = train()
    numpy = np.random.get_state()[1].tolist()
    train(seed=5)
    assert np.random.get_state()[1].tolist() == numpy  # the loop does not draw from it
    first = train(kind=Seeder, seed=0)
    assert same(whole, train())
    second = train(kind=Seeder, seed=1)
    assert not torch.equal(first.weights["conv.weight"], second.weights["conv.weight"])


# ------------------------------------------------------------------------------------------- clear ends


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step():
    def failing():
        method = make(Counter)
        method.bad.fill_(5)
        return method

    with pytest.raises(BenchError, match=r"the loss is nan at step 5 \(epoch 1, learning rate"):
        pretrain(failing, IMAGES, RECIPE, views=Counter.views, seed=0)


def test_a_corpus_smaller_than_a_batch_and_parts_that_do_not_divide_it():
    with pytest.raises(BenchError, match="batch_size 8 is more than the corpus's 7 images"):
        train(images=IMAGES[:7])
    assert len(train(images=IMAGES[:8]).history["loss"]) == 2
    with pytest.raises(BenchError, match=r"multiple of accumulate x devices \(3 x 1\)"):
        train(replace(RECIPE, accumulate=3))


# ------------------------------------------------------------------------------------------- several processes


def simclr(lr=1e-3):
    plugin = discover().get("method", "simclr", where="test")
    recipe = Pretrain(backbone="resnet10t", image_size=32, epochs=2, batch_size=16, lr=lr, warmup_epochs=0.0)
    # At this temperature all similarities are 0: the loss is the logarithm of how many views one is told from.
    entry = MethodEntry("simclr", plugin, {"temperature": 1e4, "hidden": 16, "dim": 8}, recipe, {})
    return partial(build_method, entry, "random"), recipe, plugin.load().views


def test_two_processes_learn_from_each_others_negatives_by_the_threads_asked_for(tmp_path, monkeypatch, one_thread):
    build, recipe, views = simclr()
    np.save(tmp_path / "corpus.npy", pictures(32))
    corpus = np.load(tmp_path / "corpus.npy", mmap_mode="c")
    trained = pretrain(build, corpus, recipe, views=views, seed=0, devices=2)
    together = math.log(2 * 16 - 1)  # each on its own: log(2 * 8 - 1)
    assert trained.history["loss"] == pytest.approx([together] * 2, abs=1e-3)
    encoder = TimmEncoder("resnet10t", image_size=32)
    encoder.load_state_dict(trained.weights)
    assert all(value.isfinite().all() for value in trained.weights.values())
    assert trained.weights["model.bn1.num_batches_tracked"] == 8  # two views in each of two epochs of two steps
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # what the machine would have them use changes last bits
    again = pretrain(build, corpus, recipe, views=views, seed=0, devices=2).weights
    assert all(torch.equal(again[name], trained.weights[name]) for name in again)


def test_two_processes_fail_as_one_does():
    build, recipe, views = simclr(lr=1e30)
    with pytest.raises(BenchError, match=r"^the loss is nan at step 1 \(epoch 0"):
        pretrain(build, pictures(32), recipe, views=views, seed=0, devices=2)
