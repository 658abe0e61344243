"""Encoders as files for other libraries: each loads there, gives the same features, and comes back in full."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from bench.encoders.checkpoint import load_weights
from bench.encoders.export import Format, export
from bench.encoders.inspection import fits, holds
from bench.encoders.reading import read_tensors
from bench.encoders.sam import SamEncoder
from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.random import seed_library

SAM = "samvit_base_patch16 embed_dim=24 depth=2 num_heads=2 global_attn_indexes=(1,) img_size=64"


@pytest.fixture
def made(tmp_path):
    """Weights and facts as a record has them."""

    def make(backbone):
        seed_library("export", backbone)
        encoder = TimmEncoder(backbone, image_size=64).eval()
        save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")
        facts = {
            "id": "simclr/pretrain/0", "key": "abc", "method": "<b>simclr</b>", "seed": 0, "phantom": True,
            "started": "2026-01-01", "environment": {"torch": "2"}, "history": {"loss": [2.0, 1.0]}, "images": 9,
            "data": [{"name": "kvasir", "kind": "phantom", "found": 9, "left_out_of_corpus": 2}],
            "parts": {
                "recipe": {"backbone": backbone, "image_size": 64, "epochs": 3},
                "method": {"plugin": "simclr", "settings": {"temperature": 0.1}},
            },
        }  # fmt: skip
        return encoder, tmp_path / "encoder.safetensors", facts

    return make


@pytest.mark.parametrize(
    ("format", "backbone"),
    [("safetensors", "resnet10t"), ("timm", "resnet10t"), ("torchvision", "resnet18"), ("sam", SAM)],
)
def test_every_format_comes_back_exactly(made, tmp_path, format, backbone):
    encoder, weights, facts = made(backbone)
    file, _ = export(weights, facts, format, tmp_path / "out" / "model")
    seed_library("other")
    again = TimmEncoder(backbone, image_size=64)
    if format == "sam":  # whose names are not timm's: the encoder of `sam` reads them
        again = SamEncoder("vit_b " + SAM.partition(" ")[2], image_size=64)
        load_weights(again, file)
        assert again.loaded["matched"] == len(again.state_dict()) == len(encoder.state_dict())
    else:
        load_weights(again, file)
        assert all(
            torch.equal(a, b) for a, b in zip(encoder.state_dict().values(), again.state_dict().values(), strict=True)
        )
    assert file.suffix == Format[format].value[0]


def test_timm_loads_its_file(made, tmp_path):
    encoder, weights, facts = made("resnet10t")
    file, card = export(weights, facts, "timm", tmp_path / "model")
    theirs = timm.create_model("resnet10t", num_classes=0, checkpoint_path=str(file)).eval()
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(theirs(images), encoder(images).pooled)
    assert f'timm.create_model("resnet10t", num_classes=0, checkpoint_path="{file.name}")' in card.read_text()


def test_torchvision_loads_its_file_strictly(made, tmp_path):
    encoder, weights, facts = made("resnet18")
    file, card = export(weights, facts, "torchvision", tmp_path / "model.pth")
    m = torchvision.models.resnet18()
    m.fc = torch.nn.Identity()
    m.load_state_dict(torch.load(file, weights_only=True))
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(m.eval()(images), encoder(images).pooled)
    assert "m.fc = torch.nn.Identity()" in card.read_text()


def test_sams_file_has_sams_names(made, tmp_path):
    """Those of segment_anything's own encoder of that size, but for what it does not have: nothing."""
    from segment_anything.modeling import ImageEncoderViT

    encoder, weights, facts = made(SAM)
    file, _ = export(weights, facts, "sam", tmp_path / "model")
    theirs = ImageEncoderViT(
        img_size=64, embed_dim=24, depth=2, num_heads=2, use_rel_pos=True, window_size=14, global_attn_indexes=(1,),
        qkv_bias=True, norm_layer=lambda dim: torch.nn.LayerNorm(dim, eps=1e-6),
    ).eval()  # fmt: skip
    given = torch.load(file, weights_only=True)
    theirs.load_state_dict({name.removeprefix("image_encoder."): value for name, value in given.items()})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), encoder.model.forward_features(images), atol=1e-4, rtol=1e-4)


def test_what_a_format_does_not_have_is_refused_and_nothing_is_written_over(made, tmp_path):
    _, weights, facts = made("resnet10t")
    for format, said in (("torchvision", "torchvision has no resnet10t"), ("sam", "is no image encoder of SAM")):
        with pytest.raises(BenchError, match=said):
            export(weights, facts, format, tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder.safetensors"]
    (tmp_path / "model.safetensors").write_text("mine")
    with pytest.raises(BenchError, match="exists, and is not written over"):
        export(weights, facts, "timm", tmp_path / "model")
    assert (tmp_path / "model.safetensors").read_text() == "mine"


def test_the_card_says_what_was_trained_on_and_marks_phantoms(made, tmp_path):
    _, weights, facts = made("resnet10t")
    _, card = export(weights, facts, "timm", tmp_path / "model")
    text = card.read_text()
    assert "kvasir (phantom, 9 cases found, 2 training images left out" in text
    assert "PHANTOM data" in text
    assert r"\<b\>simclr" in text  # names are text


def test_inspection_tells_what_a_file_holds_and_fits(tmp_path):
    seed_library("inspect")
    flat = TimmEncoder("resnet18", image_size=64).model.state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.encoder_q.{k}": v for k, v in flat.items()}}, tmp_path / "a.pth")
    (held,) = holds(read_tensors(tmp_path / "a.pth"))
    assert (held.place, held.tensors, held.types) == ("state_dict", len(flat), ("float32", "int64"))
    assert held.parameters == sum(v.numel() for v in flat.values())
    (fit,) = fits(
        tmp_path / "a.pth", read_tensors(tmp_path / "a.pth"), ("resnet34", "resnet18", "vit_tiny_patch16_224")
    )
    assert (fit.backbone, fit.matched, fit.of, fit.why) == ("resnet18", len(flat), len(flat), "")
    assert fit.source == "state_dict module.encoder_q.*"
    near = fits(tmp_path / "a.pth", read_tensors(tmp_path / "a.pth"), ("resnet34", "vit_tiny_patch16_224"))
    assert [one.backbone for one in near] == ["resnet34"]
    assert "no `layer1.2.conv1.weight`" in near[0].why
