"""Phantoms of what is segmented: soft bodies with one ellipsoid of its own brightness a structure, and their truth.

Structures lie around the middle in a fixed order, differ in brightness, and in a volume are missing from its first and
last slices; so a small network can learn them, and one that sees no shapes cannot. Pictures in which objects are
detected have some of these anywhere.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt, UInt8
from PIL import Image

from bench.data.noise import draws, smooth, soft

DEPTH = 12  # slices of a volume
SIDE = 128  # pixels of a raw radiograph, which is square
SPACING = (1.5, 1.5, 3.0)  # mm, along the axes of the file
LEVELS = (0.32, -0.28, 0.2, -0.18, 0.12, -0.1, 0.26, -0.22)  # what structures add to the tissue's brightness


def scene(
    structures: int, identity: str, depth: int = 0, side: int = 0
) -> tuple[UInt8[np.ndarray, "h w d"], UInt8[np.ndarray, "h w d"]]:
    """Grey values and class numbers (0: background) of a case; `depth` 0 is a picture.

    `side` gives the pixels of both sides, which without it are 96 to 160, another number each.
    """
    rng = draws(identity)
    height, width = (side, side) if side else (int(drawn) for drawn in rng.integers(96, 161, 2))
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    body = soft(1 - np.hypot(y / rng.uniform(0.82, 0.95), x / rng.uniform(0.82, 0.95)), 0.04)
    tissue = 0.45 + 0.1 * smooth(rng, height, width, cells=5) + 0.05 * smooth(rng, height, width, cells=24)
    shapes = _shapes(structures, y, x, rng)
    images, classes = [], []
    for z in np.linspace(-1, 1, depth) if depth else [0.0]:
        values, truth = tissue.copy(), np.zeros((height, width), np.uint8)
        for number, radius in enumerate(shapes, 1):
            inside = np.sqrt(max(0.0, 1 - (z / 0.75) ** 2)) - radius  # an ellipsoid, cut at z
            values += LEVELS[(number - 1) % len(LEVELS)] * soft(inside, 0.1)
            truth[inside > 0] = number
        values = body * values + 0.03 * rng.standard_normal(values.shape)
        images.append(np.rint(values.clip(0, 1) * 255).astype(np.uint8))
        classes.append(truth)
    return np.stack(images, axis=2), np.stack(classes, axis=2)


def objects(
    classes: int, identity: str
) -> tuple[UInt8[np.ndarray, "h w 1"], list[tuple[int, tuple[float, float, float, float]]]]:
    """Grey values of a picture with none to three ellipses apart from each other, and the class and box of each.

    A box has left, top, right and bottom, in pixels. Classes differ in brightness and, from the ninth on, have a hole.
    """
    rng = draws(identity)
    height, width = (int(drawn) for drawn in rng.integers(96, 161, 2))
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    tissue = 0.45 + 0.08 * smooth(rng, height, width, cells=5) + 0.04 * smooth(rng, height, width, cells=24)
    free, found = np.ones((height, width), bool), list[tuple[int, tuple[float, float, float, float]]]()
    for _ in range(int(rng.choice(4, p=(0.1, 0.5, 0.25, 0.15)))):
        down, across = rng.uniform(0.12, 0.22, 2) * min(height, width)
        top, left = rng.uniform(down, height - down), rng.uniform(across, width - across)
        radius, label = np.hypot((y - top) / down, (x - left) / across), int(rng.integers(classes))
        if not free[radius < 1.2].all():
            continue
        free[radius < 1.2] = False
        shape = soft(1 - radius, 0.08) - (0.9 * soft(0.5 - radius, 0.08) if label // len(LEVELS) % 2 else 0)
        tissue += LEVELS[label % len(LEVELS)] * shape
        rows, columns = (np.flatnonzero((radius < 1).any(axis=axis)) for axis in (1, 0))
        edges = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        found.append((label, edges))
    values = tissue + 0.03 * rng.standard_normal(tissue.shape)
    return np.rint(values.clip(0, 1) * 255).astype(np.uint8)[:, :, None], found


def _shapes(
    structures: int, y: Float[np.ndarray, "h w"], x: Float[np.ndarray, "h w"], rng: np.random.Generator
) -> list[Float[np.ndarray, "h w"]]:
    """The radius of each pixel in the ellipse of each structure: 1 at its border."""
    found = []
    turn, size = rng.uniform(-0.2, 0.2), 0.5 / np.sqrt(structures)
    for number in range(structures):
        angle = turn + 2 * np.pi * number / structures
        middle = 0.0 if structures == 1 else 0.42
        top, left = middle * np.sin(angle) + rng.uniform(-0.06, 0.06), middle * np.cos(angle) + rng.uniform(-0.06, 0.06)
        found.append(np.hypot((y - top) / (size * rng.uniform(0.8, 1.1)), (x - left) / (size * rng.uniform(0.8, 1.1))))
    return found


def write(path: Path, values: UInt[np.ndarray, "h w d"]) -> None:
    """Write a picture, a NIfTI volume, or a radiograph, raw or in DICOM, as the name's ending says."""
    if path.name.endswith(".nii.gz"):
        import nibabel

        image: Any = nibabel.Nifti1Image(values, np.diag([*SPACING, 1.0]))  # type: ignore[no-untyped-call]
        image.header.set_xyzt_units("mm")
        nibabel.save(image, path)
    elif path.suffix == ".IMG":  # JSRT's: 12 bits in big-endian words, square, white is air
        (4095 - values[:, :, 0].astype(np.uint16) * 16).astype(">u2").tofile(path)
    elif path.suffix == ".dicom":
        _write_dicom(path, values[:, :, 0])
    else:
        Image.fromarray(values[:, :, 0]).save(path, quality=95, compress_level=1)


def _write_dicom(path: Path, values: UInt8[np.ndarray, "h w"]) -> None:
    """12 bits, of which more is darker, as many detectors store them."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    meta, file = FileMetaDataset(), Dataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = (
        DigitalXRayImageStorageForPresentation,
        ExplicitVRLittleEndian,
    )
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    file.file_meta, file.Modality = meta, "DX"
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.Rows, file.Columns = values.shape
    file.PhotometricInterpretation, file.SamplesPerPixel, file.PixelRepresentation = "MONOCHROME1", 1, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 16, 12, 11
    file.PixelData = (4095 - values.astype(np.uint16) * 16).astype("<u2").tobytes()
    file.save_as(path, enforce_file_format=True)
