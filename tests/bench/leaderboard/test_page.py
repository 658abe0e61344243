"""The page as text: what is in it, what can never be, and how exact and how large it is."""

import base64
import json
import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bench.keys import digest
from bench.leaderboard.building import build
from bench.leaderboard.page import page
from bench.leaderboard.page.cases import STEPS, codes, written
from bench.leaderboard.page.facts import Shared, facts
from bench.leaderboard.ranking import rank
from bench.leaderboard.result import Result
from bench.store import Record

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><script>alert(3)</script>",
    "<!--<script>",
    "{{script}} {{data}}",
    "a\u2028b\u2029c & d",
)
REVERSED = "safe\u202egnp.exe"


def result(method="simclr", task="kvasir", seed=0, values=(0.5, 0.75, 1.0), **facts):
    cases = tuple(f"case {n}" for n in range(len(values)))
    common = {"metric": "dice", "phantom": False, "found": 3, "official": 3, "state": "done", "protocol": "finetune"}
    said = {**common, "cases": cases, "values": np.array(values, float), **facts}
    return Result(method=method, task=task, seed=seed, **said)


def made(results, records=(), **more):
    return page(build(results), results, records, rank(results), **more)


def data(text):
    """What the script reads, as a browser cuts it out of the page: up to the first end of a script."""
    start = text.index('<script type="application/json" id="data">') + len('<script type="application/json" id="data">')
    return json.loads(text[start : text.index("</script", start)])


def values(found, row, column, board=0):
    """A cell's values, seed by seed, read back as the script reads them."""
    column, cell = found["boards"][board]["columns"][column], found["boards"][board]["rows"][row]["cells"][column]
    raw = base64.b64decode(cell["values"])
    if "levels" in column:
        all_ = np.array(column["levels"])[np.frombuffer(raw, np.uint8)]
    else:
        all_ = column["low"] + column["step"] * np.frombuffer(raw, "<u2").astype(float)
    return all_.reshape(len(cell["done"]), -1)


