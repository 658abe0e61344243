"""Durations as people and clusters write them, and what is none."""

import pytest

from bench.config import load
from bench.durations import seconds
from bench.errors import BenchError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0), ("  ", 0), ("90 s", 90), ("90s", 90), ("1.5 min", 90), ("30 m", 1800), ("2 h", 7200), ("1 d", 86400),
        ("01:30:00", 5400), ("1:02:03", 3723), ("2-12:00:00", 216000), ("0-00:00:01", 1), ("100:00:00", 360000),
    ],
)  # fmt: skip
def test_what_is_a_duration(text, expected):
    assert seconds(text, "here") == expected


@pytest.mark.parametrize(
    "text",
    ["0 s", "-1 h", "2 hours", "2", "1:30", "01:60:00", "01:00:61", "00:00:00", "h", "1e3 s", "2 h 5 min", "inf s"],
)
def test_what_is_none_is_said_with_the_forms(text):
    with pytest.raises(
        BenchError, match=r'here: `.*` is no duration; write "90 s", "30 min", "2 h", "01:30:00" or "1-12'
    ):
        seconds(text, "here")


GRID = "[methods]\nrandom_init = {{}}\n[tasks]\nfgadr = {{}}\n[executor]\n{}\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('time_limit = "2 hours"', "bench.toml: [executor] time_limit: `2 hours` is no duration"),
        ('[executor.slurm]\ntime = "soon"', "bench.toml: [executor.slurm] time: `soon` is no duration"),
        ('[executor.slurm]\npretrain_time = "1:2"', "bench.toml: [executor.slurm] pretrain_time: `1:2` is no duration"),
        ('kind = "slrum"', "unknown value `slrum`; did you mean `slurm`?"),
        ('kind = "dask"', "unknown value `dask`; known: `inline`, `local`, `ray`, `slurm`"),
        ('[executor.ray]\nadress = ""', "bench.toml: [executor.ray]: unknown key `adress`; did you mean `address`?"),
        ("[executor.ray]\nnum_gpus = -0.5", "bench.toml: [executor.ray] num_gpus: must be at least 0"),
        ("jobs_per_gpu = 0", "bench.toml: [executor] jobs_per_gpu: must be at least 1"),
        ("retries = -1", "bench.toml: [executor] retries: must be at least 0"),
        ('[executor.slurm]\ncluster = "pbs"', "unknown value `pbs`"),
    ],
)
def test_an_executor_that_cannot_be_is_refused_before_anything_runs(write_grid, lines, message):
    with pytest.raises(BenchError) as refused:
        load(write_grid(GRID.format(lines)))
    assert message in str(refused.value)
