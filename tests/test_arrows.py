"""Who may import whom: the arrows of the design, read from the source; and what has to answer without torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = sorted(f for folder in ("methods", "tasks") for f in (ROOT / folder).glob("*.py"))
ENGINE = sorted((ROOT / "bench").rglob("*.py"))
OPEN_TO_PLUGINS = {"spec", "registry", "nn", "modules", "views", "encoders", "data", "protocols", "matching", "errors"}
HEAVY = {
    *("timm", "lightly", "open_clip", "transformers", "segment_anything", "segmentation_models_pytorch", "monai"),
    *("ray", "submitit", "detectron2", "lightning_fabric", "pytorch_lightning", "torchvision", "sklearn", "scipy"),
    *("pandas", "pyarrow", "matplotlib", "nibabel", "pydicom", "faster_coco_eval", "safetensors"),
}


def imports(tree: ast.AST, *, at_top: bool = False) -> Iterator[tuple[int, str]]:
    """Line and dotted name of whatever is imported; `at_top`: only by importing the module itself."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{name.name}") for name in node.names)
        elif (at_top and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)) or (
            isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        ):
            continue
        else:
            yield from imports(node, at_top=at_top)


def offences(files, wrong, *, at_top: bool = False) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        for line, name in imports(ast.parse(file.read_text(encoding="utf-8")), at_top=at_top)
        if wrong(name.split("."))
    ]


def test_the_reader_of_imports_sees_them_all():
    """The other tests hold only if it does."""
    text = "import a.b, c\nfrom d import e as f\nif x:\n    from . import g\ndef h():\n    import i\nclass J:\n"
    text += "    import k\ntry:\n    import m\nexcept ImportError:\n    pass\nif TYPE_CHECKING:\n    import t\n"
    assert [name for _, name in imports(ast.parse(text))] == ["a.b", "c", "d.e", "..g", "i", "k", "m"]
    assert [name for _, name in imports(ast.parse(text), at_top=True)] == ["a.b", "c", "d.e", "..g", "k", "m"]
    assert len(PLUGINS) >= 7
    assert len(ENGINE) >= 40


def test_plugins_import_the_open_part_of_the_engine_and_never_each_other():
    def wrong(name):
        return name[0] in ("", "methods", "tasks") or (name[0] == "bench" and name[1] not in OPEN_TO_PLUGINS)

    assert offences(PLUGINS, wrong) == []


def test_the_engine_imports_no_plugin_by_name():
    def wrong(name):
        return name[0] in ("methods", "tasks") or (name[0] == "bench" and name[1:2] in (["methods"], ["tasks"]))

    assert offences(ENGINE, wrong) == []


def test_the_engine_names_no_plugin_in_its_code():
    """Not even as text: what is said of `simclr` is said by its file. Docstrings and help may give examples."""
    names = {file.stem for file in PLUGINS if not file.stem.startswith("_")}
    said = [
        f"{file.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for file in ENGINE
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert said == []


def test_the_contract_imports_nothing_of_the_rest():
    allowed = {"spec.py": {"nn"}, "errors.py": set(), "keys.py": set(), "files.py": set()}
    for name, others in allowed.items():

        def wrong(parts, others=others):
            return parts[0] == "bench" and parts[1] not in others

        assert offences([ROOT / "bench" / name], wrong) == []


def test_heavy_packages_are_imported_where_they_are_used():
    assert offences(ENGINE, lambda name: name[0] in HEAVY, at_top=True) == []
    assert offences(PLUGINS, lambda name: name[0] in HEAVY - {"lightly"}, at_top=True) == []


# Commands and what they stand on: `bench plan`, `ls`, `show`, `compare`, `ranks` and `leaderboard` answer at once.
QUICK = (
    *("spec", "config", "curves", "plan", "sources", "store", "stats", "executors", "executors.local", "data.folders"),
    *("scheduler", "claims", "attempt", "executors.inline", "executors.slurm"),
    *("leaderboard", "leaderboard.comparison", "leaderboard.formats", "leaderboard.latex", "leaderboard.results"),
    *("leaderboard.beside", "leaderboard.outperformance", "leaderboard.published", "leaderboard.sentences"),
    *("leaderboard.screen", "leaderboard.table", "leaderboard.words", "paired", "bundle", "housekeeping", "intake"),
    *("costs", "forecast", "machine", "probe", "sizes", "executors.ray", "executors.slurm"),
    *("cli", "cli.board", "cli.compare", "cli.cost", "cli.data", "cli.keep", "cli.live", "cli.look", "cli.make"),
    *("cli.published", "cli.ranks", "cli.run", "cli.show", "cli.watch", "ranks", "friedman", "equivalence", "spread"),
    *("stability", "leaderboard.subgrid", "leaderboard.ranking", "leaderboard.ranking_words", "leaderboard.duel"),
    *("leaderboard.critical", "leaderboard.expense", "cli.plot", "leaderboard.plots.canvas", "leaderboard.plots.cost"),
    *(f"leaderboard.plots.{name}" for name in ("column", "labels", "radar", "ranks", "remarks", "rows", "scatter")),
    "leaderboard.plots.spokes",
    *("leaderboard.history", "leaderboard.history_words", "leaderboard.snapshots", "leaderboard.page.payload"),
    *("material", "privacy", "report", "report_page", "cli.history", "cli.report", "cli.boards", "leaderboard.page"),
    *("leaderboard.layouts", "leaderboard.parquet", "leaderboard.selection", "leaderboard.result"),
    *("leaderboard.building", "leaderboard.gaps", "leaderboard.catalogue"),
    *("leaderboard.intervals", "leaderboard.verdicts", "leaderboard.tex_numbers", "crossed", "moderation"),
)
CODE = f"""
import importlib, sys
for name in {QUICK}:
    importlib.import_module("bench." + name)
    if found := {HEAVY | {"torch"}} & sys.modules.keys():
        sys.exit(f"bench.{{name}} imports {{sorted(found)}}")
"""


def test_what_plans_and_shows_imports_no_torch():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)
