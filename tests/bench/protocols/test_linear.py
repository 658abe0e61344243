"""Heads on frozen features: what is trained, what is chosen on, what is kept."""

import inspect
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.protocols._data import Labelled
from bench.protocols._heads import fit, forward
from bench.protocols.knn import knn
from bench.protocols.linear import RATES, linear, linear_mlp, rates
from bench.random import generator

rates = inspect.unwrap(rates)  # without the tests' type checks: a grid may hold anything
score, score_mlp = linear.fit_and_score, linear_mlp.fit_and_score


# ------------------------------------------------------------------------------------------- the batched pass

EPOCHS, BATCH, GRID = 4, 16, (1e-4, 3e-3, 1e-2, 0.1)


def separate(train, val, sizes, decay, name):
    """Each rate by itself, with torch's own layer and optimiser: (rate, epoch) -> model, accuracy, loss."""
    found = {}
    for rate in GRID:
        draws, layers = generator(name), []
        for inputs, outputs in pairwise(sizes):
            layer = nn.Linear(inputs, outputs)
            start = (torch.rand(inputs + 1, outputs, generator=draws) * 2 - 1) * inputs**-0.5
            with torch.no_grad():
                layer.weight.copy_(start[:-1].T)
                layer.bias.copy_(start[-1])
            layers += [nn.ReLU(), layer] if layers else [layer]
        model = nn.Sequential(*layers)
        adam = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
        for epoch in range(1, EPOCHS + 1):
            for rows in torch.randperm(len(train.inputs), generator=draws).split(BATCH):
                adam.zero_grad()
                nn.functional.cross_entropy(model(train.inputs[rows]), train.targets[rows]).backward()
                adam.step()
            with torch.no_grad():
                logits = model(val.inputs)
            right = (logits.argmax(-1) == val.targets).float().mean().item()
            loss = nn.functional.cross_entropy(logits, val.targets).item()
            found[rate, epoch] = logits, right, loss
    return found


def problem(n=70, dim=6, classes=5):
    draws = generator("problem")
    train = Labelled(torch.randn(n, dim, generator=draws), torch.randint(classes, (n,), generator=draws))
    val = Labelled(torch.randn(300, dim, generator=draws), torch.randint(classes, (300,), generator=draws))
    return train, val


def fitted(train, val, sizes, decay, name):
    return fit(
        train, val, sizes=sizes, rates=GRID, epochs=EPOCHS, batch_size=BATCH, weight_decay=decay,
        generator=generator(name),
    )  # fmt: skip


@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("sizes", [(6, 5), (6, 16, 7, 5)], ids=["linear", "mlp"])
def test_the_grid_is_as_good_as_each_of_its_members(sizes, decay):
    train, val = problem()
    members = separate(train, val, sizes, decay, "start")
    for rate in GRID:
        # Against labels that are one member's own predictions, that member is the best of the grid.
        own = replace(val, targets=members[rate, EPOCHS][0].argmax(-1))
        best = fitted(train, own, sizes, decay, "start")
        assert best.lr == rate
        assert best.accuracy == pytest.approx(1, abs=0.01)  # a logit may be as high as another, but for rounding
        expected = members[rate, best.epoch][0]
        torch.testing.assert_close(forward(best.layers, val.inputs)[0], expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_the_best_on_validation_is_kept_and_of_equals_the_one_with_the_lower_loss(name):
    train, val = problem()
    val = Labelled(val.inputs[:20], val.targets[:20])  # few, so that accuracies are often equal
    members = separate(train, val, (6, 5), 0.0, name)
    rate, epoch = max(members, key=lambda at: (members[at][1], -members[at][2]))
    best = fitted(train, val, (6, 5), 0.0, name)
    assert (best.lr, best.epoch) == (rate, epoch)
    assert best.accuracy == pytest.approx(members[rate, epoch][1])
    assert best.loss == pytest.approx(members[rate, epoch][2], rel=1e-4)


# ------------------------------------------------------------------------------------------- the protocol


def test_it_learns_and_gives_one_value_for_each_test_case(encoder, make_context, colours):
    for protocol in (score, score_mlp):
        found = protocol(encoder(), make_context(), epochs=30)
        assert found.cases == tuple(case.id for case in colours.test)
        targets = np.array([case.target for case in colours.test])
        probabilities = found.predictions["probabilities"]
        assert probabilities.shape == (12, 3)
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
        np.testing.assert_array_equal(found.predictions["targets"], targets)
        np.testing.assert_array_equal(found.values["accuracy"], probabilities.argmax(1) == targets)
        np.testing.assert_allclose(found.values["log_loss"], -np.log(probabilities[range(12), targets]), rtol=1e-5)
        assert found.values["accuracy"].mean() >= 11 / 12


@pytest.mark.parametrize("protocol", [score, score_mlp])
def test_test_data_have_no_part_in_the_choice(encoder, make_context, poisoned, protocol):
    clean = protocol(encoder(), make_context())
    bad = protocol(encoder(), make_context(splits=poisoned, fingerprint="poisoned"))
    assert bad.chosen == clean.chosen
    assert bad.values["accuracy"].mean() < clean.values["accuracy"].mean()


def test_validation_makes_the_choice(encoder, make_context, colours):
    wrong = replace(colours, val=tuple(replace(case, target=(case.target + 1) % 3) for case in colours.val))
    clean, misled = score(encoder(), make_context()), score(encoder(), make_context(splits=wrong))
    assert misled.chosen["val_accuracy"] < clean.chosen["val_accuracy"]
    assert (misled.chosen["lr"], misled.chosen["epoch"]) != (clean.chosen["lr"], clean.chosen["epoch"])


@pytest.mark.parametrize("protocol", [score, score_mlp, knn.fit_and_score])
def test_the_encoder_is_frozen_altogether(encoder, make_context, protocol):
    model = encoder().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    protocol(model, make_context())
    after = model.state_dict()
    assert "norm.running_mean" in before
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in model.parameters())


