"""Folders as users have them: files by stem, helpful errors, scikit-learn's draw, fingerprints and completeness."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sklearn.model_selection import train_test_split

from bench import sources
from bench.data import folders
from bench.errors import BenchError
from bench.spec import Case, Image, Part, Splits, task

CARD = {
    "title": "Toy",
    "modality": "none",
    "classes": ("a", "b"),
    "case": "image",
    "licence": "none",
    "citation": "none",
    "url": "https://example.org",
    "protocols": ("linear",),
}


def fingerprint(splits, memo):
    images = [case.image for _, cases in splits for case in cases]
    return sources.fingerprint(splits, dict(zip(images, folders.digests(images, memo), strict=True)))


def fill(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def test_images_are_found_by_stem_in_natural_order_and_nothing_else_is(tmp_path):
    fill(tmp_path, "b(10).WEBP", "b(9).jpg", "a.b.PNG", ".hidden.png", "._a.jpg", "Thumbs.db", "notes.txt")
    (tmp_path / "folder.png").mkdir()
    assert list(folders.index_by_stem(tmp_path)) == ["a.b", "b(9)", "b(10)"]
    assert folders.find(tmp_path, "b(10)").name == "b(10).WEBP"
    with pytest.raises(BenchError, match=r"unknown image `b\(8\)`; did you mean `b\(9\)`"):
        folders.find(tmp_path, "b(8)")


def test_two_files_of_a_stem_and_no_file_are_errors(tmp_path):
    with pytest.raises(BenchError, match=r"a\.JPG and a\.png are the same image"):
        folders.index_by_stem(fill(tmp_path / "twice", "a.png", "a.JPG"))
    with pytest.raises(BenchError, match="holds no image"):
        folders.index_by_stem(fill(tmp_path / "none", "a.txt"))


def test_a_folder_one_level_off_is_named(tmp_path):
    (tmp_path / "data" / "set" / "Training" / "a").mkdir(parents=True)
    (tmp_path / "file").touch()
    inner = tmp_path / "data" / "set"
    assert folders.require_folder(inner, "Training", "a") == inner / "Training" / "a"
    for wrong in (tmp_path / "data", inner / "Training", inner / "Training" / "a"):
        with pytest.raises(BenchError) as error:
            folders.require_folder(wrong, "Training", "a")
        assert str(error.value) == f"{wrong}: has no folder Training/a; was {inner} meant?"
    with pytest.raises(BenchError, match="has no folder Testing; it holds Training"):
        folders.require_folder(inner, "Testing")
    with pytest.raises(BenchError, match="no such folder"):
        folders.require_folder(tmp_path / "nowhere", "Training")
    with pytest.raises(BenchError, match="is a file"):
        folders.require_folder(tmp_path / "file", "Training")


def test_published_order_counts_the_extension():
    stems = ["a", "a (1)", "a-1", "a0"]
    random.Random(0).shuffle(stems)
    assert folders.as_published(stems, ".jpg") == ["a (1)", "a-1", "a", "a0"]
    assert sorted(stems) == ["a", "a (1)", "a-1", "a0"]


@pytest.mark.parametrize("n", [2, 3, 7, 10, 100, 1500, 2870])
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.3, 1 / 3])
@pytest.mark.parametrize("seed", [0, 42])
def test_holding_out_is_scikit_learns_draw(n, fraction, seed):
    kept, held = folders.hold_out(range(n), fraction, seed)
    assert [list(kept), list(held)] == train_test_split(range(n), test_size=fraction, random_state=seed)


def test_too_few_cases_cannot_be_parted():
    with pytest.raises(BenchError, match="1 cases are too few"):
        folders.hold_out([0], 0.3, 42)


def test_rows_carry_their_place_and_bad_tables_are_errors(tmp_path):
    table = tmp_path / "t.csv"
    table.write_bytes('\ufeffa, 1\r\n\r\n"b",2\n'.encode())
    assert list(folders.read_rows(table, 2)) == [(f"{table}:1", ["a", "1"]), (f"{table}:3", ["b", "2"])]
    for content, message in (
        (b"a,1\nb", "t.csv:2: has 1 columns"),
        (b"\xff\xfe", "as a table"),
        (b"a,1\n\0", "columns|NUL"),
    ):
        table.write_bytes(content)
        with pytest.raises(BenchError, match=message):
            list(folders.read_rows(table, 2))
    with pytest.raises(BenchError, match="cannot be read as a table"):
        list(folders.read_rows(tmp_path / "none.csv", 2))


def splits_of(folder, n=4):
    cases = [Case(f"id{i}", fill(folder, f"{i}.png") / f"{i}.png", i % 2) for i in range(n)]
    return Splits(tuple(cases[: n // 2]), (), tuple(cases[n // 2 :]))


def test_fingerprint_is_of_content_and_not_of_place(tmp_path):
    memo = tmp_path / "memo.json"
    print_ = fingerprint(splits_of(tmp_path / "here"), memo)
    assert fingerprint(splits_of(tmp_path / "there"), tmp_path / "other.json") == print_
    splits = splits_of(tmp_path / "here")
    first, *rest = splits.train
    others = {
        fingerprint(Splits((Case("other", first.image, first.target), *rest), (), splits.test), memo),
        fingerprint(Splits((Case(first.id, first.image, 1), *rest), (), splits.test), memo),
        fingerprint(Splits(splits.train, splits.test, ()), memo),
        fingerprint(Splits(splits.train, (), splits.test[:-1]), memo),
    }
    first.image.write_bytes(b"changed")
    others.add(fingerprint(splits, memo))
    assert len(others - {print_}) == 5
    first.image.unlink()
    with pytest.raises(BenchError, match=r"0\.png: cannot be read"):
        fingerprint(splits, memo)


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path):
    splits, memo = splits_of(tmp_path / "here"), tmp_path / "memo.json"
    image = splits.train[0].image
    before, status = fingerprint(splits, memo), image.stat()
    time.sleep(0.02)  # more than the tick of a file system's clock
    image.write_bytes(b"X" * status.st_size)
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint(splits, memo) != before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b"\xff", b"[" * 100_000, "wrong digest"])
def test_a_corrupt_memo_is_ignored_and_mended(tmp_path, content):
    splits, memo = splits_of(tmp_path / "here"), tmp_path / "memo.json"
    print_ = fingerprint(splits, memo)
    if isinstance(content, str):
        content = json.dumps({k: v[:-1] + "!" for k, v in json.loads(memo.read_text()).items()}).encode()
    memo.write_bytes(content)
    assert fingerprint(splits, memo) == print_
    assert len(json.loads(memo.read_text())) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here", "memo.json"]


def test_a_memo_that_cannot_be_written_costs_time_only(tmp_path):
    (tmp_path / "file").touch()
    assert fingerprint(splits_of(tmp_path / "here"), tmp_path / "file" / "memo.json")


def test_unchanged_files_are_not_read_again(tmp_path, monkeypatch):
    splits, memo = splits_of(tmp_path / "here", n=3000), tmp_path / "memo.json"
    print_ = fingerprint(splits, memo)
    monkeypatch.setattr(folders.hashlib, "file_digest", None)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert fingerprint(splits, memo) == print_
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.3  # about 0.04 s; with type checks at run time and on a busy machine it takes longer


def toy(layout):
    @task("toy", layout=layout, **CARD)
    def read(folder: Path) -> Splits:
        folders.require_folder(folder, "train")
        return Splits((), (), ())

    return read


def test_status_counts_by_folder(tmp_path):
    images = toy(
        {"train": Part(3, (Image("train/{name}/x{n}.jpg"),)), "test": Part(1, (Image("test/{name}/x{n}.jpg"),))}
    )
    root = tmp_path / "toy"
    assert folders.status(images, root).state == "missing"
    root.mkdir()
    assert folders.status(images, root).state == "missing"
    fill(root / "test" / "b", "any name.webp")
    status = folders.status(images, root)
    assert (status.state, status.found, status.official) == ("broken", 1, 4)
    assert "has no folder train" in status.reason
    fill(root / "train" / "a", "1.png", "2.png", "no image.txt")
    status = folders.status(images, root)
    assert (status.state, status.parts) == ("partial", {"train": (2, 3), "test": (1, 1)})
    assert status.reason == "train 2 of 3, test 1 of 1"
    fill(root / "train" / "b", "1.png")
    assert folders.status(images, root).state == "complete"


def test_status_tells_parts_that_share_a_folder_by_number(tmp_path):
    def files(folder):
        return (Image(f"{folder}/x{{n:02d}}_1.png"),)

    status = folders.status(
        toy({"low": Part(2, files("train")), "high": Part(9, files("train"), first=3)}),
        fill(tmp_path / "train", "x01_1.png", "x02_3.webp", "x03_1.png", "x11_1.png", "x12_1.png", "y01_1.png").parent,
    )
    assert status.parts == {"low": (2, 2), "high": (2, 9)}
    patients = toy({"all": Part(2, (Image("train/{n:03d}/{name}.png"),))})
    shutil.rmtree(tmp_path / "train")
    fill(tmp_path / "train" / "001", "a.png")
    fill(tmp_path / "train" / "007", "b.png")
    assert folders.status(patients, tmp_path).found == 2


def test_importing_it_brings_in_nothing_heavy():
    code = (
        "import bench.data.folders, sys; print([m for m in ('torch', 'numpy', 'PIL', 'jaxtyping') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_data_sets_one_folder_off_are_found_and_the_root_named(tmp_path):
    (tmp_path / "data" / "kvasir" / "Kvasir-SEG").mkdir(parents=True)
    said = f"; there is {tmp_path / 'data' / 'kvasir'}: was {tmp_path / 'data'} meant as the folder of the data sets?"
    for root in (tmp_path, tmp_path / "data" / "kvasir", tmp_path / "data" / "kvasir" / "Kvasir-SEG"):
        assert folders.misplaced(root, "kvasir") == said
    assert folders.misplaced(tmp_path / "data", "isic2018") == ""
    assert folders.misplaced(tmp_path / "none", "isic2018") == ""
