"""The foundation models: sizes that papers state, where weights are looked for, and that nothing is fetched unasked."""

import pytest
import torch
import torchvision
from huggingface_hub import constants
from safetensors.torch import save_file

from bench.errors import BenchError
from bench.random import seed_library
from bench.registry import discover
from bench.spec import Encoder, Weights

# Parameters of what is built for the features, and of the neck of SAM's.
SIZES = {
    "clip": 85_799_424, "biomedclip": 85_798_656, "align": 62_143_440, "flava": 85_799_424, "rad_dino": 86_580_480,
    "sam": 89_670_912, "medsam": 89_670_912, "lvm_med_vit": 86_525_184, "lvm_med_r50": 23_508_032,
    "dinov2_pretrained": 85_724_928, "dinov3_pretrained": 85_641_216,
}  # fmt: skip
NECK = 787_456
PUBLISHED = {"clip": 85.80, "flava": 86.39, "align": 62.14, "sam": 88.88, "lvm_med_r50": 25.55}  # LVM-Med, table 10
BESIDE = {
    "flava": 768 * 768 + 768,
    "sam": -NECK,
    "lvm_med_r50": 2048 * 1000 + 1000,
}  # its pooler; no neck; a classifier
MODELS = {p.name: p for p in discover().all("method") if p.name in SIZES}

pytestmark = pytest.mark.usefixtures("one_thread")


def built(name, weights=None, backbone="", image_size=0, **settings):
    """With the model's own backbone and size, or those given; the weights are drawn from a seed."""
    model = MODELS[name].load()
    seed_library("test")
    return model.build(backbone or model.info.backbone, weights, image_size or model.info.image_size, **settings)


def small(name, weights=None):
    info = MODELS[name].load().info
    return built(name, weights, info.small["backbone"], info.small["image_size"])


def parameters(encoder):
    return sum(p.numel() for p in encoder.parameters())


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Empty caches of the hub and of torch."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def lay_down(cache, repository, name, state):
    """A file in the hub's cache, as huggingface_hub lays it down."""
    folder = cache / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    state = {key: value.clone() for key, value in state.items()}
    save_file(state, snapshot / name) if name.endswith("safetensors") else torch.save(state, snapshot / name)


def test_all_are_found():
    assert MODELS.keys() == SIZES.keys()


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_as_many_as_the_architecture_has(name):
    with torch.device("meta"):
        encoder = built(name)
    assert isinstance(encoder, Encoder)
    assert parameters(encoder) == SIZES[name]
    assert encoder.image_size == MODELS[name].info["image_size"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_lvm_meds_table_10_says(name):
    assert (SIZES[name] + BESIDE.get(name, 0)) / 1e6 == pytest.approx(PUBLISHED[name], abs=0.0075)


@pytest.mark.parametrize("name", SIZES)
def test_random_weights_come_from_here_and_from_the_seed(name, cache, no_network):
    one, other = small(name).state_dict(), small(name).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert small(name).loaded is None
    assert no_network == []


@pytest.mark.parametrize("name", SIZES)
def test_features_have_gradients_and_take_a_size_that_is_not_square(name):
    encoder = small(name).train()
    step = max(encoder.strides)
    found = encoder(torch.randn(2, 3, 2 * step, 3 * step))
    assert [tuple(level.shape[2:]) for level in found.maps] == [(2 * step // s, 3 * step // s) for s in encoder.strides]
    (found.pooled.square().sum() + found.maps[-1].square().sum()).backward()
    without = {key for key, p in encoder.named_parameters() if p.grad is None}
    unused = ("model.neck.", "model.embeddings.mask_token")
    assert [key for key in without if not key.startswith(unused)] == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("clip", "hf download timm/vit_base_patch16_clip_224.openai "),
        ("biomedclip", "hf download microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224 "),
        ("align", "hf download kakaobrain/align-base "),
        ("flava", "hf download facebook/flava-full "),
        ("rad_dino", "hf download microsoft/rad-dino "),
        ("sam", "load_state_dict_from_url('https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth')"),
        ("medsam", "https://github.com/bowang-lab/MedSAM"),
        ("lvm_med_vit", "https://github.com/duyhominhnguyen/LVM-Med"),
        ("lvm_med_r50", "https://github.com/duyhominhnguyen/LVM-Med"),
    ],
)
def test_weights_that_are_not_there(name, told, cache, no_network):
    with pytest.raises(BenchError) as error:
        small(name, Weights())
    assert told in str(error.value)
    assert 'weights = "FILE"' in str(error.value)
    assert "\n" not in str(error.value)
    assert no_network == []


@pytest.mark.parametrize("name", ["dinov2_pretrained", "dinov3_pretrained"])
def test_timms_weights_that_are_not_there(name, cache, no_network):
    with pytest.raises(BenchError, match=r"timm.create_model\('vit_.*', pretrained=True\).* or name a file"):
        small(name, Weights())
    assert no_network == []


@pytest.mark.parametrize(
    ("name", "repository", "file", "prefix"),
    [
        ("clip", "timm/vit_base_patch16_clip_224.openai", "open_clip_model.safetensors", "visual."),
        ("biomedclip", "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", "open_clip_pytorch_model.bin",
         "visual.trunk."),
        ("flava", "facebook/flava-full", "pytorch_model.bin", "flava.image_model."),
        ("align", "kakaobrain/align-base", "pytorch_model.bin", "vision_model."),
        ("rad_dino", "microsoft/rad-dino", "model.safetensors", ""),
    ],
)  # fmt: skip
def test_weights_in_the_hubs_cache(name, repository, file, prefix, cache, no_network):
    source = small(name)
    for p in source.parameters():
        p.data += 1
    state = {prefix + key.removeprefix("model."): value for key, value in source.state_dict().items()}
    lay_down(cache, repository, file, state)
    found = small(name, Weights())
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in found.state_dict().items())
    assert (found.loaded["file"], found.loaded["prefix"]) == (file, prefix)
    assert no_network == []


