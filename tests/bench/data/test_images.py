"""Reading image files: every format and mode that data sets come in, and everything hostile that does."""

import io
import os
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from bench.data.images import MAX_PIXELS, read_image, read_resized, read_size
from bench.data.scenes import write
from bench.errors import BenchError

COLOURS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def smooth():
    return Image.fromarray(COLOURS).resize((60, 40), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_are_read_exactly_and_by_content(tmp_path, form):
    path = tmp_path / "image.jpg"  # whatever it claims to be
    path.write_bytes(encoded(Image.fromarray(COLOURS), form, **({"lossless": True} if form == "WEBP" else {})))
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, COLOURS)


def test_jpeg_and_cmyk_are_close(tmp_path):
    for name, image in (("rgb", smooth()), ("cmyk", smooth().convert("CMYK"))):
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(encoded(image, "JPEG", quality=98, subsampling=0))
        assert np.abs(read_image(path).astype(int) - np.asarray(smooth())).mean() < 3


def test_palette_one_bit_and_grey_become_rgb(tmp_path):
    grey = Image.fromarray(COLOURS[:, :, 0])
    cases = {
        "palette.gif": smooth().convert("P", palette=Image.Palette.ADAPTIVE),
        "palette.png": smooth().convert("P", palette=Image.Palette.ADAPTIVE),
        "bit.png": grey.convert("1"),
        "bit.tif": grey.convert("1"),
        "grey.png": grey,
    }
    for name, image in cases.items():
        image.save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name), np.asarray(image.convert("RGB")), err_msg=name)
    assert set(np.unique(read_image(tmp_path / "bit.png"))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_transparency_is_laid_on_black(tmp_path, mode):
    alpha = np.full((4, 6), 255, np.uint8)
    alpha[:, :2], alpha[:, 2:4] = 0, 128
    if mode in {"RGBA", "LA"}:
        image = Image.merge("RGBA", [*[Image.new("L", (6, 4), 200)] * 3, Image.fromarray(alpha)]).convert(mode)
        image.save(tmp_path / "a.png")
        expected = (0, 100, 200)
    elif mode == "P":  # transparency as a table of bytes, of which Pillow warns when it is asked for RGB
        image = Image.new("P", (6, 4))
        image.putdata((alpha.ravel() // 127).tolist())
        image.putpalette([200] * 9)
        image.save(tmp_path / "a.png", transparency=bytes([0, 128, 255]))
        expected = (0, 100, 200)
    else:  # one grey level declared transparent
        levels = np.full((4, 6), 200, np.uint8)
        levels[:, :2] = 50
        Image.fromarray(levels).save(tmp_path / "a.png", transparency=50)
        expected = (0, 200, 200)
    pixels = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(pixels[0, ::2, 0], expected, atol=1)


@pytest.mark.parametrize(
    ("dtype", "extension"), [("u2", "png"), ("u2", "tif"), (">u2", "tif"), ("i4", "tif"), ("f4", "tif")]
)
def test_deep_grey_is_windowed_to_its_own_range(tmp_path, dtype, extension):
    values = np.linspace(1000, 3000, 24).reshape(4, 6).astype(dtype)
    path = tmp_path / f"deep.{extension}"
    Image.fromarray(values).save(path)
    pixels = read_image(path)
    expected = np.rint((values.astype(float) - values.min()) / (values.max() - float(values.min())) * 255)
    for channel in range(3):
        np.testing.assert_allclose(pixels[:, :, channel], expected, atol=1)
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_deep_grey_that_is_constant_is_black_and_not_a_number_is_refused(tmp_path):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.full((3, 3), 700, np.uint16)).save(path)
    assert not read_image(path).any()
    Image.fromarray(np.array([[0, np.nan], [1, 2]], np.float32)).save(path)
    with pytest.raises(BenchError, match=r"deep\.tif.*no numbers"):
        read_image(path)


def test_exif_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    for extension in ("png", "jpg", "webp"):
        path = tmp_path / f"turned.{extension}"
        smooth().save(path, exif=exif)
        assert read_image(path).shape == (40, 60, 3)


@pytest.mark.parametrize(("form", "name"), [("GIF", "a.gif"), ("TIFF", "a.tif"), ("PNG", "a.png"), ("WEBP", "a.webp")])
def test_several_pictures_are_refused(tmp_path, form, name):
    frames = [Image.fromarray(COLOURS), Image.fromarray(COLOURS[::-1].copy())]
    path = tmp_path / name
    path.write_bytes(encoded(frames[0], form, save_all=True, append_images=frames[1:]))
    with pytest.raises(BenchError, match="one picture, this one holds 2"):
        read_image(path)
    path.write_bytes(encoded(frames[0], form, save_all=True))
    assert read_image(path).shape == COLOURS.shape


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
def test_truncated_files_are_refused_wherever_they_end(tmp_path, form):
    whole = encoded(smooth(), form)
    path = tmp_path / "cut.png"
    for end in [*range(1, 60, 3), *(int(len(whole) * share) for share in (0.3, 0.6, 0.95))]:
        path.write_bytes(whole[:end])
        with pytest.raises(BenchError, match=r"cut\.png: .*; download the file again"):
            read_image(path)


def test_what_is_no_image_is_refused_with_the_reason(tmp_path):
    empty, page, folder, pipe = (tmp_path / n for n in ("empty.png", "page.jpg", "folder.png", "pipe.png"))
    empty.touch()
    page.write_text("<html>404 Not Found</html>")
    folder.mkdir()
    os.mkfifo(pipe)
    reasons = {
        empty: "0 bytes",
        page: "not that of an image; PNG, JPEG",
        folder: "regular file",
        pipe: "regular file",
        tmp_path / "none.png": "No such file",
    }
    for path, reason in reasons.items():
        with pytest.raises(BenchError) as error:
            read_image(path)
        assert str(path) in str(error.value)
        assert reason in str(error.value)
    Image.fromarray(COLOURS).save(tmp_path / "icon.png", "ICO")  # a format that Pillow knows and data sets do not use
    with pytest.raises(BenchError, match="can be read"):
        read_image(tmp_path / "icon.png")


def test_random_damage_gives_an_image_or_a_bench_error(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "damaged.png"
    for form in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"):
        whole = encoded(smooth(), form)
        for _ in range(30):
            damaged = bytearray(whole)
            for place in rng.integers(0, 120, 4):
                damaged[place] = rng.integers(256)
            path.write_bytes(damaged)
            with suppress(BenchError):
                assert read_image(path).shape[2] == 3


def png_of(width, height):
    """A PNG file that claims a size, and has next to nothing in it."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0")),
        (b"IEND", b""),
    ]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [10_001, 12_000, 20_000, 60_000])
def test_decompression_bombs_are_refused_before_they_are_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(side, side))
    with pytest.raises(BenchError, match="100 megapixels"):
        read_image(path)


def test_between_pillows_limit_and_ours_there_is_no_warning(tmp_path):
    path = tmp_path / "large.png"  # begins to be decoded, and then turns out to be cut short
    path.write_bytes(png_of(9_900, 9_900))
    assert 89_478_485 < 9_900**2 <= MAX_PIXELS
    with pytest.raises(BenchError, match=r"cannot be decoded: .*truncated"):
        read_image(path)


def test_resizing_is_to_a_square_bilinear_and_antialiased(tmp_path):
    path = tmp_path / "stripes.png"
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(path)
    small = read_resized(path, 16)
    assert small.shape == (3, 16, 16)
    assert small.flags.c_contiguous
    assert np.abs(small.astype(int) - 127).max() < 30  # sampled without antialiasing, it would be 0 or 255
    Image.fromarray(COLOURS).save(path)
    expected = Image.fromarray(COLOURS).resize((24, 24), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read_resized(path, 24), np.asarray(expected).transpose(2, 0, 1))


# ------------------------------------------------------------------------------------------- sizes, DICOM


def test_the_size_is_that_of_the_image_as_it_is_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: of a TIFF, it is a part of its raster
    for extension in ("png", "jpg", "webp", "tif", "gif", "bmp"):
        path = tmp_path / f"image.{extension}"
        smooth().save(path, **({} if extension in ("gif", "bmp") else {"exif": exif}))
        assert read_size(path) == read_image(path).shape[:2] == ((60, 40) if extension == "tif" else (40, 60))
    for name in ("image.IMG", "image.dicom"):
        write(tmp_path / name, COLOURS[:20, :20, :1])
        assert read_size(tmp_path / name) == read_image(tmp_path / name).shape[:2] == (20, 20)


@pytest.mark.parametrize("read", [read_image, read_size])
def test_what_is_no_dicom_is_refused_as_other_images_are(tmp_path, read):
    empty, text, folder = (tmp_path / f"{name}.dcm" for name in ("empty", "text", "folder"))
    empty.touch()
    text.write_text("not DICOM at all" * 40)
    folder.mkdir()
    for path, reason in ((empty, "0 bytes"), (text, ""), (folder, "regular file"), (tmp_path / "no.dcm", "No such")):
        with pytest.raises(BenchError, match=rf"{path.name}: .*{reason}.*; download the file again"):
            read(path)
    (tmp_path / "bomb.png").write_bytes(png_of(20_000, 20_000))
    with pytest.raises(BenchError, match="100 megapixels"):
        read(tmp_path / "bomb.png")


def test_dicom_is_read_by_its_ending_and_damage_gives_an_image_or_a_bench_error(tmp_path):
    values = np.linspace(0, 250, 600).reshape(20, 30, 1).astype(np.uint8)
    write(tmp_path / "a.dicom", values)
    whole, rng = (tmp_path / "a.dicom").read_bytes(), np.random.default_rng(0)
    (tmp_path / "a.DCM").write_bytes(whole)
    pixels = read_image(tmp_path / "a.DCM")
    assert pixels.shape == (20, 30, 3)
    assert np.abs(pixels[:, :, 0].astype(int) - values[:, :, 0] * (255 / 250)).max() < 4  # its brightest are cut
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole) - 1200, 6):
            damaged[place] = rng.integers(256)
        (tmp_path / "b.dcm").write_bytes(damaged)
        for read in (read_image, read_size):
            with suppress(BenchError):
                assert len(read(tmp_path / "b.dcm")) in (2, 20)