def test_a_seed_is_a_result(encoder, make_context):
    first, again, other = (score(encoder(), make_context(seed=seed)).predictions["probabilities"] for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_the_rate_is_pinned_or_listed(encoder, make_context):
    assert score(encoder(), make_context(), lr=5e-4).chosen["lr"] == 5e-4
    assert score(encoder(), make_context(), lr=[1e-9, 1e-2]).chosen["lr"] == 1e-2
    assert score(encoder(), make_context()).chosen["lr"] in RATES
    assert rates(None) == RATES
    assert rates(1) == (1.0,)
    assert rates((0.1, 1)) == (0.1, 1.0)
    assert len(RATES) == 10
    assert 5e-4 in RATES  # the paper's


@pytest.mark.parametrize("bad", [0, -1e-3, float("inf"), float("nan"), "fast", True, [], [0.1, -1.0], [[0.1]], {}])
def test_a_rate_that_is_none(bad):
    with pytest.raises(BenchError, match=r"^lr: expected a number above 0, or a list of such, got "):
        rates(bad)


# ------------------------------------------------------------------------------------------- features are kept


def test_features_are_made_once_for_every_seed_setting_and_protocol(encoder, make_context):
    model = encoder()
    score(model, make_context())
    assert model.passes == 1
    score(model, make_context(seed=1))
    score(model, make_context(), lr=1e-3, epochs=3, batch_size=7, weight_decay=0.1)
    score_mlp(model, make_context(), hidden=(4,))
    knn.fit_and_score(model, make_context(seed=2), k=3)
    assert model.passes == 1
    other = encoder()
    score(other, make_context())
    assert other.passes == 0  # the same weights in another object, as a second process has them


def test_what_changes_the_features_makes_them_anew(encoder, make_context):
    model = encoder()
    before = score(model, make_context())
    changes = {
        "weight": lambda: model.conv.weight.data[0, 0, 0, 0].add_(1e-3),
        "batch-norm statistic": lambda: model.norm.running_mean[0].add_(0.1),
        "normalisation": lambda: setattr(model, "mean", (0.4, 0.5, 0.5)),
    }
    for passes, (what, change) in enumerate(changes.items(), start=2):
        change()
        score(model, make_context())
        assert model.passes == passes, what
    score(model, make_context(), image_size=20)
    score(model, make_context(fingerprint="other data"))
    assert model.passes == 6
    unchanged = encoder()
    assert score(unchanged, make_context()).predictions["probabilities"].tobytes() == (
        before.predictions["probabilities"].tobytes()
    )
    assert unchanged.passes == 0


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_another_shape(path):
    np.save(path, np.zeros((59, 8), np.float32))


def of_another_type(path):
    np.save(path, np.load(path).astype(np.float64))


@pytest.mark.parametrize(
    "damage", [half, of_another_shape, of_another_type, lambda p: p.write_bytes(b""), lambda p: p.unlink()]
)
def test_a_damaged_feature_file_is_made_again(encoder, make_context, damage):
    model = encoder()
    before = score(model, make_context())
    (path,) = (make_context().cache / "features").glob("*.npy")
    whole = path.read_bytes()
    damage(path)
    after = score(model, make_context())
    assert model.passes == 2
    assert path.read_bytes() == whole
    assert after.predictions["probabilities"].tobytes() == before.predictions["probabilities"].tobytes()


def test_a_head_that_diverges_is_never_chosen():
    draws = generator("diverges")
    inputs = torch.randn(16, 3, generator=draws)
    targets = torch.zeros(16, dtype=torch.long)  # a head of NaN logits "predicts" class 0, and would be right
    facts = {"sizes": (3, 2), "epochs": 2, "batch_size": 8, "weight_decay": 0.0}
    data = Labelled(inputs, targets)
    best = fit(data, data, rates=(1e-3, 1e38), generator=generator("a"), **facts)
    assert best.lr == 1e-3
    broken = Labelled(inputs * float("nan"), targets)
    with pytest.raises(BenchError, match="no head has a finite loss"):
        fit(broken, broken, rates=(1e-3,), generator=generator("a"), **facts)


def test_a_size_that_the_encoder_does_not_take_is_refused_with_the_next_one(make_context):
    said = r"images of 30 px; this encoder takes multiples of its patch of 8 px: image_size = 32"
    with pytest.raises(BenchError, match=said):
        score(TimmEncoder("test_vit patch_size=8", image_size=32), make_context(), image_size=30)
