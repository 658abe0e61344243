"""The real command line on phantoms: what runs, what does not run again, what fails alone, what survives a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
BENCH = Path(sys.executable).with_name("bench")

GRID = """
[bench]
name = "end to end"
seeds = SEEDS
[data]
missing = "error"
[pretrain]
corpus = ["brain_tumor", "fgadr"]
backbone = "resnet10t"
image_size = 32
epochs = 5
batch_size = 16
checkpoint_minutes = 0
[methods]
random_init = {}
simclr = { hidden = 32, dim = 16 }
[tasks]
brain_tumor = { protocols = ["linear", "knn", "finetune"], finetune = { epochs = 2 } }
fgadr = { protocols = ["linear"] }
[executor]
EXECUTOR
device = "cpu"
"""
CELLS = ("brain_tumor/linear", "brain_tumor/knn", "brain_tumor/finetune", "fgadr/linear")
STEPS = 15  # 28 + 32 training images make 3 batches an epoch


def grid(folder, *, seeds="[0]", executor='kind = "inline"'):
    folder.mkdir(exist_ok=True)
    (folder / "bench.toml").write_text(GRID.replace("SEEDS", seeds).replace("EXECUTOR", executor))
    return folder


def environment(data=None, **more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **({"BENCH_DATA": str(data)} if data else {}), **more}


def bench(folder, *arguments, data=None, code=0, **more):
    done = subprocess.run(
        [BENCH, *arguments], cwd=folder, env=environment(data, **more), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def states(folder, data, **more):
    return {job["id"]: job for job in json.loads(bench(folder, "plan", "--json", data=data, **more))["jobs"]}


def results(folder):
    """The bytes of all that is a result, by what it is."""
    found = {}
    for record in (folder / "runs" / "jobs").iterdir():
        name = json.loads((record / "record.json").read_text())["id"]
        for kind in ("scores.csv", "encoder.safetensors"):
            if (record / kind).exists():
                found[name, kind] = (record / kind).read_bytes()
    return found


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "runs" / "jobs").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, phantoms):
    """The whole grid, run by the plainest executor; with what it printed."""
    folder = grid(tmp_path_factory.mktemp("finished"))
    return folder, bench(folder, "run", data=phantoms)


def copy_of(finished, folder, **changes):
    shutil.copytree(finished[0], folder, dirs_exist_ok=True)
    return grid(folder, **changes)


# ------------------------------------------------------------------------------------------- what runs


def test_the_whole_grid_runs_and_a_board_is_printed(finished, phantoms):
    folder, printed = finished
    expected = {("simclr/pretrain/0", "encoder.safetensors")}
    expected |= {(f"{method}/{cell}/0", "scores.csv") for method in ("random_init", "simclr") for cell in CELLS}
    assert results(folder).keys() == expected
    assert {job["state"] for job in states(folder, phantoms).values()} == {"cached"}
    assert "9 of 9 jobs done (9 now)" in printed
    assert "PHANTOM" in printed  # numbers from drawn images are marked
    for (name, kind), content in results(folder).items():
        if kind == "scores.csv":
            header, *rows = content.decode().split()
            assert header == "case,metric,value"
            assert len(rows) == 2 * 40, name  # accuracy and log_loss of each of the 40 test cases
    assert not any((folder / "runs" / "partial").glob("*"))
    assert not (folder / "runs" / "failures").exists()


def test_a_second_run_does_nothing(finished, phantoms):
    folder, _ = finished
    before = stamps(folder)
    assert "9 of 9 jobs done (0 now)" in bench(folder, "run", data=phantoms)
    assert stamps(folder) == before


def test_two_workers_change_no_byte(finished, phantoms, tmp_path):
    """Nor does one, which is killed below."""
    folder = grid(tmp_path / "other", executor='kind = "local"\nworkers = 2')
    assert "9 of 9 jobs done (9 now)" in bench(folder, "run", data=phantoms)
    assert results(folder) == results(finished[0])


def test_a_new_seed_runs_only_what_is_new_and_a_part_of_it_if_asked(finished, phantoms, tmp_path):
    folder = copy_of(finished, tmp_path / "more", seeds="[0, 1]")
    before = stamps(folder)

    def changed():
        return {path.parent.name for path, stamp in stamps(folder).items() if before.get(path) != stamp}

    # --rerun all goes from the top, and --limit leaves the records of the rest alone.
    assert "(1 now)" in bench(folder, "run", "--rerun", "all", "--limit", "1", data=phantoms)
    planned = states(folder, phantoms)
    again = planned["random_init/brain_tumor/linear/0"]["key"]
    assert changed() == {again}
    assert before.keys() <= stamps(folder).keys()
    assert results(folder) == results(finished[0])

    assert "(1 now)" in bench(folder, "run", "--only", "simclr/fgadr/*", "--limit", "1", data=phantoms)
    assert changed() == {again, planned["simclr/pretrain/1"]["key"]}  # a cell brings the pretraining that it needs

    assert "18 of 18 jobs done (8 now)" in bench(folder, "run", data=phantoms)
    assert changed() == {job["key"] for name, job in planned.items() if name.endswith("/1")} | {again}
    found = results(folder)
    assert {key: value for key, value in found.items() if key[0].endswith("/0")} == results(finished[0])
    for cell in ("simclr/fgadr/linear", "random_init/brain_tumor/linear"):
        assert found[f"{cell}/0", "scores.csv"] != found[f"{cell}/1", "scores.csv"]


# ------------------------------------------------------------------------------------------- what is killed


def checkpoint(folder):
    """The step of the checkpoint on disk; -1 where there is none."""
    try:
        (path,) = (folder / "runs" / "partial").glob("*/state.pt")
        return torch.load(path, weights_only=True)["step"]
    except (ValueError, FileNotFoundError):
        return -1


def begin(folder, data):
    return subprocess.Popen(
        [BENCH, "run"], cwd=folder, env=environment(data), start_new_session=True, stdout=subprocess.PIPE, text=True
    )


def wait_for(process, folder, step):
    deadline = time.monotonic() + 120
    while checkpoint(folder) < step:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_in_the_middle_and_started_again_it_ends_with_the_same_bytes(finished, phantoms, tmp_path):
    folder = grid(tmp_path / "killed", executor='kind = "local"\nworkers = 1')
    process = begin(folder, phantoms)
    try:
        wait_for(process, folder, STEPS // 3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    reached = checkpoint(folder)
    assert STEPS // 3 <= reached < STEPS
    left = states(folder, phantoms)
    assert left["simclr/pretrain/0"]["state"] == "run"
    assert "failed" not in {job["state"] for job in left.values()}

    # A loop that began anew would fill in the checkpoints from the first on.
    (path,) = (folder / "runs" / "partial").glob("*/state.pt")
    old, later = path.stat().st_mtime_ns, -1
    process = begin(folder, phantoms)
    while process.poll() is None and later < 0:
        time.sleep(0.05)
        if path.exists() and path.stat().st_mtime_ns != old:
            later = checkpoint(folder)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert later > reached
    assert "9 of 9 jobs done" in printed
    assert results(folder) == results(finished[0])


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted_once_it_stops_at_a_checkpoint_and_twice_at_once(finished, phantoms, tmp_path, times):
    """As a terminal does it: every process of the run hears of it. No checkpoint is due by itself."""
    folder = grid(tmp_path / "interrupted", executor='kind = "local"\nworkers = 1')
    text = (folder / "bench.toml").read_text().replace("checkpoint_minutes = 0", "checkpoint_minutes = 60")
    (folder / "bench.toml").write_text(text.replace("epochs = 5", "epochs = 40"))
    process = begin(folder, phantoms)
    log = folder / "runs" / "logs"
    deadline = time.monotonic() + 120
    while not any(" of 1920 images" in path.read_text() for path in log.glob("*.log")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
    process.communicate(timeout=60)
    assert process.returncode == 2
    assert (checkpoint(folder) > 0) == (times == 1)
    left = states(folder, phantoms)
    assert left["simclr/pretrain/0"]["state"] == "run"
    assert not (folder / "runs" / "failures").exists()
    assert not list((folder / "runs" / "claims").glob("*.stop"))


# ------------------------------------------------------------------------------------------- what fails

NAN = '''
"""A method that fails after its first step."""

import torch

from bench.spec import Method, Views, ssl_method


@ssl_method("nan_loss", paper="none")
class NanLoss(Method):
    views = Views(global_crops=1)

    def __init__(self, encoder):
        super().__init__(encoder)
        self.register_buffer("steps", torch.zeros(()))

    def loss(self, views):
        return self.encoder(views[0].images).pooled.square().mean() / (1 - self.steps)

    def after_step(self, progress):
        self.steps += 1
'''

SHAPES = '''
"""A task of somebody else's."""

