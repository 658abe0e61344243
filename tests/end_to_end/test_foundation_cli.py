"""Every foundation model, small and with random weights, through every family of tasks by the real command line."""

import json

import pytest
from typer.testing import CliRunner

from bench.cli import app, look, run  # noqa: F401  (they add the commands)
from bench.registry import discover

HEAD = """
[bench]
name = "foundation"
[data]
phantom_cases = 16
[pretrain]
backbone = "test_resnet"
image_size = 32
[protocols.finetune]
epochs = 1
batch_size = 8
image_size = 64
[protocols.prompt]
epochs = 1
image_size = 64
[protocols.prompt_zero_shot]
image_size = 64
[tasks]
brain_tumor = { protocols = ["linear", "knn"] }
kvasir = { protocols = ["finetune"] }
[executor]
kind = "inline"
device = "cpu"
"""
SAMS = "vit_b depth=2 embed_dim=16 num_heads=2 global_attn_indexes=(1,) window_size=2"

pytestmark = pytest.mark.usefixtures("one_thread")


def bench(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.output} {result.exception}"
    return result.output


def test_all_run_to_the_end_with_every_family_of_tasks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = []
    for plugin in discover().all("method"):
        if plugin.decorator == "foundation_model":
            small = plugin.info.get("small") or {}
            own = f"backbone = {json.dumps(small['backbone'])}\n" if small else ""
            size = small.get("image_size", 32)
            if size % 8:  # of DINOv2's patches of 14, which with a decoder's of 16 would need images of 112 px
                own, size = own.replace('"\n', ' patch_size=8"\n'), 32
            entries.append(f'[methods.{plugin.name}]\nweights = "random"\n{own}pretrain = {{ image_size = {size} }}\n')
    assert len(entries) >= 14
    (tmp_path / "bench.toml").write_text("\n".join(entries) + HEAD)
    bench("run")
    (table,) = json.loads(bench("leaderboard", "--format", "json"))
    assert {row["name"] for row in table["rows"]} == {
        entry.split("]")[0].removeprefix("[methods.") for entry in entries
    }
    assert {cell["state"] for row in table["rows"] for cell in row["cells"]} == {"done"}
    assert len({row["cells"][0]["mean"] for row in table["rows"]}) > 1


def test_prompts_are_for_sams_encoders_and_others_are_told_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = "".join(
        f'[methods.{name}]\nweights = "random"\nbackbone = "{SAMS}"\n' for name in ("sam", "medsam", "lvm_med_vit")
    )
    grid = entries + "[methods.random_init]\n" + HEAD.replace('["finetune"]', '["prompt", "prompt_zero_shot"]')
    (tmp_path / "bench.toml").write_text(grid.replace('brain_tumor = { protocols = ["linear", "knn"] }', ""))
    said = bench("run", code=1)
    assert "needs an image encoder of SAM, such as" in " ".join(said.split())
    (table,) = json.loads(bench("leaderboard", "--format", "json"))
    states = {row["name"]: {cell["state"] for cell in row["cells"]} for row in table["rows"]}
    assert states == {"sam": {"done"}, "medsam": {"done"}, "lvm_med_vit": {"done"}, "random_init": {"failed"}}
