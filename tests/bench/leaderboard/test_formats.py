"""Every format says the same, marks what is not whole, and takes names as text.

The boards of canned results lie in tests/golden; `GOLDEN=write pytest ...` draws them again, to be looked at.
"""

import csv as csv_module
import io
import json as json_module
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from bench.leaderboard.building import build
from bench.leaderboard.formats import FIELDS, csv, json, markdown
from bench.leaderboard.latex import latex
from bench.leaderboard.result import Result
from bench.leaderboard.screen import terminal
from bench.leaderboard.table import Table
from bench.leaderboard.words import EMPTY, PHANTOM

GOLDEN = Path(__file__).parents[2] / "golden"
HOSTILE = [
    "a|b",
    r"back\slash\|pipe",
    "`code`",
    "<script>alert(1)</script>",
    "[red]markup[/red]",
    "two\nlines\r\n| x |",
    "**bold** _em_ ~~gone~~",
    "[link](http://example.org)",
    "&lt;entity&#65;",
    "\x1b[31mescape\x07",
    "right\u202eto left",
    "",
]


def cell(method: str, column: str, *seeds: int | str, cases: int = 16, **changed: object) -> list[Result]:
    """A result for each seed: so many of its cases are right, or it has that state."""
    task, protocol = column.split("/")
    facts: dict[str, object] = {"metric": "accuracy", "phantom": False, "found": 0, "official": 0}
    return [
        Result(
            **{"method": method, "task": task, "protocol": protocol, "seed": seed} | facts | changed,
            state="done" if isinstance(right, int) else right,
            cases=tuple(f"case{i}" for i in range(cases)) if isinstance(right, int) else (),
            values=(np.arange(cases) < right).astype(float) if isinstance(right, int) else np.empty(0),
        )
        for seed, right in enumerate(seeds)
    ]


def canned() -> dict[str, tuple[Table, ...]]:
    whole, partial = {"found": 3264, "official": 3264, "seen": 251}, {"found": 1600, "official": 2594}
    drawn = {"found": 60, "official": 1842, "phantom": True}
    demo = [
        *cell("random_init", "brain_tumor/linear", 8, 10, **whole),
        *cell("random_init", "fgadr/linear", 8, 8, **partial),
        *cell("random_init", "kvasir/knn", 4, 4, **drawn),
        *cell("simclr", "brain_tumor/linear", 12, 13, **whole),
        *cell("simclr", "fgadr/linear", 9, 11, **partial),
        *cell("simclr", "kvasir/knn", 4, 4, **drawn),
        *cell("SimCLR, t = 0.5", "brain_tumor/linear", 13, 12, **whole),
        *cell("SimCLR, t = 0.5", "fgadr/linear", 12, "failed", **partial),
        *cell("SimCLR, t = 0.5", "kvasir/knn", "failed", "failed", **drawn),
        *cell("moco_v2", "brain_tumor/linear", "pending", "pending", **whole),
        *cell("moco_v2", "fgadr/linear", "failed", "pending", **partial),
    ]
    one_seed = [*cell("a", "t1/knn", 8), *cell("b", "t1/knn", 9)]
    mixed = [
        *cell("a", "t1/knn", 8, 8),
        *cell("a", "t2/prompt", 1, 2, cases=8, metric="error", higher_is_better=False),
        *cell("b", "t1/knn", 7, 8),
        *cell("b", "t2/prompt", 2, 2, cases=8, metric="error", higher_is_better=False),
        *cell("c", "t1/knn", 1, 1),
    ]
    hostile = [r for name in HOSTILE for r in cell(name, "t<1>|_*/knn", 8)]
    hostile += cell("[bold]pending", "t<1>|_*/knn", "pending")
    wide = [
        r for m in ("random_init", "simclr") for t in range(9) for r in cell(m, f"task_number_{t}/linear", t, t + 2)
    ]
    families = [r for m, done in {"random_init": 7, "lvm_med": 4}.items() for r in families_of(m, done)]
    boards = {"demo": demo, "one_seed": one_seed, "mixed_metrics": mixed, "hostile": hostile, "wide": wide}
    boards["families"] = families
    boards["groups"] = [r for line in GROUPED for r in grouped_of(*line)]
    return {name: build(results) for name, results in boards.items()}


