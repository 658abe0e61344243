"""The life of a job: what is kept of a pretraining's history, and of what cannot be a result."""

import re

from bench.attempt import attempt
from bench.config import load
from bench.executors import Place, Task
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
