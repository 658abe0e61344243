"""timm's backbones as encoders: what they state is what they give, and it is what timm gives."""

import math

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.random import seed_library

SIZE = 64
# Pooled length, and channels and stride of each map, as the papers of the architectures have them.
BACKBONES = {
    "resnet10t": (512, [(64, 2), (64, 4), (128, 8), (256, 16), (512, 32)]),
    "vit_tiny_patch16_224": (192, [(192, 16)] * 4),
    "convnext_atto": (320, [(40, 4), (80, 8), (160, 16), (320, 32)]),
    "mobilenetv3_small_050": (1024, [(16, 2), (8, 4), (16, 8), (24, 16), (288, 32)]),
}


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Empty caches of timm's two sources of weights."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


@pytest.fixture
def images():
    return torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def built(backbone, **options):
    seed_library("test")
    return TimmEncoder(backbone, image_size=SIZE, **options).eval()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_it_gives_what_it_states_and_what_timm_gives(backbone, images):
    dim, maps = BACKBONES[backbone]
    encoder = built(backbone)
    with torch.no_grad():
        found = encoder(images)
        timms = encoder.model(images)  # timm's own path to the vector: it has no classifier left
    assert (encoder.dim, list(zip(encoder.map_dims, encoder.strides, strict=True))) == (dim, maps)
    assert found.pooled.shape == (3, dim)
    assert [tuple(m.shape) for m in found.maps] == [(3, c, SIZE // s, SIZE // s) for c, s in maps]
    torch.testing.assert_close(found.pooled, timms)
    assert found.pooled.std(0).min() >= 0
    assert found.pooled.std(0).max() > 0  # images differ


@pytest.mark.parametrize("backbone", BACKBONES)
def test_weights_and_normalisation_are_timms_own(backbone):
    encoder = built(backbone)
    options = {"img_size": SIZE} if backbone.startswith("vit") else {}
    seed_library("test")
    model = timm.create_model(backbone, num_classes=0, **options)
    own = encoder.state_dict()
    assert own.keys() == {f"model.{key}" for key in model.state_dict()}
    assert all(torch.equal(own[f"model.{key}"], value) for key, value in model.state_dict().items())
    assert (encoder.mean, encoder.std) == (model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(1, 3, 1, 3)
    expected = [[(v - m) / s for v in (0, 0.2, 1)] for m, s in zip(encoder.mean, encoder.std, strict=True)]
    torch.testing.assert_close(encoder.normalise(pixels)[0, :, 0], torch.tensor(expected))


def test_maps_of_a_transformer_are_of_evenly_spaced_blocks(images):
    encoder = built("vit_tiny_patch16_224")
    given = []
    for block in encoder.model.blocks:
        block.register_forward_hook(
            lambda block, inputs, output: given.append(output[:, 1:])
        )  # without the class token
    with torch.no_grad():
        maps = encoder(images).maps
    for found, number in zip(maps, (2, 5, 8, 11), strict=True):
        torch.testing.assert_close(found.flatten(2).transpose(1, 2), given[number])


@pytest.mark.parametrize("backbone", ["resnet10t", "convnext_atto"])
def test_gradients_reach_every_weight(backbone, images):
    encoder = built(backbone)
    encoder(images).pooled.square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


def test_a_name_that_timm_does_not_know():
    with pytest.raises(BenchError, match=r"^backbone: unknown timm model `resnet10`; did you mean .*`resnet10t`"):
        TimmEncoder("resnet10", image_size=SIZE)
    with pytest.raises(BenchError, match=r"unknown timm weights `resnet10t.nope`; did you mean `resnet10t.c3_in1k`"):
        TimmEncoder("resnet10t.nope", image_size=SIZE)


@pytest.mark.parametrize("backbone", ["resnet10t", "vit_tiny_patch16_224", "legacy_seresnet18"])
def test_imagenet_weights_that_are_not_there(backbone, cache, no_network):
    with pytest.raises(BenchError) as error:
        built(backbone, pretrained=True)
    command = f"python -c \"import timm; timm.create_model('{backbone}', pretrained=True)\""
    assert command in str(error.value)
    assert 'weights = "FILE"' in str(error.value)
    assert "\n" not in str(error.value)
    assert no_network == []
    assert constants.HF_HUB_OFFLINE is False  # the switch is back where it was


def test_imagenet_weights_that_are_there(cache, no_network):
    """Laid down as huggingface_hub does, with the classifier that timm takes off."""
    seed_library("others")
    model = timm.create_model("resnet10t")
    folder = cache / "hub" / "models--timm--resnet10t.c3_in1k"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    save_file(model.state_dict(), snapshot / "model.safetensors")
    found = built("resnet10t", pretrained=True).state_dict()
    kept = {f"model.{k}": v for k, v in model.state_dict().items() if not k.startswith("fc.")}
    assert found.keys() == kept.keys()
    assert all(torch.equal(found[key], kept[key]) for key in kept)
    assert no_network == []
    assert math.isfinite(sum(v.double().sum().item() for v in found.values()))
