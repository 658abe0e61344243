"""Weights from files: all of them or none, whatever the file calls them, and a refusal names the file and the key."""

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from bench.encoders.checkpoint import load_weights
from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.keys import file_digest
from bench.random import seed_library
from bench.spec import Weights

VIT = "vit_tiny_patch16_224 patch_size=8 depth=2 embed_dim=24 num_heads=2"


def encoder(*name, backbone="resnet10t", image_size=32):
    seed_library("test", *name)
    return TimmEncoder(backbone, image_size=image_size)


@pytest.fixture(scope="module")
def source():
    return encoder("source")


def write(path, weights):
    if path.suffix == ".safetensors":
        save_file({key: value.clone() for key, value in weights.items()}, path)
    else:
        torch.save(weights, path)
    return path


def equal(one, other):
    own, others = one.state_dict(), other.state_dict()
    return own.keys() == others.keys() and all(torch.equal(own[k], others[k]) for k in own)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "weights.pth", "weights.torch", "weights.bin"])
def test_round_trip(tmp_path, source, name):
    loaded = encoder("another")
    assert not equal(loaded, source)
    path = write(tmp_path / name, source.state_dict())
    load_weights(loaded, path)
    assert equal(loaded, source)
    assert loaded.loaded == {
        "file": name, "sha256": file_digest(path), "place": "", "prefix": "model.", "matched": len(source.state_dict()),
        "missing": [], "unexpected": 0, "resampled": [],
    }  # fmt: skip


def under(prefix, weights):
    return {prefix + key: value for key, value in weights.items()}


