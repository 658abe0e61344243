"""A bundle comes out as it went in; one that was damaged, cut or made up is refused whole; nothing is overwritten."""

import gzip
import hashlib
import io
import json
import math
import os
import tarfile

import pytest

from bench import bundle as format
from bench import intake
from bench.bundle import CHECKPOINT, PREDICTIONS, reading, write
from bench.errors import BenchError
from bench.intake import take_in
from bench.keys import digest
from bench.store import Store

SPLIT = "toy-0a1b2c3d.json"


def parts_of(name, kind="real", **more):
    encoder = {"method": name, "corpus": [{"kind": kind, "fingerprint": "f"}], "seed": 0}
    if name.startswith("pre"):
        return encoder
    return {"encoder": encoder, "task": {"name": "toy", "kind": kind}, "seed": 0, **more}


def facts_of(name, kind="real", **more):
    """What `bench run` says of a job, as far as others read it."""
    parts = parts_of(name, kind)
    trained = "encoder" not in parts
    return {
        "id": f"{name}/pretrain/0" if trained else f"{name}/toy/knn/0",
        "key": digest(parts),
        "parts": parts,
        "kind": "pretrain" if trained else "evaluate",
        "method": name,
        **({"task": "", "protocol": ""} if trained else {"task": "toy", "protocol": "knn"}),
        "seed": 0,
        "phantom": kind == "phantom",
        "data": [{"name": "toy", "kind": kind, "fingerprint": "0a1b2c3d" * 4, "found": 4, "official": 4}],
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.5,
        "primary": "accuracy",
        **more,
    }


def commit(store, name, kind="real", *, scores="a,accuracy,1.0\nb,accuracy,0.25\n", weights=b"weights" * 9999, **more):
    facts = facts_of(name, kind, **more)

    def fill(draft):
        if facts["kind"] == "pretrain":
            (draft / CHECKPOINT).write_bytes(weights)
        else:
            (draft / "scores.csv").write_text("case,metric,value\n" + scores)
            (draft / PREDICTIONS).write_bytes(b"predictions")

    return store.commit(facts, fill)


def fill(root):
    store = Store(root)
    for name in ("pre one", "simclr", "vicreg"):
        commit(store, name)
    commit(store, "drawn", "phantom")
    (root / "splits").mkdir()
    (root / "splits" / SPLIT).write_text(json.dumps({"train": ["é"], "val": [], "test": ["a", "b"]}))
    return store


@pytest.fixture
def there(tmp_path):
    return fill(tmp_path / "there")


@pytest.fixture
def here(tmp_path):
    return Store(tmp_path / "here")


@pytest.fixture(params=[".tar", ".tar.gz"])
def file(request, tmp_path, there):
    path = tmp_path / f"bundle{request.param}"
    write(path, [*there.records()], [there.root / "splits" / SPLIT])
    return path


def contents(store):
    """Every file of a store."""
    files = (path for path in store.root.rglob("*") if path.is_file()) if store.root.exists() else ()
    return {str(path.relative_to(store.root)): path.read_bytes() for path in files}


def states(outcomes):
    return {one.id: one.state for one in outcomes}


# -------------------------------------------------------------------------------------- there and back


def test_a_store_comes_out_as_it_went_in(file, there, here):
    here.fail(facts_of("simclr")["key"], {"error": "out of memory"})
    assert set(states(take_in(file, here)).values()) == {"imported"}
    assert contents(here) == contents(there)  # the failure is mended, and there are no drafts
    assert [r.facts["phantom"] for r in here.records()].count(True) == 1
    again = take_in(file, here)
    assert set(states(again).values()) == {"here"}
    assert len(again) == 5
    assert contents(here) == contents(there)


def test_the_same_records_give_the_same_bytes(file, there, tmp_path):
    other = Store(tmp_path / "copy")
    take_in(file, other)
    for path in other.root.rglob("*"):
        os.utime(path, (0, 0))
        path.chmod(0o700)
    again = tmp_path / f"again{''.join(file.suffixes)}"
    write(again, [*other.records()][::-1], [other.root / "splits" / SPLIT])
    assert again.read_bytes() == file.read_bytes()
    if file.suffix == ".gz":
        assert file.read_bytes()[3:8] == bytes(5)  # neither a name nor a time


def test_any_tar_program_can_read_it(file, there):
    with tarfile.open(file) as archive:
        entries = archive.getmembers()
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname, e.mode, e.type) for e in entries} == {
        (0, 0, 0, "", "", 0o644, tarfile.REGTYPE)
    }
    names = [e.name for e in entries]
    assert names[0] == "bundle.json"
    assert names[1:] == sorted(contents(there))


