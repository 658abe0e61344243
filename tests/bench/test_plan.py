"""A key changes with whatever can change a job's numbers, and with nothing else; and the plan says which it was."""

import os
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from bench import plan as planning
from bench.config import load
from bench.data.folders import MARKER
from bench.data.phantom import draw
from bench.errors import BenchError
from bench.keys import digest
from bench.plan import jobs, plan, recorded, select
from bench.registry import discover
from bench.sources import find_sources
from bench.store import Store

GRID = """
plugins = ["extra"]
[bench]
seeds = [0, 1]
[data]
phantom_cases = 16
[pretrain]
corpus = ["brain_tumor"]
epochs = 5
[methods]
random_init = {}
simclr = {}
mine = {}
imagenet_supervised = { weights = "weights.pt" }
[tasks]
brain_tumor = { protocols = ["linear", "knn"] }
fgadr = { protocols = ["linear"] }
[executor]
kind = "local"
"""
METHOD = '''"""A method."""
from bench.spec import Method, ssl_method


@ssl_method("mine", paper="none")
class Mine(Method):
    def __init__(self, encoder, *, width: int = 8) -> None:
        super().__init__(encoder)

    def loss(self, views):
        return views[0].images.mean() * 1
'''
TUMOR = ("brain_tumor/linear", "brain_tumor/knn")
TRAINED, BUILT = ("simclr", "mine"), ("random_init", "imagenet_supervised")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Data that pass for real, since they are without the mark of a phantom; few, because every test copies them."""
    root = tmp_path_factory.mktemp("images")
    for name in ("brain_tumor", "fgadr"):
        draw(discover().get("task", name, where="tests").load(), root / name, cases=8)
        (root / name / MARKER).unlink()
    return root


@pytest.fixture
def place(tmp_path, write_grid, images):
    """A folder with a grid, a plug-in, weights and data."""
    shutil.copytree(images, tmp_path / "data")
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "mine.py").write_text(METHOD)
    (tmp_path / "weights.pt").write_bytes(b"weights")
    write_grid(GRID)
    return tmp_path


def all_jobs(place):
    grid = load(place / "bench.toml")
    return jobs(grid, find_sources(grid, Store(grid.store)))


def keys(place) -> dict[str, str]:
    found = all_jobs(place)
    assert len({job.id for job in found}) == len({job.key for job in found}) == len(found)
    assert all(job.key == digest(job.parts) for job in found)
    return {job.id: job.key for job in found}


def edit(place, old, new, name="bench.toml"):
    text = (place / name).read_text()
    assert text.count(old) == 1, old
    (place / name).write_text(text.replace(old, new))


def columns(ids) -> set[str]:
    """Ids without their seeds."""
    return {job_id.rpartition("/")[0] for job_id in ids}


def changed(before, after) -> set[str]:
    """Columns of which every key is another; those of which only some are would be a mistake in any of these tests."""
    assert before.keys() == after.keys()
    moved = {job_id for job_id in before if before[job_id] != after[job_id]}
    assert columns(moved).isdisjoint(columns(before.keys() - moved))
    return columns(moved)


def cells(*methods, of=(*TUMOR, "fgadr/linear")) -> set[str]:
    return {f"{method}/{column}" for method in methods for column in of}


EVERYTHING = cells(*TRAINED, *BUILT) | {f"{m}/pretrain" for m in TRAINED}
SSL = cells(*TRAINED) | {f"{m}/pretrain" for m in TRAINED}


def test_jobs_are_the_grid_with_pretrainings_before_their_cells(place):
    found = all_jobs(place)
    ids = [job.id for job in found]
    assert columns(ids) == EVERYTHING
    assert len(ids) == 2 * len(EVERYTHING)
    assert ids[:6] == [
        f"random_init/{c}/{s}" for s in (0, 1) for c in ("brain_tumor/linear", "brain_tumor/knn", "fgadr/linear")
    ]
    by_id = {job.id: job for job in found}
    for job in found:
        assert job.needs == (f"{job.method.label}/pretrain/{job.seed}" if columns([job.id]) <= cells(*TRAINED) else "")
        if job.needs:
            assert ids.index(job.needs) < ids.index(job.id)
            assert (job.encoder, job.parts["encoder"]) == (by_id[job.needs].key, by_id[job.needs].parts)
        assert not job.blocked
        assert pickle.loads(pickle.dumps(job)) == job


SAME = {
    "the name of the grid": ("[bench]", '[bench]\nname = "other"'),
    "where the store is": ("[bench]", '[bench]\nstore = "elsewhere/deep"'),
    "the executor": (
        'kind = "local"', 'kind = "inline"\nworkers = 7\ndevice = "cuda:1"\nthreads = 3\ndevices_per_pretrain = 2',
    ),
    "how often it is saved": ("epochs = 5", "epochs = 5\ncheckpoint_minutes = 0.5"),
    "a default that is spelt out": ("simclr = {}", 'simclr = { plugin = "simclr", temperature = 0.1 }'),
    "a recipe that is spelt out": ('["linear"] }', '["linear"], linear = { epochs = 20, weight_decay = 0.005 } }'),
    "a size that is spelt out": ("epochs = 5", "epochs = 5\nsource_size = 128"),
    "a setting of another protocol": ("[tasks]", "[protocols.finetune]\nepochs = 3\n[tasks]"),
    "how many cases a phantom has that is not needed": ("phantom_cases = 16", "phantom_cases = 99"),
    "how one deals with missing data that are there": ("phantom_cases = 16", 'missing = "error"'),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_what_changes_no_number_changes_no_key(place, case):
    before = keys(place)
    old, new = SAME[case]
    edit(place, old, new)
    assert keys(place) == before


def test_labels_change_no_key(place):
    before = keys(place)
    edit(place, "simclr = {}", '"SimCLR (ours)" = { plugin = "simclr" }')
    assert keys(place) == {job_id.replace("simclr/", "SimCLR (ours)/"): key for job_id, key in before.items()}


def test_paths_change_no_key(place, tmp_path_factory, monkeypatch):
    before = keys(place)
    there = tmp_path_factory.mktemp("there") / "moved"
    shutil.move(place, there)
    assert keys(there) == before
    shutil.move(there / "data", there / "images")
    monkeypatch.setenv("BENCH_DATA", str(there / "images"))
    assert keys(there) == before
    os.utime(next((there / "images").rglob("*.jpg")), (1, 1))
    place.mkdir()  # tmp_path, which pytest cleans up
    assert keys(there) == before


SETTINGS = {
    "the size of images": ("epochs = 5", "epochs = 5\nimage_size = 32", EVERYTHING),
    "the backbone": ("epochs = 5", 'epochs = 5\nbackbone = "resnet10t"', EVERYTHING),
    "the epochs of pretraining": ("epochs = 5", "epochs = 6", SSL),
    "the rate of pretraining": ("epochs = 5", "lr = 0.1\nepochs = 5", SSL),
    "the size of stored images": ("epochs = 5", "epochs = 5\nsource_size = 100", SSL),
    "the start of pretraining": ("epochs = 5", 'epochs = 5\ninit = "imagenet"', SSL),
    "a start from a file": ("epochs = 5", 'epochs = 5\ninit = "weights.pt"', SSL),
    "the corpus": ('["brain_tumor"]', '["brain_tumor", "fgadr"]', SSL),
    "a setting of a method": ("simclr = {}", "simclr = { temperature = 0.2 }", cells("simclr") | {"simclr/pretrain"}),
    "the views of a method": ("mine = {}", "mine = { views = { flip = 0.0 } }", cells("mine") | {"mine/pretrain"}),
    "the epochs of a method": ("mine = {}", "mine = { pretrain = { epochs = 9 } }", cells("mine") | {"mine/pretrain"}),
    "the backbone of a method": ("random_init = {}", 'random_init = { backbone = "vit" }', cells("random_init")),
    "the plug-in behind a label": (
        "mine = {}", 'mine = { plugin = "simclr", dim = 3 }', cells("mine") | {"mine/pretrain"},
    ),
    "a protocol's setting": (
        "[tasks]", "[protocols.knn]\nk = 5\n[tasks]", cells(*TRAINED, *BUILT, of=["brain_tumor/knn"]),
    ),
    "a protocol's setting on a task": (
        '["linear"] }', '["linear"], linear = { lr = 5e-4 } }', cells(*TRAINED, *BUILT, of=["fgadr/linear"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTINGS)
def test_a_setting_changes_the_keys_that_it_should(place, case):
    old, new, expected = SETTINGS[case]
    before = keys(place)
    edit(place, old, new)
    assert changed(before, keys(place)) == expected


def test_the_engine_changes_every_key(place, monkeypatch):
    before = keys(place)
    monkeypatch.setattr(planning, "ENGINE", planning.ENGINE + 1)
    assert changed(before, keys(place)) == EVERYTHING


def repaint(path):
    """Another picture, of the same size, that looks like none."""
    with Image.open(path) as image:
        size = image.size
    draws = np.random.default_rng(list(path.read_bytes()))
    Image.fromarray(draws.integers(0, 256, (8, 8), np.uint8)).resize(size).convert("RGB").save(path)


@pytest.mark.parametrize(
    ("task", "part", "expected"),
    [
        ("brain_tumor", "train", SSL | cells(*BUILT, of=TUMOR)),
        ("brain_tumor", "val", cells(*TRAINED, *BUILT, of=TUMOR)),
        ("brain_tumor", "test", cells(*TRAINED, *BUILT, of=TUMOR)),
        ("fgadr", "train", cells(*TRAINED, *BUILT, of=["fgadr/linear"])),
        ("fgadr", "test", cells(*TRAINED, *BUILT, of=["fgadr/linear"])),
    ],
)
def test_an_image_changes_the_keys_of_what_sees_it(place, task, part, expected):
    grid, before = load(place / "bench.toml"), keys(place)
    plugin = grid.registry.get("task", task, where="here").load()
    image = getattr(plugin.splits(grid.data_root / task), part)[0].image
    repaint(image)
    assert changed(before, keys(place)) == expected


def test_a_label_is_data_too(place):
    before = keys(place)
    table = place / "data" / "fgadr" / "Seg-set" / "DR_Seg_Grading_Label.csv"
    edit(place, "1501_1.png,0", "1501_1.png,4", table.relative_to(place))
    assert changed(before, keys(place)) == cells(*TRAINED, *BUILT, of=["fgadr/linear"])


def test_the_source_of_a_method_is_in_its_key_and_its_comments_are_not(place):
    before = keys(place)
    edit(place, '"""A method."""', '"""Another idea."""\n\n# a comment', "extra/mine.py")
    assert keys(place) == before
    edit(place, "* 1", "* 2", "extra/mine.py")
    assert changed(before, keys(place)) == cells("mine") | {"mine/pretrain"}


PROTOCOL = """
from bench.spec import Image, Part, Splits, protocol, task
from bench.data.folders import hold_out, index_by_stem
from bench.spec import Case


