"""From results to a ranking: what is complete and what is left out, and what is said of it."""

import math
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bench.cli.plot import drawn, of_rankings
from bench.detections import Detections
from bench.errors import BenchError
from bench.leaderboard import critical
from bench.leaderboard import ranking_words as words
from bench.leaderboard.duel import FEWEST
from bench.leaderboard.ranking import rank
from bench.leaderboard.result import Result
from bench.leaderboard.subgrid import subgrid

N = 30
CASES = tuple(f"case {n}" for n in range(N))
TASKS = tuple(f"task {n}" for n in range(8))


def result(method, task="heart", protocol="linear", seed=0, values=None, **more):
    done = values is not None
    facts = {
        "method": method, "task": task, "protocol": protocol, "seed": seed, "state": "done" if done else "pending",
        "metric": "dice", "phantom": False, "found": 9, "official": 9, "cases": CASES[: len(values)] if done else (),
        "values": values if done else np.zeros(0),
    }  # fmt: skip
    return Result(**{**facts, **more})


def board(skills, tasks=TASKS, protocols=("linear",), seeds=(0, 1), noise=0.02, **more):
    """Methods whose cases differ by their skill; cases are hard for all alike."""
    draws = np.random.default_rng(0)
    found = []
    for task in tasks:
        hard = draws.beta(4, 3, N)
        for protocol in protocols:
            for method, skill in skills.items():
                for seed in seeds:
                    values = hard + skill + draws.normal(0, noise, N)
                    found.append(result(method, task, protocol, seed, values, **more))
    return found


def only(results, **more):
    (ranking,) = rank(results, **more)
    return ranking


FOUR = {"bad": -0.2, "good": 0.2, "middling": 0.0, "fair": 0.1}


def test_methods_are_ranked_over_tasks():
    ranking = only(board(FOUR))
    assert [row.method for row in ranking.rows] == ["good", "fair", "middling", "bad"]
    assert [row.mean_rank for row in ranking.rows] == [1, 2, 3, 4]
    assert [row.borda for row in ranking.rows] == [24, 16, 8, 0]
    assert [row.wins for row in ranking.rows] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    first = ranking.rows[0]
    assert (first.iqm, first.first_by_cases, first.first_by_tasks) == (pytest.approx(1, abs=0.03), 1, 1)
    assert first.places_by_cases == first.places_by_tasks == first.rank_ends == (1, 1)
    assert first.elo_ends[0] <= first.elo <= first.elo_ends[1]
    assert first.mean == pytest.approx(4 / 7 + 0.2, abs=0.05)
    assert ranking.test.differ
    assert [row.groups for row in ranking.rows] == ["a", "ab", "bc", "c"]
    duel = ranking.duel
    assert (duel.first, duel.second) == ("good", "fair")
    assert duel.lead == pytest.approx(0.1, abs=0.01)
    assert duel.belief.first > 0.99
    assert all(tau == 1 for tau in ranking.orderings.values())


def test_the_same_results_give_the_same_ranking():
    one, other = only(board(FOUR, noise=0.3)), only(board(FOUR, noise=0.3))
    assert one.rows == other.rows
    assert (one.duel, one.shares) == (other.duel, other.shares)


def test_where_less_is_better_the_smallest_is_first():
    ranking = only(board(FOUR, metric="hd95", higher_is_better=False))
    assert [row.method for row in ranking.rows] == ["bad", "middling", "fair", "good"]
    assert ranking.rows[0].mean == pytest.approx(4 / 7 - 0.2, abs=0.05)
    assert (words.unit(ranking.duel), ranking.duel.rope) == ("mm", 1.0)
    assert "leads by 0.20 mm" in " ".join(words.duel(ranking.duel))
    assert all(tau == 1 for tau in ranking.orderings.values())


