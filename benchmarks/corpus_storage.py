"""Shards of 224 px images: what they take on disk, to build and to read, beside webdataset and a folder of JPEG files.

The images are crops of large noise textures, half of them grey, with a few shapes, so that a JPEG of quality 95 has the
size that one of a real image has. All readers give batches of 256 in random order, as uint8 tensors, on `torch` of one
thread. A reader's rate is given a second and a second of CPU time; its memory is what a process of its own and the
workers of that have at most, less what the process has before it reads.

    python benchmarks/corpus_storage.py --images 200000 --folder FOLDER     (4 GB there)
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.data.storage import open_images, write

SIZE, BATCH, CORPUS = 224, 256, 1_300_000
POOL = 2000  # images that the corpus repeats, each time shifted and brightened: making them must not be what is timed


def textures(rng, side=1024):
    """Large images of smooth noise at several scales: each scale twice as fine, and weaker."""
    out = np.zeros((side, side, 3), np.float32)
    for scale, weight in ((8, 50), (32, 25), (128, 9), (256, 4)):
        for channel in range(3):
            noise = Image.fromarray(rng.normal(size=(scale, scale)).astype(np.float32))
            out[..., channel] += weight * np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC))
    return out + 90


def pool_of_images(count=POOL):
    rng = np.random.default_rng(0)
    large = [textures(rng) for _ in range(4)]
    rows, columns = np.mgrid[:SIZE, :SIZE]
    made = []
    for number in range(count):
        top, left = rng.integers(0, 1024 - SIZE, 2)
        image = large[number % 4][top : top + SIZE, left : left + SIZE].copy()
        for _ in range(3):
            row, column, radius = rng.integers(20, 200, 3)
            image[(rows - row) ** 2 + (columns - column) ** 2 < (radius / 4) ** 2] += rng.integers(-60, 60)
        image += rng.normal(0, 1.5, image.shape)
        image = np.clip(image, 0, 255).astype(np.uint8)
        made.append(image[..., 0] if number % 2 else image)
    return made


def corpus(pool, count):
    """`count` images; each passes over the pool shows it shifted, so that no two files are equal."""
    for number in range(count):
        shift = number // len(pool)
        yield np.roll(pool[number % len(pool)], shift, axis=(0, 1))


def own_process(work, *asked):
    """What `work` does in a process of its own: images, seconds, CPU seconds, and MB at most beyond the start."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(theirs, work, asked))
    process.start()
    theirs.close()
    result = ours.recv()
    process.join()
    return result


def _measured(pipe, work, asked):
    torch.set_num_threads(1)
    before = _resident()
    watch = threading.Event()
    peak = [before]

    def look():
        while not watch.wait(0.1):
            peak[0] = max(peak[0], _resident())

    watcher = threading.Thread(target=look)
    watcher.start()
    cpu, began = _cpu(), time.perf_counter()
    images = work(*asked)
    seconds, cpu = time.perf_counter() - began, _cpu() - cpu
    watch.set()
    watcher.join()
    pipe.send((images, seconds, cpu, peak[0] - before))


