"""Decoders: smp's own numbers, the gates' equations, TransUNet's shapes; what is trained and what is refused."""

import math
import re

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn import functional

from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.protocols._decoders import DECODERS, Gate, Segmenter
from bench.protocols._transunet import TransUNet, normed
from bench.random import seed_library
from bench.spec import Encoder, Features

SWIN = "swin_tiny_patch4_window7_224 window_size=2 depths=(1,1,1,1) embed_dim=12 num_heads=(1,1,1,1)"
VIT = "vit_tiny_patch16_224 depth=5 embed_dim=24 num_heads=2"
PYRAMIDS = {"resnet10t": (64, 96), "convnext_atto": (64, 96), SWIN: (64, 64)}  # sides of an image, in pixels
TOKENS = {f"{VIT} patch_size=8": (64, 96), VIT: (64, 96), f"{VIT} patch_size=32": (64, 96)}
PAIRS = [(b, d) for b in PYRAMIDS for d in ("unet", "unet++", "attention_unet")] + [(b, "transunet") for b in TOKENS]


class Halved(Encoder):
    """Maps of the strides it is told, each the image averaged and widened to one channel more than the one before."""

    dim, image_size, mean, std = 3, 64, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)

    def __init__(self, strides, patch=0):
        super().__init__()
        self.strides, self.patch = strides, patch
        self.map_dims = tuple(range(4, 4 + len(strides)))
        self.layers = nn.ModuleList(nn.Conv2d(3, dim, 1) for dim in self.map_dims)

    def forward(self, images):
        maps = [layer(functional.avg_pool2d(images, s)) for layer, s in zip(self.layers, self.strides, strict=True)]
        return Features(images.mean((2, 3)), tuple(maps))


def built(backbone, decoder="auto", classes=3, **options):
    seed_library("test")
    encoder = TimmEncoder(backbone, image_size=64) if isinstance(backbone, str) else backbone
    return Segmenter(encoder, classes, decoder, **options)


def drawn(*sides, count=2):
    return torch.randint(256, (count, 3, *sides), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_every_pixel_has_logits(backbone, decoder):
    sides = {**PYRAMIDS, **TOKENS}[backbone]
    with torch.no_grad():
        logits = built(backbone, decoder)(drawn(*sides))
    assert (logits.shape, logits.dtype) == ((2, 3, *sides), torch.float32)
    assert logits.isfinite().all()
    assert logits.std((0, 2, 3)).min() > 0.01


@pytest.mark.parametrize("strides", [(2,), (4,), (1, 2, 4), (4, 8), (2, 4, 8), (1, 2, 4, 8, 16, 32)])
def test_short_and_long_pyramids(strides):
    for decoder in ("unet", "unet++", "attention_unet")[: len(set(strides) - {1})]:
        assert built(Halved(strides), decoder)(drawn(32, 64)).shape == (2, 3, 32, 64)


@pytest.mark.parametrize(
    ("backbone", "decoder"),
    [("resnet10t", "unet"), (SWIN, "unet"), (VIT, "transunet"), (f"{VIT} patch_size=8", "transunet")],
)
def test_auto_is_the_decoder_that_fits(backbone, decoder):
    images = drawn(64, 64)
    assert torch.equal(built(backbone)(images), built(backbone, decoder)(images))


@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_gradients_reach_every_weight_of_the_decoder_and_all_that_the_maps_stand_on(backbone, decoder):
    model, images = built(backbone, decoder), drawn(*{**PYRAMIDS, **TOKENS}[backbone])
    maps = model.encoder(model.encoder.normalise(images)).maps
    sum(level.sum() for level in maps[-1 if decoder == "transunet" else 0 :]).backward()
    reachable = {name for name, p in model.encoder.named_parameters() if p.grad is not None}
    model.zero_grad()
    model(images).square().sum().backward()
    assert {name for name, p in model.encoder.named_parameters() if p.grad is not None} == reachable
    assert len(reachable) > 10
    assert [name for name, p in model.decoder.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("backbone", "decoder"), [("resnet10t", "unet"), ("resnet10t", "attention_unet"), (VIT, "auto")]
)
@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_stays_as_it_is(backbone, decoder, frozen):
    model, images = built(backbone, decoder, frozen=frozen), drawn(64, 64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):
        model.train()
        model(images).square().mean().backward()
        adam.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}
    assert {name.split(".")[0] for name in changed} == ({"decoder"} if frozen else {"encoder", "decoder"})
    assert changed >= {name for name in before if name.startswith("decoder.")}
    assert any("running_mean" in name for name in changed if name.startswith("encoder.")) == (
        not frozen and backbone == "resnet10t"
    )


