"""The contract suite, public: what every method, foundation model and task must keep. `bench check NAME` runs it.

The project's own tests run the same checks over every plug-in, so a new file is tested with no new test line.
"""

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bench.data.boxes import inside
from bench.data.folders import is_volume
from bench.data.images import read_image, read_size
from bench.data.masks import read_region, read_truth
from bench.data.phantom import draw
from bench.detections import WHOLE
from bench.encoders.timm import TimmEncoder
from bench.entries import settings
from bench.nn import View
from bench.pretrain import pretrain
from bench.random import generator, seed_library
from bench.recipes import Pretrain
from bench.registry import Plugin, discover
from bench.spec import Encoder, FoundationModel, Method, Splits, Task, TaskInfo, Views, Weights
from bench.views import draw_views

BACKBONE, TOKENS, SIZE, IMAGES = "test_resnet", "test_vit patch_size=8", 32, 64
RECIPE = Pretrain(
    backbone=BACKBONE, image_size=SIZE, epochs=2, batch_size=16, lr=1e-3, warmup_epochs=0.0, checkpoint_minutes=0.0
)


class Broken(AssertionError):
    """A plug-in does not keep the contract; the message says which rule and how."""


def require(condition: bool, rule: str) -> None:
    """Raise Broken with the rule unless the condition holds."""
    if not condition:
        raise Broken(rule)


Check = tuple[str, Callable[[], None]]


def suite(plugin: Plugin) -> Iterator[Check]:
    """The checks of a plug-in, by title; each raises when the rule is broken."""
    yield "is found, and loads as what its file says", partial(check_found, plugin)
    if plugin.error:
        return
    checks = {"ssl_method": METHOD, "foundation_model": ENCODER, "task": TASK}[plugin.decorator]
    yield from ((title, partial(check, plugin)) for title, check in checks.items())


def check_found(plugin: Plugin) -> None:
    """The object that the file makes when imported is the one that was read from it."""
    loaded = plugin.load()
    require(loaded.info.name == plugin.name, f"imported, it is called `{loaded.info.name}`")
    require(plugin.file.stem == plugin.name, f"its file is called {plugin.file.name}: file and name are the same")
    if isinstance(loaded, Task):
        return
    require(bool(loaded.info.paper), "paper: says where the method comes from, or `none`")
    own = {"backbone", "image_size"} if loaded.info.backbone else set()
    settings(plugin, {key: value for key, value in loaded.info.small.items() if key not in own}, "small")


def small(plugin: Plugin) -> Method:
    """The method with its small settings on a small encoder, its weights drawn from a seed of their own."""
    seed_library("check", plugin.name)
    kind: type[Method] = plugin.load()
    encoder = TimmEncoder(TOKENS if kind.info.needs == "tokens" else BACKBONE, image_size=SIZE)
    return kind(encoder, **settings(plugin, kind.info.small, "small"))


def ready(plugin: Plugin, name: str, count: int = 16) -> tuple[Method, list[View]]:
    """The method as it stands before its first step on a corpus of `count` pictures, and views of them all."""
    method = small(plugin).train()
    views = views_of(method, name, count)
    method.begin(count)
    method.before_epoch(0, iter([views_of(method, f"{name} before", count)]))
    return method, views


def pictures(count: int = IMAGES) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Random 8-bit images with some structure: (count, 3, 48, 48)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 3, 6, 6), dtype=np.uint8)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


def views_of(method: Method, name: str, count: int = 16) -> list[View]:
    """Views of the pictures, drawn under a name."""
    encoder = method.encoder
    images = torch.from_numpy(pictures(count))
    return draw_views(
        images,
        method.views,
        SIZE,
        mean=encoder.mean,
        std=encoder.std,
        generator=generator(name),
        multiple=encoder.patch or 1,
    )


def check_loss(plugin: Plugin) -> None:
    """One finite number, with a gradient in every weight of the encoder that the features depend on."""
    method, views = ready(plugin, "loss")
    loss = method(views)
    require(loss.shape == (), f"loss: must be a scalar, has shape {tuple(loss.shape)}")
    require(math.isfinite(loss.item()), f"loss: is {loss.item()} on random images")
    loss.backward()
    without = [name for name, p in method.encoder.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    require(
        not without, f"loss: gives no finite gradient to {len(without)} weights of the encoder, such as {without[:1]}"
    )


def check_learns(plugin: Plugin) -> None:
    """Thirty steps on one batch lower the loss, against what a teacher or a queue asks for by then."""
    method, views = ready(plugin, "learns")
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-3)
    untrained = {name: p.detach().clone() for name, p in method.named_parameters() if p.requires_grad}
    for step in range(30):
        seed_library("learns", step)
        method.progress = step / 30
        loss = method(views)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        method.after_step((step + 1) / 30)
    state = {name: value.clone() for name, value in method.state_dict().items()}
    before, after = (_loss_with(method, views, weights) for weights in ({**state, **untrained}, state))
    require(after < before, f"30 steps on one batch: loss {before:.4f} -> {after:.4f}")