def test_metrics_with_other_units_are_ranked_together_but_not_averaged():
    far = board(FOUR, tasks=("liver", "lung"), metric="hd95", higher_is_better=False)
    ranking = only([*board(FOUR), *far])
    assert len(ranking.grid.tasks) == 10
    assert ranking.duel.spread.tasks == 8  # those in points
    assert math.isnan(ranking.rows[0].mean)
    assert ranking.rows[0].mean_rank == pytest.approx((8 * 1 + 2 * 4) / 10)
    assert ranking.orderings.keys() == {"mean rank / interquartile mean"}


def test_real_and_phantom_data_are_ranked_apart():
    found = rank([*board(FOUR), *board({"good": 0.0, "bad": 0.1}, phantom=True)])
    assert [ranking.name for ranking in found] == ["real", "phantom"]
    assert [ranking.rows[0].method for ranking in found] == ["good", "bad"]
    assert "PHANTOM" in words.title(found[1])
    assert words.opening(found[1])[0].startswith("PHANTOM")
    assert rank([]) == ()


def test_protocols_of_a_task_count_once():
    ranking = only(board(FOUR, protocols=("linear", "knn")))
    assert [task.protocols for task in ranking.grid.tasks] == [("linear", "knn")] * 8
    assert (len(ranking.grid.columns), ranking.test.columns) == (16, 8)
    assert "8 tasks with several protocols count once" in words.opening(ranking)[0]
    (agreement,) = ranking.protocols
    assert (agreement.tau, agreement.tasks, agreement.leaders) == (1, 8, (("good",), ("good",)))
    assert words.protocols(ranking) == ["linear and knn over 8 tasks: Kendall's tau 1.00; first under both: good."]


def test_a_winner_that_depends_on_the_probe_is_named():
    turned = {name: -skill for name, skill in FOUR.items()}
    ranking = only([*board(FOUR), *board(turned, protocols=("knn",))])
    (said,) = words.protocols(ranking)
    assert "Kendall's tau -1.00; first: good under linear, bad under knn: it depends on the probe" in said
    apart = only([*board(FOUR), *board(FOUR, protocols=("knn",), tasks=("lung",))])
    assert words.protocols(apart) == [
        "Whether the order depends on the protocol is not known: no task has two of them."
    ]


def test_gaps_cost_as_little_as_they_can():
    found = [r for r in board(FOUR) if not (r.method == "fair" and r.task != "task 0")]
    grid = subgrid(found)  # a method with one task of eight
    assert grid.methods == ("bad", "good", "middling")
    assert grid.left_out == {
        "fair": "no result in task 1/linear, task 2/linear, task 3/linear, task 4/linear and 3 more"
    }
    assert len(grid.tasks) == 8
    missing = [
        replace(r, state="failed", cases=(), values=np.zeros(0)) if r.task == "task 3" else r for r in board(FOUR)
    ]
    grid = subgrid(missing)
    assert grid.left_out == {"task 3/linear": "no result of bad, good, middling, fair"}
    assert len(grid.tasks) == 7
    one = [r for r in board(FOUR) if (r.method, r.task) != ("fair", "task 3")]
    assert subgrid(one).left_out == {"task 3/linear": "no result of fair"}  # of one gap the shorter line goes


