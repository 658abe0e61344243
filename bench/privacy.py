"""Text that leaves the machine: where things lay on it is taken out, and what is left can still be run."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

# Two or more steps from the root; a URL, a fraction or a relative path is none.
ABSOLUTE = re.compile(r"(?<![\w./:~\\-])/(?:[\w.@+-]+/)+([\w.@+-]+)")


def private(text: str) -> str:
    """Text with the last name of each absolute path in its place."""
    return ABSOLUTE.sub(r"\1", text)


def cleaned(value: Any) -> Any:
    """A value of JSON with `private` done to every text in it but the names of its entries."""
    if isinstance(value, dict):
        return {name: cleaned(one) for name, one in value.items()}
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    return private(value) if isinstance(value, str) else value


def grid_text(grid: Path) -> str:
    """A grid as it was read, its absolute paths cut to their last name. It has been read before, and is sound."""
    text = grid.read_text(encoding="utf-8")
    for root in {value for value in _texts(tomllib.loads(text)) if value.startswith("/")}:
        quoted = rf"(?<=[\"']){re.escape(root)}(?=[\"'])"
        text = re.sub(quoted, lambda found: PurePosixPath(found.group()).name or ".", text)
    return private(text)


def files_of(grid: Path) -> dict[str, Path]:
    """The files that a grid names, as it names them: plug-ins, lists of cases, weights."""
    named = {value: grid.parent / value for value in _texts(tomllib.loads(grid.read_text(encoding="utf-8"))) if value}
    return {private(name): path for name, path in sorted(named.items()) if _is_file(path)}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that is no name of a file
        return False


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