def test_bundle_json_says_what_follows(file, there):
    with tarfile.open(file) as archive:
        index = json.load(archive.extractfile("bundle.json"))
    assert (index["bundle"], index["schema"], index["created"]) == (1, 1, "2026-01-01T00:00:00+00:00")
    assert {record["id"] for record in index["records"]} == {record.id for record in there.records()}
    for record in index["records"]:
        for name, told in record["files"].items():
            content = (there.job(record["key"]) / name).read_bytes()
            assert told == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_what_was_left_out_is_made_good_by_a_fuller_bundle(there, here, tmp_path):
    thin, full = tmp_path / "thin.tar", tmp_path / "full.tar"
    left_out = write(thin, [*there.records()], [], {CHECKPOINT, PREDICTIONS})
    assert len(left_out) == 4
    write(full, [*there.records()], [])
    assert set(states(take_in(thin, here)).values()) == {"imported"}
    trained = here.record(facts_of("pre one")["key"])
    with pytest.raises(BenchError, match=r"No such file.*bench run --rerun all --only 'pre one/pretrain/0'"):
        trained.file(CHECKPOINT)
    assert set(states(take_in(full, here)).values()) == {"completed"}
    assert contents(here).items() <= contents(there).items()
    assert trained.file(CHECKPOINT).stat().st_size == 9999 * 7
    assert set(states(take_in(thin, here)).values()) == {"here"}


def test_a_store_without_weights_is_exported_as_it_is(there, here, tmp_path):
    """Boards are published without them."""
    key = facts_of("pre one")["key"]
    (there.job(key) / CHECKPOINT).unlink()
    assert write(tmp_path / "b.tar", [*there.records()], []) == [f"jobs/{key}/{CHECKPOINT}"]
    assert set(states(take_in(tmp_path / "b.tar", here)).values()) == {"imported"}


def test_a_record_gets_no_file_that_it_never_had(there, here, tmp_path):
    facts, scores = facts_of("simclr"), there.job(facts_of("simclr")["key"]) / "scores.csv"
    here.commit(facts, lambda draft: (draft / "scores.csv").write_bytes(scores.read_bytes()))
    write(tmp_path / "b.tar", [there.record(facts["key"])], [])
    assert states(take_in(tmp_path / "b.tar", here)) == {facts["id"]: "here"}
    assert not (here.job(facts["key"]) / PREDICTIONS).exists()


def test_records_from_before_their_files_were_noted(there, here, tmp_path):
    record = there.record(facts_of("simclr")["key"])
    facts = {name: value for name, value in record.facts.items() if name != "files"}
    (record.folder / "record.json").write_text(json.dumps(facts))
    for name, without in (("thin.tar", {PREDICTIONS}), ("full.tar", set())):
        write(tmp_path / name, [there.record(record.key)], [], without)
    assert states(take_in(tmp_path / "thin.tar", here)) == {record.id: "imported"}
    assert states(take_in(tmp_path / "full.tar", here)) == {record.id: "completed"}
    assert contents(here) == {k: v for k, v in contents(there).items() if record.key in k}
    (here.job(record.key) / "scores.csv").write_text("case,metric,value\na,accuracy,0.5\n")
    (outcome,) = take_in(tmp_path / "full.tar", here)
    assert (outcome.state, outcome.why.partition(":")[0]) == ("conflict", "scores.csv")


def test_a_damaged_record_is_not_exported(there, tmp_path):
    record = there.record(facts_of("simclr")["key"])
    (record.folder / "scores.csv").write_text("case,metric,value\n")
    with pytest.raises(BenchError, match=r"scores\.csv: changed since it was written; `bench run --rerun all"):
        write(tmp_path / "b.tar", [*there.records()], [])
    (record.folder / "scores.csv").unlink()
    with pytest.raises(BenchError, match=r"scores\.csv: No such file.*; `bench run --rerun all"):
        write(tmp_path / "b.tar", [*there.records()], [])
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


# -------------------------------------------------------------------------------------- what is here stays


