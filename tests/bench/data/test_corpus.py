"""Building a corpus: what is drawn, balanced and left out, what the manifest says, and that it comes out the same."""

import hashlib
import json
import shutil
from collections import Counter
from functools import partial
from itertools import pairwise

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image

from bench.data import corpus, manifest, overview, selection
from bench.data.corpus import build, spread, totals
from bench.data.corpus_spec import load
from bench.data.decoding import crop, decode
from bench.data.images import read_image, read_resized
from bench.data.likeness import perceptual_hash
from bench.data.manifest import GROUP, Row, Writer, read_manifest
from bench.data.selection import Item
from bench.data.storage import open_images, write
from bench.errors import BenchError

RNG = np.random.default_rng(0)
SIZE = 32


@pytest.fixture(scope="module")
def root(tmp_path_factory, phantoms, picture, volume):
    """A data root with a source of every kind but DICOM, which test_dicom.py has."""
    place = tmp_path_factory.mktemp("root")
    (place / "brain_tumor").symlink_to(phantoms / "brain_tumor")
    for i in range(30):
        picture(place / f"skin/{i % 3}/lesion {i}.png")
        if i < 10:
            picture(place / f"skin/{i % 3}/lesion {i}_mask.png")
        picture(place / f"fundus/{i // 10}_{i:03d}.jpg")
    for i in range(6):
        for frame in (1, 2):
            volume(place / f"heart/imagesTr/patient{i}_frame{frame}.nii.gz", empty=i % 3)
    for i in range(4):
        picture(place / f"chest/{i}.webp", (40, 60))
    with h5py.File(place / "patches.h5", "w") as file:
        file["x"] = RNG.integers(0, 256, (300, 20, 20, 3), dtype=np.uint8)
    (place / "patches").mkdir()
    (place / "patches.h5").rename(place / "patches/train.h5")
    return place


SPEC = """
[corpus]
size = 32
{corpus}
[sources.skin]
folder = "skin"
modality = "colour"
organ = "skin"
case = '(lesion \\d+)\\.'
[sources.heart]
folder = "heart/imagesTr"
modality = "MRI"
case = '(patient\\d)_'
sample = 0.5
[sources.chest]
folder = "chest"
modality = "X-ray"
sample = 1.0
[sources.patches]
folder = "patches"
modality = "colour"
sample = 0.1
{more}
"""


