"""Reads an image file, whatever its extension says, as 8-bit RGB. Until it is read, a file is hostile input.

An EXIF orientation is ignored: masks and boxes of medical sets are drawn on the raster as stored. (A TIFF's own
orientation tag is part of its raster, and is applied.)
"""

import stat
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError

from bench.errors import BenchError

VERSION = 1  # to be raised when any image would come out with other pixels: cached images are then decoded anew
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP")
MAX_PIXELS = 100_000_000
MEND = "download the file again, convert it to PNG, or remove it"

# Pillow warns of a decompression bomb where it should refuse, and from less than our limit on. Both are set once, for
# the process, because catching a warning for one call is not safe in the threads that decode.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a PNG, JPEG, WebP, TIFF, GIF or BMP file with one picture in it, as RGB in [0, 255].

    Transparency is laid on black. Grey values of 16 or 32 bits or in floating point are windowed to 8 bits from the
    image's own minimum (0) to its maximum (255), so that they are comparable within an image and not between images;
    colours of 16 bits keep their upper 8. Raises BenchError for anything else.
    """
    _require_content(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            pixels, pictures = image.width * image.height, getattr(image, "n_frames", 1)
            if pixels <= MAX_PIXELS and pictures == 1:
                return _rgb(image)
    except UnidentifiedImageError as error:
        raise _refused(path, f"its content is not that of an image; {', '.join(FORMATS)} can be read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _refused(path, f"an image may have {MAX_PIXELS // 10**6} megapixels, this one has more") from error
    except Exception as error:  # a decoder that is fed hostile bytes raises whatever it likes
        raise _refused(path, f"cannot be decoded: {error or type(error).__name__}") from error
    if pictures != 1:
        raise _refused(path, f"an image file must hold one picture, this one holds {pictures}")
    raise _refused(path, f"an image may have {MAX_PIXELS // 10**6} megapixels, this one has {pixels / 10**6:.0f}")


def read_resized(path: Path, size: int) -> UInt8[np.ndarray, "3 {size} {size}"]:
    """`read_image`, resized to a square of `size` pixels: bilinear, antialiased, aspect not kept (LVM-Med's rule)."""
    image = Image.fromarray(read_image(path)).resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.moveaxis(np.asarray(image), 2, 0))


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
        return np.repeat(_windowed(np.asarray(image, np.float64))[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _windowed(values: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    low, high = values.min(), values.max()
    if not np.isfinite(high - low):
        raise ValueError("it holds values that are infinite or no numbers")
    scaled: UInt8[np.ndarray, "h w"] = np.rint((values - low) * (255 / (high - low or 1))).astype(np.uint8)
    return scaled


def _refused(path: Path, reason: str) -> BenchError:
    return BenchError(f"{path}: {reason}; {MEND}")
