"""Weights from files: all of them or none, and a refusal names the file and what is wrong with it."""

import os

import pytest
import torch
from safetensors.torch import save_file

from bench.encoders.checkpoint import load_weights, read_weights
from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.random import seed_library


def encoder(*name):
    seed_library("test", *name)
    return TimmEncoder("resnet10t", image_size=32)


@pytest.fixture(scope="module")
def source():
    return encoder("source")


def write(path, weights):
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


def equal(one, other):
    own, others = one.state_dict(), other.state_dict()
    return own.keys() == others.keys() and all(torch.equal(own[k], others[k]) for k in own)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "weights.pth"])
def test_round_trip(tmp_path, source, name):
    loaded = encoder("another")
    assert not equal(loaded, source)
    load_weights(loaded, write(tmp_path / name, source.state_dict()))
    assert equal(loaded, source)


@pytest.mark.parametrize("name", ["timm.safetensors", "timm.pth"])
@pytest.mark.parametrize("classifier", ["fc.weight", "head.fc.bias", "classifier.weight", "head.weight"])
def test_timms_own_keys_and_a_classifier_left_over(tmp_path, source, name, classifier):
    weights = dict(source.model.state_dict()) | {classifier: torch.zeros(1000)}
    loaded = encoder("another")
    load_weights(loaded, write(tmp_path / name, weights))
    assert equal(loaded, source)


def test_half_precision_is_taken(tmp_path, source):
    half = {k: v.half() if v.is_floating_point() else v for k, v in source.state_dict().items()}
    loaded = encoder("another")
    load_weights(loaded, write(tmp_path / "half.safetensors", half))
    assert loaded.model.conv1[0].weight.dtype == torch.float32
    torch.testing.assert_close(loaded.state_dict(), source.state_dict(), atol=1e-3, rtol=1e-3)


KEY = "model.layer1.0.conv1.weight"


def changed(weights, change):
    weights = {k: v.clone() for k, v in weights.items()}
    change(weights)
    return weights


REFUSED = {
    "missing": (lambda w: w.pop(KEY), rf"no `{KEY}` \(\d+ tensors wanted, \d+ there\)"),
    "shape": (
        lambda w: w.update({KEY: torch.zeros(64, 32, 3, 3)}),
        rf"`{KEY}` is \(64, 32, 3, 3\) and not \(64, 64, 3, 3\)",
    ),
    "extra": (lambda w: w.update({"model.layer9.weight": torch.zeros(3)}), r"it also holds `model.layer9.weight` \(1 "),
    "nan": (lambda w: w[KEY][0, 0].fill_(torch.nan), rf"`{KEY}` holds values that are not finite"),
    "infinite": (lambda w: w["model.bn1.running_var"].fill_(torch.inf), r"`model.bn1.running_var` holds .* not finite"),
    "empty": (lambda w: w.clear(), r"does not fit the backbone: no `model.conv1.0.weight`"),
}


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_loaded(tmp_path, source, name, change, message):
    path = write(tmp_path / name, changed(source.state_dict(), change))
    loaded = encoder("another")
    with pytest.raises(BenchError, match=message) as error:
        load_weights(loaded, path)
    assert str(error.value).startswith(f"{path}: ")
    assert equal(loaded, encoder("another"))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_is_refused_and_does_not_run(tmp_path, legacy):
    path = tmp_path / "weights.pth"
    torch.save({"a": Bomb(tmp_path / "ran")}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BenchError, match="holds more than tensors, or no tensors at all, and is not loaded") as error:
        read_weights(path)
    assert str(error.value).startswith(f"{path}: ")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, source, name, keep):
    path = write(tmp_path / name, source.state_dict())
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    with pytest.raises(BenchError) as error:
        load_weights(encoder("another"), path)
    assert str(error.value).startswith(f"{path}: not a readable weights file")


def test_what_is_no_state_dict(tmp_path, source):
    for content in ([torch.zeros(1)], torch.zeros(1), {"state_dict": source.state_dict(), "epoch": 3}, {"a": 1}):
        torch.save(content, tmp_path / "weights.pth")
        with pytest.raises(BenchError, match=r"weights.pth: must be a flat mapping of names to tensors"):
            read_weights(tmp_path / "weights.pth")
    (tmp_path / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BenchError, match=r"pointer.pth: holds .* no tensors at all, and is not loaded"):
        read_weights(tmp_path / "pointer.pth")
    for name in ("none.safetensors", "none.pth"):
        with pytest.raises(BenchError, match=rf"{name}: no such weights file"):
            read_weights(tmp_path / name)
    with pytest.raises(BenchError, match="not a readable weights file"):
        read_weights(tmp_path)
