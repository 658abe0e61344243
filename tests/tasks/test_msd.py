"""Any set of the Decathlon: what a grid names, what dataset.json names, channels, patients and a list of the split."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.folders import status
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "msd_hippocampus"
TASK = runpy.run_path(str(ROOT / "tasks" / "msd.py"))["msd"]
SPLEEN = TASK.configured("spleen", {"classes": ["background", "spleen"]})


def fill(folder, names, labels):
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
        for name in names:
            suffix = "_0001" if part == "imagesTr" else ""
            (folder / part / f"{name}{suffix}.nii.gz").touch()
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


def test_a_phantom_reads_back_under_whatever_classes_a_grid_names(tmp_path):
    for classes in (["background", "spleen"], ["background", "liver", "tumour", "vessel"]):
        task = TASK.configured("organ", {"classes": classes})
        assert task.info.classes == tuple(classes)
        (part,) = task.info.layout.values()
        drawn = replace(task, info=replace(task.info, layout={"training": replace(part, official=9)}))
        folder = tmp_path / classes[1]
        draw(drawn, folder, cases=6)
        assert [len(cases) for _, cases in task.splits(folder)] == [3, 1, 2]
        assert status(task, folder).parts == {"training": (6, 0)}
        assert status(task, folder).state == "complete"


def test_classes_have_to_be_those_of_dataset_json_which_are_told(tmp_path):
    folder = fill(tmp_path / "spleen", "abcdefgh", {"background": 0, "Spleen": 1})
    with pytest.raises(BenchError, match=r"has no image a_0000 in imagesTr"):
        SPLEEN.splits(folder)
    spleen = SPLEEN.configured("spleen", {"classes": ["background", "spleen"], "channel": 1})
    assert len(spleen.splits(folder).train) == 4
    with pytest.raises(BenchError, match=r'classes = \["background", "Spleen"\]'):
        TASK.splits(folder, channel=1)
    for wrong in ((), ("background",), ("background", *map(str, range(255)))):
        with pytest.raises(BenchError, match="`classes` needs the background and 1 to 254 structures"):
            TASK.splits(folder, classes=wrong)


def test_patients_stay_together_and_a_list_may_give_the_split(tmp_path):
    names = [f"p{n}_{part}" for n in range(6) for part in "ab"]
    folder = fill(tmp_path / "spleen", names, {"0": "background", "1": "spleen"})
    given = {"classes": ["background", "spleen"], "channel": 1, "patient": r"p\d"}
    parts = [{case.group for case in cases} for _, cases in TASK.configured("s", given).splits(folder)]
    assert sum(map(len, parts)) == 6
    (tmp_path / "split.json").write_text(json.dumps({"train": ["p0", "p1", "p2", "p3"], "val": ["p4"], "test": ["p5"]}))
    splits = TASK.configured("s", given | {"split": "split.json"}).splits(folder)
    assert [[case.id for case in cases] for _, cases in splits] == [names[:8], names[8:10], names[10:]]
    (tmp_path / "split.json").write_text(json.dumps({"train": ["p0"], "val": ["p4"], "test": ["p5"]}))
    with pytest.raises(BenchError, match=r"split\.json: p1_a"):
        TASK.configured("s", given | {"split": "split.json"}).splits(folder)


@pytest.mark.skipif(not REAL.is_dir(), reason="no real volumes in ../shared/data/msd_hippocampus")
def test_a_real_set_is_read_under_the_classes_that_its_dataset_json_names():
    with pytest.raises(BenchError, match=r'classes = \["background", "Anterior", "Posterior"\]'):
        SPLEEN.splits(REAL)
    task = TASK.configured("hippocampus", {"classes": ["background", "anterior", "posterior"]})
    assert sum(len(cases) for _, cases in task.splits(REAL)) == 130
    assert status(task, REAL).parts == {"training": (130, 0)}
