"""Finds plug-ins: in methods/, tasks/, bench/protocols/, entry points `bench.plugins`, and where bench.toml says.

A file is parsed, not imported, so that `bench plan` and `bench ls` answer without torch: a decorator's arguments and
the defaults of keyword-only settings are literals. A file that cannot be read or imported is kept, with the reason.
"""

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BenchError, reason, unknown
from bench.keys import source_digest

KINDS = {"ssl_method": "method", "foundation_model": "method", "task": "task", "protocol": "protocol"}


# Objects found in modules, with the module: a plan of thousands of cells asks for each again and again.
_LOADED: dict[tuple[str, str], tuple[ModuleType, Any]] = {}


@dataclass(frozen=True)
class Plugin:
    """A plug-in as its file states it. `error` says why it cannot be used; it stops nothing else."""

    kind: str
    name: str
    decorator: str
    module: str
    file: Path
    info: dict[str, Any] = field(default_factory=dict)  # the decorator's literal keyword arguments
    settings: dict[str, Any] = field(default_factory=dict)  # keyword-only parameters and their defaults
    source: str = ""
    error: str = ""
    line: int = 0  # of the file, where it is defined

    @property
    def target(self) -> str:
        """Of a protocol: which tasks it is for."""
        return str(self.info.get("target", "class"))

    def load(self) -> Any:
        """The object itself: a Method class, FoundationModel, Task or Protocol. Raises BenchError with the reason."""
        if self.error:
            raise BenchError(f"{self.kind} `{self.name}` ({self.file.name}): {self.error}")
        try:
            module = _import(self.module, self.file)
        except (Exception, SystemExit) as exc:  # whatever a stranger's module raises must not stop the others
            raise BenchError(f"{self.kind} `{self.name}` ({self.file.name}): {reason(exc)}") from exc
        known, value = _LOADED.get((self.module, self.name), (None, None))
        if known is module:
            return value
        for value in vars(module).values():
            if getattr(getattr(value, "info", value), "name", None) == self.name:
                _LOADED[self.module, self.name] = module, value
                return value
        raise BenchError(f"{self.file.name}: defines no {self.kind} `{self.name}` when imported")


@dataclass(frozen=True)
class Registry:
    """Every plug-in found, broken ones included."""

    plugins: tuple[Plugin, ...]

    def all(self, kind: str) -> list[Plugin]:
        """Plug-ins of a kind, by name."""
        return sorted((p for p in self.plugins if p.kind == kind), key=lambda p: p.name)

    def get(self, kind: str, name: str, *, where: str, target: str = "") -> Plugin:
        """The plug-in of that name. Raises BenchError with the near names, or with the reason that it is broken.

        Protocols for different targets may share a name; `target` says which is meant.
        """
        found = [p for p in self.plugins if (p.kind, p.name) == (kind, name)]
        found = [p for p in found if target in ("", p.target)] or found
        if not found:
            raise unknown(kind, name, (p.name for p in self.all(kind)), where=where)
        if found[0].error:
            raise BenchError(f"{where}: {kind} `{name}` ({found[0].file.name}) cannot be used: {found[0].error}")
        return found[0]


def discover(extra: Sequence[str] = (), *, root: Path | None = None) -> Registry:
    """All plug-ins: shipped ones, entry points in the group `bench.plugins`, and `extra` (files, folders or modules).

    Relative paths in `extra` start at `root`. A name taken twice is an error of the later one; a file that is named
    twice is read once.
    """
    found: list[Plugin] = []
    for folder in ("methods", "tasks", "protocols"):
        spec = importlib.util.find_spec(f"bench.{folder}")
        for place in (spec.submodule_search_locations or []) if spec else []:
            found += _scan_folder(Path(place), f"bench.{folder}", kind=folder[:-1])
    for point in importlib.metadata.entry_points(group="bench.plugins"):
        found += _scan_named(point.value.split(":")[0], where=f"entry point `{point.name}`", root=None)
    for name in extra:
        found += _scan_named(name, where="plugins", root=root or Path())
    return Registry(tuple(_without_clashes(found)))


def _without_clashes(found: Sequence[Plugin]) -> Iterator[Plugin]:
    taken: dict[tuple[str, str, str], Plugin] = {}
    for plugin in found:
        first = taken.setdefault((plugin.kind, plugin.name, plugin.target), plugin)
        if first is plugin:
            yield plugin
        elif (first.file.resolve(), first.line) != (plugin.file.resolve(), plugin.line):
            error = plugin.error or f"the name is taken by {first.file}"
            yield replace(plugin, name=f"{plugin.name} ({plugin.file})", error=error)