def test_a_frozen_encoder_is_asked_in_evaluation_mode_and_without_gradients():
    model, seen = built("resnet10t", frozen=True), []
    model.encoder.register_forward_hook(
        lambda encoder, inputs, output: seen.append((encoder.training, torch.is_grad_enabled()))
    )
    for mode in (True, False, True):  # as built, and as the caller's epochs go
        model(drawn(64, 64))
        assert model.train(mode) is model
        assert (model.training, model.decoder.training) == (mode, mode)
        assert not any(module.training for module in model.encoder.modules())
    assert seen == [(False, False)] * 3
    assert [name for name, p in model.encoder.named_parameters() if p.requires_grad] == []


def test_encoder_and_decoder_are_shown_the_encoders_normalisation():
    model, images, seen = built(Halved((2, 4, 8))), drawn(32, 32), []
    for part in (model.encoder, model.decoder):
        part.register_forward_hook(lambda part, inputs, output: seen.append(inputs[0]))
    model(images)
    statistics = zip(images[0, :, 1, 2].tolist(), Halved.mean, Halved.std, strict=True)
    pixel = torch.tensor([(value / 255 - mean) / std for value, mean, std in statistics])
    torch.testing.assert_close([shown[0, :, 1, 2] for shown in seen], [pixel, pixel])


# ------------------------------------------------------------------------------------- U-Net, UNet++, Attention U-Net


@pytest.mark.parametrize("backbone", ["resnet18", "convnext_atto"])
@pytest.mark.parametrize(("decoder", "network"), [("unet", smp.Unet), ("unet++", smp.UnetPlusPlus)])
@pytest.mark.parametrize("training", [True, False])
def test_the_numbers_are_smps(backbone, decoder, network, training):
    model, images = built(backbone, decoder).train(training), drawn(64, 96)
    theirs = network(f"tu-{backbone}", encoder_weights=None, classes=3).train(training)
    features = {re.sub(r"\b(stem|stages)\.", r"\1_", k): v for k, v in model.encoder.state_dict().items()}
    theirs.encoder.load_state_dict({key: features[key] for key in theirs.encoder.state_dict()})
    theirs.decoder.load_state_dict(model.decoder.decoder.state_dict())
    theirs.segmentation_head[0].load_state_dict(model.decoder.head.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(model(images), theirs(model.encoder.normalise(images)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("decoder", ["unet", "unet++", "attention_unet"])
def test_first_weights_are_drawn_as_smps(decoder):
    """He's uniform law for the decoder, within sqrt(6 / inputs), and Glorot's for the head."""
    model = built("resnet10t", decoder).decoder
    for module in (m for m in model.decoder.modules() if isinstance(m, nn.Conv2d) and m.weight.numel() > 1000):
        assert module.weight.abs().max().item() == pytest.approx(math.sqrt(6 / module.weight[0].numel()), rel=0.02)
    assert model.head.weight.abs().max().item() == pytest.approx(math.sqrt(6 / (9 * (16 + 3))), rel=0.02)
    assert not model.head.bias.any()


@pytest.mark.parametrize(("backbone", "decoder"), [("resnet10t", "attention_unet"), (VIT, "transunet")])
def test_a_seed_is_a_network(backbone, decoder):
    encoder = TimmEncoder(backbone, image_size=64)
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(Segmenter(encoder, 2, decoder).decoder.state_dict())
    first, again, other = states
    assert all(torch.equal(first[name], again[name]) for name in first)
    weights = [name for name in first if first[name].ndim == 4]
    assert [name for name in weights if torch.equal(first[name], other[name])] == []


def test_a_gate_by_hand():
    """Two channels and a signal of one: alpha = sigmoid(3 relu(x1 - x2 + 2 g + 0.5) - 1) on the coarse grid."""
    gate = Gate(2, 1)
    with torch.no_grad():
        gate.w_x.weight.copy_(torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1))
        for layer, weight, bias in ((gate.w_g, 2.0, 0.5), (gate.psi, 3.0, -1.0)):
            layer.weight.fill_(weight)
            layer.bias.fill_(bias)
        x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0], [0.0, 0.0], [0.0, 4.0]], [[1.0, 1.0]] * 4]])
        scaled = gate(x, torch.tensor([[[[0.25]], [[-2.0]]]]).reshape(1, 1, 2, 1))
    # Above, x1 - x2 is 2.5 - 1 on average, and 2 g + 0.5 is 1; below, they are 1 - 1 and -3.5.
    first, second = (1 / (1 + math.exp(-logit)) for logit in (3 * 2.5 - 1, 3 * 0 - 1))
    rows = torch.tensor([first, 0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second, second])
    torch.testing.assert_close(scaled, x * rows[:, None])


