"""A grid is read as it is written, or refused with the place, the rule and the near name."""

import re
from pathlib import Path

import pytest

from bench.config import Executor, load, registry_of
from bench.errors import BenchError

ISSUE = """
[bench]
name = "demo"
seeds = [0]
store = "runs"
[data]
root = "data"            # a folder per task, in its published layout; overridden by BENCH_DATA or --data
missing = "phantom"      # or "error", or "skip"
[pretrain]
corpus = ["brain_tumor", "fgadr"]     # training images of tasks, or folders; never a test image
backbone = "resnet18"
init = "random"          # or "imagenet", or a checkpoint
image_size = 64
epochs = 5
batch_size = 64
[methods]
random_init = {}
simclr = {}
"SimCLR, t = 0.5" = { plugin = "simclr", temperature = 0.5 }
[tasks]
brain_tumor = { protocols = ["linear", "finetune"] }
fgadr = { protocols = ["linear"] }
[executor]
kind = "local"           # or "inline"
workers = 2
device = "auto"
"""


def test_the_grid_of_the_readme_means_what_it_says(write_grid, tmp_path):
    grid = load(write_grid(ISSUE))
    assert (grid.name, grid.seeds, grid.store, grid.data_root) == ("demo", (0,), tmp_path / "runs", tmp_path / "data")
    assert grid.data.missing == "phantom"
    assert grid.pretrain.corpus == ("brain_tumor", "fgadr")
    recipe = grid.pretrain
    assert (recipe.backbone, recipe.init, recipe.image_size, recipe.epochs, recipe.batch_size) == (
        "resnet18", "random", 64, 5, 64,
    )  # fmt: skip
    assert recipe.sources == 128
    assert [(m.label, m.plugin.name, dict(m.settings)) for m in grid.methods] == [
        ("random_init", "random_init", {}),
        ("simclr", "simclr", {"temperature": 0.1, "hidden": 2048, "dim": 128}),
        ("SimCLR, t = 0.5", "simclr", {"temperature": 0.5, "hidden": 2048, "dim": 128}),
    ]
    assert all(m.pretrain == recipe and m.views == {} and m.weights == "" for m in grid.methods)
    assert [(t.name, [p.plugin.name for p in t.protocols]) for t in grid.tasks] == [
        ("brain_tumor", ["linear", "finetune"]),
        ("fgadr", ["linear"]),
    ]
    assert grid.executor == Executor("local", 2, "auto")


def test_the_shipped_grid_is_sound():
    grid = load(Path(__file__).resolve().parents[2] / "bench.toml")
    assert [m.label for m in grid.methods] == ["random_init", "simclr", "vicreg", "lvm_med"]


def test_the_shipped_grid_has_the_tasks_of_the_paper():
    """LVM-Med's 15 (arXiv:2306.11925), which counts each of the two classifications twice."""
    grid = load(Path(__file__).resolve().parents[2] / "bench.toml")
    columns = {(task.name, protocol.plugin.name) for task in grid.tasks for protocol in task.protocols}
    segmented = ["isic2018", "jsrt", "kvasir", "drive", "buid", "brats2018", "mmwhs_ct", "mmwhs_mri", "prostate"]
    graded = {(task, protocol) for task in ("brain_tumor", "fgadr") for protocol in ("linear", "finetune")}
    boxed = {("kvasir_detection", "detect"), ("vindr", "detect")}
    assert columns == {(task, "finetune") for task in segmented} | graded | boxed
    assert len(columns) == 15


def test_what_is_left_out_has_its_default(write_grid):
    grid = load(write_grid("[tasks.brain_tumor]\n[methods.random_init]"))
    assert (grid.name, grid.seeds, grid.store.name) == ("bench", (0,), "runs")
    assert [p.plugin.name for p in grid.tasks[0].protocols] == [
        "linear", "knn", "finetune", "linear_mlp", "finetune_mlp",
    ]  # fmt: skip


def test_an_empty_grid_is_empty(write_grid):
    grid = load(write_grid(""))
    assert (grid.methods, grid.tasks) == ((), ())


def changed(old: str, new: str) -> str:
    assert old in ISSUE
    return ISSUE.replace(old, new, 1)