def _scan_named(name: str, *, where: str, root: Path | None) -> list[Plugin]:
    """A file, a folder of files, or a dotted module."""
    path = root / name if root else None  # an entry point is a module, even where a folder of that name is at hand
    if path and path.is_dir():
        return _scan_folder(path, "", kind="method")
    if path and path.is_file():
        return _scan_file(path, "", kind="method")
    try:
        spec = importlib.util.find_spec(name) if all(part.isidentifier() for part in name.split(".")) else None
    except (Exception, SystemExit) as exc:  # the parent package of a dotted name is imported, and may do anything
        return [Plugin("method", name, "", name, Path(name), error=f"{where}: {reason(exc)}")]
    if spec is None or spec.origin is None:
        error = f"{where}: no file, folder or module `{name}`"
        return [Plugin("method", name, "", name, Path(name), error=error)]
    if spec.submodule_search_locations:
        return _scan_folder(Path(spec.origin).parent, name, kind="method")
    return _scan_file(Path(spec.origin), name, kind="method")


def _scan_folder(folder: Path, package: str, *, kind: str) -> list[Plugin]:
    files = sorted(f for f in folder.glob("*.py") if not f.name.startswith("_"))
    return [p for f in files for p in _scan_file(f, f"{package}.{f.stem}" if package else "", kind=kind)]


def _scan_file(file: Path, module: str, *, kind: str) -> list[Plugin]:
    """The plug-ins of one file; a file that has none, or cannot be read, is one broken plug-in of the folder's kind."""
    if not module:
        module = f"bench_plugin_{file.stem}_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
    try:
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        source = source_digest(text)
    except (SyntaxError, ValueError, OSError) as exc:
        return [_broken(file, kind, module, reason(exc))]
    error = _missing_package(tree) or _import_error(tree, module, file)
    plugins = [_read(node, call, file, module, source, error) for node, call in _decorated(tree)]
    if not plugins:
        return [_broken(file, kind, module, error or "no @ssl_method, @foundation_model, @task or @protocol in it")]
    return plugins


def _decorated(tree: ast.Module) -> Iterator[tuple[ast.ClassDef | ast.FunctionDef, ast.Call]]:
    for node in tree.body:
        for call in node.decorator_list if isinstance(node, ast.ClassDef | ast.FunctionDef) else []:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KINDS:
                yield node, call  # type: ignore[misc]


def _read(
    node: ast.ClassDef | ast.FunctionDef, call: ast.Call, file: Path, module: str, source: str, error: str
) -> Plugin:
    decorator = call.func.id  # type: ignore[attr-defined]
    plugin = Plugin(KINDS[decorator], file.stem, decorator, module, file, source=source, error=error, line=node.lineno)
    try:
        name = ast.literal_eval(call.args[0]) if call.args else None
        if not isinstance(name, str):
            raise ValueError(f"@{decorator}: its first argument is the name, as text")
        info = {k.arg: _literal(k.value, lenient=decorator == "task") for k in call.keywords if k.arg}
        return replace(plugin, name=name, info=info, settings=_settings(node))
    except ValueError as exc:
        return replace(plugin, error=error or f"line {node.lineno}: {exc}")


def _literal(value: ast.expr, *, lenient: bool = False) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        if lenient:  # a task's layout is made of objects; tasks are imported to be read, and cheap to import
            return None
        raise ValueError(
            f"`{ast.unparse(value)}` must be a literal, since it is read without importing the file"
        ) from None


def _settings(node: ast.ClassDef | ast.FunctionDef) -> dict[str, Any]:
    if isinstance(node, ast.ClassDef):
        inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        if not inits:
            return {}
        node = inits[0]
    pairs = list(zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True))
    for argument, default in pairs:
        if default is None:
            raise ValueError(f"the setting `{argument.arg}` needs a default (the paper's value)")
    return {argument.arg: _literal(default) for argument, default in pairs if default is not None}


def _missing_package(tree: ast.Module) -> str:
    """The first package that the file imports and that is not installed, told without importing any."""
    for node in tree.body:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        for root in (name.split(".")[0] for name in names):
            if root not in sys.modules and not installed(root):
                return f"line {node.lineno}: needs the package `{root}`: pip install {root}"
    return ""


@cache
def installed(package: str) -> bool:
    """Whether a package can be imported, told without importing it."""
    return importlib.util.find_spec(package) is not None


def _import_error(tree: ast.Module, module: str, file: Path) -> str:
    """Why a file that does more than define things cannot be imported; files that only define are not imported here."""
    body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")]
    defines = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign)
    if all(isinstance(n, defines) or (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)) for n in body):
        return ""
    try:
        _import(module, file)
    except (Exception, SystemExit) as exc:
        return reason(exc)
    return ""


def _import(module: str, file: Path) -> ModuleType:
    if not module.startswith("bench_plugin_"):
        return importlib.import_module(module)
    if module not in sys.modules:
        spec = importlib.util.spec_from_file_location(module, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[module])
        except BaseException:
            del sys.modules[module]
            raise
    return sys.modules[module]


def _broken(file: Path, kind: str, module: str, error: str) -> Plugin:
    return Plugin(kind, file.stem, "", module, file, error=error)
