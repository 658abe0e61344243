"""The paper's tables are filled from here: its columns, rows, groups and metrics, and what it has that is not here."""

import numpy as np
import pytest

from bench.errors import BenchError
from bench.leaderboard.beside import Identity, set_beside
from bench.leaderboard.building import build
from bench.leaderboard.layouts import LAYOUTS, layout
from bench.leaderboard.published import load, shipped
from bench.leaderboard.result import Result
from bench.registry import discover

NUMBERS = load(
    sorted(shipped().glob("*.csv")), *({p.name for p in discover().all(kind)} for kind in ("task", "protocol"))
)
KNOWN = {
    "ours": Identity("lvm_med", "resnet10t"),
    "released": Identity("lvm_med_vit", "vit_b"),
    "SAM": Identity("sam", "vit_b"),
    "floor": Identity("random_init", "resnet50"),
    "mine": Identity("mine", "resnet50"),
}


def result(method: str, task: str, protocol: str, right: int | None = 10, **facts: object) -> Result:
    cases = tuple(map(str, range(20))) if right is not None else ()
    said: dict[str, object] = {"metric": "release_dice", "phantom": False, "found": 0, "official": 0, "group": "?"}
    return Result(
        **{**said, **facts}, method=method, task=task, protocol=protocol, seed=0, cases=cases,
        state="done" if cases else "pending", values=(np.arange(len(cases)) < (right or 0)).astype(float),
    )  # fmt: skip


def arranged(name: str, results):
    shape = layout(name, NUMBERS)
    found, notes = shape.arranged(results, KNOWN)
    return shape, found, notes


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("paper-table-2", ["isic2018", "jsrt", "kvasir", "drive", "buid"]),
        ("paper-table-3", ["brats2018/finetune", "mmwhs_ct/finetune", "mmwhs_mri/finetune"]),
        ("paper-table-4", ["prostate@BMC", "prostate@RUNMC", "prostate@BIDMC", "prostate@HK", "prostate@mean"]),
        ("paper-table-5", ["fgadr/linear", "brain_tumor/linear", "fgadr/finetune", "brain_tumor/finetune"]),
        ("paper-table-11", ["brats2018", "mmwhs_mri", "mmwhs_ct"]),
    ],
)
def test_columns_are_those_of_the_paper(name, columns):
    assert list(layout(name, NUMBERS).columns) == columns
    assert len(layout("paper-table-12", NUMBERS).columns) == 4


def test_rows_are_in_the_papers_order_and_groups_with_prompts_below():
    results = [
        result("SAM", "kvasir", "prompt", 15),
        result("SAM", "kvasir", "finetune", 8),
        result("ours", "isic2018", "finetune", 9),
        result("floor", "kvasir", "finetune", 4),
        result("floor", "isic2018", "finetune", 5),
        result("released", "kvasir", "prompt_zero_shot", 3),
    ]
    _, found, notes = arranged("paper-table-2", results)
    (table,) = build(found)
    assert [column.name for column in table.columns] == ["isic2018", "kvasir"]
    groups = [(row.method, row.group) for row in table.rows]
    assert groups[:4] == [
        ("floor", "supervised"),
        ("ours", "SSL on medical images"),
        ("SAM", "foundation models"),
        ("SAM (prompt)", "prompt-based"),
    ]
    cell = table.rows[3].cells[1]
    assert (cell.mean, cell.id) == (0.75, "SAM/kvasir/prompt")
    assert "columns and rows of table 2 of arXiv:2306.11925" in notes
    assert "without a result here: jsrt, drive, buid" in notes


def test_what_the_paper_has_not_is_left_out_and_named():
    results = [result("mine", "kvasir", "finetune"), result("floor", "kvasir", "finetune"),
               result("floor", "head", "finetune")]  # fmt: skip
    _, found, notes = arranged("paper-table-2", results)
    assert [one.method for one in found] == ["floor"]
    assert "no method of that table: mine" in notes


def test_a_method_stands_in_the_row_of_its_backbone():
    """LVM-Med has two rows in the paper: with a ResNet-50 among SSL, and with SAM's encoder among foundation models."""
    for backbone, group in (("resnet50", "SSL on medical images"), ("sam_vit_b", "foundation models")):
        shape = layout("paper-table-2", NUMBERS)
        (found,), _ = shape.arranged([result("x", "kvasir", "finetune")], {"x": Identity("lvm_med", backbone)})
        assert found.group == group


def test_a_task_of_several_sites_that_is_not_done_is_pending_at_each():
    _, found, _ = arranged("paper-table-4", [result("floor", "prostate", "finetune", None)])
    assert [one.column for one in found] == list(layout("paper-table-4", NUMBERS).columns)
    assert [one.part for one in found] == [True] * 4 + [False]


def test_its_metrics_are_those_that_the_paper_prints():
    assert layout("paper-table-2", NUMBERS).metrics["kvasir", "finetune"] == "release_dice"
    assert layout("paper-table-3", NUMBERS).metrics["mmwhs_ct", "finetune"] == "release_iou"
    assert layout("paper-table-4", NUMBERS).metrics["prostate", "finetune"] == "release_dice"
    assert layout("paper-table-5", NUMBERS).metrics["fgadr", "linear"] == "accuracy"


def test_printed_numbers_stand_in_its_columns_and_prompts_meet_prompts():
    results = [result("SAM", "kvasir", "prompt", 15), result("SAM", "kvasir", "finetune", 8)]
    shape, found, _ = arranged("paper-table-2", results)
    (table,) = build(found)
    table = set_beside(table, shape.printed(), shape.known(KNOWN))
    printed = {row.method.removeprefix("‡ "): row.cells[0].mean for row in table.rows if row.source}
    assert printed["sam, sam_vit_b"] == pytest.approx(0.7075)
    assert printed["sam (prompt), sam_vit_b"] == pytest.approx(0.8937)
    assert printed["sam (prompt_zero_shot), sam_vit_b"] == pytest.approx(0.8077)
    assert {d.method: d.printed.value for d in table.beside.differences} == {
        "SAM": pytest.approx(0.7075),
        "SAM (prompt)": pytest.approx(0.8937),
    }


def test_a_layout_that_is_none_is_an_error():
    with pytest.raises(BenchError, match="unknown layout `paper-table-6`; did you mean `paper-table-5`"):
        layout("paper-table-6", NUMBERS)
    assert set(LAYOUTS) == {f"paper-table-{n}" for n in (2, 3, 4, 5, 11, 12)}