def test_the_seeds_count_that_all_have():
    found = [r for r in board(FOUR, seeds=(0, 1, 2)) if (r.method, r.task, r.seed) != ("good", "task 0", 1)]
    grid = subgrid(found)
    assert grid.fewer == {"task 0/linear": "seeds 0, 2 of 0, 1, 2, which all methods have"}
    assert grid.tasks[0].per_seed.shape == (4, 2)
    ranking = only(found)
    assert ranking.duel.spread.seeds == 2
    assert words.left_out(ranking) == ["task 0 / linear: seeds 0, 2 of 0, 1, 2, which all methods have"]
    apart = [r for r in found if r.task != "task 1" or (r.seed == 0) == (r.method == "good")]
    assert subgrid(apart).left_out == {"task 1/linear": "its methods have no seed in common"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metric": "iou"}, "different metrics: dice, iou"),
        ({"found": 8}, "different data: 9 and 8 cases of the data set were found"),
        ({"cases": tuple(reversed(CASES))}, "different cases: .* the same in another order, or repeated"),
        ({"part": True}, "told by another column already"),
    ],
)
def test_columns_that_cannot_be_put_side_by_side_are_left_out(change, reason):
    found = [
        replace(r, **change) if r.task == "task 2" and (r.method != "bad" or "part" in change) else r
        for r in board(FOUR)
    ]
    grid = subgrid(found)
    assert re.fullmatch(reason, grid.left_out["task 2/linear"])
    assert len(grid.tasks) == 7


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        (board({"good": 0.0}), "there is one method"),
        ([result("a"), result("b")], "no task has results of all methods"),
        ([result("a", "x", values=np.ones(2)), result("b", "y", values=np.ones(2))], "there is one method"),
    ],
)
def test_with_nothing_to_rank_it_says_why(results, reason):
    ranking = only(results)
    assert (ranking.rows, ranking.test, ranking.duel) == ((), None, None)
    assert words.opening(ranking)[-1] == f"Nothing to rank: {reason}."


def test_one_task_has_no_test_and_no_intervals_over_tasks():
    ranking = only(board(FOUR, tasks=("heart",)))
    first = ranking.rows[0]
    assert first.method == "good"
    assert all(map(math.isnan, (*first.rank_ends, *first.elo_ends, first.first_by_tasks, *first.places_by_tasks)))
    assert {row.groups for row in ranking.rows} == {""}
    assert words.friedman(ranking) == "No test over tasks: there is 1 task."
    said = " ".join(words.duel(ranking.duel))
    assert f"No Bayesian signed-rank test: it takes {FEWEST} tasks, and there is 1 task." in said
    assert "what other tasks do is not known" in said


def test_one_seed_says_nothing_of_other_seeds():
    ranking = only(board(FOUR, seeds=(0,)))
    assert math.isnan(ranking.rows[0].iqm_ends[0])
    said = " ".join(words.duel(ranking.duel))
    assert "what other seeds do is not counted" in said
    assert "what other seeds do is not known" in said
    assert "is from seeds" not in said


def test_one_case_is_enough_to_be_ranked():
    found = [replace(r, cases=r.cases[:1], values=r.values[:1]) for r in board(FOUR)]
    ranking = only(found)
    assert ranking.rows[0].method == "good"
    assert ranking.duel.spread.of_cases == 0


def test_where_all_tie_nobody_is_first():
    found = [replace(r, values=np.full(N, 0.5)) for r in board(FOUR)]
    ranking = only(found)
    assert {row.mean_rank for row in ranking.rows} == {2.5}
    assert {row.iqm for row in ranking.rows} == {0.5}
    assert [row.first_by_cases for row in ranking.rows] == pytest.approx([0.25] * 4)
    assert ranking.test.p == 1
    assert "no difference between methods is shown" in words.friedman(ranking)
    said = words.duel(ranking.duel)
    assert said[0].startswith("bad and good share the first place")
    assert "So they are practically equal." in said[1]
    assert "no lead of the first" in said[2]
    assert "there is none to share out" in said[3]
    assert words.orderings(ranking).count("not defined (all methods tie)") == 3


def test_two_methods_have_a_test_of_their_own():
    ranking = only(board({"good": 0.1, "bad": 0.0}))
    assert words.friedman(ranking) == ("Wilcoxon's signed-rank test over 8 tasks, exact: p = 0.0078: the two differ.")


def test_the_rope_is_in_the_unit_that_readers_see():
    little, much = only(board(FOUR), rope=1.0).duel, only(board(FOUR), rope=30.0).duel
    assert (little.rope, much.rope) == (pytest.approx(0.01), pytest.approx(0.3))
    assert little.belief.first > 0.99
    assert much.belief.equal > 0.99
    assert "practically equal, within 30 points: 1.000" in words.duel(much)[1]
    assert "practically equal, within 1 point: 0.0" in words.duel(little)[1]


