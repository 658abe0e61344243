"""Towers of transformers as encoders: what the library gives, for any size, from files of old names and new."""

from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AlignConfig,
    AlignModel,
    AlignVisionModel,
    Dinov2Config,
    Dinov2Model,
    FlavaConfig,
    FlavaImageModel,
    FlavaModel,
)

from bench.encoders.transformers import AlignEncoder, TokenEncoder, load
from bench.errors import BenchError
from bench.random import seed_library
from bench.spec import Weights

VIT = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 5, "num_attention_heads": 2}
FLAVA = {**VIT, "intermediate_size": 64}
ALIGN = {"width_coefficient": 0.1, "depth_coefficient": 0.1}
BERT = {"hidden_size": 32, "num_hidden_layers": 5, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 16}
KINDS = {
    "FlavaImageModel": (TokenEncoder, FLAVA),
    "Dinov2Model": (TokenEncoder, VIT),
    "AlignVisionModel": (AlignEncoder, ALIGN),
}
HALF = (0.5, 0.5, 0.5)

pytestmark = pytest.mark.usefixtures("one_thread")


def built(name, *seed, size=64):
    kind, options = KINDS[name]
    seed_library("test", *seed)
    backbone = " ".join([name, *(f"{key}={value}" for key, value in options.items())])
    return kind(backbone, image_size=size, mean=HALF, std=HALF).eval()


def whole(name):
    """A model as it is released, text tower included, and its image tower."""
    seed_library("library")
    if name == "Dinov2Model":
        model = tower = Dinov2Model(Dinov2Config(**VIT))
    elif name == "FlavaImageModel":
        model = FlavaModel(FlavaConfig(image_config=FLAVA, text_config=BERT, multimodal_config=BERT))
        tower = model.image_model
    else:
        model = AlignModel(AlignConfig(vision_config={**ALIGN, "hidden_dim": 32}, text_config=BERT))
        tower = model.vision_model
    for value in model.state_dict().values():  # so that no two are alike
        if value.is_floating_point():
            value.add_(0.1 * torch.rand_like(value))
    return model.eval(), tower.eval()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("form", ["state_dict", "save_pretrained"])
def test_a_whole_models_file_gives_what_the_library_gives(name, form, tmp_path):
    model, tower = whole(name)
    if form == "state_dict":
        torch.save(model.state_dict(), tmp_path / "model.pt")
    else:
        model.save_pretrained(tmp_path)
    file = tmp_path / ("model.pt" if form == "state_dict" else "model.safetensors")
    encoder = built(name, "another", size=32)
    load(encoder, Weights(file), "nobody/nothing")
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, theirs = encoder(images), tower(images, output_hidden_states=True)
    pooled = theirs.pooler_output if name == "AlignVisionModel" else theirs.last_hidden_state[:, 0]
    torch.testing.assert_close(found.pooled, pooled, atol=1e-5, rtol=1e-5)
    if name == "AlignVisionModel":
        torch.testing.assert_close(found.maps[-1], theirs.last_hidden_state, atol=1e-5, rtol=1e-5)
    else:
        for level, number in zip(found.maps, (0, 1, 3, 4), strict=True):
            block = theirs.hidden_states[number + 1][:, 1:]
            torch.testing.assert_close(level.flatten(2).transpose(1, 2), block, atol=1e-5, rtol=1e-5)
    own = {key.removeprefix("model."): value for key, value in encoder.state_dict().items()}
    assert all(torch.equal(value, tower.state_dict()[key]) for key, value in own.items())
    assert encoder.loaded["matched"] == len(own)
    assert (
        encoder.loaded["prefix"]
        == {"FlavaImageModel": "image_model.", "AlignVisionModel": "vision_model.", "Dinov2Model": ""}[name]
    )


