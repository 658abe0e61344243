"""The life of a job: what is kept of a pretraining's history, and of what cannot be a result."""

import re

import numpy as np
from PIL import Image
from timm import create_model

from bench.attempt import attempt
from bench.config import load
from bench.executors import Place, Task
from bench.leaderboard.building import build
from bench.leaderboard.results import results, stored
from bench.plan import plan
from bench.run import run
from bench.store import Store

GRID = """
[pretrain]
backbone = "resnet10t"
image_size = 32
[methods]
random_init = {}
[tasks]
brain_tumor = { protocols = ["finetune"], finetune = { epochs = 2, lr = 1e30 } }
"""


def test_scores_that_are_no_numbers_are_a_failure_that_says_so(write_grid, phantoms, tmp_path):
    config = load(write_grid(GRID), data=str(phantoms))
    store = Store(config.store)
    (found,) = plan(config, store)
    message = r"finetune: log_loss is not finite for 40 of 40 test cases, .* a lower \[protocols.finetune\] lr may help"
    answer = attempt(Task(found.job, Place(store=config.store, base=tmp_path)), lambda what, done, of: None)
    assert answer.kind == "failed"
    assert re.match(message, answer.what)
    assert store.record(found.job.key) is None
    failure = store.failure(found.job.key)
    assert failure["error"] == answer.what
    assert "BenchError" in failure["traceback"]
    assert [p.state for p in plan(config, store)] == ["failed"]


LOGGING = """
import math
from bench.spec import Method, ssl_method

@ssl_method("logging", paper="none")
class Logging(Method):
    def loss(self, views):
        self.log("one", 1)
        self.log("bad", math.inf)
        return self.encoder(views[0].images).pooled.square().mean()
"""
LOGGED = """
plugins = ["logging.py"]
[pretrain]
corpus = ["brain_tumor"]
backbone = "resnet10t"
image_size = 32
epochs = 2
batch_size = 16
[methods]
logging = {}
[tasks]
brain_tumor = { protocols = ["knn"] }
"""


def test_a_number_that_is_not_finite_is_null_in_the_record_and_stops_nothing(write_grid, phantoms, tmp_path):
    (tmp_path / "logging.py").write_text(LOGGING)
    config = load(write_grid(LOGGED), data=str(phantoms))
    pretraining = plan(config, Store(config.store))[0].job
    record = run(pretraining, Place(store=config.store, base=tmp_path), lambda what, done, of: None)
    history = dict(record.facts["history"])
    first, last = history.pop("loss")
    assert 0 < last < first
    assert all(len(history.pop(name)) == 2 for name in ("effective_rank", "embedding_std"))
    assert history == {"one": [1.0, 1.0], "bad": [None, None]}


HEARTS = """
from bench.data.folders import index_by_stem
from bench.spec import Case, Image, Part, Splits, task

@task("hearts", title="Hearts", modality="none", classes=("a", "b"), case="image", licence="none", citation="none",
      url="https://example.org", layout={"all": Part(16, (Image("p{n}.png"),))}, protocols=("knn",))
def hearts(folder):
    cases = [Case(k, p, n % 2, group=f"patient {n // 2}")
             for n, (k, p) in enumerate(sorted(index_by_stem(folder).items()))]
    return Splits(tuple(cases[8:12]), tuple(cases[12:]), tuple(cases[:8]))
"""
GROUPED = """
plugins = ["hearts.py"]
[pretrain]
backbone = "resnet10t"
image_size = 32
[methods]
random_init = { group = "ours" }
simple = { plugin = "imagenet_supervised", weights = "random" }
[tasks]
hearts = {}
brain_tumor = { protocols = ["knn"] }
"""


def test_a_record_says_whose_cases_are_whose_and_what_a_board_says_of_its_row(write_grid, phantoms, tmp_path):
    """As of ACDC, with two volumes of each patient; of a task without patients nothing is said."""
    (tmp_path / "hearts.py").write_text(HEARTS)
    (tmp_path / "data" / "hearts").mkdir(parents=True)
    (tmp_path / "data" / "brain_tumor").symlink_to(phantoms / "brain_tumor")
    for n in range(16):
        Image.fromarray(np.full((32, 32), 9 * n, np.uint8)).save(tmp_path / f"data/hearts/p{n:02d}.png")
    config = load(write_grid(GROUPED), data=str(tmp_path / "data"))
    store = Store(config.store)
    for found in plan(config, store):
        run(found.job, Place(store=config.store, base=tmp_path), lambda what, done, of: None)
    records = {planned.job.id: planned.record for planned in plan(config, store)}
    facts = records["random_init/hearts/knn/0"].facts
    assert facts["patients"] == {f"p{n:02d}": f"patient {n // 2}" for n in range(8)}
    assert "patients" not in records["random_init/brain_tumor/knn/0"].facts
    network = create_model("resnet10t", num_classes=0)
    assert facts["parameters"] == sum(weights.numel() for weights in network.parameters())
    assert (facts["group"], "group" in records["simple/hearts/knn/0"].facts) == ("ours", False)
    of = {result.name: result for result in stored(store)}
    assert of["random_init/hearts/knn/0"].patients == tuple(f"patient {n // 2}" for n in range(8))
    assert (of["random_init/hearts/knn/0"].group, of["simple/hearts/knn/0"].group) == ("ours", "supervised")
    assert of["simple/hearts/knn/0"].record == records["simple/hearts/knn/0"].key
    assert "a patient's cases together" in build([*of.values()])[0].interval
    planned = results(plan(config, store))
    assert {(r.name, r.group, r.record, r.patients) for r in planned} == {
        (r.name, r.group, r.record, r.patients) for r in of.values()
    }
    assert {r.family for r in planned} == {"classification"}
    other = load(write_grid(GROUPED.replace('"ours"', '"theirs"')), data=str(tmp_path / "data"))
    assert [p.state for p in plan(other, store)] == ["cached"] * 4  # a group is no part of a key
