"""Every plug-in that is found keeps its contract. A new file is tested here with no new line."""

import pytest

from bench.checks import suite
from bench.registry import discover

PLUGINS = discover().plugins
CONTRACTS = [
    pytest.param(check, id=f"{plugin.name}::{title}")
    for plugin in PLUGINS
    if plugin.kind in ("method", "task")
    for title, check in suite(plugin)
]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("check", CONTRACTS)
def test_contract(check):
    check()  # raises with the rule that is broken, or with why the plug-in cannot be loaded


@pytest.mark.parametrize("plugin", [p for p in PLUGINS if p.kind == "protocol"], ids=lambda plugin: plugin.name)
def test_protocol_loads_as_what_its_file_says(plugin):
    loaded = plugin.load()
    assert (loaded.name, loaded.title) == (plugin.name, plugin.info["title"])
    assert loaded.target == plugin.info.get("target", "class")


def test_the_shipped_plug_ins_are_found():
    found = {(p.kind, p.name) for p in PLUGINS}
    assert found >= {("method", name) for name in ("simclr", "random_init", "imagenet_supervised")}
    assert found >= {("task", name) for name in ("brain_tumor", "fgadr")}
    assert found >= {("protocol", name) for name in ("linear", "linear_mlp", "knn", "finetune", "finetune_mlp")}
    assert [f"{p.file.name}: {p.error}" for p in PLUGINS if p.error] == []