def test_other_scores_or_weights_are_a_conflict_and_the_rest_comes_in(file, there, here):
    commit(here, "simclr", scores="a,accuracy,1.0\nb,accuracy,0.5\n", seconds=9.0)
    commit(here, "pre one", weights=b"others")
    commit(here, "vicreg", started="2025-01-01", seconds=7.0, environment={"torch": "1"})  # facts that may differ
    (here.root / "splits").mkdir()
    (here.root / "splits" / SPLIT).write_text("{}")
    before = contents(here)
    found = {one.id: (one.state, one.why.partition(":")[0]) for one in take_in(file, here)}
    assert found == {
        "simclr/toy/knn/0": ("conflict", "scores.csv"),
        "pre one/pretrain/0": ("conflict", CHECKPOINT),
        "vicreg/toy/knn/0": ("here", ""),
        "drawn/toy/knn/0": ("imported", ""),
        f"splits/{SPLIT}": ("conflict", "other cases than here; kept what is here"),
    }
    after = contents(here)
    assert {name: after[name] for name in before} == before
    assert not [name for name in after if "/." in name]


def test_a_conflict_is_told_by_the_record_though_the_file_was_left_out(there, here, tmp_path):
    write(tmp_path / "thin.tar", [*there.records()], [], {CHECKPOINT})
    commit(here, "pre one", weights=b"others")
    assert states(take_in(tmp_path / "thin.tar", here))["pre one/pretrain/0"] == "conflict"


def test_a_damaged_record_here_is_moved_aside(file, here):
    record = commit(here, "simclr")
    (record.folder / "record.json").write_text("{")
    assert set(states(take_in(file, here)).values()) == {"imported"}
    assert here.record(record.key)
    assert len(list((here.root / "jobs").glob(f".damaged-{record.key}-*"))) == 1


# -------------------------------------------------------------------------------------- damage


def refused(file, here, match):
    """A bundle is refused in one line that names it, its rule and what mends it, and the store is as it was."""
    before = contents(here)
    with pytest.raises(BenchError, match=match) as caught:
        take_in(file, here)
    said = str(caught.value)
    assert said.startswith(f"{file}: ")
    assert said.isprintable()
    assert contents(here) == before
    assert not list((here.root / "jobs").glob(".*"))
    return said