def test_sams_weights_in_torchs_cache(cache, no_network):
    folder = cache / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    source = small("sam")
    state = {f"image_encoder.{key.removeprefix('model.')}": value for key, value in source.state_dict().items()}
    torch.save(state, folder / "sam_vit_b_01ec64.pth")
    assert small("sam", Weights()).loaded["matched"] == len(state)
    assert no_network == []


def test_lvm_meds_files(tmp_path):
    """ViT: flat, with a neck, without the positions that SAM has. ResNet-50: torchvision's, without a classifier."""
    vit = {key.removeprefix("model."): value for key, value in small("lvm_med_vit").state_dict().items()}
    torch.save(vit, tmp_path / "lvmmed_vit.pth")
    assert small("lvm_med_vit", Weights(tmp_path / "lvmmed_vit.pth")).loaded["matched"] == len(vit)
    for name in ("sam", "medsam"):
        with pytest.raises(BenchError, match=r"lvmmed_vit.pth: does not fit the backbone: no `pos_embed`"):
            small(name, Weights(tmp_path / "lvmmed_vit.pth"))
    resnet = torchvision.models.resnet50().state_dict()
    resnet = {key: value for key, value in resnet.items() if not key.startswith("fc.")}
    assert len(resnet) == 318
    torch.save(resnet, tmp_path / "lvmmed_resnet.torch")
    found = built("lvm_med_r50", Weights(tmp_path / "lvmmed_resnet.torch"))
    assert found.loaded["matched"] == 318
    assert found.loaded["unexpected"] == 0


@pytest.mark.parametrize("name", ["dinov2_pretrained", "biomedclip"])
def test_timms_towers_take_files_of_their_own(name, tmp_path):
    source = small(name)
    torch.save({"teacher": source.model.state_dict()}, tmp_path / "weights.pt")
    found = small(name, Weights(tmp_path / "weights.pt"))
    assert found.loaded["place"] == "teacher"
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in found.state_dict().items())


def test_each_scales_pixels_in_its_own_way():
    """CLIP's, BiomedCLIP's and FLAVA's are one; MedSAM's code leaves pixels in [0, 1] as they are."""
    scales = {name: (encoder.mean, encoder.std) for name in SIZES for encoder in [small(name)]}
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert scales["clip"] == scales["biomedclip"] == scales["flava"]
    assert scales["clip"] == ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    assert scales["align"] == ((0.5,) * 3, (0.5,) * 3)
    assert scales["medsam"] == ((0,) * 3, (1,) * 3)
    assert {name for name, scale in scales.items() if scale == imagenet} >= {"sam", "lvm_med_vit"}
    with torch.device("meta"):
        full = {name: built(name) for name in ("lvm_med_r50", "dinov2_pretrained", "dinov3_pretrained")}
    assert {(encoder.mean, encoder.std) for encoder in full.values()} == {imagenet}
