"""The Parquet file says what the CSV says, with types."""

import csv as csv_module
import io
from dataclasses import replace

import numpy as np
from pyarrow import parquet as files

from bench.leaderboard.building import build
from bench.leaderboard.formats import FIELDS, csv
from bench.leaderboard.parquet import parquet
from bench.leaderboard.result import Result


def result(method: str, seed: int, right: int | None, *, phantom: bool = False) -> Result:
    return Result(
        method=method, task="head", protocol="linear", seed=seed, state="failed" if right is None else "done",
        metric="accuracy", phantom=phantom, found=5, official=9, record=f"key-{seed}", group="g, <h>",
        cases=tuple(map(str, range(20))) if right is not None else (),
        values=(np.arange(20) < right).astype(float) if right is not None else np.zeros(0),
    )  # fmt: skip


TABLES = build([
    *(result("a; b", seed, 9 + seed) for seed in (0, 1)), result("c", 0, 4), result("c", 1, None),
    result("d", 0, None), result("a; b", 0, 3, phantom=True),
])  # fmt: skip


def read(content: bytes) -> list[dict]:
    return files.read_table(io.BytesIO(content)).to_pylist()


def test_every_field_is_as_in_the_csv():
    rows = read(parquet(TABLES))
    lines = [line for table in TABLES for line in csv_module.DictReader(io.StringIO(csv(table)))]
    assert len(rows) == len(lines) == 4
    for row, line in zip(rows, lines, strict=True):
        assert list(row) == list(line) == list(FIELDS)
        for name, value in row.items():
            if isinstance(value, list):
                parted = line[name].split(" " if name != "marks" else "; ")
                assert list(map(str, value)) == [part for part in parted if part]
            elif isinstance(value, bool):
                assert line[name] == str(value).lower()
            elif isinstance(value, float):
                assert float(line[name]) == value
            else:
                assert line[name] == ("" if value is None else str(value))


def test_it_has_types_and_tells_real_from_phantom():
    rows = read(parquet(TABLES))
    assert [row["data"] for row in rows] == ["real", "real", "real", "phantom"]
    first, partial, failed, _ = rows
    assert (first["seeds_done"], first["seed_means"], first["records"]) == ([0, 1], [0.45, 0.5], ["key-0", "key-1"])
    assert (first["best"], first["higher_is_better"], first["marks"]) == (True, True, ["partial data"])
    assert (partial["state"], partial["seeds_failed"], failed["mean"]) == ("partial", [1], None)


def test_the_same_tables_give_the_same_bytes_and_no_table_gives_no_row():
    assert parquet(TABLES) == parquet(TABLES)
    assert read(parquet(())) == []
    assert read(parquet([replace(TABLES[0], rows=())])) == []
