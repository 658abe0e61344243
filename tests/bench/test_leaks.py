"""What is scored is not pretrained on, made over or not, in a task's training part, a folder or a built corpus."""

import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.config import load
from bench.data import volumes
from bench.data.corpus import build
from bench.data.scenes import scene, write
from bench.executors import Place
from bench.leaks import of_files, of_pictures
from bench.plan import plan
from bench.run import run
from bench.sources import find_sources
from bench.spec import Case, Mask, Splits
from bench.store import Store

GRID = """
[data]
root = "data"
missing = "error"
audit = "{audit}"
[pretrain]
corpus = ["{corpus}"]
backbone = "test_resnet"
image_size = 32
epochs = 1
batch_size = 16
source_size = {source}
[methods]
simclr = {{ hidden = 16, dim = 8 }}
[tasks]
brain_tumor = {{ protocols = ["knn"] }}
"""
SPEC = """
[corpus]
size = 64
balance = false
root = "data"
[sources.brain_tumor]
task = "brain_tumor"
[sources.pictures]
folder = "pictures"
modality = "MRI"
organ = "brain"
sample = 1.0
"""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def place(tmp_path, phantoms):
    """A data root with a task and a folder of pictures, one of which is a test image of the task made over."""
    shutil.copytree(phantoms / "brain_tumor", tmp_path / "data" / "brain_tumor")
    pictures = tmp_path / "data" / "pictures"
    pictures.mkdir()
    draws = np.random.default_rng(0)
    for number in range(6):
        blobs = Image.fromarray(draws.integers(0, 256, (9, 9), np.uint8))
        blobs.resize((90, 80), Image.Resampling.BICUBIC).save(pictures / f"{number}.png")
    with Image.open(scored_image(tmp_path)) as image:
        image.convert("L").resize((100, 90)).save(pictures / "stolen.jpg", quality=70)
    return tmp_path


def scored_image(place):
    return sorted((place / "data" / "brain_tumor" / "Testing").glob("*/*"))[0]


def grid(place, write_grid, corpus, audit="near", source=0):
    return load(write_grid(GRID.format(corpus=corpus, audit=audit, source=source)))


def source_of(config, name):
    return find_sources(config, Store(config.store))[name]


def test_a_folder_may_not_hold_a_test_image_made_over(place, write_grid):
    found = source_of(grid(place, write_grid, "data/pictures"), "data/pictures")
    assert found.left_out == {"stolen.jpg"}
    (leak,) = found.audit["leaks"]
    assert (leak["image"], leak["scored"], leak["kind"]) == ("stolen.jpg", "brain_tumor", "near")
    assert scored_image(place).stem in leak["scored_case"]
    assert source_of(grid(place, write_grid, "data/pictures", "same"), "data/pictures").left_out == frozenset()


