"""What a corpus holds, counted from its manifest, and whether it is still what was built."""

from pathlib import Path
from typing import Any

import numpy as np

from bench.data.manifest import MANIFEST, PIXELS, digest, fingerprint, read_about, read_manifest
from bench.errors import BenchError

MEND = "fetch the corpus again, or build it again"


def describe(folder: Path) -> dict[str, Any]:
    """corpus.json, with the images and copies of each modality and organ, and the bytes on disk."""
    about = read_about(folder)
    table = read_manifest(folder, ["modality", "organ", "copy"])
    copied = table["copy"].to_numpy() > 0
    for column, name in (("modality", "modalities"), ("organ", "organs")):
        values, place = np.unique(np.array(table[column].to_pylist(), str), return_inverse=True)
        images, copies = (np.bincount(place[chosen], minlength=len(values)) for chosen in (~copied, copied))
        about[name] = {
            str(value): {"images": int(own), "copies": int(made)}
            for value, own, made in zip(values, images, copies, strict=True)
        }
    return {**about, "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())}


def verify(folder: Path) -> None:
    """Read all of a corpus. Raises BenchError if the manifest or the pixels are not those that were built."""
    from bench.data import storage

    about = read_about(folder)
    if digest(folder) != about.get("manifest_sha256"):
        raise BenchError(f"{folder / MANIFEST}: is not the one that was built; {MEND}")
    storage.verify(folder)
    if fingerprint(folder) != about.get("fingerprint"):
        raise BenchError(f"{folder / PIXELS}: is not the one that was built; {MEND}")
