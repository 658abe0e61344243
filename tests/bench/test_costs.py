"""What a job will cost by the records of like ones: which are taken, how they are scaled, how far they are trusted."""

import math
from dataclasses import replace

import pytest

from bench.config import Executor, load
from bench.costs import Book, book, natures, seconds
from bench.forecast import Forecast, forecast, wall
from bench.machine import Machine, cpu_name
from bench.plan import Planned, jobs, plan
from bench.sizes import Sizes
from bench.sources import find_sources
from bench.store import Store

GRID = """
[bench]
seeds = [0, 1, 2]
[pretrain]
corpus = ["brain_tumor"]
backbone = "resnet10t"
epochs = 10
batch_size = 16
[methods]
random_init = {}
simclr = {}
byol = {}
hot = { plugin = "simclr", temperature = 0.5 }
long = { plugin = "simclr", pretrain = { epochs = 40 } }
wide = { plugin = "simclr", backbone = "resnet18" }
[tasks]
brain_tumor = { protocols = ["linear", "finetune"] }
fgadr = { protocols = ["linear"] }
kvasir = { protocols = ["finetune"] }
[executor]
kind = "inline"
device = "cpu"
"""
HERE = {"device": cpu_name(), "threads": 1}
CASES = {"train": 60, "val": 20, "test": 20}


class Place:
    """A grid on phantoms that are not drawn, its store, and records of its jobs made by hand."""

    def __init__(self, path, finish):
        self.grid = load(path)
        self.store = Store(self.grid.store)
        self.jobs = {job.id: job for job in jobs(self.grid, find_sources(self.grid, self.store))}
        self.finish = finish

    def done(self, name, seconds, **facts):
        job = self.jobs[name]
        own = {"cases": CASES} if job.kind == "evaluate" else {"images": 64, "images_per_second": 640 / seconds}
        own = {"environment": HERE, "peak_memory_mb": 100, "seconds": seconds} | own
        return self.finish(job, self.store, **(own | facts))

    def book(self, machine=Machine(cpu_name(), 1)) -> Book:  # noqa: B008
        return Book(list(Store(self.grid.store).records()), machine, natures(self.jobs.values()))

    def told(self, name, **machine):
        return self.book(**machine).estimate(self.jobs[name])


@pytest.fixture
def place(write_grid, finish):
    return Place(write_grid(GRID), finish)


def test_nothing_is_known_where_there_are_no_records(place):
    told = place.told("simclr/pretrain/0")
    assert not told.known
    assert (told.source, told.basis, told.rough) == ("unknown", "unknown", True)


def test_a_job_costs_what_its_other_seeds_did_in_the_middle(place):
    for seed, time in enumerate((10.0, 40.0, 12.0)):
        place.done(f"simclr/pretrain/{seed}", time, peak_memory_mb=100 + seed)
        place.done(f"byol/pretrain/{seed}", 500.0)
    told = place.told("simclr/pretrain/0")
    assert told.seconds == pytest.approx(12)
    assert told.memory_mb == 101
    assert told.source == "3 records of this pretraining, other seeds or code"
    assert not told.rough
    assert place.told("byol/pretrain/1").seconds == pytest.approx(500)


def test_one_record_is_trusted_less_than_several_that_agree_and_those_less_than_one_that_differs(place):
    place.done("simclr/pretrain/0", 100.0)
    alone = place.told("simclr/pretrain/1")
    assert alone.high / 100 == pytest.approx(100 / alone.low) == pytest.approx(math.exp(1.28 * 0.2 * math.sqrt(2)))
    place.done("simclr/pretrain/1", 100.0)
    place.done("simclr/pretrain/2", 100.0)
    agreed = place.told("simclr/pretrain/1")
    assert agreed.high / agreed.seconds == pytest.approx(1.15)
    place.done("byol/pretrain/0", 100.0)
    place.done("byol/pretrain/1", 200.0)
    split = place.told("byol/pretrain/2")
    assert split.low < 100
    assert split.high > 200