# What is changed in the grid above (⏎ is a line break), and what is said of it.
MISTAKES = r"""
[executor] => [exekutor]
    unknown section `exekutor`; did you mean `executor`?
epochs = 5 => epoch = 5
    [pretrain]: unknown key `epoch`; did you mean `epochs`
seeds = [0] => seed = 0
    [bench]: unknown key `seed`; did you mean `seeds`?
missing = "phantom" => missing = "fantom"
    [data] missing: unknown value `fantom`; did you mean `phantom`?
missing = "phantom" => missing = 3
    [data] missing: unknown value `3`; known: `error`, `phantom`
temperature = 0.5 => temprature = 0.5
    [methods.SimCLR, t = 0.5]: unknown setting `temprature`; did you mean `temperature`?
random_init = {} => random_init = { depth = 3 }
    [methods.random_init]: unknown setting `depth`; known: none
simclr = {} => simclear = {}
    [methods.simclear]: unknown method `simclear`; did you mean `simclr`?
plugin = "simclr" => plugin = "wwwww"
    [methods.SimCLR, t = 0.5]: unknown method `wwwww`; known: `
fgadr = { => fgard = {
    [tasks.fgard]: unknown task `fgard`; did you mean `fgadr`?
["linear"] => ["linea"]
    [tasks.fgadr] protocols: unknown protocol `linea`; did you mean `linear`
[executor] => [protocols.lineal]⏎[executor]
    [protocols]: unknown protocol `lineal`; did you mean `linear`
[executor] => [protocols.linear]⏎epoch = 3⏎[executor]
    [protocols.linear]: unknown setting `epoch`; did you mean `epochs`?
[executor] => [protocols.knn]⏎kk = 3⏎[executor]
    [protocols.knn]: unknown setting `kk`
["linear"] } => ["linear"], linear = { epoch = 3 } }
    [tasks.fgadr] linear: unknown setting `epoch`; did you mean `epochs`?
["linear"] } => ["linear"], seeds = [7] }
    [tasks.fgadr] seeds: needs one or more of the seeds of [bench], [0], got [7]
["linear"] } => ["linear"], seeds = [] }
    [tasks.fgadr] seeds: needs one or more of the seeds of [bench], [0], got []
["linear"] } => ["linear"], knn = {} }
    [tasks.fgadr]: unknown key `knn`; known: `folder`, `linear`, `plugin`, `protocols`, `seeds`
["brain_tumor", "fgadr"] => ["brain_tumour"]
    [pretrain] corpus: unknown task or folder `brain_tumour`; did you mean `brain_tumor`?
simclr = {} => simclr = { pretrain = { lrr = 1 } }
    [methods.simclr] pretrain: unknown key `lrr`; did you mean `lr`?
simclr = {} => simclr = { views = { gray_prob = 1 } }
    [methods.simclr] views: unknown key `gray_prob`; did you mean `grey_prob`
epochs = 5 => epochs = "5"
    [pretrain] epochs: expected a whole number, got '5'
epochs = 5 => epochs = 5.0
    [pretrain] epochs: expected a whole number, got 5.0
epochs = 5 => epochs = true
    [pretrain] epochs: expected a whole number, got True
epochs = 5 => lr = "fast"
    [pretrain] lr: expected a number, got 'fast'
epochs = 5 => lr = nan
    [pretrain] lr: expected a number, got nan
epochs = 5 => lr = inf
    [pretrain] lr: expected a number, got inf
name = "demo" => name = 1
    [bench] name: expected text, got 1
seeds = [0] => seeds = 0
    [bench] seeds: expected a list of a whole number, got 0
seeds = [0] => seeds = [0, 0.5]
    [bench] seeds: expected a whole number, got 0.5
temperature = 0.5 => temperature = "hot"
    [methods.SimCLR, t = 0.5] temperature: expected a number like the default 0.1, got 'hot'
temperature = 0.5 => dim = 0.5
    [methods.SimCLR, t = 0.5] dim: expected a whole number like the default 128, got 0.5
temperature = 0.5 => dim = true
    dim: expected a whole number like the default 128, got True
temperature = 0.5 => temperature = nan
    temperature: expected text, finite numbers or lists of them, got nan
[executor] => [protocols.linear]⏎lr = 2026-01-01⏎[executor]
    [protocols.linear] lr: expected text, finite numbers or lists of them, got datetime.date
[executor] => [protocols.linear_mlp]⏎hidden = [8, "x"]⏎[executor]
    [protocols.linear_mlp] hidden: expected a whole number like the default 512, got 'x'
simclr = {} => simclr = { views = { aspect = [1.0] } }
    [methods.simclr] views aspect: needs 2 values, got [1.0]
simclr = {} => simclr = 1
    [methods.simclr] must be a table such as {}, got 1
fgadr = { => fgadr = "linear" #
    [tasks.fgadr] must be a table such as { protocols = ["linear"] }, got 'linear'
simclr = {} => simclr = { pretrain = 3 }
    [methods.simclr] pretrain must be a table, got 3
simclr = {} => simclr = { views = 3 }
    [methods.simclr] views must be a table, got 3
[executor] => [protocols]⏎linear = 3⏎[executor]
    [protocols.linear] must be a table, got 3
["linear"] } => ["linear"], linear = 3 }
    [tasks.fgadr] linear must be a table, got 3
plugin = "simclr" => plugin = 3
    [methods.SimCLR, t = 0.5] plugin: expected text, got 3
[bench] => plugins = "mine"⏎[bench]
    plugins: expected a list of text, got 'mine'
random_init = {} => random_init = { weights = 3 }
    [methods.random_init] weights: expected text, got 3
epochs = 5 => epochs = 0
    [pretrain] epochs: must be at least 1, got 0
batch_size = 64 => batch_size = 1
    [pretrain] batch_size: must be at least 2, got 1
epochs = 5 => lr = -1
    [pretrain] lr: must be at least 0.0, got -1
epochs = 5 => accumulate = 3
    [pretrain] batch_size must be a multiple of accumulate
simclr = {} => simclr = { pretrain = { epochs = 0 } }
    [methods.simclr] pretrain epochs: must be at least 1, got 0
workers = 2 => threads = 0
    [executor] threads: must be at least 1, got 0
seeds = [0] => seeds = [1, 0, 1]
    [bench] seeds: needs one or more different whole numbers from 0, got [1, 0, 1]
seeds = [0] => seeds = []
    [bench] seeds: needs one or more different whole numbers from 0, got []
seeds = [0] => seeds = [-1]
    [bench] seeds: needs one or more different whole numbers from 0, got [-1]
["linear"] => ["linear", "linear"]
    [tasks.fgadr] protocols: names one twice
"SimCLR, t = 0.5" => "SimCLR/0.5"
    [methods.SimCLR/0.5]: a label is printable text without `/`
"SimCLR, t = 0.5" => " "
    a label is printable text without `/`
"SimCLR, t = 0.5" => "Sim\nCLR"
    a label is printable text without `/`
corpus = ["brain_tumor", "fgadr"] => corpus = []
    [pretrain] corpus: `simclr` is pretrained and needs at least one source
simclr = {} => simclr = { weights = "w.pt" }
    [methods.simclr] weights: `simclr` is pretrained
random_init = {} => random_init = { views = { flip = 0.0 } }
    [methods.random_init] views: `random_init` is built
seeds = [0] => seeds = [0
    not readable as TOML: 
simclr = {} => simclr = {}⏎simclr = {}
    not readable as TOML: 
"""
LINES = MISTAKES.strip().splitlines()


