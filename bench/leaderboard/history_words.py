"""What is said of cells that moved: which part of a key changed, in words, and by how much the numbers did."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.keys import Change, short
from bench.leaderboard.history import Move
from bench.leaderboard.names import label, scale_of
from bench.leaderboard.snapshots import Kept
from bench.leaderboard.words import GAP, number, plain

LISTED = 40  # cells that are named, or rows of a table, before the others are counted; --json has them all
LEAST = 0.0001  # p-values below it are not told apart
PLUGINS = {"encoder.method.plugin": "method", "task.name": "task"}
SAME_PLACE = (
    "their environments are the same: something random takes no seed, a number depends on the machine, or a record was"
    " changed by hand"
)


def reasons(move: Move) -> tuple[str, ...]:
    """What changed, a line each: of a key its parts; of a conflict the environments, or what that can mean."""
    if move.state == "conflict":
        found = [plain(f"environment: {change}") for change in move.changes]
        return tuple(found) or (SAME_PLACE,)
    swapped = [change for change in move.changes if change.path in PLUGINS]
    lines = [f"{PLUGINS[change.path]}: {_value(change.old)} -> {_value(change.new)}" for change in swapped]
    for change in move.changes:
        if not any(_implied(change, by) for by in swapped):
            lines += _lines(change, move)
    return tuple(dict.fromkeys(map(plain, lines)))


def _implied(change: Change, by: Change) -> bool:
    """Whether a part differs because all of its plug-in does."""
    top, whole = by.path.partition(".")[0], by.path.rpartition(".")[0]
    lost = ... in (change.old, change.new)
    return change.path.startswith(f"{whole}.") or (lost and change.path.startswith(f"{top}."))


def _lines(change: Change, move: Move) -> Iterator[str]:
    assert move.old is not None
    parts, path = move.one.record.parts, change.path
    if path == "encoder.corpus":
        yield from _corpus(move.old, move.one)
    elif path == "task.data":
        yield f"data of task {_at(parts, 'task.name')}"
    elif path == "task.kind":
        yield f"data of task {_at(parts, 'task.name')}: {_value(change.old)} -> {_value(change.new)}"
    elif path.endswith("engine"):
        yield f"engine: {_value(change.old)} -> {_value(change.new)}"
    elif path.endswith("method.source"):
        yield f"source of method {_at(parts, path.removesuffix('source') + 'plugin')}"
    elif path in ("protocol.source", "task.source"):
        kind = path.partition(".")[0]
        yield f"source of {kind} {_at(parts, f'{kind}.name')}"
    else:
        yield str(change)


def _at(parts: Any, path: str) -> str:
    for name in path.split("."):
        parts = parts.get(name, "") if isinstance(parts, dict) else ""
    return _value(parts)


def _value(value: Any) -> str:
    """As it is said: text without its quotes, and what is not there as such."""
    return "none" if value is ... else value[:40] if isinstance(value, str) else short(value)


def _corpus(old: Kept, new: Kept) -> list[str]:
    a, b = _corpora(old), _corpora(new)
    lines = [f"corpus: {', '.join(a) or 'none'} -> {', '.join(b) or 'none'}"] if [*a] != [*b] else []
    if changed := [name for name in a if name in b and a[name] != b[name]]:
        lines.append(f"images of the corpus: {', '.join(changed)}")
    return lines or ["corpus"]


def _corpora(cell: Kept) -> dict[str, Any]:
    """What was pretrained on, by name: a record lists the data of its task first, and then these."""
    encoder = cell.record.parts.get("encoder")
    told = encoder.get("corpus") if isinstance(encoder, dict) else None
    found, listed = told if isinstance(told, list) else [], cell.record.facts["data"][1:]
    named = len(listed) == len(found) and all(isinstance(one, dict) for one in listed)
    names = [_at(one, "name") for one in listed] if named else [f"number {n + 1}" for n in range(len(found))]
    return dict(zip(names, found, strict=True))


# ---------------------------------------------------------------------------------------------- cells and numbers


def grouped(moves: Iterable[Move]) -> list[tuple[tuple[str, ...], list[Move]]]:
    """Those of the same reasons and kind of data together, most first."""
    found: dict[Any, tuple[tuple[str, ...], list[Move]]] = {}
    for move in moves:
        why = reasons(move)
        found.setdefault((why, _phantom(move)), (why, []))[1].append(move)
    return sorted(found.values(), key=lambda group: -len(group[1]))


def row(move: Move, names: tuple[str, str]) -> dict[str, Any]:
    """A cell of another key, or in conflict, as a line of a table; `names` are those of the old and the new side."""
    assert move.old is not None
    assert move.new is not None
    d, both = move.difference, {*move.old.result.cases, *move.new.result.cases}
    told: dict[str, Any] = {
        "cell": plain(f"{move.was} -> {move.id}" if move.was else move.id),
        "metric": measure(move.new),
        **{name: _mean(side, move) for name, side in zip(names, (move.old, move.new), strict=True)},
        "difference": _by(move) if d else GAP,
    }
    if move.state == "conflict":
        return told | {"cases": f"{move.moved} of {len(both)}", "most": _most(move)}
    return told | {"p": _chance(d.adjusted if d else math.nan), "": move.verdict if move.moved else "the same"}


def measure(cell: Kept) -> str:
    """Its metric with the unit."""
    unit = scale_of(cell.result.metric).unit
    return plain(label(cell.result.metric)) + (f" ({unit})" if unit else "")


def _mean(cell: Kept, move: Move) -> str:
    if cell.result.phantom and len(set(_phantom(move))) > 1:
        return "phantom"  # whose numbers never stand beside real ones
    scale = scale_of(cell.result.metric)
    return number(cell.result.mean, scale, scale.decimals)


def _by(move: Move) -> str:
    """A difference with its interval, as readers are shown it; of other cases with how many both have."""
    d, scale = move.difference, scale_of(move.one.result.metric)
    assert d is not None
    value = f"{scale.factor * d.value:+z.{scale.decimals}f}"
    if not math.isnan(d.low):
        return f"{value} [{', '.join(f'{scale.factor * end:z.{scale.decimals - 1}f}' for end in (d.low, d.high))}]"
    sizes = {len(side.result.cases) for side in (move.old, move.new) if side}
    return value if sizes == {d.cases} else f"{value} on {d.cases} {'case' if d.cases == 1 else 'cases'}"


def _chance(p: float) -> str:
    if math.isnan(p):
        return GAP
    return f"< {LEAST}" if p < LEAST else f"{p:.4f}"


def _most(move: Move) -> str:
    far = move.farthest
    if far is None:
        return "what was found" if not move.moved else "other cases"
    scale = scale_of(far.metric)
    old, new = (f"{scale.factor * value:.{scale.decimals}f}" for value in (far.old, far.new))
    of = "" if far.metric == move.one.result.metric else f"{label(far.metric)} of "
    return plain(f"{of}{far.case}: {old} -> {new}")


def cells(ids: Sequence[str]) -> str:
    """Ids of cells in few words: the seeds of one are said together, and of many cells the others are counted."""
    seeds: dict[str, list[str]] = {}
    for name in ids:
        of, _, seed = plain(name).rpartition("/")
        seeds.setdefault(of, []).append(seed)
    told = [f"{of}/{','.join(sorted(found, key=_natural))}" for of, found in seeds.items()]
    return ", ".join(told[:LISTED]) + (f" and {len(told) - LISTED} more" if len(told) > LISTED else "")


def relabelled(moves: Iterable[Move]) -> list[str]:
    """Cells that have another name on the newer side, the seeds of one together."""
    pairs: dict[tuple[str, str], list[Move]] = {}
    for move in moves:
        if move.was:
            pairs.setdefault((move.was.rpartition("/")[0], move.id.rpartition("/")[0]), []).append(move)
    return [f"{cells([m.was for m in found])} -> {cells([m.id for m in found])}" for found in pairs.values()]


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", text)]


def _phantom(move: Move) -> tuple[bool, ...]:
    return tuple(side.result.phantom for side in (move.old, move.new) if side)


def kind(move: Move) -> str:
    """Which data its numbers are of, where that has to be said."""
    of = _phantom(move)
    return "PHANTOM data" if all(of) else "real and PHANTOM data" if any(of) else ""