from bench.data.folders import index_by_stem, require_folder
from bench.spec import Case, Image, Part, Splits, task


@task(
    "shapes", title="Shapes", modality="none", classes=("few", "many"), case="image", licence="none", citation="none",
    url="https://example.org", layout={"all": Part(48, (Image("{name}/{n}.png"),))}, protocols=("knn",),
)
def shapes(folder):
    cases = []
    for target, name in enumerate(("few", "many")):
        cases += [Case(f"{name}/{k}", p, target) for k, p in index_by_stem(require_folder(folder, name)).items()]
    return Splits(tuple(cases[::3]), tuple(cases[1::3]), tuple(cases[2::3]))
'''

FAILING = """
plugins = ["plugins"]
[pretrain]
corpus = ["shapes"]
backbone = "resnet10t"
image_size = 32
epochs = 2
batch_size = 16
[data]
missing = "phantom"
phantom_cases = 48
[methods]
random_init = {}
nan_loss = {}
simclr = { hidden = 16, dim = 8 }
imagenet_supervised = {}
[tasks]
shapes = {}
brain_tumor = { protocols = ["knn"] }
fgadr = { protocols = ["knn"] }
[executor]
kind = "local"
workers = 2
device = "cpu"
"""


def lay_weights(cache):
    """What huggingface_hub would have fetched."""
    import timm
    from safetensors.torch import save_file

    folder = cache / "hub" / "models--timm--resnet10t.c3_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t").state_dict(), folder / "snapshots" / ("0" * 40) / "model.safetensors")


def test_what_is_bad_fails_alone_and_is_mended_alone(phantoms, tmp_path):
    (tmp_path / "bench.toml").write_text(FAILING)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "nan_loss.py").write_text(NAN)
    (tmp_path / "plugins" / "shapes.py").write_text(SHAPES)
    data = tmp_path / "data"
    shutil.copytree(phantoms / "fgadr", data / "fgadr")
    shutil.copytree(phantoms / "brain_tumor", data / "brain_tumor" / "unpacked")  # a folder too deep
    corrupt = data / "fgadr" / "Seg-set" / "Original_Images" / "0007_1.png"
    corrupt.write_bytes(corrupt.read_bytes()[:200])
    cache = {"HF_HOME": str(tmp_path / "huggingface")}

    printed = bench(tmp_path, "run", code=1, **cache)
    jobs = states(tmp_path, None, **cache)
    nan = "nan_loss/pretrain/0 failed: the loss is inf at step 1 (epoch 1, learning rate "
    weights = "`resnet10t`: timm's cache (" + cache["HF_HOME"] + ") holds no weights"
    wrong = data / "brain_tumor"
    folder = f"{wrong}: has no folder Training/glioma_tumor; was {wrong / 'unpacked'} meant?"
    image = f"1 of 80 images cannot be read:\n  {corrupt}: "
    for name, job in jobs.items():
        method, task, *_ = name.split("/")
        if task == "brain_tumor":
            assert (job["state"], job["why"]) == ("blocked", folder), name
        elif method == "nan_loss":
            assert job["state"] == "failed", name
            assert "the loss is inf at step 1 (epoch 1, learning rate" in job["why"], name
        elif method == "imagenet_supervised":
            assert job["state"] == "failed", name
            assert job["why"].startswith(weights), name
        elif task == "fgadr":
            assert job["state"] == "failed", name
            assert job["why"].startswith(image), name
        else:
            assert job["state"] == "cached", name
    assert all(message in printed for message in (nan, weights, folder, image))
    assert "--rerun failed" in printed

    before = stamps(tmp_path)
    assert {path.parent.name for path in before} == {job["key"] for job in jobs.values() if job["state"] == "cached"}
    assert "(0 now)" in bench(tmp_path, "run", code=1, **cache)  # what failed is not tried again unless asked

    lay_weights(tmp_path / "huggingface")
    shutil.copy(phantoms / "fgadr" / "Seg-set" / "Original_Images" / "0007_1.png", corrupt)
    shutil.rmtree(data / "brain_tumor")
    shutil.copytree(phantoms / "brain_tumor", data / "brain_tumor")
    (tmp_path / "plugins" / "nan_loss.py").write_text(NAN.replace("(1 - self.steps)", "(1 + self.steps)"))
    bench(tmp_path, "run", "--rerun", "failed", **cache)
    jobs = states(tmp_path, None, **cache)
    assert {job["state"] for job in jobs.values()} == {"cached"}
    assert len(jobs) == 14
    assert all(stamps(tmp_path)[path] == stamp for path, stamp in before.items())


# ------------------------------------------------------------------------------------------- what is new


@pytest.mark.parametrize("kind", ["method", "task"])
def test_a_new_plug_in_keeps_its_contract(tmp_path, kind):
    written = bench(tmp_path, "new", kind, "mine", "--out", ".")
    assert "bench check mine" in written
    (tmp_path / "bench.toml").write_text('plugins = ["mine.py"]\n')
    rows = json.loads(bench(tmp_path, "check", "mine", "--json"))
    assert len(rows) == {"method": 5, "task": 3}[kind]
    assert {row["state"] for row in rows} == {"ok"}, rows
    again = subprocess.run(
        [BENCH, "new", kind, "mine", "--out", "."], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert again.returncode == 2
    assert "exists, and is not written over" in again.stderr