def test_a_bundle_that_is_cut_anywhere_is_refused(file, here, tmp_path):
    whole = file.read_bytes()
    commit(here, "own")
    end = len(whole)
    if file.suffix == ".tar":  # the zeros beyond two blocks of them fill up, and mean nothing
        with tarfile.open(file) as archive:
            end = max(e.offset_data + -(-e.size // 512) * 512 for e in archive.getmembers()) + 1024
    for at in {0, 1, 5, 300, *range(512, end, end // 40), end - 513, end - 1}:
        cut = tmp_path / f"cut{file.suffix}"
        cut.write_bytes(whole[:at])
        said = refused(cut, here, "nothing was imported")
        assert "bench export" in said


def test_it_is_said_where_a_bundle_ends(there, here, tmp_path):
    file, key = tmp_path / "bundle.tar", facts_of("pre one")["key"]
    write(file, [there.record(key)], [])
    with tarfile.open(file) as archive:
        weights = archive.getmember(f"jobs/{key}/{CHECKPOINT}")
    file.write_bytes(file.read_bytes()[: weights.offset_data + 1000])
    refused(file, here, f"{CHECKPOINT}: is cut short")


def test_a_flipped_bit_is_refused(tmp_path, there, here):
    file = tmp_path / "bundle.tar"
    write(file, [*there.records()], [there.root / "splits" / SPLIT])
    whole = file.read_bytes()
    end = whole.rindex(b"}") + 1
    with tarfile.open(file) as archive:  # of the headers what is read: name, size, type, check sum
        starts = [entry.offset for entry in archive.getmembers()]
        content = [at for e in archive.getmembers() for at in (e.offset_data, e.offset_data + e.size // 2)]
    for at in [*content, *(start + field for start in starts for field in (0, 130, 150, 156)), end + 600]:
        bad = bytearray(whole)
        bad[at] ^= 4
        file.write_bytes(bad)
        refused(file, here, "nothing was imported")


def test_a_gzip_whose_check_sum_is_wrong_is_refused(tmp_path, there, here):
    file = tmp_path / "bundle.tar.gz"
    write(file, [*there.records()], [])
    whole = bytearray(file.read_bytes())
    whole[-6] ^= 1
    file.write_bytes(whole)
    refused(file, here, "CRC check failed")


@pytest.mark.parametrize("name", ["none.tar", "folder", "text.tar"])
def test_what_is_no_bundle_is_named(tmp_path, here, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.tar").write_text("hello " * 1000)
    with pytest.raises(BenchError, match=rf"{name}: .*bench export"):
        take_in(tmp_path / name, here)
    assert not here.root.exists()


# -------------------------------------------------------------------------------------- hostile bundles


def forged(there, change=None, *, index=None, headers=None):
    """A bundle with everything about it under our hands: `change` the files, `index` bundle.json, `headers` the tar."""
    files, ids = contents(there), {record.key: record.id for record in there.records()}
    if change:
        change(files)
    by_key = {}
    for name, content in files.items():
        folder, _, file = name.rpartition("/")
        by_key.setdefault(folder, {})[file] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    told = {"bundle": 1, "schema": 1, "bench": "0", "created": "", "splits": by_key.pop("splits", {})}
    told["records"] = [{"key": folder[5:], "id": ids[folder[5:]], "files": listed} for folder, listed in by_key.items()]
    if index:
        index(told)
    members = [("bundle.json", json.dumps(told).encode(), {}), *((name, files[name], {}) for name in sorted(files))]
    if headers:
        members = headers(members)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content, fields in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for field, value in fields.items():
                setattr(entry, field, value)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def refuse(there, here, tmp_path):
    """Forge a bundle, plain and packed, and have it refused."""
    (tmp_path / "victim").write_text("untouched")

    def check(match, **forgery):
        raw = forged(there, **forgery)
        said = []
        for file, content in ((tmp_path / "f.tar", raw), (tmp_path / "f.tar.gz", gzip.compress(raw))):
            file.write_bytes(content)
            said.append(refused(file, here, match))
        assert (tmp_path / "victim").read_text() == "untouched"
        return said[0]

    return check


def test_a_forgery_that_changes_nothing_is_taken(there, here, tmp_path):
    """Else the tests below would prove nothing."""
    (tmp_path / "f.tar").write_bytes(forged(there))
    take_in(tmp_path / "f.tar", here)
    assert contents(here) == contents(there)


OUTSIDE = ("../victim", "jobs/../../victim", "/tmp/victim", "jobs/a/../../../victim", "..", "jobs//victim", "")


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_path_leads_out(refuse, name):
    refuse("is not where it should be", headers=lambda members: [members[0], (name, b"evil", {}), *members[1:]])
    refuse("is not where it should be", headers=lambda members: [*members[:3], (name, *members[3][1:]), *members[4:]])


@pytest.mark.parametrize("name", ["../../victim", "/tmp/victim.json", ".hidden.json", "evil.sh", "a/b.json", "ü.json"])
def test_no_name_in_bundle_json_leads_out(refuse, name):
    def rename(told):
        files = told["records"][0]["files"]
        files[name] = files["record.json"]

    refuse(r"bundle\.json: is not as `bench export` writes it", index=rename)
    refuse(r"bundle\.json: is not as", index=lambda told: told["records"][0].update(key="../" + name))
    if name != "ü.json":
        refuse(r"bundle\.json: is not as", index=lambda told: told["splits"].update({name: told["splits"][SPLIT]}))


@pytest.mark.parametrize(
    "fields",
    [
        {"type": tarfile.SYMTYPE, "linkname": "../../../victim"},
        {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
        *({"type": kind} for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)),
        *({"type": kind} for kind in (tarfile.CONTTYPE, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_SPARSE)),
    ],
)
def test_only_plain_files_are_read(refuse, fields):
    size = {"size": 0} if fields["type"] in (tarfile.SYMTYPE, tarfile.LNKTYPE) else {}
    for at in (0, 2):
        refuse(
            "is no plain file|is not where it should be",
            headers=lambda members, at=at: [
                *members[:at],
                (members[at][0], b"" if size else members[at][1], fields),
                *members[at + 1 :],
            ],
        )


def test_long_names_and_extended_headers_are_never_read(refuse, there, tmp_path, here):
    refuse("is not where it should be", headers=lambda members: [members[0], ("x" * 200, b"", {}), *members[1:]])
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("bundle.json")
        entry.pax_headers = {"comment": "x" * 10**6}
        archive.addfile(entry)
    (tmp_path / "pax.tar").write_bytes(stream.getvalue())
    refused(tmp_path / "pax.tar", here, "is not where it should be")


def test_a_member_too_many_too_few_or_twice(refuse):
    refuse("the end: it holds more than", headers=lambda members: [*members, ("jobs/more.json", b"x", {})])
    refuse("is not where it should be", headers=lambda members: members[:-1])
    refuse("is not where it should be", headers=lambda members: [*members[:3], members[2], *members[3:]])
    refuse("is not where it should be", headers=lambda members: [members[0], *members[:0:-1]])
    refuse("the end: it holds more than", headers=lambda members: [*members, ("z", b"\0" * 2**21, {})])
    refuse("bundle.json: is not as", index=lambda told: told["records"].append(told["records"][0]))


def test_what_is_not_the_bytes_that_were_announced(refuse):
    def swap(members):
        name, content, fields = members[-1]
        return [*members[:-1], (name, content[::-1], fields)]

    refuse("has not the SHA-256", headers=swap)
    refuse("has not the .* bytes", headers=lambda m: [*m[:-1], (m[-1][0], m[-1][1] + b"\0" * 10**6, {})])


def test_what_is_announced_too_large_is_never_unpacked(refuse, tmp_path, here):
    def grow(size):
        return lambda told: told["splits"][SPLIT].update(bytes=size)

    refuse("is longer than 64 MiB", index=grow(10**9))
    refuse("is longer than 64 MiB", index=lambda told: told["records"][0]["files"]["record.json"].update(bytes=10**9))
    refuse(
        r"it: unpacks to .* MB, and there are .* MB free",
        index=lambda told: [
            r["files"].setdefault(CHECKPOINT, {"bytes": 10**18, "sha256": "0" * 64}) for r in told["records"]
        ],
    )
    entry = tarfile.TarInfo("bundle.json")
    entry.size = 2**40
    (tmp_path / "large.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT))
    refused(tmp_path / "large.tar", here, r"bundle\.json: is longer than 64 MiB")
    for size in (-1, 1.5, True, "9", None, 10**400):
        refuse(r"bundle\.json: is not as", index=grow(size))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told.pop("records"),
        lambda told: told.update(records={"a": 1}),
        lambda told: told.update(records=[[]]),
        lambda told: told.update(splits=[]),
        lambda told: told["records"][0].update(id=7),
        lambda told: told["records"][0].update(key=7),
        lambda told: told["records"][0].update(files=[["record.json"]]),
        lambda told: told["records"][0]["files"].pop("record.json"),
        lambda told: told["records"][0]["files"]["record.json"].update(sha256="0"),
    ],
)
def test_a_bundle_json_of_another_shape(refuse, spoil):
    refuse(r"bundle\.json: is not as `bench export` writes it", index=spoil)


@pytest.mark.parametrize("text", [b"", b"[1", b"[]", b"\xff", b"[" * 10**5, b"null"])
def test_a_bundle_json_that_is_none(refuse, text):
    refuse(r"bundle\.json: is not as", headers=lambda members: [("bundle.json", text, {}), *members[1:]])


def test_a_bundle_of_another_version_says_so(there, here, tmp_path):
    for index in ({"bundle": 2}, {"schema": 2}):
        (tmp_path / "f.tar").write_bytes(forged(there, index=lambda told, index=index: told.update(index)))
        with pytest.raises(BenchError, match=r"written by bench 0, as another version.*pip install --upgrade"):
            take_in(tmp_path / "f.tar", here)


def edited(name, edit, *, content=None):
    """Change facts of one record, with every SHA-256 made to fit."""
    key = facts_of(name)["key"]

    def change(files):
        if content is not None:
            files[f"jobs/{key}/scores.csv"] = content
        facts = json.loads(files[f"jobs/{key}/record.json"])
        for file in facts["files"]:
            facts["files"][file] = hashlib.sha256(files.get(f"jobs/{key}/{file}", b"")).hexdigest()
        edit(facts)
        files[f"jobs/{key}/record.json"] = json.dumps(facts).encode()

    return change


UNBELIEVED = {
    "parts of another key": (lambda f: f["parts"].update(seed=1), "is no record of that key"),
    "another key": (lambda f: f.update(key="0" * 32), "is no record of that key"),
    "another schema": (lambda f: f.update(schema=2), "is no record of that key"),
    "an id of another method": (lambda f: f.update(method="vicreg"), "its id is not"),
    "no method": (lambda f: f.pop("method"), "its `method` is missing"),
    "a seed that is no number": (lambda f: f.update(seed="0"), "its `seed` is missing or of another type"),
    "a seed that is true": (lambda f: f.update(seed=True), "its `seed`"),
    "phantoms passed off as real": (lambda f: f.update(phantom=True), "its `phantom` is not what its parts say"),
    "data of another shape": (lambda f: f["data"][0].update(found="all"), "its `data` have no sound `found`"),
    "no data": (lambda f: f.update(data=[]), "no board can be drawn"),
    "data that are a list": (lambda f: f.update(data=[[]]), "its `data`"),
    "another kind": (lambda f: f.update(kind="magic"), "its `kind`"),
    "no primary metric": (lambda f: f.pop("primary"), "no board can be drawn"),
    "a metric it lacks": (lambda f: f.update(primary="dice"), "no scores of its `primary`"),
    "an escape sequence": (lambda f: f.update(notes={"x": "a\x1b[2Jb"}), "control characters"),
    "one in a name": (lambda f: f.update({"\x07": 1}), "control characters"),
    "half a character": (lambda f: f.update(notes=["\ud800"]), "control characters"),
    "no finite number": (lambda f: f.update(seconds=math.inf), "is not as `bench run` writes it"),
    "sites of nobody": (lambda f: f.update(sites={"trained_on": [], "of": {}}), "no board can be drawn"),
    "a digest of another file": (lambda f: f["files"].update({"scores.csv": "0" * 64}), "SHA-256 of scores.csv"),
    "a file it does not vouch for": (lambda f: f["files"].pop(PREDICTIONS), f"SHA-256 of {PREDICTIONS}"),
    "files of names that lead out": (lambda f: f["files"].update({"../x": "0"}), "its `files` are not names"),
    "files that are a list": (lambda f: f.update(files=[]), "its `files` are not names"),
    "classes without detections": (lambda f: f.update(classes=["polyp"]), "comes without detections.csv"),
}


@pytest.mark.parametrize("case", UNBELIEVED)
def test_a_record_that_nobody_wrote_is_not_believed(refuse, case):
    edit, match = UNBELIEVED[case]
    refuse(match, change=edited("simclr", edit))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"case,metric,value\na,accuracy,nan\n", "no finite number"),
        (b"case,metric,value\na,accuracy,one\n", "no board can be drawn from it .scores.csv: damaged"),
        (b"case,metric,value\n", "no scores of its `primary`"),
        (b"\xff", "no board can be drawn"),
    ],
)
def test_scores_of_which_no_board_can_be_drawn(refuse, text, match):
    refuse(match, change=edited("simclr", lambda facts: None, content=text))


def test_real_numbers_cannot_hide_that_they_are_of_phantoms(there, refuse):
    def change(files):
        key = facts_of("drawn", "phantom")["key"]
        facts = json.loads(files[f"jobs/{key}/record.json"])
        files[f"jobs/{key}/record.json"] = json.dumps(facts | {"phantom": False}).encode()

    refuse("its `phantom` is not what its parts say", change=change)


def test_a_record_json_that_nests_without_end(refuse):
    key = facts_of("simclr")["key"]

    def change(files):
        text = files[f"jobs/{key}/record.json"].rstrip()
        files[f"jobs/{key}/record.json"] = text[:-1] + b', "x": ' + b"[" * 10**5 + b"]" * 10**5 + b"}"

    refuse("is not as `bench run` writes it", change=change)


@pytest.mark.parametrize("text", [b"{}", b"[]", b"{", b'{"train": [1], "val": [], "test": []}', b"[" * 10**5])
def test_a_split_that_is_none(refuse, text):
    refuse("is no list of case ids by part", change=lambda files: files.update({f"splits/{SPLIT}": text}))


def test_names_from_elsewhere_are_spelt_out(refuse):
    said = refuse(
        r"evil\\x1b\[2J\\n is there", headers=lambda members: [members[0], ("evil\x1b[2J\n", b"", {}), *members[1:]]
    )
    assert "\x1b" not in said


def test_a_disk_that_fills_up_leaves_nothing_behind(file, here, monkeypatch):
    def full(bundle, member, *_, **__):
        raise OSError(28, "No space left on device", member.name)

    monkeypatch.setattr(intake, "_unpack", full)
    with pytest.raises(BenchError, match=r"No space left on device; once that is mended, the same `bench import`"):
        take_in(file, here)
    assert contents(here) == {}
    assert not list((here.root / "jobs").glob("*"))


def test_a_bundle_is_read_from_front_to_back(file):
    """So it may come through a pipe, and no member is looked for."""
    with reading(file) as bundle:
        for offer in bundle.offers:
            for member in offer.members:
                bundle.take(member)
        with pytest.raises(BenchError, match="holds more than"):
            bundle.end()
    assert format.VERSION == 1
