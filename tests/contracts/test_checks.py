"""The contract suite turns red for plug-ins that are bad on purpose, and says which rule they break."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.checks import Broken, suite
from bench.errors import BenchError
from bench.registry import discover

ROOT = Path(__file__).resolve().parents[2]

METHOD = """
import random

import torch

from bench.spec import Method, Views, ssl_method


@ssl_method("plug", paper="none")
class Plug(Method):
    views = Views(global_crops=1)

    def __init__(self, encoder):
        super().__init__(encoder)
        self.head = torch.nn.Linear(encoder.dim, 4)
        self.calls = 0

    def loss(self, views):
        pooled = self.encoder(views[0].images).pooled
        loss = (self.head(pooled) - 1).square().mean()
        return loss
"""

ENCODER = """
import torch

from bench.encoders.timm import TimmEncoder
from bench.spec import Features, foundation_model


@foundation_model("plug", paper="none", licence="none", trained_on="nothing")
def plug(backbone, weights, image_size):
    encoder = TimmEncoder(backbone, image_size=image_size)
    return encoder


def changed(encoder, change):
    encoder.register_forward_hook(lambda module, inputs, out: Features(change(out.pooled), out.maps))
    return encoder
"""

TASK = """
from bench.data.folders import index_by_stem
from bench.spec import Case, Image, Part, Splits, task


@task(
    "plug", title="A plug", modality="none", classes=("a", "b"), case="image", licence="none", citation="none",
    url="none", layout={"all": Part(60, (Image("{name}/{n}.png"),))}, protocols=("linear",),
)
def plug(folder):
    cases = [Case(stem, path, k) for k, c in enumerate("ab") for stem, path in index_by_stem(folder / c).items()]
    return Splits(tuple(cases[::3]), tuple(cases[1::3]), tuple(cases[2::3]))
"""

RULES = {
    METHOD: [
        "is found, and loads as what its file says",
        "has views that can be drawn",
        "gives a finite scalar loss with a gradient everywhere",
        "learns a batch",
        "runs to the same bytes, resumed or not",
    ],
    ENCODER: ["is found, and loads as what its file says", "builds an encoder that is as stated"],
    TASK: ["is found, and loads as what its file says", "has a full task card", "reads its own phantom"],
}

# What is replaced in a good plug-in by what, the rule that this breaks, and what is said of it.
FAULTS = {
    "loss is NaN": (METHOD, "return loss", "return loss * float('nan')", 2, "loss: is nan on random images"),
    "no gradient": (METHOD, ".pooled", ".pooled.detach()", 2, r"no finite gradient to \d+ weights of the encoder"),
    "gradient in some weights": (
        METHOD,
        ".pooled",
        ".maps[1].mean((2, 3)).repeat(1, 3)",
        2,
        "weights of the encoder, such as",
    ),
    "goes up": (METHOD, "return loss", "return loss - 2 * loss.detach()", 3, r"30 steps on one batch: loss -"),
    "unseeded": (METHOD, "return loss", "return loss * random.random()", 4, "two runs with one seed differ"),
    "remembers": (
        METHOD,
        "return loss",
        "self.calls += 1; return loss + (self.head(pooled) / self.calls).mean()",
        4,
        "stopped and resumed, it ends elsewhere",
    ),
    "dim lies": (
        ENCODER,
        "return encoder\n\n",
        "encoder.dim = 7\n    return encoder\n\n",
        1,
        r"\(4, 96\), and dim is 7",
    ),
    "strides lie": (
        ENCODER,
        "return encoder\n\n",
        "encoder.strides = (4,) * 5\n    return encoder\n\n",
        1,
        "stated are",
    ),
    "not the same twice": (
        ENCODER,
        "return encoder\n\n",
        "return changed(encoder, lambda x: x + torch.rand_like(x))\n\n",
        1,
        "two results for one input",
    ),
    "mixes cases": (
        ENCODER,
        "return encoder\n\n",
        "return changed(encoder, lambda x: x - x.mean(0))\n\n",
        1,
        "features depend on its batch",
    ),
    "empty card": (TASK, 'citation="none"', 'citation=" "', 1, "`citation` is empty"),
    "splits overlap": (TASK, "cases[1::3]", "cases[0::3]", 2, "a case is in two splits"),
    "no validation": (TASK, "tuple(cases[1::3])", "()", 2, "val: no case in it"),
    "target out of range": (TASK, "Case(stem, path, k)", "Case(stem, path, k + 1)", 2, "a target is out of range"),
    "class missing": (TASK, "tuple(cases[::3])", "tuple(c for c in cases[::3] if c.target)", 2, "a class is missing"),
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def found(tmp_path):
    """The checks of a plug-in of that source, by title."""

    def find(text, name="plug"):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        (plugin,) = [p for p in discover([str(path)]).plugins if p.file == path]
        return dict(suite(plugin))

    return find


@pytest.mark.parametrize("text", RULES, ids=["method", "encoder", "task"])
def test_good_plug_ins_keep_every_rule(found, text):
    checks = found(text)
    assert list(checks) == RULES[text]
    for check in checks.values():
        check()


@pytest.mark.parametrize(("text", "old", "new", "rule", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told(found, text, old, new, rule, message):
    assert text.count(old) == 1
    check = found(text.replace(old, new))[RULES[text][rule]]
    with pytest.raises(Broken, match=message):
        check()


UNLOADABLE = {
    "syntax": ("def plug(:", "SyntaxError"),
    "no plug-in": ("x = 1\n", "no @ssl_method"),
    "package": (METHOD.replace("import random", "import no_such_package"), "pip install no_such_package"),
    "raises": (METHOD.replace("import random", "import random\nrandom.nope()"), "AttributeError"),
    "raises in its class": (METHOD.replace("views = Views(", "views = Views(nope=1, "), "nope"),
}


@pytest.mark.parametrize(("text", "message"), UNLOADABLE.values(), ids=UNLOADABLE)
def test_a_plug_in_that_does_not_load_fails_its_first_check(found, text, message):
    checks = found(text)
    with pytest.raises(BenchError, match=message):
        checks[RULES[METHOD][0]]()


def test_a_file_of_another_name(found):
    with pytest.raises(Broken, match=r"its file is called other.py"):
        found(TASK, name="other")[RULES[TASK][0]]()


def test_bench_check_tells_of_a_loss_that_is_no_scalar(tmp_path):
    """On the real command line, where no type checks of the tests help."""
    (tmp_path / "plug.py").write_text(METHOD.replace("return loss", "return loss.expand(3)"))
    (tmp_path / "bench.toml").write_text('plugins = ["plug.py"]\n')
    done = subprocess.run(
        [Path(sys.executable).with_name("bench"), "check", "plug", "--json"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert done.returncode == 1
    assert list(rows) == RULES[METHOD]
    assert rows[RULES[METHOD][2]]["state"] == "broken"
    assert "loss: must be a scalar, has shape (3,)" in rows[RULES[METHOD][2]]["why"]
    assert [rows[rule]["state"] for rule in RULES[METHOD][:2]] == ["ok", "ok"]
