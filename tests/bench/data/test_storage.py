"""The pixels of a corpus: what is written is what is read, in an order that only seed and epoch decide."""

import errno
import gc
import io
import json
import pickle
import resource
import shutil
import sys
import tarfile
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data import shards as shards_module
from bench.data.storage import Held, Stream, open_images, verify, write
from bench.errors import BenchError
from bench.random import generator

SIZE, COUNT, PER_SHARD = 8, 103, 5  # 21 shards, the last of 3 images: three blocks for one process
ENDED = r"build the corpus again"


def pictures(count=COUNT, *, grey=None, size=SIZE):
    """Images of noise, each of a base of its own; every third is grey unless all or none are."""
    rng = np.random.default_rng(0)
    for number in range(count):
        is_grey = number % 3 == 0 if grey is None else grey
        yield rng.integers(number % 100, number % 100 + 100, (size, size) if is_grey else (size, size, 3), np.uint8)


def planes(images):
    return np.stack([np.broadcast_to(i, (3, *i.shape)) if i.ndim == 2 else np.moveaxis(i, 2, 0) for i in images])


TRUTH = planes(pictures())


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A corpus in each kind of storage. Not to be changed by a test."""
    root = tmp_path_factory.mktemp("corpora")
    write(root / "memmap", pictures(), size=SIZE, kind="memmap")
    write(root / "png", pictures(), size=SIZE, kind="shards", codec="png", per_shard=PER_SHARD)
    write(root / "jpeg", pictures(), size=SIZE, kind="shards", per_shard=PER_SHARD)
    return root


@pytest.fixture
def copy(built, tmp_path):
    """A corpus of PNG shards to be damaged."""
    return shutil.copytree(built / "png", tmp_path / "copy")


def numbers(images, seed=0, epoch=0, **asked):
    """Those of each batch."""
    return [batch.numbers.tolist() for batch in images.batches(seed, epoch, **{"batch_size": 10} | asked)]


def read_all(folder, **asked):
    return list(open_images(folder).batches(0, 0, **{"batch_size": 10} | asked))


KINDS = ("memmap", "png")


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_comes_back_exactly(built, kind):
    images = open_images(built / kind)
    assert (type(images), len(images), images.size) == (Held if kind == "memmap" else Stream, COUNT, SIZE)
    for images_read, places in images.batches(0, 0, batch_size=10):
        assert images_read.is_contiguous() or kind == "memmap"
        np.testing.assert_array_equal(images_read, TRUTH[places])


def test_jpeg_comes_back_nearly(tmp_path):
    smooth = [np.add.outer(np.arange(64), np.arange(64) + i).astype(np.uint8) for i in range(20)]
    smooth[3] = np.stack([smooth[3]] * 3, 2)
    write(tmp_path, smooth, size=64, kind="shards")
    sampled = open_images(tmp_path).sample(20).numpy().astype(int)
    assert np.abs(sampled - planes(smooth)).max() <= 4
    with tarfile.open(tmp_path / "shards" / "000000.tar") as archive:
        modes = [Image.open(archive.extractfile(member)).mode for member in archive]
    assert modes == ["L"] * 3 + ["RGB"] + ["L"] * 16  # grey stays grey on disk


@pytest.mark.parametrize("first_colour", [0, 4, 9, None])
def test_an_array_has_one_channel_until_a_colour_comes(tmp_path, first_colour):
    colours, greys = list(pictures(10, grey=False)), list(pictures(10, grey=True))
    images = greys if first_colour is None else [*greys[:first_colour], colours[0], *greys[first_colour + 1 :]]
    write(tmp_path, iter(images), size=SIZE, kind="memmap")
    channels = 1 if first_colour is None else 3
    array = np.load(tmp_path / "images.npy")  # an ordinary .npy file
    assert array.shape == (10, channels, SIZE, SIZE)
    np.testing.assert_array_equal(np.broadcast_to(array, (10, 3, SIZE, SIZE)), planes(images))
    np.testing.assert_array_equal(open_images(tmp_path).sample(99), planes(images))


def test_the_shards_are_ordinary_tar_files_and_the_same_whoever_writes_them(built, tmp_path):
    for workers in (1, 4):
        write(tmp_path, pictures(), size=SIZE, kind="shards", codec="png", per_shard=PER_SHARD, workers=workers)
        for shard in (built / "png" / "shards").iterdir():
            assert (tmp_path / "shards" / shard.name).read_bytes() == shard.read_bytes()
    with tarfile.open(tmp_path / "shards" / "000020.tar") as archive:
        assert archive.getnames() == [f"{number:09d}.png" for number in (100, 101, 102)]
        found = np.asarray(Image.open(archive.extractfile("000000101.png")))
    np.testing.assert_array_equal(np.moveaxis(found, 2, 0), TRUTH[101])


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_the_shards(built):
    webdataset = pytest.importorskip("webdataset")
    files = sorted(str(path) for path in (built / "png" / "shards").iterdir())
    read = webdataset.WebDataset(files, shardshuffle=False).decode("rgb8").to_tuple("__key__", "png")
    for number, (key, pixels) in enumerate(read):
        assert int(key) == number
        np.testing.assert_array_equal(np.moveaxis(pixels, 2, 0), TRUTH[number])
    assert number == COUNT - 1
    del read
    gc.collect()  # it leaves files open


def test_the_order_of_an_array_is_that_of_the_published_runs():
    """The formula of the pretraining loop before corpora had storage: results that are stored rest on it."""
    batch_size, processes = 12, 3
    images = Held(TRUTH)
    for epoch in (0, 1):
        order = torch.randperm(COUNT, generator=generator("order", 7, epoch))
        for process in range(processes):
            shares = list(images.batches(7, epoch, batch_size=batch_size, process=process, processes=processes))
            assert len(shares) == images.steps(batch_size, processes) == COUNT // batch_size
            for place, share in enumerate(shares):
                batch = order[place * batch_size : (place + 1) * batch_size]
                assert share.numbers.tolist() == batch[process::processes].tolist()
                np.testing.assert_array_equal(share.images, TRUTH[share.numbers])


def test_images_may_be_a_tensor_and_grey():
    grey = torch.from_numpy(TRUTH[:, :1].copy())
    for images in (Held(grey), Held(grey.numpy(), device="cpu")):
        for batch in images.batches(0, 0, batch_size=10):
            np.testing.assert_array_equal(batch.images, TRUTH[batch.numbers][:, :1].repeat(3, axis=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("batch_size", "processes"), [(10, 1), (30, 3), (8, 4), (1, 1), (103, 1), (104, 1)])
def test_an_epoch_has_every_image_once_but_for_the_tail(built, kind, batch_size, processes):
    images = open_images(built / kind)
    steps = COUNT // batch_size
    assert images.steps(batch_size, processes) == steps
    seen = []
    for process in range(processes):
        shares = numbers(images, batch_size=batch_size, process=process, processes=processes)
        assert [len(share) for share in shares] == [batch_size // processes] * steps
        seen += [number for share in shares for number in share]
    assert len(seen) == len(set(seen)) == steps * batch_size


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_epoch_decide_the_order(built, kind):
    images = open_images(built / kind)
    order = numbers(images, 1, 1)
    assert order == numbers(open_images(built / kind), 1, 1)
    others = [numbers(images, 1, 2), numbers(images, 2, 1), [list(range(i, i + 10)) for i in range(0, 100, 10)]]
    assert all(order != other for other in others)


@pytest.mark.parametrize("kind", ["memmap", "shards"])
def test_the_tail_is_not_always_of_the_same_images(tmp_path, kind):
    write(tmp_path, pictures(10), size=SIZE, kind=kind)  # in one shard, where it could be
    images = open_images(tmp_path)
    kept = [set(chain.from_iterable(numbers(images, 0, epoch, batch_size=8))) for epoch in range(60)]
    assert set.intersection(*kept) == set()


def test_a_block_mixes_its_shards(built):
    first = numbers(open_images(built / "png"), batch_size=20)[0]
    assert len({number // PER_SHARD for number in first}) >= 5
    ranks = [number % PER_SHARD for number in first]
    assert ranks != sorted(ranks)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_the_number_of_threads_changes_nothing(built, kind):
    one, four = (list(open_images(built / kind, threads=n).batches(0, 0, batch_size=40)) for n in (1, 4))
    assert len(one) == 2
    for a, b in zip(one, four, strict=True):
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.numbers, b.numbers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_resumed_epoch_goes_on_where_it_stopped(built, kind, processes):
    images = open_images(built / kind)
    whole = numbers(images, processes=processes, process=processes - 1)
    assert len(whole) == 10
    for first in range(12):
        assert numbers(images, first=first, processes=processes, process=processes - 1) == whole[first:]


def test_a_resumed_epoch_does_not_read_what_lies_before(copy):
    whole = numbers(open_images(copy), batch_size=4)
    ahead = {number // PER_SHARD for batch in whole[12:] for number in batch}
    behind = {number // PER_SHARD for batch in whole for number in batch} - ahead
    assert len(behind) == shards_in_a_block()
    for place in behind:
        (copy / "shards" / f"{place:06d}.tar").unlink()
    assert numbers(open_images(copy), batch_size=4, first=12) == whole[12:]
    with pytest.raises(BenchError, match="is missing"):
        numbers(open_images(copy), batch_size=4)


def shards_in_a_block():
    from bench.data.stream import BLOCK

    return BLOCK


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_out_never_comes_and_numbers_stay(built, kind):
    left_out = {0, 7, 50, 51, 52, 53, 54, 102}  # among them a whole shard
    images = open_images(built / kind, left_out=left_out)
    assert (len(images), images.places, images.steps(5)) == (COUNT - 8, COUNT, 19)
    batches = list(images.batches(0, 0, batch_size=5))
    assert {n for batch in batches for n in batch.numbers.tolist()} == set(range(COUNT)) - left_out
    for batch in batches:
        np.testing.assert_array_equal(batch.images, TRUTH[batch.numbers])
    np.testing.assert_array_equal(images.sample(999), np.delete(TRUTH, list(left_out), axis=0))
    nothing = open_images(built / kind, left_out=range(COUNT))
    assert (len(nothing), numbers(nothing), nothing.sample(3).shape) == (0, [], (0, 3, SIZE, SIZE))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_spread_evenly_and_always_the_same(built, kind):
    images = open_images(built / kind)
    for count, places in ((4, [0, 25, 51, 77]), (1, [0]), (0, [])):
        np.testing.assert_array_equal(images.sample(count), TRUTH[places])


def test_a_sample_of_many_shards_reads_some_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.data.stream.SAMPLED", 4)
    write(tmp_path, pictures(40), size=SIZE, kind="shards", codec="png", per_shard=2)
    for place in set(range(20)) - {0, 5, 10, 15}:
        (tmp_path / "shards" / f"{place:06d}.tar").unlink()
    np.testing.assert_array_equal(open_images(tmp_path).sample(4), TRUTH[[0, 10, 20, 30]])
    assert open_images(tmp_path).sample(99).shape[0] == 8


def test_an_uneven_share_is_refused(built):
    for kind in KINDS:
        with pytest.raises(ValueError, match="10 does not divide among 3"):
            numbers(open_images(built / kind), processes=3)


def test_the_reader_of_shards_travels_to_other_processes(built):
    images = open_images(built / "png")
    assert numbers(pickle.loads(pickle.dumps(images))) == numbers(images)


# Builds that do not end well


def stopping(error, after=12):
    for number, image in enumerate(pictures()):
        if number == after:
            raise error
        yield image


@pytest.mark.parametrize("kind", ["memmap", "shards"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), BenchError("an image is damaged")])
def test_an_interrupted_build_leaves_nothing_that_looks_whole(tmp_path, kind, error):
    write(tmp_path, pictures(20), size=SIZE, kind=kind, per_shard=PER_SHARD)  # an older one goes too
    (tmp_path / "manifest.parquet").write_bytes(b"of another")
    with pytest.raises(type(error)):
        write(tmp_path, stopping(error), size=SIZE, kind=kind, per_shard=PER_SHARD)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.parquet"]
    with pytest.raises(BenchError, match=r"has no pixels.json; it is no corpus, or its build did not end"):
        open_images(tmp_path)
    write(tmp_path, pictures(20), size=SIZE, kind=kind, per_shard=PER_SHARD)  # and is simply done again
    assert len(open_images(tmp_path)) == 20


def test_a_killed_build_is_done_again(tmp_path):
    """Its files lie there without an index, some of them under names that the next build does not have."""
    write(tmp_path, pictures(), size=SIZE, kind="shards", per_shard=PER_SHARD)
    (tmp_path / "pixels.json").unlink()
    write(tmp_path, pictures(), size=SIZE, kind="shards", per_shard=50)
    assert len(list((tmp_path / "shards").iterdir())) == 3
    verify(tmp_path)


@pytest.mark.parametrize("kind", ["memmap", "shards"])
def test_a_full_disk_is_told(tmp_path, kind):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(BenchError, match=r"the disk is full after 12 of 103 images; make room"):
        write(tmp_path, stopping(full), size=SIZE, kind=kind, total=COUNT)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(BenchError, match=r"cannot be written after \d+ of .* images: File too large"):
            write(tmp_path, pictures(), size=SIZE, kind=kind)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BenchError, match=r"file/corpus: cannot be written after 0 of .* images: Not a directory"):
        write(tmp_path / "file" / "corpus", pictures(), size=SIZE, kind="memmap")


def test_what_is_no_image_of_the_size_is_refused(tmp_path):
    wrong = (np.zeros((8, 9), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8), np.float32))
    for image in wrong:
        with pytest.raises((ValueError, TypeError)):  # the latter where types are checked as it runs
            write(tmp_path, [image], size=SIZE, kind="memmap")
    with pytest.raises(BenchError, match="no images to write"):
        write(tmp_path, [], size=SIZE, kind="shards")


# Hostile files


def edited(folder, **changes):
    """Change what the index says of a corpus, or with `file` of its second shard."""
    told = json.loads((folder / "pixels.json").read_text())
    told["shards"][min(1, len(told["shards"]) - 1)] |= changes.pop("file", {})
    (folder / "pixels.json").write_text(json.dumps(told | changes))


def as_indexed(folder, content):
    """Put a shard in the place of the second, and its length in the index."""
    (folder / "shards" / "000001.tar").write_bytes(content)
    edited(folder, file={"bytes": len(content)})


def tar(*entries):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def png(*shape, mode=None):
    file = io.BytesIO()
    Image.fromarray(np.zeros(shape, np.uint8), mode).save(file, "PNG")
    return file.getvalue()


NAMES = [f"{number:09d}.png" for number in range(5, 10)]
GOOD = png(SIZE, SIZE)


@pytest.mark.parametrize("damage", [lambda b: b[:-512], lambda b: b[:700], lambda b: b"", lambda b: b + b"x"])
def test_a_shard_of_another_length_is_refused(copy, damage):
    shard = copy / "shards" / "000001.tar"
    shard.write_bytes(damage(shard.read_bytes()))
    with pytest.raises(BenchError, match=rf"shards/000001.tar: should have \d+ bytes, has .*; fetch this .*{ENDED}"):
        read_all(copy)


def test_a_missing_shard_is_told(copy):
    (copy / "shards" / "000001.tar").unlink()
    with pytest.raises(BenchError, match=rf"shards/000001.tar: is missing; .*{ENDED}"):
        read_all(copy)
    (copy / "shards" / "000001.tar").mkdir()
    with pytest.raises(BenchError, match=r"shards/000001.tar: cannot be opened: .*directory"):
        read_all(copy)


@pytest.mark.parametrize(
    "content",
    [
        b"x" * 10240,
        b"\0" * 10240,
        tar(*((name, GOOD) for name in NAMES))[:1500],
        tar(*((name, GOOD) for name in NAMES[:4])),
        tar(*((f"../{name}", GOOD) for name in NAMES)),
        tar(*((f"/etc/{name}", GOOD) for name in NAMES)),
        tar(*((name, GOOD) for name in reversed(NAMES))),
        tar(*((NAMES[0], GOOD) for _ in NAMES)),
        tar((NAMES[0], b""), *((name, GOOD) for name in NAMES[1:])),
        tar(*((name, GOOD) for name in NAMES)).replace(b"00000000", b"77777777"),
        tar(*((name, GOOD) for name in NAMES)).replace(f"{len(GOOD):011o}".encode(), b"-0000000001"),
    ],
)
def test_a_tar_that_was_not_written_here_is_refused(copy, content):
    as_indexed(copy, content)
    with pytest.raises(BenchError, match=rf"shards/000001.tar: 00000000\d.png is not where it should be.*{ENDED}"):
        read_all(copy)


def test_a_tar_with_more_than_its_images_is_refused(copy):
    as_indexed(copy, tar(*((name, GOOD) for name in NAMES), ("more", GOOD)))
    with pytest.raises(BenchError, match=rf"000001.tar: holds more than the 5 images that pixels.json says.*{ENDED}"):
        read_all(copy)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no image", "cannot identify"),
        (b"\xff\xd8\xff\xe0", "cannot identify"),  # the beginning of a JPEG, in a corpus of PNG
        (GOOD[:44], ""),
        (png(9, 8), "it is L of 8 x 9 pixels"),
        (png(5000, 5000), "it is L of 5000 x 5000 pixels"),
        (png(SIZE, SIZE, 4), "it is RGBA of 8 x 8 pixels"),
        (GOOD.replace(b"IDAT", b"IDAX"), ""),
    ],
)
def test_a_member_that_is_no_image_of_the_corpus_is_named(copy, content, reason):
    as_indexed(copy, tar(*((name, content if name == NAMES[2] else GOOD) for name in NAMES)))
    message = rf"shards/000001.tar: {NAMES[2]}: cannot be decoded: .*{reason}.*{ENDED}"
    with pytest.raises(BenchError, match=message):
        read_all(copy)
    with pytest.raises(BenchError, match=message):
        open_images(copy).sample(COUNT)


def test_a_cut_jpeg_is_named(built, tmp_path):
    folder = shutil.copytree(built / "jpeg", tmp_path / "copy")
    content = bytearray((folder / "shards" / "000001.tar").read_bytes())
    content[512 + 400 : 1024] = bytes(112)  # the end of the first image
    (folder / "shards" / "000001.tar").write_bytes(content)
    with pytest.raises(BenchError, match=r"shards/000001.tar: 000000005.jpg: cannot be decoded"):
        read_all(folder)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "null", "[" * 100_000, "\udcff", '{"kind": "memmap", "shards": [], "size": 8, "count": 0}'],
)
def test_a_damaged_index_is_refused(copy, text):
    (copy / "pixels.json").write_text(text, errors="surrogateescape")
    with pytest.raises(BenchError, match=rf"pixels.json: is damaged: .*{ENDED}"):
        open_images(copy)


@pytest.mark.parametrize(
    "lie",
    [
        *({"kind": "tar"}, {"kind": "memmap"}, {"kind": []}, {"codec": "gif"}, {"codec": None}, {"codec": []}),
        *({"size": 0}, {"size": 10**6}, {"size": "8"}, {"size": True}, {"count": 104}, {"count": -1}, {"count": 1.5}),
        *({"shards": []}, {"shards": None}, {"shards": [None]}),
        *({"file": {"name": "../../x.tar"}}, {"file": {"name": "/dev/zero"}}, {"file": {"name": "shards/000002.tar"}}),
        *({"file": {"count": 0}}, {"file": {"count": 6}}, {"file": {"bytes": -1}}, {"file": {"bytes": None}}),
        {"file": {"unknown": 1}},
    ],
)
def test_an_index_that_lies_in_itself_is_refused(copy, lie):
    edited(copy, **lie)
    with pytest.raises(BenchError, match=rf"pixels.json: is damaged: .*{ENDED}"):
        open_images(copy)


def test_an_index_that_lies_about_its_files_is_found_out(copy):
    for count in (4, 6):  # all that follows is then misnamed too
        edited(copy, file={"count": count}, count=COUNT - 5 + count)
        with pytest.raises(
            BenchError, match=r"\d.tar: (\d+.png is not where it should be|holds more than the 4 images)"
        ):
            read_all(copy)
    edited(copy, file={"count": 5, "bytes": 10**15}, count=COUNT)
    with pytest.raises(BenchError, match=r"000001.tar: (should have|cannot be read: .*memory)"):
        read_all(copy)
    edited(copy, size=9, file={"bytes": (copy / "shards" / "000001.tar").stat().st_size})
    with pytest.raises(BenchError, match=r"png: cannot be decoded: it is .* of 8 x 8 pixels, not grey or RGB of 9"):
        read_all(copy)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"", lambda b: b"x" + b[1:]])
def test_a_damaged_array_is_refused(built, tmp_path, damage):
    folder = shutil.copytree(built / "memmap", tmp_path / "copy")
    (folder / "images.npy").write_bytes(damage((folder / "images.npy").read_bytes()))
    with pytest.raises(BenchError, match=rf"images.npy: is not the array that pixels.json says.*{ENDED}"):
        open_images(folder)
    (folder / "images.npy").unlink()
    with pytest.raises(BenchError, match=rf"images.npy: is missing.*{ENDED}"):
        open_images(folder)


def test_an_array_is_not_what_a_lying_index_says(built, tmp_path):
    folder = shutil.copytree(built / "memmap", tmp_path / "copy")
    for lie in ({"channels": 1}, {"size": 9}, {"count": 104, "file": {"count": 104}}):
        edited(folder, **lie)
        with pytest.raises(BenchError, match=r"images.npy: is not the array"):
            open_images(folder)
    edited(folder, channels=4)
    with pytest.raises(BenchError, match=r"pixels.json: is damaged"):
        open_images(folder)


@pytest.mark.parametrize(("kind", "name"), [("memmap", "images.npy"), ("jpeg", "shards/000007.tar")])
def test_a_flipped_byte_is_found(built, tmp_path, kind, name):
    folder = shutil.copytree(built / kind, tmp_path / "copy")
    verify(folder)
    content = bytearray((folder / name).read_bytes())
    content[800] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BenchError, match=rf"copy: 1 damaged: {name}; .*{ENDED}"):
        verify(folder)


# Stores reached by URL


@pytest.mark.parametrize("kind", [*KINDS, "jpeg"])
def test_a_folder_may_be_a_url(built, kind):
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for path in (built / kind).rglob("*"):
        if path.is_file():
            store.pipe_file(f"/{kind}/{path.relative_to(built / kind)}", path.read_bytes())
    try:
        ours, theirs = open_images(f"memory://{kind}"), open_images(built / kind)
        for a, b in zip(ours.batches(0, 0, batch_size=10), theirs.batches(0, 0, batch_size=10), strict=True):
            assert torch.equal(a.images, b.images)
            assert torch.equal(a.numbers, b.numbers)
        verify(f"memory://{kind}")
        for name in ("images.npy", "shards/000001.tar"):
            if store.exists(f"/{kind}/{name}"):
                store.pipe_file(f"/{kind}/{name}", b"short")
                with pytest.raises(BenchError, match=rf"memory://{kind}/{name}: should have \d+ bytes, has 5"):
                    read_all(f"memory://{kind}")
                store.rm(f"/{kind}/{name}")
        with pytest.raises(BenchError, match=r"is missing; fetch"):
            read_all(f"memory://{kind}")
    finally:
        store.rm(f"/{kind}", recursive=True)
    with pytest.raises(BenchError, match=rf"memory://{kind}: has no pixels.json"):
        open_images(f"memory://{kind}")


def test_a_store_may_give_a_file_in_parts(built, monkeypatch):
    class InParts(io.FileIO):
        def readinto(self, target):
            return super().readinto(memoryview(target)[:700])

    monkeypatch.setattr(shards_module, "opened", lambda folder, name: InParts(f"{folder}/{name}"))
    np.testing.assert_array_equal(open_images(built / "png").sample(COUNT), TRUTH)


def test_a_url_that_nothing_opens_is_told(monkeypatch):
    with pytest.raises(BenchError, match=r"nonsense://x/pixels.json: cannot be opened: .*[Pp]rotocol"):
        open_images("nonsense://x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(BenchError, match=r"s3://bucket/x/pixels.json: cannot be opened: ImportError: .*s3fs"):
        open_images("s3://bucket/x")


def test_results_come_in_order_and_few_are_started_ahead():
    started = []

    def start(item):
        started.append(item)
        return lambda: item

    for number, result in enumerate(shards_module.ahead(start, iter(range(20)), 3)):
        assert result == number
        assert len(started) == min(number + 4, 20)
    assert number == 19
