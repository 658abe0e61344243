"""Detection: boxes in the network's pixels and back, what is trained, chosen and kept, by both engines."""

import importlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.data.images import read_image
from bench.data.phantom import draw
from bench.detections import Found, overlaps
from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.protocols.detect import Boxed, Trainer, detect, flipped, parts
from bench.random import generator, seed_library
from bench.registry import discover
from bench.spec import Box, Context, Splits

module = importlib.import_module("bench.protocols.detect")
SIZE = 64
SMALL = {"image_size": SIZE, "batch_size": 4, "lr": 3e-3, "width": 16, "hidden": 32, "regions": 32, "train_norm": True}
fit = detect.fit_and_score
ENGINES = [
    "torchvision",
    pytest.param(
        "detectron2",
        marks=[
            pytest.mark.skipif(importlib.util.find_spec("detectron2") is None, reason="detectron2 is not built here"),
            pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning"),  # its own, of torch's news
        ],
    ),
]


def small_encoder():
    seed_library("test")
    return TimmEncoder("test_resnet", image_size=SIZE)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A phantom with boxes, and its task."""
    task = discover().get("task", "kvasir_detection", where="tests").load()
    folder = tmp_path_factory.mktemp("boxes") / "kvasir"
    draw(task, folder, cases=40)
    return task, folder


@pytest.fixture
def context(drawn, tmp_path):
    task, folder = drawn
    splits = task.splits(folder)
    return Context(
        task=task.info, splits=splits, fingerprint="boxes", seed=0, device="cpu", cache=tmp_path / "cache",
        progress=lambda what, done, of: None,
    )  # fmt: skip


def with_cases(context, part, change):
    cases = tuple(change(case) for case in getattr(context.splits, part))
    return replace(context, splits=replace(context.splits, **{part: cases}), fingerprint=f"changed {part}")


# ------------------------------------------------------------------------------------------- boxes


def test_boxes_follow_their_image_into_a_square(context):
    found = parts(context, SIZE)["train"]
    case = context.splits.train[0]
    height, width = read_image(case.image).shape[:2]
    box = case.boxes[0]
    wanted = [box.left * SIZE / width, box.top * SIZE / height, box.right * SIZE / width, box.bottom * SIZE / height]
    assert found.boxes[0][0].tolist() == pytest.approx(wanted, rel=1e-6)
    assert found.native[0] == (height, width)
    left, top, right, bottom = (round(edge) for edge in wanted)
    inside = found.images[0, 0, top:bottom, left:right].float().mean()
    assert inside > found.images[0, 0].float().mean() + 15  # polyps of the phantom are bright


def test_a_frame_of_another_size_is_what_boxes_are_in(context):
    """As in copies of radiographs at 512 px, whose boxes are in pixels of the original."""

    def doubled(case):
        boxes = tuple(Box(b.label, *(2 * e for e in (b.left, b.top, b.right, b.bottom))) for b in case.boxes)
        return replace(case, boxes=boxes, frame=(2 * case.frame[0], 2 * case.frame[1]))

    plain, changed = (parts(c, SIZE)["test"] for c in (context, with_cases(context, "test", doubled)))
    for one, other in zip(plain.boxes, changed.boxes, strict=True):
        torch.testing.assert_close(one, other)
    assert plain.native == changed.native


def test_a_box_outside_an_image_whose_size_no_file_told(context):
    def outside(case):
        return replace(case, frame=(), boxes=(Box(0, 1.0, 1.0, 5000.0, 9.0, place="train.csv:7"),))

    with pytest.raises(BenchError, match=r"train\.csv:7: the box 1, 1, 5000, 9 .* reaches out of its image"):
        parts(with_cases(context, "val", outside), SIZE)


def test_a_box_out_by_less_than_a_pixel_is_cut_and_counted(context):
    def beyond(case):
        return replace(case, frame=(), boxes=(Box(0, -0.5, 1.0, 30.0, 40.0),))

    changed = with_cases(context, "train", beyond)
    assert parts(changed, SIZE)["train"].mended == len(context.splits.train)
    assert all(of[0, 0] == 0 for of in parts(changed, SIZE)["train"].boxes)
    chosen = fit(small_encoder(), changed, epochs=1, **SMALL).chosen
    assert chosen["edges beyond the image by a pixel at most"] == len(context.splits.train)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_without_any_box_is_refused(context, part):
    empty = with_cases(context, part, lambda case: replace(case, boxes=()))
    with pytest.raises(BenchError, match=f"no {part} image of kvasir_detection has a box"):
        parts(empty, SIZE)


def test_mirrored_boxes_stay_on_what_they_mark():
    boxes = torch.tensor([[3.0, 5.0, 10.0, 9.0], [0.0, 0.0, 16.0, 16.0]])
    image = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    image[..., 5:9, 3:10] = 200
    data = Boxed(image, (boxes,), (torch.zeros(2, dtype=torch.int64),), ((16, 16),))
    images, (turned,), _ = data.batch(torch.tensor([0]), torch.tensor([True]), "cpu")
    left, top, right, bottom = turned[0].int().tolist()
    assert (left, top, right, bottom) == (6, 5, 13, 9)
    assert (images[0, :, top:bottom, left:right] == 200).all()
    assert int((images == 200).sum()) == int((image == 200).sum())
    torch.testing.assert_close(flipped(turned, 16), boxes)
    same, (still,), _ = data.batch(torch.tensor([0]), torch.tensor([False]), "cpu")
    assert torch.equal(same, image)
    assert torch.equal(still, boxes)


# ------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("engine", ENGINES)
def test_it_finds_what_is_there(context, engine):
    found = fit(small_encoder(), context, engine=engine, epochs=8, **SMALL)
    assert found.detections.value("map50") > 0.75
    assert set(found.values) == {"f1"}
    assert found.cases == tuple(case.id for case in context.splits.test)
    kept = found.predictions
    sure = kept["box_score"] > 0.9
    assert sure.any()
    for image in set(kept["box_image"][sure].tolist()):  # in pixels of the image as it is stored
        case = context.splits.test[image]
        truth = np.array([[b.left, b.top, b.right, b.bottom] for b in case.boxes]).reshape(-1, 4)
        assert overlaps(kept["box_edges"][sure & (kept["box_image"] == image)], truth).max() > 0.4


def test_one_seed_one_result_and_another_another(context):
    first, again, other = (
        fit(small_encoder(), replace(context, seed=seed), epochs=2, **SMALL).predictions for seed in (0, 0, 1)
    )
    assert first["box_edges"].tobytes() == again["box_edges"].tobytes()
    assert first["box_score"].tobytes() == again["box_score"].tobytes()
    assert first["box_score"].tobytes() != other["box_score"].tobytes()


def test_the_test_part_is_only_looked_at(context):
    """Neither what is trained nor what is chosen depends on it."""
    mirrored = replace(context, splits=replace(context.splits, test=context.splits.val))
    one, other = (fit(small_encoder(), given, epochs=3, **SMALL) for given in (context, mirrored))
    assert one.chosen == other.chosen
    assert one.chosen["val"] == pytest.approx(other.detections.value("map50"))  # which it is now scored on


def test_the_best_epoch_on_validation_is_kept_and_of_equals_the_later(context, monkeypatch):
    seen, values = [], iter([0.1, 0.6, 0.3, 0.6, 0.2])

    def validated(model, data, context):
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(values)

    kept = []
    monkeypatch.setattr(module, "validated", validated)
    monkeypatch.setattr(module, "find", lambda model, data, device: kept.append(model.state_dict()) or nothing(data))
    assert fit(small_encoder(), context, epochs=5, **SMALL).chosen == {"epoch": 4, "val": 0.6}
    assert all(torch.equal(seen[3][name], value) for name, value in kept[0].items())
    assert not all(torch.equal(seen[4][name], value) for name, value in kept[0].items())


def nothing(data):
    return [Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)) for _ in data.images]


def test_nothing_found_is_a_result(context, monkeypatch):
    monkeypatch.setattr(module, "find", lambda model, data, device: nothing(data))
    found = fit(small_encoder(), context, epochs=1, **SMALL)
    assert found.summary["map50"] == 0.0
    assert found.values["f1"].tolist() == [float(not case.boxes) for case in context.splits.test]


def test_validation_without_a_box_keeps_the_last_epoch(context):
    empty = with_cases(context, "val", lambda case: replace(case, boxes=()))
    assert fit(small_encoder(), empty, epochs=2, **SMALL).chosen == {"epoch": 2, "val": 0.0}


def test_a_batch_of_negatives_is_trained_on(context):
    data = parts(context, SIZE)["train"]
    bare = replace(data, boxes=tuple(b[:0] for b in data.boxes), labels=tuple(of[:0] for of in data.labels))
    model = module.build("torchvision", small_encoder(), 1, module.Recipe(16, 32, 32), train_norm=True)
    assert math.isfinite(Trainer(model, 1e-3, 0.0, 1.0, 0.5, generator("t")).epoch(bare, 4, "cpu"))


def test_a_loss_that_is_no_number_stops_it(context, monkeypatch):
    monkeypatch.setattr(Trainer, "epoch", lambda *_: math.nan)
    with pytest.raises(BenchError, match=r"the loss is nan in epoch 1; try a lower lr than 0\.003"):
        fit(small_encoder(), context, epochs=1, **SMALL)


BAD = {
    "engine": ({"engine": "torchvison"}, "unknown engine `torchvison`; did you mean `torchvision`"),
    "size": ({"image_size": 72}, "image_size = 72 must be a multiple of 32 px for this encoder"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_settings_that_cannot_work(context, change, message):
    with pytest.raises(BenchError, match=message):
        fit(small_encoder(), context, epochs=1, **{**SMALL, **change})


def test_tokens_are_detected_on_too(context):
    seed_library("test")
    encoder = TimmEncoder("test_vit patch_size=14", image_size=56)
    found = fit(encoder, replace(context, splits=Splits(*(c[:4] for _, c in context.splits))), epochs=1, **SMALL)
    assert set(found.detections.metrics) >= {"map", "map50", "froc", "ap50_polyp"}
