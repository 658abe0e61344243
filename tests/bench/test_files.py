"""A file is whole or not there."""

import pytest

from bench import files


def test_replacing_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "new" / "file"
    with files.replacing(path) as file:
        file.write(b"old")
    with pytest.raises(TypeError), files.replacing(path) as file:
        file.writelines([b"half", None])
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
