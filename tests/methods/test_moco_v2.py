"""MoCo v2's loss against a slow loop of the paper's equation 1, its queue of keys and its key encoder by hand."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.checks import small, views_of
from bench.registry import discover

PLUGIN = discover().get("method", "moco_v2", where="tests")


def ready_for(images, **settings):
    """The method in double precision with a teacher that is not its student, before its first step."""
    method = PLUGIN.load()(small(PLUGIN).encoder, **dict(PLUGIN.load().info.small) | settings)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in method.teacher.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    method.begin(images)
    return method.double().eval()


def pictures_of(method, name, batch):
    return [replace(view, images=view.images.double()) for view in views_of(method, name, batch)]


def units(encoder, head, view):
    """Projections at unit length, as lists."""
    with torch.no_grad():
        rows = head(encoder(view.images).pooled).tolist()
    return [[x / math.hypot(*row) for x in row] for row in rows]


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def info_nce(queries, keys, queue, temperature):
    """The mean of eq. 1 of He et al. over the queries: the key of the same image against those of the queue."""
    losses = []
    for query, key in zip(queries, keys, strict=True):
        likeness = [math.exp(dot(query, other) / temperature) for other in [key, *queue]]
        losses.append(-math.log(likeness[0] / sum(likeness)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.07, 0.2])
def test_the_loss_is_equation_1(temperature):
    method = ready_for(48, temperature=temperature)
    method.queue.rows = F.normalize(torch.randn_like(method.queue.rows), dim=1)
    views, queue = pictures_of(method, "equation", 5), method.queue.rows.tolist()
    found = method.loss(views)
    queries = units(method.encoder, method.head, views[0])
    keys = units(method.teacher.encoder, method.teacher.head, views[1])
    assert len(queue) == 12
    assert found.item() == pytest.approx(info_nce(queries, keys, queue, temperature), rel=1e-5)


def test_nothing_but_the_query_encoder_learns():
    method = ready_for(48)
    method.loss(pictures_of(method, "gradient", 4)).backward()
    assert all(weight.grad is None for weight in method.teacher.parameters())
    assert all(weight.grad is not None for weight in [*method.encoder.parameters(), *method.head.parameters()])


def test_the_queue_holds_the_last_keys_and_is_asked_before_it_takes_more():
    """Five places and batches of three: the second batch meets the keys of the first and pushes one of them out."""
    method = ready_for(20)
    one, two = (pictures_of(method, name, 3) for name in ("one", "two"))
    a, b = (units(method.teacher.encoder, method.teacher.head, views[1]) for views in (one, two))
    random = method.queue.rows.tolist()
    assert [math.hypot(*key) for key in random] == pytest.approx([1.0] * 5)
    method.loss(one)
    torch.testing.assert_close(method.queue.rows.tolist(), [*a, *random[:2]])
    found = method.loss(two)
    queries = units(method.encoder, method.head, two[0])
    assert found.item() == pytest.approx(info_nce(queries, b, [*a, *random[:2]], 0.2), rel=1e-5)
    torch.testing.assert_close(method.queue.rows.tolist(), [*b, *a[:2]])
    assert "queue.rows" in method.state_dict()


def test_a_batch_larger_than_the_queue_fills_it():
    method = ready_for(16)
    views = pictures_of(method, "large", 6)
    method.loss(views)
    keys = units(method.teacher.encoder, method.teacher.head, views[1])
    torch.testing.assert_close(method.queue.rows.tolist(), keys[:4])


@pytest.mark.parametrize(("images", "kept"), [(3, 1), (16, 4), (127, 31), (128, 32), (1000, 32)])
def test_the_queue_is_never_more_than_a_quarter_of_the_corpus(images, kept):
    method = ready_for(images)
    assert method.queue.rows.shape == (kept, 8)
    assert method.loss(pictures_of(method, "size", 2)).isfinite()


def test_the_key_encoder_follows_the_query_encoder_at_a_fixed_momentum():
    method = ready_for(16, momentum=0.9)
    for module, value in ((method.encoder, 2.0), (method.head, 3.0), (method.teacher, 1.0)):
        for weight in module.parameters():
            nn.init.constant_(weight, value)
    for progress, wanted in ((0.1, (1.1, 1.2)), (1.0, (1.19, 1.38))):
        method.after_step(progress)
        for module, value in zip((method.teacher.encoder, method.teacher.head), wanted, strict=True):
            assert all(torch.allclose(w, torch.full_like(w, value)) for w in module.parameters())


def test_defaults_are_the_papers():
    assert PLUGIN.settings == {"temperature": 0.2, "queue": 65536, "momentum": 0.999, "dim": 128}
    assert small(PLUGIN).head.layers[0].out_features == 2048
