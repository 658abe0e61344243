"""Segmentation: loss, order and choice against loops, native grids, both conventions, and what is kept."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch import nn

from bench.data.scenes import scene, write
from bench.data.segments import Slices, read_pair
from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.metrics import released, segmentation
from bench.protocols.segmentation import dice_and_cross_entropy, epoch_order, finetune, frozen, score
from bench.random import generator
from bench.spec import Case, Context, Mask, Splits, TaskInfo

BOTH = pytest.mark.parametrize("protocol", [finetune, frozen], ids=lambda p: p.name)


def card(structures=1, **more):
    names = ("background", "lung", "heart", "spine")[: structures + 1]
    return TaskInfo(
        name="scenes", title="Scenes", modality="none", classes=names, case="image", licence="", citation="", url="",
        layout={}, protocols=("finetune",), target="mask", primary="dice", **more,
    )  # fmt: skip


def pictures(folder, count, structures=1):
    cases = []
    for n in range(count):
        grey, classes = scene(structures, f"picture {n}")
        write(folder / f"{n}.png", grey)
        write(folder / f"{n}_mask.png", classes * (255 if structures == 1 else 1))
        label = 1 if structures == 1 else 0
        cases.append(Case(f"case {n}", folder / f"{n}.png", masks=(Mask(folder / f"{n}_mask.png", label),)))
    return cases


def volumes(folder, count):
    cases = []
    for n in range(count):
        grey, classes = scene(1, f"volume {n}", depth=8)
        write(folder / f"{n}.nii.gz", grey)
        write(folder / f"{n}_label.nii.gz", classes)
        cases.append(Case(f"case {n}", folder / f"{n}.nii.gz", masks=(Mask(folder / f"{n}_label.nii.gz"),)))
    return cases


@pytest.fixture
def context(tmp_path):
    def make(cases, info=None, parts=(4, 2), **more):
        first, second = parts[0], sum(parts)
        splits = Splits(tuple(cases[:first]), tuple(cases[first:second]), tuple(cases[second:]))
        settings = {"seed": 0, "device": "cpu", "cache": tmp_path / "cache", "progress": lambda *_: None, **more}
        return Context(task=info or card(), splits=splits, fingerprint=f"{len(cases)}", **settings)

    return make


def encoder(seed=0):
    torch.manual_seed(seed)
    return TimmEncoder("test_resnet", image_size=32)


def test_the_loss_is_that_of_the_equations():
    torch.manual_seed(0)
    logits, truth = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    likely = logits.softmax(1)
    entropy = [-math.log(likely[b, truth[b, y, x], y, x]) for b in range(2) for y in range(4) for x in range(5)]
    dice = []
    for c in range(3):
        both = sum(float(likely[b, c][truth[b] == c].sum()) for b in range(2))
        sizes = float(likely[:, c].sum()) + int((truth == c).sum())
        dice.append((2 * both + 1e-6) / (sizes + 1e-6))
    wanted = sum(entropy) / len(entropy) + 1 - sum(dice) / 3
    assert dice_and_cross_entropy(logits, truth).item() == pytest.approx(wanted, rel=1e-5)


def test_of_volumes_as_many_slices_are_drawn_without_a_structure_as_with_one():
    shown = np.array([True] * 5 + [False] * 20)
    orders = [epoch_order(shown, True, draws) for draws in [generator("order")] for _ in range(3)]
    for order in orders:
        assert sorted(n for n in order.tolist() if n < 5) == [0, 1, 2, 3, 4]
        assert len(set(order.tolist())) == 10
    assert {tuple(sorted(o.tolist())) for o in orders} != {tuple(sorted(orders[0].tolist()))}  # others each epoch
    assert orders[0].tolist() == epoch_order(shown, True, generator("order")).tolist()


@pytest.mark.parametrize("shown", [[True] * 5 + [False] * 20, [False] * 7])
def test_of_pictures_all_are_drawn(shown):
    assert sorted(epoch_order(np.array(shown), False, generator("order")).tolist()) == list(range(len(shown)))
    few = epoch_order(np.array([True, True, False]), True, generator("order"))
    assert sorted(few.tolist()) == [0, 1, 2]


@BOTH
def test_it_learns_what_a_phantom_shows_and_tells_each_case(tmp_path, context, protocol):
    found = protocol.fit_and_score(
        encoder(), context(pictures(tmp_path, 20), parts=(12, 4)), lr=3e-3, epochs=15, batch_size=4
    )
    assert found.cases == tuple(f"case {n}" for n in range(16, 20))
    assert list(found.values) == ["dice", "iou", "dice_lung", "iou_lung", "release_dice"]
    assert all(values.shape == (4,) for values in found.values.values())
    assert found.values["dice"].min() > 0.7
    assert found.predictions == {}
    assert 1 <= found.chosen["epoch"] <= 15


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tmp_path, context):
    cases = pictures(tmp_path, 8)
    runs = [
        finetune.fit_and_score(encoder(), context(cases, seed=seed), lr=1e-3, epochs=2, batch_size=2)
        for seed in (0, 0, 1)
    ]
    assert runs[0].values["dice"].tolist() == runs[1].values["dice"].tolist() != runs[2].values["dice"].tolist()


def test_test_data_have_no_part_in_training(tmp_path, context):
    cases = pictures(tmp_path, 8)
    other = [replace(case, masks=cases[0].masks, image=cases[0].image) for case in cases[6:]]
    first = finetune.fit_and_score(encoder(), context(cases), lr=1e-3, epochs=3, batch_size=2)
    second = finetune.fit_and_score(
        encoder(), replace(context(cases[:6] + other), fingerprint="b"), lr=1e-3, epochs=3, batch_size=2
    )
    assert first.chosen == second.chosen
    assert first.values["dice"].tolist() != second.values["dice"].tolist()


class Oracle(nn.Module):
    """Calls bright what is brighter than half, at the size that it is shown."""

    def forward(self, images):
        bright = (images[:, :1] > 127).float() * 10
        return torch.cat([10 - bright, bright], dim=1)


def disc(folder, name, side, radius):
    y, x = np.mgrid[:side, :side]
    inside = np.hypot(y - side / 2, x - side / 2) < radius
    Picture.fromarray((inside * 255).astype(np.uint8)).save(folder / f"{name}.png")
    return Case(name, folder / f"{name}.png", masks=(Mask(folder / f"{name}.png", 1),)), inside


def test_a_case_is_scored_on_its_own_grid_and_as_released_on_the_small_one(tmp_path, context):
    case, inside = disc(tmp_path, "disc", 200, 60)
    made = context([case] * 3, parts=(1, 1))
    small = np.asarray(Picture.fromarray((inside * 255).astype(np.uint8)).resize((32, 32), Picture.Resampling.BILINEAR))
    truth = np.asarray(Picture.fromarray(inside.astype(np.uint8)).resize((32, 32), Picture.Resampling.NEAREST))
    data = Slices(np.repeat(small[None, None], 3, 1), truth[None], np.array([0]))
    values, native = score(Oracle(), case, data, made)
    assert native.shape == (1, 200, 200)
    predicted = (small > 127).astype(np.uint8)
    assert values["release_dice"] == pytest.approx(released(predicted, truth, (1,), "dice"))
    assert values["dice"] == segmentation(native[0], inside.astype(np.uint8), {"lung": (1,)})["dice"]
    assert 0.95 < values["dice"] < 1
    assert values["dice"] != pytest.approx(values["release_dice"], abs=1e-4)


def test_what_is_not_white_in_the_region_is_not_scored(tmp_path, context):
    case, inside = disc(tmp_path, "disc", 64, 20)
    wrong = np.zeros((64, 64), np.uint8)
    wrong[:, :32] = inside[:, :32]
    Picture.fromarray(np.uint8(wrong * 255)).save(tmp_path / "half.png")
    half = np.zeros((64, 64), np.uint8)
    half[:, :32] = 255
    Picture.fromarray(half).save(tmp_path / "view.png")
    data = Slices(np.repeat(wrong[None, None] * np.uint8(255), 3, 1), wrong[None], np.array([0]))
    without, _ = score(Oracle(), case, data, context([case] * 3, parts=(1, 1)))
    within, _ = score(Oracle(), replace(case, region=tmp_path / "view.png"), data, context([case] * 3, parts=(1, 1)))
    assert without["dice"] == pytest.approx(2 / 3, abs=0.05)
    assert within["dice"] == 1


def test_volumes_are_scored_whole_in_millimetres(tmp_path, context):
    made = context(volumes(tmp_path, 6), parts=(3, 1), keep_predictions=True)
    found = finetune.fit_and_score(encoder(), made, lr=3e-3, epochs=4, batch_size=8)
    assert list(found.values)[:4] == ["dice", "iou", "hd95", "nsd"]
    for number, case in enumerate(made.splits.test):
        pair = read_pair(case, made.task)
        mask = found.predictions[f"mask_{number}"]
        assert mask.shape == pair.truth.shape
        assert len(mask) == 8
        assert pair.spacing == (3.0, 1.5, 1.5)
        again = segmentation(mask, pair.truth, made.task.scored, spacing=pair.spacing)
        assert {name: found.values[name][number] for name in again} == again


def test_distances_are_left_out_where_one_case_has_no_spacing(tmp_path, context):
    cases = [replace(case, spacing=(0.5, 0.5)) for case in pictures(tmp_path, 8)]
    known = finetune.fit_and_score(encoder(), context(cases), epochs=1, batch_size=4)
    assert "hd95" in known.values
    mixed = [*cases[:7], replace(cases[7], spacing=())]
    unknown = finetune.fit_and_score(encoder(), context(mixed), epochs=1, batch_size=4)
    assert list(unknown.values) == [name for name in known.values if not name.startswith(("hd95", "nsd"))]


def test_frozen_leaves_the_encoder_to_the_byte(tmp_path, context):
    cases = pictures(tmp_path, 8)
    model = encoder()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    frozen.fit_and_score(model, context(cases), epochs=2, batch_size=2, lr=1e-2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    finetune.fit_and_score(model, context(cases), epochs=2, batch_size=2, lr=1e-2)
    assert not all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_size_that_does_not_fit_is_refused_before_anything_is_read(tmp_path, context):
    cases = [Case(f"{n}", tmp_path / "gone.png", masks=(Mask(tmp_path / "gone.png", 1),)) for n in range(4)]
    with pytest.raises(BenchError, match="images of 30 x 30 px"):
        finetune.fit_and_score(encoder(), context(cases, parts=(1, 1)), image_size=30)


def test_several_structures_are_told_apart(tmp_path, context):
    made = context(pictures(tmp_path, 20, structures=3), card(3), parts=(14, 3))
    found = finetune.fit_and_score(encoder(), made, lr=3e-3, epochs=25, batch_size=4)
    names = [name for name in found.values if name.startswith("dice")]
    assert names == ["dice", "dice_lung", "dice_heart", "dice_spine"]
    assert found.values["dice"].mean() > 0.5
    means = np.mean([found.values[f"dice_{name}"] for name in ("lung", "heart", "spine")], axis=0)
    np.testing.assert_allclose(found.values["dice"], means)
