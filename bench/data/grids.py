"""Volumes and their truth on the grid that they are stored on, for segmentation: NIfTI, one volume a file.

As in `bench.data.volumes`, a volume is windowed to 8 bits as a whole and neither reoriented nor resampled: slices are
counted along one axis of the array as stored, and the other two keep their order, so that rows run along the lower one.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num, UInt8

from bench.data.volumes import NIFTI, require_size, to_bytes, window
from bench.errors import BenchError

SHIFT = 1e-3  # that affines of one grid may differ by: headers keep them in 32 bits
REST = 1e-3  # that labels may be off whole numbers by: a slope in a header leaves such rests
MILLIMETRE = 2  # NIfTI-1's code, in the lower three bits of xyzt_units
MEND = "download the file again, convert it, or remove its case"


class Grid(NamedTuple):
    """A volume of grey values, and the size of a voxel."""

    values: UInt8[np.ndarray, "n h w"]
    spacing: tuple[float, float, float] | None  # mm along n, h, w; None: the header does not say


def read_volume(path: Path, axis: int) -> Grid:
    """The slices of a volume along `axis` (0 to 2 of the array as stored), and its spacing.

    The spacing is the header's, and known only where that says that its unit is mm. Raises BenchError, naming the file,
    for one that cannot be read, is no single volume, is too large, or holds values that are no numbers.
    """
    with _naming(path):
        image = _open(path)
        stored = _read(image)
        low, high = window([stored])
        values = np.stack([to_bytes(part, low, high) for part in np.moveaxis(stored, axis, 0)])
        return Grid(values, _spacing(path, type(image.header), axis))


def read_labels(
    path: Path, grid_of: Path, shape: tuple[int, int, int], axis: int, classes: int, values: Mapping[int, int]
) -> UInt8[np.ndarray, "n h w"]:
    """Class numbers of the voxels of the image `grid_of`, which has `shape` (n, h, w) when sliced along `axis`.

    `values` gives the class of each stored value, where 0 is the background if it is not named; with none, the values
    are the classes, 0 to `classes` - 1. Raises BenchError, naming the file, where `read_volume` does, for another grid
    than the image's, and for a value that is not whole or has no class.
    """
    with _naming(grid_of):
        affine = _open(grid_of).affine
    with _naming(path):
        image = _open(path)
        _require_grid(image, axis, shape, affine, grid_of)
        known = {0: 0, **values} if values else {number: number for number in range(classes)}
        stored = _read(image)
        if not np.isfinite(stored).all():
            raise BenchError("it holds values that are infinite or no numbers")
        return np.stack([_numbered(part, known) for part in np.moveaxis(stored, axis, 0)])


def _numbered(labels: Num[np.ndarray, "h w"], known: Mapping[int, int]) -> UInt8[np.ndarray, "h w"]:
    """The class of each stored value. Raises BenchError with the first that is not whole or has none."""
    given = labels.astype(np.float64)
    whole = np.rint(given)
    if (odd := given[np.abs(given - whole) > REST]).size:
        raise BenchError(f"labels are whole numbers, it holds {odd[0]:g}")
    stored = np.array(sorted(known))
    place = np.searchsorted(stored, whole).clip(max=len(stored) - 1)
    if (stray := whole[stored[place] != whole]).size:
        listed = ", ".join(str(value) for value in stored)
        raise BenchError(f"it holds the value {int(stray[0])}, which is no class; known are {listed}")
    classes: UInt8[np.ndarray, "h w"] = np.array([known[int(value)] for value in stored], np.uint8)[place]
    return classes


def _require_grid(
    image: Any, axis: int, shape: tuple[int, int, int], affine: Num[np.ndarray, "4 4"], grid_of: Path
) -> None:
    own = list(_shape(image))
    if (sliced := (own.pop(axis), *own)) != shape:
        raise BenchError(f"truth lies on the grid of its image, it has {sliced} voxels and {grid_of} {shape}")
    if not (np.abs(image.affine - affine) <= SHIFT).all():  # whatever is no number is refused too
        raise BenchError(
            f"truth lies on the grid of its image, its affine in the header is another than that of {grid_of}; "
            "where they do lie on one grid, copy the header of the image"
        )


# ---------------------------------------------------------------------------------------------------- NIfTI


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Whatever is raised inside, as a BenchError that names the file and how to mend it."""
    try:
        yield
    except BenchError as error:
        raise BenchError(f"{path}: {error}; {MEND}") from error
    except Exception as error:  # a reader that is fed hostile bytes raises whatever it likes
        told = " ".join(str(error).split()) or type(error).__name__
        raise BenchError(f"{path}: cannot be read as a volume: {told}; {MEND}") from error


def _open(path: Path) -> Any:
    """A NIfTI file of which only the header is read."""
    import nibabel

    if not path.name.lower().endswith(NIFTI):
        raise BenchError(f"volumes to segment are NIfTI ({', '.join(NIFTI)})")
    if not path.is_file():
        raise BenchError("no such file" if not path.exists() else "a volume must be a regular file")
    if not path.stat().st_size:
        raise BenchError("a volume cannot be empty, this file has 0 bytes")
    image: Any = nibabel.load(path)
    if len(shape := _shape(image)) != 3 or min(shape) < 1:
        several = "; to choose one of several volumes or channels is not supported, write one volume a file"
        raise BenchError(f"needs 3 dimensions, has {image.shape}{several if len(shape) > 3 else ''}")
    require_size(shape)
    return image


def _shape(image: Any) -> tuple[int, ...]:
    """Voxels along each axis, without the last axes that have one."""
    shape: tuple[int, ...] = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _read(image: Any) -> Num[np.ndarray, "x y z"]:
    stored: Num[np.ndarray, "x y z"] = np.asanyarray(image.dataobj).reshape(_shape(image))
    if stored.dtype.kind not in "uif":
        raise BenchError(f"a voxel holds one plain number, these are {stored.dtype}")
    return stored


def _spacing(path: Path, kind: Any, axis: int) -> tuple[float, float, float] | None:
    """Millimetres along n, h and w, from the header as it is stored: nibabel would write 1 for 0, and drop a sign."""
    from nibabel.openers import ImageOpener

    with ImageOpener(str(path)) as file:
        header = kind.from_fileobj(file, check=False)
    rows, columns = (one for one in range(3) if one != axis)
    across, down, right = (float(header["pixdim"][1 + one]) for one in (axis, rows, columns))
    known = int(header["xyzt_units"]) & 7 == MILLIMETRE
    return (across, down, right) if known and all(0 < size < math.inf for size in (across, down, right)) else None
