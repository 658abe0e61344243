"""What tests of corpora share: pictures, volumes, and a corpus of one source."""

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from bench.data.corpus import Report, build

RNG = np.random.default_rng(0)


@pytest.fixture(scope="session")
def picture() -> Callable[..., None]:
    """Write a colour picture: `picture(path, (height, width, 3))`."""

    def write(path: Path, shape=(40, 50, 3)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(RNG.integers(0, 256, (6, 7, *shape[2:]), dtype=np.uint8))
        small.resize((shape[1], shape[0]), Image.Resampling.BICUBIC).save(path)

    return write


@pytest.fixture(scope="session")
def volume() -> Callable[..., None]:
    """Write a volume of which the last slices are empty: `volume(path, (20, 24, 5), empty=2)`."""

    def write(path: Path, shape=(20, 24, 5), empty=0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = RNG.normal(100, 20, shape).astype(np.float32)
        values[:, :, shape[2] - empty :] = 0
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)

    return write


@pytest.fixture
def one(tmp_path) -> Callable[..., Report]:
    """Build a corpus of the one folder tmp_path/data/d, of 32 pixels: `one("kind = 'images'", out="out")`."""

    def make(source="", out="out") -> Report:
        spec = tmp_path / "one.toml"
        spec.write_text(f'[corpus]\nsize = 32\n[sources.d]\nfolder = "d"\nmodality = "any"\n{source}\n')
        return build(spec, tmp_path / out, data_root=tmp_path / "data")

    return make
