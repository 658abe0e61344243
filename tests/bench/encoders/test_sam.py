"""SAM's image encoder: what its library gives, for any size, from whole files and from LVM-Med's."""

from functools import partial

import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from bench.encoders.checkpoint import load_weights
from bench.encoders.sam import SamEncoder, resampled, with_decoder
from bench.errors import BenchError
from bench.random import seed_library
from bench.spec import Weights

OPTIONS = {
    "img_size": 64, "depth": 5, "embed_dim": 32, "num_heads": 2, "window_size": 3, "out_chans": 8,
    "global_attn_indexes": (1, 4),
}  # fmt: skip
SMALL = " ".join(["vit_b", *(f"{key}={value!r}".replace(" ", "") for key, value in OPTIONS.items())])

pytestmark = pytest.mark.usefixtures("one_thread")


def built(*seed, **options):
    seed_library("test", *seed)
    return SamEncoder(SMALL, image_size=64, **options).eval()


def library(positions=True):
    """The image encoder as segment_anything builds it, with no weight left at zero."""
    seed_library("library")
    norm = partial(torch.nn.LayerNorm, eps=1e-6)
    model = ImageEncoderViT(
        patch_size=16, mlp_ratio=4, qkv_bias=True, use_rel_pos=True, use_abs_pos=positions, norm_layer=norm, **OPTIONS
    )
    for value in model.state_dict().values():
        value.add_(0.1 * torch.rand_like(value))
    return model.eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def sam_file(tmp_path):
    """A whole SAM's state dict, as it is released."""
    decoder = MaskDecoder(
        transformer_dim=8, transformer=TwoWayTransformer(depth=1, embedding_dim=8, num_heads=2, mlp_dim=8)
    )
    prompts = PromptEncoder(embed_dim=8, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=4)
    torch.save(Sam(library(), prompts, decoder).state_dict(), tmp_path / "sam.pth")
    return tmp_path / "sam.pth"


@pytest.fixture
def lvm_med_file(tmp_path):
    """LVM-Med's released ViT: no wrapper, no prefix, no absolute positions, and a neck."""
    state = library(positions=False).state_dict()
    assert "pos_embed" not in state
    assert "neck.3.bias" in state
    torch.save(state, tmp_path / "lvmmed_vit.pth")
    return tmp_path / "lvmmed_vit.pth"


def blocks_of(model, images):
    given = []
    hooks = [block.register_forward_hook(lambda block, inputs, output: given.append(output)) for block in model.blocks]
    with torch.no_grad():
        embedding = model(images)
    for hook in hooks:
        hook.remove()
    return given, embedding


def test_a_whole_models_file_gives_what_the_library_gives(sam_file, images):
    encoder = built("another")
    load_weights(encoder, Weights(sam_file))
    blocks, embedding = blocks_of(library(), images)
    with torch.no_grad():
        found = encoder(images)
        torch.testing.assert_close(encoder.embedding(images), embedding, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.pooled, blocks[-1].mean((1, 2)), atol=1e-5, rtol=1e-5)
    for level, number in zip(found.maps, (0, 1, 3, 4), strict=True):
        torch.testing.assert_close(level, blocks[number].permute(0, 3, 1, 2), atol=1e-5, rtol=1e-5)
    assert encoder.loaded["prefix"] == "image_encoder."
    assert encoder.loaded["missing"] == []
    assert encoder.loaded["matched"] == len(encoder.state_dict())


def test_lvm_meds_file(lvm_med_file, images):
    encoder = built("another", positions=False)
    load_weights(encoder, Weights(lvm_med_file))
    blocks, embedding = blocks_of(library(positions=False), images)
    with torch.no_grad():
        torch.testing.assert_close(encoder.embedding(images), embedding, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(encoder(images).pooled, blocks[-1].mean((1, 2)), atol=1e-5, rtol=1e-5)
    with pytest.raises(BenchError, match=r"lvmmed_vit.pth: does not fit the backbone: no `pos_embed`"):
        load_weights(built(), Weights(lvm_med_file))


@pytest.mark.parametrize("positions", [True, False])
def test_it_states_what_it_gives_and_takes_any_size(positions):
    encoder = built(positions=positions)
    assert (encoder.dim, encoder.patch, encoder.image_size) == (32, 16, 64)
    assert (encoder.map_dims, encoder.strides) == ((32,) * 4, (16,) * 4)
    for height, width in ((64, 64), (32, 112), (16, 16)):
        with torch.no_grad():
            found = encoder(torch.randn(2, 3, height, width))
        assert found.pooled.shape == (2, 32)
        assert [tuple(level.shape) for level in found.maps] == [(2, 32, height // 16, width // 16)] * 4


def test_positions_are_resampled_smoothly():
    ramp = torch.linspace(0, 1, 8)[None, :, None, None].expand(1, 8, 8, 1)
    assert torch.equal(resampled(ramp, 8, 8), ramp)
    half = resampled(ramp, 4, 8)
    assert half.shape == (1, 4, 8, 1)
    torch.testing.assert_close(half[0, :, 0, 0], ramp[0].reshape(4, 2, 8)[..., 0].mean(1), atol=0.03, rtol=0)


def test_gradients_reach_every_weight_but_the_necks():
    encoder = built().train()
    encoder(torch.randn(2, 3, 96, 96)).pooled.square().sum().backward()
    without = {name for name, p in encoder.named_parameters() if p.grad is None}
    assert without == {name for name, _ in encoder.named_parameters() if name.startswith("model.neck.")}


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_the_architectures_are_the_librarys(name):
    with torch.device("meta"):
        encoder, theirs = SamEncoder(name, image_size=1024), sam_model_registry[name]().image_encoder
    own = {key: value.shape for key, value in encoder.model.state_dict().items()}
    assert own == {key: value.shape for key, value in theirs.state_dict().items()}
    assert [block.window_size for block in encoder.model.blocks] == [block.window_size for block in theirs.blocks]
    assert encoder.model.blocks[0].norm1.eps == theirs.blocks[0].norm1.eps
    assert encoder.model.blocks[0].attn.num_heads == theirs.blocks[0].attn.num_heads


def test_pixels_are_scaled_as_sams_are():
    encoder = built()
    pixels = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    mean, std = (torch.tensor(c)[:, None, None] for c in ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))
    torch.testing.assert_close(encoder.normalise(pixels), (pixels.float() - mean) / std)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("vit_x", r"^backbone: unknown encoder of SAM `vit_x`; did you mean"),
        ("vit_b dept=2", r"^backbone `vit_b dept=2` cannot be built: .*'dept'"),
    ],
)
def test_what_cannot_be_built(backbone, message):
    with pytest.raises(BenchError, match=message):
        SamEncoder(backbone, image_size=64)


def test_a_whole_sam_brings_its_decoder_and_another_may_be_named(sam_file, lvm_med_file, tmp_path):
    assert with_decoder(built(), Weights(sam_file), "").decoder_file == sam_file
    assert with_decoder(built(), Weights(sam_file), str(tmp_path / "other.pth")).decoder_file == tmp_path / "other.pth"
    assert with_decoder(built(positions=False), Weights(lvm_med_file), "").decoder_file is None
    assert with_decoder(built(), None, "").decoder_file is None


def test_positions_that_would_be_ignored_are_refused(sam_file):
    with pytest.raises(BenchError, match=r"it also holds `pos_embed`, and 0 more of a larger backbone"):
        load_weights(built(positions=False), Weights(sam_file))
