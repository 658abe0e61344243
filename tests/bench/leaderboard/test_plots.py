"""Figures of a board, read back as drawn: names, numbers, the front, and what is said where something is missing."""

import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.cli.plot import By, _say_letters
from bench.errors import BenchError
from bench.leaderboard import critical
from bench.leaderboard.building import build
from bench.leaderboard.expense import Expense
from bench.leaderboard.plots import canvas, column, cost, radar, ranks, scatter
from bench.leaderboard.ranking import rank
from bench.leaderboard.result import Result

COLUMNS = (("liver", "finetune"), ("heart", "finetune"), ("lung", "finetune"), ("polyps", "linear"))
SKILLS = {"good": 0.8, "fair": 0.6, "bad": 0.5}
GPU, CPU = "NVIDIA H100", "x86_64 CPU, 2 cores"
HOSTILE = (
    "$x_1^2$ and $y$",
    "<script>alert('&')</script>",
    "Ünïcødé_Ω ≥ → _both_ ^2",
    "a_name_without_any_space_that_goes_on_and_on_and_on_for_ever_and_ever_and_has_more_than_90_letters",
)


def result(method, task="liver", protocol="finetune", seed=0, values=(0.5, 0.7), **more):
    facts = {"method": method, "task": task, "protocol": protocol, "seed": seed, "metric": "dice", "phantom": False}
    facts |= {"state": "done", "found": 9, "official": 9, "family": protocol}
    facts |= {"cases": tuple(f"case {n}" for n in range(len(values))), "values": np.asarray(values, float)}
    return Result(**{**facts, **more})


def missing(method, task="liver", protocol="finetune", seed=0, state="failed"):
    return result(method, task, protocol, seed, (), state=state)


def board(skills=SKILLS, columns=COLUMNS, seeds=(0, 1), **more):
    """Of each method the skill, a hundredth more with each column and a fiftieth with each seed, in two cases alike."""
    return [
        result(method, task, protocol, seed, [skill + 0.01 * number + 0.02 * seed - 0.01] * 2, **more)
        for number, (task, protocol) in enumerate(columns)
        for method, skill in skills.items()
        for seed in seeds
    ]


def expense(method, hours, *, devices=(GPU,), parameters=None, images=None):
    return Expense(method, parameters, hours, 0.5, images, devices if hours else (), (CPU,), 4)


HOURS = {"good": expense("good", 4.0), "fair": expense("fair", 2.0), "bad": expense("bad", 3.0)}


def draw(kind, results, file, **more):
    """Any kind of figure of results of one kind of data."""
    if kind in ("ranks", "critical"):
        (ranking,) = rank(results)
        (critical if kind == "critical" else ranks).draw(ranking, file)
    elif kind == "radar":
        (table,) = build(results)
        radar.draw(table, file)
    elif kind == "column":
        first = (results[0].task, results[0].protocol)
        (table,) = build([one for one in results if (one.task, one.protocol) == first])
        column.draw(table, file)
    else:
        names = dict.fromkeys(one.method for one in results)
        told = more.get("expenses") or {m: expense(m, 1.0 + n) for n, m in enumerate(names)}
        (table,) = build(results)
        cost.draw(table, lambda shown: told, more.get("by", "hours"), file)


KINDS = ("ranks", "critical", "radar", "column", "cost")


