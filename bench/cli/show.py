"""What the commands share in showing things: JSON to standard output, tables for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bench.keys import plain


def as_json(value: Any) -> None:
    """Print a value as JSON; numbers that are not finite are null."""
    print(json_text(value), end="")  # noqa: T201


def json_text(value: Any) -> str:
    """A value as JSON with a line end; numbers that are not finite are null."""
    return json.dumps(_finite(plain(value)), indent=1, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and value - value != 0 else value


def as_table(rows: Sequence[Mapping[str, Any]], *, empty: str = "nothing") -> None:
    """Print rows as a plain table with a column for each of their keys; cells are text, whatever they hold."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print(empty)  # noqa: T201
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if (value := row.get(name)) is None else str(value)) for name in names))
    Console(soft_wrap=False).print(table)
