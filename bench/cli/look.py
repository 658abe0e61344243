"""Commands that look and change nothing: plan, ls, show. None of them imports torch."""

import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import DataRoot, GridFile, GridOption, Json, app
from bench.cli.show import as_json, as_table
from bench.durations import duration
from bench.errors import BenchError, unknown

if TYPE_CHECKING:
    from bench.keys import Parts
    from bench.leaderboard.result import Result
    from bench.leaderboard.results import Metric
    from bench.plan import Planned
    from bench.store import Store


class Kind(StrEnum):
    """What can be listed."""

    methods = "methods"
    tasks = "tasks"
    protocols = "protocols"
    jobs = "jobs"


Only = Annotated[
    str, typer.Option("--only", metavar="GLOB", help="Only jobs whose id matches, such as 'simclr/*/knn/*'.")
]


def planned(grid_file: str, data: str | None, only: str = "") -> tuple[Any, Any, list[Any]]:
    """The grid, its store, and its jobs with what the store knows of them."""
    from bench.config import load
    from bench.plan import plan, select
    from bench.store import Store

    grid = load(Path(grid_file), data=data)
    store = Store(grid.store)
    found = plan(grid, store)
    return grid, store, select(found, only) if only else found


@dataclass(frozen=True)
class Opened:
    """A grid, every cell of it, or a store, what there is: its results and where they come from, read once."""

    results: "list[Result]"
    store: "Store"
    name: str  # of the grid, or the end of the store's path
    plan: "list[Planned] | None"  # none of a store

    def parts(self) -> "list[tuple[str, Parts]]":
        """By label, what went into the keys of the jobs of the grid, or of the records of the store."""
        if self.plan is None:
            return [(str(record.facts["method"]), record.parts) for record in self.store.records()]
        return [(one.job.method.label, one.job.parts) for one in self.plan]


def opened(grid: str, data: str | None, metric: "Metric") -> Opened:
    """A grid or a store with the results of a metric, of several by column, or of each task's primary one."""
    from bench.leaderboard.results import results, stored
    from bench.store import Store

    if Path(grid).is_dir():
        store = Store(Path(grid))
        return Opened(stored(store, metric), store, "/".join(Path(grid).resolve().parts[-2:]), None)
    config, store, plan = planned(grid, data)
    return Opened(results(plan, metric), store, config.name, plan)


def planned_cell(cell: str, grid: str, data: str | None) -> tuple[Any, Any]:
    """The store of a grid, and the job of that id or key with what the store knows of it. Raises BenchError."""
    _, store, found = planned(grid, data)
    match = next((p for p in found if cell in (p.job.id, p.job.key)), None)
    if match is None:
        raise unknown("cell", cell, (p.job.id for p in found), where=grid)
    return store, match


@app.command()
def plan(
    grid: GridFile = "bench.toml",
    data: DataRoot = None,
    only: Only = "",
    cost: Annotated[bool, typer.Option("--cost", help="Predict time, memory and disk of what would run.")] = False,
    probe: Annotated[
        float, typer.Option("--probe", min=0.0, metavar="SECONDS", help="Of --cost: measure for so long; 0: never.")
    ] = 20.0,
    json: Json = False,
) -> None:
    """Show what would run, what is cached and, for each job that would run again, which part of its key changed.

    --cost predicts from the records of like jobs on this device and, where there are none, from a probe of each kind of
    job, for which phantoms are drawn; nothing else is left in the store.

    JSON: {"jobs": [{"id", "key", "state", "why"}]}; state is cached, run, failed (before) or blocked (cannot run). With
    --cost each job also has "cost", null where it would not run: {"seconds", "low", "high", "memory_mb", "disk_mb",
    "basis" (records, other device, probe or unknown), "source"}; and there is "total": {"seconds", "low", "high" (of
    one worker), "wall", "wall_low", "wall_high", "gpu_hours", "cpu_hours", "disk_mb", "free_mb", "memory_mb" (of the
    largest), "workers", "device", "sure" (share of the time by basis), "unknown" (jobs), "warnings"}.
    """
    config, store, found = planned(grid, data, only)
    if cost:
        from bench.cli.cost import show as show_cost

        show_cost(found, config, store, probe, json=json)
        return
    rows = [{"id": p.job.id, "key": p.job.key, "state": p.state, "why": p.why} for p in found]
    if json:
        as_json({"jobs": rows})
        return
    counts = {state: sum(r["state"] == state for r in rows) for state in ("cached", "run", "failed", "blocked")}
    as_table(
        [{k: r[k] for k in ("state", "id", "why")} for r in rows if r["state"] != "cached"], empty="nothing to run"
    )
    print(", ".join(f"{n} {state}" for state, n in counts.items() if n))  # noqa: T201


@app.command()
def ls(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    params: Annotated[
        bool, typer.Option("--params", help="Of methods: count the parameters of the encoder that is evaluated.")
    ] = False,
    grid: GridOption = "bench.toml",
    data: DataRoot = None,
    json: Json = False,
) -> None:
    """List methods, tasks or protocols (broken ones with the reason), or the jobs of a grid.

    JSON: a list of objects with `name`; for jobs with `id`, `key` and `state` beside it; with --params of methods with
    `backbone` and `parameters`.
    """
    if kind is Kind.jobs:
        rows = [{"name": p.job.id, "state": p.state, "key": p.job.key} for p in planned(grid, data)[2]]
    elif params and kind is Kind.methods:
        rows = _parameters(Path(grid))
    else:
        rows = _plugins(kind.value[:-1], Path(grid))
    if json:
        as_json(rows)
    else:
        as_table([{k: f"{v / 1e6:.2f} M" if k == "parameters" and v else v for k, v in row.items()} for row in rows])


