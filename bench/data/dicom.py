"""DICOM as 2D images of 8 bits: files are grouped to series, sorted along the patient, and windowed series by series.

A radiograph is a series of one image. Grey values are rescaled to their unit (slope and intercept) and MONOCHROME1,
which shows low values bright, is inverted; colours are taken as they are. The window is that of `bench.data.volumes`.
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from bench.data.volumes import MAX_VOXELS, Frame, Refusal, to_bytes, window
from bench.errors import BenchError

NO_IMAGES = ("SEG", "RTDOSE")  # modalities of objects that have pixels and are no images
TAGS = [
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "NumberOfFrames", "Rows", "Columns"),
    *("ImagePositionPatient", "ImageOrientationPatient", "Modality"),
]


class Series(NamedTuple):
    """The files of a series, from one end of the patient to the other."""

    patient: str
    files: tuple[str, ...]
    images: int


class _Header(NamedTuple):
    patient: str
    series: str
    path: str
    position: float | None  # mm along the normal of the image
    number: int
    images: int
    size: tuple[int, int]  # height and width


def find_series(folder: Path, paths: Iterable[str]) -> tuple[list[Series], list[Refusal]]:
    """The series that the DICOM files `folder / path` make up, and the files that are none or hold no image.

    Only headers are read. A patient without an id is told by the study, failing that by the folder of the file.
    """
    found: dict[tuple[str, str], list[_Header]] = {}
    refused = []
    for path in paths:
        try:
            header = _read_header(folder, path)
        except Exception as error:  # a parser that is fed hostile bytes raises whatever it likes
            refused.append(Refusal(path, _said(error)))
        else:
            found.setdefault((header.patient, header.series), []).append(header)
    series = [_sorted(patient, headers) for (patient, _), headers in found.items()]
    return sorted(series, key=lambda one: min(one.files)), refused


def read_series(folder: Path, files: Iterable[str]) -> Iterator[Frame | Refusal]:
    """The images of a series in the order of `files`, numbered through; a file that cannot be decoded is left out."""
    decoded: list[tuple[str, np.ndarray[Any, Any]]] = []
    size = 0
    for path in files:
        try:
            images = _decode(folder / path)
        except Exception as error:
            yield Refusal(path, _said(error))
            continue
        decoded.extend((path, image) for image in images)
        size += images.size
        if size > MAX_VOXELS:
            raise BenchError(f"a series may have {MAX_VOXELS // 10**6} million pixels, this one has more")
    grey = [image for _, image in decoded if image.ndim == 2]
    low, high = window(grey) if grey else (0.0, 0.0)
    for number, (path, image) in enumerate(decoded):
        yield Frame(path, number, to_bytes(image, low, high) if image.ndim == 2 else image)


def read_picture(path: Path) -> UInt8[np.ndarray, "..."]:
    """The one image of a file, (h w) or (h w 3), windowed on its own. Raises BenchError where it has several."""
    header = _read_header(path.parent, path.name)  # first, since what is compressed may be any size
    if header.images != 1:
        raise BenchError(f"holds {header.images} images where one is wanted")
    if math.prod(header.size) > MAX_VOXELS:
        raise BenchError(f"an image may have {MAX_VOXELS // 10**6} million pixels, this one has more")
    (image,) = _decode(path)
    return to_bytes(image, *window([image])) if image.ndim == 2 else image


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of the images of a file, from its header. Raises BenchError where it holds none."""
    return _read_header(path.parent, path.name).size


def _read_header(folder: Path, path: str) -> _Header:
    import pydicom

    header = pydicom.dcmread(folder / path, stop_before_pixels=True, specific_tags=[*TAGS])
    modality = header.get("Modality", "")
    if modality in NO_IMAGES or not (header.get("Rows") and header.get("Columns")):
        raise BenchError(f"holds no image (modality {modality or 'not given'})")
    place = str(PurePosixPath(path).parent)
    return _Header(
        str(header.get("PatientID") or header.get("StudyInstanceUID") or place),
        str(header.get("SeriesInstanceUID") or path),
        path,
        _position(header),
        int(header.get("InstanceNumber") or 0),
        int(header.get("NumberOfFrames") or 1),
        (int(header.Rows), int(header.Columns)),
    )


def _position(header: Any) -> float | None:
    """Where the image lies along its own normal (DICOM PS3.3, C.7.6.2.1.1)."""
    try:
        right, down = np.array(header.ImageOrientationPatient, np.float64).reshape(2, 3)
        return float(np.cross(right, down) @ np.array(header.ImagePositionPatient, np.float64))
    except (AttributeError, ValueError, TypeError):
        return None


def _sorted(patient: str, headers: list[_Header]) -> Series:
    """By position if all of the files have one, otherwise by the number that the scanner gave."""
    placed = all(header.position is not None for header in headers)
    headers.sort(key=lambda one: ((one.position or 0.0) if placed else 0.0, one.number, one.path))
    return Series(patient, tuple(one.path for one in headers), sum(one.images for one in headers))


def _decode(path: Path) -> Float[np.ndarray, "n h w"] | UInt8[np.ndarray, "n h w 3"]:
    import pydicom
    from pydicom.pixels.processing import apply_color_lut

    file = pydicom.dcmread(path)
    if "PixelData" not in file:
        raise BenchError("holds no pixels")
    try:
        pixels = file.pixel_array
    except (RuntimeError, NotImplementedError) as error:
        syntax = file.file_meta.TransferSyntaxUID
        if not syntax.is_compressed:
            raise
        mend = "pip install 'pylibjpeg[all]'"
        raise BenchError(f"is compressed as {syntax.name}, for which no decoder is here; {mend}") from error
    if file.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, file)
    frames = pixels if int(file.get("NumberOfFrames") or 1) > 1 else pixels[None]
    if frames.ndim == 4:
        return frames if frames.dtype == np.uint8 else (frames // 256).astype(np.uint8)
    values = frames.astype(np.float32) * float(file.get("RescaleSlope") or 1) + float(file.get("RescaleIntercept") or 0)
    return -values if file.PhotometricInterpretation == "MONOCHROME1" else values


def _said(error: Exception) -> str:
    if isinstance(error, BenchError):
        return str(error)
    return f"cannot be decoded: {' '.join(str(error).split())[:200] or type(error).__name__}"
