"""Weighted boxes fusion against its definition written out in whole numbers, and what must hold of it."""

import random
from dataclasses import astuple, replace
from fractions import Fraction

import pytest

from bench.data.fusion import fuse, overlap
from bench.spec import Box


def box(label, *edges, **more):
    return Box(label, *map(float, edges), **more)


def edges(one):
    return astuple(one)[1:5]


def slow_overlap(one, other):
    """Intersection over union of whole numbers, exactly: an axis at a time."""
    cut = [max(Fraction(0), min(one[i + 2], other[i + 2]) - max(one[i], other[i])) for i in (0, 1)]
    areas = [(of[2] - of[0]) * (of[3] - of[1]) for of in (one, other)]
    return cut[0] * cut[1] / (sum(areas) - cut[0] * cut[1])


def slow(boxes, least):
    """Section 3 of the paper with all confidences 1: lists of clusters and of the boxes fused of them, box by box."""
    clusters, fused = [], []
    for one in boxes:
        this = [Fraction(edge) for edge in edges(one)]
        found, best = None, Fraction(least)
        for number, (label, mean) in enumerate(fused):
            if label == one.label and slow_overlap(this, mean) > best:
                found, best = number, slow_overlap(this, mean)
        if found is None:
            clusters.append([])
            fused.append(None)
            found = len(clusters) - 1
        clusters[found].append(this)
        fused[found] = one.label, [sum(of) / len(clusters[found]) for of in zip(*clusters[found], strict=True)]
    return fused


def scattered(draws, count):
    """Boxes of two classes around a few places, so that many overlap, a little or a lot."""
    places = [(draws.randrange(60), draws.randrange(60)) for _ in range(3)]
    made = []
    for _ in range(count):
        left, top = (edge + draws.randrange(6) for edge in draws.choice(places))
        made.append(box(draws.randrange(2), left, top, left + draws.randrange(9, 17), top + draws.randrange(9, 17)))
    return made


@pytest.mark.parametrize("least", ["0", "0.2003", "0.5003", "0.6503"])
def test_it_is_what_its_definition_says(least):
    draws, joined, moved = random.Random(0), 0, 0
    for _ in range(150):
        boxes = scattered(draws, draws.randrange(12))
        found, wanted = fuse(boxes, float(least)), slow(boxes, least)
        assert [one.label for one in found] == [label for label, _ in wanted]
        for one, (_, mean) in zip(found, wanted, strict=True):
            assert edges(one) == pytest.approx([float(edge) for edge in mean], abs=1e-9)
        joined += len(found) < len(boxes)
        moved += any(edges(one) not in map(edges, boxes) for one in found)
    assert (joined > 20, moved > 20) == (True, True)


def test_three_raters_make_one_box_that_is_their_mean():
    given = [box(3, 0, 0, 10, 10, rater="R8", place="a:2"), box(3, 1, 2, 11, 12, rater="R9"), box(3, 2, 1, 12, 14)]
    assert fuse(given) == (box(3, 1, 1, 11, 12),)
    assert fuse(given)[0].place == "a:2"  # for messages


def test_classes_stay_apart_and_a_box_alone_is_as_it_was():
    given = [box(label, 1, 2, 11, 12) for label in (2, 0, 1)]
    assert fuse(given) == tuple(given)
    assert fuse([]) == ()
    assert fuse([box(1, 0.1, 0.2, 0.3, 0.7, rater="R8")]) == (box(1, 0.1, 0.2, 0.3, 0.7),)


def test_boxes_come_in_the_order_in_which_they_are_first_seen():
    a, b, c = box(0, 0, 0, 10, 10), box(1, 0, 0, 10, 10), box(0, 50, 50, 60, 60)
    assert fuse([c, a, b, a, c]) == (c, a, b)
    assert fuse([b, a, a, c]) == (b, a, c)


def test_an_overlap_must_exceed_the_least():
    one, other = box(0, 0, 0, 10, 10), box(0, 0, 5, 10, 15)  # a third
    assert overlap(one, other) == pytest.approx(1 / 3)
    assert len(fuse([one, other], overlap(one, other))) == 2
    assert len(fuse([one, other], overlap(one, other) - 1e-9)) == 1
    assert len(fuse([one, box(0, 10, 0, 20, 10)], 0.0)) == 2  # side by side
    assert len(fuse([one, box(0, 9.9, 0, 20, 10)], 0.0)) == 1


def test_a_box_joins_the_fused_one_that_it_overlaps_most_and_of_equals_the_first():
    first, second = box(0, 0, 0, 10, 10), box(0, 12, 0, 22, 10)
    assert len(fuse([first, second])) == 2
    assert [len(set(edges(one)) & {0.0}) for one in fuse([first, second, box(0, 5, 0, 17, 10)], 0.1)] == [1, 1]
    assert fuse([first, second, box(0, 6, 0, 16, 10)], 0.1) == (box(0, 3, 0, 13, 10), second)
    assert fuse([first, second, box(0, 7, 0, 17, 10)], 0.1) == (first, box(0, 9.5, 0, 19.5, 10))


def test_overlaps_are_symmetric_shares_that_do_not_depend_on_the_unit():
    draws = random.Random(1)
    for _ in range(300):
        one, other = scattered(draws, 2)
        share = overlap(one, other)
        assert 0 <= share <= 1
        assert share == overlap(other, one) == pytest.approx(float(slow_overlap(*map(exact, (one, other)))))
        assert overlap(one, one) == 1
        scaled = [
            replace(of, **{k: 3 * getattr(of, k) for k in ("left", "top", "right", "bottom")}) for of in (one, other)
        ]
        assert overlap(*scaled) == pytest.approx(share)


def exact(one):
    return [Fraction(edge) for edge in edges(one)]
