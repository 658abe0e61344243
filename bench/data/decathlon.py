"""Folders of the Medical Segmentation Decathlon and of nnU-Net: imagesTr, labelsTr, and a dataset.json that says what.

Antonelli et al., The Medical Segmentation Decathlon, arXiv:2106.05735; Isensee et al., nnU-Net, arXiv:1904.08128, which
writes one file for each channel of an image, numbered, and from its version 2 on labels the other way round.
"""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from bench.data.folders import enclosing, index_volumes, require_folder, stem_of
from bench.errors import BenchError
from bench.spec import Case, Mask

LARGEST = 16 * 2**20  # bytes of a dataset.json: one of 10,000 cases has two
CHANNEL = re.compile(r"_\d{4}\Z")


def read_cases(
    folder: Path,
    classes: tuple[str, ...],
    *,
    channel: int = 0,
    patient: str = "",
    alike: Mapping[str, str] | None = None,
) -> tuple[Case, ...]:
    """The labelled cases of `folder`, or of the only folder in it that is of this layout, in natural order of names.

    Where dataset.json states labels, they have to be `classes`, in any letter case; `alike` gives other words for them.
    `channel` chooses one of nnU-Net's. `patient` is a regular expression for what in a case's name tells the patient
    (its first group, if it has one); without it, each case is another patient.

    Raises BenchError for files and a dataset.json that do not agree, and for one that cannot be read.
    """
    home = enclosing(folder, "imagesTr")
    about = read_about(home / "dataset.json")
    _require_classes(home / "dataset.json", about, classes, alike or {})
    labels = index_volumes(require_folder(home, "labelsTr"))
    images = _images(index_volumes(home / "imagesTr"), labels, channel)
    _require_entries(home / "dataset.json", about, labels)
    return tuple(
        Case(name, images[name], masks=(Mask(path),), group=patient_of(name, patient)) for name, path in labels.items()
    )


def patient_of(name: str, pattern: str) -> str:
    """What `pattern` finds in a case's name: its first group, if it has one. Raises BenchError if that is nothing."""
    if not pattern:
        return ""
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise BenchError(f"patient: `{pattern}` is no regular expression: {error}") from error
    if not found or not (patient := found[1] if found.re.groups else found[0]):
        raise BenchError(f"patient: `{pattern}` finds nothing in the name of case {name}")
    return patient


# ----------------------------------------------------------------------------------------------------- files


def _images(images: Mapping[str, Path], labels: Mapping[str, Path], channel: int) -> dict[str, Path]:
    """The image of each label. Raises BenchError if one has none or two, or an image has no label."""
    for name, path in images.items():
        if name not in labels and CHANNEL.sub("", name) not in labels:
            raise BenchError(f"{path}: has no label in labelsTr; images without one belong into imagesTs")
    found = {}
    for name, path in labels.items():
        numbered = f"{name}_{channel:04d}"
        names = [one for one in (name, numbered) if one in images and (one == numbered or not channel)]
        if not names:
            raise BenchError(f"{path}: has no image {numbered} in imagesTr{'' if channel else f', and no {name}'}")
        if len(names) > 1:
            raise BenchError(f"{path}: {name} and {numbered} in imagesTr both are its image; keep one")
        found[name] = images[names[0]]
    return found


# ---------------------------------------------------------------------------------------------- dataset.json


def read_about(path: Path) -> dict[str, Any]:
    """The content of a dataset.json. Raises BenchError if it is none, or larger than any."""
    if not path.is_file():
        raise BenchError(f"{path}: no such file; it comes with the data set and names the labels")
    if path.stat().st_size > LARGEST:
        raise BenchError(f"{path}: may have {LARGEST // 2**20} MiB, has {path.stat().st_size // 2**20}")
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BenchError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise BenchError(f"{path}: is no table of keys and values")
    return content


def read_names(path: Path, about: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels that a dataset.json states, by number, in either form: number to name, or name to number.

    Empty if it states none. Raises BenchError for labels without numbers of their own, 0 and up with none left out.
    """
    stated = about.get("labels", {})
    if not isinstance(stated, dict):
        raise BenchError(f"{path}: `labels` is no table of keys and values")
    names: dict[int, str] = {}
    for key, value in stated.items():
        number, name = (int(key), value) if re.fullmatch("[0-9]{1,3}", key) else (value, key)
        if type(number) is not int or not isinstance(name, str) or number in names:
            raise BenchError(f"{path}: label `{key}` = {value!r} is no class with a name and a number of its own")
        names[number] = name
    if sorted(names) != list(range(len(names))):
        raise BenchError(f"{path}: labels are numbered from 0 on with none left out, these are {sorted(names)}")
    return tuple(names[number] for number in range(len(names)))


def _require_classes(path: Path, about: Mapping[str, Any], classes: tuple[str, ...], alike: Mapping[str, str]) -> None:
    stated = read_names(path, about)
    if stated and [alike.get(name, name).lower() for name in stated] != [name.lower() for name in classes]:
        raise BenchError(
            f"{path}: its labels are {', '.join(stated)}, and the classes of the task {', '.join(classes)}; a task of "
            f'the grid for these labels has plugin = "msd" and classes = {json.dumps(stated)}'
        )


def _require_entries(path: Path, about: Mapping[str, Any], labels: Collection[str]) -> None:
    """Refuse entries that are no pair of files in this folder, and one without files in a set that is whole.

    A set is whole if it has as many labels as `numTraining` says: then a file that lacks is there by another name.
    """
    entries = about.get("training", [])
    if not isinstance(entries, list):
        raise BenchError(f"{path}: `training` is no list")
    listed = [_name(path, entry) for entry in entries]
    whole = about.get("numTraining", len(listed))
    if type(whole) is not int:
        raise BenchError(f"{path}: `numTraining` is no whole number but {whole!r}")
    absent = [name for name in listed if name not in labels]
    if absent and len(labels) >= whole:
        raise BenchError(f"{path}: names {absent[0]}, of which there is no file; {len(labels)} others are there")


def _name(path: Path, entry: Any) -> str:
    """The name of the case that an entry of `training` is about. Raises BenchError."""
    stated = [entry.get("image"), entry.get("label")] if isinstance(entry, dict) else []
    pair = [one.replace("\\", "/") for one in stated if isinstance(one, str)]
    if len(pair) != 2:
        raise BenchError(f"{path}: an entry of `training` has an `image` and a `label`, not {str(entry)[:80]}")
    for one in map(PurePosixPath, pair):
        if not one.name or ".." in one.parts or one.parts[0].endswith((":", "/")):
            raise BenchError(f"{path}: `{one}` is no file in the folder of dataset.json")
    image, label = (stem_of(PurePosixPath(one).name) for one in pair)
    if label not in (image, CHANNEL.sub("", image)):
        raise BenchError(f"{path}: pairs {pair[0]} with {pair[1]}; the files of a case have one name")
    return label
