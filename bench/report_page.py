"""The page of a report: what it is, what to keep in mind, how to run it again, and what each file holds."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from bench import __version__
from bench.durations import duration
from bench.keys import file_digest
from bench.leaderboard.words import PHANTOM, incomplete, plain, remarks
from bench.material import Board, Material, environment
from bench.privacy import files_of, private
from bench.store import Record

SUMS = "SHA256SUMS"
OTHERS = ("bench", "commit", "python", "system", "device", "threads")  # of an environment, that pip does not install
VERSION = re.compile(r"\d[\w.!-]*")  # less what a build adds after a plus, which no registry has
COMMIT = re.compile(r"[0-9a-f]{7,64}")
SAME = (
    "With this code, these versions and data, on a CPU, the numbers are the same to the last digit. The records"
    " themselves, to set beside others with `bench diff`, come from `bench export`."
)
ABOUT = {
    "records.csv": "a line for each record behind a number: id, key, time, device, commit, hashes of scores, weights",
    "settings.json": "all that went into the key of each record, by its id; the key is a hash of it",
    "environment.json": "every environment that records were made in, with how many; `records.csv` has its number",
    "grid.toml": "what was run; absolute paths are cut to their last name",
    "README.md": "this page",
    SUMS: "SHA-256 of all the other files",
}
ENDINGS = {
    ".md": "for reading",
    "-standalone.tex": "a document for pdflatex",
    ".tex": "to `\\input` into a paper with booktabs and siunitx",
    ".html": "to look into: one file, which needs no network; it holds the ids of the test cases",
    ".csv": "numbers at full precision, a line a cell",
    ".parquet": "the same, with types",
    ".json": "the same, nested",
}


def readme(material: Material, files: Sequence[str]) -> str:
    """The text of README.md; `files` are the other files of the report, but for its check sums."""
    parts = [_head(material), _keep_in_mind(material), _again(material), _data(material.records), _files(files)]
    return "\n".join(chain.from_iterable(parts)) + "\n"


def _head(material: Material) -> list[str]:
    records = material.records
    days = sorted({str(record.facts.get("started", ""))[:10] for record in records})
    when = f"on {days[0]}" if len(days) == 1 else f"from {days[0]} to {days[-1]}"
    cells = sum(record.facts.get("kind") == "evaluate" for record in records)
    pretrained = len(records) - cells
    return [
        f"# Results: {_escape(material.name)}" if material.name else "# Results",
        "",
        f"Written by `bench report` of medssl-bench {__version__} from {_many(len(records), 'record')}:"
        f" {_many(cells, 'cell')} and {_many(pretrained, 'pretraining')}, made {when}. Every number, table and figure"
        " here comes from those alone.",
        "",
        f"    sha256sum -c {SUMS}",
        "",
        "says whether the files are as they were written. The same records give the same bytes.",
    ]


def _keep_in_mind(material: Material) -> list[str]:
    lines = [_escape(private(line)) for board in material.boards for line in _remarks(board)]
    lines += [_escape(f"{name}: {private(why)}") for name, why in material.failed.items()]
    if material.damaged:
        lines.append(_escape(f"damaged, and left out: the records {', '.join(material.damaged)}"))
    if (several := len(material.environments)) > 1:
        lines.append(f"the records were made in {several} environments, which `environment.json` lists")
    return ["", "## What to keep in mind", "", *(f"- {line}" for line in lines or ["nothing"])]


def _remarks(board: Board) -> Iterator[str]:
    name = board.table.name
    if board.table.phantom:
        yield PHANTOM
    for note in [*remarks(board.table), *incomplete(board.table)]:
        yield f"{name} data: {note.text}"
    if not board.ranking.rows:
        yield f"{name} data: no methods that could be ranked, and so no critical-difference diagram"


# ---------------------------------------------------------------------------------------------- how to run it again


def _again(material: Material) -> list[str]:
    usual = material.environments[0][0]
    python = _version(usual.get("python"))
    minor = ".".join(python.split(".")[:2]) or "3"
    versions = {name: _version(value) for name, value in usual.items() if name not in OTHERS}
    packages = [f'"{name}=={version}"' for name, version in versions.items() if version]
    lines = ["", "## How to run it again", ""]
    lines += [*_code(material), ""]
    lines += [f"2. There, Python {python} and the packages that the numbers depend on:", ""]
    lines += [f"       python{minor} -m venv .venv && . .venv/bin/activate"]
    lines += [f"       pip install -e . {' '.join(packages)}".rstrip(), ""]
    lines += ["3. The data, a folder a task as published, in a FOLDER: `bench data status --data FOLDER` says what is"]
    lines += ["   there, and below is what there was.", ""]
    lines += [*_run(material), SAME, "", *_times(material.records)]
    return lines


def _run(material: Material) -> list[str]:
    if material.grid is None:
        return [
            "4. The grid: this report is of a store alone and has none. `settings.json` says what each record is of;",
            "   `bench report GRID --out FOLDER` writes the grid too.",
            "",
        ]
    return [
        *_named(material.grid),
        "4. In a new folder with a copy of `grid.toml`:",
        "",
        "       BENCH_DATA=FOLDER bench run grid.toml",
        "       BENCH_DATA=FOLDER bench report grid.toml --out again",
        "       diff -r again/tables THIS/tables     # nothing, where nothing differs",
        "",
    ]


def _version(value: Any) -> str:
    found = VERSION.match(str(value))
    return found.group() if found else ""


def _code(material: Material) -> list[str]:
    """The commit, or where there was none the version, that made most of the records, and the others."""
    counts = Counter[str]()
    for of, n in material.environments:
        commit = str(of.get("commit", ""))
        counts[commit if COMMIT.fullmatch(commit) else f"version {_version(of.get('bench')) or 'unknown'}"] += n
    (first, most), *rest = counts.most_common()
    if first.startswith("version"):
        lines = [f"1. The code of medssl-bench, {first}, which made {_many(most, 'record')}."]
    else:
        lines = [f"1. The code of medssl-bench that made {_many(most, 'record')}:", "", f"       git checkout {first}"]
    others = ", ".join(f"{name} ({n})" for name, n in rest)
    return lines + (["", f"   The others were made at {others}."] if others else [])


def _named(grid: Path) -> list[str]:
    """Files that the grid names, which a reader has to get."""
    found = files_of(grid)
    if not found:
        return []
    lines = ["   The grid names files that are not here, and have to lie where it says:", ""]
    return lines + [f"   - `{plain(name)}`, SHA-256 {file_digest(path)}" for name, path in found.items()] + [""]


def _times(records: Sequence[Record]) -> list[str]:
    """What it took, by device; a record says so of its own job."""
    lines = []
    of: dict[str, list[Record]] = {}
    for record in records:
        of.setdefault(str(environment(record).get("device", "an unknown device")), []).append(record)
    for device, own in sorted(of.items()):
        times = [_seconds(record) for record in own]
        pretrained = [_seconds(record) for record in own if record.facts.get("kind") == "pretrain"]
        part = f", {duration(sum(pretrained))} of it pretraining" if pretrained else ""
        memory = max((int(r.facts.get("peak_memory_mb", 0)) for r in own), default=0)
        lines.append(
            f"On {device} it took {duration(sum(times))} of one worker{part}, the longest job {duration(max(times))},"
            f" and {memory / 1000:.1f} GB of memory at most."
        )
    return [_escape(line) for line in lines]


def _seconds(record: Record) -> float:
    return float(record.facts.get("seconds", 0.0))


# ---------------------------------------------------------------------------------------------- data and files


def _data(records: Sequence[Record]) -> list[str]:
    found: dict[tuple[str, ...], None] = {}
    for record in records:
        for one in record.facts.get("data", []):
            of = f"{one['found']} of {one['official']}" if one["official"] > 0 else str(one["found"] or "drawn")
            found[(str(one["name"]), str(one["kind"]), of, str(one["fingerprint"]))] = None
    lines = ["", "## The data", "", "| data set | kind | cases found of the official | fingerprint |"]
    lines += ["| :--- | :--- | ---: | :--- |"]
    return lines + [f"| {' | '.join(map(_escape, row))} |" for row in sorted(found)]


def _files(files: Sequence[str]) -> list[str]:
    lines = ["", "## The files", "", "| file | what it is |", "| :--- | :--- |"]
    return lines + [f"| `{name}` | {_about(name)} |" for name in sorted([*files, "README.md", SUMS])]


def _about(name: str) -> str:
    if name in ABOUT:
        return ABOUT[name]
    folder, _, file = name.partition("/")
    kind = file.partition("-")[0].partition(".")[0]
    if folder == "figures":
        return f"{file.partition('-')[2].rpartition('.')[0].replace('-', ' ')}, {kind} data"
    ending = next((ending for ending in sorted(ENDINGS, key=len, reverse=True) if file.endswith(ending)), "")
    return f"the board of {kind} data, {ENDINGS.get(ending, file.rpartition('.')[2])}"


def _escape(text: str) -> str:
    return re.sub(r"([\\`|*<]|\[)", r"\\\1", plain(text))


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
