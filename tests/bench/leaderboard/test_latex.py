"""LaTeX: any name is text and nothing else, every mark is explained, and pdflatex sets what the goldens hold."""

import random
import re
import shutil
import subprocess
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.leaderboard.building import build
from bench.leaderboard.latex import DOCUMENT, latex, standalone
from bench.leaderboard.result import Result
from bench.leaderboard.table import Table
from bench.leaderboard.tex_text import breakable, escape, fold, legible, wide
from bench.leaderboard.words import EMPTY, PHANTOM

GOLDENS = sorted((Path(__file__).parents[2] / "golden").glob("leaderboard_*.tex"))
HOSTILE = [
    r"\input{/etc/passwd}",
    r"\immediate\write18{touch pwned}",
    r"\end{tabular}\end{document}",
    "& % $ # _ { } ~ ^ \\ < > | \" ' ` @ ! ? * = : ; / + - ( ) [ ]",
    r"}{\csname input\endcsname",
    "100%&50% $x_1^2$ #1 {a} ^^5cinput ^^M",
    "\\",
    "\\\\[2cm]",
    "[red]",
    "*star",
    "-- --- ,, '' `` !` ?` << >>",
    "a%\nb\r\x00c\x1b[31m",
    "café naïve Ångström Łódź façade œuvre Straße",
    "α = 0.5 ± 0.1 → ∞, 3 × 4 ≤ µ",
    "a 🚀 rocket, ❤️ 中文 Привет ﬁne ½ x² ＼input｛x｝",
    "W" * 60,
    "a_very_long_name/with_parts-and-more_of_them_than_fit_any_column",
    "",
]
# What may stand in escaped text: characters that TeX only sets, and commands of our own choice in full.
SAFE = re.compile(
    r"(?:[A-Za-z0-9 .,:;!?()/+=@'\-\[\]*]|\{\}|\{[\[*]\}|\\[&%$#_{}]|\\symbol\{34\}"
    r"|\$-\$|\$\^\{\\circ\}\$|\$\\[A-Za-z]+\$|\\(?:text[a-z]+|dots|S|ss|ae|AE|oe|OE|o|O|l|L|i|allowbreak)\{\}|\\(?:[`'^~=.\"]|[urHvc])\{[A-Za-z]\})*"
)
# fmt: off
ENVIRONMENTS = {"table", "tabular", "minipage"}
COMMANDS = {
    "begin", "end", "centering", "small", "sloppy", "caption", "textbf", "label", "ref", "par", "medskip", "bigskip",
    "smallskip", "sisetup", "toprule", "midrule", "bottomrule", "addlinespace", "bfseries", "scriptsize",
    "textsuperscript", "linewidth", "footnotesize", "raggedright", "usepackage",
}
# fmt: on


def cell(method: str, task: str = "t", right: int | str = 3, seed: int = 0, **changed: object) -> Result:
    done = isinstance(right, int)
    facts: dict[str, object] = {"metric": "accuracy", "phantom": False, "found": 0, "official": 0}
    return Result(
        **{"method": method, "task": task, "protocol": "knn", "seed": seed} | facts | changed,
        state="done" if done else right,
        cases=tuple("abcdefgh") if done else (),
        values=(np.arange(8) < right).astype(float) if done else np.empty(0),
    )


def hostile_table() -> Table:
    """Each name as a method, a task and a metric, with notes on all of them."""
    results = [cell(name, "t", 3) for name in HOSTILE]
    for name in HOSTILE:
        facts: dict[str, object] = {"metric": name or "m", "found": 1, "official": 2, "seen": 3}
        results += [cell("m", name, 3, **facts), cell(name, name, "failed", **facts)]
    (table,) = build(results)
    return table


def marked_table() -> Table:
    """Every kind of note: seeds left out, data missing or seen, a collapse, and each state of a cell."""
    results = [cell("a", "t", 3), cell("a", "t", 4, 1), cell("a", "u", 8)]
    results += [cell("b", "t", 3), cell("b", "t", "failed", 1), cell("b", "u", 8, collapsed=True)]
    results += [cell("c", "t", "pending"), cell("c", "t", "pending", 1), cell("c", "u", 2)]
    (table,) = build([*results, cell("c", "v", 2, found=1, official=3, seen=2)])
    return table