# A row of each group and two of one; the lead of some is more than chance, and a cell may have been seen.
GROUPED = (
    ("clip", "foundation models", (40, 41), (8, 9), (52, 52)),
    ("random_init", "supervised", (20, 22), (6, 7), (21, 20)),
    ("simclr", "SSL on medical images", (41, 42), (9, 9), (55, 56)),
    ("lvm_med", "SSL on medical images", (44, 45), (7, 8), (58, "failed")),
    ("imagenet", "supervised", (40, 40), (5, 5), (53, 54)),
)


def grouped_of(method: str, group: str, *seeds: tuple[int | str, ...]) -> list[Result]:
    """Its results in two families of columns, which do not follow each other."""
    columns = {"fgadr/linear": "classification", "mini/knn": "detection", "brain_tumor/linear": "classification"}
    return [
        result
        for (column, family), right in zip(columns.items(), seeds, strict=True)
        for result in cell(
            method,
            column,
            *right,
            cases=10 if column == "mini/knn" else 60,
            group=group,
            family=family,
            may_have_seen=method == "clip" and column == "fgadr/linear",
            record=f"key-of-{method}",
        )
    ]


def families_of(method: str, done: int) -> list[Result]:
    """A row with several families of tasks and several metrics, `done` in part; two columns are of one task's sites."""
    drop = {"metric": "dice", "part": True, "higher_is_better": False}
    columns: list[tuple[str, dict[str, object]]] = [
        *(("brain_tumor/linear", {}), ("fgadr/finetune", {})),
        *(("kvasir/finetune", {"metric": "dice"}), ("brats2018/finetune", {"metric": "iou"})),
        *(("prostate@mean/finetune", {"metric": "dice"}), ("prostate@drop/finetune", drop)),
        ("kvasir_detection/detect", {"metric": "map50"}),
    ]
    return [
        result
        for n, (column, facts) in enumerate(columns)
        for result in cell(method, column, 16 - n if n < done else "pending", **facts | {"phantom": True})
    ]


CANNED = canned()
EMPTY_TABLE = Table(False, (), (), (), 0.95, "bootstrap over test cases")


