"""Volumes as 2D images of 8 bits: NIfTI, MetaImage (MHA, MHD), and stacks of images in HDF5.

A volume is windowed as a whole, so that its slices stay comparable: its 0.5th percentile becomes 0 and its 99.5th 255.
CT in Hounsfield units is windowed likewise, since one rule for all of what a corpus mixes cannot know the organ that a
fixed window would be for. Volumes are neither reoriented nor resampled (as LVM-Med's authors sliced them): the rows of
a slice run along the lower of its two axes. Of four dimensions the last counts volumes (time, or channels), and each
of these is windowed and sliced on its own.

A slice is empty if all but 2 % of its pixels, half of them brighter and half darker, lie within 12 grey levels, 5 % of
the window. That leaves out padding and air, but also air with noise in it, and slices that touch the body with less
than 1 % of their pixels; a rule on the darkest and brightest pixel would keep these.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num, UInt8

from bench.errors import BenchError, missing_package

WINDOW = (0.5, 99.5)  # percentiles
LEVELS = 12  # grey levels that an empty slice stays within
FAR = 0.01  # share of pixels that may lie beyond, on either side
MAX_VOXELS = 500_000_000  # of a volume, which is held in memory: a CT of 1900 slices of 512 x 512
NIFTI = (".nii", ".nii.gz")
METAIMAGE = (".mha", ".mhd")
ENDINGS = (*NIFTI, *METAIMAGE)
HDF5 = (".h5", ".hdf5", ".hdf")


class Frame(NamedTuple):
    """An image of its own in a file that may hold many; `slice` is its number there, -1 for a picture."""

    path: str  # relative to the folder of the source
    slice: int
    pixels: UInt8[np.ndarray, "..."]  # h w, or h w 3


class Refusal(NamedTuple):
    """What was left out, and why."""

    path: str
    reason: str


def require_packages(paths: Sequence[str]) -> None:
    """Raise BenchError if the package that reads some of these files is not installed."""
    for package, endings in (("SimpleITK", METAIMAGE), ("h5py", HDF5)):
        if not find_spec(package) and (path := next((p for p in paths if p.lower().endswith(endings)), None)):
            raise missing_package(package, needed_by=f"reading {path}")


def read_slices(folder: Path, path: str, axis: int) -> Iterator[Frame]:
    """The slices of the volume `folder / path` along `axis` (0 to 2 of the array as stored), windowed to 8 bits.

    Raises BenchError for a volume that cannot be read, has another number of dimensions or values that are no numbers.
    """
    if not (folder / path).stat().st_size:
        raise BenchError("a volume cannot be empty, this file has 0 bytes")
    stored = _read_nifti(folder / path) if path.lower().endswith(NIFTI) else _read_metaimage(folder / path)
    while stored.ndim > 3 and stored.shape[-1] == 1:
        stored = stored[..., 0]
    if stored.ndim == 2:  # one picture in a format for volumes
        stored, axis = stored[:, :, None], 2
    if stored.ndim not in (3, 4) or stored.dtype.kind not in "uif":
        raise BenchError(f"needs 3 or 4 dimensions of plain numbers, has {stored.shape} of {stored.dtype}")
    volumes = np.moveaxis(stored, 3, 0) if stored.ndim == 4 else stored[None]
    number = 0
    for volume in volumes:
        low, high = window([volume])
        for image in np.moveaxis(volume, axis, 0):
            yield Frame(path, number, to_bytes(image, low, high))
            number += 1


def count_slices(path: Path, axis: int) -> int:
    """How many slices the header of a volume promises; 0 if it cannot be read."""
    if not path.stat().st_size:  # MetaIO would tell standard error of it
        return 0
    try:
        shape = _shape_nifti(path) if path.name.lower().endswith(NIFTI) else _shape_metaimage(path)
    except Exception:  # the file is refused when it is read
        return 0
    return int(np.prod(shape[3:], dtype=np.int64)) * shape[axis] if len(shape) >= 3 else 1


# ------------------------------------------------------------------------------------------------- 8 bits


def window(parts: Sequence[Num[np.ndarray, "..."]]) -> tuple[float, float]:
    """The 0.5th and 99.5th percentile of all values in `parts`; minimum and maximum where those two are the same.

    Raises BenchError for values that are infinite or no numbers.
    """
    if not all(np.isfinite(part).all() for part in parts):
        raise BenchError("it holds values that are infinite or no numbers")
    values = parts[0].ravel() if len(parts) == 1 else np.concatenate([part.ravel() for part in parts])
    if values.size == 0:
        raise BenchError("it holds no values")
    low, high = (float(value) for value in np.percentile(values, WINDOW))
    return (low, high) if low < high else (float(values.min()), float(values.max()))


def to_bytes(values: Num[np.ndarray, "..."], low: float, high: float) -> UInt8[np.ndarray, "..."]:
    """`values` with `low` at 0 and `high` at 255, rounded; what lies beyond is clipped."""
    share = (np.clip(values.astype(np.float64), low, high) - low) / ((high - low) or 1.0)
    return np.rint(share * 255).astype(np.uint8)


def is_empty(pixels: UInt8[np.ndarray, "..."]) -> bool:
    """Whether all but the darkest and brightest 1 % of the pixels lie within 12 grey levels."""
    shares = np.cumsum(np.bincount(pixels.ravel(), minlength=256)) / pixels.size
    darkest, brightest = np.searchsorted(shares, (FAR, 1 - FAR))
    return bool(brightest - darkest <= LEVELS)


# ------------------------------------------------------------------------------------------------ formats


def _shape_nifti(path: Path) -> tuple[int, ...]:
    import nibabel

    shape: tuple[int, ...] = nibabel.load(path).shape  # type: ignore[attr-defined]
    return shape


def _read_nifti(path: Path) -> Num[np.ndarray, "..."]:
    import nibabel

    image: Any = nibabel.load(path)
    require_size(image.shape)
    return np.asanyarray(image.dataobj)


def _shape_metaimage(path: Path) -> tuple[int, ...]:
    return tuple(_metaimage(path).GetSize())


def _read_metaimage(path: Path) -> Num[np.ndarray, "..."]:
    """The array with its axes in the order of the file (x first), as nibabel has them."""
    reader = _metaimage(path)
    require_size(reader.GetSize())
    if reader.GetNumberOfComponents() != 1:
        raise BenchError(f"holds {reader.GetNumberOfComponents()} values a voxel, where one can be windowed")
    import SimpleITK

    return np.asarray(SimpleITK.GetArrayFromImage(reader.Execute())).T


def _metaimage(path: Path) -> Any:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # else ITK writes to standard error, past Python
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def require_size(shape: Sequence[int]) -> None:
    """Raise BenchError for more voxels than may be held in memory."""
    voxels = int(np.prod(shape, dtype=np.float64))
    if voxels > MAX_VOXELS:
        raise BenchError(f"a volume may have {MAX_VOXELS // 10**6} million voxels, its header says {voxels // 10**6}")


# --------------------------------------------------------------------------------------------------- HDF5


class Stack(NamedTuple):
    """An array of images in an HDF5 file."""

    name: str
    images: int
    bytes_each: int


def find_stack(path: Path, name: str) -> Stack:
    """The array `name` of an HDF5 file, or the only one that can hold images; (n, h, w), (n, h, w, 1) or (n, h, w, 3).

    Raises BenchError if there is none of that name or form, or more than one to choose from.
    """
    with _hdf5(path) as file:
        found: dict[str, Any] = {}
        file.visititems(lambda key, item: found.__setitem__(key, item) if hasattr(item, "shape") else None)
        fitting = [key for key, array in found.items() if _is_stack(array)]
        if name not in fitting and (name or len(fitting) != 1):
            shapes = ", ".join(f"`{key}` {array.shape}" for key, array in found.items()) or "none"
            wanted = f"no array `{name}` of images" if name else "not exactly one array of images; name it in `dataset`"
            raise BenchError(f"holds {wanted}, which are (n, h, w) or (n, h, w, 3); arrays: {shapes}")
        array = found[name or fitting[0]]
        each = int(np.prod(array.shape[1:])) * array.dtype.itemsize
        return Stack(name or fitting[0], array.shape[0], each)


def read_stack(folder: Path, path: str, name: str, rows: Sequence[int]) -> Iterator[Frame | Refusal]:
    """The images `rows` (ascending) of an array in HDF5; others are not kept in memory, and few of them read.

    Values of 8 bits are taken as they are, others windowed image by image.
    """
    with _hdf5(folder / path) as file:
        first = rows[0]
        try:
            block: Any = np.asarray(file[name][first : rows[-1] + 1])
        except OSError:  # some row is damaged: the others can still be read, one by one
            first, block = 0, file[name]
        for row in rows:
            try:
                yield Frame(path, row, _row(np.asarray(block[row - first])))
            except (OSError, BenchError) as error:
                yield Refusal(f"{path}#{row}", " ".join(str(error).split()))


def _row(pixels: Num[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    grey = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return grey if grey.dtype == np.uint8 else to_bytes(grey, *window([grey]))


def _is_stack(array: Any) -> bool:
    shape = array.shape
    grey = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    return bool(grey and shape[0] and min(shape[1:3]) > 1 and array.dtype.kind in "uif")


def _hdf5(path: Path) -> Any:
    import h5py

    return h5py.File(path, "r")
