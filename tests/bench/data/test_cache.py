"""The cache of decoded images: right whatever was on disk before, and empty after a failure."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from bench.data import cache
from bench.data.cache import decoded
from bench.data.images import read_resized
from bench.errors import BenchError


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    found = [tmp_path / "images" / f"{i}.png" for i in range(12)]
    found[0].parent.mkdir()
    for path in found:
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    return found


def test_images_come_in_the_order_asked_for_and_are_read_once(paths, tmp_path, monkeypatch):
    cached = tmp_path / "cache"
    for order in (paths, paths[::-1], paths[3:5]):
        images = decoded(order, 16, "a", cached)
        np.testing.assert_array_equal(images, np.stack([read_resized(p, 16) for p in order]))
    assert len(list(cached.iterdir())) == 3
    monkeypatch.setattr(cache.images, "read_resized", None)
    assert decoded(paths, 16, "a", cached).shape == (12, 3, 16, 16)


def test_another_size_content_or_reader_is_another_file(paths, tmp_path, monkeypatch):
    decoded(paths, 16, "a", tmp_path / "cache")
    decoded(paths, 8, "a", tmp_path / "cache")
    decoded(paths, 16, "b", tmp_path / "cache")
    monkeypatch.setattr(cache.images, "VERSION", 99)
    decoded(paths, 16, "a", tmp_path / "cache")
    files = list((tmp_path / "cache").iterdir())
    assert len(files) == 4
    assert all(np.load(f).shape[:2] == (12, 3) for f in files)  # ordinary .npy files, for whoever looks into them


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:50], lambda b: b"", lambda b: b + b"x"])
def test_a_damaged_file_is_made_again(paths, tmp_path, damage):
    whole = np.array(decoded(paths, 16, "a", tmp_path / "cache"))
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(decoded(paths, 16, "a", tmp_path / "cache"), whole)
    file.write_bytes(b"\0" * file.stat().st_size)  # the length is right, the header is not
    np.testing.assert_array_equal(decoded(paths, 16, "a", tmp_path / "cache"), whole)


def test_all_unreadable_images_are_told_at_once_and_nothing_stays(paths, tmp_path):
    for path in paths[2:10]:
        path.write_bytes(b"")
    with pytest.raises(BenchError) as error:
        decoded(paths, 16, "a", tmp_path / "cache")
    message = str(error.value)
    assert "8 of 12 images cannot be read" in message
    assert [str(p) in message for p in paths] == [2 <= i < 7 for i in range(12)]
    assert message.count("0 bytes") == 5
    assert not list((tmp_path / "cache").iterdir())
    with pytest.raises(BenchError, match="1 of 1 images"):
        decoded(paths[2:3], 16, "a", tmp_path / "cache")


def test_writers_at_the_same_time_do_no_harm(paths, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(lambda _: decoded(paths, 16, "a", tmp_path / "cache"), range(8)))
    assert all(np.array_equal(array, arrays[0]) for array in arrays)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_writing_to_an_array_changes_nobody_elses(paths, tmp_path):
    torch = pytest.importorskip("torch")
    first = decoded(paths, 16, "a", tmp_path / "cache")
    before = np.array(first)
    torch.from_numpy(first).zero_()  # and torch, handed the array as it is, has nothing to warn of
    np.testing.assert_array_equal(decoded(paths, 16, "a", tmp_path / "cache"), before)


def test_an_empty_set_is_an_empty_array_and_a_bad_folder_an_error(paths, tmp_path):
    assert decoded([], 16, "a", tmp_path / "cache").shape == (0, 3, 16, 16)
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="cannot be used"):
        decoded(paths, 16, "a", tmp_path / "file")
