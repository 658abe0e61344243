"""`bench run`: plan, draw what phantoms are missing, run what is new, and print the board."""

import shlex
import sys
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import typer

from bench.cli import DataRoot, GridFile, Json, app
from bench.cli.board import show
from bench.cli.live import Reporter
from bench.cli.look import Only, planned
from bench.cli.show import as_json
from bench.durations import duration
from bench.errors import BenchError


class Rerun(StrEnum):
    """Which finished jobs to do again."""

    failed = "failed"
    all = "all"


@app.command()
def run(
    grid: GridFile = "bench.toml",
    data: DataRoot = None,
    only: Only = "",
    rerun: Annotated[Rerun | None, typer.Option("--rerun", help="Also do again what failed, or all.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Start at most N jobs.")] = None,
    pdb: Annotated[
        bool, typer.Option("--pdb", help="One job after another in this process; stop in the debugger where one fails.")
    ] = False,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Leave the jobs to the cluster's queue; the same without it listens to them."),
    ] = False,
    json: Json = False,
) -> None:
    """Run every job of the grid that has no record yet, and print the leaderboard. A second run does nothing.

    JSON: {"jobs": [{"id", "key", "state", "why"}]} after the run; with --detach {"queued": n}. Exit code 1 if a job
    failed or cannot run.
    """
    from bench.costs import seconds

    config, store, found = planned(grid, data, only)
    todo = _todo(found, store, rerun, limit, only)
    if todo:
        prepare(todo, config)
        live = sys.stdout.isatty() and not json and not pdb
        expected = seconds(found, store, config.executor)
        with Reporter(todo, store, live=live, file=sys.stderr if json else sys.stdout, seconds=expected) as reporter:
            ended = _execute(todo, config, reporter, expected, pdb=pdb, detach=detach)
        if detach:
            as_json({"queued": ended}) if json else print(f"{ended} jobs are in the queue; next: bench status")  # noqa: T201
            return
        reporter.say(f"ended after {duration(ended.seconds)}; {_busy(ended)}")
        _, _, found = planned(grid, data, only)
    _conclude(found, grid, config, json=json, ran=len(todo))


def _todo(found: list[Any], store: Any, rerun: Rerun | None, limit: int | None, only: str) -> list[Any]:
    """Jobs to start. A pretraining that is only needed, and not asked for by `only`, is not done again."""
    from bench.plan import matches

    states = {None: {"run"}, Rerun.failed: {"run", "failed"}, Rerun.all: {"run", "failed", "cached"}}[rerun]
    # What `found` holds beside the matches is needed by them: again if it failed, not if it is there.
    chosen = [p for p in found if p.state in states and (p.state != "cached" or matches(p.job, only))][:limit]
    if chosen:
        store.require_writable()
    for p in chosen:
        if p.state != "run":
            store.drop(p.job.key)
    return [p.job for p in chosen]


def prepare(todo: list[Any], config: Any) -> None:
    """Draw the phantoms that the jobs need and that are not there yet."""
    wanted = {s.folder: s for job in todo for s in job.sources if s.kind == "phantom" and not s.folder.exists()}
    if not wanted:
        return
    from bench.data.folders import misplaced
    from bench.data.phantom import draw as draw_phantom

    print(f"no data under {config.data_root} for these tasks; drawing phantoms:", file=sys.stderr)  # noqa: T201
    for source in wanted.values():
        folder = source.task.folder or source.name
        print(f"  {folder}{misplaced(config.data_root, folder)}", file=sys.stderr)  # noqa: T201
        draw_phantom(source.task.load(), source.folder, cases=config.data.phantom_cases)


def _execute(
    todo: list[Any], config: Any, reporter: Reporter, expected: dict[str, float], *, pdb: bool, detach: bool
) -> Any:
    from bench.durations import seconds
    from bench.executors import Place
    from bench.scheduler import detach as leave
    from bench.scheduler import execute

    asked = replace(config.executor, kind="inline") if pdb else config.executor
    place = Place(
        store=config.store,
        base=config.path.parent,
        device=asked.device,
        threads=asked.threads,
        devices_per_pretrain=asked.devices_per_pretrain,
        keep_predictions=config.keep_predictions,
        time_limit=seconds(asked.time_limit, "[executor] time_limit"),
        pdb=pdb,
    )
    if detach:
        return leave(todo, asked, place, reporter.hear)
    try:
        return execute(todo, asked, place, reporter.hear, expected, reporter.say)
    except KeyboardInterrupt:
        raise BenchError("stopped at once; what is finished is kept, and the same command goes on from there") from None


def _busy(ended: Any) -> str:
    """How much of the workers' time was spent on jobs."""
    workers = f"{ended.workers} workers were" if ended.workers != 1 else "the worker was"
    return f"{workers} busy {1 - ended.idle:.0%} of the time"


def _conclude(found: list[Any], grid: str, config: Any, *, json: bool, ran: int) -> None:
    bad = [p for p in found if p.state in ("failed", "blocked")]
    if json:
        rows = [{"id": p.job.id, "key": p.job.key, "state": p.state, "why": p.why} for p in found]
        as_json({"jobs": rows})
    else:
        from bench.leaderboard.building import build
        from bench.leaderboard.results import results

        show(build(results(found)))
        for cause in dict.fromkeys(p.why for p in bad):
            cells = [p.job.id for p in bad if p.why == cause]
            print(f"failed: {cells[0]}" + (f" and {len(cells) - 1} more" if len(cells) > 1 else "") + f": {cause}")  # noqa: T201
        done = sum(p.state == "cached" for p in found)
        print(f"{done} of {len(found)} jobs done ({ran} now). Records: {config.store}")  # noqa: T201
        name = "" if grid == "bench.toml" else f" {grid}"
        hint = f"bench run{name} --rerun failed" if bad else f"bench leaderboard{name} --out board.html"
        last = shlex.quote(found[-1].job.id) if found else ""
        print(f"next: {hint}  |  bench show {last}{name and ' --grid' + name}" if found else "the grid has no job")  # noqa: T201
    if bad:
        raise typer.Exit(1)
