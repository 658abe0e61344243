"""Reading truth: masks as data sets store them, and everything that is no mask and must not pass for one."""

import io
import os
import struct
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from bench.data.masks import read_region, read_truth
from bench.errors import BenchError
from bench.spec import Mask

Y, X = np.mgrid[:90, :120]
DISC = ((Y - 40) / 30) ** 2 + ((X - 55) / 40) ** 2 < 1
NUMBERS = (X // 40).astype(np.uint8)  # 0, 1, 2 in stripes
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0]  # black, red, green


def white(path, shape=(90, 120)):
    """The mask at a path: where it is white."""
    truth = read_truth([Mask(path, 1)], shape, 2, {})
    assert truth.dtype == np.uint8
    assert set(np.unique(truth)) <= {0, 1}
    return truth == 1


def numbers(path, classes=3, values=None, shape=(90, 120)):
    return read_truth([Mask(path)], shape, classes, values or {})


@pytest.fixture
def saved(tmp_path):
    """Write an array or picture under a name."""

    def save(name, content, **options):
        image = content if isinstance(content, Image.Image) else Image.fromarray(content)
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def palette(indices, colours):
    image = Image.fromarray(indices)
    image.putpalette(colours)  # makes it mode P
    return image


# ------------------------------------------------------------------------------------------- black and white


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif"])
def test_masks_are_read_exactly(saved, name):
    for mask in (DISC, ~DISC, np.zeros_like(DISC), np.ones_like(DISC)):
        for content in (Image.fromarray(mask), mask * np.uint8(255), np.repeat(mask[:, :, None] * np.uint8(255), 3, 2)):
            np.testing.assert_array_equal(white(saved(name, content)), mask)


@pytest.mark.parametrize(
    "content",
    [
        DISC.astype(np.uint8),  # 1 is white where nothing is whiter
        DISC.astype(np.uint16),
        DISC * np.uint16(255),
        DISC * np.uint16(65535),
        DISC * np.int32(255),
        DISC.astype(np.float32),
        np.where(DISC, 240, 9).astype(np.uint8),
    ],
    ids=["1", "16 bit: 1", "16 bit: 255", "16 bit", "32 bit", "float", "dull"],
)
def test_white_is_told_by_the_range_of_a_file(saved, content):
    path = saved("a.tif", content)
    np.testing.assert_array_equal(white(path), DISC)


@pytest.mark.parametrize(("name", "options"), [("a.jpg", {"quality": q}) for q in (20, 75, 95)] + [("a.webp", {})])
@pytest.mark.parametrize("colours", [1, 3])
def test_what_lossy_formats_leave_along_edges_passes(saved, name, options, colours):
    """Of a blob, and of vessels as thin as a pixel, of which a fifth of the image is edge."""
    vessels = np.sin(X / 3 + Y / 9) > 0.97
    for mask, least in ((DISC, 0.99), (vessels, 0.5)):
        content = mask * np.uint8(255)
        found = white(saved(name, np.repeat(content[:, :, None], 3, 2) if colours == 3 else content, **options))
        both = (found & mask).sum() * 2 / (found.sum() + mask.sum())
        assert both > least


def test_resized_masks_pass_and_are_cut_at_half(saved):
    large = Image.fromarray(DISC * np.uint8(255)).resize((480, 360), Image.Resampling.BICUBIC)
    found = white(saved("a.png", large), (360, 480))
    np.testing.assert_array_equal(found, np.asarray(large) >= 128)


@pytest.mark.parametrize(
    "content",
    [
        np.where(DISC, 100, 0).astype(np.uint8),
        np.where(DISC, 2, 0).astype(np.uint8),
        np.where(DISC, 255, 0).astype(np.uint8) + np.where(Y > 80, 90, 0).astype(np.uint8),
        (X * 2).astype(np.uint8),
        np.random.default_rng(0).integers(0, 256, DISC.shape, dtype=np.uint8),
        np.where(DISC, 4095, 0).astype(np.uint16),
        np.where(DISC, 65535, np.where(Y > 80, 9, 0)).astype(np.uint16),
        np.where(DISC, 0.4, 0).astype(np.float32),
        np.where(DISC, np.nan, 0).astype(np.float32),
        np.where(DISC, np.inf, 0).astype(np.float32),
        np.where(DISC, 1, -1).astype(np.int32),
    ],
    ids=["grey", "class 2", "three levels", "ramp", "photograph", "12 bit", "16 bit", "odds", "nan", "inf", "negative"],
)
def test_grey_is_refused(saved, content):
    path = saved("grey.tif", content)
    with pytest.raises(BenchError) as error:
        white(path)
    assert str(error.value).startswith(f"{path}: a mask is black and white, and this one has grey: ")
    assert str(error.value).endswith("save it as a PNG in black and white, or as a map of classes if it is one")
    with pytest.raises(BenchError, match="has grey"):
        read_region(path, DISC.shape)


