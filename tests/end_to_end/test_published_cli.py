"""`bench published` and `bench leaderboard --published` as programs and people use them."""

import csv
import io
import json
from pathlib import Path

import pytest

from bench.cli import published as cli
from bench.leaderboard import outperformance

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
REAL = str(BOARDS / "brain_tumor" / "runs")
HEADER = (
    "source,table,method,method_plugin,group,backbone,task,protocol,setting,metric,value,sd,trials,n_test,unit,note"
)
LINES = [
    "other paper,2,theirs,simclr,SSL,resnet18,brain_tumor,knn,,accuracy,71.2,0.5,3,394,%,",
    "other paper,2,floor,,SSL,,brain_tumor,knn,,accuracy,60,,,394,%,",
]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder without a grid, where nothing that is printed is folded."""
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paper(place: Path, *lines: str, name: str = "other.csv") -> str:
    (place / name).write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return name


def test_what_ships_is_listed(place, bench):
    said = bench("published", "ls")
    assert "lvm_med_2023.csv" in said
    (found,) = json.loads(bench("published", "ls", "--json"))
    assert (found["sources"], found["numbers"]) == (["arXiv:2306.11925"], 323)
    assert Path(found["file"]).is_file()


def test_a_board_has_them_beside_it(place, bench):
    plain = bench("leaderboard", REAL)
    said = bench("leaderboard", REAL, "--published")
    assert "‡" not in plain
    measured = [line.split() for line in plain.splitlines() if line.startswith("  simclr")]
    assert len(measured) == 1
    assert measured == [line.split() for line in said.splitlines() if line.startswith("  simclr")]
    assert "‡ lvm_med, resnet50" in said
    assert "‡: printed in arXiv:2306.11925 (table 5), not measured here" in said
    assert "simclr here minus simclr, resnet50 in arXiv:2306.11925: brain_tumor / linear " in said
    assert "not alike: pretrained here; backbone resnet18 here, resnet50 printed" in said
    assert "lvm_med, resnet50 over deepcluster_v2, resnet50 by 1.86 points on 394 cases: P(no better) = 0.195" in said
    assert "assumed, since no paper prints it" in said


@pytest.mark.parametrize(("format", "mark"), [("md", "| ‡ simclr, resnet50 |"), ("latex", r"$\ddagger$ simclr")])
def test_formats_for_readers(place, bench, format, mark):
    assert mark in bench("leaderboard", REAL, "--published", "--format", format)


def test_formats_for_programs(place, bench):
    (found,) = json.loads(bench("leaderboard", REAL, "--published", "--json"))
    (before,) = json.loads(bench("leaderboard", REAL, "--json"))
    assert {name: value for name, value in found.items() if name != "published"} == before
    assert {"rows", "differences", "claims", "assumed"} == found["published"].keys()
    lines = list(csv.DictReader(io.StringIO(bench("leaderboard", REAL, "--published", "--format", "csv"))))
    linear = [line for line in lines if (line["method"], line["protocol"]) == ("simclr", "linear")]
    assert [line["state"] for line in linear] == ["done"]
    assert float(linear[0]["mean"]) - 0.6252 == pytest.approx(float(linear[0]["difference"]))


def test_a_file_is_added_once_and_found(place, bench):
    file = paper(place, *LINES)
    assert f"{Path('published/other.csv')}: 2 numbers" in bench("published", "add", file)
    assert (place / "published" / "other.csv").read_bytes() == (place / file).read_bytes()
    assert [Path(one["file"]).name for one in json.loads(bench("published", "ls", "--json"))] == [
        "lvm_med_2023.csv",
        "other.csv",
    ]
    assert "published/other.csv: exists already; --force replaces it" in bench("published", "add", file, code=2)
    paper(place, LINES[0])
    assert json.loads(bench("published", "add", file, "--force", "--json"))["numbers"] == 1
    again = paper(place, LINES[0], name="again.csv")
    assert "again.csv:2: theirs, resnet18 on brain_tumor / knn in table 2 of other paper is already at" in bench(
        "published", "add", again, code=2
    )
    assert not (place / "published" / "again.csv").exists()
    claims = json.loads(bench("published", "claims", "--json"))["claims"]
    assert all(claim["source"] == "arXiv:2306.11925" for claim in claims)  # of one method there is no win


def test_a_grid_finds_what_lies_beside_it(place, bench, write_grid, phantoms):
    """And phantoms have nothing beside them."""
    path = write_grid(f'[data]\nroot = "{phantoms}"\n[methods]\nrandom_init = {{}}\n[tasks]\nbrain_tumor = {{}}\n')
    (place / "elsewhere").mkdir()
    bench("published", "add", paper(place, *LINES), "--grid", str(path))
    assert "nothing that others printed is set beside phantom data" in bench("leaderboard", str(path), "--published")
    (found,) = json.loads(bench("leaderboard", str(path), "--published", "--json"))
    assert found["published"]["rows"] == []


def test_claims_say_what_they_assume(place, bench):
    said = bench("published", "claims")
    row = next(line for line in said.splitlines() if "brain_tumor / linear " in line)
    assert row.split()[-1] == "0.195"
    assert "17 of 24 wins have a probability above 0.05 of being none" in said
    assert "a correlation of 0.6 between two methods' scores" in said
    found = json.loads(bench("published", "claims", "--agreement", "0.2", "--spread", "0.5", "--json"))
    assert (found["assumed"]["agreement"], found["assumed"]["spread"]) == (0.2, 0.5)
    (claim,) = [one for one in found["claims"] if (one["column"], one["table"]) == ("brain_tumor/linear", "5")]
    assert 0.195 < claim["probability"] < 0.5
    unknown = next(one for one in found["claims"] if one["column"] == "jsrt/finetune")
    assert (unknown["probability"], unknown["why"]) == (None, "the number of test cases is not known")


def test_the_command_assumes_what_the_module_does():
    """Which help does not import."""
    assert (cli.AGREEMENT, cli.SPREAD) == (outperformance.AGREEMENT, outperformance.SPREAD)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (LINES[0].replace("71.2", "7l.2"), "other.csv:2: value is '7l.2', no finite number"),
        (LINES[0].replace("brain_tumor", "brian_tumor"), "other.csv:2: unknown task `brian_tumor`; did you mean"),
        (LINES[0] + ",more", "other.csv:2: has 17 columns where the header has 16"),
    ],
)
def test_a_bad_file_is_refused_and_not_kept(place, bench, line, message):
    assert message in bench("published", "add", paper(place, line), code=2)
    assert not (place / "published").exists()


def test_mistakes_are_told(place, bench):
    (place / "table.txt").write_text("x")
    assert "table.txt: is not called .csv" in bench("published", "add", "table.txt", code=2)
    assert "none.csv: cannot be read as a table" in bench("published", "add", "none.csv", code=2)
    assert "agreement" in bench("published", "claims", "--agreement", "1", code=2)
    (place / "published").mkdir()
    (place / "published" / "broken.csv").write_text("a,b\n1,2\n")
    (place / "runs").symlink_to(REAL)
    for words in (("leaderboard", "runs", "--published"), ("published", "ls"), ("published", "claims")):
        assert "broken.csv:1: unknown header, which lacks the column `source`" in bench(*words, code=2)
