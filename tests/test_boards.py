"""Every grid that is shipped can be read, and asks only for what its plug-ins know."""

from pathlib import Path

import pytest

from bench.config import load

ROOT = Path(__file__).parents[1]
GRIDS = [ROOT / "bench.toml", *sorted(ROOT.glob("leaderboards/*/*.toml"))]


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_shipped_grid_can_be_read(path):
    grid = load(path)
    assert len(grid.seeds) * len(grid.methods) * len(grid.tasks) > 0


def test_the_ablations_differ_from_the_method_in_what_their_label_says():
    grid = load(ROOT / "leaderboards/ablation/table_6.toml")
    whole = grid.methods[0].settings
    changed = {e.label: {k for k in whole if e.settings[k] != whole[k]} for e in grid.methods[1:]}
    assert changed == {
        "lvm_med without second-order": {"second_order"},
        "lvm_med without message passing": {"message_passing"},
        "lvm_med without Gumbel noise": {"noise", "temperature"},
        "lvm_med without local": {"local"},
    }