def test_a_photograph_for_a_mask_is_refused_and_a_small_one_too(saved):
    noise = np.random.default_rng(0).integers(0, 256, (2, 2), dtype=np.uint8)
    with pytest.raises(BenchError, match="grey"):
        white(saved("a.png", np.full((2, 2), 140, np.uint8) + noise // 8), (2, 2))
    assert white(saved("a.png", np.array([[255]], np.uint8)), (1, 1)).all()


# ------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i4", "f4"])
def test_numbers_are_classes_as_they_are_or_as_the_card_has_them(saved, dtype):
    np.testing.assert_array_equal(numbers(saved("a.tif", NUMBERS.astype(dtype))), NUMBERS)
    step = 100 if dtype == "u1" else 300  # more than 8 bits: kept, and not windowed
    found = numbers(saved("b.tif", (NUMBERS.astype(int) * step).astype(dtype)), values={step: 2, 2 * step: 1})
    np.testing.assert_array_equal(found, np.array([0, 2, 1])[NUMBERS])


def test_16_bit_png_and_1_bit_keep_their_numbers(saved):
    path = saved("a.png", NUMBERS.astype(np.uint16) * 205)
    np.testing.assert_array_equal(numbers(path, values={205: 1, 410: 2}), NUMBERS)
    np.testing.assert_array_equal(numbers(saved("b.png", Image.fromarray(DISC))), DISC)


def test_background_may_be_another_number_than_0(saved):
    path = saved("a.png", NUMBERS + np.uint8(1))
    np.testing.assert_array_equal(numbers(path, values={1: 0, 2: 1, 3: 2}), NUMBERS)


@pytest.mark.parametrize(
    ("content", "values", "message"),
    [
        (NUMBERS + np.uint8(1), {}, "holds 3, which is no class; known: 0, 1, 2"),
        (NUMBERS * np.uint8(100), {100: 1}, "holds 200, which is no class; known: 0, 100"),
        (NUMBERS.astype(np.uint16) * 421, {421: 1}, "holds 842, which is no class; known: 0, 421"),
        (NUMBERS.astype(np.float32) / 2, {}, r"holds 0\.5, which is no class"),
        (np.where(NUMBERS > 0, np.nan, 0).astype(np.float32), {}, "holds nan, which is no class"),
        (-NUMBERS.astype(np.int32), {}, "holds -2, -1, which is no class"),
        ((X * 2).astype(np.uint8), {}, r"holds 4, 6, 8, .*\.\.\., which"),
    ],
)
def test_a_number_that_the_card_lacks_is_named(saved, content, values, message):
    path = saved("a.tif", content)
    with pytest.raises(BenchError, match=message) as error:
        numbers(path, values=values)
    assert str(error.value).startswith(f"{path}: ")
    assert "correct the task's card, or the file" in str(error.value)


def test_jpeg_cannot_keep_numbers(saved):
    with pytest.raises(BenchError, match=r"no class; .*JPEG cannot keep numbers"):
        numbers(saved("a.jpg", DISC * np.uint8(100)), values={100: 1})


# ------------------------------------------------------------------------------------------- palettes and colours


def test_a_palette_of_colours_is_read_by_its_indices_and_one_of_greys_by_these(saved):
    for name in ("a.png", "a.gif"):
        np.testing.assert_array_equal(numbers(saved(name, palette(NUMBERS, VOC))), NUMBERS)
        one = np.minimum(NUMBERS, 1)
        np.testing.assert_array_equal(white(saved(name, palette(one, VOC))), one == 1)
        greys = palette(NUMBERS, [255] * 3 + [0] * 3 + [255] * 3)
        np.testing.assert_array_equal(white(saved(name, greys)), NUMBERS != 1)
        np.testing.assert_array_equal(numbers(saved(name, greys), values={255: 1}), NUMBERS != 1)
    with pytest.raises(BenchError, match="has grey: 0, 1, 2"):  # a map of two structures for a mask
        white(saved("a.png", palette(NUMBERS, VOC)))


def test_a_palette_in_which_0_is_no_black_is_a_picture(saved):
    """Tools that turn colours to a palette number them as they come."""
    turned = palette(2 - NUMBERS, [*VOC[6:], *VOC[3:6], *VOC[:3]])
    for read in (white, numbers):
        with pytest.raises(BenchError, match="has colours"):
            read(saved("a.png", turned))


def test_colours_are_refused_and_their_traces_in_masks_are_not(saved):
    red = np.zeros((90, 120, 3), np.uint8)
    red[DISC, 0] = 255
    for read in (white, numbers):
        with pytest.raises(BenchError) as error:
            read(path := saved("a.png", red))
        said = f"{path}: has colours, and truth is told by one value a pixel; save it as a PNG in grey"
        assert str(error.value) == said
    tinted = np.where(DISC[:, :, None], (255, 250, 245), (0, 6, 9)).astype(np.uint8)
    np.testing.assert_array_equal(white(saved("a.png", tinted)), DISC)
    with pytest.raises(BenchError, match="has colours"):
        numbers(saved("a.png", tinted))
    cmyk = Image.fromarray(np.repeat(DISC[:, :, None] * np.uint8(255), 3, 2)).convert("CMYK")
    np.testing.assert_array_equal(white(saved("a.tif", cmyk)), DISC)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_must_be_opaque(saved, mode):
    image = Image.fromarray(DISC * np.uint8(255)).convert(mode)
    np.testing.assert_array_equal(white(saved("a.png", image)), DISC)
    image.putalpha(Image.fromarray(np.where(X == 0, 254, 255).astype(np.uint8)))
    for read in (white, numbers):
        with pytest.raises(BenchError, match=r"a\.png: is transparent in places.*; save it without alpha"):
            read(saved("a.png", image))


def test_a_level_or_index_declared_transparent_is_transparent(saved):
    with pytest.raises(BenchError, match="is transparent"):
        white(saved("a.png", DISC * np.uint8(255), transparency=0))
    greys = palette(DISC.astype(np.uint8), [0] * 3 + [255] * 3)
    for transparency in (0, bytes([0, 255])):
        with pytest.raises(BenchError, match="is transparent"):
            white(saved("a.png", greys, transparency=transparency))
    # The index tells the class, whether it is seen or not.
    np.testing.assert_array_equal(numbers(saved("a.png", palette(NUMBERS, VOC), transparency=0)), NUMBERS)


# ------------------------------------------------------------------------------------------- several masks


def test_a_later_mask_lies_over_an_earlier_one(saved, tmp_path):
    left, right = saved("l.png", (X < 80) * np.uint8(255)), saved("r.png", (X >= 40) * np.uint8(255))
    shape = DISC.shape
    truth = read_truth([Mask(left, 1), Mask(right, 2)], shape, 3, {})
    np.testing.assert_array_equal(truth, np.where(X >= 40, 2, 1))
    truth = read_truth([Mask(right, 2), Mask(left, 1)], shape, 3, {})
    np.testing.assert_array_equal(truth, np.where(X < 80, 1, 2))
    union = read_truth([Mask(left, 1), Mask(right, 1)], shape, 3, {})
    assert (union == 1).all()
    over = read_truth([Mask(left, 1), Mask(saved("m.png", NUMBERS))], shape, 3, {})  # what it does not cover stays
    np.testing.assert_array_equal(over, np.maximum(NUMBERS, X < 80))
    assert not read_truth([], shape, 3, {}).any()


def test_a_field_of_view_is_white_and_never_all_black(saved):
    np.testing.assert_array_equal(read_region(saved("a.gif", DISC * np.uint8(255)), DISC.shape), DISC)
    with pytest.raises(BenchError, match=r"b\.gif: is black all over"):
        read_region(saved("b.gif", np.zeros((90, 120), np.uint8)), DISC.shape)


# ------------------------------------------------------------------------------------------- hostile files


def test_another_size_than_the_images_is_refused(saved):
    path = saved("a.png", DISC * np.uint8(255))
    for shape in ((120, 90), (45, 60), (180, 240), (90, 121)):
        for read in (white, lambda p, s: numbers(p, shape=s), read_region):
            with pytest.raises(BenchError) as error:
                read(path, shape)
            said = f"{path}: has 120 x 90 pixels, its image {shape[1]} x {shape[0]}; was one of them resized or turned?"
            assert said in str(error.value)


def test_an_orientation_in_exif_is_ignored_as_in_images(saved):
    exif = Image.Exif()
    exif[0x0112] = 6
    np.testing.assert_array_equal(white(saved("a.png", DISC * np.uint8(255), exif=exif)), DISC)


def test_files_that_cannot_be_decoded_are_refused(tmp_path, saved):
    frames = [Image.fromarray(NUMBERS), Image.fromarray(2 - NUMBERS)]
    two = saved("two.gif", frames[0], save_all=True, append_images=frames[1:])
    whole = saved("whole.png", NUMBERS).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "page.png").write_text("<html>")
    os.mkfifo(tmp_path / "pipe.png")
    reasons = {
        "two.gif": "must hold one picture, this one holds 2",
        "cut.png": "cannot be decoded",
        "empty.png": "0 bytes",
        "page.png": "not that of an image",
        "pipe.png": "regular file",
        "none.png": "No such file",
    }
    assert two.name in reasons
    for name, reason in reasons.items():
        for read in (white, numbers):
            with pytest.raises(BenchError) as error:
                read(tmp_path / name)
            assert str(tmp_path / name) in str(error.value)
            assert reason in str(error.value)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.bmp"
    path.write_bytes(
        b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 8, *[0] * 6)
    )
    with pytest.raises(BenchError, match="100 megapixels"):
        white(path)


def test_random_damage_gives_a_mask_or_a_bench_error(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "damaged.png"
    for form in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"):
        buffer = io.BytesIO()
        Image.fromarray(DISC * np.uint8(255)).save(buffer, form)
        for _ in range(25):
            damaged = bytearray(buffer.getvalue())
            for place in rng.integers(0, min(120, len(damaged)), 4):
                damaged[place] = rng.integers(256)
            path.write_bytes(damaged)
            for read in (white, numbers):
                with suppress(BenchError):
                    assert read(path).shape == (90, 120)