class Outline(HTMLParser):
    """Tags and text, as an HTML parser sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


# ---------------------------------------------------------------------------------------------- values of cases


def test_few_distinct_values_are_kept_exactly():
    of = codes([np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.0])])
    assert of.levels == (0.0, 0.1, 1.0)
    assert base64.b64decode(written(np.array([[1.0, 0.0], [0.1, 1.0]]), of)) == bytes([2, 0, 1, 2])


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 250.0), (1e9, 1e9 + 1), (-1e300, 1e300)])
def test_many_distinct_values_are_off_by_half_a_step_at_most(low, high):
    values = np.linspace(low / 2, high / 2, 5000) * 2
    of = codes([values])
    read = of.low + of.step * np.frombuffer(base64.b64decode(written(values[None], of)), "<u2").astype(float)
    assert of.step == pytest.approx((high / 2 - low / 2) / STEPS * 2)
    assert np.max(np.abs(read / 2 - values / 2)) <= of.step / 4 * (1 + 1e-6)


def test_no_value_at_all_has_no_codes():
    with pytest.raises(ValueError, match="no value"):
        codes([np.zeros(0)])


def test_the_page_holds_the_values_of_each_seed_in_the_order_of_its_cases():
    rng = np.random.default_rng(0)
    drawn = {seed: rng.random(400) for seed in (0, 1, 2)}
    found = data(made([result(seed=seed, values=of) for seed, of in drawn.items()]))
    cell, column = found["boards"][0]["rows"][0]["cells"][0], found["boards"][0]["columns"][0]
    assert found["lists"][cell["list"]] == [f"case {n}" for n in range(400)]
    assert np.abs(values(found, 0, 0) - np.stack([*drawn.values()])).max() <= column["step"] / 2 * (1 + 1e-9)
    assert cell["means"] == [float(of.mean()) for of in drawn.values()]
    assert cell["mean"] == pytest.approx(np.mean([of.mean() for of in drawn.values()]))


# ---------------------------------------------------------------------------------------------- ends of the range


def test_one_seed_one_case_one_method():
    found = data(made([result(values=(0.25,))]))
    (cell,) = found["boards"][0]["rows"][0]["cells"]
    assert (cell["mean"], cell.get("std"), cell.get("low")) == (0.25, None, None)
    assert values(found, 0, 0).tolist() == [[0.25]]
    assert found["boards"][0]["ranking"] is None


def test_gaps_are_gaps():
    pending = replace(result("byol", "isic2018"), state="pending", cases=(), values=np.zeros(0))
    failed = replace(pending, method="moco", state="failed")
    text = made([result(), result("simclr", "isic2018"), result("byol"), pending, failed])
    rows = {row["method"]: row["cells"] for row in data(text)["boards"][0]["rows"]}
    assert [cell["state"] for cell in rows["byol"]] == ["done", "pending"]
    assert [cell["state"] for cell in rows["moco"]] == ["absent", "failed"]
    assert "values" not in rows["byol"][1]
    assert rows["moco"][1]["failed"] == [0]
    assert ">failed<" in text
    assert "NaN" not in json.dumps(data(text))


def test_ties_and_a_metric_of_which_less_is_better():
    tie = [result(method, metric="hd95", higher_is_better=False, seed=seed) for method in "ab" for seed in (0, 1)]
    found = data(made([*tie, *(replace(r, method="c", values=r.values * 2) for r in tie[:2])]))
    (board,) = found["boards"]
    assert board["columns"][0]["higher"] is False
    assert [row["cells"][0].get("best", False) for row in board["rows"]] == [True, True, False]
    assert [row["mean_rank"] for row in board["ranking"]["rows"]] == [1.5, 1.5, 3.0]


def test_sites_weighted_alike_have_no_values_of_their_own():
    mean = result(task="prostate@mean", strata=("A", "A", "B"))
    (cell,) = data(made([mean]))["boards"][0]["rows"][0]["cells"]
    assert "values" not in cell
    assert cell["id"] == "simclr/prostate/finetune"


def test_no_result_at_all():
    assert "No results to show" in page((), (), ())


# ---------------------------------------------------------------------------------------------- phantoms


def test_phantoms_have_a_section_of_their_own_and_a_warning():
    text = made([result(), *(replace(result(m, values=(0.0, 0.0, 0.25)), phantom=True) for m in ("simclr", "byol"))])
    assert [(board["name"], len(board["rows"])) for board in data(text)["boards"]] == [("real", 1), ("phantom", 2)]
    assert values(data(text), 0, 0).tolist() == [[0.5, 0.75, 1.0]]
    assert values(data(text), 0, 0, board=1).tolist() == [[0.0, 0.0, 0.25]]
    real, phantom = re.findall(r'<section class="board.*?</table>', text, re.DOTALL)
    assert "PHANTOM" not in real
    assert 'class="warning"' in phantom
    assert "byol" not in real


# ---------------------------------------------------------------------------------------------- names are text


def test_hostile_names_are_text_in_the_table_and_in_the_data():
    results = [result(name, task, seed=0) for name in HOSTILE for task in (*HOSTILE, "kvasir")]
    plain = [result(f"m{i}", task) for i in range(len(HOSTILE)) for task in ("t0", "t1", "t2", "t3", "t4", "t5", "t6")]
    text, usual = made(results, title=HOSTILE[0]), made(plain)
    shown, expected = Outline(text), Outline(usual)
    count = [sum(tag == name for tag, _ in shown.tags) for name in ("script", "img", "style")]
    assert count == [sum(tag == name for tag, _ in expected.tags) for name in ("script", "img", "style")] == [2, 0, 1]
    assert not [attrs for _, attrs in shown.tags if any(name.startswith("on") for name in attrs)]
    assert "<script>alert(1)</script>" in shown.text
    methods = {row["method"] for row in data(text)["boards"][0]["rows"]}
    assert methods == {name.replace("\u2028", " ").replace("\u2029", " ") for name in HOSTILE}


def test_the_data_hold_no_character_that_could_end_them():
    text = made([result(name) for name in HOSTILE])
    start = text.index('id="data">') + len('id="data">')
    assert not set("<>&\u2028\u2029") & set(text[start : text.index("</script", start)])


def test_a_name_cannot_turn_the_text_around_it():
    text = made([result(REVERSED)])
    assert "\u202e" not in text
    assert data(text)["boards"][0]["rows"][0]["method"] == "safe gnp.exe"


# ---------------------------------------------------------------------------------------------- the file


def test_equal_boards_give_equal_bytes():
    results = [result(method, seed=seed) for method in ("simclr", "byol") for seed in (0, 1)]
    assert made(results) == made(results)


def test_the_policy_lets_in_this_script_and_these_styles_and_nothing_else():
    text = made([result()])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#x27;", "'")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag, kind in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(sha256(content.encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"
    assert not {"connect-src", "img-src", "font-src"} & rules.keys()  # for which the default holds
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_the_table_is_there_without_a_script():
    results = [result(method, task) for method in ("simclr", "byol") for task in ("kvasir", "isic2018")]
    text = made(results)
    table = text[text.index("<table") : text.index("</table>")]
    assert table.count("<tr data-row=") == 2
    assert table.count('scope="col"') == 5  # method, mean, rank and two tasks
    assert "75.00" in table
    assert "<caption" in table


def test_a_large_board_stays_small():
    """15 columns of 20 methods with 5 seeds of 500 cases are 750 000 values, of which this is a fifteenth."""
    rng = np.random.default_rng(0)
    results = [result(f"method {m}", seed=s, values=rng.random(500)) for m in range(20) for s in range(5)]
    grown = len(made(results)) - len(made([replace(r, cases=r.cases[:9], values=r.values[:9]) for r in results]))
    assert grown * 15 < 2.5e6


# ---------------------------------------------------------------------------------------------- records


def record(key="k" * 32, **more):
    encoder = {"kind": "encoder", "seed": 3, "method": {"plugin": "simclr", "settings": {"dim": 8}}}
    parts = {"encoder": encoder, "protocol": {"name": "finetune"}, "task": {"name": "kvasir"}}
    said = {"id": "simclr/kvasir/finetune/0", "kind": "evaluate", "method": "simclr", "started": "2026-01-01T00:00:00"}
    environment = {"torch": "2.15.0", "device": "x86_64 CPU, 2 cores"}
    return Record(said["id"], key, parts, {**said, "environment": environment, "seconds": 2.0, **more}, Path())


def test_what_records_share_is_kept_once():
    records = [record("a" * 32), record("b" * 32)]
    found = facts(records, ["a" * 32, "b" * 32, "gone"])
    first, second = found["records"].values()
    assert first["environment"] == second["environment"]
    assert found["shared"][first["environment"]]["torch"] == "2.15.0"
    assert "seed" not in found["shared"][first["encoder"]]  # which alone would part the seeds of a method
    assert len(found["shared"]) == 4


def test_a_cell_leads_to_its_record_and_to_the_pretraining_behind_it():
    cell = record()
    source = Record(
        "simclr/pretrain/0",
        digest(cell.parts["encoder"]),
        cell.parts["encoder"],
        {"id": "simclr/pretrain/0", "kind": "pretrain", "method": "simclr", "history": {"loss": [3.0, 1.0]}},
        Path(),
    )
    found = data(made([result(record=cell.key)], [cell, source]))
    (row,) = found["boards"][0]["rows"]
    assert row["cells"][0]["records"] == [cell.key]
    assert found["records"][cell.key]["pretraining"] == source.key
    assert found["records"][source.key]["history"] == {"loss": [3.0, 1.0]}


@pytest.mark.parametrize("value", [None, [], "text", {"deep": {"er": [1, {"x": float("nan")}]}}, float("inf")])
def test_a_record_that_says_odd_things_is_still_shown(value):
    told = dict.fromkeys(("environment", "summary", "history", "files", "chosen", "started", "seconds"), value)
    text = made([result(record="k" * 32)], [record(**told)])
    assert data(text)["records"]["k" * 32]["id"] == "simclr/kvasir/finetune/0"


def test_numbers_name_what_came_first():
    shared = Shared()
    assert [shared.place(value) for value in ({"a": 1}, [1], {"a": 1})] == [0, 1, 0]
