"""Training everything: the epoch is validation's choice, and test is looked at when that is made."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.encoders.timm import TimmEncoder
from bench.protocols._data import images, split
from bench.protocols.finetune import Classifier, finetune, finetune_mlp, predict, train_epoch
from bench.random import generator, seed_library

score, score_mlp = finetune.fit_and_score, finetune_mlp.fit_and_score
QUICK = {"epochs": 6, "lr": 0.02, "batch_size": 8}


@pytest.mark.parametrize("protocol", [score, score_mlp])
def test_it_trains_the_encoder_and_gives_one_value_for_each_test_case(encoder, make_context, colours, protocol):
    model = encoder()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = protocol(model, make_context(), epochs=12, lr=0.02, batch_size=8)
    after = model.state_dict()
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    assert found.cases == tuple(case.id for case in colours.test)
    probabilities, targets = found.predictions["probabilities"], found.predictions["targets"]
    assert targets.tolist() == [case.target for case in colours.test]
    np.testing.assert_array_equal(found.values["accuracy"], probabilities.argmax(1) == targets)
    np.testing.assert_allclose(found.values["log_loss"], -np.log(probabilities[range(12), targets]), rtol=1e-5)
    assert found.values["accuracy"].mean() >= 10 / 12


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_epoch_is_the_last_of_the_best_on_validation(encoder, make_context, seed):
    context = make_context(seed=seed)
    found = score(encoder(), context, **QUICK)

    parts = split(context, torch.from_numpy(images(context, 16)))
    reference = encoder()
    seed_library("finetune", "colours", seed)
    model = Classifier(reference, (8, 3)).to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    draws, accuracies, tests = generator("finetune order", "colours", seed), [], []
    for _ in range(6):
        train_epoch(model, parts["train"], adam, torch.randperm(33, generator=draws), 8, "cpu")
        right = predict(model, parts["val"].inputs, "cpu").argmax(1) == parts["val"].targets
        accuracies.append(right.float().mean().item())
        tests.append(predict(model, parts["test"].inputs, "cpu").numpy())
    best = max(range(6), key=lambda epoch: (accuracies[epoch], epoch))
    assert found.chosen == {"epoch": best + 1, "val_accuracy": pytest.approx(accuracies[best])}
    np.testing.assert_array_equal(found.predictions["probabilities"], tests[best])


def test_test_data_have_no_part_in_it(encoder, make_context, poisoned):
    clean, misled = encoder(), encoder()
    first = score(clean, make_context(), **QUICK)
    second = score(misled, make_context(splits=poisoned, fingerprint="poisoned"), **QUICK)
    assert second.chosen == first.chosen
    own, others = clean.state_dict(), misled.state_dict()
    assert all(torch.equal(own[name], others[name]) for name in own)
    assert second.values["accuracy"].mean() < first.values["accuracy"].mean()


def test_test_images_are_shown_to_the_encoder_once_and_last(encoder, make_context):
    model, shown = encoder(), []
    model.register_forward_hook(lambda model, inputs, output: shown.append((model.training, len(inputs[0]))))
    score(model, make_context(), **{**QUICK, "epochs": 2})
    epoch = [(True, 8)] * 4 + [(False, 15)]  # 33 in batches of 8: the last image is left out; then validation's 15
    assert shown == epoch * 2 + [(False, 12)]


def test_a_last_batch_of_one_image_is_survived(make_context, colours):
    seed_library("test")
    encoder = TimmEncoder("resnet10t", image_size=32)  # its last map is of one pixel, of which there is no variance
    splits = replace(colours, train=colours.train[:9])
    found = score(encoder, make_context(splits=splits), epochs=1, batch_size=4)
    assert np.isfinite(found.values["log_loss"]).all()
    assert found.values["log_loss"].shape == (12,)


def test_a_seed_is_a_result(encoder, make_context):
    first, again, other = (
        score(encoder(), make_context(seed=seed), **QUICK).predictions["probabilities"].tobytes() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_heads_have_the_layers_they_state(encoder):
    shapes = [
        [tuple(p.shape) for p in Classifier(encoder(), sizes).head.parameters() if p.ndim > 1]
        for sizes in ((8, 3), (8, 512, 256, 3))
    ]
    assert shapes == [[(3, 8)], [(512, 8), (256, 512), (3, 256)]]
    assert [type(layer).__name__ for layer in Classifier(encoder(), (8, 5, 4, 3)).head] == (
        ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    )


def test_progress_is_told_after_each_epoch(encoder, make_context):
    told = []
    score(encoder(), make_context(progress=lambda *what: told.append(what)), **QUICK)
    assert told == [("epochs", epoch, 6) for epoch in range(1, 7)]
