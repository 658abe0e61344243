"""What the loop does for a method beside its loss: hooks around training, clipping, and the encoder that is kept."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.checks import pictures
from bench.collapse import verdict
from bench.data.storage import write
from bench.nn import embed, rising
from bench.pretrain import Corpus, pretrain
from bench.recipes import Pretrain
from bench.spec import Encoder, Features, Method, View, Views

RECIPE = Pretrain(image_size=16, epochs=3, batch_size=8, lr=0.01, warmup_epochs=0.0, checkpoint_minutes=0.0)
IMAGES = pictures(33)

pytestmark = pytest.mark.usefixtures("one_thread")


class Tiny(Encoder):
    """A convolution and a mean; what it sees is noted."""

    dim, map_dims, strides, image_size = 4, (4,), (2,), 16
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.seen = []

    def forward(self, images):
        self.seen.append((len(images), images.shape[2], self.training))
        maps = self.conv(images)
        return Features(maps.mean((2, 3)), (maps,))


class Remembering(Method):
    """A row an image, filled before the first epoch; classes drawn before each; a teacher that is kept."""

    views = Views(global_crops=1)

    def __init__(self, encoder):
        super().__init__(encoder)
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)
        self.told = []

    def begin(self, images):
        self.told.append(("begin", images))
        self.register_buffer("memory", torch.zeros(images))
        self.register_buffer("classes", torch.zeros(images))

    def before_epoch(self, epoch, batches):
        self.told.append(("before", epoch, self.training))
        if epoch == 0:
            for views in batches:
                self.memory[views[0].numbers] += 1
        self.classes = torch.randn(len(self.classes))

    def loss(self, views):
        self.memory[views[0].numbers] += 100
        pooled = self.encoder(views[0].images).pooled
        return (pooled.mean(1) - self.classes[views[0].numbers]).square().mean()

    @torch.no_grad()
    def after_step(self, progress):
        for own, other in zip(self.teacher.parameters(), self.encoder.parameters(), strict=True):
            own.lerp_(other, 0.1)

    def trained(self):
        return self.teacher


class Stopped(Exception):
    pass


def train(images=IMAGES, recipe=RECIPE, *, partial=None, stop=None):
    made = []

    def build():
        made.append(Remembering(Tiny()))
        return made[-1]

    def progress(what, done, of):
        if stop and done == stop * recipe.batch_size:
            raise Stopped

    done = pretrain(build, images, recipe, views=Remembering.views, seed=0, partial=partial, progress=progress)
    return done, made[-1]


def test_the_hooks_come_in_order_and_the_corpus_can_be_seen_before_it_is_trained_on():
    _, method = train()
    assert method.told == [("begin", 33), ("before", 0, True), ("before", 1, True), ("before", 2, True)]
    # four batches of eight an epoch: what the first epoch trains on was shown before it, and trained on each time
    assert method.memory.sum() == 32 * 1 + 3 * 32 * 100
    assert (method.memory % 100 <= 1).all()
    assert ((method.memory % 100 == 1).sum(), (method.memory >= 200).sum() >= 30) == (32, True)


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_what_the_hooks_made_is_resumed(tmp_path, stop):
    whole, _ = train()
    with pytest.raises(Stopped):
        train(partial=tmp_path, stop=stop)
    rest, method = train(partial=tmp_path)
    assert all(torch.equal(whole.weights[k], rest.weights[k]) for k in whole.weights)
    assert whole.history == rest.history
    expected = [("before", epoch, True) for epoch in range(-(-stop // 4), 3)]
    assert method.told == [("begin", 33), *expected]


def test_the_encoder_that_the_method_names_is_kept_and_watched():
    done, method = train()
    assert all(torch.equal(done.weights[k], v) for k, v in method.teacher.state_dict().items())
    assert not torch.equal(done.weights["conv.weight"], method.encoder.conv.weight)
    watched = [seen for seen in method.teacher.seen if not seen[2]]
    assert watched == [(33, 16, False)] * 3  # all images, at the size they are evaluated at, once an epoch
    assert len(done.history["effective_rank"]) == len(done.history["embedding_std"]) == 3
    assert not [seen for seen in method.encoder.seen if not seen[2]]


def test_watching_changes_no_number(monkeypatch):
    watched, _ = train()
    monkeypatch.setattr("bench.pretrain.probe", lambda *args: {"effective_rank": 1.0, "embedding_std": 1.0})
    blind, _ = train()
    assert all(torch.equal(watched.weights[k], blind.weights[k]) for k in watched.weights)
    assert watched.history["loss"] == blind.history["loss"]


def test_a_gradient_is_clipped_to_the_norm_that_the_recipe_states():
    class Steep(Method):
        def loss(self, views):
            return 1000 * self.encoder(views[0].images).pooled.square().mean()

    def moved(clip):
        recipe = replace(RECIPE, optimizer="sgd", lr=1.0, weight_decay=0.0, schedule="constant", epochs=1, clip=clip)
        method = Steep(Tiny())
        before = method.encoder.conv.weight.detach().clone()
        after = []

        def progress(what, done, of):
            after.append(method.encoder.conv.weight.detach().clone())
            raise Stopped

        with pytest.raises(Stopped):
            pretrain(lambda: method, IMAGES, recipe, views=Steep.views, seed=0, progress=progress)
        return float((after[0] - before).norm())

    assert moved(0.0) > 10
    assert 0.05 < moved(0.1) <= 0.1 * (1 + 1e-5)  # the bias has a share of the norm


@pytest.mark.parametrize("kind", ["memmap", "shards"])
def test_a_built_corpus_is_trained_on_less_what_is_left_out(tmp_path, kind):
    write(tmp_path, np.moveaxis(IMAGES, 1, 3), size=48, kind=kind, codec="png", per_shard=4)
    _, method = train(Corpus(tmp_path, frozenset({0, 7})))
    assert method.told[0] == ("begin", 33)
    assert (method.memory[[0, 7]] == 0).all()
    assert (method.memory > 0).sum() == 31
    done, _ = train(Corpus(tmp_path))
    again, _ = train(Corpus(tmp_path))
    assert done.images == 33
    assert all(torch.equal(done.weights[k], again.weights[k]) for k in done.weights)
    if kind == "memmap":
        held, _ = train()
        assert all(torch.equal(done.weights[k], held.weights[k]) for k in done.weights)


@pytest.mark.parametrize("stop", [3, 6])
def test_a_stream_is_resumed_where_it_was(tmp_path, stop):
    write(tmp_path / "corpus", np.moveaxis(IMAGES, 1, 3), size=48, kind="shards", codec="png", per_shard=4)
    corpus = Corpus(tmp_path / "corpus")
    whole, _ = train(corpus)
    with pytest.raises(Stopped):
        train(corpus, partial=tmp_path / "partial", stop=stop)
    rest, _ = train(corpus, partial=tmp_path / "partial")
    assert all(torch.equal(whole.weights[k], rest.weights[k]) for k in whole.weights)


def test_views_of_one_size_go_through_together():
    def view(side):
        zeros = torch.zeros(2, 4)
        return View(torch.randn(2, 3, side, side), zeros, zeros[:, :2].bool(), torch.arange(2))

    encoder, views = Tiny(), [view(16), view(16), view(8)]
    found = embed(encoder, views)
    assert [seen[:2] for seen in encoder.seen] == [(4, 16), (2, 8)]
    for features, view in zip(found, views, strict=True):
        alone = encoder(view.images)
        assert torch.allclose(features.pooled, alone.pooled, atol=1e-6)
        assert torch.allclose(features.maps[0], alone.maps[0], atol=1e-6)


def test_a_momentum_rises_to_one():
    assert rising(0.9, 0.0) == pytest.approx(0.9)
    assert rising(0.9, 0.5) == pytest.approx(0.95)
    assert rising(0.9, 1.0) == 1.0


@pytest.mark.parametrize(
    ("rank", "std", "said"),
    [(50.0, 0.5, ""), (50.0, 0.001, "nearly the same embedding"), (1.5, 0.3, "few directions"), (1.0, 0.0, "nearly")],
)
def test_a_collapse_is_told_from_the_last_epoch(rank, std, said):
    found = verdict({"loss": [1.0, 1.0], "effective_rank": [1.0, rank], "embedding_std": [0.0, std]})
    assert (said in found) if said else found == ""