def open_gates(decoder, logit):
    """Set alpha of every gate to sigmoid(logit), whatever it sees."""
    for gate in decoder.decoder.gates:
        nn.init.zeros_(gate.psi.weight)
        nn.init.constant_(gate.psi.bias, logit)


def twins(backbone):
    """An Attention U-Net, a U-Net of the same weights, and pixels and maps for both."""
    gated, plain = (built(backbone, name).eval() for name in ("attention_unet", "unet"))
    weights = gated.decoder.state_dict()
    plain.decoder.load_state_dict({name: value for name, value in weights.items() if ".gates." not in name})
    pixels = gated.encoder.normalise(drawn(64, 64))
    return gated.decoder, plain.decoder, pixels, gated.encoder(pixels).maps


@pytest.mark.parametrize("backbone", ["resnet10t", "convnext_atto"])
@torch.no_grad()
def test_open_gates_make_it_the_unet_and_closed_ones_leave_the_finest_skip(backbone):
    gated, plain, pixels, maps = twins(backbone)
    assert not torch.allclose(gated(pixels, maps), plain(pixels, maps))
    assert len(gated.decoder.gates) == len(maps) - 2
    open_gates(gated, 50.0)
    assert torch.equal(gated(pixels, maps), plain(pixels, maps))
    open_gates(gated, -200.0)
    shut = [level if i in (0, len(maps) - 1) else torch.zeros_like(level) for i, level in enumerate(maps)]
    torch.testing.assert_close(gated(pixels, maps), plain(pixels, shut))


@torch.no_grad()
def test_gates_are_asked_with_their_skip_and_the_map_below_it():
    gated, _, pixels, maps = twins("resnet10t")
    asked, made = [], []
    for gate in gated.decoder.gates:
        gate.register_forward_hook(lambda gate, inputs, output: asked.append(inputs))
    for block in gated.decoder.blocks:
        block.register_forward_hook(lambda block, inputs, output: made.append(output))
    gated(pixels, maps)
    expected = [(maps[3], maps[4]), (maps[2], made[0]), (maps[1], made[1])]
    assert [[torch.equal(a, b) for a, b in zip(*pair, strict=True)] for pair in zip(asked, expected, strict=True)] == (
        [[True, True]] * 3
    )


# ---------------------------------------------------------------------------------------------------------- TransUNet


def test_transunet_has_the_layers_of_lvm_med():
    """Convolutions of its released code for 768 channels of tokens, without the stage that feeds its transformer."""
    decoder = TransUNet(Halved((16,) * 765, patch=16), 2)  # the last map is the widest: 3 + 765 channels
    stem = [(96, 3, 7), (192, 96, 1), (192, 192, 3), (192, 192, 1), (192, 96, 1)]
    stem += [(384, 192, 1), (384, 384, 3), (384, 384, 1), (384, 192, 1)]
    up = [(192, 768, 3), (192, 192, 3), (96, 384, 3), (96, 96, 3), (48, 192, 3), (48, 48, 3), (12, 48, 3), (12, 12, 3)]
    convolutions = [m.weight for m in decoder.modules() if isinstance(m, nn.Conv2d)]
    assert [tuple(w.shape[:3]) for w in convolutions] == [*stem, (384, 768, 3), *up, (2, 12, 1)]
    sides, x = [], torch.rand(2, 3, 64, 32)
    for stage in decoder.stem:
        x = stage(x)
        sides.append(tuple(x.shape[1:]))
    assert sides == [(96, 32, 16), (192, 16, 8), (384, 8, 4)]