@pytest.mark.parametrize(("change", "message"), list(zip(LINES[::2], LINES[1::2], strict=True)))
def test_a_mistake_is_named_by_its_place(write_grid, change, message):
    old, new = change.replace("⏎", "\n").split(" => ")
    with pytest.raises(BenchError, match=re.escape(message.strip())) as caught:
        load(write_grid(changed(old, new)))
    assert re.match(r"(.*/)?bench\.toml: ", str(caught.value))


def test_a_grid_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(BenchError, match=r"none\.toml: no such grid"):
        load(tmp_path / "none.toml")
    with pytest.raises(BenchError, match=r"not readable as TOML: .*directory"):
        load(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(BenchError, match=r"bytes\.toml: not readable as TOML: 'utf-8'"):
        load(tmp_path / "bytes.toml")


TASK = """
from bench.spec import Image, Part, Splits, task


@task("narrow", title="", modality="", classes=("a", "b"), case="image", licence="", citation="", url="",
      layout={"all": Part(2, (Image("{n}.png"),))}, protocols=("linear", "knn"),
      recipe={"knn": {"k": 3, "temperature": 0.3, "image_size": 30}})
def narrow(folder):
    return Splits((), (), ())
"""


def test_a_protocol_has_to_be_one_of_the_task(write_grid, tmp_path):
    (tmp_path / "narrow.py").write_text(TASK)
    start = 'plugins = ["narrow.py"]\n[tasks]\n'
    assert load(write_grid(start + "narrow = {}")).tasks[0].name == "narrow"
    with pytest.raises(
        BenchError, match=r"\[tasks.narrow\] \(its protocols\): unknown protocol `finetune`; known: `knn`, "
    ):
        load(write_grid(start + 'narrow = { protocols = ["finetune"] }'))


def test_the_grid_goes_before_the_recipe_and_the_task_before_the_grid(write_grid, tmp_path):
    (tmp_path / "narrow.py").write_text(TASK)

    def knn(text: str) -> dict[str, object]:
        grid = load(write_grid('plugins = ["narrow.py"]\n' + text))
        return dict(next(p for p in grid.tasks[0].protocols if p.plugin.name == "knn").settings)

    assert knn("[tasks.narrow]") == {"k": 3, "temperature": 0.3, "image_size": 30}
    assert knn("[protocols.knn]\nk = 4\ntemperature = 0.4\n[tasks.narrow]") == {
        "k": 4, "temperature": 0.4, "image_size": 30,
    }  # fmt: skip
    both = "[protocols.knn]\nk = 4\ntemperature = 0.4\n[tasks.narrow.knn]\nk = 5"
    assert knn(both) == {"k": 5, "temperature": 0.4, "image_size": 30}
    plain = load(write_grid(ISSUE.replace('["linear", "finetune"]', '["knn"]'))).tasks[0].protocols[0]
    assert plain.settings == {"k": 20, "temperature": 0.07, "image_size": 0}  # the defaults, where no recipe is


def test_a_whole_number_will_do_for_a_number(write_grid):
    grid = load(write_grid(changed("temperature = 0.5", "temperature = 1").replace("epochs = 5", "lr = 1")))
    values = grid.methods[2].settings["temperature"], grid.pretrain.lr
    assert values == (1.0, 1.0)
    assert [type(v) for v in values] == [float, float]


def test_a_setting_without_a_default_takes_one_or_many(write_grid):
    for value, read in (("5e-4", 5e-4), ("[1e-3, 1e-2]", [1e-3, 1e-2])):
        grid = load(write_grid(changed("[executor]", f"[protocols.linear]\nlr = {value}\n[executor]")))
        assert grid.tasks[1].protocols[0].settings["lr"] == read


def test_a_method_may_have_its_own_pretraining_views_and_backbone(write_grid):
    own = 'simclr = { backbone = "vit", temperature = 1.0, pretrain = { epochs = 9 }, views = { aspect = [1, 2] } }'
    grid = load(
        write_grid(
            changed("simclr = {}", own).replace(
                "[executor]", "[methods.imagenet_supervised]\nweights = 'w'\n[executor]"
            )
        )
    )
    floor, simclr, other, supervised = grid.methods
    assert (simclr.pretrain.backbone, simclr.pretrain.epochs, simclr.pretrain.batch_size) == ("vit", 9, 64)
    assert simclr.views == {"aspect": [1, 2]}
    assert simclr.settings["temperature"] == 1.0
    assert floor.pretrain == other.pretrain == grid.pretrain
    assert (supervised.weights, grid.pretrain.backbone, grid.pretrain.epochs) == ("w", "resnet18", 5)


def test_a_grid_may_say_in_which_group_of_a_board_a_row_stands(write_grid, tmp_path):
    """Unless the plug-in has a setting of that name, which it then is."""
    (tmp_path / "own.py").write_text(
        "from bench.spec import Method, ssl_method\n\n\n@ssl_method('grouped', paper='none')\n"
        "class Grouped(Method):\n    def __init__(self, encoder, *, group: int = 4):\n"
        "        super().__init__(encoder)\n"
    )
    text = 'plugins = ["own.py"]\n[pretrain]\ncorpus = ["brain_tumor"]\n[tasks.brain_tumor]\n[methods]\n'
    text += 'simclr = { group = "ours" }\nrandom_init = {}\n'
    simclr, random_init, own = load(write_grid(text + "grouped = { group = 8 }\n")).methods
    assert (simclr.group, random_init.group, own.group) == ("ours", "", "")
    assert ("group" in simclr.settings, own.settings["group"]) == (False, 8)
    with pytest.raises(BenchError, match=r"\[methods.random_init\] group: expected text, got 3"):
        load(write_grid("[tasks.brain_tumor]\n[methods.random_init]\ngroup = 3\n"))


def test_the_side_of_stored_images_can_be_set(write_grid):
    assert load(write_grid(changed("epochs = 5", "source_size = 100"))).pretrain.sources == 100


def test_the_command_line_goes_before_the_environment_before_the_grid(write_grid, tmp_path, monkeypatch):
    path = write_grid(ISSUE)
    monkeypatch.chdir(tmp_path)
    assert load(path).data_root == tmp_path / "data"
    monkeypatch.setenv("BENCH_DATA", "of the shell")
    assert load(path).data_root == tmp_path / "of the shell"
    assert load(path, data="/of/the/command").data_root == Path("/of/the/command")
    monkeypatch.setenv("BENCH_DATA", "")
    assert load(path).data_root == tmp_path / "data"


def test_relative_paths_start_at_the_grid(write_grid, tmp_path, monkeypatch):
    write_grid(ISSUE)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    grid = load(Path("../bench.toml"))
    assert [p.resolve() for p in (grid.store, grid.data_root)] == [tmp_path / "runs", tmp_path / "data"]


def test_a_folder_is_a_corpus_too(write_grid, tmp_path):
    (tmp_path / "pictures").mkdir()
    grid = load(write_grid(changed('["brain_tumor", "fgadr"]', '["pictures"]')))
    assert grid.pretrain.corpus == ("pictures",)


def test_a_broken_plugin_is_an_error_only_where_it_is_used(write_grid, tmp_path):
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "bad.py").write_text("def f(:")
    assert len(load(write_grid('plugins = ["extra"]\n' + ISSUE)).methods) == 3
    with pytest.raises(BenchError, match=r"\[methods.bad\]: method `bad` \(bad.py\) cannot be used: SyntaxError: "):
        load(write_grid('plugins = ["extra"]\n' + changed("simclr = {}", "bad = {}")))


