"""SwAV's loss against a slow loop of the paper's equations 2 to 6; its queue and its prototypes by hand."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bench.checks import small, views_of
from bench.encoders.timm import TimmEncoder
from bench.nn import embed
from bench.random import seed_library
from bench.registry import discover

PLUGIN = discover().get("method", "swav", where="tests")
BATCH = 3


def ready_for(images):
    method = small(PLUGIN)
    method.begin(images)
    method.views = replace(method.views, local_crops=2)
    return method.double().eval()


def pictures_of(method, name, batch=BATCH):
    return [replace(view, images=view.images.double()) for view in views_of(method, name, batch)]


@torch.no_grad()
def units_of(method, views):
    """Embeddings of each view at unit length."""
    return [F.normalize(method.head(method.encoder(view.images).pooled), dim=1) for view in views]


def scores_of(method, units):
    """Products with the prototypes at unit length, as lists."""
    prototypes = method.prototypes.weight.detach()
    return (units @ (prototypes / prototypes.norm(dim=1, keepdim=True)).T).tolist()


def sinkhorn(scores, epsilon=0.05, iterations=3):
    """Codes (a row an image) of eq. 3 to 5: prototypes and images are made even in turn, the images last."""
    codes = [[math.exp(score / epsilon) for score in row] for row in scores]
    for _ in range(iterations):
        columns = [sum(row[k] for row in codes) for k in range(len(codes[0]))]
        codes = [[q / columns[k] for k, q in enumerate(row)] for row in codes]
        codes = [[q / sum(row) for q in row] for row in codes]
    return codes


def cross_entropy(scores, codes, temperature=0.1):
    """Eq. 2, mean over the images."""
    total = 0.0
    for row, code in zip(scores, codes, strict=True):
        log_sum = math.log(sum(math.exp(score / temperature) for score in row))
        total -= sum(q * (score / temperature - log_sum) for q, score in zip(code, row, strict=True))
    return total / len(scores)


def reference(method, views, past=None, epsilon=0.05):
    """Eq. 6 as a mean: each view predicts the codes of each global crop other than itself."""
    units = units_of(method, views)
    scores = [scores_of(method, unit) for unit in units]
    terms = []
    for i in range(2):
        batch = scores[i] if past is None else scores[i] + scores_of(method, past[i])
        codes = sinkhorn(batch, epsilon)[:BATCH]
        terms += [cross_entropy(scores[v], codes) for v in range(len(views)) if v != i]
    return sum(terms) / len(terms)


def test_the_loss_is_swapped_prediction_with_local_crops():
    method = ready_for(64)
    views = pictures_of(method, "equation")
    assert len(views) == 4
    assert method.loss(views).item() == pytest.approx(reference(method, views), rel=1e-5)


def test_codes_have_no_gradient():
    """The gradient is that of the cross-entropies alone, with the codes as numbers."""
    method = ready_for(64)
    views = pictures_of(method, "codes")
    weights = list(method.head.parameters())
    found = torch.autograd.grad(method.loss(views), weights)
    units = [F.normalize(method.head(features.pooled), dim=1) for features in embed(method.encoder, views)]
    scores = [unit @ F.normalize(method.prototypes.weight.detach(), dim=1).T for unit in units]
    codes = [torch.tensor(sinkhorn(scores[i].tolist()), dtype=torch.float64) for i in range(2)]
    terms = [F.cross_entropy(scores[v] / 0.1, codes[i]) for i in range(2) for v in range(4) if v != i]
    wanted = torch.autograd.grad(torch.stack(terms).mean(), weights)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-9)


def test_the_queue_holds_the_newest_first_and_is_used_once_it_is_full():
    """Seven places and batches of three: after two there is room left, after three there is not."""
    method = ready_for(28)
    batches = [pictures_of(method, f"batch {i}") for i in range(4)]
    units = [torch.stack(units_of(method, views)[:2]) for views in batches]
    method.progress = 0.075
    for views in batches[:3]:  # the third meets a queue of six
        assert method.loss(views).item() == pytest.approx(reference(method, views), rel=1e-5)
    wanted = torch.cat([units[2], units[1], units[0][:, :1]], dim=1)
    torch.testing.assert_close(torch.stack(method.queue.rows.chunk(2, dim=1)), wanted)
    found = method.loss(batches[3]).item()
    assert found == pytest.approx(reference(method, batches[3], wanted), rel=1e-5)
    assert found != pytest.approx(reference(method, batches[3]), rel=1e-4)


def test_the_queue_is_filled_early_and_used_late():
    method = ready_for(12)
    views, more = (pictures_of(method, name) for name in ("early", "late"))
    method.loss(pictures_of(method, "first"))
    assert method.queue.full
    method.progress = 0.07
    assert method.loss(views).item() == pytest.approx(reference(method, views), rel=1e-5)
    past = method.queue.rows.chunk(2, dim=1)
    method.progress = 0.08
    assert method.loss(more).item() == pytest.approx(reference(method, more, past), rel=1e-5)


@pytest.mark.parametrize(("images", "kept"), [(3, 0), (20, 5), (1000, 16)])
def test_the_queue_is_never_more_than_a_quarter_of_the_corpus(images, kept):
    method = ready_for(images)
    method.progress = 0.9
    assert method.queue.rows.shape == (kept, 2 * 8)
    assert method.loss(pictures_of(method, "size")).isfinite()


def test_prototypes_have_unit_length_whatever_the_optimiser_made_of_them():
    method = ready_for(64)
    views = pictures_of(method, "unit")
    loss = method.loss(views).item()
    with torch.no_grad():
        method.prototypes.weight.mul_(3)
    assert method.loss(views).item() == pytest.approx(loss, rel=1e-9)
    torch.testing.assert_close(method.prototypes.weight.norm(dim=1), torch.ones(12, dtype=torch.float64))


@pytest.mark.parametrize(("progress", "learns"), [(0.0, False), (0.004, False), (0.006, True)])
def test_prototypes_rest_at_first(progress, learns):
    method = ready_for(64)
    method.progress = progress
    method.loss(pictures_of(method, "rest")).backward()
    assert bool(method.prototypes.weight.grad.any()) is learns
    assert method.head.layers[0].weight.grad.any()


def test_epsilon_smooths_the_codes():
    seed_library("check", PLUGIN.name)
    encoder = TimmEncoder("test_resnet", image_size=32)
    method = PLUGIN.load()(encoder, **PLUGIN.load().info.small, epsilon=0.5)
    method.begin(64)
    method = method.double().eval()
    views = pictures_of(method, "epsilon")
    assert method(views).item() == pytest.approx(reference(method, views, epsilon=0.5), abs=1e-6)
    assert method(views).item() != pytest.approx(reference(method, views), abs=1e-4)


def test_defaults_are_the_papers():
    wanted = {"prototypes": 3000, "temperature": 0.1, "queue": 3840, "queue_from": 15 / 200}
    assert PLUGIN.settings == {**wanted, "epsilon": 0.05, "rest": 1 / 200, "dim": 128}
