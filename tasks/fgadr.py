"""FGADR: grading diabetic retinopathy, from 0 (none) to 4 (proliferative), in fundus photographs.

Images are split by number as in the list published with DRG-Net: 1 to 1500 train, 1501 to 1841 test. Image 0 is in
neither: that list was, it seems, made by reading the table, which has no header, as though it had one.
"""

import re
from pathlib import Path

from bench.data.folders import hold_out, index_by_stem, read_rows, require_folder
from bench.errors import BenchError
from bench.spec import Case, Image, Part, Row, Splits, task

FILES = (
    Image("Seg-set/Original_Images/{n:04d}_1.png"),  # the suffix, 1 to 3, tells where an image comes from
    Row("Seg-set/DR_Seg_Grading_Label.csv", "{n:04d}_1.png,{label}"),
)
NAME = re.compile(r"(\d{4})_[123](\.\w+)?")


@task(
    "fgadr",
    title="FGADR diabetic retinopathy grading",
    modality="fundus photography",
    classes=("no_dr", "mild", "moderate", "severe", "proliferative"),
    case="image",
    licence="on request, non-commercial research only, no redistribution",
    citation="Zhou et al., A Benchmark for Studying Diabetic Retinopathy, IEEE TMI 2021, arXiv:2008.09772",
    url="https://csyizhou.github.io/FGADR/",
    layout={"train": Part(1500, FILES), "test": Part(341, FILES, first=1501), "left out": Part(1, FILES, first=0)},
    protocols=("linear", "knn", "finetune", "linear_mlp", "finetune_mlp"),
    recipe={  # LVM-Med's release (the paper, arXiv:2306.11925, has lr 1e-3); hidden layers: its appendix D.2
        "linear": {"epochs": 20, "batch_size": 32, "weight_decay": 0.005},
        "finetune": {"epochs": 30, "batch_size": 32, "weight_decay": 0.005, "lr": 1e-4},
        "linear_mlp": {"epochs": 20, "batch_size": 32, "weight_decay": 0.005, "hidden": (512, 128)},
        "finetune_mlp": {"epochs": 30, "batch_size": 32, "weight_decay": 0.005, "lr": 1e-4, "hidden": (512, 128)},
    },
)
def fgadr(folder: Path) -> Splits:
    """The published split; 20 % of its training images, drawn with seed 42, are for validation, as in LVM-Med."""
    images = require_folder(folder, "Seg-set", "Original_Images")
    cases = _cases(images, folder / "Seg-set" / "DR_Seg_Grading_Label.csv")
    train, val = hold_out([case for number, case in cases if 1 <= number <= 1500], 0.2, seed=42)
    return Splits(train, val, tuple(case for number, case in cases if number > 1500))


def _cases(folder: Path, table: Path) -> list[tuple[int, Case]]:
    """Every image with its number, by number. Raises BenchError unless images and rows are one to one."""
    images, places, cases = index_by_stem(folder), dict[str, str](), []
    for place, (name, grade) in read_rows(table, 2):
        form, stem = NAME.fullmatch(name), name.partition(".")[0]
        if not form or int(form[1]) > 1841 or grade not in {"0", "1", "2", "3", "4"}:
            rule = "0000_1.png,GRADE, numbers to 1841, grades 0 to 4, no header"
            raise BenchError(f"{place}: `{name},{grade}` is not of the form {rule}")
        if stem in places:
            raise BenchError(f"{place}: image {stem} has a row before, at {places[stem]}")
        if stem not in images:
            raise BenchError(f"{place}: image {stem} is not in {folder}")
        places[stem] = place
        cases.append((int(form[1]), Case(stem, images[stem], int(grade))))
    if ungraded := sorted(images.keys() - places.keys()):
        raise BenchError(f"{table}: has no row for {images[ungraded[0]]} and {len(ungraded) - 1} more images")
    return sorted(cases, key=lambda pair: pair[1].id)
