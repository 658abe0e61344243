"""What is asked of a cluster, against what sinfo says of its nodes; and how sizes, times and options are read."""

import math

import pytest

from bench.config import Executor, Slurm
from bench.errors import BenchError
from bench.executors._slurm_limits import Limits, Node, _node, megabytes, options

# sinfo --Node --format=%P|%R|%l|%L|%c|%m|%G
TABLE = """cpu*|cpu|2-00:00:00|1:00:00|64|257000|(null)
gpu|gpu|infinite|n/a|32|515000+|gpu:a100:4(S:0-1),shard:8(S:0-1)
gpu|gpu|infinite|n/a|16|128000|gpu:v100:1,gpu:t4:1
short|short|30:00|n/a|8|16000|(null)"""


def limits(devices=1, **asked):
    return Limits(Executor(slurm=Slurm(**asked), devices_per_pretrain=devices), TABLE)


def test_a_line_of_sinfo_is_what_a_node_has():
    first, second, third, last = map(_node, TABLE.splitlines())
    assert first == Node("cpu", True, 48 * 60, 60, 64, 257000, 0)
    assert second == Node("gpu", False, math.inf, math.inf, 32, 515000, 4)
    assert (third.gpus, last.longest, last.usual) == (2, 30, 30)


def test_a_job_has_the_time_it_asks_for_or_else_the_partitions():
    assert limits().minutes(pretrain=True) == 60
    assert limits(partition="gpu").minutes(pretrain=False) == 0  # without an end
    both = limits(partition="gpu", time="90 s", pretrain_time="1-00:00:00", signal_seconds=30)
    assert (both.minutes(pretrain=False), both.minutes(pretrain=True)) == (2, 24 * 60)
    assert limits(partition="cpu,short", time="2 h").minutes(pretrain=True) == 120


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"partition": "gpus"}, r"partition: unknown partition `gpus`; did you mean `gpu` or `cpu`\?"),
        ({"gpus": 1}, "gpus = 1: a node of `cpu` has none"),
        ({"gpus": 2, "devices": 4, "partition": "gpu"}, "gpus = 2 for each of 4 devices: a node of `gpu` has 4"),
        ({"cpus": 65}, "cpus = 65: a node of `cpu` has 64"),
        ({"memory": "1 TB"}, 'memory = "1 TB": a node of `cpu` has 257000 MB'),
        ({"memory": "lots"}, r'memory: `lots` is no amount; write "16GB" or "800MB"'),
        ({"partition": "short", "time": "31 min"}, 'time = "31 min": more than the 30 min of the partition'),
        ({"time": "2 min"}, "signal_seconds = 90: more than half of time, 2 min"),
    ],
)
def test_what_no_node_could_give_is_refused(asked, said):
    with pytest.raises(BenchError, match=said):
        limits(**asked)


def test_a_cluster_without_a_default_partition_wants_one_named():
    with pytest.raises(BenchError, match="partition: the cluster has no default one; set it"):
        Limits(Executor(), TABLE.replace("*", ""))


def test_memory_is_read_in_every_unit_and_never_less_than_asked():
    assert [megabytes(text) for text in ("", "16GB", "800 MB", "1.5g", "2TiB", "1K")] == [0, 16384, 800, 1536, 2**21, 1]


def test_options_of_sbatch_are_values_or_flags_and_those_of_ours_are_refused():
    assert options(["account=me", "--exclusive", "mail_type=END"]) == {
        "account": "me",
        "exclusive": True,
        "mail-type": "END",
    }
    for text, said in (("time=1:00", "set time, which is for it"), ("array=0-3", "bench sets it"), ("-c 4", "is no")):
        with pytest.raises(BenchError, match=said):
            options([text])