def test_the_lead_may_be_of_the_second():
    """Of mean rank one method is first, though the other leads in the mean, by one task."""
    found = board({"often": 0.02, "seldom": 0.0}, noise=0.0)
    found = [replace(r, values=r.values + 0.9) if (r.method, r.task) == ("seldom", "task 0") else r for r in found]
    said = words.duel(only(found).duel)
    assert said[0].startswith("often is first and seldom second; in the mean over 8 tasks seldom leads by 9.25 points")
    assert said[2].startswith("There is no lead of the first")


def detections(seed, good, images=16):
    """One object in each image, found with a chance, beside as many false positives."""
    draws = np.random.default_rng(seed)
    hits = np.concatenate([draws.random(images) < good, np.zeros(images, bool)])
    where, scores = np.tile(np.arange(images), 2), draws.random(2 * images) + hits * 0.3
    of = np.zeros(2 * images, np.int64)
    names = tuple(map(str, range(images)))
    return Detections(names, ("spot",), np.ones((images, 1), np.int64), where, of, scores, np.tile(hits[:, None], 10))


def test_average_precision_is_ranked_too():
    found = [
        result(method, task, "detect", seed, metric="map50", state="done", cases=of.cases, detections=of)
        for number, task in enumerate(("polyps", "nodules"))
        for method, good in (("good", 0.9), ("bad", 0.4))
        for seed in (0, 1)
        for of in [detections(10 * number + seed, good)]
    ]
    ranking = only([*found, *board({"good": 0.1, "bad": 0.0})])
    assert len(ranking.grid.tasks) == 10
    assert ranking.rows[0].method == "good"
    assert ranking.duel.spread.of_cases > 0
    assert ranking.duel.spread.tasks == 10


def test_no_sentence_has_a_number_that_is_none():
    boards = [board(FOUR), board(FOUR, tasks=("x",), seeds=(0,)), board({"a": 0.0, "b": 0.0}, noise=0.5)]
    for results in boards:
        ranking = only(results)
        text = " ".join([*words.duel(ranking.duel), words.friedman(ranking), words.orderings(ranking)])
        assert not re.search(r"\b(nan|inf|None)\b", text)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_diagram_is_drawn(tmp_path, ending):
    names = {f"$\\x_{n}$ <b> a name that goes on for ever and ever": n / 50 for n in range(21)}
    for number, skills in enumerate((FOUR, names, {"a": 0.0, "b": 0.1})):
        file = tmp_path / f"{number}.{ending}"
        critical.draw(only(board(skills)), file)
        assert file.stat().st_size > 2000
    critical.draw(only(board(FOUR, tasks=("heart",))), tmp_path / f"one.{ending}")


def test_the_diagram_says_what_it_shows(tmp_path):
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        critical.draw(only(board(FOUR, phantom=True)), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "4 methods over 8 tasks by Dice, PHANTOM data; p &lt; 0.0001" in text
    assert "critical difference 1.66" in text
    assert all(name in text for name in FOUR)


def test_real_and_phantom_data_are_drawn_apart(tmp_path):
    both = rank([*board(FOUR), *board(FOUR, phantom=True)])
    files = drawn(of_rankings(critical.draw, both, "bench.toml"), tmp_path / "a.png")
    assert [file.name for file in files] == ["a-real.png", "a-phantom.png"]
    assert all(file.exists() for file in files)


def test_what_cannot_be_drawn_is_said(tmp_path):
    with pytest.raises(BenchError, match=r"a figure ends in \.png, \.svg or \.pdf"):
        critical.draw(only(board(FOUR)), tmp_path / "a.gif")
    with pytest.raises(ValueError, match="nothing is ranked"):
        critical.draw(only(board({"a": 0.0})), tmp_path / "a.png")


def test_drawing_leaves_no_display_behind():
    code = "import sys, bench.leaderboard.critical\nassert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