def test_an_audit_is_in_the_record(place, write_grid):
    config = grid(place, write_grid, "data/pictures")
    for number in range(20):  # enough for a batch
        pixels = np.random.default_rng(number + 1).integers(0, 256, (9, 9), np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(place / "data" / "pictures" / f"more{number}.png")
    pretraining = plan(config, Store(config.store))[0].job
    record = run(pretraining, Place(store=config.store, base=place), lambda what, done, of: None)
    audit = record.facts["audit"]["data/pictures"]
    assert [leak["image"] for leak in audit["leaks"]] == ["stolen.jpg"]
    assert audit["cases"] == ["data/pictures/stolen.jpg"]
    assert record.facts["images"] == 26
    assert record.facts["data"][0]["left_out_of_corpus"] == 1


@pytest.fixture
def built(place):
    (place / "corpus.toml").write_text(SPEC)
    build(place / "corpus.toml", place / "corpora" / "both", data_root=place / "data")
    return place


def test_a_built_corpus_is_pretrained_on_less_what_is_scored(built, write_grid):
    config = grid(built, write_grid, "corpora/both")
    found = source_of(config, "corpora/both")
    train = config.registry.get("task", "brain_tumor", where="").load().splits(built / "data" / "brain_tumor").train
    assert (found.found, found.size, found.kind) == (len(train) + 7, 64, "phantom")
    assert len(found.numbers) == 1
    assert found.audit["cases"] == ["pictures/stolen.jpg"]
    pretraining, cell = (p.job for p in plan(config, Store(config.store)))
    records = [run(j, Place(store=config.store, base=built), lambda what, done, of: None) for j in (pretraining, cell)]
    assert records[0].facts["images"] == len(train) + 6
    assert records[0].facts["phantom"]
    assert [p.state for p in plan(config, Store(config.store))] == ["cached", "cached"]


def test_an_audit_of_a_built_corpus_is_kept_and_made_again_when_either_side_changes(built, write_grid, monkeypatch):
    config = grid(built, write_grid, "corpora/both")
    first = source_of(config, "corpora/both")
    calls = []
    monkeypatch.setattr("bench.leaks._audited", lambda *args: calls.append(args) or pytest.fail("looked again"))
    assert source_of(config, "corpora/both") == first
    with Image.open(scored_image(built)) as image:
        image.rotate(45).save(scored_image(built))
    with pytest.raises(pytest.fail.Exception):
        source_of(config, "corpora/both")
    assert len(calls) == 1


def test_what_is_left_out_of_a_built_corpus_is_in_the_key(built, write_grid):
    config = grid(built, write_grid, "corpora/both")
    before = plan(config, Store(config.store))[0].job.key
    (built / "corpora" / "both").rename(built / "corpora" / "moved")
    moved = grid(built, write_grid, "corpora/moved")
    assert plan(moved, Store(moved.store))[0].job.key == before
    shutil.rmtree(built / "data" / "brain_tumor" / "Testing" / "no_tumor")
    found = source_of(moved, "corpora/moved")
    assert found.error == ""
    with Image.open(scored_image(built)) as image:
        image.transpose(Image.Transpose.ROTATE_90).point(lambda v: v // 3).resize((31, 77)).rotate(20).save(
            scored_image(built)
        )
    assert source_of(moved, "corpora/moved").numbers == frozenset()
    assert plan(moved, Store(moved.store))[0].job.key != before


def test_a_built_corpus_stands_alone_and_has_its_own_size(built, write_grid):
    config = grid(built, write_grid, 'corpora/both", "brain_tumor')
    assert "must be the only one" in plan(config, Store(config.store))[0].why
    config = grid(built, write_grid, "corpora/both", source=48)
    assert "holds images of 64 px" in plan(config, Store(config.store))[0].why


def test_a_damaged_corpus_blocks_its_cells_and_says_so(built, write_grid):
    config = grid(built, write_grid, "corpora/both")
    (built / "corpora" / "both" / "corpus.json").write_text('{"sources": {}}')
    assert "is no corpus that can be used" in plan(config, Store(config.store))[0].why


def test_the_command_lists_what_is_on_both_sides(built, write_grid):
    from bench.cli import app, corpus  # noqa: F401

    path = grid(built, write_grid, "brain_tumor").path
    clean = CliRunner().invoke(app, ["corpus", "audit", "--grid", str(path)])
    assert (clean.exit_code, "nothing in common" in clean.output) == (0, True)
    leaky = CliRunner().invoke(app, ["corpus", "audit", str(built / "corpora" / "both"), "--grid", str(path)])
    assert leaky.exit_code == 1
    assert "stolen.jpg" in leaky.output


def test_scored_volumes_are_looked_at_slice_by_slice(tmp_path, monkeypatch):
    """A slice of one, saved as a picture under another name, is not pretrained on; the second look reads nothing."""
    grey, classes = scene(1, "volume", depth=8)
    write(tmp_path / "a.nii.gz", grey)
    write(tmp_path / "b.nii.gz", classes)
    frames = list(volumes.read_slices(tmp_path, "a.nii.gz", 2))
    Image.fromarray(np.ascontiguousarray(frames[4].pixels)).save(tmp_path / "picture.png")
    volume = Case("scan", tmp_path / "a.nii.gz", masks=(Mask(tmp_path / "b.nii.gz"),), group="patient")
    picture = Case("picture", tmp_path / "picture.png")
    looks = tmp_path / "store" / "looks.npy"
    for _ in range(2):
        scored = of_files("organ", Splits((), (), (volume,)), tmp_path / "memo.json", looks).scored
        assert len(scored) == 8
        assert {entry.case for entry in scored} == {"patient"}
        training = of_files("folder", Splits((picture,), (), ()), tmp_path / "memo.json", looks).training
        assert of_pictures(training, scored, tmp_path / "audits").cases == {"picture"}
        monkeypatch.setattr(volumes, "read_slices", None)
    assert len(of_files("organ", Splits((), (), (volume,)), tmp_path / "memo.json", None).scored) == 1


def test_a_volume_that_cannot_be_read_hides_no_leak_of_another(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(b"no volume")
    case = Case("scan", tmp_path / "a.nii.gz")
    found = of_files("organ", Splits((), (), (case,)), tmp_path / "memo.json", tmp_path / "looks.npy")
    assert not found.scored[0].words.any()
