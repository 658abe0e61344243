"""open_clip's towers as encoders: what open_clip gives, before its projection, for any size and from its own files."""

import open_clip
import pytest
import torch
from open_clip.model import CLIP, _build_vision_tower

from bench.encoders.open_clip import open_clip_encoder
from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.random import seed_library
from bench.spec import Weights

VISION = {"image_size": 32, "patch_size": 8, "layers": 5, "width": 32, "head_width": 16}
TEXT = {"context_length": 8, "vocab_size": 16, "width": 32, "heads": 2, "layers": 5}  # names like the image tower's
SMALL = " ".join(["ViT-B-16", *(f"{key}={value}" for key, value in VISION.items())])

pytestmark = pytest.mark.usefixtures("one_thread")


def built(backbone=SMALL, weights=None, size=32, pretrained="openai"):
    seed_library("test")
    return open_clip_encoder(backbone, weights, size, pretrained).eval()


@pytest.fixture(scope="module")
def library():
    """A whole CLIP, as open_clip builds it."""
    seed_library("library")
    return CLIP(512, vision_cfg=VISION, text_cfg=TEXT, quick_gelu=True).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_a_whole_models_file_gives_what_the_library_gives(tmp_path, library, images):
    torch.save({"epoch": 1, "state_dict": library.state_dict()}, tmp_path / "clip.pt")
    encoder = built(weights=Weights(tmp_path / "clip.pt"))
    with torch.no_grad():
        found = encoder(images)
        blocks = library.visual.forward_intermediates(images, indices=[0, 1, 3, 4])["image_intermediates"]
        torch.testing.assert_close(found.pooled @ library.visual.proj, library.encode_image(images), atol=1e-5, rtol=0)
    for level, block in zip(found.maps, blocks, strict=True):
        torch.testing.assert_close(level, block, atol=1e-5, rtol=0)
    own = {key.removeprefix("model."): value for key, value in encoder.state_dict().items()}
    theirs = {key: value for key, value in library.visual.state_dict().items() if key != "proj"}
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[key], theirs[key]) for key in own)
    assert encoder.loaded["prefix"] == "visual."
    assert encoder.loaded["matched"] == len(theirs)


def test_random_weights_are_the_librarys_first_ones():
    encoder = built()
    seed_library("test")
    tower = _build_vision_tower(512, VISION, quick_gelu=True).state_dict()
    del tower["proj"]
    assert all(torch.equal(encoder.state_dict()[f"model.{key}"], value) for key, value in tower.items())


def test_it_states_what_it_gives_and_takes_any_size():
    encoder = built()
    assert (encoder.dim, encoder.patch, encoder.image_size) == (32, 8, 32)
    assert (encoder.map_dims, encoder.strides) == ((32,) * 4, (8,) * 4)
    with torch.no_grad():
        found = encoder(torch.randn(2, 3, 24, 56))
    assert found.pooled.shape == (2, 32)
    assert [tuple(level.shape) for level in found.maps] == [(2, 32, 3, 7)] * 4


def test_positions_of_another_size_are_those_of_a_model_resampled_to_it(images):
    """open_clip has a function that resamples a state dict to the grid of a model."""
    encoder, larger = built(), built(SMALL.replace("image_size=32", "image_size=48"))
    state = {f"visual.{key.removeprefix('model.')}": value.clone() for key, value in encoder.state_dict().items()}
    holder = torch.nn.Module()
    holder.visual = larger.model
    open_clip.model.resize_pos_embed(state, holder)
    larger.load_state_dict({key.replace("visual.", "model."): value for key, value in state.items()})
    images = torch.nn.functional.interpolate(images, 48)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images).pooled, larger(images).pooled, atol=1e-5, rtol=0)


def test_gradients_reach_every_weight(images):
    encoder = built().train()
    encoder(images).pooled.square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_tag_says_which_activation_and_which_pixels():
    """OpenAI's weights have QuickGELU, which ViT-B-16 itself has not; with a file open_clip alone would not know."""
    plain, laion = built(pretrained=""), built(pretrained="laion2b_s34b_b88k")
    kinds = [type(e.model.transformer.resblocks[0].mlp.gelu).__name__ for e in (built(), plain, laion)]
    assert kinds == ["QuickGELU", "GELU", "GELU"]
    assert plain.mean == built().mean == open_clip.OPENAI_DATASET_MEAN
    assert plain.std == open_clip.OPENAI_DATASET_STD
    with torch.device("meta"):
        clipa = built("ViT-L-14-CLIPA", size=224, pretrained="datacomp1b")
    assert clipa.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(("name", "tag"), [("ViT-B-16-SigLIP", "webli"), ("convnext_base", "laion400m_s13b_b51k")])
def test_a_tower_of_timms_is_timms_encoder_with_the_names_of_the_trunk(name, tag):
    config = open_clip.get_model_config(name)
    with torch.device("meta"):
        encoder = built(name, size=224, pretrained=tag)
        tower = _build_vision_tower(config["embed_dim"], config["vision_cfg"])
    assert isinstance(encoder, TimmEncoder)
    theirs = {key.removeprefix("trunk.") for key in tower.state_dict() if key.startswith("trunk.")}
    assert {key.removeprefix("model.") for key in encoder.state_dict()} == theirs
    assert encoder.mean == tuple(open_clip.get_pretrained_cfg(name, tag)["mean"])


def test_coca_pools_by_attention(images):
    coca = built("coca_ViT-B-32 " + SMALL.partition(" ")[2], pretrained="")
    with torch.no_grad():
        found = coca(images)
    assert found.pooled.shape == (2, coca.dim)
    assert [level.shape[1] for level in found.maps] == [32] * 4


@pytest.mark.parametrize(
    ("backbone", "pretrained", "message"),
    [
        ("ViT-B-61", "", r"^backbone: unknown open_clip model `ViT-B-61`; did you mean .*`ViT-B-16`"),
        ("hf-hub:someone/model", "", r"^backbone: unknown open_clip model"),
        ("ViT-B-16", "opnai", r"^pretrained: unknown open_clip weights of ViT-B-16 `opnai`; did you mean `openai`"),
        ("ViT-B-16 layer=2", "", r"^backbone `ViT-B-16 layer=2`: unknown option `layer`; did you mean `layers`"),
        ("RN50", "openai", r"^backbone `RN50`: its pooling takes images of one size alone; .*resnet50_clip.openai"),
    ],
)
def test_what_is_not_there(backbone, pretrained, message):
    with pytest.raises(BenchError, match=message):
        built(backbone, pretrained=pretrained)


def test_weights_without_a_tag_or_a_file():
    with pytest.raises(BenchError, match=r'^`ViT-B-16`: name the weights by their tag, pretrained = "TAG", or a file'):
        built(weights=Weights(), pretrained="")