def test_a_cell_costs_what_cells_with_another_encoder_of_the_kind_did(place):
    place.done("simclr/brain_tumor/linear/0", 6.0)
    place.done("byol/brain_tumor/linear/0", 8.0)
    place.done("wide/brain_tumor/linear/0", 80.0)
    told = place.told("random_init/brain_tumor/linear/0")
    assert told.seconds == pytest.approx(math.sqrt(48))
    assert told.source == "2 records of such cells of other methods"
    assert place.told("wide/brain_tumor/linear/1").seconds == pytest.approx(80)
    assert place.told("simclr/brain_tumor/linear/1").source.startswith("1 record of this cell")


def test_pretrainings_are_scaled_by_images_and_epochs(place):
    place.done("simclr/pretrain/0", 10.0)
    long = place.told("long/pretrain/0")
    assert long.seconds == pytest.approx(40)
    assert place.told("hot/pretrain/0").seconds == pytest.approx(10)
    assert long.high / long.seconds >= 1.4
    assert not long.rough
    other = place.told("byol/pretrain/0")
    assert other.rough
    assert other.high / other.seconds == pytest.approx(2.5)
    assert place.told("wide/pretrain/0").high / other.seconds == pytest.approx(5)


def test_a_pretraining_that_went_on_from_a_checkpoint_took_longer_than_its_last_part(place):
    place.done("simclr/pretrain/0", 3.0, images_per_second=64.0)
    assert place.told("simclr/pretrain/1").seconds == pytest.approx(10)


def test_a_cell_on_another_task_is_scaled_by_cases_and_compared_only_with_what_is_scored_alike(place):
    place.done("simclr/brain_tumor/linear/0", 10.0)
    place.done("simclr/brain_tumor/finetune/0", 30.0)
    cases = sum(Sizes().cases(place.jobs["simclr/fgadr/linear/0"].sources[0]).values())
    told = place.told("simclr/fgadr/linear/0")
    assert told.seconds == pytest.approx(10 * cases / 100)
    assert told.rough
    assert told.high / told.seconds == pytest.approx(4)
    assert not place.told("simclr/kvasir/finetune/0").known  # masks, and not classes


def test_records_of_another_device_are_the_last_resort_and_named(place):
    gpu = {"device": "NVIDIA Some", "threads": 1}
    place.done("simclr/pretrain/0", 1.0, environment=gpu)
    told = place.told("simclr/pretrain/1")
    assert told.basis == "other device"
    assert "NVIDIA Some" in told.source
    assert told.rough
    assert told.high / told.seconds >= 3 * 1.15
    assert place.told("simclr/pretrain/1", machine=Machine("NVIDIA Some", 1, gpu=True)).basis == "records"
    place.done("byol/pretrain/0", 50.0)
    assert place.told("simclr/pretrain/1").seconds == pytest.approx(50)  # of another method, but here


def test_another_number_of_threads_is_another_device(place):
    place.done("simclr/pretrain/0", 10.0, environment=HERE | {"threads": 2})
    assert place.told("simclr/pretrain/1").basis == "other device"


def test_the_scheduler_is_told_something_of_every_job_that_is_not_done(place):
    place.done("simclr/pretrain/0", 10.0)
    found = plan(place.grid, place.store)
    told = seconds(found, place.store, place.grid.executor)
    assert told.keys() == {p.job.id for p in found if p.state != "cached"}
    assert told["long/pretrain/0"] == pytest.approx(4 * told["simclr/pretrain/1"])
    assert min(told.values()) > 0


def test_a_record_without_facts_of_cost_teaches_nothing_and_breaks_nothing(place):
    place.finish(place.jobs["simclr/pretrain/0"], place.store, seconds=0.0)
    place.finish(place.jobs["simclr/brain_tumor/linear/0"], place.store, seconds=2.0)
    assert not place.told("simclr/pretrain/1").known
    assert place.told("simclr/brain_tumor/linear/1").basis == "other device"


