"""The life of a job: what is kept of one that cannot be a result."""

import pytest

from bench.config import load
from bench.errors import BenchError
from bench.executors import Place
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
    with pytest.raises(BenchError, match=message):
        run(found.job, Place(store=config.store, base=tmp_path), lambda what, done, of: None)
    assert store.record(found.job.key) is None
    assert "log_loss is not finite" in store.failure(found.job.key)["error"]
    assert [p.state for p in plan(config, store)] == ["failed"]
