"""The audit: every scored image that stands in a corpus is a leak, and its case is named."""

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from bench.data.audit import HEADER, Entry, audit
from bench.data.likeness import perceptual_hash


def picture(seed):
    clouds = gaussian_filter(np.random.default_rng(seed).normal(size=(80, 90)), 4)
    return np.uint8(255 * (clouds - clouds.min()) / (clouds.max() - clouds.min()))


def smaller(image):
    return np.asarray(Image.fromarray(image).resize((50, 50)))


def entry(source, case, name, image):
    return Entry(source, case, name, hashlib.sha256(image.tobytes()).hexdigest(), perceptual_hash(image))


@pytest.fixture
def scored():
    return [
        entry("brains", "p1", "b1.png", picture(1)),
        entry("brains", "p2", "b2.png", picture(2)),
        entry("lungs", "p3", "l3.png", picture(3)),
        entry("lungs", "blank", "l4.png", np.zeros((9, 9), np.uint8)),
    ]


def test_an_image_of_the_same_bytes_or_look_is_a_leak_and_its_case_is_named(scored):
    corpus = [
        entry("web", "a", "clean.png", picture(10)),
        entry("web", "b", "copy.png", picture(2)),
        entry("web", "b", "other.png", picture(11)),
        entry("web", "c", "resized.png", smaller(picture(3))),
        entry("web", "d", "mirrored.png", np.ascontiguousarray(picture(1)[:, ::-1])),
    ]
    found = audit(corpus, scored)
    assert [(leak.image, leak.case, leak.source, leak.scored, leak.scored_case, leak.kind) for leak in found.leaks] == [
        ("copy.png", "b", "web", "brains", "p2", "same"),
        ("resized.png", "c", "web", "lungs", "p3", "near"),
        ("mirrored.png", "d", "web", "brains", "p1", "near"),
    ]
    assert found.leaks[0].distance == 0
    assert all(leak.distance <= found.threshold for leak in found.leaks)
    assert found.cases == ("web/b", "web/c", "web/d")
    assert found.looked_at == (5, 4)
    assert [e.name for e in corpus if e.of not in found.cases] == ["clean.png"]


def test_a_case_that_the_same_source_scores_is_named_though_no_image_is_alike(scored):
    corpus = [
        entry("brains", "p2", "another slice.png", picture(20)),
        entry("brains", "p9", "another patient.png", picture(21)),
        entry("web", "p2", "same name, another source.png", picture(22)),
    ]
    found = audit(corpus, scored)
    assert found.leaks == ()
    assert found.cases == ("brains/p2",)


def test_blank_images_are_alike_by_their_bytes_only(scored):
    corpus = [
        entry("web", "a", "black.png", np.zeros((8, 8), np.uint8)),
        entry("web", "b", "the same black.png", np.zeros((9, 9), np.uint8)),
        entry("web", "c", "clouds.png", smaller(picture(1))),
    ]
    found = audit(corpus, scored)
    assert [(leak.image, leak.kind, leak.scored_case) for leak in found.leaks] == [
        ("the same black.png", "same", "blank"),
        ("clouds.png", "near", "p1"),
    ]
    assert found.cases == ("web/b", "web/c")


def test_a_leak_names_the_closest_scored_image_and_the_same_bytes_go_first(scored):
    noisy = np.uint8(picture(1).clip(20, 235) + np.random.default_rng(0).integers(-20, 21, picture(1).shape))
    smooth = smaller(picture(1))
    both = [entry("t", "noisy", "n", noisy), entry("t", "exact", "e", picture(1)), entry("t", "small", "s", smooth)]
    names = {}
    for image in (noisy, smooth, picture(1)):
        (leak,) = audit([entry("web", "a", "a", image)], both).leaks
        names[leak.scored_case] = leak.kind
    assert names == {"noisy": "same", "small": "same", "exact": "same"}
    twice = [*both, entry("u", "exact too", "e", picture(1))]
    assert audit([entry("web", "a", "a", picture(1))], twice).leaks[0].scored_case == "exact"  # of equals the first
    (leak,) = audit([entry("web", "a", "a", np.uint8(picture(1) // 2))], both).leaks
    assert (leak.scored_case, leak.kind) == ("exact", "near")


def test_the_threshold_is_the_callers(scored):
    corpus = [entry("web", "c", "resized.png", smaller(picture(3)) // 3 * 3)]
    (leak,) = audit(corpus, scored).leaks
    assert audit(corpus, scored, threshold=leak.distance).leaks == (leak,)
    assert leak.distance > 0
    assert audit(corpus, scored, threshold=leak.distance - 1).leaks == ()


def test_nothing_is_told_of_nothing(scored):
    for corpus, against in (([], scored), (scored[:1], []), ([], [])):
        found = audit(corpus, against)
        assert (found.leaks, found.cases, found.looked_at) == ((), (), (len(corpus), len(against)))


def test_it_can_be_kept_and_printed_and_is_the_same_each_time(scored):
    corpus = [entry("web", str(seed), f"{seed}.png", smaller(picture(seed))) for seed in range(6)]
    found = audit(corpus, scored)
    assert found == audit(corpus, scored)
    kept = json.loads(json.dumps(found.plain()))
    assert kept["leaks"] == [asdict(leak) for leak in found.leaks]
    assert (kept["cases"], kept["looked_at"]) == (["web/1", "web/2", "web/3"], [6, 4])
    assert kept["threshold"] == found.threshold
    assert [row[HEADER.index("image")] for row in found.rows()] == ["1.png", "2.png", "3.png"]
    assert {len(row) for row in found.rows()} == {len(HEADER)}