def test_dinov2s_files_have_the_published_names(tmp_path):
    """Those that RAD-DINO was released with; a change of the library's that this encoder misses would show here."""
    model, _ = whole("Dinov2Model")
    model.save_pretrained(tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert {f"encoder.layer.0.attention.attention.{part}.weight" for part in ("query", "key", "value")} <= names
    assert "encoder.layer.0.attention.output.dense.bias" in names


@pytest.mark.parametrize("name", KINDS)
def test_random_weights_are_the_librarys_first_ones(name):
    encoder = built(name)
    seed_library("test")
    config = encoder.model.config
    flava = partial(FlavaImageModel, add_pooling_layer=False)
    kinds = {"FlavaImageModel": flava, "Dinov2Model": Dinov2Model, "AlignVisionModel": AlignVisionModel}
    theirs = kinds[name](config).state_dict()
    assert all(torch.equal(v, theirs[k.removeprefix("model.")]) for k, v in encoder.state_dict().items())


@pytest.mark.parametrize("name", ["FlavaImageModel", "Dinov2Model"])
def test_tokens_state_what_they_give_and_take_any_size(name):
    encoder = built(name)
    assert (encoder.dim, encoder.patch, encoder.image_size) == (32, 8, 64)
    assert (encoder.map_dims, encoder.strides) == ((32,) * 4, (8,) * 4)
    for height, width in ((64, 64), (24, 56), (32, 32)):
        with torch.no_grad():
            found = encoder(torch.randn(2, 3, height, width))
        assert found.pooled.shape == (2, 32)
        assert [tuple(level.shape) for level in found.maps] == [(2, 32, height // 8, width // 8)] * 4


def test_align_gives_a_pyramid():
    encoder = built("AlignVisionModel")
    assert (encoder.strides, encoder.patch) == ((2, 4, 8, 16, 32), 0)
    for height, width in ((64, 64), (96, 32)):
        with torch.no_grad():
            found = encoder(torch.randn(2, 3, height, width))
        assert found.pooled.shape == (2, encoder.dim)
        shapes = [tuple(level.shape) for level in found.maps]
        given = zip(encoder.map_dims, encoder.strides, strict=True)
        assert shapes == [(2, c, height // s, width // s) for c, s in given]


def test_aligns_statistics_move_as_in_the_original():
    """A tenth of the way or less at each step, where the library as it is would jump to the last batch's."""
    encoder = built("AlignVisionModel").train()
    norms = [m for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) > 10
    assert all(norm.momentum <= 0.1 for norm in norms)


@pytest.mark.parametrize("name", KINDS)
def test_gradients_reach_every_weight_that_features_depend_on(name):
    encoder = built(name).train()
    encoder(torch.randn(2, 3, 64, 64)).pooled.square().sum().backward()
    without = [name for name, p in encoder.named_parameters() if p.grad is None]
    assert without == ([] if name == "AlignVisionModel" else ["model.embeddings.mask_token"])


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("FlavaModel", r"^backbone: unknown tower of transformers `FlavaModel`; did you mean `FlavaImageModel`"),
        (
            "FlavaImageModel hiden_size=32",
            r"^backbone `FlavaImageModel hiden_size=32`: unknown option `hiden_size`; did you mean `hidden_",
        ),
        ("FlavaImageModel hidden_size='a'", r"^backbone `FlavaImageModel hidden_size='a'` cannot be built: "),
    ],
)
def test_what_cannot_be_built(backbone, message):
    with pytest.raises(BenchError, match=message):
        TokenEncoder(backbone, image_size=32, mean=HALF, std=HALF)


def test_a_file_of_another_size_is_refused(tmp_path):
    model, _ = whole("Dinov2Model")
    torch.save(model.state_dict(), tmp_path / "model.pt")
    encoder = TokenEncoder("Dinov2Model " + " ".join(f"{k}={v}" for k, v in (VIT | {"num_hidden_layers": 4}).items()),
                           image_size=32, mean=HALF, std=HALF)  # fmt: skip
    with pytest.raises(BenchError, match=r"model.pt: does not fit the backbone: it also holds `encoder.layer.4."):
        load(encoder, Weights(tmp_path / "model.pt"), "nobody/nothing")