@torch.no_grad()
def test_transunet_goes_up_bilinearly_by_its_skips():
    model, images = built(VIT), drawn(64, 96)
    pixels, decoder = model.encoder.normalise(images), model.decoder
    maps = model.encoder(pixels).maps
    halves = decoder.stem[0](pixels)
    quarters = decoder.stem[1](halves)
    x = decoder.entry(normed(maps[-1]))
    skips = [[decoder.stem[2](quarters)], [quarters], [halves], []]
    for block, skip in zip(decoder.decoder.blocks, skips, strict=True):
        x = torch.cat([functional.interpolate(x, scale_factor=2, mode="bilinear"), *skip], 1)
        x = block.conv2(block.conv1(x))
    torch.testing.assert_close(decoder(pixels, maps), decoder.head(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("patch", [8, 16, 32])
@torch.no_grad()
def test_the_last_tokens_are_normalised_and_brought_to_stride_16(patch):
    model, seen = built(f"{VIT} patch_size={patch}").eval(), []
    model.decoder.entry.register_forward_hook(lambda entry, inputs, output: seen.append(inputs[0]))
    images = drawn(64, 96)
    last = model.encoder(model.encoder.normalise(images)).maps[-1]
    model(images)
    by_token = (last - last.mean(1, keepdim=True)) / (last.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    if patch == 8:
        by_token = functional.avg_pool2d(by_token, 2)  # what bilinear halving is
    if patch == 32:
        by_token = functional.interpolate(by_token, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(seen[0], by_token, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_scale_of_a_pretrained_models_tokens_does_not_matter():
    model, images = built(VIT), drawn(64, 64)
    pixels = model.encoder.normalise(images)
    maps = model.encoder(pixels).maps
    logits = model.decoder(pixels, maps)
    torch.testing.assert_close(
        model.decoder(pixels, [1000 * level + 30 for level in maps]), logits, rtol=1e-3, atol=1e-4
    )
    assert not torch.allclose(model.decoder(pixels, [level.flip(0) for level in maps]), logits, atol=1e-3)
    assert not torch.allclose(model.decoder(pixels.flip(0), maps), logits, atol=1e-3)
    torch.testing.assert_close(normed(maps[0]).square().mean(1), torch.ones(2, 4, 4), rtol=1e-3, atol=0)


# --------------------------------------------------------------------------------------------------- learning, errors


@pytest.mark.parametrize("backbone", ["resnet10t", f"{VIT} patch_size=8"])
def test_it_learns_four_images_by_heart(backbone):
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    places = [(10, 10, 5), (22, 15, 6), (15, 23, 4), (20, 8, 5)]  # row, column and radius of a disc, in pixels
    masks = torch.stack([((rows - r) ** 2 + (columns - c) ** 2 < radius**2).long() for r, c, radius in places])
    images = (drawn(32, 32, count=4) // 2 + 80 * masks[:, None]).to(torch.uint8)
    model = built(backbone, classes=2)
    adam = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(40):
        loss = functional.cross_entropy(model(images), masks)
        adam.zero_grad()
        loss.backward()
        adam.step()
    found = model(images).argmax(1)
    dice = 2 * (found * masks).sum((1, 2)) / (found + masks).sum((1, 2))
    assert dice.min() > 0.95


def test_a_decoder_that_is_not_known():
    with pytest.raises(BenchError, match=r"^decoder: unknown decoder `unet\+`; did you mean .*`unet\+\+`"):
        built("resnet10t", "unet+")


@pytest.mark.parametrize("decoder", DECODERS[1:])
def test_a_decoder_that_does_not_fit(decoder):
    if decoder == "transunet":
        with pytest.raises(BenchError, match=r"`transunet`: .* gives a pyramid .* `unet` or `unet\+\+` or `attention_"):
            built(Halved((2, 4, 8)), decoder)
    else:
        fault = f"decoder `{decoder}`: the encoder gives tokens of 8 px; what fits is `transunet`"
        with pytest.raises(BenchError, match=re.escape(fault)):
            built(Halved((8, 8), patch=8), decoder)


@pytest.mark.parametrize(
    ("strides", "decoder"),
    [
        *(((), "auto"), ((1,), "auto"), ((2, 8), "auto"), ((4, 4), "auto"), ((8, 4), "auto"), ((8, 16), "auto")),
        *(((3, 6), "auto"), ((4, 8, 16, 32, 64), "auto"), ((2,), "unet++"), ((1, 2), "unet++")),
        *(((2, 4), "attention_unet"), ((1, 2, 4), "attention_unet")),
    ],
)
def test_pyramids_that_cannot_be_decoded(strides, decoder):
    name = "unet" if decoder == "auto" else decoder
    with pytest.raises(BenchError, match=re.escape(f"decoder `{name}`: the encoder's maps have strides {strides};")):
        built(Halved(strides), decoder)


@pytest.mark.parametrize(
    ("encoder", "side", "multiple"),
    [
        (Halved((4, 8)), 60, 8),
        (Halved((8,) * 2, 8), 40, 16),
        (Halved((14,) * 2, 14), 126, 112),
        (Halved((32,), 32), 48, 32),
    ],
)
def test_images_of_a_size_that_is_not_taken(encoder, side, multiple):
    with pytest.raises(BenchError, match=f"images of {side} x {side} px.* multiples of {multiple} px"):
        built(encoder).require_size(side, side)
    model = built(encoder)
    assert model(drawn(multiple, 2 * multiple)).shape == (2, 3, multiple, 2 * multiple)
    for sides in ((multiple, side), (side, multiple)):
        with pytest.raises(BenchError, match=f"images of {sides[0]} x {sides[1]} px.* multiples of {multiple} px"):
            model(drawn(*sides))