def tall_table() -> Table:
    facts = {"phantom": True, "found": 9, "official": 9}
    (table,) = build([cell(f"method {m}", f"task_{t}", 3, **facts) for m in range(30) for t in range(9)])
    return table


# ---------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize("write", [escape, breakable])
def test_nothing_unescaped_survives(write):
    drawn = random.Random(0)
    alphabet = "".join(HOSTILE)
    for text in [*HOSTILE, *("".join(drawn.choices(alphabet, k=drawn.randint(1, 40))) for _ in range(3000))]:
        assert SAFE.fullmatch(write(text)), text


def test_every_character_is_written_in_ascii():
    for number in [*range(0x3000), *range(0x3000, 0x110000, 97)]:
        written = escape(chr(number))
        assert SAFE.fullmatch(written), hex(number)
        assert written.strip() or not chr(number).isprintable() or unicodedata.category(chr(number))[0] in "MZ"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b & 5%", r"a\_b \& 5\%"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("[x]", "{[}x]"),
        ("a--b", "a-{}-b"),
        ("é Å ő ç ñ", r"\'{e} \r{A} \H{o} \c{c} \~{n}"),
        ("± → α", r"$\pm$ $\rightarrow$ $\alpha$"),
        ("🚀", "(rocket)"),
        ("中", "(U+4E2D)"),
        ("ﬁ ½ x²", "fi 1/2 x2"),
        ("＼input", r"\textbackslash{}input"),
    ],
)
def test_text_stays_readable(text, shown):
    assert escape(text) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_folded_text_is_whole_and_fits(text):
    lines = fold(text, 17.0)
    assert max(map(wide, lines)) <= 17
    assert "".join("".join(lines).split()) == "".join(legible(text).split())


# ---------------------------------------------------------------------------------------------- tables


def rows_of(text: str) -> list[list[str]]:
    """The cells of each line of a tabular."""
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    return [re.split(r"(?<!\\)&", line) for line in lines]


@pytest.mark.parametrize("table", [hostile_table(), marked_table(), tall_table()], ids=["hostile", "marked", "tall"])
def test_a_table_has_only_its_own_structure(table):
    text = latex(table)
    for tabular in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL):
        kinds = re.findall(r"l|c|S\[[^]]*\]", tabular.splitlines()[0].partition("@{}")[2])
        assert {len(cells) for cells in rows_of(tabular)} == {len(kinds)}
    assert set(re.findall(r"\\(?:begin|end)\{(.*?)\}", text)) == ENVIRONMENTS
    own = {c for line in text.splitlines() for c in re.findall(r"\\([A-Za-z]+)", line.replace(r"\\", ""))}
    assert {
        name for name in own - COMMANDS if not SAFE.fullmatch(f"\\{name}{{}}") and not SAFE.fullmatch(f"$\\{name}$")
    } <= {"symbol", "c"}
    assert text.isascii()


def test_every_mark_is_explained_and_every_note_marked():
    text = latex(marked_table())
    tabular, _, notes = text.rpartition(r"\end{tabular}")
    marks = {mark for found in re.findall(r"\\textsuperscript\{(.*?)\}", tabular) for mark in found.split(",")}
    explained = dict(re.findall(r"^\\textsuperscript\{(\w+)\}~(.*?)\.(?:\\par)?$", notes, re.MULTILINE))
    assert marks == set(explained)
    said = " ".join(explained.values()).replace(r"\allowbreak{}", "")
    for words in (
        "v 1 of 3",
        "2 test images are also training images",
        "its pretraining collapsed",
        "b is incomplete (1 of 3 done); failed: b/t/knn/1; not in the grid: b/v/knn/*",
        "a is incomplete (2 of 3 done); not in the grid: a/v/knn/*",
        "pending: c/t/knn/*",
        "seeds of u, v: 0",
    ):
        assert words in said
    over = "means are over the 1 of 3 columns that are done for most methods, without t/knn, v/knn."
    assert over in notes.replace(r"\allowbreak{}", "")
    assert re.search(r"\{pending\\textsuperscript\{\w\}\}", tabular)
    assert re.search(r"\(1/2 seeds\)\\textsuperscript\{\w\}\}", tabular)


def test_the_best_are_bold_and_numbers_have_room():
    table = marked_table()
    text = latex(table)
    assert text.count(r"\bfseries") == sum(c.alike for row in table.rows for c in row.cells)
    assert r"\bfseries 43.75 +- 8.84" in text
    assert r"\bfseries 100.00" in text
    assert "S[table-format=2.2(3)]S[table-format=3.2]" in text
    assert r"\uparrow" in text