def _loss_with(method: Method, views: list[View], state: dict[str, torch.Tensor]) -> float:
    method.load_state_dict(state)
    seed_library("learnt")
    return float(method(views).item())


def check_views(plugin: Plugin) -> None:
    """The views can be drawn, and their fields are those of `Views`."""
    method = small(plugin)
    wanted = method.views.global_crops + method.views.local_crops
    require(isinstance(method.views, Views), "views: must be a bench.spec.Views")
    require(len(views_of(method, "views")) == wanted, f"views: {asdict(method.views)} gives another number of views")


def check_resume(plugin: Plugin) -> None:
    """A pretraining that is stopped half-way and resumed ends with the same bytes, and so does a second one."""
    whole = _train(plugin, None)
    require(_same(whole, _train(plugin, None)), "two runs with one seed differ: is something random not seeded?")
    with tempfile.TemporaryDirectory() as folder:
        _train(plugin, Path(folder), stop=3)
        rest = _train(plugin, Path(folder))
    require(_same(whole, rest), "stopped and resumed, it ends elsewhere: keep all state in parameters and buffers")


class _Stop(Exception):
    pass


def _train(plugin: Plugin, folder: Path | None, stop: int = 0) -> dict[str, torch.Tensor]:
    def progress(what: str, done: int, of: int) -> None:
        if stop and done >= stop * RECIPE.batch_size:
            raise _Stop

    method_views = plugin.load().views
    try:
        return pretrain(
            partial(small, plugin), pictures(), RECIPE, views=method_views, seed=0, partial=folder, progress=progress
        ).weights
    except _Stop:
        return {}


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def build(plugin: Plugin, folder: Path) -> Encoder:
    """A foundation model with random weights: from a file or, of an architecture of its own, drawn; none is fetched."""
    from safetensors.torch import save_file

    model: FoundationModel = plugin.load()
    given = dict(model.info.small)
    if model.info.backbone or model.info.seeded:
        own = given.pop("backbone", BACKBONE), None, given.pop("image_size", SIZE)
        seed_library("check", plugin.name)
        return model.build(*own, **settings(plugin, given, "small"))
    seed_library("weights")
    weights = folder / "weights.safetensors"
    save_file(TimmEncoder(BACKBONE, image_size=SIZE).state_dict(), weights)
    seed_library("check", plugin.name)
    return model.build(BACKBONE, Weights(weights), SIZE, **settings(plugin, given, "small"))


