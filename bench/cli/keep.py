"""Commands that keep a store: what takes its space, and records as a file that another store can take in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import DataRoot, GridFile, Json, app
from bench.cli.look import Only, planned
from bench.cli.show import as_json, as_table
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.config import Grid
    from bench.housekeeping import Needs
    from bench.store import Record, Store

GridOrStore = Annotated[str, typer.Option("--grid", metavar="GRID", help="A grid, or a store: a folder of records.")]


@app.command()
def clean(
    grid: GridFile = "bench.toml",
    data: DataRoot = None,
    records: Annotated[
        bool, typer.Option("--records", help="Also drop records that no job of this grid asks for.")
    ] = False,
    caches: Annotated[bool, typer.Option("--caches", help="Also drop caches, which are made again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Show what takes how much space in the store of a grid, and drop what nothing needs, after asking.

    Kept are the records, unless --records; what a job under way has; and what was touched within the last hour.

    JSON: an object with `store`, `rows` (a list of `what`, `things`, `bytes`, `drop`, `why`), `drop` (paths), `bytes`,
    `dropped`, `freed` and `problems`; nothing is dropped without --yes. Exit code 1 if something could not be dropped.
    """
    from bench.config import load
    from bench.housekeeping import Wish, drop, rows, survey
    from bench.store import Store

    config = load(Path(grid), data=data)
    store, wish = Store(config.store), Wish(records=records, caches=caches)
    needs = _needs(config, store)
    found = survey(store, needs, wish)
    going = [thing for thing in found if thing.drop]
    if not json:
        _print_rows(rows(found))
    agreed = bool(going) and (yes or (not json and _confirm(len(going), _sum(going))))
    freed, problems = drop(store, going, needs, wish) if agreed else (0, [])
    if json:
        told = {"store": store.root, "rows": rows(found), "drop": [t.path for t in going], "bytes": _sum(going)}
        as_json({**told, "dropped": agreed, "freed": freed, "problems": problems})
    else:
        said = f"freed {_size(freed)} of {store.root}" if agreed else "nothing was dropped; --yes drops it unasked"
        print("\n".join([*problems, said if going else f"nothing to drop in {store.root}"]))  # noqa: T201
    if problems:
        raise typer.Exit(1)


def _needs(config: "Grid", store: "Store") -> "Needs":
    """What the grid asks of its store, and what of it cannot be told while data or weights are not here."""
    from bench.housekeeping import Needs
    from bench.plan import jobs
    from bench.sources import find_sources

    sources = find_sources(config, store)
    listed = jobs(config, sources)
    drawn = {s.folder.name for s in sources.values() if s.kind == "phantom"}
    named = {task.name for task in config.tasks}
    named |= {n for m in config.methods if m.plugin.decorator == "ssl_method" for n in m.pretrain.corpus}
    away = {name for name in named if name not in sources or sources[name].kind == "phantom" or sources[name].error}
    away |= {job.method.label for job in listed if job.blocked}
    return Needs(frozenset(job.key for job in listed), frozenset(drawn), frozenset(away))


def _print_rows(rows: list[dict[str, Any]]) -> None:
    as_table(
        [
            {
                "what": row["what"],
                "things": row["things"],
                "size": _size(row["bytes"]),
                "": "drop" if row["drop"] else "keep" + (f": {row['why']}" if row["why"] else ""),
            }
            for row in rows
        ],
        empty="the store is empty",
    )
    if any(row["why"] == "only with --records" for row in rows):
        print("What no job of this grid asks for may be another grid's, or of other settings: --records drops it.")  # noqa: T201


def _confirm(things: int, size: int) -> bool:
    """Ask; whoever does not answer, or cannot, does not agree."""
    try:
        return typer.confirm(f"Drop {things} {'thing' if things == 1 else 'things'}, {_size(size)}?", default=False)
    except typer.Abort:
        print()  # noqa: T201
        return False


def _sum(things: list[Any]) -> int:
    return sum(thing.bytes for thing in things)


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