def test_the_plugins_of_a_grid_can_be_listed_whatever_else_is_wrong_in_it(write_grid, tmp_path):
    (tmp_path / "narrow.py").write_text(TASK)
    path = write_grid('plugins = ["narrow.py"]\n[methods]\nno_such = 3')
    assert registry_of(path).get("task", "narrow", where="here").name == "narrow"
    with pytest.raises(BenchError):
        load(path)


@pytest.mark.parametrize(
    ("views", "rule"),
    [
        ("flip = 7.0", "views flip: a probability"),
        ("blur_prob = [0.5, 1.5]", "views blur_prob: a probability"),
        ("global_scale = [0.9, 0.1]", "views global_scale: needs 0 <= low <= high <= 1"),
        ("global_crops = 0", "at least one global crop"),
    ],
)
def test_views_that_cannot_be_drawn_are_refused(write_grid, views, rule):
    text = f'[pretrain]\ncorpus = ["brain_tumor"]\n[methods]\nsimclr = {{ views = {{ {views} }} }}\n'
    with pytest.raises(BenchError, match=rule):
        load(write_grid(text))


def test_a_recipe_that_changes_nothing_is_refused(write_grid):
    with pytest.raises(BenchError, match="random_init` is not pretrained; epochs would change nothing"):
        load(write_grid("[methods]\nrandom_init = { pretrain = { epochs = 3 } }\n"))


def test_a_plain_transformer_has_the_papers_recipe_for_those_and_the_grid_goes_before_it(write_grid):
    """LVM-Med, tables 7 and 8: Kvasir-SEG 35 epochs for ResNet-50 and 200 for foundation models."""
    grid = load(
        write_grid(
            """
[methods]
resnet = { plugin = "random_init" }
vit = { plugin = "random_init", backbone = "vit_tiny_patch16_224" }
sam = {}
align = {}
[tasks.kvasir]
protocols = ["finetune", "prompt"]
finetune = { lr = 2e-3 }
"""
        )
    )
    finetune, prompt = grid.tasks[0].protocols
    found = {m.label: (finetune.of(m).settings["epochs"], finetune.of(m).settings["lr"]) for m in grid.methods}
    assert found == {"resnet": (35, 2e-3), "vit": (200, 2e-3), "sam": (200, 2e-3), "align": (35, 2e-3)}
    assert {(prompt.of(m).settings["epochs"], prompt.of(m).settings["lr"]) for m in grid.methods} == {(20, 3e-4)}