def _resident():
    """MB of memory that this process and its workers keep busy, each shared page counted once; mapped files are not."""
    processes, total = ["self", *Path("/proc/self/task", str(os.getpid()), "children").read_text().split()], 0
    for process in processes:
        with suppress(OSError):  # a worker that has just ended
            for line in Path("/proc", process, "smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1])
    return total / 1000


def _cpu():
    """Of this process and of the workers that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def read_ours(folder, threads, most):
    done = 0
    for batch in open_images(folder, threads=threads).batches(0, 0, batch_size=BATCH):
        done += len(batch.images)
        if done >= most:
            break
    return done


def _rgb(sample):
    return torch.from_numpy(np.array(sample[0].convert("RGB"))).permute(2, 0, 1), int(sample[1])


def _stack(samples):
    return torch.stack([image for image, _ in samples]), torch.tensor([number for _, number in samples])


def read_webdataset(folder, workers, most):
    """Its shuffled shards and its shuffle buffer, of as many images as our blocks have."""
    import webdataset

    files = [str(path) for path in sorted(Path(folder, "shards").iterdir())][: most // 1000]
    data = webdataset.WebDataset(files, shardshuffle=len(files), seed=0).shuffle(8000).decode("pil")
    data = data.to_tuple("jpg", "__key__").map(_rgb).batched(BATCH, collation_fn=_stack, partial=False)
    loader = webdataset.WebLoader(data, batch_size=None, num_workers=workers)
    return sum(len(images) for images, _ in loader)


class Files(torch.utils.data.Dataset):
    def __init__(self, folder):
        self.files = sorted(str(path) for path in Path(folder).rglob("*.jpg"))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, number):
        with Image.open(self.files[number]) as image:
            return _rgb((image, number))


def read_files(folder, workers):
    loader = torch.utils.data.DataLoader(Files(folder), BATCH, shuffle=True, drop_last=True, num_workers=workers)
    return sum(len(images) for images, _ in loader)


def build(folder, count):
    """Write the corpus: bytes an image, and images a CPU second less the time in which the images are made."""
    pool = pool_of_images()
    cpu = _cpu()
    for _ in corpus(pool, 5000):
        pass
    made = (_cpu() - cpu) / 5000
    cpu, began = _cpu(), time.perf_counter()
    write(folder, corpus(pool, count), size=SIZE, kind="shards", workers=2, total=count)
    seconds, cpu = time.perf_counter() - began, _cpu() - cpu - made * count
    taken = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(
        f"build: {count} images in {seconds:.0f} s, {count / seconds:.0f} images/s by two threads, {count / cpu:.0f}"
        f" a CPU second without the {made * 1e6:.0f} µs in which each is made; {taken / count / 1000:.1f} kB an image",
        flush=True,
    )
    return taken / count, count / cpu


def unpack(folder, target, count):
    """The first images as a folder of files."""
    import tarfile

    for number, shard in enumerate(sorted((folder / "shards").iterdir())):
        if number * 1000 >= count:
            break
        with tarfile.open(shard) as archive:
            archive.extractall(target / shard.stem, filter="data")


def told(name, result):
    images, seconds, cpu, memory = result
    print(
        f"{name}: {images} images, {images / seconds:.0f} images/s, {images / cpu:.0f} a CPU second,"
        f" memory {memory:.0f} MB",
        flush=True,
    )
    return images / seconds, images / cpu


def compare(folder, files, asked):
    """Readers in turn, and the median ratios to ours of neighbours: a second, and a second of CPU time."""
    rounds = []
    for _ in range(asked.rounds):
        one = told("ours, one thread", own_process(read_ours, folder, 1, asked.subset))
        two = told("ours, two threads", own_process(read_ours, folder, 2, asked.subset))
        row = {"files, DataLoader without workers": (one, own_process(read_files, files, 0))}
        row["files, DataLoader of 2 workers"] = (two, own_process(read_files, files, 2))
        if asked.webdataset:
            row["webdataset, one process"] = (one, own_process(read_webdataset, folder, 0, asked.subset))
            row["webdataset, 2 workers"] = (two, own_process(read_webdataset, folder, 2, asked.subset))
        rounds.append({name: np.divide(ours, told(name, theirs)) for name, (ours, theirs) in row.items()})
    for name in rounds[0]:
        ratios = np.array([row[name] for row in rounds])
        (second, cpu), (low, _), (high, _) = np.median(ratios, axis=0), ratios.min(axis=0), ratios.max(axis=0)
        print(f"ours to {name}: {second:.2f} ({low:.2f} to {high:.2f}), a CPU second {cpu:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--subset", type=int, default=20_000, help="images that readers are compared on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where a temporary folder is made")
    asked = parser.parse_args()
    try:
        import webdataset

        asked.webdataset = True
        print(f"webdataset {webdataset.__version__}")
    except ImportError:
        asked.webdataset = False
        print("webdataset is not compared with, as it is not installed: pip install webdataset")
    work = Path(tempfile.mkdtemp(dir=asked.folder))
    try:
        folder = work / "corpus"
        size, built = build(folder, asked.images)
        told("epoch, one thread", one := own_process(read_ours, folder, 1, asked.images))
        told("epoch, two threads", own_process(read_ours, folder, 2, asked.images))
        told("a tenth of it, two threads", own_process(read_ours, folder, 2, asked.images // 10))
        unpack(folder, work / "files", asked.subset)
        compare(folder, work / "files", asked)
    finally:
        shutil.rmtree(work)
    array, hours = SIZE**2 * CORPUS / 1e9, CORPUS / built / 3600
    print(
        f"{CORPUS} images: {size * CORPUS / 1e9:.1f} GB in shards (an array has {array:.0f} GB grey,"
        f" {3 * array:.0f} GB in colour), {hours / 2:.2f} h to build on two cores that are free,"
        f" {one[2] / one[0] * CORPUS:.0f} CPU seconds an epoch"
        f" ({os.cpu_count()} cores, load {os.getloadavg()[2]:.1f}, torch {torch.__version__})"
    )


if __name__ == "__main__":
    main()