def _plugins(kind: str, grid: Path) -> list[dict[str, Any]]:
    rows = []
    for plugin in _registry(grid).all(kind):
        row: dict[str, Any] = {"name": plugin.name}
        if kind == "method":
            row["kind"] = {"ssl_method": "ssl", "foundation_model": "foundation"}.get(plugin.decorator, "")
            row["paper"] = plugin.info.get("paper", "")
        else:
            row["title"] = plugin.info.get("title", "")
        if kind == "task":
            row["modality"] = plugin.info.get("modality", "")
            row["protocols"] = ", ".join(plugin.info.get("protocols") or ())
        else:
            row["settings"] = ", ".join(f"{k} = {v!r}" for k, v in plugin.settings.items())
        rows.append({**row, "error": plugin.error or None})
    if not any(row["error"] for row in rows):
        return [{k: v for k, v in row.items() if k != "error"} for row in rows]
    return rows


def _parameters(grid: Path) -> list[dict[str, Any]]:
    """The encoder of each method: of its own architecture, or of the grid's backbone."""
    from bench.config import load
    from bench.encoders.inspection import counted
    from bench.recipes import Pretrain

    recipe = load(grid).pretrain if grid.exists() else Pretrain()
    return counted(_registry(grid).all("method"), recipe.backbone, recipe.image_size)


def _registry(grid: Path) -> Any:
    """The plug-ins of a grid where there is one, whatever else is wrong in it; otherwise those installed."""
    from bench.config import registry_of
    from bench.registry import discover

    return registry_of(grid) if grid.exists() else discover()


@app.command()
def show(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="A job's id, such as simclr/brain_tumor/linear/0, or its key.")
    ],
    grid: GridOption = "bench.toml",
    data: DataRoot = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Draw the curves: a .png, .svg or .pdf.")
    ] = None,
    figures: Annotated[
        bool,
        typer.Option(
            "--figures", help="Draw the best, median and worst case of a segmentation or detection into one PNG."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Show one record: scores, curves, settings, how it came about; or why the job failed. JSON: the record.

    --figure draws the curves of a pretraining, or of the one that a cell evaluates, and nothing else is shown; JSON
    then: {"figure": FILE}. --figures likewise draws cases, into figures/; for a segmentation it needs [bench]
    keep_predictions = true.
    """
    store, match = planned_cell(cell, grid, data)
    if figure or figures:
        figure = figure or Path("figures", f"{match.job.id.replace('/', '-')}.png")
        (_draw_cases if figures else _draw_curves)(match.job, store, grid, figure)
        if json:
            as_json({"figure": figure})
        else:
            print(figure)  # noqa: T201
        return
    facts = match.record.facts if match.record else store.failure(match.job.key)
    if facts is None:
        raise BenchError(
            f"{cell}: not run yet ({match.why or match.state}); bench run {grid} --only {shlex.quote(match.job.id)}"
        )
    if json:
        as_json({**facts, "state": match.state})
        return
    _print_record({**facts, "state": match.state, **({"pretraining": match.job.needs} if match.job.needs else {})})
    if match.record:
        print(match.record.folder)  # noqa: T201


def _draw_cases(job: Any, store: Any, grid: str, file: Path) -> None:
    """Write the figure of the cases of a segmentation or detection. Raises BenchError where there is none."""
    from bench import overlays

    record = store.record(job.key)
    if job.kind != "evaluate" or job.task.load().info.target not in ("mask", "box"):
        raise BenchError(
            f"{job.id}: is no segmentation and no detection; --figure FILE draws the curves of a pretraining"
        )
    if record is None:
        raise BenchError(f"{job.id}: no record yet; bench run {grid} --only {shlex.quote(job.id)}")
    file.parent.mkdir(parents=True, exist_ok=True)
    title = record.id + (", phantom data" if record.facts["phantom"] else "")
    overlays.draw(record, job.task.load(), job.sources[0].folder, title, file)


def _draw_curves(job: Any, store: Any, grid: str, file: Path) -> None:
    """Write the figure of a pretraining, or of the one that a cell evaluates. Raises BenchError where there is none."""
    from bench import curves

    if job.kind == "evaluate" and not job.needs:
        raise BenchError(f"{job.id}: its encoder was not pretrained here, so there are no curves")
    name = job.needs or job.id
    record = store.record(job.encoder or job.key)
    if record is None:
        raise BenchError(f"{name}: no record yet, so no curves; bench run {grid} --only {shlex.quote(job.id)}")
    if not record.facts.get("history"):
        raise BenchError(f"{name}: its record holds no curves")
    curves.draw(record.facts["history"], name + (", phantom data" if record.facts["phantom"] else ""), file)


def _print_record(facts: dict[str, Any]) -> None:
    """What matters first, and the history as a table of its own."""
    from bench import curves

    first = (
        "id",
        "state",
        "error",
        "pretraining",
        "summary",
        "collapsed",
        "chosen",
        "cases",
        "seconds",
        "images_per_second",
        "data",
    )
    names = [*(k for k in first if k in facts), *(k for k in facts if k not in (*first, "history"))]
    as_table([{"field": k, "value": v} for k, v in _flat({k: facts[k] for k in names})])
    if history := facts.get("history"):
        as_table(curves.rows(history))


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, entry in value.items():
        if isinstance(entry, list) and entry and isinstance(entry[0], dict):
            entry = {str(number): one for number, one in enumerate(entry)}
        if isinstance(entry, dict) and entry:
            rows += _flat(entry, f"{prefix}{key}.")
        elif key == "seconds":
            rows.append((prefix + "time", duration(entry)))
        else:
            rows.append((prefix + key, entry))
    return rows