def test_numbers_below_zero_have_room_for_their_sign():
    low = [replace(cell(name, metric="kappa"), values=np.full(8, value)) for name, value in (("a", -12.5), ("b", 0.25))]
    (table,) = build(low)
    text = latex(table)
    assert "S[table-format=-2.4]" in text
    assert "a & -12.5000 & -12.5000" in text


def test_phantoms_are_marked_in_every_float():
    floats = latex(tall_table()).split(r"\begin{table}")[1:]
    assert len(floats) > 1
    for text in floats:
        assert text.count(PHANTOM) == 2
        assert r"\textbf{PHANTOM} &" in text or "tabular" not in text
    assert "PHANTOM" not in latex(marked_table())


def test_what_fits_no_page_goes_on():
    """Each column once for each row, and references from float to float."""
    text = latex(tall_table())
    heads = Counter(re.findall(r"\{(task\\_\d)\}", text))
    names = Counter(re.findall(r"^method (\d+) &", text, re.MULTILINE))
    assert set(heads) == {f"task\\_{t}" for t in range(9)}
    assert len(set(heads.values())) == len(set(names.values())) == 1
    assert set(names) == {str(m) for m in range(30)}
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(labels) == len(set(labels)) > 1
    assert set(re.findall(r"\\ref\{(.*?)\}", text)) == set(labels)
    assert text.count("{mean}") == next(iter(heads.values()))


def test_nothing_to_show_is_said():
    assert latex(Table(False, (), (), (), 0.95, "")) == EMPTY + "\n"
    assert EMPTY in standalone([])


# ---------------------------------------------------------------------------------------------- pdflatex


@pytest.fixture
def compiled(tmp_path):
    """Compile a document; what pdflatex said at last, and the text of the PDF where pdftotext is."""
    if not shutil.which("pdflatex"):
        pytest.skip("no pdflatex here: a TeX distribution with booktabs and siunitx sets the tables")

    def run(document: str) -> tuple[str, str]:
        (tmp_path / "board.tex").write_text(document, encoding="ascii")
        for _ in range(2):  # the second time references are known
            command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "board.tex"]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
            if "siunitx.sty' not found" in done.stdout or "booktabs.sty' not found" in done.stdout:
                pytest.skip("pdflatex here lacks booktabs or siunitx")
            assert done.returncode == 0, done.stdout[-3000:]
        if not shutil.which("pdftotext"):
            return done.stdout, ""
        read = subprocess.run(["pdftotext", "-layout", "board.pdf", "-"], cwd=tmp_path, capture_output=True, check=True)
        return done.stdout, unicodedata.normalize("NFKC", read.stdout.decode("utf-8"))

    return run


def fits_in_width(log: str) -> bool:
    return all(float(points) < 3 for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log))


def fits(log: str) -> bool:
    return fits_in_width(log) and "Float too large" not in log and "undefined" not in log


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_pdflatex_sets_every_golden(path, compiled):
    text = path.read_text(encoding="ascii")
    log, shown = compiled(DOCUMENT % text)
    assert fits(log)
    if shown:
        for name in re.findall(r"^([A-Za-z][A-Za-z]*)(?:\\_\w+)* &", text, re.MULTILINE):
            assert name in shown
        for mean in re.findall(r"& (?:\\bfseries )?([\d.]+)", text):
            assert mean in shown
        assert (PHANTOM in " ".join(shown.split())) == (PHANTOM in text)


@pytest.mark.parametrize("table", [marked_table(), tall_table()], ids=["marked", "tall"])
def test_pdflatex_sets_what_is_incomplete_or_long(table, compiled):
    log, _ = compiled(standalone([table]))
    assert fits(log)


def test_pdflatex_sets_hostile_names_and_runs_nothing(compiled):
    """Whose notes, of a page and more each, are the only thing that does not fit."""
    log, shown = compiled(standalone([hostile_table()]))
    assert fits_in_width(log)
    if shown:
        for words in (r"\immediate\write18{touch", "café", "(rocket)", "Łódź", "^^5cinput"):
            assert words in shown


def test_pdflatex_sets_a_document_of_nothing(compiled):
    compiled(standalone([]))