def test_phantoms_that_are_not_drawn_are_counted_by_their_layout(place):
    source = place.jobs["simclr/fgadr/linear/0"].sources[0]
    few, many = (sum(Sizes(drawn=count).cases(source).values()) for count in (16, 32))
    assert 0 < few < many


# ------------------------------------------------------------------------------------------- all together


def test_wall_time_keeps_cells_behind_their_pretraining_and_workers_busy(place):
    names = ["simclr/pretrain/0", "simclr/brain_tumor/linear/0", "random_init/brain_tumor/linear/0"]
    chosen, times = [place.jobs[name] for name in names], dict(zip(names, (100.0, 10.0, 30.0), strict=True))
    start = wall([], {}, Machine("", 1))
    assert start == 0
    one, two = (wall(chosen, times, Machine("", 1, workers)) for workers in (1, 2))
    assert one - two == pytest.approx(30)
    assert 110 < two < 125


def test_a_pretraining_on_several_devices_waits_until_they_are_free(place):
    names = ["simclr/pretrain/0", "byol/pretrain/0"]
    chosen, times = [place.jobs[name] for name in names], dict.fromkeys(names, 50.0)
    alone, both = (wall(chosen, times, Machine("gpu", 1, 2, width, gpu=True)) for width in (1, 2))
    assert both - alone == pytest.approx(50)


def told_of(place, **executor) -> Forecast:
    grid = replace(place.grid, executor=replace(place.grid.executor, **executor))
    return forecast(plan(grid, place.store), grid, place.store, 0.0, print)


def test_the_sum_is_of_what_is_to_run_and_says_how_much_of_it_is_known(place):
    place.done("simclr/pretrain/0", 10.0)
    place.done("random_init/brain_tumor/linear/0", 7.0)
    whole = told_of(place)
    known = [cost.estimate for cost in whole.costs if cost.estimate.known]
    assert whole.seconds[0] == pytest.approx(sum(of.seconds for of in known))
    assert whole.seconds[1] < whole.seconds[0] < whole.seconds[2]
    assert whole.sure == {"records": pytest.approx(1)}
    assert whole.unknown == sum("finetune" in cost.job.id for cost in whole.costs) > 0
    assert whole.cpu_hours == pytest.approx(whole.seconds[0] / 3600)
    assert whole.gpu_hours == 0
    assert "simclr/pretrain/0" not in {cost.job.id for cost in whole.costs}


def test_disk_has_what_like_jobs_left_and_decoded_images_once_a_size(place):
    place.done("simclr/pretrain/0", 10.0)
    whole = told_of(place)
    left = next(c.disk_mb for c in whole.costs if c.job.id == "simclr/pretrain/1")
    folder = place.store.job(place.jobs["simclr/pretrain/0"].key)
    assert left == sum(f.stat().st_size for f in folder.iterdir()) / 2**20
    counted = Sizes().cases(place.jobs["simclr/fgadr/linear/0"].sources[0])
    assert whole.images_mb >= sum(counted.values()) * 3 * 64**2 / 2**20


def test_what_does_not_fit_is_said(place):
    place.done("simclr/pretrain/0", 10.0, peak_memory_mb=10**9)
    assert "memory" in told_of(place).warnings()[0]
    assert replace(told_of(place), disk_mb=1e12).warnings()[0].startswith("the disk")


def test_a_grid_that_is_done_costs_nothing(place):
    for name in place.jobs:
        place.done(name, 1.0)
    whole = told_of(place)
    assert (whole.costs, whole.seconds, whole.wall) == ((), (0, 0, 0), (0, 0, 0))


def test_a_cluster_is_taken_to_be_where_the_newest_record_was_made(place):
    place.done("simclr/pretrain/0", 10.0, environment={"device": "NVIDIA Far", "threads": 1})
    found = plan(place.grid, place.store)
    far = Executor(kind="slurm")
    assert seconds(found, place.store, far)["simclr/pretrain/1"] == pytest.approx(10)
    planned = [Planned(place.jobs["simclr/pretrain/1"], "run")]
    assert book(planned, place.store, Machine("NVIDIA Far", 1)).estimate(planned[0].job).basis == "records"
