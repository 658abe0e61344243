"""Affinities against slow loops of their equations in float64, positions against real crops, and what they may cost."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, cosine_similarity
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.matching.affinity import (
    Local,
    edge_affinity,
    local_affinities,
    local_affinity,
    positions,
    vertex_affinity,
)
from bench.matching.graphs import nearest_neighbours
from bench.spec import Views
from bench.views import draw_views

MIXES = ("equation", "pseudo_code")
STILL = Views(flip=0.5, vertical_flip=0.5, jitter_prob=0.0, grey_prob=0.0, blur_prob=0.0)

SHAPES = ((2, 8, 12), (2, 8, 12), (2, 8, 4, 12), (2, 8, 4, 12))

pytestmark = pytest.mark.usefixtures("one_thread")


def random(*shape, seed=0, **options):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **options)


def slow_cosine(a, b):
    a, b = a.double(), b.double()
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()


def test_vertices_are_as_alike_as_the_cosines_of_a_slow_loop():
    z_s, z_t = random(3, 5, 12), 7 * random(3, 4, 12, seed=1)
    found = vertex_affinity(z_s, z_t)
    for g, i, a in torch.cartesian_prod(torch.arange(3), torch.arange(5), torch.arange(4)).tolist():
        assert found[g, i, a] == pytest.approx(slow_cosine(z_s[g, i], z_t[g, a]).item(), abs=1e-6)


def test_edges_are_as_alike_as_the_cosines_of_a_slow_loop():
    z_s, z_t = random(2, 6, 12), random(2, 5, 12, seed=1)
    edges_s, edges_t = nearest_neighbours(z_s, 3), nearest_neighbours(z_t, 2)
    found = edge_affinity(z_s, edges_s, z_t, edges_t)
    assert found.shape == (2, 18, 10)
    for g in range(2):
        for e, (i, j) in enumerate(edges_s[g].tolist()):
            for f, (a, b) in enumerate(edges_t[g].tolist()):
                expected = slow_cosine(z_s[g, i] - z_s[g, j], z_t[g, a] - z_t[g, b])
                assert found[g, e, f] == pytest.approx(expected.item(), abs=1e-5)


def drawn_positions(height, width):
    """Views of an image whose red is 2 y and whose green is x, and where the cells of their maps come from."""
    down, across = 2 * torch.arange(120.0)[:, None].expand(120, 250), torch.arange(250.0).expand(120, 250)
    images = torch.stack([down, across, down]).byte().expand(30, 3, 120, 250)
    views = replace(STILL, global_scale=(0.3, 1.0))
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    for view in draw_views(images, views, 48, **plain, generator=torch.Generator().manual_seed(0)):
        assert len(view.flips.unique(dim=0)) == 4
        cells = adaptive_avg_pool2d(255 * view.images, (height, width)).flatten(2).mT
        source = torch.stack([(cells[..., 0] / 2 + 0.5) / 120, (cells[..., 1] + 0.5) / 250], -1)
        yield positions(view.boxes, view.flips, height, width), source


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 8), (8, 2), (1, 1)])
def test_positions_tell_where_the_pixels_of_a_cell_came_from(height, width):
    for found, source in drawn_positions(height, width):
        assert found.shape == (30, height * width, 2)
        assert (found - source).abs().max() < 0.01


def test_the_nearest_position_is_that_of_the_nearest_pixels():
    (at_s, source_s), (at_t, source_t) = drawn_positions(6, 6)
    nearest = torch.cdist(at_s, at_t).argmin(2)
    pixels = torch.cdist(source_s, source_t)
    assert (pixels.gather(2, nearest[..., None])[..., 0] - pixels.amin(2)).max() < 0.01


def maps(*shape, seed=0):
    """Feature maps and their positions; `shape` ends in positions, channels."""
    return random(*shape, seed=seed), torch.rand(*shape[:-1], 2, generator=torch.Generator().manual_seed(seed + 100))


def slow_way(y_s, y_t, near, gamma):
    """Mean cosine of the gamma nearest pairs of a position and the one nearest to it by `near`, p by q."""
    match = [min(range(len(y_t)), key=lambda q: near[p, q].item()) for p in range(len(y_s))]
    kept = sorted(range(len(y_s)), key=lambda p: near[p, match[p]].item())[: max(1, round(gamma * len(y_s)))]
    return sum(slow_cosine(y_s[p], y_t[match[p]]) for p in kept) / len(kept)


def slow_local(y_s, y_t, at_s, at_t, gamma, mix):
    """c^lo(s, t) + c^lo(t, s) with the two terms of eq. 2 in each; or appendix A's local_cost(s, t)."""
    kinds = [
        torch.stack([torch.stack([(p - q).square().sum() for q in t.double()]) for p in s.double()])
        for s, t in ((at_s, at_t), (y_s, y_t))
    ]
    there = sum(slow_way(y_s, y_t, near, gamma) for near in kinds)
    back = sum(slow_way(y_t, y_s, near.T, gamma) for near in kinds)
    return there + back if mix == "equation" else 0.5 * there


