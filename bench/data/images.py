"""Reads an image file, whatever its extension says, as 8-bit RGB. Until it is read, a file is hostile input.

An EXIF orientation is ignored: masks and boxes of medical sets are drawn on the raster as stored. (A TIFF's own
orientation tag is part of its raster, and is applied.)
"""

import math
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError

from bench.data.folders import DICOM
from bench.errors import BenchError

VERSION = 1  # to be raised when any image would come out with other pixels: cached images are then decoded anew
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
MAX_PIXELS = 100_000_000
MEND = "download the file again, convert it to PNG, or remove it"
RAW = ".img"
AIR = 4095  # what a raw radiograph has where nothing was in the beam; 0 is the darkest of its 12 bits
SCANNED, DRAWN = 2048, 1024  # pixels a side, of JSRT's radiographs and of SCR's masks of them

T = TypeVar("T")

# Pillow warns of a decompression bomb where it should refuse, and from less than our limit on. Both are set once, for
# the process, because catching a warning for one call is not safe in the threads that decode.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a PNG, JPEG, WebP, TIFF, GIF or BMP file with one picture in it, as RGB in [0, 255].

    Transparency is laid on black. Grey values of 16 or 32 bits or in floating point are windowed to 8 bits from the
    image's own minimum (0) to its maximum (255), so that they are comparable within an image and not between images;
    colours of 16 bits keep their upper 8. Raises BenchError for anything else.

    A file that ends in .img is a raw radiograph of JSRT: no header, a square of big-endian 16-bit words with 12 bits
    used, where air is high. It is inverted, so that air is dark as in other radiographs, and windowed in the same way.
    The official 2048 x 2048 pixels are averaged two by two, to the grid on which SCR's masks of them are drawn.

    A file that ends in .dcm or .dicom holds one image of DICOM, windowed as `bench.data.dicom` has it.
    """
    if path.suffix.lower() in DICOM:
        return _dicom(path)
    return _grey(_raw(path)) if path.suffix.lower() == RAW else decode(path, _rgb)


def decode(path: Path, read: Callable[[Image.Image], T]) -> T:
    """What `read` makes of the one picture in a file. Raises BenchError for files that cannot be decoded."""
    _require_content(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            pixels, pictures = image.width * image.height, getattr(image, "n_frames", 1)
            if pixels <= MAX_PIXELS and pictures == 1:
                return read(image)
    except BenchError:
        raise
    except UnidentifiedImageError as error:
        raise _refused(path, f"its content is not that of an image; {', '.join(FORMATS)} can be read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _refused(path, f"an image may have {MAX_PIXELS // 10**6} megapixels, this one has more") from error
    except Exception as error:  # a decoder that is fed hostile bytes raises whatever it likes
        raise _refused(path, f"cannot be decoded: {error or type(error).__name__}") from error
    if pictures != 1:
        raise _refused(path, f"an image file must hold one picture, this one holds {pictures}")
    raise _refused(path, f"an image may have {MAX_PIXELS // 10**6} megapixels, this one has {pixels / 10**6:.0f}")


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of an image as `read_image` gives it, from its header. Raises BenchError as that does."""
    if path.suffix.lower() == RAW:
        return read_image(path).shape[:2]
    if path.suffix.lower() in DICOM:
        from bench.data.dicom import read_size as of_dicom

        return _attempt(path, of_dicom)
    return decode(path, lambda image: (image.height, image.width))


def read_resized(path: Path, size: int) -> UInt8[np.ndarray, "3 {size} {size}"]:
    """`read_image`, resized to a square of `size` pixels: bilinear, antialiased, aspect not kept (LVM-Med's rule)."""
    image = Image.fromarray(read_image(path)).resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.moveaxis(np.asarray(image), 2, 0))


def _dicom(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    from bench.data.dicom import read_picture

    pixels = _attempt(path, read_picture)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def _attempt(path: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of a file. Raises BenchError whatever goes wrong."""
    _require_content(path)
    try:
        return read(path)
    except Exception as error:  # a parser that is fed hostile bytes raises whatever it likes
        raise _refused(path, str(error) or type(error).__name__) from error


def _require_content(path: Path) -> None:
    """Refuse what cannot be opened or would block when read, such as a pipe."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise _refused(path, f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "an image must be a regular file, this is a folder, a pipe or a device")
    if status.st_size == 0:
        raise _refused(path, "an image cannot be empty, this file has 0 bytes")


def _rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _grey(np.asarray(image, np.float64))
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _raw(path: Path) -> Float[np.ndarray, "h w"]:
    """The density of a raw radiograph, 0 for air, on the grid that it is read at."""
    _require_content(path)
    size = path.stat().st_size
    side = math.isqrt(size // 2)
    if 2 * side * side != size or side * side > MAX_PIXELS:
        rule = "a raw radiograph is a square of 16-bit words (2048 x 2048 as published)"
        raise _refused(path, f"{rule}, and {size} bytes are none", "download the file again or remove it")
    try:
        words = np.fromfile(path, ">u2", side * side).reshape(side, side)
    except (OSError, ValueError) as error:
        raise _refused(path, f"cannot be read: {error}") from error
    if words.max() > AIR:
        reason = f"a raw radiograph has 12 bits, high byte first, and so no value of {words.max()}"
        raise _refused(path, reason, "is it another kind of .img file? Convert it to PNG or remove it")
    density = AIR - words.astype(np.float64)
    return density if side != SCANNED else density.reshape(DRAWN, 2, DRAWN, 2).mean(axis=(1, 3))


def _grey(values: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.repeat(_windowed(values)[:, :, None], 3, axis=2)


def _windowed(values: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    low, high = values.min(), values.max()
    if not np.isfinite(high - low):
        raise ValueError("it holds values that are infinite or no numbers")
    scaled: UInt8[np.ndarray, "h w"] = np.rint((values - low) * (255 / (high - low or 1))).astype(np.uint8)
    return scaled


def _refused(path: Path, reason: str, mend: str = MEND) -> BenchError:
    return BenchError(f"{path}: {reason}; {mend}")
