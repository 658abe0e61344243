"""What is seen of a picture: the hash by hand and by scipy, near pairs against every pair, and the hashes on disk."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from bench.data import likeness
from bench.data.likeness import THRESHOLD, hashes, near, perceptual_hash
from bench.errors import BenchError

REAL = Path(__file__).parents[4] / "shared" / "data" / "jsrt" / "images"


def picture(seed, height=120, width=150):
    """Clouds in colour."""
    clouds = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width, 3)), (5, 5, 0))
    low, high = clouds.min(), clouds.max()
    return np.uint8(255 * (clouds - low) / (high - low))


def jpeg(image, quality=50):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image, height, width):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def toned(image, gain, offset):
    return np.uint8(np.clip(gain * image.astype(float) + offset, 0, 255))


def distance(first, second):
    """Bits between two pictures, 256 if near to none."""
    pairs = near(perceptual_hash(first)[None], perceptual_hash(second)[None], 255)
    return int(pairs[0, 2]) if len(pairs) else 256


def test_the_hash_of_a_slope_is_known_by_hand():
    slope = np.tile(np.uint8(252 - 4 * np.arange(64)), (64, 1))  # no frequency down, only odd ones across, all positive
    odd = {"across": [1, 0b11111111, 0, 0], "down": [1, 0, 0x0101010101010101, 0], "none": [1, 0, 0, 0]}
    assert perceptual_hash(slope)[:4].tolist() == odd["across"]
    assert distance(slope, slope) == 0  # though two words of four are zero, it is not blank
    assert perceptual_hash(np.ascontiguousarray(slope.T))[:4].tolist() == odd["down"]
    assert perceptual_hash(np.ascontiguousarray(slope[:, ::-1]))[:4].tolist() == odd["none"]  # all negative


def test_signs_are_those_of_scipys_transform():
    grey = np.asarray(Image.fromarray(picture(0)).convert("L"))
    small = np.asarray(Image.fromarray(grey).resize((64, 64), Image.Resampling.BILINEAR))
    expected = dctn(small.astype(float), norm="ortho")[:16, :16]
    words = perceptual_hash(grey)[:4].tolist()
    for (u, v), value in np.ndenumerate(expected):
        bit = words[2 * (u % 2) + v % 2] >> (8 * (u // 2) + v // 2) & 1
        assert abs(value) < 1e-3 or bit == (value > 0), (u, v)


def framed(image, down, across, grey=0):
    return np.pad(image, ((down, down), (across, across), (0, 0)), constant_values=grey)


CHANGES = {
    "jpeg": jpeg,
    "half the size": lambda a: resized(a, 60, 75),
    "twice the size": lambda a: resized(a, 240, 300),
    "another aspect": lambda a: resized(a, 100, 100),
    "grey": lambda a: np.asarray(Image.fromarray(a).convert("L")),
    "brighter": lambda a: toned(a, 1, 30),
    "more contrast": lambda a: toned(a, 1.3, -38),
    "letter-boxed": lambda a: framed(a, 15, 0),
    "framed in white, then black": lambda a: framed(framed(a, 3, 3, 255), 9, 2),
    "mirrored": lambda a: np.ascontiguousarray(a[:, ::-1]),
    "upside down, in JPEG": lambda a: jpeg(np.ascontiguousarray(a[::-1])),
    "turned": lambda a: np.ascontiguousarray(np.rot90(a)),
    "turned the other way, and letter-boxed": lambda a: framed(np.rot90(a, 3), 12, 0),
    "negative": lambda a: 255 - a,
    "negative and mirrored": lambda a: np.ascontiguousarray(255 - a[:, ::-1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_picture_made_over_is_near(change):
    for seed in range(3):
        assert distance(picture(seed), CHANGES[change](picture(seed))) <= THRESHOLD


@pytest.mark.parametrize("change", CHANGES)
def test_another_picture_is_not(change):
    assert distance(picture(0), CHANGES[change](picture(1))) > 1.5 * THRESHOLD


def test_a_grey_window_that_cuts_extremes_off_is_seen_through():
    image = picture(4)
    image[10:15] = 255  # a bright line, as of a ruler or a skull, that the window hides
    image[20:50, 20:50] //= 4
    bottom, top = np.percentile(image, [4, 96])
    assert distance(image, toned(image, 255 / (top - bottom), -255 * bottom / (top - bottom))) <= THRESHOLD


def test_blank_pictures_are_near_nothing():
    blanks = [np.full((50, 40), level, np.uint8) for level in (0, 128, 255)]
    speck = blanks[0].copy()
    speck[10, 10] = 30
    rows = np.stack([perceptual_hash(image) for image in (*blanks, speck)])
    assert not rows.any()
    assert len(near(rows, rows, 255)) == 0


def test_a_ground_that_is_most_of_the_picture_is_no_border():
    inner = picture(0, 40, 40)
    assert distance(inner, framed(inner, 15, 15)) <= THRESHOLD
    assert distance(inner, framed(inner, 80, 80)) > THRESHOLD


# ------------------------------------------------------------------------------------------------------------ near


def bits_of(words):
    """(n, 2 views, 16 down, 16 across), by the definition of the bits and not by that of the search."""
    number = {(u, v): 64 * (2 * (u % 2) + v % 2) + 8 * (u // 2) + v // 2 for u in range(16) for v in range(16)}
    order = [number[u, v] for u in range(16) for v in range(16)]
    every = np.array([[int(word) >> bit & 1 for word in row for bit in range(64)] for row in words])
    return every.reshape(len(words), 2, 256)[:, :, order].reshape(-1, 2, 16, 16)


def every_pair(corpus, scored, threshold):
    """Near pairs the slow way: all bits of all pairs in all 16 appearances of the scored picture."""
    u, v = np.mgrid[:16, :16]
    left, right = bits_of(corpus).reshape(len(corpus), 2, 256), bits_of(scored)
    least = np.full((len(corpus), len(scored)), 999)
    for turned in (right, right.swapaxes(2, 3)):
        for sign in (0 * u, u, v, u + v):
            for negative in (0 * u, (u + v > 0)):
                seen = (turned ^ (sign % 2) ^ negative).reshape(len(scored), 2, 256)
                for view in range(2):
                    a, b = left[:, view].astype(np.float32), seen[:, view].astype(np.float32)
                    apart = a @ (1 - b).T + (1 - a) @ b.T
                    blank = ~corpus[:, None, 4 * view].astype(bool) | ~scored[None, :, 4 * view].astype(bool)
                    least = np.minimum(least, np.where(blank, 999, apart.astype(int)))
    rows, columns = np.nonzero(least <= threshold)
    return np.stack([rows, columns, least[rows, columns]], axis=1)


@pytest.fixture(scope="module")
def planted():
    """4200 hashes and 19 others, of which many are the same but for some bits, in some appearance; some are blank."""
    rng = np.random.default_rng(0)
    mean = np.array([1, 0, 0, 0] * 2, np.uint64)  # the bit of the mean is set in every hash
    corpus = rng.integers(0, 2**64, (4200, 8), dtype=np.uint64) | mean
    scored = rng.integers(0, 2**64, (19, 8), dtype=np.uint64) | mean
    turned = scored.copy()
    turned[:, :4] = likeness._transposed(scored[:, :4])
    turned[:, 4:] ^= np.array([0, 2**64 - 1, 0, 2**64 - 1], np.uint64)  # mirrored across
    negative = scored ^ np.array([2**64 - 2, *[2**64 - 1] * 3] * 2, np.uint64)
    for row in range(0, 4200, 7):
        corpus[row] = (scored, turned, negative)[row % 3][row % 19]
        for bit in rng.choice(np.arange(1, 64), rng.integers(0, 45), replace=False):
            corpus[row, rng.integers(0, 4)] ^= np.uint64(1) << np.uint64(bit)
            corpus[row, 4 + rng.integers(0, 4)] ^= np.uint64(1) << np.uint64(bit)
    corpus[70:140, :4] = 0
    corpus[100:200, 4:] = 0
    scored[3, :4] = 0
    scored[5, 4:] = 0
    scored[6] = 0
    return corpus, scored


@pytest.mark.parametrize("threshold", [0, 7, THRESHOLD, 90])
def test_near_finds_what_comparing_every_pair_finds(planted, threshold):
    pairs = near(*planted, threshold)
    expected = every_pair(*planted, threshold)
    assert len(expected) > 5
    np.testing.assert_array_equal(pairs, expected)


def test_near_takes_empty_sides(planted):
    corpus, scored = planted
    assert near(corpus[:0], scored).shape == near(corpus, scored[:0]).shape == (0, 3)


# ---------------------------------------------------------------------------------------------------------- hashes


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / "images" / f"{i}.png" for i in range(6)]
    found[0].parent.mkdir()
    for seed, path in enumerate(found):
        Image.fromarray(picture(seed, 40, 50)).save(path)
    return found


def test_hashes_come_in_the_order_asked_for_and_are_read_once(paths, tmp_path, monkeypatch):
    memo = tmp_path / "store" / "hashes.npy"
    expected = np.stack([perceptual_hash(picture(seed, 40, 50)) for seed in range(6)])
    np.testing.assert_array_equal(hashes(paths[:4], memo), expected[:4])
    np.testing.assert_array_equal(hashes(paths[::-1], memo), expected[::-1])
    monkeypatch.setattr(likeness, "perceptual_hash", None)
    np.testing.assert_array_equal(hashes([*paths, paths[2]], memo), expected[[*range(6), 2]])
    assert hashes([], memo).shape == (0, 8)
    assert [file.name for file in memo.parent.iterdir()] == ["hashes.npy"]


def test_a_file_that_changed_is_read_again_though_size_and_time_of_modification_are_kept(paths, tmp_path):
    for path in paths[:2]:
        Image.open(path).save(path, "BMP")  # BMP files of as many pixels are all of a size
    first, second = hashes(paths[:1], tmp_path / "hashes.npy"), hashes(paths[1:2], tmp_path / "other.npy")
    status = paths[0].stat()
    paths[0].write_bytes(paths[1].read_bytes())
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert paths[0].stat().st_size == status.st_size
    assert (hashes(paths[:1], tmp_path / "hashes.npy") == second).all()
    assert (first != second).any()


@pytest.mark.parametrize("part", ["likeness", "images"])
def test_another_hash_or_reader_reads_anew(paths, tmp_path, monkeypatch, part):
    hashes(paths, tmp_path / "hashes.npy")
    monkeypatch.setattr(likeness if part == "likeness" else likeness.images, "VERSION", 99)
    monkeypatch.setattr(likeness, "perceptual_hash", lambda image: np.arange(8, dtype=np.uint64))
    assert hashes(paths, tmp_path / "hashes.npy").tolist() == [list(range(8))] * 6


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b"x" * 999, lambda b: b[:40]])
def test_a_damaged_memo_is_made_again(paths, tmp_path, damage):
    memo = tmp_path / "hashes.npy"
    whole = hashes(paths, memo)
    content = memo.read_bytes()
    memo.write_bytes(damage(content))
    np.testing.assert_array_equal(hashes(paths, memo), whole)
    assert memo.read_bytes() == content
    np.save(memo, np.zeros(3))  # an array, but not of hashes
    np.testing.assert_array_equal(hashes(paths, memo), whole)


def test_all_unreadable_images_are_told_at_once_and_the_others_kept(paths, tmp_path, monkeypatch):
    paths[1].write_bytes(b"")
    paths[4].write_text("no image")
    with pytest.raises(BenchError, match="2 of 6 images cannot be read") as error:
        hashes(paths, tmp_path / "hashes.npy")
    assert str(paths[1]) in str(error.value)
    assert str(paths[4]) in str(error.value)
    monkeypatch.setattr(likeness, "perceptual_hash", None)
    assert len(hashes([paths[0], paths[5]], tmp_path / "hashes.npy")) == 2
    with pytest.raises(BenchError, match=r"7\.png: cannot be read: No such file"):
        hashes([paths[0].with_name("7.png")], tmp_path / "hashes.npy")


@pytest.mark.skipif(not REAL.is_dir(), reason="no real images in ../shared/data/jsrt")
def test_radiographs_are_told_apart_and_found_again():
    files = sorted(REAL.iterdir())[:60]
    originals = [np.asarray(Image.open(file).convert("L")) for file in files]
    rows = np.stack([perceptual_hash(image) for image in originals])
    copies = np.stack([perceptual_hash(255 - jpeg(resized(image, 160, 160), 60)) for image in originals])
    assert near(copies, rows)[:, :2].tolist() == [[row, row] for row in range(len(files))]