@pytest.mark.parametrize("gamma", [1.0, 0.4, 0.6, 0.01])
@pytest.mark.parametrize("mix", MIXES)
def test_local_affinity_and_its_gradient_are_those_of_a_slow_loop(mix, gamma):
    (y_s, at_s), (y_t, at_t) = maps(5, 6, 10), maps(5, 8, 10, seed=1)
    slow, fast = ([y.clone().requires_grad_() for y in (y_s, y_t)] for _ in range(2))
    expected = torch.stack([slow_local(*one, gamma, mix) for one in zip(*slow, at_s, at_t, strict=True)])
    found = local_affinity(*fast, at_s, at_t, gamma=gamma, mix=mix)
    assert (found - expected).abs().max() < 1e-5
    weights = torch.arange(1.0, 6)
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    for a, b in zip(fast, slow, strict=True):
        assert (a.grad - b.grad).abs().max() < 1e-5 * b.grad.abs().max()


def test_of_positions_the_share_gamma_is_kept_by_how_near_their_matches_are():
    y_s, y_t = torch.eye(4)[None], torch.eye(4)[None] * torch.tensor([1.0, 1.0, -1.0, -1.0])[:, None]
    at_s = torch.tensor([[[0.0, 0], [1, 0], [2, 0], [3, 0]]])
    at_t = at_s + torch.tensor([0.0, 0.1, 0.2, 0.3])[:, None] * torch.tensor([0, 1.0])  # the last are farthest
    for gamma, location in ((0.25, 1.0), (0.5, 1.0), (0.75, 1 / 3), (1.0, 0.0)):
        feature = 1.0 if gamma <= 0.5 else 2 / (4 * gamma)  # the others are nearest to some feature at a right angle
        found = local_affinity(y_s, y_t, at_s, at_t, gamma=gamma, mix="pseudo_code")
        assert found.item() == pytest.approx((location + feature) / 2, abs=1e-6)


def test_equal_maps_are_as_alike_as_can_be():
    y, at = maps(3, 9, 7)
    assert local_affinity(y, 3 * y, at, at, mix="pseudo_code").max() <= 1 + 1e-6
    assert torch.allclose(local_affinity(y, y, at, at), torch.full((3,), 4.0))


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("largest", [1, 300, 2000, 4000, 2**24])
def test_all_pairs_are_those_one_by_one_however_they_are_cut(largest, mix):
    (y_s, at_s), (y_t, at_t) = maps(3, 5, 6, 10), maps(3, 4, 8, 10, seed=1)
    y_s.requires_grad_()
    found = local_affinities(y_s, y_t, at_s, at_t, gamma=0.6, mix=mix, largest=largest)
    assert not found.requires_grad
    ones = [x[:, :, None].expand(-1, -1, 4, -1, -1) for x in (y_s, at_s)]
    others = [x[:, None].expand(-1, 5, -1, -1, -1) for x in (y_t, at_t)]
    expected = local_affinity(ones[0], others[0], ones[1], others[1], gamma=0.6, mix=mix)
    assert found.shape == (3, 5, 4)
    assert (found - expected).abs().max() < 1e-6


@pytest.mark.parametrize("mix", MIXES)
def test_of_matched_pairs_the_sum_is_that_of_all_pairs_and_has_a_gradient(mix):
    (y_s, at_s), (y_t, at_t) = maps(3, 5, 6, 10), maps(3, 5, 8, 10, seed=1)
    y_t.requires_grad_()
    local = Local(y_s, y_t, at_s, at_t, weight=0.3, gamma=0.6, mix=mix)
    matching = torch.rand(3, 5, generator=torch.Generator().manual_seed(2)).argsort(1)
    every, found = local.of_all(), local.of_matched(matching)
    assert (every - 0.3 * local_affinities(y_s, y_t, at_s, at_t, gamma=0.6, mix=mix)).abs().max() < 1e-6
    assert (found - every.gather(2, matching[..., None]).sum((1, 2))).abs().max() < 1e-5
    found[1].backward()
    assert y_t.grad[[0, 2]].abs().max() == 0
    assert (y_t.grad[1].abs().sum((1, 2)) > 0).all()