@pytest.fixture
def spec(tmp_path):
    """Write a description: `spec(corpus="seed = 1")`, or wholly other text."""

    def write(text=SPEC, corpus="", more=""):
        path = tmp_path / "spec.toml"
        path.write_text(text.format(corpus=corpus, more=more), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def built(root, tmp_path_factory):
    """The corpus of SPEC, and its rows."""
    place = tmp_path_factory.mktemp("built")
    (place / "spec.toml").write_text(SPEC.format(corpus="", more=""), encoding="utf-8")
    report = build(place / "spec.toml", place / "out", data_root=root)
    return report, read_manifest(place / "out").to_pylist()


# ---------------------------------------------------------------------------------------- what is drawn


def test_cases_are_drawn_whole_and_counted(built):
    report, rows = built
    originals = [row for row in rows if row["copy"] == 0]
    counts = Counter(row["source"] for row in originals)
    skin, heart, chest, patches = report.sources.values()
    assert (skin.cases, skin.drawn, skin.images, skin.unmatched) == (30, 6, 6, 10)
    assert (heart.cases, heart.drawn, chest.cases, chest.drawn) == (6, 3, 4, 4)
    assert (patches.cases, patches.drawn, patches.images) == (300, 30, 30)
    assert counts == {name: one.images for name, one in report.sources.items()}
    files = {(row["case"], row["path"]) for row in originals if row["source"] == "heart"}
    assert len(files) == 6  # two of each of the three patients
    assert {case for case, _ in files} == {path[:8] for _, path in files}
    assert {row["case"] for row in originals if row["source"] == "patches"} == {
        f"train.h5#{row['slice']}" for row in originals if row["source"] == "patches"
    }


def test_the_draw_is_that_of_the_seed_and_hardly_changes_with_a_new_case(root, spec, tmp_path):
    def drawn(seed, place):
        described = load(spec(corpus=f"seed = {seed}"))
        return {item.case for item in selection.select(described, "patches", place).items for item in _rows(item)}

    assert drawn(0, root) == drawn(0, root) != drawn(1, root)
    shutil.copytree(root / "patches", tmp_path / "patches")
    with h5py.File(tmp_path / "patches/train.h5", "a") as file:
        longer = np.concatenate([file["x"][:], file["x"][:10]])
        del file["x"]
        file["x"] = longer
    assert len(drawn(0, tmp_path) & drawn(0, root)) >= 28


def _rows(item):
    return [Item(item.kind, item.path, item.case_of(row)) for row in item.rows]


def test_a_published_part_is_taken_whole_and_of_the_rest_a_fifth(spec, root, tmp_path):
    (tmp_path / "list.txt").write_text("lesion 3.png\nlesion 4.png\nlesion 99.png\n")
    path = spec(
        '[sources.brain_tumor]\ntask = "brain_tumor"\n[sources.fundus]\nfolder = "fundus"\nmodality = "colour"\n'
        '[sources.skin]\nfolder = "skin"\nmodality = "colour"\nlist = "list.txt"\n'
    )
    described = load(path)
    task, fundus, skin = (selection.select(described, name, root) for name in described.sources)
    assert (task.cases, task.drawn, task.modality, task.phantom) == (
        28,
        28,
        "MRI",
        True,
    )  # 40, less 30 % for validation
    assert all(item.path.startswith("Training/") for item in task.items)
    assert (fundus.cases, fundus.drawn, fundus.phantom) == (30, 6, False)
    assert [item.path for item in skin.items] == ["0/lesion 3.png", "1/lesion 4.png"]
    assert skin.absent == [("lesion 99.png", "the list names it, and it is not there")]


def test_a_folder_of_a_drawn_data_set_is_marked_as_such(root, spec):
    described = load(spec('[sources.d]\nfolder = "brain_tumor/Training/no_tumor"\nmodality = "MRI"\n'))
    assert selection.select(described, "d", root).phantom


def test_at_least_one_case_is_drawn_and_a_share_may_be_set(one, tmp_path, picture):
    for i in range(3):
        picture(tmp_path / f"data/d/{i}.png")
    assert one().sources["d"].drawn == 1
    assert one("sample = 0.7", out="other").sources["d"].drawn == 2


# --------------------------------------------------------------------------------- pixels and manifest


def test_the_manifest_describes_the_pixels_in_their_order(built, root):
    report, rows = built
    images = open_images(report.folder).images
    assert report.storage == "memmap"
    assert [row["number"] for row in rows] == list(range(len(images))) == list(range(report.images + report.copies))
    for row in rows:
        stored = images[row["number"]].numpy()
        if row["source"] in ("skin", "chest") and row["copy"] == 0:
            path = root / row["source"] / row["path"]
            np.testing.assert_array_equal(stored, read_resized(path, SIZE))
            assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            assert (row["height"], row["width"]) == read_image(path).shape[:2]
            assert row["hash"] == perceptual_hash(read_image(path)).tolist()
            assert row["slice"] == -1
            assert row["box"] is None


def test_sources_are_mixed_since_a_batch_is_drawn_from_images_that_lie_together(built):
    _, rows = built
    sources = [row["source"] for row in rows if row["copy"] == 0]
    changes = sum(one != other for one, other in pairwise(sources))
    assert changes > 2 * len(set(sources))  # one after another, it would be one less than there are sources


def test_slices_are_windowed_by_volume_and_the_empty_ones_left_out(built, root):
    report, rows = built
    images = open_images(report.folder).images
    found = [row for row in rows if row["source"] == "heart" and row["copy"] == 0]
    assert report.sources["heart"].empty == sum(2 * (int(case[-1]) % 3) for case in {row["case"] for row in found})
    for row in found:
        values = nibabel.load(root / "heart/imagesTr" / row["path"]).get_fdata()
        low, high = np.percentile(values, [0.5, 99.5])
        pixels = np.rint((values[:, :, row["slice"]].clip(low, high) - low) / (high - low) * 255).astype(np.uint8)
        square = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(images[row["number"]].numpy(), np.broadcast_to(square, (3, SIZE, SIZE)))
        assert row["sha256"] == hashlib.sha256(pixels.tobytes()).hexdigest()
        assert (row["height"], row["width"]) == (20, 24)


def test_rows_of_an_array_are_those_that_were_drawn(built, root):
    report, rows = built
    images = open_images(report.folder).images
    with h5py.File(root / "patches/train.h5") as file:
        for row in (row for row in rows if row["source"] == "patches" and row["copy"] == 0):
            square = Image.fromarray(file["x"][row["slice"]]).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(images[row["number"]].numpy(), np.moveaxis(np.asarray(square), 2, 0))


def test_arrays_are_read_in_blocks_and_never_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "BLOCK", 10 * 20 * 20 * 3)
    (tmp_path / "d").mkdir()
    with h5py.File(tmp_path / "d/x.h5", "w") as file:
        file["x"] = RNG.integers(0, 256, (95, 20, 20, 3), dtype=np.uint8)
    (tmp_path / "s.toml").write_text('[sources.d]\nfolder = "d"\nmodality = "m"\nsample = 0.5')
    items = selection.select(load(tmp_path / "s.toml"), "d", tmp_path).items
    assert sum(len(item.rows) for item in items) == 48
    assert all(item.rows[-1] - item.rows[0] < 10 for item in items)
    assert len(items) <= 10


