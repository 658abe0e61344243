"""LVM-Med's loss assembled again from its parts, one graph and one pair of nodes at a time; and its settings."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity

from bench.checks import small, views_of
from bench.encoders.timm import TimmEncoder
from bench.matching import solve
from bench.matching.affinity import local_affinity, positions
from bench.matching.graphs import nearest_neighbours
from bench.registry import discover

PLUGIN = discover().get("method", "lvm_med", where="tests")


def build(**settings):
    method = small(PLUGIN)
    return PLUGIN.load()(method.encoder, **dict(method.info.small) | settings)


def local_views(views, size=16):
    """The views again, at half the size: local crops have another map."""
    return [replace(view, images=view.images[..., :size, :size]) for view in views]


def affinities(method, one, other):
    """Vertex affinities of two views that are one graph each, by eq. 3 and plain loops."""
    encoded = [method.encoder(view.images) for view in (one, other)]
    nodes = []
    for features in encoded:
        z = method.projector(features.pooled)[None]
        nodes.append(method.messages(z, nearest_neighbours(z, method.neighbours))[0])
    maps = [features.maps[-1].flatten(2).mT for features in encoded]
    at = [
        positions(view.boxes, view.flips, *features.maps[-1].shape[2:])
        for view, features in zip((one, other), encoded, strict=True)
    ]
    n = len(nodes[0])
    vertex = torch.empty(n, n)
    for i in range(n):
        for a in range(n):
            near = local_affinity(maps[0][i], maps[1][a], at[0][i], at[1][a], gamma=0.4, mix="equation")
            vertex[i, a] = 0.8 * cosine_similarity(nodes[0][i], nodes[1][a], dim=0) + 0.2 * near
    return vertex


def test_without_edges_and_noise_the_loss_counts_the_errors_of_a_linear_assignment():
    method = build(second_order=False, noise="none").eval()
    views = views_of(method, "assignment", 4)
    with torch.no_grad():
        vertex = affinities(method, *views)
        wrong = int(
            (
                solve(vertex[None], vertex.new_empty(1, 0, 0), *[torch.empty(1, 0, 2).long()] * 2)[0] != torch.arange(4)
            ).sum()
        )
        assert method.loss(views).item() == 2 * wrong


def test_the_gradient_of_an_untrained_head_is_that_of_the_affinities_of_wrong_and_true_pairs():
    method = build(second_order=False, noise="none", lambda_=50.0).eval()
    for seed in range(20):
        views = views_of(method, f"gradient {seed}", 4)
        vertex = affinities(method, *views)
        none = torch.empty(1, 0, 2).long()
        found = solve(vertex.detach()[None], vertex.new_empty(1, 0, 0), none, none)[0]
        if (found != torch.arange(4)).any():
            break
    else:
        pytest.fail("no views were matched wrongly")
    weight = method.projector[0].weight
    surrogate = (vertex[torch.arange(4), found].sum() - vertex.diagonal().sum()) / 50
    (expected,) = torch.autograd.grad(surrogate, weight)
    (given,) = torch.autograd.grad(method.loss(views), weight)
    torch.testing.assert_close(given, expected, rtol=1e-3, atol=1e-7)
    assert expected.abs().max() > 0


def test_local_affinities_have_a_gradient_of_their_own():
    """With alpha 0 nothing but the maps is compared, and they learn all the same."""
    method = build(alpha=0.0, second_order=False, temperature=1.0)
    method.loss(views_of(method, "local", 8)).backward()
    stem = next(method.encoder.parameters())
    assert stem.grad.abs().max() > 0
    assert method.projector[0].weight.grad is None or method.projector[0].weight.grad.abs().max() == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"second_order": False},
        {"local": "none"},
        {"local": "pseudo_code"},
        {"noise": "margin"},
        {"noise": "none"},
        {"message_passing": "none"},
        {"message_passing": "equation"},
        {"message_passing": "node_weight"},
        {"batch_norm": False},
        {"samples": 3},
        {"graph_size": 16},
        {"neighbours": 40},
    ],
    ids=str,
)
def test_every_ablation_learns(settings):
    method = build(**settings, **({} if "noise" in settings else {"temperature": 1.0}))
    loss = method.loss(views_of(method, "ablation", 16))
    loss.backward()
    assert torch.isfinite(loss)
    gradients = [p.grad for p in method.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert (loss == 0) == all((g == 0).all() for g in gradients)


@pytest.mark.parametrize("count", [2, 3, 7, 13])
def test_a_batch_that_makes_no_whole_graphs_still_learns(count):
    method = build(temperature=3.0)
    loss = method.loss(views_of(method, "incomplete", count))
    loss.backward()
    assert 0 <= loss.item() <= 2 * min(count, 4)


def test_local_crops_are_matched_with_both_global_ones():
    method = build(noise="none").eval()
    views = views_of(method, "crops", 8)
    with torch.no_grad():
        small_ones = local_views(views)
        pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
        every = [*views, *small_ones]
        losses = [method.loss([every[i], every[j]]).item() for i, j in pairs]
        assert method.loss(every).item() == pytest.approx(sum(losses) / len(losses))


def test_it_logs_what_the_paper_would_plot():
    method = build(noise="none").eval()
    views = views_of(method, "log", 8)
    with torch.no_grad():
        loss = method.loss([views[0], views[0]])
    means = {name: float(total / count) for name, (total, count) in method.logged.items()}
    assert means == {"matching_accuracy": 1.0, "nearest_neighbour_accuracy": 1.0}
    assert loss == 0


def test_noise_follows_the_seed_of_the_step():
    method = build(temperature=1.0).eval()
    views = views_of(method, "seed", 16)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append([p.clone() for p in torch.autograd.grad(method.loss(views), method.projector.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(found[0], found[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(found[0], found[2], strict=True))


def test_a_transformer_is_a_backbone_too():
    encoder = TimmEncoder("vit_tiny_patch16_224", image_size=32)
    method = PLUGIN.load()(encoder, graph_size=4, temperature=1.0)
    assert method.projector[0].weight.shape == (128, 192)
    method.loss(views_of(method, "tokens", 8)).backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


def test_the_last_map_can_be_pooled_as_printed_and_is_then_what_is_projected():
    """SAM's encoder ends in a neck of 256 channels; the paper projects the 768 before it."""
    encoder = TimmEncoder("samvit_base_patch16", image_size=32)
    method = PLUGIN.load()(encoder, pool="map", graph_size=4, temperature=1.0)
    assert (encoder.dim, method.projector[0].in_features) == (256, 768)
    method.loss(views_of(method, "sam", 4)).backward()
    assert encoder.model.patch_embed.proj.weight.grad.abs().max() > 0
    assert encoder.model.neck[0].weight.grad is None


def test_defaults_are_the_papers_where_it_has_them():
    paper = {"dim": 128, "graph_size": 16, "neighbours": 5, "layers": 2, "alpha": 0.8, "lambda_": 80.0}
    assert {name: PLUGIN.settings[name] for name in paper} == paper
    head = PLUGIN.load()(TimmEncoder("resnet50", image_size=32)).projector[0]
    assert (head.in_features, head.out_features) == (2048, 128)
