"""The 55 data sets that LVM-Med was pretrained on: Table 13 of arXiv:2306.11925 as printed, beside what was released.

The table's totals add up to the paper's 1.3 million, but they count images, slices, volumes and patients alike, and
some of them a whole data set and others the part that was drawn. `listed` and `unit` are what the authors' released
file lists hold. Where a list or a data set's own documentation contradicts the printed modality, `actual` says it.
"""

import csv
import os
from collections import Counter
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

GROUPS = {"Ultrasound": "Other Grayscale", "OCT": "Other Grayscale"}  # the slices of figure 9 that hold several


@dataclass(frozen=True)
class Entry:
    """A row of Table 13. `split`: whether a published training part was taken, and not a sample of 20 %."""

    number: int
    name: str
    topic: str
    task: str
    modality: str
    dimension: str
    split: bool
    total: int
    listed: int | None  # lines of the released list; None: none was released
    unit: str  # what a line stands for
    actual: str  # what the modality is, where the table is wrong
    note: str


@dataclass(frozen=True)
class Found:
    """A data set's folder under the data root, and the files in it."""

    folder: Path
    files: int


def read_catalog() -> list[Entry]:
    """The table's 55 rows, in its order."""
    text = files("bench.data").joinpath("catalog.csv").read_text(encoding="utf-8")
    return [_entry(row) for row in csv.DictReader(text.splitlines())]


def shares(entries: list[Entry]) -> dict[str, float]:
    """Share of the data sets by printed modality, as figure 9 groups them; one of two modalities counts half for each.

    The figure is of data sets and not of images, though its caption does not say so: so counted it agrees in every
    number.
    """
    weights: Counter[str] = Counter()
    for entry in entries:
        names = entry.modality.split("/")
        for name in names:
            weights[GROUPS.get(name, name)] += 1 / len(names)  # type: ignore[assignment]
    return {name: weight / len(entries) for name, weight in weights.items()}


def on_disk(entries: list[Entry], root: Path) -> dict[int, Found]:
    """The data sets for which `root` has a folder of that name, letters and digits compared, by number."""
    if not root.is_dir():
        return {}
    folders = {_plain(place.name): place for place in sorted(root.iterdir()) if place.is_dir()}
    places = {entry.number: folders.get(_plain(entry.name)) for entry in entries}
    return {number: Found(place, _count(place)) for number, place in places.items() if place}


def _entry(row: dict[str, str]) -> Entry:
    return Entry(
        number=int(row["number"]),
        split=row["split"] == "yes",
        total=int(row["total"]),
        listed=int(row["listed"]) if row["listed"] else None,
        **{key: row[key] for key in ("name", "topic", "task", "modality", "dimension", "unit", "actual", "note")},
    )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _count(folder: Path) -> int:
    return sum(not name.startswith(".") for _, _, names in os.walk(folder) for name in names)