# ----------------------------------------------------------------------------------- copies and balance


def test_modalities_are_brought_to_the_largest_but_not_beyond_ten_times_themselves():
    assert totals({"a": 1000, "b": 400, "c": 30}, 10.0) == {"a": 1000, "b": 1000, "c": 300}
    assert totals({"a": 1000, "b": 400, "c": 30}, 1.0) == {"a": 1000, "b": 400, "c": 30}
    copies = spread(7, 24, seed=3)
    assert copies.sum() == 24
    assert set(copies) == {3, 4}
    assert (spread(100, 50, seed=0) != spread(100, 50, seed=1)).any()


def test_copies_are_crops_of_the_original_and_fill_the_smaller_modalities(built, root):
    report, rows = built
    images = open_images(report.folder).images
    counts = Counter(row["modality"] for row in rows)
    assert counts == {"colour": 36, "MRI": 36, "X-ray": 36}
    copies = [row for row in rows if row["copy"]]
    assert [row["number"] for row in copies] == list(range(report.images, len(rows)))
    of_chest = Counter(row["path"] for row in copies if row["source"] == "chest")
    assert set(of_chest.values()) == {8}
    for row in copies:
        top, left, height, width = row["box"]
        assert 0.85 <= height * width <= 0.95
        assert min(top, left, 1 - top - height, 1 - left - width) >= 0
        if row["source"] == "chest":
            original = Image.fromarray(read_image(root / "chest" / row["path"]))
            assert original.size == (row["width"], row["height"]) == (60, 40)
            region = (left * 60, top * 40, (left + width) * 60, (top + height) * 40)
            square = np.asarray(original.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=region))
            np.testing.assert_array_equal(images[row["number"]].numpy(), np.moveaxis(square, 2, 0))
            assert row["hash"] == perceptual_hash(square).tolist()
            assert row["sha256"] == hashlib.sha256((root / "chest" / row["path"]).read_bytes()).hexdigest()
    boxes = {tuple(row["box"]) for row in copies}
    assert len(boxes) == len(copies)


def test_boxes_are_spread_over_what_is_allowed():
    boxes = np.array([crop((0, "s", "p", -1, copy)) for copy in range(2000)])
    areas, room = boxes[:, 2] * boxes[:, 3], boxes[:, :2] / (1 - boxes[:, 2:])
    assert areas.mean() == pytest.approx(0.9, abs=0.003)
    assert areas.min() < 0.852
    assert areas.max() > 0.948
    assert room.mean(0) == pytest.approx([0.5, 0.5], abs=0.03)
    assert abs(np.corrcoef(room.T)[0, 1]) < 0.07


