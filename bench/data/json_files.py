"""JSON as data sets have it: keys that come twice are refused, and an entry can be told by its line."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from bench.errors import BenchError

BLANK = re.compile(r"[\s,:]*")


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises BenchError for one that cannot be read, or has a key twice in an object."""
    twice = False

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        made = dict(found)
        twice |= len(made) < len(found)
        return made

    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text, object_pairs_hook=pairs)
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise BenchError(f"{path}: cannot be read as JSON: {said}") from error
    if twice:
        key, position = next(_repeated(text))
        raise BenchError(f"{path}:{_line(text, position)}: `{key}` is there twice; keep one")
    return content


def place(path: Path, *keys: str | int) -> str:
    """`file:line` of an entry, such as ("annotations", 17), for a message: the file is read again.

    Of one that is not there, it is the line of what should have it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        position = 0
        for key in keys:
            position = next((value for name, _, value in _entries(text, position) if name == key), position)
        return f"{path}:{_line(text, position)}"
    except (OSError, ValueError, IndexError):
        return str(path)


@contextmanager
def located(path: Path, *keys: str | int) -> Iterator[None]:
    """Put the place of an entry before the message of a BenchError."""
    try:
        yield
    except BenchError as error:
        raise BenchError(f"{place(path, *keys)}: {error}") from error


def _entries(text: str, position: int) -> Iterator[tuple[str | int, int, int]]:
    """The key or number of each entry of the object or list at `position`, where it begins, and where its value does.

    What is neither has none.
    """
    decode = json.JSONDecoder().raw_decode
    position = _past_blank(text, position)
    opening, number = text[position : position + 1], 0
    while opening in ("{", "["):
        start = position = _past_blank(text, position + (not number))
        if text[position : position + 1] in ("", "}", "]"):
            return
        key: str | int = number
        if opening == "{":
            key, position = scanstring(text, position + 1)
            position = _past_blank(text, position)
        yield key, start, position
        _, position = decode(text, position)
        number += 1


def _repeated(text: str) -> Iterator[tuple[str, int]]:
    """The keys that their object has already, and where they begin."""
    left = [0]
    while left:
        seen = set[str | int]()
        for key, start, value in _entries(text, left.pop()):
            if key in seen:
                yield str(key), start
            seen.add(key)
            if text[value] in "{[":
                left.append(value)


def _past_blank(text: str, position: int) -> int:
    return BLANK.match(text, position).end()  # type: ignore[union-attr]


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def require(content: Any, kind: type, path: Path, what: str, *keys: str | int) -> Any:
    """`content` if it is of the kind. Raises BenchError that names the file, the line and what was wanted."""
    if not isinstance(content, kind) or (kind is int and isinstance(content, bool)):
        name = {dict: "an object", list: "a list", str: "text", int: "a whole number"}[kind]
        raise BenchError(f"{place(path, *keys)}: {what} must be {name}, is {_short(content)}")
    return content


def _short(content: Any) -> str:
    text = json.dumps(content)
    return text if len(text) <= 40 else text[:37] + "..."
