"""Rows and columns stand where their plug-ins say, and what may have been seen is what their cards say."""

import pytest

from bench.leaderboard.catalogue import FAMILIES, GROUPS, at_sites, family_of, find, group_of, may_have_seen, shipped


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("random_init", "supervised"),
        ("imagenet_supervised", "supervised"),
        ("simclr", "SSL on medical images"),
        ("lvm_med", "SSL on medical images"),
        ("lvm_med_r50", "foundation models"),
        ("sam", "foundation models"),
        ("medsam", "foundation models"),
    ],
)
def test_the_group_of_a_shipped_method(name, group):
    method = find("method", name)
    assert method is not None
    assert group_of(method, pretrained=method.decorator == "ssl_method") == group


def test_what_is_pretrained_here_is_ssl_and_what_nobody_knows_a_foundation_model():
    assert group_of(find("method", "random_init"), pretrained=True) == GROUPS[1]
    assert group_of(None, pretrained=True) == GROUPS[1]
    assert group_of(None, pretrained=False) == GROUPS[2]
    assert find("method", "nobody") is None


@pytest.mark.parametrize(
    ("task", "protocol", "family"),
    [
        ("brain_tumor", "linear", "classification"),
        ("fgadr", "knn", "classification"),
        ("kvasir", "finetune", "2D segmentation"),
        ("brats2018", "finetune", "3D segmentation"),
        ("acdc", "finetune", "3D segmentation"),
        ("kvasir_detection", "detect", "detection"),
        ("kvasir", "prompt", "prompt-based"),
        ("brats2018", "prompt_zero_shot", "prompt-based"),
    ],
)
def test_the_family_of_a_shipped_task(task, protocol, family):
    of = find("task", task)
    assert of is not None
    assert family_of(of, find("protocol", protocol, of.target), "dice") == family


def test_every_shipped_method_and_task_has_a_known_place():
    for method in shipped().all("method"):
        assert group_of(method, pretrained=method.decorator == "ssl_method") in GROUPS
    for task in shipped().all("task"):
        assert family_of(task, None, "dice") in FAMILIES


def test_the_family_of_an_unknown_task_is_its_metric():
    assert family_of(None, None, "dice") == "dice"
    assert family_of(None, find("protocol", "prompt"), "dice") == "prompt-based"


def test_sites_are_out_of_distribution_unless_they_are_prompted():
    assert at_sites("2D segmentation") == "out of distribution"
    assert at_sites("prompt-based") == "prompt-based"


@pytest.mark.parametrize(
    ("method", "seen", "unseen"),
    [
        ("lvm_med_r50", ("kvasir", "brats2018", "isic2018", "vindr"), ("brain_tumor", "fgadr", "drive")),
        ("lvm_med_vit", ("kvasir", "kvasir_detection"), ("brain_tumor",)),
        ("medsam", ("kvasir", "brain_tumor", "of_another"), ()),
        ("biomedclip", ("brain_tumor",), ()),
        ("sam", (), ("kvasir", "brain_tumor")),
        ("simclr", (), ("kvasir",)),
        ("random_init", (), ("kvasir",)),
    ],
)
def test_what_may_have_been_seen(method, seen, unseen):
    plugin = find("method", method)
    assert plugin is not None
    assert all(may_have_seen(plugin, task) for task in seen)
    assert not any(may_have_seen(plugin, task) for task in unseen)
    assert not may_have_seen(None, "kvasir")


def test_what_is_said_to_be_seen_are_names_of_tasks():
    names = {task.name for task in shipped().all("task")}
    for method in shipped().all("method"):
        assert set(method.info.get("may_have_seen") or ()) <= names | {"*"}