def test_without_balance_there_are_no_copies_and_with_most_few(root, spec, tmp_path):
    none = build(spec(corpus="balance = false"), tmp_path / "none", data_root=root)
    assert none.copies == 0
    few = build(spec(corpus="most = 1.5"), tmp_path / "few", data_root=root)
    assert {name: one.copies for name, one in few.sources.items()} == {
        "skin": 0,
        "heart": 10,
        "chest": 2,
        "patches": 0,
    } | {"heart": min(36, few.sources["heart"].images * 3 // 2) - few.sources["heart"].images}


def test_a_source_that_changes_while_it_is_built_stops_the_build(root, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "decode", partial(_failing_copies, decode))
    with pytest.raises(BenchError, match="was changed while"):
        build(spec(), tmp_path / "out", data_root=root)
    with pytest.raises(BenchError, match="did not end"):
        overview.describe(tmp_path / "out")


def _failing_copies(real, *args, copies=None, **options):
    return real(*args, **options)._replace(images=[]) if copies else real(*args, **options)


# -------------------------------------------------------------------------------------- same every time


def test_the_same_description_and_data_give_the_same_bytes(built, root, spec, tmp_path):
    report, _ = built
    again = build(spec(), tmp_path / "again", data_root=root)
    for file in ("manifest.parquet", "images.npy", "refused.csv"):
        assert (tmp_path / "again" / file).read_bytes() == (report.folder / file).read_bytes(), file
    first, second = (json.loads((place / "corpus.json").read_bytes()) for place in (report.folder, tmp_path / "again"))
    assert first == second
    assert first["fingerprint"] == again.fingerprint
    assert first["manifest_sha256"] == hashlib.sha256((report.folder / "manifest.parquet").read_bytes()).hexdigest()
    other = build(spec(corpus="seed = 1"), tmp_path / "other", data_root=root)
    assert other.manifest_sha256 != again.manifest_sha256


def test_shards_hold_the_same_corpus(built, root, spec, tmp_path):
    report, rows = built
    other = build(spec(corpus='storage = "shards"'), tmp_path / "shards", data_root=root)
    assert other.storage == "shards"
    assert read_manifest(other.folder).to_pylist() == rows
    assert other.manifest_sha256 == report.manifest_sha256
    assert other.fingerprint != report.fingerprint
    overview.verify(other.folder)


def test_many_images_are_stored_in_shards(one, tmp_path, monkeypatch, picture, volume):
    for i in range(5):
        picture(tmp_path / f"data/d/{i}.png")
    volume(tmp_path / "data/e/v.nii", (20, 20, 6))
    monkeypatch.setattr(corpus, "MAPPED", 5)
    assert one("sample = 1.0").storage == "memmap"
    shutil.rmtree(tmp_path / "data/d")
    (tmp_path / "data/e").rename(tmp_path / "data/d")
    assert one("sample = 1.0", out="volumes").storage == "shards"  # six slices, as its header says


def test_a_manifest_is_written_in_groups(tmp_path):
    from pyarrow.parquet import ParquetFile

    words = np.arange(8, dtype=np.uint64)
    with Writer(tmp_path) as writer:
        for i in range(GROUP + 3):
            writer.add(Row("s", "m", "", f"{i}", f"{i}.png", -1, 20, 30, "0" * 64, 0, None, words))
    assert ParquetFile(tmp_path / manifest.MANIFEST).num_row_groups == 2
    assert read_manifest(tmp_path, ["number"])["number"].to_pylist() == list(range(GROUP + 3))


def test_nothing_is_built_over_what_is_there_but_an_unfinished_build_is_begun_anew(root, spec, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(BenchError, match="is not empty"):
        build(spec(), out, data_root=root)
    with pytest.raises(BenchError, match="is a file"):
        build(spec(), out / "thesis.tex", data_root=root)
    (out / "thesis.tex").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "decode", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(spec(), out, data_root=root)
    with pytest.raises(BenchError, match="its build did not end"):
        overview.describe(out)
    report = build(spec(), out, data_root=root)
    overview.verify(out)
    assert not (out / "unfinished").exists()
    with pytest.raises(BenchError, match="is not empty"):
        build(spec(), out, data_root=root)
    assert report.images == overview.describe(out)["images"]


def _interrupted(*args, **options):
    raise KeyboardInterrupt


def test_progress_is_told_from_the_first_source_to_the_last_copy(root, spec, tmp_path):
    told = []
    build(spec(), tmp_path / "out", data_root=root, progress=lambda *words: told.append(words))
    assert list(dict.fromkeys(what for what, _, _ in told)) == ["sources", "read", "read again"]
    for what in ("read", "read again"):
        steps = [(done, of) for name, done, of in told if name == what]
        assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))


def test_a_corpus_that_was_changed_does_not_verify(built, tmp_path):
    report, _ = built
    shutil.copytree(report.folder, tmp_path / "c")
    overview.verify(tmp_path / "c")
    table = read_manifest(tmp_path / "c")
    with Writer(tmp_path / "c") as writer:
        for row in table.slice(1).to_pylist():
            writer.add(Row(*list(row.values())[1:]))
    with pytest.raises(BenchError, match=r"manifest.parquet: is not the one that was built"):
        overview.verify(tmp_path / "c")
    shutil.copy(report.folder / "manifest.parquet", tmp_path / "c")
    write(
        tmp_path / "c",
        (image.numpy().transpose(1, 2, 0)[::-1] for image in open_images(report.folder).images),
        size=SIZE,
        kind="memmap",
    )
    with pytest.raises(BenchError, match=r"pixels.json: is not the one that was built"):
        overview.verify(tmp_path / "c")
    (tmp_path / "c/manifest.parquet").write_bytes(b"PAR1")
    with pytest.raises(BenchError, match="cannot be read"):
        read_manifest(tmp_path / "c")


def test_counts_by_modality_and_organ(built):
    report, _ = built
    about = overview.describe(report.folder)
    assert {name: sum(one.values()) for name, one in about["modalities"].items()} == dict.fromkeys(
        ("MRI", "X-ray", "colour"), 36
    )
    assert about["organs"]["skin"] == {"images": 6, "copies": 0}
    assert about["bytes"] == sum(path.stat().st_size for path in report.folder.iterdir())
