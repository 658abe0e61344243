"""Prompts: boxes, kept embeddings, SAM's decoder mapped over images, training, and both conventions' scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling import MaskDecoder

from bench.data.scenes import scene, write
from bench.data.segments import read_pair
from bench.encoders.sam import SamEncoder
from bench.encoders.timm import TimmEncoder
from bench.errors import BenchError
from bench.metrics import segmentation
from bench.protocols import prompt as module
from bench.protocols._prompting import Embedder, PromptDecoder, prompts
from bench.protocols.prompt import Part, Rule, class_map, mask_loss, prompt, prompt_zero_shot
from bench.spec import Case, Context, Mask, Splits, TaskInfo

TINY = "vit_b depth=2 embed_dim=16 num_heads=2 global_attn_indexes=(1,) window_size=2"
SIZE = 64

pytestmark = pytest.mark.usefixtures("one_thread")


def card(structures=1, **more):
    names = ("background", "lung", "heart", "spine")[: structures + 1]
    return TaskInfo(
        name="scenes", title="Scenes", modality="none", classes=names, case="image", licence="", citation="", url="",
        layout={}, protocols=("finetune",), target="mask", primary="dice", **more,
    )  # fmt: skip


def cases(folder, count, structures=1, depth=0):
    found, ending = [], ".nii.gz" if depth else ".png"
    for n in range(count):
        grey, classes = scene(structures, f"{depth} {n}", depth=depth)
        write(folder / f"{n}{ending}", grey)
        write(folder / f"{n}_mask{ending}", classes)
        found.append(Case(f"case {n}", folder / f"{n}{ending}", masks=(Mask(folder / f"{n}_mask{ending}"),)))
    return found


@pytest.fixture
def context(tmp_path):
    def make(found, info=None, parts=(4, 2), **more):
        first, second = parts[0], sum(parts)
        splits = Splits(tuple(found[:first]), tuple(found[first:second]), tuple(found[second:]))
        settings = {"seed": 0, "device": "cpu", "cache": tmp_path / "cache", "progress": lambda *_: None, **more}
        return Context(task=info or card(), splits=splits, fingerprint=f"{len(found)}", **settings)

    return make


def encoder(seed=0):
    torch.manual_seed(seed)
    return SamEncoder(TINY, image_size=SIZE)


# -------------------------------------------------------------------------------------------------------- boxes


def boxes_of(context, push=(0, 19), names=("case 0/0",), truth=None):
    if truth is None:
        truth = np.zeros((1, 64, 64), np.uint8)
        truth[0, 20:30, 8:40] = 1
        truth[0, 50:60, 50:60] = 2
    return prompts(truth, names, context, push)


def test_a_box_is_tight_and_its_sides_are_pushed_outward_and_cut(context):
    made = context([Case(f"{n}", Path("none")) for n in range(4)], parts=(1, 1))
    tight = boxes_of(made, (0, 0))
    assert (tight.rows.tolist(), tight.classes.tolist()) == ([0, 0], [1, 2])
    assert tight.boxes.tolist() == [[8, 20, 40, 30], [50, 50, 60, 60]]
    fixed = boxes_of(made, (40, 40))  # 10 px at 64
    assert fixed.boxes.tolist() == [[0, 10, 50, 40], [40, 40, 64, 64]]


def test_offsets_are_drawn_once_for_a_case_a_structure_and_a_seed(context):
    found = [Case(f"{n}", Path("none")) for n in range(4)]
    one = boxes_of(context(found, parts=(1, 1)))
    assert one.boxes.tolist() == boxes_of(context(found, parts=(2, 1))).boxes.tolist()
    assert one.boxes.tolist() != boxes_of(context(found, parts=(1, 1), seed=1)).boxes.tolist()
    assert one.boxes.tolist() != boxes_of(context(found, parts=(1, 1)), names=("case 1/0",)).boxes.tolist()
    away = np.abs(one.boxes - [[8, 20, 40, 30], [50, 50, 60, 60]]) * 256 / 64
    assert (away == np.round(away)).all()
    truth = np.zeros((400, 64, 64), np.uint8)
    truth[:, 30:34, 30:34] = 1
    many = boxes_of(context(found, parts=(1, 1)), names=[f"{n}" for n in range(400)], truth=truth)
    away = np.abs(many.boxes - [30, 30, 34, 34]) * 4
    assert sorted(np.unique(away)) == list(range(20))  # U{0 ... 19}, each side on its own
    assert abs(np.corrcoef(away.T)[np.triu_indices(4, 1)]).max() < 0.2


# ------------------------------------------------------------------------------------------------------ decoder


def test_the_decoder_mapped_over_images_is_sams_on_each(context):
    torch.manual_seed(0)
    decoder = PromptDecoder(SIZE).eval()
    embeddings, boxes = torch.randn(3, 256, 4, 4), torch.tensor([[0, 0, 30, 30], [5, 9, 60, 33], [1, 2, 3, 4.0]])
    for n in range(3):
        sparse, dense = decoder.prompt_encoder(points=None, boxes=boxes[n : n + 1], masks=None)
        positions = decoder.prompt_encoder.get_dense_pe()
        alone, _ = MaskDecoder.forward(
            decoder.mask_decoder, embeddings[n : n + 1], positions, sparse, dense, multimask_output=False
        )
        torch.testing.assert_close(decoder(embeddings, boxes)[n], alone[0, 0], atol=1e-5, rtol=1e-4)
    trained = {name.partition(".")[0] for name, p in decoder.named_parameters() if p.requires_grad}
    assert trained == {"mask_decoder"}


def test_a_whole_sam_gives_its_decoder_and_another_file_is_refused(tmp_path):
    torch.manual_seed(0)
    source = PromptDecoder(SIZE)
    whole = {**source.state_dict(), "image_encoder.pos_embed": torch.zeros(1, 4, 4, 16)}
    torch.save(whole, tmp_path / "sam.pth")
    torch.manual_seed(1)
    loaded = PromptDecoder(SIZE, tmp_path / "sam.pth")
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    assert loaded.loaded["matched"] == len(source.state_dict())
    torch.save(encoder().state_dict(), tmp_path / "encoder.pth")
    with pytest.raises(BenchError, match=r"encoder.pth: does not fit the backbone: no `prompt_encoder"):
        PromptDecoder(SIZE, tmp_path / "encoder.pth")


def test_the_loss_is_that_of_the_equations():
    torch.manual_seed(0)
    logits, truth = torch.randn(2, 4, 5), torch.randint(0, 2, (2, 4, 5)).float()
    likely = logits.sigmoid()
    entropy = -(truth * likely.log() + (1 - truth) * (1 - likely).log()).mean()
    dice = [float((2 * (p * t).sum() + 1e-6) / ((p + t).sum() + 1e-6)) for p, t in zip(likely, truth, strict=True)]
    assert mask_loss(logits, truth).item() == pytest.approx(float(entropy) + 1 - sum(dice) / 2, rel=1e-5)


def test_of_several_masks_the_likeliest_has_the_pixel():
    logits = torch.full((2, 2, 2), -1.0)
    logits[0, 0] = torch.tensor([3.0, 1.0])
    logits[1, :, 1] = 2.0
    assert class_map(logits, np.array([1, 5]), (2, 2)).tolist() == [[1, 5], [0, 5]]
    assert class_map(logits[:0], np.array([], int), (3, 2)).tolist() == [[0, 0]] * 3


# ----------------------------------------------------------------------------------------------------- protocol


def test_training_helps_and_leaves_the_encoder_to_the_byte(tmp_path, context):
    made = context(cases(tmp_path, 12), parts=(8, 2))
    model = encoder()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    untrained = prompt_zero_shot.fit_and_score(model, made)
    found = prompt.fit_and_score(model, made, lr=1e-3, epochs=12, batch_size=4)
    assert list(found.values) == ["dice", "iou", "dice_lung", "iou_lung", "release_dice"]
    assert found.values["dice"].mean() > untrained.values["dice"].mean() + 0.2
    assert found.values["dice"].min() > 0.6
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert found.chosen["decoder"] == "drawn"


def test_the_boxes_are_kept_and_the_scores_can_be_computed_again(tmp_path, context):
    made = context(cases(tmp_path, 8, structures=3), card(3), keep_predictions=True)
    found = prompt.fit_and_score(encoder(), made, lr=1e-3, epochs=1, batch_size=4)
    for number, case in enumerate(made.splits.test):
        kept = found.predictions[f"boxes_{number}"]
        assert kept[:, 1].tolist() == [1, 2, 3]  # slice, class, left, top, right, bottom
        asked = Part(Embedder(encoder()), (case,), made, SIZE, Rule()).asked
        assert kept[:, 2:].tolist() == asked.boxes.tolist()
        assert found.predictions[f"mask_{number}"].max() <= 3


def test_embeddings_are_computed_once(tmp_path, context, monkeypatch):
    made = context(cases(tmp_path, 8))
    calls = []
    real = SamEncoder.embedding
    monkeypatch.setattr(SamEncoder, "embedding", lambda self, images: calls.append(len(images)) or real(self, images))
    one = prompt.fit_and_score(encoder(), made, lr=1e-3, epochs=3, batch_size=4)
    assert sum(calls) == 8
    two = prompt.fit_and_score(encoder(), made, lr=1e-3, epochs=3, batch_size=4)
    assert sum(calls) == 8
    assert one.values["dice"].tolist() == two.values["dice"].tolist()
    other = prompt.fit_and_score(encoder(1), made, lr=1e-3, epochs=3, batch_size=4)
    assert sum(calls) == 16
    assert other.values["dice"].tolist() != one.values["dice"].tolist()


def test_kept_embeddings_give_the_losses_of_those_computed_anew(tmp_path, context, monkeypatch):
    """In half precision, to 1e-4 relative to the loss."""
    made = context(cases(tmp_path, 8))

    def losses():
        noted = []
        real = module.mask_loss
        monkeypatch.setattr(module, "mask_loss", lambda *a: noted.append(real(*a)) or noted[-1])
        prompt.fit_and_score(model, made, lr=1e-4, epochs=3, batch_size=4)
        monkeypatch.setattr(module, "mask_loss", real)
        return [float(loss.detach()) for loss in noted]

    model = encoder()
    kept = losses()

    def anew(self, chosen, device):
        rows = np.unique(self.asked.rows)[self.place[chosen]]
        images = torch.from_numpy(np.ascontiguousarray(self.data.images[rows])).expand(-1, 3, -1, -1)
        with torch.no_grad():
            return model.embedding(model.normalise(images)), torch.from_numpy(self.asked.boxes[chosen])

    monkeypatch.setattr(Part, "inputs", anew)
    assert len(kept) == 3
    np.testing.assert_allclose(losses(), kept, rtol=1e-4)


def test_volumes_are_scored_whole_and_slices_without_a_structure_have_no_box(tmp_path, context):
    made = context(cases(tmp_path, 5, depth=8), parts=(2, 1), keep_predictions=True)
    found = prompt.fit_and_score(encoder(), made, lr=1e-3, epochs=2, batch_size=8)
    assert {"dice", "hd95", "nsd", "release_iou"} <= set(found.values)
    mask, boxes = found.predictions["mask_0"], found.predictions["boxes_0"]
    assert len(mask) == 8
    without = sorted(set(range(8)) - set(boxes[:, 0].astype(int)))
    assert without
    assert not mask[without].any()


def test_an_encoder_that_is_not_sams_and_a_wrong_size_are_refused(tmp_path, context):
    made = context(
        [Case(f"{n}", tmp_path / "gone.png", masks=(Mask(tmp_path / "gone.png"),)) for n in range(4)], parts=(1, 1)
    )
    with pytest.raises(BenchError, match="prompt: needs an image encoder of SAM"):
        prompt.fit_and_score(TimmEncoder("test_resnet", image_size=32), made)
    with pytest.raises(BenchError, match="images of 40 px; SAM takes multiples of 16 px"):
        prompt.fit_and_score(encoder(), made, image_size=40)
    with pytest.raises(BenchError, match="push is the least and the most"):
        prompt.fit_and_score(encoder(), made, push=(3, 1))


def test_what_shows_no_structure_cannot_be_trained_on(tmp_path, context):
    found = cases(tmp_path, 4)
    write(tmp_path / "black.png", np.zeros((32, 32, 1), np.uint8))
    blank = replace(found[0], image=tmp_path / "black.png", masks=(Mask(tmp_path / "black.png"),))
    with pytest.raises(BenchError, match="no training case shows a structure"):
        prompt.fit_and_score(encoder(), context([blank, *found[1:]], parts=(1, 1)), epochs=1)


def test_merged_structures_have_one_box_and_are_scored_as_one(tmp_path, context):
    made = context(cases(tmp_path, 5, structures=3), card(3), parts=(2, 1), keep_predictions=True)
    found = prompt.fit_and_score(encoder(), made, lr=1e-3, epochs=1, batch_size=4, merged=True, push=(0, 0))
    assert list(found.values) == ["dice", "iou", "dice_all", "iou_all", "release_dice"]
    for number, case in enumerate(made.splits.test):
        truth = read_pair(case, made.task).truth[0]
        ((_, label, left, top, right, bottom),) = found.predictions[f"boxes_{number}"]
        y, x = np.nonzero(truth)
        scale = SIZE / np.array(truth.shape)
        wanted = np.array([x.min() * scale[1], y.min() * scale[0], (x.max() + 1) * scale[1], (y.max() + 1) * scale[0]])
        assert label == 1
        np.testing.assert_allclose([left, top, right, bottom], wanted, atol=1.5)
        again = segmentation(found.predictions[f"mask_{number}"][0], np.minimum(truth, 1), {"all": (1,)})
        assert found.values["dice"][number] == again["dice"]


def test_the_epoch_that_is_best_on_validation_is_kept_and_of_equals_the_later(tmp_path, context, monkeypatch):
    made = context(cases(tmp_path, 8))

    def run(epochs, *dice):
        told = iter(dice)
        monkeypatch.setattr(module, "_dice", lambda *_: next(told))
        return prompt.fit_and_score(encoder(), made, lr=1e-3, epochs=epochs, batch_size=4)

    one, best, later = run(1, 0.5), run(3, 0.9, 0.1, 0.5), run(3, 0.5, 0.9, 0.9)
    assert (best.chosen["epoch"], best.chosen["val_dice"]) == (1, 0.9)
    assert best.values["dice"].tolist() == one.values["dice"].tolist() != later.values["dice"].tolist()
    assert later.chosen["epoch"] == 3
