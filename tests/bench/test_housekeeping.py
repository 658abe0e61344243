"""What takes space in a store is all told, and only what nothing needs goes: never what a run may be at."""

import json
import os
import shutil
import time

import pytest

from bench import housekeeping as hk
from bench.claims import Holder, born, machine
from bench.housekeeping import Needs, Wish, drop, rows, survey
from bench.keys import digest
from bench.store import Store

OLD = time.time() - 2 * hk.YOUNG
DRAFT = "0123abcd"


def key_of(name):
    return digest({"name": name})


MINE, THEIRS, WAITING, NOBODY = map(key_of, ("mine", "theirs", "waiting", "nobody"))
NEEDS = Needs(frozenset({MINE, WAITING}), frozenset({"toy-aaaaaaaa"}))


def commit(store, name, **facts):
    said = {"id": f"{name}/toy/knn/0", "key": key_of(name), "parts": {"name": name}, "method": name, **facts}
    return store.commit(said, lambda draft: (draft / "scores.csv").write_text("case,metric,value\n"))


def put(path, size=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def age(root):
    for path in [root, *root.rglob("*")]:
        os.utime(path, (OLD, OLD), follow_symlinks=False)


@pytest.fixture
def store(tmp_path):
    """One of everything, of which nothing was touched for two hours."""
    store, root = Store(tmp_path / "runs"), tmp_path / "runs"
    commit(store, "mine")
    commit(store, "theirs")
    for key in (MINE, WAITING, NOBODY):
        put(root / "partial" / key / "state.pt", 1000)
    put(root / "partial" / WAITING / "state.pt.draft")
    for key in (WAITING, NOBODY):
        put(root / "failures" / f"{key}.json")
    for name in (f".{NOBODY}-{DRAFT}", f".dropped-{NOBODY}-{DRAFT}", f".damaged-{NOBODY}-{DRAFT}", f".import-{DRAFT}"):
        put(root / "jobs" / name / "half")
    put(root / "jobs" / "notes.txt")
    put(root / "jobs" / key_of("from a later version") / "record.json")
    put(root / "cache" / "images" / "a.npy", 5000)
    put(root / "cache" / "images" / f".a.npy-{DRAFT}", 300)
    for name in ("toy-aaaaaaaa", "other-bbbbbbbb", ".toy-k_z09xyz"):
        put(root / "phantoms" / name / "image.png", 70)
    for key in (MINE, THEIRS, WAITING, key_of("unheard of")):
        put(root / "logs" / f"{key}.log")
    for name in ("fingerprints.json", f".fingerprints.json-{DRAFT}", "looks.npy", "audits/a.json", "splits/toy-0.json"):
        put(root / name)
    put(root / "mine" / "thesis.tex")
    age(root)
    return store


def named(things):
    return {(thing.what, thing.path.name) for thing in things}


def dropped(store, needs=NEEDS, wish=None):
    return named(thing for thing in survey(store, needs, wish or Wish()) if thing.drop)


GOES = {
    (hk.DONE_WITH, MINE),
    (hk.NOBODYS, NOBODY),
    (hk.FAILED_OTHERS, f"{NOBODY}.json"),
    (hk.DAMAGED, f".damaged-{NOBODY}-{DRAFT}"),
    *((hk.DRAFTS, name) for name in (f".{NOBODY}-{DRAFT}", f".dropped-{NOBODY}-{DRAFT}", f".import-{DRAFT}")),
    *((hk.DRAFTS, name) for name in (f".a.npy-{DRAFT}", f".fingerprints.json-{DRAFT}", ".toy-k_z09xyz")),
    (hk.OLD_PHANTOMS, "other-bbbbbbbb"),
    (hk.OLD_LOGS, f"{key_of('unheard of')}.log"),
}
STAYS = {
    (hk.NEEDED, MINE),
    (hk.OTHERS, THEIRS),
    (hk.UNREAD, "notes.txt"),
    (hk.UNREAD, key_of("from a later version")),
    (hk.GOING_ON, WAITING),
    (hk.FAILED, f"{WAITING}.json"),
    (hk.CACHES, "a.npy"),
    (hk.PHANTOMS, "toy-aaaaaaaa"),
    *((hk.LOGS, f"{key}.log") for key in (MINE, THEIRS, WAITING)),
    *((hk.SMALL, name) for name in ("fingerprints.json", "looks.npy", "a.json", "toy-0.json", "thesis.tex")),
}


def test_everything_is_told_and_only_what_nothing_needs_goes(store):
    assert dropped(store) == GOES
    assert named(survey(store, NEEDS)) == GOES | STAYS
    on_disk = sum(f.lstat().st_size for f in store.root.rglob("*") if f.is_file())
    assert sum(thing.bytes for thing in survey(store, NEEDS)) == on_disk


def test_what_is_dropped_is_gone_and_the_rest_is_as_it_was(store):
    kept = {t.path: t.bytes for t in survey(store, NEEDS) if not t.drop}
    found = survey(store, NEEDS)
    freed, problems = drop(store, found, NEEDS)
    assert problems == []
    assert freed == sum(thing.bytes for thing in found if thing.drop)
    assert {t.path: t.bytes for t in survey(store, NEEDS)} == kept
    assert drop(store, survey(store, NEEDS), NEEDS) == (0, [])


def test_records_of_others_and_caches_go_only_when_asked_for(store):
    assert dropped(store, wish=Wish(records=True)) == GOES | {(hk.OTHERS, THEIRS)}
    assert dropped(store, wish=Wish(caches=True)) == GOES | {(hk.CACHES, "a.npy")}
    drop(store, survey(store, NEEDS, Wish(records=True)), NEEDS, Wish(records=True))
    assert [record.key for record in store.records()] == [MINE]
    assert not list((store.root / "jobs").glob(".*"))


def test_what_was_touched_within_the_hour_stays_unless_it_was_asked_for(store):
    for path in (store.root / "partial" / NOBODY / "state.pt", store.root / "jobs" / f".{NOBODY}-{DRAFT}" / "half"):
        path.touch()  # the file and not its folder
    assert GOES - dropped(store) == {(hk.NOBODYS, NOBODY), (hk.DRAFTS, f".{NOBODY}-{DRAFT}")}
    for path in store.root.rglob("*"):
        os.utime(path, follow_symlinks=False)
    assert dropped(store) == set()
    assert {row["why"] for row in rows(survey(store, NEEDS)) if row["what"] in dict(GOES)} == {
        "touched within the hour"
    }
    assert dropped(store, wish=Wish(True, True)) == {(hk.OTHERS, THEIRS), (hk.CACHES, "a.npy")}


def test_a_job_under_way_keeps_all_that_it_has_and_what_it_may_read(store):
    for key in (MINE, NOBODY, THEIRS, key_of("unheard of")):
        put(store.root / "claims" / f"{key}.json")
    put(store.root / "claims" / f".{NOBODY}.json-{DRAFT}")
    age(store.root)
    of_none = {f".import-{DRAFT}", f".a.npy-{DRAFT}", f".fingerprints.json-{DRAFT}", ".toy-k_z09xyz"}
    assert dropped(store, wish=Wish(True, True)) == {(hk.DRAFTS, name) for name in of_none}


def test_the_claim_of_one_who_is_known_to_be_dead_keeps_nothing(store):
    mine = vars(Holder(id="a", host="here", machine=machine(), pid=os.getpid(), token="t"))
    for born_at, kept in ((born(os.getpid()), True), ("1", False)):
        (store.root / "claims").mkdir(exist_ok=True)
        (store.root / "claims" / f"{NOBODY}.json").write_text(json.dumps({**mine, "born": born_at}))
        age(store.root)
        assert ((hk.NOBODYS, NOBODY) not in dropped(store)) == kept


def test_what_is_claimed_or_gone_since_the_user_was_asked_is_no_problem(store):
    found = survey(store, NEEDS)
    put(store.root / "claims" / f"{NOBODY}.json")
    shutil.rmtree(store.root / "partial" / MINE)
    put(store.root / "jobs" / f".{key_of('new')}-{DRAFT}" / "half")
    age(store.root)
    _, problems = drop(store, found, NEEDS)
    assert problems == []
    assert (store.partial(NOBODY) / "state.pt").exists()
    assert (store.root / "jobs" / f".{key_of('new')}-{DRAFT}").exists()  # the user was not told of it
    assert not (store.root / "jobs" / f".import-{DRAFT}").exists()


def test_a_store_that_changes_while_it_is_walked(store, monkeypatch):
    real = hk._measure

    def vanishing(path):
        if path.name in (NOBODY, "half", "a.npy"):
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(hk, "_measure", vanishing)
    left = named(survey(store, NEEDS))
    assert (hk.NOBODYS, NOBODY) not in left
    assert (hk.CACHES, "a.npy") not in left
    assert (hk.NEEDED, MINE) in left


def test_two_may_drop_the_same_at_once(store, monkeypatch):
    real, tries = shutil.rmtree, []

    def beaten(path, **options):
        if path.name == NOBODY and not tries:
            tries.append(path)
            (path / "state.pt").unlink()
            raise FileNotFoundError(2, "No such file or directory", str(path / "state.pt"))
        real(path, **options)

    monkeypatch.setattr(shutil, "rmtree", beaten)
    assert drop(store, survey(store, NEEDS), NEEDS)[1] == []
    assert tries == [store.partial(NOBODY)]
    assert not store.partial(NOBODY).exists()


def test_no_link_is_followed(store, tmp_path):
    outside = put(tmp_path / "outside" / "precious", 10**6).parent
    commit(Store(tmp_path / "elsewhere"), "linked")
    links = [
        store.root / "partial" / key_of("a"),
        store.root / "partial" / NOBODY / "link",
        store.root / "jobs" / f".{key_of('b')}-{DRAFT}",
        store.root / "phantoms" / "linked-cccccccc",
        store.root / "cache" / "linked",
        store.root / "looks",
    ]
    for link in links:
        link.symlink_to(outside)
    linked = store.root / "jobs" / key_of("linked")
    linked.symlink_to(tmp_path / "elsewhere" / "jobs" / key_of("linked"))
    age(store.root)
    wish = Wish(records=True, caches=True)
    found = survey(store, NEEDS, wish)
    assert max(thing.bytes for thing in found) < 10_000
    assert drop(store, found, NEEDS, wish)[1] == []
    assert not [link for link in links[:-1] if link.is_symlink()]
    assert (outside / "precious").stat().st_size == 10**6
    assert not linked.is_symlink()
    assert Store(tmp_path / "elsewhere").record(key_of("linked"))


@pytest.mark.parametrize("name", ["jobs", "partial", "cache", "phantoms", "failures", "logs", "splits"])
def test_a_part_of_the_store_that_is_a_link_is_left_alone(store, tmp_path, name):
    (store.root / name).rename(tmp_path / name)
    (store.root / name).symlink_to(tmp_path / name)
    before = sorted((tmp_path / name).rglob("*"))
    wish = Wish(records=True, caches=True)
    found = survey(store, NEEDS, wish)
    assert (hk.SMALL, name) in named(found)
    drop(store, found, NEEDS, wish)
    assert sorted((tmp_path / name).rglob("*")) == before


def test_the_store_itself_may_be_a_link(store, tmp_path):
    (tmp_path / "link").symlink_to(store.root)
    assert dropped(Store(tmp_path / "link")) == GOES


def test_no_store_and_an_empty_one_have_nothing(tmp_path):
    assert survey(Store(tmp_path / "none"), NEEDS) == []
    (tmp_path / "jobs").mkdir()
    assert survey(Store(tmp_path), NEEDS) == []


def test_records_of_data_that_are_unplugged_stay_whatever_is_asked(store):
    """Their keys hold the data's content, so while the disk is away no job of the grid asks for them."""
    commit(store, "real", phantom=False, data=[{"name": "toy"}])
    commit(store, "model", phantom=False, data=[{"name": "here"}])
    commit(store, "drawn", phantom=True, data=[{"name": "toy"}])
    age(store.root)
    away = Needs(NEEDS.keys, NEEDS.phantoms, frozenset({"toy", "model"}))
    gone = dropped(store, away, Wish(records=True))
    assert {name for what, name in gone if what == hk.OTHERS} == {THEIRS, key_of("drawn")}
    assert (hk.NOBODYS, NOBODY) not in gone  # a checkpoint may be of those data
    assert (hk.AWAY, key_of("real")) in named(survey(store, away))
    assert (hk.OTHERS, key_of("real")) in dropped(store, NEEDS, Wish(records=True))


def test_what_cannot_be_dropped_is_named_and_stops_nothing_else(store, monkeypatch):
    real = hk._remove

    def refuse(root, thing):
        if thing.path.name == NOBODY:
            raise PermissionError(13, "Permission denied", str(thing.path))
        real(root, thing)

    monkeypatch.setattr(hk, "_remove", refuse)
    freed, problems = drop(store, survey(store, NEEDS), NEEDS)
    assert [problem.partition(";")[0] for problem in problems] == [f"{store.partial(NOBODY)}: Permission denied"]
    assert freed > 0
    assert dropped(store) == {(hk.NOBODYS, NOBODY)}


def test_rows_sum_up_and_are_plain(store):
    found = rows(survey(store, NEEDS))
    assert json.loads(json.dumps(found)) == found
    assert found[0]["what"] == hk.NEEDED
    by_name = {row["what"]: row for row in found}
    assert by_name[hk.CACHES] == {
        **{"what": hk.CACHES, "things": 1, "bytes": 5000, "drop": False},
        "why": "only with --caches",
    }
    assert (by_name[hk.DRAFTS]["things"], by_name[hk.DRAFTS]["drop"]) == (6, True)