def wrapped(source):
    """The same weights in the forms that libraries and papers store them in."""
    flat, other = dict(source.model.state_dict()), dict(encoder("other").model.state_dict())
    head = {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    return {
        "torchvision, timm": flat | head,
        "lightly": {"state_dict": under("backbone.", flat) | under("projection_head.", head), "epoch": 3},
        "VISSL": {
            "classy_state_dict": {
                "base_model": {
                    "model": {"trunk": under("_feature_blocks.", flat), "heads": {"0.clf.weight": torch.zeros(3)}}
                }
            }
        },
        "MoCo": {
            "epoch": 200,
            "arch": "resnet50",
            "state_dict": under("module.encoder_k.", other | under("fc.", head)) | under("module.encoder_q.", flat),
            "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}},
        },
        "DINO": {"student": under("module.backbone.", other), "teacher": under("backbone.", flat), "epoch": 100},
        "BYOL": under("backbone_momentum.", other) | under("backbone.", flat),
        "solo-learn": {"state_dict": under("encoder.", flat) | under("classifier.", head), "hparams": {"lr": 0.1}},
        "AAAI-23": {"state_dict": under("module.intra.", flat)},
        "LVM-Med, detection": under("backbone.", flat),
        "without counters": {key: value for key, value in flat.items() if "num_batches" not in key},
    }


FORMS = list(wrapped(encoder("source")))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_and_of_several_networks_the_one_that_is_meant(tmp_path, source, form):
    path = write(tmp_path / "weights.pth", wrapped(source)[form])
    loaded = encoder("another")
    load_weights(loaded, path)
    assert equal(loaded, source)


def test_of_a_teacher_and_a_student_the_record_says_which(tmp_path, source):
    loaded = encoder("another")
    load_weights(loaded, write(tmp_path / "dino.pth", wrapped(source)["DINO"]))
    assert (loaded.loaded["place"], loaded.loaded["prefix"]) == ("teacher", "backbone.")


def test_torchvisions_resnet_and_lightlys_numbered_stages(tmp_path):
    seed_library("torchvision")
    theirs = torchvision.models.resnet18()
    stages = torch.nn.Sequential(*list(theirs.children())[:-1])
    images = torch.randn(2, 3, 64, 64)
    for name, weights in {"a": theirs.state_dict(), "b": under("backbone.", stages.state_dict())}.items():
        loaded = encoder(name, backbone="resnet18", image_size=64).eval()
        load_weights(loaded, write(tmp_path / f"{name}.pth", weights))
        torch.testing.assert_close(loaded(images).pooled, stages.eval()(images).flatten(1))


def test_half_precision_is_taken(tmp_path, source):
    half = {k: v.half() if v.is_floating_point() else v for k, v in source.state_dict().items()}
    loaded = encoder("another")
    load_weights(loaded, write(tmp_path / "half.safetensors", half))
    assert loaded.model.conv1[0].weight.dtype == torch.float32
    torch.testing.assert_close(loaded.state_dict(), source.state_dict(), atol=1e-3, rtol=1e-3)


def test_position_embeddings_of_another_grid_are_resampled_and_said_so(tmp_path):
    small = encoder("small", backbone=VIT, image_size=32)
    path = write(tmp_path / "vit.pth", small.model.state_dict())
    large = encoder("large", backbone=VIT, image_size=48)
    load_weights(large, path)
    assert large.loaded["resampled"] == ["pos_embed"]
    assert large.model.pos_embed.shape == (1, 37, 24)
    assert torch.equal(large.model.pos_embed[:, 0], small.model.pos_embed[:, 0])  # the class token has no place
    means = [model.pos_embed[:, 1:].mean() for model in (small.model, large.model)]
    torch.testing.assert_close(*means, atol=5e-3, rtol=0)
    assert torch.equal(large.model.blocks[1].attn.qkv.weight, small.model.blocks[1].attn.qkv.weight)


def test_no_file_changes_nothing(source):
    loaded = encoder("source")
    for none in (None, Weights()):
        load_weights(loaded, none)
        assert equal(loaded, source)
        assert loaded.loaded is None


# ------------------------------------------------------------------------------------------------------- refused

KEY = "layer1.0.conv1.weight"
FULL = f"model.{KEY}"


def changed(weights, change):
    weights = {k: v.clone() for k, v in weights.items()}
    change(weights)
    return weights


REFUSED = {
    "missing": (lambda w: w.pop(FULL), rf"no `{KEY}` \(\d+ of \d+ tensors match, from model.\*; if it may lack them"),
    "shape": (
        lambda w: w.update({FULL: torch.zeros(64, 32, 3, 3)}),
        rf"`{KEY}` is \(64, 32, 3, 3\) and not \(64, 64, 3, 3\)",
    ),
    "larger": (
        lambda w: w.update({"model.layer9.weight": torch.zeros(3)}),
        r"it also holds `layer9.weight`, and 0 more",
    ),
    "nan": (lambda w: w[FULL][0, 0].fill_(torch.nan), rf"`{KEY}` holds values that are not finite"),
    "infinite": (lambda w: w["model.bn1.running_var"].fill_(torch.inf), r"`bn1.running_var` holds .* not finite"),
    "renamed": (
        lambda w: [w.update({k.replace("layer", "stage"): w.pop(k)}) for k in list(w)],
        r"no `layer1.0.conv1.weight` .*It holds `stage1.0",
    ),
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


def test_another_architecture_is_refused_with_the_first_key_it_lacks(tmp_path, source):
    path = write(tmp_path / "weights.pth", encoder("vit", backbone=VIT).state_dict())
    with pytest.raises(
        BenchError, match=r"does not fit the backbone: no `conv1.0.weight` .*It holds `model.cls_token`"
    ):
        load_weights(encoder("another"), path)


def test_a_deeper_transformer_is_refused(tmp_path):
    """All tensors of the shallow one are there, in their shapes."""
    deep = encoder("deep", backbone=VIT.replace("depth=2", "depth=3"))
    with pytest.raises(BenchError, match=r"it also holds `blocks.2.norm1.weight`, and 11 more of a larger backbone"):
        load_weights(encoder("shallow", backbone=VIT), write(tmp_path / "deep.pth", deep.model.state_dict()))


def test_what_may_be_missing_is_named_and_drawn(tmp_path, source):
    weights = {k: v for k, v in source.state_dict().items() if "layer4" not in k}
    path = write(tmp_path / "weights.pth", weights)
    with pytest.raises(BenchError, match=r"no `layer4.0.conv1.weight`"):
        load_weights(encoder("another"), Weights(path, ("layer3.*",)))
    loaded = encoder("another")
    load_weights(loaded, Weights(path, ("layer4.*",)))
    assert torch.equal(loaded.model.layer3[0].conv1.weight, source.model.layer3[0].conv1.weight)
    assert torch.equal(loaded.model.layer4[0].conv1.weight, encoder("another").model.layer4[0].conv1.weight)
    assert "layer4.0.conv1.weight" in loaded.loaded["missing"]
    load_weights(encoder("more"), Weights(write(tmp_path / "whole.pth", source.state_dict()), ("layer4.*",)))