@{decorator}
def thing(folder, context=None, *, k: int = 1):
    images = index_by_stem(folder / "Testing" / "no_tumor")
    train, val = hold_out([Case(name, path, 0) for name, path in images.items()], 0.3, seed=1)
    return Splits(train, val, val)
"""


def test_the_sources_of_a_task_and_of_a_protocol_are_in_the_keys_of_their_cells(place):
    card = 'title="", modality="", classes=("a", "b"), case="image", licence="", citation="", url=""'
    layout = 'layout={"all": Part(2, (Image("{n}.png"),))}, protocols=("linear", "vote")'
    (place / "extra" / "thing.py").write_text(PROTOCOL.replace("{decorator}", f'task("thing", {card}, {layout})'))
    (place / "extra" / "vote.py").write_text(PROTOCOL.replace("{decorator}", 'protocol("vote", title="none")'))
    shutil.copytree(place / "data" / "brain_tumor", place / "data" / "thing")
    edit(place, "[executor]", "[tasks.thing]\n[executor]")
    before = keys(place)
    edit(place, "0.3", "0.31", "extra/vote.py")
    assert changed(before, keys(place)) == cells(*TRAINED, *BUILT, of=["thing/vote"])
    edit(place, "0.31", "0.3", "extra/vote.py")
    edit(place, "return Splits", "print()\n    return Splits", "extra/thing.py")
    assert changed(before, keys(place)) == cells(*TRAINED, *BUILT, of=["thing/vote", "thing/linear"])


def test_a_weights_file_is_known_by_its_content(place):
    before = keys(place)
    (place / "weights.pt").rename(place / "renamed.pt")
    edit(place, "weights.pt", "renamed.pt")
    assert keys(place) == before
    (place / "renamed.pt").write_bytes(b"others!")
    assert changed(before, keys(place)) == cells("imagenet_supervised")
    edit(place, "epochs = 5", 'epochs = 5\ninit = "renamed.pt"')
    before = keys(place)
    (place / "renamed.pt").write_bytes(b"others.")
    assert changed(before, keys(place)) == cells("imagenet_supervised") | SSL
    (place / "renamed.pt").unlink()
    found = all_jobs(place)
    assert columns(j.id for j in found if j.blocked) == cells("imagenet_supervised") | SSL
    assert all(
        j.blocked == f"weights {place / 'renamed.pt'}: cannot be read: No such file or directory"
        for j in found
        if j.blocked
    )


@pytest.mark.parametrize(
    ("old", "new", "added", "seeds"),
    [
        ("seeds = [0, 1]", "seeds = [0, 5, 1]", EVERYTHING, (5,)),
        ("simclr = {}", "simclr = {}\nhot = { plugin = 'simclr', dim = 9 }", cells("hot") | {"hot/pretrain"}, (0, 1)),
        ('"knn"]', '"knn", "linear_mlp"]', cells(*TRAINED, *BUILT, of=["brain_tumor/linear_mlp"]), (0, 1)),
    ],
)
def test_what_is_added_to_a_grid_adds_its_own_jobs_alone(place, old, new, added, seeds):
    before = keys(place)
    edit(place, old, new)
    after = keys(place)
    assert after | before == after
    assert after.keys() - before.keys() == {f"{column}/{seed}" for column in added for seed in seeds}


def test_a_task_that_is_added_adds_its_own_jobs_alone(place):
    edit(place, 'fgadr = { protocols = ["linear"] }\n', "")
    before = keys(place)
    edit(place, "[tasks]\n", '[tasks]\nfgadr = { protocols = ["linear"] }\n')
    after = keys(place)
    assert after | before == after
    assert columns(after.keys() - before.keys()) == cells(*TRAINED, *BUILT, of=["fgadr/linear"])


def test_every_seed_is_another_job_even_of_an_encoder_without_one(place):
    by_id = {job.id: job for job in all_jobs(place)}
    one, two = (by_id[f"imagenet_supervised/fgadr/linear/{s}"] for s in (0, 1))
    assert (one.key != two.key, one.encoder == two.encoder) == (True, True)
    one, two = (by_id[f"random_init/fgadr/linear/{s}"] for s in (0, 1))
    assert (one.key != two.key, one.encoder == two.encoder) == (True, False)


# ------------------------------------------------------------------------------------------------ states


def states(place) -> dict[str, tuple[str, str]]:
    grid = load(place / "bench.toml")
    return {p.job.id: (p.state, p.why) for p in plan(grid, Store(grid.store))}


def finish_all(place, finish, but=()):
    store = Store(place / "runs")
    for job in all_jobs(place):
        if job.id not in but:
            finish(job, store)


def test_what_is_stored_is_cached_and_what_changed_says_why(place, finish):
    assert set(states(place).values()) == {("run", "new")}
    finish_all(place, finish)
    assert set(states(place).values()) == {("cached", "")}
    edit(place, "[tasks]", "[protocols.knn]\nk = 5\n[tasks]")
    found = states(place)
    assert {job_id for job_id, (state, _) in found.items() if state == "run"} == {j for j in found if "/knn/" in j}
    assert found["simclr/brain_tumor/knn/1"] == ("run", "protocol.settings.k: 20 -> 5")
    edit(place, "simclr = {}", "simclr = { temperature = 0.2 }")
    found = states(place)
    assert found["simclr/pretrain/0"] == ("run", "method.settings.temperature: 0.1 -> 0.2")
    assert found["simclr/fgadr/linear/0"] == ("run", "encoder.method.settings.temperature: 0.1 -> 0.2")
    assert found["simclr/brain_tumor/knn/0"] == (
        "run", "encoder.method.settings.temperature: 0.1 -> 0.2; protocol.settings.k: 20 -> 5",
    )  # fmt: skip
    assert found["random_init/fgadr/linear/0"] == ("cached", "")
    edit(place, "epochs = 5", "epochs = 6\nlr = 1.0\nbatch_size = 8\nweight_decay = 0.0")
    assert states(place)["simclr/pretrain/0"][1].endswith(" and 1 more")


def test_why_compares_with_the_newest_record_of_the_id(place, finish):
    for k in (3, 4, 5):
        text = (place / "bench.toml").read_text()
        edit(place, "[tasks]", f"[protocols.knn]\nk = {k}\n[tasks]")
        if k < 5:
            finish_all(place, finish)
            (place / "bench.toml").write_text(text)
    assert states(place)["simclr/brain_tumor/knn/1"] == ("run", "protocol.settings.k: 4 -> 5")


def test_a_grid_that_is_put_back_finds_its_records_again(place, finish):
    finish_all(place, finish)
    edit(place, "epochs = 5", "epochs = 6")
    edit(place, "epochs = 6", "epochs = 5")
    assert set(states(place).values()) == {("cached", "")}


def test_a_pretraining_is_run_only_if_a_cell_waits_for_it(place, finish):
    finish_all(place, finish, but=("mine/fgadr/linear/1", "mine/pretrain/1", "simclr/pretrain/0"))
    found = states(place)
    assert {job_id for job_id, (state, _) in found.items() if state == "run"} == {
        "mine/pretrain/1",
        "mine/fgadr/linear/1",
    }
    assert "simclr/pretrain/0" not in found


def test_a_failure_is_no_result_and_holds_back_what_waits_for_it(place, finish):
    store = Store(place / "runs")
    for job in all_jobs(place):
        if job.id in ("simclr/pretrain/0", "random_init/fgadr/linear/0"):
            store.fail(job.key, {"id": job.id, "error": "the loss is nan", "traceback": "..."})
        if job.id == "simclr/fgadr/linear/0":
            finish(job, store)
    found = states(place)
    assert found["simclr/pretrain/0"] == ("failed", "the loss is nan")
    assert found["simclr/brain_tumor/knn/0"] == ("failed", "simclr/pretrain/0 failed: the loss is nan")
    assert found["simclr/fgadr/linear/0"] == ("cached", "")
    assert found["random_init/fgadr/linear/0"] == ("failed", "the loss is nan")
    assert found["simclr/brain_tumor/knn/1"][0] == found["random_init/fgadr/linear/1"][0] == "run"


def test_a_glob_selects_jobs_and_what_they_wait_for(place):
    grid = load(place / "bench.toml")
    found = plan(grid, Store(grid.store))
    assert [p.job.id for p in select(found, "simclr/*/knn/0")] == ["simclr/pretrain/0", "simclr/brain_tumor/knn/0"]
    assert [p.job.id for p in select(found, "random_init/f*/1")] == ["random_init/fgadr/linear/1"]
    with pytest.raises(BenchError, match="--only simclr: matches no job of the grid; ids look like random_init/brain"):
        select(found, "simclr")


def test_an_id_selects_itself_whatever_is_in_its_label(place):
    edit(place, "simclr = {}", '"SimCLR [ours]" = { plugin = "simclr" }')
    grid = load(place / "bench.toml")
    (job, cell) = select(plan(grid, Store(grid.store)), "SimCLR [ours]/fgadr/linear/0")
    assert (job.job.id, cell.job.id) == ("SimCLR [ours]/pretrain/0", "SimCLR [ours]/fgadr/linear/0")


# ------------------------------------------------------------------------------------------------ data


def test_a_wrong_folder_blocks_what_needs_it_and_nothing_else(place):
    shutil.rmtree(place / "data" / "brain_tumor" / "Training")
    found = states(place)
    blocked = columns(job_id for job_id, (state, _) in found.items() if state == "blocked")
    assert blocked == SSL | cells(*BUILT, of=TUMOR)
    why = found["random_init/brain_tumor/knn/0"][1]
    assert why.startswith(f"{place}/data/brain_tumor: has no folder Training")
    assert found["simclr/fgadr/linear/0"][1].startswith("corpus `brain_tumor`: ")
    assert found["random_init/fgadr/linear/0"] == ("run", "new")


def test_a_reader_that_raises_anything_blocks_its_own_cells(place):
    text = load(place / "bench.toml").registry.get("task", "fgadr", where="here").file.read_text()
    text = text.replace('"fgadr",\n', '"odd",\n').replace("    cases = _cases(", "    1 / 0\n    cases = _cases(")
    (place / "extra" / "odd.py").write_text(text)
    shutil.copytree(place / "data" / "fgadr", place / "data" / "odd")
    edit(place, "[executor]", '[tasks.odd]\nprotocols = ["knn"]\n[executor]')
    found = states(place)
    assert found["simclr/odd/knn/0"] == ("blocked", "ZeroDivisionError: division by zero")
    assert {state for job_id, (state, _) in found.items() if "/odd/" not in job_id} == {"run"}


def test_missing_data_are_an_error_or_skipped_or_drawn(place):
    shutil.rmtree(place / "data" / "brain_tumor")
    edit(place, "phantom_cases = 16", 'missing = "error"')
    found = states(place)
    why = found["random_init/brain_tumor/knn/0"][1]
    assert why.startswith(f"{place}/data/brain_tumor: no such folder; Brain Tumor Classification (MRI) comes from http")
    shutil.copytree(place / "data" / "fgadr", place / "data" / "deeper" / "brain_tumor")
    why = states(place)["random_init/brain_tumor/knn/0"][1]
    assert why.endswith(f"was {place}/data/deeper meant as the folder of the data sets?")
    shutil.rmtree(place / "data" / "deeper")
    assert columns(j for j, (state, _) in found.items() if state == "run") == cells(*BUILT, of=["fgadr/linear"])
    edit(place, '"error"', '"skip"')
    found = states(place)
    assert columns(found) == SSL - {c for c in SSL if "brain_tumor" in c} | cells(*BUILT, of=["fgadr/linear"])
    assert found["simclr/fgadr/linear/0"] == ("blocked", "corpus `brain_tumor` is missing")
    edit(place, '"skip"', '"phantom"')
    assert set(states(place).values()) == {("run", "new")}


def test_numbers_that_rest_on_a_phantom_are_marked_even_on_real_images(place):
    assert not [job.id for job in all_jobs(place) if job.phantom]
    shutil.rmtree(place / "data" / "brain_tumor")
    expected = SSL | cells(*BUILT, of=TUMOR)
    assert columns(job.id for job in all_jobs(place) if job.phantom) == expected
    assert "simclr/fgadr/linear" in expected  # pretrained on a phantom
    assert "random_init/fgadr/linear" not in expected


def test_a_phantom_in_the_place_of_data_is_known_by_its_mark(place):
    before = keys(place)
    (place / "data" / "fgadr" / MARKER).touch()
    assert columns(job.id for job in all_jobs(place) if job.phantom) == cells(*TRAINED, *BUILT, of=["fgadr/linear"])
    assert changed(before, keys(place)) == cells(*TRAINED, *BUILT, of=["fgadr/linear"])  # no record is shared


def test_a_phantom_has_the_same_key_before_and_after_it_is_drawn(place):
    shutil.rmtree(place / "data" / "brain_tumor")
    before = keys(place)
    source = next(s for job in all_jobs(place) for s in job.sources if s.name == "brain_tumor")
    assert not source.folder.exists()
    draw(source.task.load(), source.folder, cases=16)
    assert keys(place) == before
    edit(place, "phantom_cases = 16", "phantom_cases = 17")
    assert changed(before, keys(place)) == SSL | cells(*BUILT, of=TUMOR)


def test_pretraining_sees_training_images_alone(place):
    edit(place, '["brain_tumor"]', '["brain_tumor", "fgadr"]')
    job = next(j for j in all_jobs(place) if j.id == "simclr/pretrain/0")
    seen = {case.image for source in job.sources for case in source.training_cases()}
    grid = load(place / "bench.toml")
    parts = [t.plugin.load().splits(grid.data_root / t.name) for t in grid.tasks]
    assert seen == {case.image for split in parts for case in split.train}
    assert seen.isdisjoint(case.image for split in parts for case in (*split.val, *split.test))


def test_a_folder_is_a_corpus(place):
    shutil.copytree(place / "data" / "brain_tumor" / "Training" / "no_tumor", place / "pictures" / "deep")
    for image in (place / "pictures" / "deep").iterdir():
        repaint(image)  # so that they are no images of the task
    edit(place, '["brain_tumor"]', '["pictures"]')
    before = keys(place)
    (source,) = next(j for j in all_jobs(place) if j.id == "simclr/pretrain/0").sources
    assert len(source.training_cases()) == 2
    repaint(source.training_cases()[0].image)
    assert changed(before, keys(place)) == SSL
    for image in (place / "pictures" / "deep").iterdir():
        image.unlink()
    assert "holds no image" in states(place)["simclr/fgadr/linear/0"][1]


def test_a_task_may_be_done_with_some_of_the_seeds(place):
    before = keys(place)
    edit(place, 'fgadr = { protocols = ["linear"] }', 'fgadr = { protocols = ["linear"], seeds = [1] }')
    after = keys(place)
    assert before.keys() - after.keys() == {job for job in before if "/fgadr/" in job and job.endswith("/0")} != set()
    assert after.items() <= before.items()


def test_the_records_of_a_plan_have_its_own_labels(write_grid, finish):
    text = (
        '[pretrain]\ncorpus = ["brain_tumor"]\n[methods]\n{label} = {{ plugin = "simclr", group = "{label}" }}\n'
        '[tasks]\n{task} = {{ plugin = "brain_tumor", protocols = ["linear"] }}\n'
    )
    grid = load(write_grid(text.format(label="old", task="brain_tumor")))
    store = Store(grid.store)
    for planned in plan(grid, store):
        finish(planned.job, store)
    grid = load(write_grid(text.format(label="new", task="head")))
    found = {record.id: record.facts for record in recorded(plan(grid, Store(grid.store)))}
    assert list(found) == ["new/pretrain/0", "new/head/linear/0"]
    assert {(facts["method"], facts["group"]) for facts in found.values()} == {("new", "new")}
    assert found["new/head/linear/0"]["task"] == "head"
