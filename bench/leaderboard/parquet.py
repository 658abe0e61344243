"""Tables as one Parquet file: a row for each cell with the fields of the CSV, but with types, and lists as lists."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.leaderboard.formats import FIELDS, PRINTED, lines
from bench.leaderboard.table import Table

if TYPE_CHECKING:
    import pyarrow

INTEGERS = ("seeds", "cases", "found", "official", "seen")
NUMBERS = ("mean", "std", "low", "high", "level", "row_mean", "p", "printed", "difference")
FLAGS = ("higher_is_better", "best", "alike", "leads")
LISTS = ("seeds_done", "seeds_failed", "seeds_pending", "marks", "seed_means", "records")


def parquet(tables: Sequence[Table]) -> bytes:
    """The file; real and phantom data are told apart by `data`. The same tables give the same bytes."""
    import pyarrow
    from pyarrow import parquet as files

    fields = FIELDS + PRINTED * any(table.beside for table in tables)
    rows = [facts for table in tables for facts in lines(table)]
    schema = pyarrow.schema([(name, _type(name)) for name in fields])
    columns: dict[str, list[Any]] = {name: [facts.get(name) for facts in rows] for name in fields}
    written = io.BytesIO()
    files.write_table(pyarrow.Table.from_pydict(columns, schema=schema), written)
    return written.getvalue()


def _type(name: str) -> "pyarrow.DataType":
    import pyarrow

    if name in LISTS:
        of = {"marks": pyarrow.string(), "records": pyarrow.string(), "seed_means": pyarrow.float64()}
        return pyarrow.list_(of.get(name, pyarrow.int64()))
    for kind, names in ((pyarrow.int64(), INTEGERS), (pyarrow.float64(), NUMBERS), (pyarrow.bool_(), FLAGS)):
        if name in names:
            return kind
    return pyarrow.string()