def check_encoder(plugin: Plugin) -> None:
    """Pooled vector and maps have the stated shapes, and evaluation is the same twice and image by image."""
    with tempfile.TemporaryDirectory() as folder:
        encoder = build(plugin, Path(folder)).eval()
    side = encoder.image_size
    images = torch.from_numpy(pictures(4))
    images = torch.nn.functional.interpolate(images.float(), (side, side)).byte()
    with torch.no_grad():
        found, again = (encoder(encoder.normalise(images)) for _ in range(2))
        alone = encoder(encoder.normalise(images[:1]))
    require(found.pooled.shape == (4, encoder.dim), f"pooled: {tuple(found.pooled.shape)}, and dim is {encoder.dim}")
    shapes = [(m.shape[1], side // m.shape[2]) for m in found.maps]
    stated = list(zip(encoder.map_dims, encoder.strides, strict=True))
    require(shapes == stated, f"maps have (channels, stride) {shapes}, stated are {stated}")
    require(torch.equal(found.pooled, again.pooled), "evaluation gives two results for one input")
    require(torch.allclose(found.pooled[:1], alone.pooled, atol=1e-4), "a case's features depend on its batch")


def check_card(plugin: Plugin) -> None:
    """What a reader must know is filled in."""
    info = plugin.load().info
    for field in ("title", "modality", "case", "licence", "citation", "url"):
        require(bool(getattr(info, field, "").strip()), f"task card: `{field}` is empty")
    require(info.target != "box" or info.primary in WHOLE, f"task card: primary of a detection is one of {WHOLE}")
    least = 1 if info.target == "box" else 2
    require(len(info.classes) >= least, f"task card: fewer than {least} classes")
    registry = discover()
    for name in info.protocols:
        found = registry.get("protocol", name, where=f"task `{plugin.name}`", target=info.target)
        require(
            found.info.get("target", "class") == info.target, f"protocol `{name}` is not for the target {info.target}"
        )
        settings(found, info.recipe.get(name, {}), f"recipe of {name}")
    extra = set(info.recipe) - set(info.protocols)
    require(not extra, f"recipe for protocols that the task does not have: {sorted(extra)}")
    regions = [number for numbers in (*info.regions.values(), info.release[1]) for number in numbers]
    strange = {*info.values.values(), *(regions if info.target == "mask" else ())} - set(range(len(info.classes)))
    require(not strange, f"task card: values, regions or release have classes that are not there: {sorted(strange)}")


def check_phantom(plugin: Plugin) -> None:
    """A phantom drawn in the published layout is read by the task's own reader: splits disjoint, truth in range."""
    task: Task = plugin.load()
    with tempfile.TemporaryDirectory() as folder:
        count = {"class": 40, "mask": 20}.get(task.info.target, 30 + 8 * len(task.info.classes))
        draw(task, Path(folder) / "phantom", cases=count)
        splits = task.splits(Path(folder) / "phantom")
        if task.info.target == "mask":
            _check_truth(task.info, splits)
        if task.info.target == "box":
            _check_boxes(task.info, splits)
    ids = [case.id for _, cases in splits for case in cases]
    require(len(ids) == len(set(ids)), "a case is in two splits, or two cases have one id")
    groups = [group for _, cases in splits for group in {case.group for case in cases if case.group}]
    require(len(groups) == len(set(groups)), "a group (a patient) is in two splits")
    for name, cases in splits:
        require(len(cases) > 0, f"{name}: no case in it")
        require(all(0 <= c.target < len(task.info.classes) for c in cases), f"{name}: a target is out of range")
    if task.info.target == "class":
        require({c.target for c in splits.train} == set(range(len(task.info.classes))), "train: a class is missing")


def _check_truth(info: TaskInfo, splits: Splits) -> None:
    """Every case has its files; truth in pictures can be read, and shows every structure to what is trained."""
    seen: dict[str, set[int]] = {}
    for name, cases in splits:
        for case in cases:
            require(len(case.masks) > 0, f"{name}: {case.id} has no mask")
            missing = [path.name for path in case.files if not path.is_file()]
            require(not missing, f"{name}: {case.id} has files that are not there: {missing}")
            if not is_volume(case.image):  # of volumes, what reads them is tested with the tasks that have them
                shape = read_image(case.image).shape[:2]
                truth = read_truth(case.masks, shape, len(info.classes), info.values)
                seen.setdefault(name, set()).update(np.unique(truth).tolist())
                if case.region:
                    read_region(case.region, shape)
    if "train" in seen:
        _require_every_class(info, seen["train"])


def _check_boxes(info: TaskInfo, splits: Splits) -> None:
    """Every case has its image, with boxes of the card's classes inside it; every class is there to be trained on."""
    for name, cases in splits:
        for case in cases:
            require(case.image.is_file(), f"{name}: {case.id} has no image {case.image.name}")
            size = case.frame or read_size(case.image)
            for box in case.boxes:
                require(0 <= box.label < len(info.classes), f"{name}: a box of {case.id} has the class {box.label}")
                require(inside(box, size)[0].left < box.right, f"{name}: a box of {case.id} has no area")
    _require_every_class(info, {box.label for case in splits.train for box in case.boxes})


def _require_every_class(info: TaskInfo, trained: set[int]) -> None:
    lacking = set(range(len(info.classes))) - trained
    require(not lacking, f"train: a class is missing, {[info.classes[number] for number in sorted(lacking)]}")


METHOD = {
    "has views that can be drawn": check_views,
    "gives a finite scalar loss with a gradient everywhere": check_loss,
    "learns a batch": check_learns,
    "runs to the same bytes, resumed or not": check_resume,
}
ENCODER = {"builds an encoder that is as stated": check_encoder}
TASK = {"has a full task card": check_card, "reads its own phantom": check_phantom}
