"""`bench corpus` as programs and people use it: shapes of JSON, tables, exit codes and errors."""

import json

import numpy as np
import pytest
from PIL import Image

from bench.data.storage import open_images, write

SPEC = """
[corpus]
size = 32
sample = 1.0
[sources.brain_tumor]
task = "brain_tumor"
[sources.chest]
folder = "chest"
modality = "X-ray"
organ = "lung"
"""
COUNTS = {
    "cases",
    "drawn",
    "images",
    "copies",
    "empty",
    "refused",
    "absent",
    "unmatched",
    "modality",
    "organ",
    "phantom",
}


@pytest.fixture
def place(tmp_path, phantoms, monkeypatch):
    """A folder to work in, with a description, a data root, and a chest radiograph that is damaged."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    data = tmp_path / "data"
    (data / "chest").mkdir(parents=True)
    (data / "brain_tumor").symlink_to(phantoms / "brain_tumor")
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 6), dtype=np.uint8)
        Image.fromarray(pixels).resize((40, 40)).save(data / f"chest/{i}.png")
    (data / "chest/broken.png").write_bytes(b"")
    (tmp_path / "spec.toml").write_text(SPEC)
    return tmp_path


def test_a_corpus_is_built_shown_verified_and_drawn(bench, place):
    about = json.loads(bench("corpus", "build", "spec.toml", "--out", "out", "--json"))
    assert (about["images"], about["copies"], about["size"], about["storage"]) == (32, 24, 32, "memmap")
    assert all(set(counts) == COUNTS for counts in about["sources"].values())
    assert about["sources"]["brain_tumor"]["phantom"]
    ((source, path, reason),) = [one.values() for one in about["refused"]]
    assert (source, path) == ("chest", "broken.png")
    assert "0 bytes" in reason
    shown = json.loads(bench("corpus", "show", "out", "--verify", "--figure", "sheet.png", "--json"))
    assert shown["modalities"] == {"MRI": {"images": 28, "copies": 0}, "X-ray": {"images": 4, "copies": 24}}
    assert shown["organs"]["lung"] == {"images": 4, "copies": 24}
    assert shown["verified"]
    with Image.open("sheet.png") as sheet:
        tiles = np.asarray(sheet)
    assert (tiles < 250).mean() > 0.3  # two rows of images, not a white page
    table = bench("corpus", "show", "out")
    assert "brain_tumor (phantom)" in table
    assert "left out: chest: broken.png: " in table
    assert "verified" not in table


def test_a_sheet_is_drawn_from_shards_too(bench, place):
    for name in ("spec", "shards"):
        bench("corpus", "build", "spec.toml", "--out", name)
    pixels = [image.numpy()[0] for image in open_images("spec").images]  # all of them grey
    write(place / "shards", pixels, size=32, kind="shards", per_shard=2)
    for name in ("spec", "shards"):
        bench("corpus", "show", name, "--figure", f"{name}.png")
    with Image.open("spec.png") as exact, Image.open("shards.png") as compressed:
        difference = np.asarray(exact, float) - np.asarray(compressed, float)
    assert np.abs(difference).mean() < 3


def test_a_build_tells_what_it_left_out(bench, place):
    for i in range(9):
        (place / f"data/chest/bad{i}.png").write_bytes(b"x")
    told = bench("corpus", "build", "spec.toml", "--out", "out")
    assert told.count("left out: chest: bad") == 5
    assert "and 5 more, in out/refused.csv" in told
    assert any(line.split() == ["in", "all", "42", "42", "32", "24", "0", "10", "0"] for line in _cells(told)), told


def _cells(table):
    return [line.replace("│", " ") for line in table.splitlines()]


def test_data_come_from_the_option_before_the_environment_before_the_description(bench, place, monkeypatch):
    (place / "data").rename(place / "elsewhere")
    assert "no such folder" in bench("corpus", "build", "spec.toml", "--out", "a", code=2)
    monkeypatch.setenv("BENCH_DATA", str(place / "nowhere"))
    assert "nowhere" in bench("corpus", "build", "spec.toml", "--out", "a", code=2)
    bench("corpus", "build", "spec.toml", "--out", "a", "--data", "elsewhere")


def test_mistakes_are_said_in_a_line(bench, place):
    assert "spec.tmol: no such description" in bench("corpus", "build", "spec.tmol", "--out", "out", code=2)
    assert "build one: bench corpus build" in bench("corpus", "show", "data", code=2)
    bench("corpus", "build", "spec.toml", "--out", "out")
    assert "is not empty" in bench("corpus", "build", "spec.toml", "--out", "out", code=2)
    assert "ends in .png" in bench("corpus", "show", "out", "--figure", "sheet.pdf", code=2)
    (place / "out/images.npy").write_bytes((place / "out/images.npy").read_bytes()[:-1] + b"\1")
    assert "images.npy" in bench("corpus", "show", "out", "--verify", code=2)


def test_the_catalog_says_what_is_printed_what_is_released_and_what_is_on_disk(bench, place):
    (place / "data/hyperkvasir").mkdir()
    (place / "data/hyperkvasir/a.jpg").touch()
    rows = json.loads(bench("corpus", "catalog", "--json"))
    assert len(rows) == 55
    assert sum(row["total"] for row in rows) == 1_294_015
    assert (rows[0]["name"], rows[0]["listed"], rows[0]["files"]) == ("HyperKvasir", 99355, 1)
    assert [row["name"] for row in rows if row["folder"]] == ["HyperKvasir"]
    table = bench("corpus", "catalog", "--data", "nowhere")
    assert "55 data sets, 1294015 in all as printed; 0 on disk" in table
    assert "Color images: rather CT or MRI" in table
