"""What is found, what is refused and why: a plug-in that cannot be used is listed with its reason and stops nothing."""

import importlib
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.registry import discover

ROOT = Path(__file__).resolve().parents[2]
METHOD = '''"""A floor."""
from bench.spec import foundation_model


@foundation_model("{name}", paper="none", licence="none", trained_on="nothing")
def build(backbone, weights, image_size, *, depth: int = 2, scale: float = -0.5, sizes=(1, 2), lr=None):
    return "built"
'''


@pytest.fixture
def folder(tmp_path):
    """Write plug-in files into tmp_path/extra."""

    def write(**files: str) -> Path:
        (tmp_path / "extra").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "extra" / f"{name}.py").write_text(text, encoding="utf-8")
        return tmp_path / "extra"

    return write


def extra(folder):
    """The plug-ins of a folder by name, once it is seen that every shipped plug-in is there and sound beside them."""
    shipped, found = discover(), discover(["extra"], root=folder.parent)
    assert found.plugins[: len(shipped.plugins)] == shipped.plugins
    return {p.name: p for p in found.plugins[len(shipped.plugins) :]}


def test_every_shipped_file_is_found_and_sound():
    found = discover()
    assert not [f"{p.file}: {p.error}" for p in found.plugins if p.error]
    for kind in ("method", "task"):
        files = {f.stem for f in (ROOT / f"{kind}s").glob("*.py") if not f.name.startswith("_")}
        assert {p.name for p in found.all(kind)} == files
    assert {"simclr", "random_init", "imagenet_supervised"} <= {p.name for p in found.all("method")}
    names = [p.name for p in found.all("protocol")]
    assert names == sorted(names)
    assert {"linear", "knn", "finetune", "linear_mlp", "finetune_mlp"} <= set(names)


def test_what_a_file_says_is_read_without_importing_it():
    simclr = discover().get("method", "simclr", where="here")
    assert simclr.decorator == "ssl_method"
    assert simclr.settings == {"temperature": 0.1, "hidden": 2048, "dim": 128}
    assert simclr.info == {"paper": "arXiv:2002.05709", "small": {"hidden": 16, "dim": 8}}
    assert pickle.loads(pickle.dumps(simclr)) == simclr


def test_discovery_imports_no_torch_and_no_plugin():
    code = (
        "import sys; from bench.registry import discover; assert len(discover().plugins) > 8;"
        "print([m for m in sys.modules if m.split('.')[0] in ('torch', 'numpy', 'lightly', 'timm')"
        " or m.startswith(('bench.methods.', 'bench.tasks.', 'bench.protocols.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_in_a_named_folder_is_a_plugin(folder):
    plugin = extra(folder(mine=METHOD.format(name="mine"), _private="1 / 0"))["mine"]
    assert plugin.settings == {"depth": 2, "scale": -0.5, "sizes": (1, 2), "lr": None}
    assert (plugin.kind, plugin.error) == ("method", "")
    assert plugin.load().build("r", None, 32) == "built"
    assert plugin.load() is plugin.load()


def test_a_single_file_and_a_module_can_be_named(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder(mine=METHOD.format(name="mine"), other=METHOD.format(name="other")).parent)
    found = discover(["extra/mine.py", "extra.other"], root=ROOT)
    names = [p.name for p in found.plugins if p.error]
    assert names == ["extra/mine.py"]
    assert "no file, folder or module `extra/mine.py`" in found.plugins[-2].error
    assert found.get("method", "other", where="here").module == "extra.other"
    found = discover(["extra/mine.py", "extra.other"], root=Path(sys.path[0]))
    assert found.get("method", "mine", where="here").load().build("r", None, 32) == "built"


def test_two_files_of_one_name_in_two_folders_are_two_modules(folder, tmp_path):
    folder(mine=METHOD.format(name="mine"))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "mine.py").write_text(METHOD.format(name="yours").replace('"built"', '"built too"'))
    found = discover(["extra", "more"], root=tmp_path)
    assert found.get("method", "mine", where="here").load().build("r", None, 32) == "built"
    assert found.get("method", "yours", where="here").load().build("r", None, 32) == "built too"