class Allocations(TorchDispatchMode):
    """The most numbers of float32 in the memory behind any tensor that an operation returns."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [x.untyped_storage().nbytes() // 4 for x in tree_leaves(out) if isinstance(x, Tensor)]
        self.most = max([self.most, *sizes])
        return out


@pytest.mark.parametrize(("graphs", "n", "side", "channels"), [(1, 8, 14, 768), (8, 16, 7, 8)])
def test_all_pairs_of_maps_fit(graphs, n, side, channels):
    (y_s, at_s), (y_t, at_t) = (maps(graphs, n, side**2, channels, seed=seed) for seed in range(2))
    largest = 2**21
    with Allocations() as seen:
        local_affinities(y_s, y_t, at_s, at_t, gamma=0.4, largest=largest)
    assert largest / 2 < seen.most <= largest


def test_matched_pairs_of_maps_have_a_gradient_that_fits():
    (y_s, at_s), (y_t, at_t) = maps(16, 196, 768), maps(16, 196, 768, seed=1)
    y_s.requires_grad_()
    with Allocations() as seen:
        local_affinity(y_s, y_t, at_s, at_t, gamma=0.4).sum().backward()
    assert seen.most <= 16 * 196 * 768
    assert y_s.grad.isfinite().all()


def test_edges_of_200_graphs_fit_in_64_megabytes_with_their_gradient():
    z_s, z_t = random(200, 16, 128, requires_grad=True), random(200, 16, 128, seed=1, requires_grad=True)
    edges_s, edges_t = nearest_neighbours(z_s, 5), nearest_neighbours(z_t, 5)
    with Allocations() as seen:
        edge_affinity(z_s, edges_s, z_t, edges_t).sum().backward()
    assert 4 * seen.most < 64 * 2**20 / 4  # any one tensor, of which a few live at once


def test_vectors_without_a_direction_are_like_nothing_and_have_no_gradient():
    z_s, z_t = random(2, 6, 8), random(2, 6, 8, seed=1)
    z_s[0, 1], z_s[1], z_t[0, 2] = z_s[0, 0], 1.0, 0.0  # a duplicate; a graph that collapsed; nothing at all
    z_s.requires_grad_()
    z_t.requires_grad_()
    edges = torch.tensor([[[0, 1], [1, 0], [2, 3]]] * 2)
    vertex, edge = vertex_affinity(z_s, z_t), edge_affinity(z_s, edges, z_t, edges)
    assert edge[0, :2].abs().max() == 0
    assert edge[1].abs().max() == 0
    assert vertex[0, :, 2].abs().max() == 0
    (vertex.square().sum() + edge.sum()).backward()
    for z in (z_s, z_t):
        assert z.grad.abs().max() < 10
    assert z_t.grad[0, 2].abs().max() < 10


@pytest.mark.parametrize("mix", MIXES)
def test_dead_positions_of_a_map_are_like_nothing_and_have_no_gradient(mix):
    (y_s, at_s), (y_t, at_t) = maps(3, 6, 10), maps(3, 6, 10, seed=1)
    y_s[0, 2:4], y_s[1], y_t[2] = 0.0, 0.0, y_s[2]
    y_s.requires_grad_()
    found = local_affinity(y_s, y_t, at_s, at_t, mix=mix)
    found.sum().backward()
    assert found[1] == 0
    assert found[2].isfinite()
    assert y_s.grad[0, 2:4].abs().max() == y_s.grad[1].abs().max() == 0
    assert 0 < y_s.grad.abs().max() < 10


def test_autocast_changes_nothing():
    z_s, z_t, y_s, y_t = (random(*shape, seed=seed, requires_grad=True) for seed, shape in enumerate(SHAPES))
    edges, at = nearest_neighbours(z_s, 3), torch.rand(2, 8, 4, 2, generator=torch.Generator().manual_seed(0))

    def everything():
        local = [affinity(y_s, y_t, at, at.flip(1), gamma=0.5) for affinity in (local_affinity, local_affinities)]
        return [vertex_affinity(z_s, z_t), edge_affinity(z_s, edges, z_t, edges), *local]

    with torch.autocast("cpu", torch.bfloat16):
        inside = everything()
    for a, b in zip(inside, everything(), strict=True):
        assert a.dtype == torch.float32
        assert (a - b).abs().max() <= 1e-6
    leaves = (z_s, z_t, y_s, y_t)
    gradients = [torch.autograd.grad(sum(x.square().sum() for x in found), leaves) for found in (inside, everything())]
    for a, b in zip(*gradients, strict=True):
        assert (a - b).abs().max() <= 1e-6 * b.abs().max()


def test_what_comes_in_half_precision_is_computed_in_single():
    z = random(2, 8, 12).bfloat16()
    found = vertex_affinity(z, z)
    assert found.dtype == torch.float32
    assert (found - cosine_similarity(z.double()[:, :, None], z.double()[:, None], dim=-1)).abs().max() < 1e-6
