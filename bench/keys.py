"""Identity: a key is the hash of everything that can change a job's numbers, and of nothing else.

A job states its *parts* (a nested mapping of plain values); the key is their hash, and two sets of parts can be
compared to say why a job must run again. The same function serves the plan and the stored record.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Raised by hand when the engine itself changes numbers: views, the loop, preprocessing, a metric.
ENGINE = 1

Parts = Mapping[str, Any]


def canonical(parts: Any) -> str:
    """JSON with one spelling for each value, so that equal parts are equal bytes. Not-a-number is refused."""
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def digest(parts: Any) -> str:
    """32 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:32]


def plain(value: Any) -> Any:
    """`value` as it reads back from JSON: tuples are lists, keys are strings, paths are text."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def source_digest(source: str) -> str:
    """Hash of Python source as parsed: comments, layout and docstrings left out.

    Raises SyntaxError. `ast.unparse` is used and not `ast.dump`, whose text changes between Python versions.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.ClassDef):
            node.body = [line for line in node.body if not _neutral(line)] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


def _neutral(line: ast.stmt) -> bool:
    """Whether a line of a class says what may be done with it, and changes no number."""
    return isinstance(line, ast.Assign) and [ast.unparse(t) for t in line.targets] == ["separable"]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(old: Parts, new: Parts, prefix: str = "") -> Iterator[str]:
    """Which parts changed from `old` to `new`, one line each, for example `protocol.settings.epochs: 20 -> 10`."""
    for name in sorted({*old, *new}):
        path = f"{prefix}{name}"
        if name not in new:
            yield f"{path}: {_short(old[name])} -> (gone)"
        elif name not in old:
            yield f"{path}: (new) {_short(new[name])}"
        elif isinstance(old[name], Mapping) and isinstance(new[name], Mapping):
            yield from differences(old[name], new[name], f"{path}.")
        elif old[name] != new[name]:
            yield f"{path}: {_short(old[name])} -> {_short(new[name])}"


def _short(value: Any) -> str:
    text = canonical(plain(value))
    return text if len(text) <= 40 else text[:37] + "..."
