"""Named settings of pretraining, what of them is in a key, and backbones that a method cannot have."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from bench.config import load
from bench.encoders.names import token_backbones
from bench.encoders.timm import parse
from bench.errors import BenchError
from bench.optim import learning_rate
from bench.recipes import Pretrain

GRID = """
[pretrain]
corpus = ["brain_tumor"]
{pretrain}
[methods]
{methods}
[tasks]
"""


def grid(write_grid, methods="simclr = {}", pretrain=""):
    return load(write_grid(GRID.format(methods=methods, pretrain=pretrain)))


def test_the_setting_of_the_paper(write_grid):
    recipe = grid(write_grid, pretrain='recipe = "lvm_med"').pretrain
    assert (recipe.backbone, recipe.init, recipe.image_size) == ("resnet50", "imagenet", 224)
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer, recipe.lr) == (100, 3200, "adam", 2e-3)
    assert recipe.corpus == ("brain_tumor",)
    rates = [learning_rate(recipe, step, 100) for step in (0, 19, 20, 40, 60, 80, 99)]
    assert rates == pytest.approx([2e-3, 2e-3, 1e-3, 5e-4, 2.5e-4, 1.25e-4, 1.25e-4])  # halved four times


def test_the_own_keys_go_before_the_recipe_and_an_entry_has_its_own(write_grid):
    text = '"a" = { plugin = "simclr" }\n"b" = { plugin = "simclr", pretrain = { recipe = "lvm_med", epochs = 3 } }'
    found = grid(write_grid, text, "batch_size = 32")
    a, b = (entry.pretrain for entry in found.methods)
    assert (a.batch_size, a.backbone, a.epochs) == (32, "resnet18", 100)
    assert (b.batch_size, b.backbone, b.epochs, b.corpus) == (3200, "resnet50", 3, ("brain_tumor",))
    assert grid(write_grid, pretrain='recipe = "lvm_med"\nepochs = 7').pretrain.epochs == 7


def test_an_unknown_recipe_has_near_names(write_grid):
    with pytest.raises(BenchError, match=r"\[pretrain\]: unknown recipe `lvmmed`; did you mean `lvm_med`"):
        grid(write_grid, pretrain='recipe = "lvmmed"')


def test_a_key_knows_of_a_later_setting_only_where_it_is_used():
    assert not {"decay", "clip", "checkpoint_minutes", "corpus"} & Pretrain().numbers.keys()
    assert replace(Pretrain(), clip=3.0).numbers == {**Pretrain().numbers, "clip": 3.0}
    assert {"lr", "epochs", "backbone"} <= Pretrain().numbers.keys()


@pytest.mark.parametrize(
    "backbone", ["resnet18", "swin_tiny_patch4_window7_224", "convnext_tiny", "vit_tiny_r_s16_p8_224"]
)
def test_a_method_that_hides_patches_is_refused_where_there_are_none(write_grid, backbone):
    methods = f'mae = {{ backbone = "{backbone}" }}'
    with pytest.raises(BenchError, match=rf"\[methods.mae\]: `mae` hides patches .* `{backbone}` is no plain vision"):
        grid(write_grid, methods)
    found = CliRunner().invoke(app(), ["plan", str(write_grid(GRID.format(methods=methods, pretrain="")))])
    assert isinstance(found.exception, BenchError)


def app():
    from bench.cli import app, look  # noqa: F401

    return app


@pytest.mark.parametrize(
    "backbone", ["vit_tiny_patch16_224", "vit_base_patch16_224.mae", "vit_tiny_patch16_224 patch_size=8 depth=6"]
)
def test_and_has_any_plain_transformer(write_grid, backbone):
    (entry,) = grid(write_grid, f'dinov2 = {{ backbone = "{backbone}" }}').methods
    assert entry.pretrain.backbone == backbone


def test_names_of_plain_transformers_are_those_of_timm():
    import timm
    from timm.models.vision_transformer import VisionTransformer

    assert {"vit_tiny_patch16_224", "vit_base_patch14_dinov2", "test_vit"} <= token_backbones()
    for name in ("test_vit", "vit_tiny_patch16_224", "deit_tiny_patch16_224"):
        plain = name in token_backbones()
        assert isinstance(timm.create_model(name), VisionTransformer) or not plain
        assert plain == name.startswith(("test_vit", "vit_"))


def test_options_follow_a_backbone():
    assert parse("vit_tiny_patch16_224") == ("vit_tiny_patch16_224", {})
    assert parse("a patch_size=8 global_pool='avg'") == ("a", {"patch_size": 8, "global_pool": "avg"})
    for text in ("a patch_size", "a patch_size=", "a x=import"):
        with pytest.raises(BenchError, match="options follow the name as key=value"):
            parse(text)
