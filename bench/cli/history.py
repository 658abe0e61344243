"""Commands that look back: how two stores differ, and what of a board has changed since a record or a date."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import DataRoot, Json, app
from bench.cli.look import planned
from bench.cli.show import as_json, as_table
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.cli.boards import Asked
    from bench.leaderboard.history import Move
    from bench.leaderboard.snapshots import Damage, Kept, Snapshot
    from bench.plan import Planned
    from bench.store import Store

SIDE = typer.Argument(metavar="GRID|STORE", help="A grid, or a store: a folder of records.", show_default=False)
Metric = Annotated[str, typer.Option("--metric", help="Of this in place of each task's primary metric, such as hd95.")]
Since = Annotated[
    str,
    typer.Option(
        "--since",
        metavar="RECORD|DATE",
        help="Say below what has changed since: a cell's id, 6 digits or more of a record's key, or a date (UTC).",
    ),
]
STATES = ("same", "conflict", "changed", "gone", "new")


@dataclass(frozen=True)
class Words:
    """What the two sides are called, and how cells of one side alone are introduced."""

    old: str
    new: str
    gone: str
    come: str


DIFF = Words("A", "B", "only in A", "only in B")
SINCE = Words("then", "now", "on the board no more", "new")


@app.command()
def diff(
    a: Annotated[str, SIDE],
    b: Annotated[str, SIDE],
    metric: Metric = "",
    data: DataRoot = None,
    json: Json = False,
) -> None:
    """Say which numbers differ between two stores, A and B, and which part of their key changed.

    Cells are paired by their ids, of each the newest record; where a label changed, by their keys. The same key has to
    give the same numbers: where it did not, the cell and what differs of the environments are named first. Of another
    key are told the parts that changed, and the difference B minus A with its interval and a p-value of the paired
    test of `bench compare`, adjusted for all cells. A record that cannot be read is named and passed over.

    Exit code 0: the same cells, keys and numbers; 1: something differs, or a record could not be read.

    JSON: {"a", "b", "counts" (by state), "damaged" ([{"key", "folder", "why"}]), "cells": [{"id", "state", "was" (in
    A, if it has another name there), "metric", "a" and "b" ({"key", "started", "phantom", "mean", "cases"}, or null),
    "changes" (of the key; of a conflict, of the environment: [{"path", "old", "new"}], of which one is left out where
    there was none), "why" (the same in words), "difference" ({"value", "low", "high", "cases", "p", "adjusted"}, or
    null), "verdict" (better, worse or nothing), "moved" (how many cases), "farthest" (of a conflict: {"metric", "case",
    "old", "new"}, or null)}]}. State is same, conflict (same key, other numbers), changed (other key), gone (only in A)
    or new (only in B); numbers are in the unit of the metric. A cell comes twice where older records of it are in
    conflict too.
    """
    from bench.leaderboard.history import moves

    old, new = _side(a, data, metric), _side(b, data, metric)
    found, broken = moves(old, new), tuple(dict.fromkeys((*old.damaged, *new.damaged)))
    if json:
        as_json({"a": a, "b": b, **facts(found, broken, ("a", "b"))})
    else:
        for name, side, of in (("A", a, old), ("B", b, new)):
            print(f"{name}: {side}, {_many(len(of.newest), 'cell')}")  # noqa: T201
        say(found, broken, DIFF)
    if broken or any(move.state != "same" for move in found):
        raise typer.Exit(1)


def _side(place: str, data: str | None, metric: str) -> "Snapshot":
    from bench.leaderboard.snapshots import of_store

    if Path(place).is_dir():
        return of_store(store_at(Path(place)), metric)
    _, store, plan = planned(place, data)
    return _of_plan(store, plan, metric, place)


def _of_plan(store: "Store", plan: "Sequence[Planned]", metric: str, where: str) -> "Snapshot":
    """What a grid has of its cells, under its own labels."""
    from bench.leaderboard.snapshots import damaged, of_records
    from bench.plan import recorded

    own = of_records(recorded(plan), metric, where)
    asked = {p.job.key for p in plan}
    return replace(own, damaged=(*(one for one in damaged(store) if one.key in asked), *own.damaged))


def store_at(folder: Path) -> "Store":
    """A store that holds records, or could. Raises BenchError for another folder."""
    from bench.store import Store

    if not (folder / "jobs").is_dir():
        inner = next((path.parent for path in sorted(folder.glob("*/jobs"))), None)
        mend = f"; did you mean {inner}?" if inner else "; `bench run` makes one, and its grid's [bench] store names it"
        raise BenchError(f"{folder}: is no store, for it has no folder jobs/{mend}")
    return Store(folder)


# ---------------------------------------------------------------------------------------------- since


@dataclass(frozen=True)
class History:
    """What has become of the cells of a board since a moment."""

    since: str  # in words, with the time in UTC
    moves: "tuple[Move, ...]"
    damaged: "tuple[Damage, ...]"


def changed_since(asked: "Asked", since: str) -> History:
    """What of the board of a grid, or of a store, has changed since a record or a date. Raises BenchError.

    Then are the records of the store that had ended by that moment, of each cell the newest; now is what the board
    shows. What was dropped since, or imported later than it was made, cannot be told.
    """
    from bench.leaderboard.history import moves
    from bench.leaderboard.snapshots import before, moment, of_store

    if asked.layout:
        raise BenchError("--since says what moved of cells, and a --layout shows other things; leave one of them out")
    if Path(asked.grid).is_dir():
        store = store_at(Path(asked.grid))
        whole = now = of_store(store, asked.metric)
    else:
        _, store, plan = planned(asked.grid, asked.data)
        whole, now = of_store(store, asked.metric), _of_plan(store, plan, asked.metric, asked.grid)
    time, name = moment(since, [*store.records(), *(cell.record for cell in now.cells)], asked.grid)
    old = before(whole, time)
    said = f"{name}, {time:%Y-%m-%d %H:%M:%S} UTC"
    return History(said, _shown(moves(old, now), asked), tuple(dict.fromkeys((*old.damaged, *now.damaged))))


def _shown(found: "tuple[Move, ...]", asked: "Asked") -> "tuple[Move, ...]":
    """Those of cells that the board selects."""
    from bench.leaderboard.selection import chosen

    try:
        own = chosen([m.one.result for m in found], only=asked.only, group=asked.group, family=asked.family)
    except BenchError:  # the board has such cells, and none of them has a record
        return ()
    shown = set(map(id, own))
    return tuple(move for move in found if id(move.one.result) in shown)


def since_facts(history: History) -> dict[str, Any]:
    """It for programs: as `bench diff --json`, with `since` in words, and `then` and `now` for `a` and `b`."""
    return {"since": history.since, **facts(history.moves, history.damaged, ("then", "now"))}


def say_since(history: History) -> None:
    """Print it below a board."""
    print(f"\nsince {history.since}:")  # noqa: T201
    say(history.moves, history.damaged, SINCE)


# ---------------------------------------------------------------------------------------------- what is printed


def facts(moves: "Sequence[Move]", damaged: "Sequence[Damage]", names: tuple[str, str]) -> dict[str, Any]:
    """Everything for programs; `names` are the keys of the old and of the new side."""
    counts = {state: sum(move.state == state for move in moves) for state in STATES}
    broken = [{"key": one.key, "folder": one.folder, "why": one.why} for one in damaged]
    return {"counts": counts, "damaged": broken, "cells": [_plain(move, names) for move in moves]}


def _plain(move: "Move", names: tuple[str, str]) -> dict[str, Any]:
    from bench.leaderboard.history_words import reasons

    sides = {name: _told(side) for name, side in zip(names, (move.old, move.new), strict=True)}
    parts = [{k: v for k, v in change._asdict().items() if v is not ...} for change in move.changes]
    return {
        **{"id": move.id, "state": move.state, "was": move.was or None},
        **{"metric": move.one.result.metric, **sides, "changes": parts},
        **{"why": list(reasons(move)) if move.state in ("conflict", "changed") else []},
        **{"difference": vars(move.difference) if move.difference else None, "verdict": move.verdict},
        **{"moved": move.moved, "farthest": move.farthest._asdict() if move.farthest else None},
    }


def _told(cell: "Kept | None") -> dict[str, Any] | None:
    if cell is None:
        return None
    told = {"key": cell.key, "started": cell.started, "phantom": cell.result.phantom}
    return told | {"mean": cell.result.mean, "cases": len(cell.result.cases)}


def say(moves: "Sequence[Move]", damaged: "Sequence[Damage]", words: Words) -> None:
    """Print what moved, what should not have first, and a line that counts it all."""
    from bench.leaderboard.history_words import cells, relabelled
    from bench.leaderboard.words import plain

    of = {state: [move for move in moves if move.state == state] for state in STATES}
    _show(of["conflict"], "the SAME KEY and OTHER NUMBERS, which should not be", words)
    _show(of["changed"], "another key", words)
    for state, name in (("gone", words.gone), ("new", words.come)):
        if of[state]:
            _wrapped(f"{name}: {cells([move.id for move in of[state]])}")
    for line in relabelled(of["same"]):
        _wrapped(f"the same under another label: {line}")
    known = {move.one.key: f" (the other side has it: {move.id})" for move in of["gone"] + of["new"]}
    for one in damaged:
        _wrapped(plain(f"not read: {one}{known.get(one.key, '')}"))
    if tested := [move for move in moves if move.difference and move.difference.adjusted >= 0]:
        _wrapped(
            f"difference: {words.new} minus {words.old} [95 % interval over test cases]; p: of the paired test that"
            f" `bench compare` makes, adjusted by Holm for {_many(len(tested), 'cell')}"
        )
    _wrapped(_summary(of, damaged, words))


def _show(moves: "Sequence[Move]", what: str, words: Words) -> None:
    """A table for each set of reasons, below them."""
    from bench.leaderboard.history_words import LISTED, grouped, kind, row

    for why, group in grouped(moves):
        rows = [row(move, (words.old, words.new)) for move in group[:LISTED]]
        metrics = {told["metric"] for told in rows}
        of = metrics.pop() if len(metrics) == 1 else ""
        said = ", ".join(filter(None, (of, kind(group[0]))))
        print(f"\n{_many(len(group), 'cell')} with {what}{said and ': ' + said}")  # noqa: T201
        for line in why:
            _wrapped(f"- {line}")
        as_table([{k: v for k, v in told.items() if k != "metric" or not of} for told in rows])
        if len(group) > LISTED:
            print(f"and {len(group) - LISTED} more; --json has them all")  # noqa: T201


def _summary(of: "dict[str, list[Move]]", damaged: "Sequence[Damage]", words: Words) -> str:
    count = {state: len(found) for state, found in of.items()}
    judged = [move.verdict for move in of["changed"]]
    parts = [f"{_many(count['same'], 'cell')} the same"]
    if count["conflict"]:
        parts.append(f"{count['conflict']} with the same key and other numbers")
    if count["changed"]:
        better, worse = (judged.count(verdict) for verdict in ("better", "worse"))
        parts.append(f"{count['changed']} with another key ({better} better, {worse} worse beyond chance)")
    parts += [f"{count[s]} {name}" for s, name in (("gone", words.gone), ("new", words.come)) if count[s]]
    parts += [f"{_many(len(damaged), 'record')} not read"] * bool(damaged)
    return ", ".join(parts)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _wrapped(text: str) -> None:
    """Print a text folded to the width of the terminal."""
    from rich.console import Console

    lines = textwrap.wrap(text, max(40, Console().width), subsequent_indent="  ", break_on_hyphens=False)
    print("\n".join(lines))  # noqa: T201