def said(file):
    """The texts of an svg, each as a reader sees it, its lines as one."""
    root = ElementTree.parse(file).getroot()
    return ["".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")]


def drawn(tmp_path, kind, results, **more):
    file = tmp_path / f"{kind}.svg"
    draw(kind, results, file, **more)
    return said(file)


# ------------------------------------------------------------------------------------------- all kinds


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_text_whatever_they_hold(tmp_path, kind):
    """Nothing is taken for a formula or for markup, and of a long name both ends are read."""
    skills = {name: 0.5 + number / 10 for number, name in enumerate(HOSTILE)}
    columns = [(f"$t_{number}$ <b>", protocol) for number, (_, protocol) in enumerate(COLUMNS)]
    text = "".join(drawn(tmp_path, kind, board(skills, columns)))
    squeezed = text.replace(" ", "")
    if kind == "critical":  # names in one line, without their middle
        assert all(part in text for part in ("$x_1^2$ and $y$", "<script>alert('&')</script>"))
    else:
        assert all(name.replace(" ", "") in squeezed for name in HOSTILE[:3])
    assert "a_name_without_an" in squeezed
    assert "…" in squeezed
    assert squeezed.count("letters") >= 1
    assert "<script" not in (tmp_path / f"{kind}.svg").read_text()


@pytest.mark.parametrize(("kind", "ending"), [*((kind, "svg") for kind in KINDS), ("ranks", "png"), ("cost", "pdf")])
def test_the_same_results_are_the_same_bytes(tmp_path, kind, ending):
    files = [tmp_path / f"{number}.{ending}" for number in (1, 2)]
    for file in files:
        draw(kind, board(), file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert len(first) > 2000


@pytest.mark.parametrize("kind", KINDS)
def test_phantoms_are_called_that(tmp_path, kind):
    assert "PHANTOM data" in " ".join(drawn(tmp_path, kind, board(phantom=True)))
    assert "real data" in " ".join(drawn(tmp_path, kind, board()))


@pytest.mark.parametrize("kind", ["radar", "column", "cost"])
def test_one_method_in_one_column_with_one_seed_and_case(tmp_path, kind):
    text = " ".join(drawn(tmp_path, kind, [result("only", values=[0.5])]))
    assert "only" in text
    assert "mean of one seed (0)" in text
    assert "nan" not in text


def test_no_two_methods_look_alike():
    looks = canvas.looks(77)
    assert len({(look.colour, look.mark) for look in looks}) == 77


def test_letters_that_no_font_has_are_named():
    assert canvas.without_glyph(["Ünï", "\U00010000"]) == "\U00010000"  # Linear B


def test_letters_that_will_be_boxes_are_told(tmp_path, capsys):
    results = [result("a\U00010000b")]
    _say_letters(results, tmp_path / "a.svg")
    assert capsys.readouterr().err == ""
    _say_letters(results, tmp_path / "a.png")
    assert "no font here has \U00010000: drawn as boxes" in capsys.readouterr().err
    draw("column", results, tmp_path / "a.png")  # and nothing warns


def test_a_long_text_is_folded_and_loses_its_middle():
    assert canvas.folded("one two three", 8) == ["one two", "three"]
    assert canvas.name("x" * 20, 10) == "x" * 10 + "\n" + "x" * 10
    assert canvas.name("a" * 50 + "b" * 50, 10).count("\n") == 2
    assert re.fullmatch(r"a+…b+", canvas.name("a" * 50 + "b" * 50, 10).replace("\n", ""))
    assert canvas.name("a\nb\u202ec") == "a b c"


# ------------------------------------------------------------------------------------------- ranks and columns


def test_ranks_come_with_their_intervals(tmp_path):
    text = drawn(tmp_path, "ranks", board())
    assert [name for name in text if name in SKILLS] == ["good", "fair", "bad"]
    assert "1.00 [1.00, 1.00]  a" in text
    assert "Mean rank of 3 methods over 4 tasks by Dice, real data" in text
    assert any("95 % interval over other tasks" in line for line in text)
    one = drawn(tmp_path, "ranks", board(columns=COLUMNS[:1]))
    assert "1.00 [1, 1]" in one
    assert any("95 % of its places when test cases are drawn anew" in line for line in one)
    with pytest.raises(ValueError, match="nothing is ranked"):
        draw("ranks", board({"good": 0.5}), tmp_path / "a.svg")


def test_a_column_shows_seeds_mean_and_interval(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(column.rows, "draw", lambda axes, found, unit: lines.extend(found))
    results = [result("b", seed=seed, values=[0.2 + seed / 10, 0.4 + seed / 10]) for seed in (0, 1)]
    results += [
        result("a", values=[0.9, 0.7]),
        missing("a", seed=1),
        missing("c"),
        missing("c", seed=1, state="pending"),
    ]
    draw("column", results, tmp_path / "a.svg")
    assert [line.name for line in lines] == ["a", "b", "c"]
    assert lines[1].value == pytest.approx(35)
    assert lines[1].dots == pytest.approx((30, 40))
    (table,) = build(results)
    cell = next(row.cells[0] for row in table.rows if row.method == "b")
    assert lines[1].ends == pytest.approx((100 * cell.low, 100 * cell.high))
    assert cell.low < 0.35 < cell.high
    assert lines[0].text.startswith("80.00 [")
    assert lines[0].text.endswith("] (1/2 seeds)")
    assert math.isnan(lines[2].value)
    assert lines[2].text == "no number: failed"


def test_of_a_metric_where_less_is_better_the_least_comes_first(tmp_path):
    text = drawn(tmp_path, "column", board(metric="hd95", higher_is_better=False))
    assert [name for name in text if name in SKILLS] == ["bad", "fair", "good"]
    assert "HD95 (mm), lower is better" in text


def test_a_column_says_of_what_it_is(tmp_path):
    text = " ".join(drawn(tmp_path, "column", [result("a", found=5), result("b", found=5)]))
    assert "Dice (%), liver / finetune, real data" in text
    assert "over 2 test cases" in text
    assert "cases found of the official data set: liver 5 of 9" in text
    (table,) = build(board())
    with pytest.raises(ValueError, match="unpack"):
        column.draw(table, tmp_path / "a.svg")


# ------------------------------------------------------------------------------------------- cost


def stairs(points, chosen, **more):
    """The corners of the front as it is drawn."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    costs = [point.cost for point in points if point.cost is not None]
    axis = scatter.Axis("time", more.get("unit", "h"), costs, more.get("devices", ()))
    assert scatter.scatter(figure, points, chosen, axis, "Dice") == ()
    (line,) = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"] or [None]
    return line and list(zip(*(map(float, of) for of in line.get_data()), strict=True))


def point(method, cost, score):
    return scatter.Point(method, cost, score, (math.nan, math.nan), ())


def test_the_front_is_drawn_as_stairs_to_the_dear_end():
    points = [point("a", 2.0, 50.0), point("b", 4.0, 70.0), point("c", 3.0, 40.0), point("d", None, 90.0)]
    assert stairs(points, (0, 1)) == [(2, 50), (4, 50), (4, 70), (pytest.approx(4.24), 70)]
    assert stairs(points[:1], (0,)) is None or len(stairs(points[:1], (0,))) == 1
    assert stairs(points, ()) is None


def test_where_more_is_cheaper_the_stairs_go_to_the_left():
    points = [point("a", 40.0, 50.0), point("b", 20.0, 70.0)]
    assert stairs(points, (0, 1), unit="images/s")[-1] == (pytest.approx(17.6), 70)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("hours", ("fair", "good")),  # bad costs more than fair
        ("images", ("bad", "good")),  # the fastest, and the best; fair is the slowest
        ("parameters", ("bad", "fair", "good")),
        ("evaluation", ("good",)),  # all the same
    ],
)
def test_discs_are_of_the_front(tmp_path, monkeypatch, by, expected):
    told = {
        name: expense(name, hours, parameters=parameters, images=images)
        for name, hours, parameters, images in (
            ("good", 4.0, 30, 20.0),
            ("fair", 2.0, 20, 10.0),
            ("bad", 3.0, 10, 30.0),
        )
    }
    seen = []

    def looked(figure, points, chosen, axis, measured):
        seen.append([points[index].method for index in chosen])
        return ()

    monkeypatch.setattr(cost, "scatter", looked)
    draw("cost", board(), tmp_path / "a.svg", expenses=told, by=by)
    assert tuple(seen[0]) == expected


def test_a_cost_is_said_with_unit_and_device(tmp_path):
    text = drawn(tmp_path, "cost", board(), expenses=HOURS)
    assert f"time of pretraining (h), {GPU}" in text
    assert "Dice (%), mean of 4 columns (higher is better)" in text
    assert {"good", "fair", "bad"} <= set(text)
    minutes = {name: expense(name, hours / 100) for name, hours in (("good", 4.0), ("fair", 2.0), ("bad", 3.0))}
    assert f"time of pretraining (min), {GPU}" in drawn(tmp_path, "cost", board(), expenses=minutes)
    assert any("vertical line: from the lowest to the highest" in line for line in text)


def test_a_method_of_unknown_cost_stands_apart(tmp_path):
    text = drawn(tmp_path, "cost", board(), expenses=HOURS | {"good": expense("good", None)})
    assert {"good", "time of pretraining", "not known"} <= set(text)
    del (few := dict(HOURS))["good"]
    assert "good" in drawn(tmp_path, "cost", board(), expenses=few)


def test_times_on_several_devices_have_no_front(tmp_path):
    told = HOURS | {"bad": expense("bad", 3.0, devices=(CPU,))}
    text = drawn(tmp_path, "cost", board(), expenses=told)
    assert {"good [1]", "fair [1]", "bad [2]", "time of pretraining (h), on several devices"} <= set(text)
    assert f"no front, for times on different devices cannot be compared: [1] {GPU}; [2] {CPU}" in " ".join(text)
    assert "Pareto" not in " ".join(text)
    assert "Pareto" in " ".join(drawn(tmp_path, "cost", board(), expenses=HOURS))


def test_a_method_that_is_not_complete_has_no_mean_to_show(tmp_path):
    results = [one for one in board() if one.method != "fair" or one.task == "liver"]
    results += [missing("fair", task) for task in ("heart", "lung")]
    text = drawn(tmp_path, "cost", results, expenses=HOURS)
    assert "incomplete, and so without a mean: fair" in text
    assert "fair" not in text


def test_costs_are_of_the_columns_that_the_mean_is_over(tmp_path):
    """A cell that only some have would make its methods seem dear."""
    results = [one for one in board() if (one.method, one.task) != ("fair", "lung")]
    (table,) = build([*results, missing("fair", "lung")])
    asked = []

    def told(shown):
        asked.extend(column.task for column in shown.columns)
        assert {len(row.cells) for row in shown.rows} == {3}
        return HOURS

    cost.draw(table, told, "hours", tmp_path / "a.svg")
    assert asked == ["liver", "heart", "polyps"]
    text = said(tmp_path / "a.svg")
    assert "Dice (%), mean of 3 columns (higher is better)" in text
    assert "not in the mean, for some cells are missing: lung / finetune" in text
    assert "fair" in text


def test_costs_spread_over_powers_of_ten_have_plain_numbers(tmp_path):
    told = {name: expense(name, hours) for name, hours in (("good", 0.5), ("fair", 50.0), ("bad", 20000.0))}
    text = drawn(tmp_path, "cost", board(), expenses=told)
    assert {"1", "100", "10000"} <= set(text)
    assert not any("mathdefault" in line for line in text)


def test_what_cannot_be_set_against_a_cost_is_said(tmp_path):
    mixed = [*board(), *board(columns=[("spine", "finetune")], metric="hd95", higher_is_better=False)]
    with pytest.raises(BenchError, match=r"columns, which are of dice, hd95: --task and --protocol take one column"):
        draw("cost", mixed, tmp_path / "a.svg")
    with pytest.raises(BenchError, match="no record tells the parameters of the encoder of any method"):
        draw("cost", board(), tmp_path / "a.svg", expenses=HOURS, by="parameters")
    with pytest.raises(BenchError, match="no method is complete"):
        draw("cost", [missing("a"), missing("b")], tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()


def test_the_command_knows_the_costs_that_can_be_drawn():
    assert set(By) == cost.KINDS.keys()


@pytest.mark.parametrize("count", [2, 12, 30])
def test_no_name_lies_on_another(count):
    from matplotlib.figure import Figure

    draws = np.random.default_rng(count)
    points = [
        point(f"a method {n}", float(draws.choice([1.0, 1.1, 2.0, 3.0])), float(draws.normal(60, 9)))
        for n in range(count)
    ]
    figure = Figure(figsize=(7, 9), layout="constrained", dpi=200)
    axis = scatter.Axis("time", "h", [p.cost for p in points], ())
    with canvas.style():
        assert scatter.scatter(figure, points, (), axis, "Dice") == ()
        (axes,) = figure.axes
        names = [text for text in axes.texts if text.get_text()]
        assert {name.get_text() for name in names} == {p.method for p in points}
        boxes = [name.get_window_extent() for name in names]
        marks = axes.transData.transform([(p.cost, p.score) for p in points])
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert not any(box.contains(*mark) for box in boxes for mark in marks)
    frame = axes.get_window_extent()
    assert all(frame.contains(*corner) for box in boxes for corner in box.corners())


def test_names_for_which_there_is_no_room_are_in_the_notes(tmp_path):
    skills = {f"a method with a name {number}": 0.5 for number in range(40)}
    told = {name: expense(name, 1.0) for name in skills}
    text = " ".join(drawn(tmp_path, "cost", board(skills, COLUMNS[:1]), expenses=told))
    assert "no room for the names of" in text
    assert all(re.search(rf"{name}\b", text) for name in skills)


# ------------------------------------------------------------------------------------------- radar


def test_an_axis_says_what_its_ends_are(tmp_path):
    text = drawn(tmp_path, "radar", board())
    assert "liver / finetune Dice 50.00 → 80.00 %" in " ".join(text)
    assert {"finetune", "linear", "good", "fair", "bad"} <= set(text)
    assert "drawn as dots, for a radar takes 3 columns: linear (1)" in text
    assert any("from the worst of these methods (inner ring) to the best (outer ring)" in line for line in text)


def spokes(monkeypatch, tmp_path, results):
    """The axes of each radar that is drawn."""
    seen = []
    monkeypatch.setattr(radar.spokes, "draw", lambda axes, found, looks, radius, size: seen.append(found))
    draw("radar", results, tmp_path / "a.svg")
    return seen


def test_an_axis_is_turned_round_where_less_is_better(monkeypatch, tmp_path):
    up = board(columns=COLUMNS[:2])
    down = board(columns=COLUMNS[2:3], metric="hd95", higher_is_better=False)
    ((first, _, last),) = spokes(monkeypatch, tmp_path, [*up, *down])
    assert first.reach == pytest.approx((1, 1 / 3, 0))
    assert last.reach == pytest.approx((0, 2 / 3, 1))
    assert (first.ends, last.ends) == ("50.00 → 80.00 %", "0.80 → 0.50 mm")


def test_equals_are_all_best_and_a_gap_is_open(monkeypatch, tmp_path):
    results = [*board({"a": 0.5, "b": 0.5}, COLUMNS[:3]), *(missing("c", task) for task in ("liver", "heart"))]
    results.append(result("c", "lung", values=[0.5] * 2))
    ((first, _, last),) = spokes(monkeypatch, tmp_path, results)
    assert first.reach[:2] == (1, 1)
    assert math.isnan(first.reach[2])
    assert first.ends == "all 50.00 %"
    assert last.reach == pytest.approx((1, 1, 0))
    monkeypatch.undo()
    text = drawn(tmp_path, "radar", results)
    assert "no number, and open there: c in liver / finetune, heart / finetune" in text


def test_a_line_is_broken_at_a_gap():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    spoke = radar.spokes.Spoke
    found = [spoke("x", "Dice", "0 → 1", (reach, 1.0)) for reach in (0.0, math.nan, 1.0)]
    radar.spokes.draw(axes, found, canvas.looks(2), 1.0, (3.0, 3.0))
    broken, whole = axes.lines[-2:]
    assert np.isnan(broken.get_ydata()).tolist() == [False, True, False, False]
    assert broken.get_ydata()[0] == pytest.approx(radar.spokes.INNER)
    assert not np.isnan(whole.get_ydata()).any()


def test_a_family_of_many_columns_has_several_radars(monkeypatch, tmp_path):
    columns = [(f"task {number}", "finetune") for number in range(26)]
    assert [len(found) for found in spokes(monkeypatch, tmp_path, board(columns=columns))] == [9, 9, 8]


def test_sites_count_once(monkeypatch, tmp_path):
    sites = [one for site in ("A", "B", "C") for one in board(columns=[(f"heart@{site}", "finetune")], part=True)]
    whole = board(columns=[("heart@mean", "finetune"), ("lung", "finetune"), ("liver", "finetune")])
    ((first, *_),) = spokes(monkeypatch, tmp_path, [*sites, *whole])
    assert first.name == "heart@mean / finetune"
    ((first, *_),) = spokes(monkeypatch, tmp_path, sites)
    assert first.name == "heart@A / finetune"


def test_without_a_number_there_is_no_radar(tmp_path):
    with pytest.raises(ValueError, match="no column has a number"):
        draw("radar", [missing("a")], tmp_path / "a.svg")
