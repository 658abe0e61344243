"""Files with tensors are hostile: nothing in them runs, and none claims more than it holds."""

import os
import zipfile
from argparse import Namespace

import pytest
import torch

from bench.encoders.reading import read_tensors
from bench.errors import BenchError

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.zeros(200, 200)}


def test_mappings_are_found_wherever_they_are(tmp_path):
    content = {
        "epoch": 3,
        "args": Namespace(lr=0.1),
        "model": {"trunk": WEIGHTS, "names": ["a"]},
        "ema": {"c": WEIGHTS["a"]},
    }
    torch.save(content, tmp_path / "weights.pth")
    found = read_tensors(tmp_path / "weights.pth")
    assert list(found) == ["model/trunk", "ema"]
    assert torch.equal(found["model/trunk"]["a"], WEIGHTS["a"])


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_run_is_refused_and_does_not_run(tmp_path, legacy):
    path = tmp_path / "weights.pth"
    torch.save({"a": Bomb(tmp_path / "ran")}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(BenchError, match="holds more than tensors, or no tensors at all, and is not loaded") as error:
        read_tensors(path)
    assert str(error.value).startswith(f"{path}: ")
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(BenchError, match=r"torch.nn.modules.linear.Linear.*weights_only=False\)\['state_dict'\]"):
        read_tensors(tmp_path / "module.pt")


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("keep", [1, 10, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, name, keep):
    from safetensors.torch import save_file

    path = tmp_path / name
    (save_file if path.suffix == ".safetensors" else torch.save)(WEIGHTS, path)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(len(content) * keep)])
    with pytest.raises(BenchError) as error:
        read_tensors(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    """200 MB of zeros in 200 kB."""
    torch.save(WEIGHTS, tmp_path / "weights.pth")
    with zipfile.ZipFile(tmp_path / "weights.pth") as plain:
        entries = {name: plain.read(name) for name in plain.namelist()}
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name, bytes(200 * 2**20) if name.endswith("data/1") else content)
    with pytest.raises(BenchError, match=r"bomb.pth: is a compressed archive, which torch does not write"):
        read_tensors(tmp_path / "bomb.pth")


def test_a_tensor_that_claims_more_than_is_stored_is_refused(tmp_path):
    torch.save({"huge": torch.zeros(1).expand(10**9)}, tmp_path / "weights.pth")
    with pytest.raises(BenchError, match=r"`huge` claims shape \(1000000000,\), of which the file holds only a part"):
        read_tensors(tmp_path / "weights.pth")


def test_what_holds_no_tensors(tmp_path):
    for content, said in (([torch.zeros(1)], "list"), (torch.zeros(1), "Tensor"), ({"a": 1}, "dict")):
        torch.save(content, tmp_path / "weights.pth")
        with pytest.raises(BenchError, match=f"weights.pth: holds no tensors under names, but {said}"):
            read_tensors(tmp_path / "weights.pth")
    (tmp_path / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(BenchError, match=r"pointer.pth: holds .* no tensors at all, and is not loaded"):
        read_tensors(tmp_path / "pointer.pth")
    for name in ("none.safetensors", "none.pth"):
        with pytest.raises(BenchError, match=f"{name}: no such weights file"):
            read_tensors(tmp_path / name)
    with pytest.raises(BenchError, match="must be a regular file"):
        read_tensors(tmp_path)
    (tmp_path / "empty.pth").write_bytes(b"")
    with pytest.raises(BenchError, match="has 0 bytes"):
        read_tensors(tmp_path / "empty.pth")