def screen(table: Table, *, width: int = 100, colour: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(terminal(table, width=width))
    return console.file.getvalue()  # type: ignore[attr-defined]


def bare(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


WRITERS = {"md": markdown, "txt": lambda table: bare(screen(table)), "csv": csv, "tex": latex}


@pytest.mark.parametrize("name", CANNED)
@pytest.mark.parametrize("kind", WRITERS)
def test_golden(name: str, kind: str):
    path = GOLDEN / f"leaderboard_{name}.{kind}"
    text = "\n".join(WRITERS[kind](table) for table in CANNED[name])
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8", newline="")
    assert text == path.read_bytes().decode("utf-8")


def test_golden_json():
    path = GOLDEN / "leaderboard_demo.json"
    text = json_module.dumps(json(CANNED["demo"]), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------- for readers


class Cells(HTMLParser):
    """The texts of the cells of a rendered Markdown table, and every tag in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag in ("td", "th", "li"):
            self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data


def rendered(table: Table) -> Cells:
    return Cells(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown(table)))


def visible(name: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())


def hostile_everywhere() -> Table:
    """Each name as a method and as a task, so in rows, headers, captions and footnotes."""
    (table,) = build([r for name in HOSTILE for r in cell(name, f"{name.replace('/', '')}/knn", 8)])
    return table


def test_hostile_names_are_text_in_markdown():
    cells = rendered(hostile_everywhere())
    assert cells.tags == {"h3", "table", "thead", "tbody", "tr", "th", "td", "strong", "ul", "li"}
    texts = {" ".join(text.split()) for text in cells.texts}
    for name in HOSTILE:
        assert f"{visible(name)} †".strip() in texts
        assert f"{visible(name.replace('/', ''))} / knn".strip() in texts


def test_hostile_names_are_text_in_a_terminal():
    shown = screen(hostile_everywhere(), width=600)
    words = " ".join(shown.split())
    for name in HOSTILE:
        assert f"{visible(name)} †".strip() in words
        assert f"{visible(name.replace('/', ''))} / knn".strip() in words
    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(shown)


@pytest.mark.parametrize("name", CANNED)
@pytest.mark.parametrize("width", [60, 100, 160])
def test_no_number_is_cut_or_broken_on_a_screen(name: str, width: int):
    for table in CANNED[name]:
        shown = screen(table, width=width)
        assert max(map(len, shown.splitlines())) <= width
        assert "…" not in shown
        for text in rendered(table).texts:
            if text[:1].isdigit():
                mean, _, notes = text.strip().partition(" [")
                assert mean.removesuffix(" §") in shown  # where a mark may be between
                assert notes in shown


def test_a_turned_table_has_means_and_intervals_side_by_side_where_they_fit():
    (table,) = CANNED["families"]
    assert "fgadr / finetune ↑             93.75* [71.7, 98.9]    93.75* [71.7, 98.9]" in screen(table, width=80)
    lines = bare(screen(table, width=60)).splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("fgadr / finetune ↑"))
    assert [line.split() for line in lines[place : place + 2]] == [
        ["fgadr", "/", "finetune", "↑", "93.75*", "93.75*"],
        ["[71.7,", "98.9]", "[71.7,", "98.9]"],
    ]


def test_methods_that_do_not_fit_side_by_side_follow_below_with_the_names_again():
    (table,) = build([r for m in range(6) for r in families_of(f"method_{m}", 7)])
    shown = screen(table, width=60)
    assert max(map(len, shown.splitlines())) <= 60
    assert len(set(re.findall(r"method_\d", shown))) == shown.count("method_") == 6
    assert shown.count("fgadr / finetune ↑") == shown.count("IoU (%)") - 1 == 3  # which the title has too
    assert shown.count("62.50*") == 6


def test_colour_adds_nothing_but_colour():
    from rich.text import Text

    for name, tables in CANNED.items():
        if name != "hostile":  # there, lines are folded through what would be escapes
            for table in tables:
                assert Text.from_ansi(screen(table, colour=True)).plain.strip() == screen(table).strip()


def test_the_best_their_ties_and_what_is_not_shown_to_be_worse_are_marked():
    real = CANNED["demo"][0]
    for text in ("**78.12 ± 4.42** ", "**62.50 ± 8.84** "):
        assert text in markdown(real)
        assert text.strip("* ") + "*" in screen(real)
    assert markdown(real).count("**78.12 ± 4.42** ") == 2
    assert "**75.00" not in markdown(real)  # the highest mean of its column, of one seed of two
    assert "**56.25 ± 8.84** " in markdown(real)  # of 16 cases, which tell little


def test_what_is_shown_to_be_worse_is_not_marked_and_groups_have_their_best():
    (table,) = CANNED["groups"]
    text, shown = markdown(table), screen(table)
    assert [line.split("|")[1].strip() for line in text.splitlines()[4:12]] == [
        *("*supervised*", "random_init", "imagenet", "*SSL on medical images*", "simclr", "lvm_med †"),
        *("*foundation models*", "clip"),
    ]
    for mean in ("34.17 ± 1.18", "35.00 ± 2.36"):
        assert f"| {mean} [" in text
        assert f"{mean} " in shown
    assert "| <ins>**66.67 ± 0.00**</ins> [" in text
    assert "| **67.50 ± 1.18** § [" in text  # alone in its group, it leads nothing
    assert "66.67 ± 0.00*° " in shown
    assert "67.50 ± 1.18*§ " in shown
    for written, mark, led, seen in ((text, "bold", "underlined", "§"), (" ".join(shown.split()), "*", "°", "§")):
        assert f"{mark}: the best mean of a column, and every one that is not shown to be worse" in written.replace(
            "\\*", "*"
        )
        assert f"{led}: the best of its group in a column" in written
        assert f"{seen}: the pretraining may have seen test images" in written


def test_groups_head_the_columns_of_a_turned_table():
    (table,) = build([r for n in range(9) for r in cell("a", f"t{n}/knn", 8, group="one")
                      + cell("b", f"t{n}/knn", 9, group="two")])  # fmt: skip
    lines = screen(table, width=60).splitlines()
    assert next(line for line in lines if "one" in line).split() == ["one", "two"]


def test_what_cannot_be_tested_is_said_and_marked():
    """A single case tells nothing, and a board of it claims nothing."""
    (table,) = build([*cell("a", "t/knn", 1, cases=1), *cell("b", "t/knn", 0, cases=1)])
    assert markdown(table).count("**") == 4
    assert "not shown to be worse, among cells with every seed done (not tested, for lack of" in markdown(table)
    (both,) = build([*cell("a", "u/knn", 60, cases=60), *cell("b", "u/knn", 0, cases=60),
                     *cell("a", "t/knn", 1, cases=1), *cell("b", "t/knn", 0, cases=1)])  # fmt: skip
    assert markdown(both).count("**") == 6
    assert "for all pairs of a column; or not tested, for lack of" in markdown(both)
    assert "not tested" not in markdown(CANNED["groups"][0])


def test_marks_are_explained():
    real, phantom = (markdown(table) for table in CANNED["demo"])
    assert "| SimCLR, t = 0.5 † |" in real
    assert "(1/2 seeds)" in real
    assert "failed: SimCLR, t = 0.5/fgadr/linear/1" in real
    assert r"pending: moco_v2/brain_tumor/linear/\*, moco_v2/fgadr/linear/1" in real
    assert "fgadr / linear (1600/2594)" in real
    assert "brain_tumor / linear |" in real
    assert "fgadr 1600 of 2594" in real
    assert (PHANTOM in real, PHANTOM in phantom) == (False, True)
    assert PHANTOM in screen(CANNED["demo"][1])


def test_one_seed_shows_no_spread():
    assert "±" not in markdown(CANNED["one_seed"][0])
    assert "mean of one seed (0)" in markdown(CANNED["one_seed"][0])


def test_a_table_without_rows_says_so():
    assert markdown(EMPTY_TABLE) == EMPTY + "\n"
    assert screen(EMPTY_TABLE) == EMPTY + "\n"
    assert csv(EMPTY_TABLE) == ",".join(FIELDS) + "\n"
    assert json([EMPTY_TABLE])[0]["rows"] == []
    assert json([]) == []


# ---------------------------------------------------------------------------------------------- for programs


@pytest.mark.parametrize("name", CANNED)
def test_csv_and_json_hold_the_numbers_of_the_table(name: str):
    for table, written in zip(CANNED[name], json(CANNED[name]), strict=True):
        lines = iter(csv_module.DictReader(io.StringIO(csv(table), newline="")))
        again = json_module.loads(json_module.dumps(written, allow_nan=False))
        for row, written_row in zip(table.rows, again["rows"], strict=True):
            assert (written_row["name"], written_row["mean"]) == (row.method, row.mean)
            assert (written_row["group"], written_row["coverage"]) == (row.group, list(row.coverage))
            for cell, column, said in zip(row.cells, again["columns"], written_row["cells"], strict=True):
                line = next(lines)
                assert (line["method"], f"{line['task']}/{line['protocol']}") == (row.method, column["name"])
                assert said["name"] == f"{row.method}/{column['name']}"
                for number in ("mean", "std", "low", "high"):
                    exact = getattr(cell, number)
                    assert said[number] == exact
                    assert line[number] == ("" if exact is None else repr(exact))
                assert line["state"] == said["state"] == cell.state
                assert line["p"] == ("" if cell.p is None else repr(cell.p))
                for flag in ("best", "alike", "leads"):
                    assert (said[flag], line[flag]) == (getattr(cell, flag), str(getattr(cell, flag)).lower())
                assert line["seed_means"] == " ".join(map(repr, cell.seed_means))
                assert (said["seed_means"], said["records"]) == (list(cell.seed_means), list(cell.records))
                assert (said["marks"], line["marks"]) == (list(cell.marks), "; ".join(cell.marks))
                assert (line["group"], line["family"]) == (row.group, column["family"])
                assert said["seeds_failed"] == list(cell.failed)
        assert next(lines, None) is None
