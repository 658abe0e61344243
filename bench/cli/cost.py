"""What `bench plan --cost` prints: a row for each pretraining and each column of the board, and all of it together."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bench.cli.show import as_json, as_table
from bench.config import Grid
from bench.durations import duration
from bench.forecast import Cost, Forecast, forecast
from bench.plan import Planned
from bench.store import Store


def show(found: Sequence[Planned], grid: Grid, store: Store, seconds: float, *, json: bool) -> None:
    """Estimate what is to run, after drawing the phantoms that a probe would read, and print it."""
    from bench.cli.run import prepare

    if seconds > 0:
        prepare([p.job for p in found if p.state == "run"], grid)
    whole = forecast(found, grid, store, seconds, lambda name: print(f"probing {name}", file=sys.stderr))  # noqa: T201
    if json:
        as_json({"jobs": _jobs(found, whole), "total": _total(whole)})
        return
    _print_table(whole.costs)
    for line in _lines(whole) if whole.costs else []:
        print(line)  # noqa: T201


def _jobs(found: Sequence[Planned], whole: Forecast) -> list[dict[str, Any]]:
    costs = {cost.job.id: cost for cost in whole.costs}
    return [
        {"id": p.job.id, "key": p.job.key, "state": p.state, "why": p.why, "cost": _cost(costs.get(p.job.id))}
        for p in found
    ]


def _cost(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    names = ("seconds", "low", "high", "memory_mb", "basis", "source")
    told = {name: getattr(cost.estimate, name) for name in names}
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in (told | {"disk_mb": cost.disk_mb}).items()}


def _total(whole: Forecast) -> dict[str, Any]:
    told = {
        **dict(zip(("seconds", "low", "high"), whole.seconds, strict=True)),
        **dict(zip(("wall", "wall_low", "wall_high"), whole.wall, strict=True)),
        **{name: getattr(whole, name) for name in ("gpu_hours", "cpu_hours", "disk_mb", "free_mb", "memory_mb")},
    }
    return {
        **{name: round(value, 3) for name, value in told.items()},
        "workers": whole.machine.workers,
        "device": whole.machine.device,
        "sure": {basis: round(share, 3) for basis, share in whole.sure.items()},
        "unknown": whole.unknown,
        "warnings": whole.warnings(),
    }


def _groups(costs: Sequence[Cost]) -> dict[str, list[Cost]]:
    """Pretrainings by method, then cells by task and protocol."""
    groups: dict[str, list[Cost]] = defaultdict(list)
    for cost in sorted(costs, key=lambda cost: cost.job.kind == "evaluate"):
        job = cost.job
        last = f"{job.task.name}/{job.protocol.plugin.name}" if job.task and job.protocol else ""
        groups[last or f"{job.method.label}/pretrain"].append(cost)
    return groups


def _print_table(costs: Sequence[Cost]) -> None:
    """A row for each group, and below what the numbers of the last column stand for."""
    groups = _groups(costs)
    sources = list(dict.fromkeys(cost.estimate.source for of in groups.values() for cost in of))
    number = {source: place for place, source in enumerate(sources, start=1)}
    rows = []
    for name, of in groups.items():
        used = sorted({number[cost.estimate.source] for cost in of})
        rows.append({"jobs": name, **_row(of), "from": ", ".join(map(str, used))})
    as_table(rows, empty="nothing to run")
    for source, place in number.items():
        print(f"{place}: {source}")  # noqa: T201


def _row(costs: Sequence[Cost]) -> dict[str, Any]:
    known = [cost.estimate for cost in costs if cost.estimate.known]
    told: dict[str, Any] = {"n": len(costs), **dict.fromkeys(("each", "in all", "between", "memory"))}
    if known:
        each = dict.fromkeys(about(of.seconds) for of in sorted(known, key=_time)[:: max(1, len(known) - 1)])
        told["each"] = " to ".join(each)
        told["in all"] = about(sum(of.seconds for of in known))
        told["between"] = f"{about(sum(of.low for of in known))} and {about(sum(of.high for of in known))}"
        told["memory"] = size(max(of.memory_mb for of in known))
    return {**told, "disk": size(sum(cost.disk_mb for cost in costs))}


def _time(estimate: Any) -> float:
    return float(estimate.seconds)


def about(seconds: float) -> str:
    """Seconds to two digits or so, for a narrow column: 8 s, 3.4 min, 22 min, 5.5 h."""
    for unit, of in (("h", 3600), ("min", 60)):
        if seconds >= of:
            return f"{seconds / of:.1f} {unit}" if seconds < 10 * of else f"{seconds / of:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(megabytes: float) -> str:
    """Megabytes as a person says them; nothing where they are not known."""
    if megabytes <= 0:
        return ""
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1024 else f"{megabytes:.1f} MB" if megabytes < 10 else (
        f"{megabytes:.0f} MB"
    )  # fmt: skip


def _lines(whole: Forecast) -> list[str]:
    (likely, low, high), (wall, soon, late) = whole.seconds, whole.wall
    here, workers = whole.machine, whole.machine.workers
    paid = f"{whole.gpu_hours:.2g} GPU-hours" if here.gpu else f"{whole.cpu_hours:.2g} CPU-core-hours"
    if not likely:
        return [f"nothing is known of any of {whole.unknown} jobs; --probe SECONDS measures them"]
    lines = [
        f"in all: {duration(likely)} of one worker ({duration(low)} to {duration(high)}), {paid}",
        f"over in about {duration(wall)} ({duration(soon)} to {duration(late)}) with {workers}"
        f" worker{'s' * (workers > 1)} on {here.device or 'an unknown device'}",
        f"disk: {size(whole.disk_mb) or '0 MB'}, of which {size(whole.images_mb) or '0 MB'} decoded images (free:"
        f" {size(whole.free_mb)}); memory of the largest job: {size(whole.memory_mb) or 'not known'}",
    ]
    words = {"records": "records of this device", "probe": "probes", "other device": "records of other devices"}
    sure = [f"{share:.0%} from {words[basis]}" for basis, share in whole.sure.items()]
    lines.append(f"how sure: of the time {', '.join(sure)}")
    if whole.unknown:
        lines.append(f"and {whole.unknown} jobs of which nothing is known")
    return lines + [f"warning: {said}" for said in whole.warnings()]
