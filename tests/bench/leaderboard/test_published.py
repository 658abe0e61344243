"""Printed numbers: the shipped file agrees with its paper, a hostile one is refused, and boards keep them apart."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from bench.errors import BenchError
from bench.leaderboard import formats
from bench.leaderboard.beside import Identity, identities, set_beside
from bench.leaderboard.building import build
from bench.leaderboard.latex import latex
from bench.leaderboard.published import COLUMNS, files, load, read, shipped
from bench.leaderboard.result import Result
from bench.leaderboard.screen import terminal
from bench.leaderboard.table import Table
from bench.registry import discover

GOLDEN = Path(__file__).parents[2] / "golden"
TASKS, PROTOCOLS = {"brain_tumor", "fgadr", "prostate"}, {"linear", "finetune"}
LINE = {
    **dict.fromkeys(COLUMNS, ""),
    **{"source": "paper", "table": "1", "method": "ours", "task": "fgadr", "protocol": "linear", "unit": "%"},
    **{"metric": "accuracy", "value": "80"},
}


def written(path: Path, *lines: dict[str, str], columns=COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(LINE | line for line in lines)
    return path


# ---------------------------------------------------------------------------------------------- the shipped file


@pytest.fixture(scope="module")
def paper():
    """The shipped numbers, checked against every task and protocol there is."""
    registry = discover()
    tasks, protocols = ({plugin.name for plugin in registry.all(kind)} for kind in ("task", "protocol"))
    return load([shipped() / "lvm_med_2023.csv"], tasks, protocols)


def numbers(paper, table: str, method: str, backbone: str, protocol: str, setting: str = ""):
    said = (table, method, backbone, protocol, setting)
    return [r for r in paper if (r.table, r.method, r.backbone, r.protocol, r.setting) == said]


@pytest.mark.parametrize(
    ("average", "table", "backbone", "protocol", "count"),
    [
        (83.05, "2", "resnet50", "finetune", 5),
        (79.02, "3", "resnet50", "finetune", 3),
        (85.80, "2", "sam_vit_b", "prompt", 5),
        (80.90, "11", "sam_vit_b", "prompt", 3),
    ],
)
def test_means_are_the_averages_that_are_printed(paper, average, table, backbone, protocol, count):
    rows = numbers(paper, table, "lvm_med", backbone, protocol)
    assert len(rows) == count
    assert 100 * np.mean([row.value for row in rows]) == pytest.approx(average, abs=0.01)


def test_an_average_that_the_paper_prints_is_in_the_file_and_agrees(paper):
    for table, setting in (("6", "full"), ("9", "full, alpha 0.8")):
        (printed,) = numbers(paper, table, "lvm_med", "resnet50", "finetune", setting)
        parts = [r for r in numbers(paper, "2", "lvm_med", "resnet50", "finetune") if r.tasks[0] in printed.tasks]
        assert len(parts) == len(printed.tasks) == 5
        assert np.mean([row.value for row in parts]) == pytest.approx(printed.value, abs=1e-4)


def test_means_over_sites_agree_but_for_their_rounding(paper):
    means = [row for row in paper if row.tasks == ("prostate@mean",)]
    assert len(means) == 13
    for mean in means:
        sites = [r for r in numbers(paper, "4", mean.method, mean.backbone, mean.protocol) if r is not mean]
        assert len(sites) == 4
        assert np.mean([row.value for row in sites]) == pytest.approx(mean.value, abs=0.0006)


def test_plugins_that_are_named_exist(paper):
    known = {plugin.name for plugin in discover().all("method")}
    assert {name for row in paper for name in row.plugins} <= known


def test_every_shipped_file_can_be_read_together_with_the_others(tmp_path):
    assert [path.name for path in files(tmp_path / "bench.toml")] == ["lvm_med_2023.csv"]


# ---------------------------------------------------------------------------------------------- hostile files


def test_a_line_is_read_in_the_unit_of_the_store(tmp_path):
    line = {"sd": "1.5", "n_test": "341", "trials": "3", "method_plugin": "a b", "task": "fgadr brain_tumor"}
    (row,) = read(written(tmp_path / "a.csv", line), TASKS, PROTOCOLS)
    assert (row.value, row.sd, row.n_test, row.trials) == (0.8, 0.015, 341, 3)
    assert (row.plugins, row.tasks, row.column) == (
        ("a", "b"),
        ("fgadr", "brain_tumor"),
        ("fgadr brain_tumor", "linear"),
    )
    (row,) = read(written(tmp_path / "b.csv", {"metric": "hd95", "unit": "mm", "value": "7.5"}), TASKS, PROTOCOLS)
    assert (row.value, row.sd, row.n_test) == (7.5, None, None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"value": "8O.5"}, "a.csv:2: value is '8O.5', no finite number"),
        ({"value": "nan"}, "a.csv:2: value is 'nan', no finite number"),
        ({"value": "inf"}, "a.csv:2: value is 'inf', no finite number"),
        ({"value": ""}, "a.csv:2: value is empty"),
        ({"source": " "}, "a.csv:2: source is empty"),
        ({"value": "80", "unit": ""}, "value is 80, which no accuracy can be; give a fraction from 0 to 1"),
        ({"value": "180"}, "value is 180, which no accuracy can be; give a percentage from 0 to 100"),
        ({"unit": "mm"}, "unit is mm, which accuracy is not measured in; write %"),
        ({"unit": "percent"}, "unknown unit `percent`"),
        ({"sd": "-1"}, "sd is -1; give 0 or more"),
        ({"sd": "about 1"}, "sd is 'about 1', no finite number"),
        ({"n_test": "0"}, "n_test is '0', no whole number from 1"),
        ({"n_test": "1e3"}, "n_test is '1e3', no whole number"),
        ({"n_test": "9" * 5000}, "no whole number"),
        ({"trials": "²"}, "trials is '²', no whole number"),
        ({"task": "fgard"}, "a.csv:2: unknown task `fgard`; did you mean `fgadr`?"),
        ({"task": "fgadr brian_tumor"}, "unknown task `brian_tumor`; did you mean `brain_tumor`?"),
        ({"protocol": "linaer"}, "a.csv:2: unknown protocol `linaer`; did you mean `linear`?"),
    ],
)
def test_a_bad_line_is_refused_by_its_place(tmp_path, line, message):
    with pytest.raises(BenchError) as told:
        read(written(tmp_path / "a.csv", line), TASKS, PROTOCOLS)
    assert message in str(told.value)


def test_what_is_no_such_table_is_refused(tmp_path):
    path = written(tmp_path / "a.csv", {}, columns=[name for name in COLUMNS if name != "metric"])
    with pytest.raises(BenchError, match=r"a\.csv:1: unknown header, which lacks the column `metric`"):
        read(path, TASKS, PROTOCOLS)
    with pytest.raises(BenchError, match="has a header and no numbers"):
        read(written(tmp_path / "b.csv"), TASKS, PROTOCOLS)
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchError, match="cannot be read as a table"):
        read(tmp_path / "c.csv", TASKS, PROTOCOLS)
    with pytest.raises(BenchError, match="cannot be read as a table"):
        read(tmp_path / "none.csv", TASKS, PROTOCOLS)


def test_a_number_is_in_one_place_alone(tmp_path):
    with pytest.raises(BenchError, match=r"a\.csv:3: ours on fgadr / linear in table 1 of paper is already at .*:2"):
        read(written(tmp_path / "a.csv", {}, {"value": "81"}), TASKS, PROTOCOLS)
    paths = [written(tmp_path / "a.csv", {}), written(tmp_path / "b.csv", {})]
    with pytest.raises(BenchError, match=r"b\.csv:2: .* is already at .*a\.csv:2; remove one"):
        load(paths, TASKS, PROTOCOLS)
    assert len(read(written(tmp_path / "a.csv", {}, {"setting": "wide"}), TASKS, PROTOCOLS)) == 2


# ---------------------------------------------------------------------------------------------- beside a board


def cell(method: str, task: str, right: float, seed: int = 0, **changed: object) -> Result:
    facts: dict[str, object] = {"metric": "accuracy", "phantom": False, "found": 9, "official": 9}
    cases = tuple(f"case{i}" for i in range(100))
    values = (np.arange(100) < right).astype(float)
    named = {"method": method, "task": task, "protocol": "linear", "seed": seed, "state": "done"}
    return Result(**named | facts | changed, cases=cases, values=values)


@pytest.fixture
def table() -> Table:
    (table,) = build([cell("mine", "fgadr", 60), cell("mine", "brain_tumor", 70), cell("floor", "fgadr", 20)])
    return table


@pytest.fixture
def rows(tmp_path):
    """Of one column four numbers, one of them of another metric, and one of a column that no board here has."""
    lines = [
        {"method": "ours", "method_plugin": "mine", "backbone": "resnet50", "value": "90", "sd": "1", "n_test": "100"},
        {"method": "theirs", "value": "85", "n_test": "100"},
        {"method": "<i>|*&_", "value": "10", "n_test": "100"},
        {"method": "ours", "metric": "release_dice", "value": "95"},
        {"method": "ours", "protocol": "finetune", "value": "99"},
    ]
    return read(written(tmp_path / "rows.csv", *lines), TASKS, PROTOCOLS)


def screen(table: Table, colour: bool = False) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=120, force_terminal=colour, color_system="standard" if colour else None)
    console.print(terminal(table, width=120))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_printed_rows_change_nothing_of_measured_ones(table, rows):
    beside = set_beside(table, rows, {})
    assert beside.rows[: len(table.rows)] == table.rows
    assert [row.method for row in beside.rows[len(table.rows) :]] == ["‡ ours, resnet50", "‡ theirs", "‡ <i>|*&_"]
    for row in beside.rows[len(table.rows) :]:
        assert (row.mean, row.source, row.complete) == (None, "paper", True)
        assert not any(one.best for one in row.cells)
    assert beside.rows[2].cells[0].mean == 0.9 > beside.rows[0].cells[0].mean  # and yet 0.6 is the best
    assert beside.rows[0].cells[0].best
    assert (beside.columns, beside.seeds) == (table.columns, table.seeds)


def test_another_convention_is_another_metric(table, rows):
    beside = set_beside(table, rows, {}).beside
    assert {of.metric for of in beside.cells.values()} == {"accuracy"}
    assert beside.elsewhere == {0: ("release_dice",)}
    assert "numbers of fgadr / linear are printed as release_dice: --metric release_dice has them" in screen(
        set_beside(table, rows, {})
    ).replace("\n", " ")


def test_the_difference_is_told_with_what_is_not_alike(table, rows):
    same = set_beside(table, rows, {"mine": Identity("mine", "resnet50"), "floor": Identity("floor", "")})
    (found,) = same.beside.differences
    assert (found.method, found.printed.method, found.differs) == ("mine", "ours", ())
    assert found.value == pytest.approx(-0.3)
    said = "mine here minus ours, resnet50 in paper: fgadr / linear -30.00 points; alike in weights, backbone, data and"
    assert said in " ".join(screen(same).split())
    other = set_beside(table, rows, {"mine": Identity("mine", "resnet18", ("alpha",))})
    assert other.beside.differences[0].differs == (
        "backbone resnet18 here, resnet50 printed",
        "other than default here: alpha",
    )
    spelled = Identity("mine", "ResNet-50", (), "pretrained here")
    assert set_beside(table, rows, {"mine": spelled}).beside.differences[0].differs == ("pretrained here",)
    results = [cell("mine", "fgadr", 60, found=5, seen=3)]
    (partial,) = build(results)
    (found,) = set_beside(partial, rows, {"mine": Identity("mine", "")}).beside.differences
    assert found.differs == ("data here: 5 of 9", "3 test images are also training images here")


def test_the_nearest_of_several_is_compared(table, tmp_path):
    lines = [{"method": "ours", "method_plugin": "mine", "backbone": name} for name in ("vit", "resnet50", "wide")]
    found = read(written(tmp_path / "a.csv", *lines), TASKS, PROTOCOLS)
    for backbone, nearest in {"resnet50": "resnet50", "resnet18": "vit"}.items():
        (one,) = set_beside(table, found, {"mine": Identity("mine", backbone)}).beside.differences
        assert one.printed.backbone == nearest


def test_what_is_not_done_has_no_difference(rows):
    pending = Result("mine", "fgadr", "linear", 0, "pending", "accuracy", False, 9, 9, (), np.empty(0))
    (table,) = build([pending])
    assert set_beside(table, rows, {"mine": Identity("mine", "resnet50")}).beside.differences == ()


def test_phantoms_have_nothing_beside_them(rows):
    (table,) = build([cell("mine", "fgadr", 60, phantom=True)])
    beside = set_beside(table, rows, {"mine": Identity("mine", "resnet50")})
    assert beside.rows == table.rows
    assert (beside.beside.differences, beside.beside.claims) == ((), ())
    assert "nothing that others printed is set beside phantom data" in screen(beside)


def test_two_sources_are_told_apart(table, tmp_path):
    lines = [{}, {"source": "other"}, {"table": "2"}]
    beside = set_beside(table, read(written(tmp_path / "a.csv", *lines), TASKS, PROTOCOLS), {})
    assert [row.method for row in beside.rows[2:]] == ["‡1 ours", "‡2 ours", "‡1 ours"]
    said = screen(beside)
    assert "‡1: printed in paper (tables 1, 2), not measured here" in said
    assert "‡2: printed in other (table 1)" in said


def test_every_format_has_them_marked(table, rows):
    beside = set_beside(table, rows, {"mine": Identity("mine", "resnet50")})
    assert "\x1b[2m‡ theirs" in screen(beside, colour=True)  # dim
    assert "‡ theirs" in screen(beside)
    lines = formats.markdown(beside).splitlines()
    assert "| ‡ ours, resnet50 | 90.00 ± 1.00 | – | – |" in lines
    assert r"| ‡ &lt;i>\|\*&\_ | 10.00 | – | – |" in lines
    written = latex(beside)
    assert r"$\ddagger$ theirs & 85.00" in written
    assert written.count(r"\midrule") == 2  # one below the head, one above what others printed
    assert "P(no better)" in written


@pytest.mark.parametrize("kind", ["md", "txt", "csv", "tex", "json"])
def test_golden(table, tmp_path, kind):
    """As of the other boards: `GOLDEN=write pytest ...` draws it again. The LaTeX is compiled where the others are."""
    lines = [
        {"method": "ours", "method_plugin": "mine", "backbone": "resnet50", "value": "90", "sd": "1", "n_test": "100"},
        {"method": "theirs", "value": "85.5", "n_test": "100"},
        {"method": "theirs", "value": "88", "task": "brain_tumor", "source": "another paper"},
        {"method": "ours", "value": "81", "metric": "release_dice"},
    ]
    printed = read(written(tmp_path / "a.csv", *lines), TASKS, PROTOCOLS)
    beside = set_beside(table, printed, {"mine": Identity("mine", "resnet18")})
    text = {
        **{"md": formats.markdown, "csv": formats.csv, "tex": latex},
        "txt": lambda board: "".join(line.rstrip() + "\n" for line in screen(board).splitlines()),
        "json": lambda board: json.dumps(formats.json([board]), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }[kind](beside)
    path = GOLDEN / f"leaderboard_published.{kind}"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8", newline="")
    assert text == path.read_bytes().decode("utf-8")


def test_programs_get_raw_numbers(table, rows):
    beside = set_beside(table, rows, {"mine": Identity("mine", "resnet18")})
    lines = list(csv.DictReader(io.StringIO(formats.csv(beside))))
    assert tuple(lines[0]) == formats.FIELDS + formats.PRINTED
    mine = next(line for line in lines if (line["method"], line["task"]) == ("mine", "fgadr"))
    assert (mine["printed"], float(mine["difference"])) == ("0.9", pytest.approx(-0.3))
    assert mine["differs"] == "backbone resnet18 here, resnet50 printed"
    theirs = next(line for line in lines if line["method"] == "theirs")
    assert (theirs["found"], theirs["interval"]) == ("", "")
    assert (theirs["state"], theirs["mean"], theirs["source"], theirs["source_table"]) == (
        "published",
        "0.85",
        "paper",
        "1",
    )
    (found,) = formats.json([beside])
    assert [row["name"] for row in found["rows"]] == ["mine", "floor"]
    assert found["rows"] == formats.json([table])[0]["rows"]
    ours = found["published"]["rows"][0]
    assert (ours["method"], ours["source"], ours["cells"][0]["value"], ours["cells"][0]["sd"]) == (
        "ours",
        "paper",
        0.9,
        0.01,
    )
    (claim,) = found["published"]["claims"]
    assert (claim["first"], claim["second"], claim["cases"]) == ("ours, resnet50", "theirs", 100)
    assert 0 < claim["probability"] < 0.5
    assert "published" not in formats.json([table])[0]
    assert formats.csv(table).splitlines()[0] == ",".join(formats.FIELDS)


def test_what_a_row_is_comes_from_its_parts():
    method = {"plugin": "mine", "settings": {"alpha": 0.5, "pair": [1, 2]}}
    pretrained = {"encoder": {"method": method, "recipe": {"backbone": "resnet18"}}}
    ready = {"encoder": {"method": {"plugin": "ready", "settings": {}}, "backbone": "", "weights": "random"}}
    found = identities(
        [("a", pretrained), ("b", ready), ("a", {"kind": "pretrain"})], {"mine": {"alpha": 0.8, "pair": (1, 2)}}
    )
    assert found == {
        "a": Identity("mine", "resnet18", ("alpha",), "pretrained here"),
        "b": Identity("ready", "", (), "random weights here"),
    }
