"""Identity: a key is the hash of everything that can change a job's numbers, and of nothing else.

A job states its *parts* (a nested mapping of plain values); the key is their hash, and two sets of parts can be
compared to say why a job must run again. The same function serves the plan and the stored record.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

# Raised by hand when the engine itself changes numbers: views, the loop, preprocessing, a metric.
ENGINE = 1
# What the decorator of a plug-in says for readers of a board alone.
SAID = {"foundation_model": ("group", "may_have_seen"), "protocol": ("family",)}

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
    """Hash of Python source as parsed: comments, layout, docstrings and what is said for readers left out.

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
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            for call in node.decorator_list:
                if isinstance(call, ast.Call):
                    own = SAID.get(ast.unparse(call.func).rpartition(".")[2], ())
                    call.keywords = [word for word in call.keywords if word.arg not in own]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


def _neutral(line: ast.stmt) -> bool:
    """Whether a line of a class says what may be done with it, and changes no number."""
    return isinstance(line, ast.Assign) and [ast.unparse(t) for t in line.targets] == ["separable"]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Change(NamedTuple):
    """A part of a key that is not what it was; `...` where there is none."""

    path: str  # such as protocol.settings.epochs
    old: Any
    new: Any

    def __str__(self) -> str:
        """In a line."""
        if self.new is ...:
            return f"{self.path}: {short(self.old)} -> (gone)"
        if self.old is ...:
            return f"{self.path}: (new) {short(self.new)}"
        return f"{self.path}: {short(self.old)} -> {short(self.new)}"


def changes(old: Parts, new: Parts, prefix: str = "") -> Iterator[Change]:
    """Which parts changed from `old` to `new`, in the order of their paths, down to what is no mapping."""
    for name in sorted({*old, *new}):
        path, before, after = f"{prefix}{name}", old.get(name, ...), new.get(name, ...)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from changes(before, after, f"{path}.")
        elif before is ... or after is ... or canonical(plain(before)) != canonical(plain(after)):  # 1 is not 1.0
            yield Change(path, before, after)


def differences(old: Parts, new: Parts) -> Iterator[str]:
    """Which parts changed from `old` to `new`, one line each, for example `protocol.settings.epochs: 20 -> 10`."""
    return map(str, changes(old, new))


def short(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = canonical(plain(value))
    return text if len(text) <= 40 else text[:37] + "..."
