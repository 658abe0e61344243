"""VICRegL's loss against a slow loop of the paper's equations 1 to 3: who is matched with whom, place by place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.checks import SIZE, TOKENS, pictures
from bench.encoders.timm import TimmEncoder
from bench.random import generator
from bench.registry import discover
from bench.views import draw_views

PLUGIN = discover().get("method", "vicregl", where="tests")
BATCH = 4


def build(local_crops=1, **settings):
    """On a transformer of patches of 8 pixels: maps of 4 x 4 for global crops, of 2 x 2 for local ones."""
    torch.manual_seed(0)
    encoder = TimmEncoder(TOKENS, image_size=SIZE)
    method = PLUGIN.load()(encoder, **dict(PLUGIN.load().info.small) | settings).double().eval()
    method.views = replace(method.views, local_crops=local_crops, vertical_flip=0.5)
    return method


def views_of(method, name):
    """Boxes are moved a little off the pixels, so that no cell is as near to one cell as to another."""
    images = torch.from_numpy(pictures(BATCH))
    statistics = {"mean": method.encoder.mean, "std": method.encoder.std}
    views = draw_views(images, method.views, SIZE, **statistics, generator=generator(name), multiple=8)
    noise = torch.rand(len(views), BATCH, 4, generator=generator(name, "boxes"))
    return [
        replace(view, images=view.images.double(), boxes=view.boxes + 0.01 * moved)
        for view, moved in zip(views, noise, strict=True)
    ]


def hinge(x):
    """How far the deviation of each feature over the batch is below 1, on average."""
    return np.maximum(0, 1 - np.sqrt(x.var(0, ddof=1) + 1e-4)).mean()


def off_diagonal(x):
    covariance = np.cov(x.T)
    return ((covariance**2).sum() - (np.diag(covariance) ** 2).sum()) / len(covariance)


def vicreg(x, y):
    """Eq. 2 of matched features (b n d): each of the n is a batch of its own; covariances halved as in the code."""
    total = 25 * ((x - y) ** 2).mean()
    for k in range(x.shape[1]):
        total += 25 * (hinge(x[:, k]) + hinge(y[:, k])) / 2 / x.shape[1]
        total += 0.5 * (off_diagonal(x[:, k]) + off_diagonal(y[:, k])) / x.shape[1]
    return total


def places(view, side):
    """Where each cell's centre lies in the source, row by row."""
    result = []
    for (top, left, height, width), (mirrored, upturned) in zip(view.boxes.tolist(), view.flips.tolist(), strict=True):
        rows = [(r + 0.5) / side for r in range(side)]
        ys = [top + height * (1 - r if upturned else r) for r in rows]
        xs = [left + width * (1 - r if mirrored else r) for r in rows]
        result.append([(y, x) for y in ys for x in xs])
    return np.array(result)


def matched(x, y, at_x, at_y, kept):
    """Each cell of x with the cell of y nearest to it; the `kept` nearest pairs, the nearest first."""
    pairs = []
    for image in range(len(x)):
        found = []
        for p in range(x.shape[1]):
            distances = [np.linalg.norm(at_x[image, p] - at_y[image, q]) for q in range(y.shape[1])]
            found.append((min(distances), p, int(np.argmin(distances))))
        pairs.append([(x[image, p], y[image, q]) for _, p, q in sorted(found)[:kept]])
    return np.array(pairs).transpose(2, 0, 1, 3)


def reference(method, views, alpha):
    """Alpha times the global criterion and the rest the local one, over pairs of a global crop and any other crop."""
    globals_ = method.views.global_crops
    whole, parts, at = [], [], []
    with torch.no_grad():
        for view in views:
            features = method.encoder(view.images)
            whole.append(method.head(features.pooled).numpy())
            parts.append(method.local_head(features.maps[-1].flatten(2).mT).numpy())
            at.append(places(view, features.maps[-1].shape[2]))
    pairs = [(a, b) for a in range(globals_) for b in range(len(views)) if a != b]
    invariance = np.mean([((whole[a] - whole[b]) ** 2).mean() for a, b in pairs])
    image = 25 * invariance + np.mean([25 * hinge(z) + off_diagonal(z) for z in whole])
    local = 0.0
    for a, b in pairs:
        for where in (parts, at):  # nearest by features, nearest by location
            local += 0.5 * vicreg(*matched(parts[a], parts[b], where[a], where[b], 20)) / len(pairs)
            local += 0.5 * vicreg(*matched(parts[b], parts[a], where[b], where[a], 4)) / len(pairs)
    return alpha * image + (1 - alpha) * local


@pytest.mark.parametrize(("alpha", "local_crops"), [(0.75, 1), (0.0, 0), (1.0, 1)])
def test_the_loss_is_equations_1_to_3(alpha, local_crops):
    method = build(alpha=alpha, local_crops=local_crops)
    views = views_of(method, "equation")
    with torch.no_grad():
        found = method.loss(views)
    assert found.shape == ()
    assert found.item() == pytest.approx(reference(method, views, alpha), rel=1e-5)


@pytest.mark.parametrize("field", ["boxes", "flips"])
def test_parts_are_matched_by_where_they_lie(field):
    method = build(alpha=0.0, local_crops=0)
    one, other = views_of(method, "places")
    moved = {"boxes": other.boxes.roll(1, 0), "flips": ~other.flips}
    with torch.no_grad():
        loss, elsewhere = (method.loss([one, o]).item() for o in (other, replace(other, **{field: moved[field]})))
    assert elsewhere != pytest.approx(loss, rel=1e-4)


def test_with_alpha_1_places_do_not_count():
    method = build(alpha=1.0, local_crops=0)
    one, other = views_of(method, "places")
    with torch.no_grad():
        moved = replace(other, boxes=other.boxes.roll(1, 0))
        assert method.loss([one, moved]).item() == method.loss([one, other]).item()


def test_defaults_are_the_papers():
    assert PLUGIN.settings == {"alpha": 0.75, "matches": (20, 4), "dim": 8192}
