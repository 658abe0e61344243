"""`bench status`, `logs` and `cancel`: what runs where, how far it is, what failed and why; and how to end it."""

import getpass
import shlex
import socket
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bench.cli import DataRoot, GridFile, GridOption, Json, app
from bench.cli.look import planned, planned_cell
from bench.cli.show import as_json, as_table
from bench.durations import duration
from bench.errors import BenchError

Cell = Annotated[
    str, typer.Argument(metavar="CELL", help="A job's id, such as simclr/brain_tumor/linear/0, or its key.")
]
SHOWN = 20  # failures of a kind, and queued jobs, in the table


@app.command()
def status(grid: GridFile = "bench.toml", data: DataRoot = None, json: Json = False) -> None:
    """Show which jobs run and where, since when and how far; what waits in a cluster's queue; what failed and why.

    Of all runs over the grid's store, whoever started them. JSON: {"counts": {state: n}, "running": [{"id", "key",
    "host", "pid", "since", "what", "done", "of", "alive"}], "queued": [{"id", "queue", "state", "why"}],
    "failed": [{"id", "why"}]}. `alive` is false for a job whose process is gone; null where only time can tell.
    """
    _, store, found = planned(grid, data)
    holders, names = _holders(store), {p.job.key: p.job.id for p in found}
    running = [_row(key, holder, names) for key, holder in holders.items()]
    queued = [row for row in _queued(store) if row["id"] not in {r["id"] for r in running}]
    failed = [{"id": p.job.id, "why": p.why} for p in found if p.state in ("failed", "blocked")]
    counts = {state: sum(p.state == state for p in found) for state in ("cached", "run", "failed", "blocked")}
    under = sum(p.state == "run" and p.job.key in holders for p in found)
    if json:
        as_json({"counts": counts, "running": running, "queued": queued, "failed": failed})
        return
    if running:
        as_table([_told(row) for row in running])
    if queued:
        as_table(queued[:SHOWN])
    for cause in dict.fromkeys(row["why"] for row in failed):
        cells = [row["id"] for row in failed if row["why"] == cause]
        print(f"failed: {cells[0]}" + (f" and {len(cells) - 1} more" if len(cells) > 1 else "") + f": {cause}")  # noqa: T201
    print(  # noqa: T201
        f"{counts['cached']} of {len(found)} jobs done, {under} running, {len(queued)} queued,"
        f" {counts['run'] - under} to do, {counts['failed'] + counts['blocked']} failed"
    )


def _holders(store: Any) -> dict[str, Any]:
    from bench.claims import Claims

    holders: dict[str, Any] = Claims(store.root / "claims").all()
    return holders


def _row(key: str, holder: Any, names: dict[str, str]) -> dict[str, Any]:
    return {
        "id": names.get(key, holder.id or key),
        "key": key,
        **{name: getattr(holder, name) for name in ("host", "pid", "since", "what", "done", "of")},
        "alive": not holder.dead if holder.here else None,
    }


def _told(row: dict[str, Any]) -> dict[str, str]:
    try:
        began = datetime.fromisoformat(row["since"])
        since = duration(max(0.0, (datetime.now(UTC) - began).total_seconds()))
    except ValueError:
        since = ""
    far = f"{row['done']} of {row['of']} {row['what']}" if row["of"] else "begun"
    return {
        "running": row["id"],
        "on": f"{row['host']}, process {row['pid']}",
        "for": since,
        "how far": far if row["alive"] is not False else f"{far}; its process is GONE: the next run takes it up",
    }


def _queued(store: Any) -> list[dict[str, str]]:
    """Jobs in a cluster's queue, where one was asked to run any."""
    folder = store.root / "slurm"
    if not folder.is_dir():
        return []
    from bench.executors.slurm import queued

    rows: list[dict[str, str]] = queued(folder)
    return rows


@app.command()
def logs(cell: Cell, grid: GridOption = "bench.toml", data: DataRoot = None, json: Json = False) -> None:
    """Print the log of a job: each attempt at it, where it ran, what it printed, and how it ended.

    JSON: {"id", "key", "log"}.
    """
    from bench.attempt import log_path

    store, match = planned_cell(cell, grid, data)
    try:
        text = log_path(store.root, match.job.key).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise BenchError(f"{cell}: has no log, for it was never begun in {store.root}") from None
    if json:
        as_json({"id": match.job.id, "key": match.job.key, "log": text})
    else:
        typer.echo(text, nl=False)


@app.command()
def cancel(
    cell: Cell,
    grid: GridOption = "bench.toml",
    data: DataRoot = None,
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for it.")] = 30.0,
    json: Json = False,
) -> None:
    """Stop a job wherever it runs, or keep it from being begun; `bench run --rerun failed` takes it up again.

    A pretraining stops at its next step, with a checkpoint; a cell at its next report. What waits for a pretraining is
    given up with it. JSON: {"id", "key", "state"}; state is cancelled, or asked where it has not stopped yet.
    """
    from bench.attempt import failure_facts
    from bench.claims import Claims

    store, match = planned_cell(cell, grid, data)
    job, claims = match.job, Claims(store.root / "claims")
    if match.state == "cached":
        raise BenchError(f"{job.id}: is done; there is nothing to cancel")
    why = f"cancelled by {getpass.getuser()} on {socket.gethostname()}"
    holder = claims.stop(job.key, why)
    if holder and holder.dead:
        holder = None
    if holder is None:
        store.fail(job.key, failure_facts(job, why))
    deadline = time.monotonic() + wait
    while holder and claims.holder(job.key) and time.monotonic() < deadline:
        time.sleep(0.2)
    state = "asked" if holder and claims.holder(job.key) else "cancelled"
    if json:
        as_json({"id": job.id, "key": job.key, "state": state})
    elif state == "cancelled":
        name = "" if grid == "bench.toml" else f" {grid}"
        print(f"cancelled; again with: bench run{name} --rerun failed --only {shlex.quote(job.id)}")  # noqa: T201
    else:
        print(f"asked {holder} to stop; it has not yet")  # noqa: T201
