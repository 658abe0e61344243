"""A method that starts from what another of the grid leaves: in which order, under which key, and in no circle."""

from dataclasses import replace

import pytest

from bench.attempt import attempt
from bench.config import load
from bench.errors import BenchError
from bench.executors import Place, Task
from bench.plan import plan, select
from bench.store import Store

GRID = """
[bench]
seeds = [0, 1]
[pretrain]
corpus = ["fgadr"]
backbone = "resnet10t"
image_size = 32
epochs = 1
batch_size = 16
[methods]
"second" = { plugin = "simclr", hidden = 16, dim = 8, pretrain = { init = "method:first" } }
"first" = { plugin = "simclr", hidden = 16, dim = 8, pretrain = { epochs = FIRST } }
[tasks]
fgadr = { protocols = ["knn"] }
"""


@pytest.fixture
def planned(write_grid, phantoms):
    def made(first=1):
        grid = load(write_grid(GRID.replace("FIRST", str(first))), data=str(phantoms))
        return plan(grid, Store(grid.store)), grid

    return made


def test_the_first_is_pretrained_first_and_is_in_the_key_of_the_second(planned):
    found, grid = planned()
    ids = [p.job.id for p in found]
    for seed in grid.seeds:
        assert ids.index(f"first/pretrain/{seed}") < ids.index(f"second/pretrain/{seed}")
    by_id = {p.job.id: p.job for p in found}
    second = by_id["second/pretrain/1"]
    assert (second.needs, second.encoder) == ("first/pretrain/1", by_id["first/pretrain/1"].key)
    other = {p.job.id: p.job for p in planned(first=2)[0]}
    assert other["second/pretrain/1"].key != second.key
    assert other["second/fgadr/knn/1"].key != by_id["second/fgadr/knn/1"].key


def test_only_brings_the_whole_line_that_a_cell_needs(planned):
    chosen = [p.job.id for p in select(planned()[0], "second/fgadr/knn/0")]
    assert chosen == ["first/pretrain/0", "second/pretrain/0", "second/fgadr/knn/0"]


def test_the_second_starts_from_what_the_first_left(planned, tmp_path):
    """With a rate of 0 nothing is learned, and the second leaves the first's own weights."""
    found, grid = planned()
    jobs = {p.job.id: p.job for p in found}
    place = Place(store=grid.store, base=tmp_path)
    still = jobs["second/pretrain/0"]
    still = replace(
        still, method=replace(still.method, pretrain=replace(still.method.pretrain, lr=0.0, weight_decay=0.0))
    )
    assert attempt(Task(still, place), lambda *_: None).kind == "early"
    for job in (jobs["first/pretrain/0"], still):
        assert attempt(Task(job, place), lambda *_: None).kind == "done"
    from safetensors.torch import load_file

    first, second = (
        load_file(Store(grid.store).record(j.key).file("encoder.safetensors"))
        for j in (jobs["first/pretrain/0"], still)
    )
    learned = [name for name, value in first.items() if value.is_floating_point() and "running" not in name]
    assert all(first[name].equal(second[name]) for name in learned)
    assert len(learned) > 10


def test_what_follows_a_failure_waits_for_it_down_the_line(planned):
    found, grid = planned()
    first = next(p.job for p in found if p.job.id == "first/pretrain/0")
    Store(grid.store).fail(first.key, {"id": first.id, "key": first.key, "error": "a reason"})
    states = {p.job.id: (p.state, p.why) for p in planned()[0]}
    why = "first/pretrain/0 failed: a reason"
    assert states["second/pretrain/0"] == states["second/fgadr/knn/0"] == ("failed", why)
    assert states["second/pretrain/1"][0] == "run"


SAME = 'a = { plugin = "simclr", pretrain = { init = "method:b" } }\n'


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ('a = { plugin = "simclr", pretrain = { init = "method:a" } }', "a circle, `a` <- `a`; none can be first"),
        (
            SAME + 'b = { plugin = "simclr", pretrain = { init = "method:a" } }',
            "a circle, `a` <- `b` <- `a`",
        ),
        ('a = { plugin = "simclr", pretrain = { init = "method:aa" } }', "unknown method that is pretrained here `aa`"),
        (
            SAME + 'b = { plugin = "byol", backbone = "resnet18" }',
            "`b` trains another backbone, `resnet18`",
        ),
    ],
)
def test_a_circle_and_a_stranger_are_refused_before_anything_runs(write_grid, entries, message):
    text = f'[pretrain]\ncorpus = ["fgadr"]\nbackbone = "resnet10t"\n[methods]\n{entries}\n[tasks]\nfgadr = {{}}\n'
    with pytest.raises(BenchError) as refused:
        load(write_grid(text))
    assert message in str(refused.value)
    assert "[methods.a] pretrain init" in str(refused.value) or "[methods.b]" in str(refused.value)
