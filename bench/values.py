"""Values of a TOML file turned into what a dataclass or a plug-in's setting asks for; what does not fit is an error.

`where` is the place in the file, for messages.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from math import isfinite
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from bench.errors import BenchError, unknown
from bench.keys import canonical, plain

C = TypeVar("C")


def read(cls: type[C], table: Mapping[str, Any], where: str, *, base: C | None = None) -> C:
    """A dataclass from a TOML table, checked field by field; `base` gives the values that the table leaves out."""
    hints = get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise unknown("key", key, known, where=where)
        values[key] = convert(value, hints[key], f"{where} {key}")
        least = known[key].metadata.get("min")
        if least is not None and values[key] < least:
            raise BenchError(f"{where} {key}: must be at least {least}, got {value}")
    return replace(base, **values) if base is not None else cls(**values)  # type: ignore[type-var]


def convert(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type `hint`; a whole number will do for a number. Raises BenchError."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in args:
            raise unknown("value", str(value), map(str, args), where=where)
        return value
    if origin is tuple and isinstance(value, list):
        length = len(value) if args[-1] is ... else len(args)
        if len(value) != length:
            raise BenchError(f"{where}: needs {length} values, got {value}")
        return tuple(convert(v, args[0], where) for v in value)
    for option in args if origin is not None and origin is not tuple else (hint,):
        if get_origin(option) is tuple and isinstance(value, list):
            return convert(value, option, where)
        if option is float and type(value) in (int, float) and isfinite(value):
            return float(value)
        if type(value) is option and option is not float:
            return value
    raise BenchError(f"{where}: expected {_name(hint)}, got {value!r}")


def _name(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if get_origin(hint) is tuple:
        return f"a list of {_name(get_args(hint)[0])}"
    return names.get(hint, str(hint))


def like(default: Any, value: Any, where: str) -> Any:
    """`value`, which must be of the type of `default`, or anything that JSON can hold where that is None."""
    try:
        canonical(plain(value))
    except (TypeError, ValueError):
        raise BenchError(f"{where}: expected text, finite numbers or lists of them, got {value!r}") from None
    if isinstance(default, tuple) and default and isinstance(value, list):
        return [like(default[0], one, where) for one in value]
    if default is None or type(value) is type(default) or (isinstance(default, tuple) and isinstance(value, list)):
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    raise BenchError(f"{where}: expected {_name(type(default))} like the default {default!r}, got {value!r}")


def subtable(table: Mapping[str, Any], name: str, where: str, example: str = "") -> dict[str, Any]:
    """The table `name` of `table`, empty where there is none. Raises BenchError."""
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise BenchError(f"{where} must be a table{example}, got {value!r}")
    return value