@app.command("export")
def export_bundle(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The bundle to write: its name ends in .tar or .tar.gz.")
    ],
    grid: GridOrStore = "bench.toml",
    data: DataRoot = None,
    only: Only = "",
    no_checkpoints: Annotated[bool, typer.Option("--no-checkpoints", help="Leave out encoders' weights.")] = False,
    no_predictions: Annotated[bool, typer.Option("--no-predictions", help="Leave out predictions.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Take the place of a file that is there.")] = False,
    json: Json = False,
) -> None:
    """Write the records of a grid, or of a store, as one file that `bench import` merges into another store.

    With --only also the pretrainings that the matching cells evaluate. The same records give the same bytes. JSON: an
    object with `file`, `sha256`, `bytes`, `records` (a list of `id`, `key`) and `left_out`, files that are not in it.
    """
    from bench.bundle import CHECKPOINT, ENDINGS, PREDICTIONS, write
    from bench.keys import file_digest

    if not file.name.endswith(ENDINGS):
        raise BenchError(f"{file}: a bundle is a tar; give it a name that ends in {' or '.join(ENDINGS)}")
    if file.is_dir() or (file.exists() and not force):
        raise BenchError(
            f"{file}: is there already; choose another name" + ("" if file.is_dir() else ", or add --force")
        )
    store, records = _chosen(grid, data, only)
    without = [n for n, out in ((CHECKPOINT, no_checkpoints), (PREDICTIONS, no_predictions)) if out]
    try:
        left_out = write(file, records, _splits(store, records), without)
    except OSError as exc:  # the disk is full, or a run drops a record meanwhile
        raise BenchError(f"{exc.filename or file}: {exc.strerror or exc}; run the same command again") from None
    size = file.stat().st_size
    if json:
        listed = [{"id": record.id, "key": record.key} for record in records]
        told = {"file": file, "sha256": file_digest(file), "bytes": size, "records": listed, "left_out": left_out}
        as_json(told)
    else:
        print(f"{file}: {len(records)} records, {_size(size)}; {len(left_out)} of their files are not in it")  # noqa: T201
        print(f"next, where it goes: bench import {file.name}")  # noqa: T201


def _chosen(grid: str, data: str | None, only: str) -> "tuple[Store, list[Record]]":
    """The store, and the records of it to export in the order of their keys. Raises BenchError if there are none."""
    from fnmatch import fnmatchcase

    from bench.keys import digest
    from bench.store import Store

    if Path(grid).is_dir():
        store = Store(Path(grid))
        found = [r for r in store.records() if not only or only == r.id or fnmatchcase(r.id, only)]
    else:
        _, store, plan = planned(grid, data, only)
        found = [p.record for p in plan if p.record]
    if not found:
        mend = f"`bench run {grid}` makes them" if not Path(grid).is_dir() else "`--only` takes ids of records in it"
        raise BenchError(f"{grid}: has no record" + (f" that matches {only}" if only else "") + f"; {mend}")
    encoders = (store.record(digest(r.parts["encoder"])) for r in found if "encoder" in r.parts)
    chosen = {record.key: record for record in (*found, *encoders) if record}
    return store, [chosen[key] for key in sorted(chosen)]


def _splits(store: "Store", records: "list[Record]") -> list[Path]:
    """The lists of cases of the data that these records are of."""
    seals = {str(one.get("fingerprint", ""))[:8] for record in records for one in record.facts.get("data", [])}
    return [path for path in (store.root / "splits").glob("*.json") if path.stem.rpartition("-")[2] in seals]


@app.command("import")
def import_bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle that `bench export` wrote.")],
    grid: GridOrStore = "bench.toml",
    json: Json = False,
) -> None:
    """Merge the records of a bundle into the store of a grid. What is there is never overwritten.

    All of the bundle is checked before anything is kept of it. A record of a key that is here with other scores or
    weights is a conflict: it is named, left as it is here, and the exit code is 1.

    JSON: {"store", "records": [{"id", "key", "state", "why"}]}; state is imported, here, completed (with files that
    were missing here) or conflict; splits are listed too, and have no key.
    """
    from bench.bundle import shown
    from bench.config import load
    from bench.intake import take_in
    from bench.store import Store

    store = Store(Path(grid) if Path(grid).is_dir() else load(Path(grid)).store)
    found = take_in(file, store)
    conflicts = [one for one in found if one.state == "conflict"]
    if json:
        as_json({"store": store.root, "records": [vars(one) for one in found]})
    else:
        for one in conflicts:
            print(f"conflict: {shown(one.id)}: {shown(one.why)}{one.key and ' (jobs/' + one.key + ')'}")  # noqa: T201
        counts = {s: sum(one.state == s and one.key != "" for one in found) for s in ("imported", "completed", "here")}
        counts["in conflict"] = len(conflicts)
        print(f"{store.root}: records " + ", ".join(f"{n} {state}" for state, n in counts.items()))  # noqa: T201
        print(f"next: bench leaderboard {grid}")  # noqa: T201
    if conflicts:
        raise typer.Exit(1)
