"""Commands about this machine: which data are on disk, drawing a phantom, and what is missing to run."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import DataRoot, GridOption, Json, app
from bench.cli.show import as_json, as_table
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.registry import Registry

data_app = typer.Typer(
    no_args_is_help=True, help="What data are on disk, and phantoms in their place.", rich_markup_mode=None
)
app.add_typer(data_app, name="data")


@data_app.command()
def status(grid: GridOption = "bench.toml", data: DataRoot = None, json: Json = False) -> None:
    """Show each task's data: complete, partial against the official counts, missing or broken.

    Readers of a user's own folders are shown where the grid uses them.

    JSON: a list of objects with `name`, `state`, `found`, `official`, `parts`, `phantom`, `folder` and `reason`.
    """
    from bench.config import load
    from bench.data.folders import Status, is_phantom
    from bench.data.folders import status as status_of

    config = load(Path(grid), data=data)
    rows: list[dict[str, Any]] = []
    named = [task.name for task in config.tasks]
    for name in sorted({*named, *(plugin.name for plugin in config.registry.all("task"))}):
        folder = config.data_root / name
        try:
            task = config.task(name)
            folder = config.folder(task)
            if not task.load().info.official and name not in named:  # a reader of anyone's folders
                continue
            found = status_of(task.load(), folder)
        except BenchError as exc:  # a task that cannot be imported stops no other
            found = Status("broken", {}, str(exc))
        rows.append(
            {
                "name": name,
                "state": found.state,
                "found": found.found,
                "official": found.official,
                "parts": found.parts,
                "phantom": is_phantom(folder),
                "folder": folder,
                "reason": found.reason,
            }
        )
    if json:
        as_json(rows)
    else:
        as_table([{k: r.get(k, "") for k in ("name", "state", "found", "official", "phantom", "reason")} for r in rows])


@data_app.command()
def draw(
    task: Annotated[str, typer.Argument(help="The task.")],
    out: Annotated[
        str | None, typer.Option("--out", help="Folder to draw into; default: where the grid expects the data.")
    ] = None,
    cases: Annotated[int, typer.Option("--cases", min=16, help="Cases of each published part.")] = 96,
    grid: GridOption = "bench.toml",
    data: DataRoot = None,
) -> None:
    """Draw a phantom of a data set in its published layout: to try the readers, never to report a number."""
    from bench.config import load
    from bench.data.phantom import draw as draw_phantom

    config = load(Path(grid), data=data)
    plugin = config.registry.get("task", task, where="bench data draw")
    folder = Path(out) if out else config.data_root / task
    if folder.exists() and any(folder.iterdir()):
        raise BenchError(f"{folder}: is not empty, and nothing is drawn over data; name another with --out")
    draw_phantom(plugin.load(), folder, cases=cases)
    print(folder)  # noqa: T201


@app.command()
def doctor(json: Json = False) -> None:
    """Check this machine: Python, devices, packages; what is missing comes with the command that mends it.

    JSON: a list of objects with `name`, `state` (ok, missing or optional), `found` and `mend`.
    """
    from bench.registry import discover

    registry = discover()
    packages = [*map(_package, CORE), *(_package(*extra) for extra in _optional(registry).items())]
    rows = [_python(), *packages, _device(), _checkout(registry)]
    if json:
        as_json(rows)
    else:
        as_table(rows)
    if any(row["state"] == "missing" for row in rows):
        raise typer.Exit(1)


# What every installation has, and what some have, with the command that adds it.
CORE = (
    *("torch", "torchvision", "lightly", "timm", "open_clip_torch", "transformers", "segment-anything"),
    *("segmentation-models-pytorch", "monai", "faster-coco-eval", "scikit-learn", "scipy", "pandas", "pyarrow", "rich"),
    *("typer", "jaxtyping", "safetensors", "pillow", "nibabel", "pydicom", "matplotlib", "pytorch-lightning"),
)
EXTRA = {
    **{"ray": "pip install 'medssl-bench[ray]'", "submitit": "pip install 'medssl-bench[slurm]'"},
    **dict.fromkeys(("SimpleITK", "h5py"), "pip install 'medssl-bench[corpora]'"),
}


def _python() -> dict[str, str]:
    ok = sys.version_info >= (3, 11)
    mend = "" if ok else "install Python 3.11 or newer"
    return {"name": "python", "state": "ok" if ok else "missing", "found": sys.version.split()[0], "mend": mend}


def _optional(registry: "Registry") -> dict[str, str]:
    """Packages that some have, those that protocols name among them, and the command that installs each."""
    named = [plugin.info.get("packages") or {} for plugin in registry.all("protocol")]
    return EXTRA | {package: command for of in named for package, command in of.items()}


def _package(name: str, mend: str = "") -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return {"name": name, "state": "ok", "found": version(name), "mend": ""}
    except PackageNotFoundError:
        if mend:
            return {"name": name, "state": "optional", "found": "", "mend": mend}
        return {"name": name, "state": "missing", "found": "", "mend": f"pip install {name}"}


def _device() -> dict[str, str]:
    try:
        import torch
    except ImportError as exc:
        return {"name": "device", "state": "missing", "found": str(exc), "mend": "pip install torch torchvision"}
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return {"name": "device", "state": "ok", "found": names, "mend": ""}
    return {"name": "device", "state": "ok", "found": f"CPU, {os.cpu_count()} cores, no GPU", "mend": ""}


def _checkout(registry: "Registry") -> dict[str, str]:
    broken = [p for p in registry.plugins if p.error]
    found = "; ".join(f"{p.name}: {p.error}" for p in broken) or "all load"
    return {
        "name": "plug-ins",
        "state": "missing" if broken else "ok",
        "found": found,
        "mend": "see `found`" if broken else "",
    }
