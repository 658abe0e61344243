"""Brain tumour: the published counts on real images, the published order, and folders that are wrong."""

import runpy
from collections import Counter
from pathlib import Path

import pytest
from sklearn.model_selection import train_test_split

from bench.data.folders import status
from bench.data.phantom import draw
from bench.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "brain_tumor"
TASK = runpy.run_path(str(ROOT / "tasks" / "brain_tumor.py"))["brain_tumor"]


@pytest.fixture
def phantom(tmp_path):
    draw(TASK, tmp_path / "brain_tumor", cases=20)
    return tmp_path / "brain_tumor"


def test_a_phantom_reads_back(phantom):
    splits = TASK.splits(phantom)
    assert [len(cases) for _, cases in splits] == [14, 6, 20]
    assert Counter(case.target for case in splits.test) == dict.fromkeys(range(4), 5)
    assert all(TASK.info.classes[case.target] == case.image.parent.name for _, cases in splits for case in cases)
    assert len({case.id for _, cases in splits for case in cases}) == 40
    assert status(TASK, phantom).parts == {"Training": (20, 2870), "Testing": (20, 394)}


def test_ids_go_by_published_place_and_format_does_not_matter(phantom):
    before = [(split, [case.id for case in cases]) for split, cases in TASK.splits(phantom)]
    for i, path in enumerate(sorted(phantom.glob("*/*/*.jpg"))):
        path.rename(path.with_suffix((".webp", ".PNG", ".jpeg")[i % 3]))
    assert [(split, [case.id for case in cases]) for split, cases in TASK.splits(phantom)] == before
    folder = phantom / "Training" / "no_tumor"
    (folder / "1.png").write_bytes(b"")
    ids = {case.id for _, cases in TASK.splits(phantom) for case in cases}
    assert {"Training/no_tumor/1", "Training/no_tumor/image(3)"} <= ids


def test_validation_is_the_draw_from_imagefolders_order(phantom):
    folder = phantom / "Training"
    names = [f"Training/{c.name}/{p.stem}" for c in sorted(folder.iterdir()) for p in sorted(c.iterdir())]
    train, val = train_test_split(names, test_size=0.3, random_state=42)
    splits = TASK.splits(phantom)
    assert [case.id for case in splits.train] == train
    assert [case.id for case in splits.val] == val


def test_wrong_folders_are_explained(phantom):
    for wrong in (phantom.parent, phantom / "Training"):
        with pytest.raises(BenchError, match=rf"was {phantom} meant\?"):
            TASK.splits(wrong)
    glioma = phantom / "Testing" / "glioma_tumor"
    for image in glioma.iterdir():
        image.unlink()
    with pytest.raises(BenchError, match=r"Testing/glioma_tumor: holds no image"):
        TASK.splits(phantom)
    glioma.rmdir()
    with pytest.raises(BenchError, match=r"has no folder Testing/glioma_tumor"):
        TASK.splits(phantom)
    assert status(TASK, phantom).state == "broken"


@pytest.mark.skipif(not REAL.is_dir(), reason="no real images in ../shared/data/brain_tumor")
def test_real_images_give_the_published_counts():
    splits = TASK.splits(REAL)
    assert [len(cases) for _, cases in splits] == [2009, 861, 394]
    assert [sum(c.target == t for c in splits.test) for t in range(4)] == [100, 115, 105, 74]
    assert [sum(c.target == t for c in splits.train + splits.val) for t in range(4)] == [826, 822, 395, 827]
    assert len({case.id for _, cases in splits for case in cases}) == TASK.info.official == 3264
    assert status(TASK, REAL).state == "complete"