DECORATED = METHOD.format(name="bad")
BROKEN = {
    "a syntax error": ("def f(:", r"SyntaxError: .*line 1"),
    "bytes that are no text": ("\udcff", r"UnicodeDecodeError: "),
    "a package that is missing": (
        DECORATED + "import not_installed_anywhere.deep\n",
        r"line 8: needs the package `not_installed_anywhere`: pip install not_installed_anywhere$",
    ),
    "raising at import": (
        DECORATED + "\nif True:\n    raise RuntimeError('no licence file')",
        "^RuntimeError: no licence",
    ),
    "leaving at import": (DECORATED + "\nraise SystemExit('usage: ...')", r"^SystemExit: usage: \.\.\."),
    "no plug-in": ("X = 1", "no @ssl_method, @foundation_model, @task or @protocol in it"),
    "an empty file": ("", "no @ssl_method"),
    "a setting that is no literal": (
        "W = 3\n" + DECORATED.replace("depth: int = 2", "depth: int = W"),
        "^line 7: `W` must be a literal, since it is read without importing",
    ),
    "a setting without default": (
        DECORATED.replace("depth: int = 2", "depth: int"),
        r"^line 6: the setting `depth` needs a default \(the paper's value\)",
    ),
    "a name that is no literal": (DECORATED.replace('"bad"', "NAME"), "^line 6: malformed node"),
    "no name": (DECORATED.replace('"bad", ', ""), "^line 6: @foundation_model: its first argument is the name"),
    "a name that is no text": (
        DECORATED.replace('"bad"', "3"),
        "^line 6: @foundation_model: its first argument is the",
    ),
    "metadata that are no literal": (DECORATED.replace('paper="none"', "paper=X"), "^line 6: `X` must be a literal"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_listed_with_its_reason_and_stops_nothing(folder, case):
    text, reason = BROKEN[case]
    place = folder(good=METHOD.format(name="good"))
    (place / "bad.py").write_text(text, encoding="utf-8", errors="surrogateescape")
    found = extra(place)
    assert sorted(found) == ["bad", "good"]
    assert found["good"].load().build("r", None, 32) == "built"
    with pytest.raises(BenchError, match=rf"bad\.py\).*: {reason.removeprefix('^')}"):
        found["bad"].load()
    with pytest.raises(BenchError, match=r"^grid: method `bad` \(bad.py\) cannot be used: "):
        discover(["extra"], root=place.parent).get("method", "bad", where="grid")
    assert re.search(reason, found["bad"].error)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("import foundation_model", "import foundation_model, nothing_like_it", "ImportError: cannot import name"),
        ('"""A floor."""', "X = 1 / 0", "ZeroDivisionError: division by zero"),
        ('@foundation_model("bad"', 'NAME = "else"\n@foundation_model("bad"', ""),
    ],
)
def test_what_only_shows_when_imported_is_an_error_of_loading(folder, old, new, reason):
    plugin = extra(folder(bad=DECORATED.replace(old, new)))["bad"]
    assert plugin.error == ""
    if reason:
        for _ in range(2):  # a module that failed leaves nothing half made behind
            with pytest.raises(BenchError, match=rf"^method `bad` \(bad\.py\): {reason}"):
                plugin.load()
    else:
        assert plugin.load().info.name == "bad"


def test_a_name_is_taken_by_the_first(folder):
    place = folder(simclr=METHOD.format(name="simclr"), twice=METHOD.format(name="x") + METHOD.format(name="x"))
    found = extra(place)
    assert sorted(found) == [f"simclr ({place / 'simclr.py'})", "x", f"x ({place / 'twice.py'})"]
    assert found[f"simclr ({place / 'simclr.py'})"].error == f"the name is taken by {ROOT / 'methods' / 'simclr.py'}"
    assert found[f"x ({place / 'twice.py'})"].error == f"the name is taken by {place / 'twice.py'}"
    assert discover(["extra"], root=place.parent).get("method", "simclr", where="here").decorator == "ssl_method"


def test_a_clash_does_not_hide_why_a_file_is_broken(folder):
    place = folder(simclr="def f(:")
    (found,) = extra(place).values()
    assert found.error.startswith("SyntaxError: ")


def test_a_file_that_is_named_twice_is_read_once(folder, tmp_path):
    folder(mine=METHOD.format(name="mine"), broken="def f(:")
    (tmp_path / "link").symlink_to(tmp_path / "extra")
    once, more = discover(["extra"], root=tmp_path), discover(["extra", "extra/mine.py", "link"], root=tmp_path)
    assert once.plugins == more.plugins


def test_what_is_named_and_not_there_is_listed(tmp_path):
    found = discover(["no/such/folder", "not_there.a", "not_there.b", "json.decoder"], root=tmp_path)
    broken = {p.name: p.error for p in found.plugins if p.error}
    assert broken["no/such/folder"] == "plugins: no file, folder or module `no/such/folder`"
    assert broken["not_there.a"] == broken["not_there.b"] == "plugins: ModuleNotFoundError: No module named 'not_there'"
    assert "no @ssl_method" in broken["decoder"]


def test_an_unknown_name_gives_the_near_ones():
    with pytest.raises(BenchError, match=r"^grid: unknown method `simclear`; did you mean `simclr`\?$"):
        discover().get("method", "simclear", where="grid")
    with pytest.raises(BenchError, match=r"^grid: unknown task `wwwww`; known: .*`brain_tumor`"):
        discover().get("task", "wwwww", where="grid")


def distribution(root, name, points, **modules):
    """A tiny installed distribution as pip leaves it: a package, and a dist-info with entry points."""
    info = root / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bench.plugins]\n{points}\n")
    (root / name).mkdir()
    (root / name / "__init__.py").touch()
    for module, text in modules.items():
        (root / name / f"{module}.py").write_text(text)


def test_an_entry_point_brings_its_plugins(tmp_path, monkeypatch):
    relative = METHOD.format(name="acme_two").replace('"""A floor."""', "from .helper import VALUE").replace(
        '"built"', "VALUE"
    )  # fmt: skip
    distribution(
        tmp_path / "site",
        "acme_one",
        "all = acme_one\nlost = acme_one.gone\nnowhere = acme_lost.deep",
        one=METHOD.format(name="acme_one"),
        two=relative,
        helper="VALUE = 'with help'",
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path / "site")  # where a folder has the module's name: it is the module all the same
    found = discover()
    one = found.get("method", "acme_one", where="here")
    assert one.module == "acme_one.one"
    assert one.load() is importlib.import_module("acme_one.one").build
    assert found.get("method", "acme_two", where="here").load().build("r", None, 32) == "with help"
    broken = {p.name: p.error for p in found.plugins if p.error}
    assert broken.pop("helper").startswith("no @ssl_method")
    assert broken == {
        "acme_one.gone": "entry point `lost`: no file, folder or module `acme_one.gone`",
        "acme_lost.deep": "entry point `nowhere`: ModuleNotFoundError: No module named 'acme_lost'",
    }
    assert found.get("method", "simclr", where="here").error == ""


def test_without_the_distribution_its_plugins_are_gone():
    assert not [p.name for p in discover().plugins if p.name.startswith("acme")]
