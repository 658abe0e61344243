"""The loss of a matching and its gradient, against slow loops and brute force over permutations."""

import math
from functools import partial
from itertools import product

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize, one_hot

from bench.matching import solve
from bench.matching.gradient import Problem, gumbel, hamming, improved, joint, matching_loss, objective, perturbed
from bench.matching.solver import certify

EULER = 0.5772156649

pytestmark = pytest.mark.usefixtures("one_thread")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def identity(problem):
    return torch.arange(problem.vertex.shape[1]).expand(problem.vertex.shape[:2])


def shuffled(graphs, n, seed=0):
    return torch.rand(graphs, n, generator=seeded(seed)).argsort(1)


def leaves(problem):
    return problem._replace(vertex=problem.vertex.clone().requires_grad_(), edge=problem.edge.clone().requires_grad_())


def flat(*tensors):
    return torch.cat([x.flatten() for x in tensors]).double()


def gradient_of(problem, loss, scale=1.0):
    """With respect to the affinities, one vector."""
    return flat(*torch.autograd.grad(scale * loss, problem[:2]))


def slow_masks(matching, edges_s, edges_t):
    """v_ia and v_ia v_jb of one graph."""
    nodes = torch.tensor([[float(image == a) for a in range(len(matching))] for image in matching.tolist()])
    edges = [[nodes[i, a] * nodes[j, b] for a, b in edges_t.tolist()] for i, j in edges_s.tolist()]
    return nodes, torch.tensor(edges)


def expected_gradient(problem, found, better, lambda_):
    """(v~ - v_lambda) / lambda on vertices and (v~ v~ - v_lambda v_lambda) / lambda on edges, mean over all."""
    total = [torch.zeros_like(x) for x in problem[:2]]
    samples, graphs, _ = found.shape
    for sample, g in product(range(samples), range(graphs)):
        masks = [slow_masks(m[sample, g], problem.edges_s[g], problem.edges_t[g]) for m in (found, better)]
        for part, v, w in zip(total, *masks, strict=True):
            part[g] += (v - w) / lambda_ / samples / graphs
    return flat(*total)


def test_the_objective_is_that_of_every_permutation_and_its_masks_are_those_of_a_slow_loop(problem, values):
    given = problem(3, 5, k=3)
    every, worth = values(*given)
    for matching, expected in zip(every, worth.T, strict=True):
        assert (objective(given, matching.expand(3, 5)) - expected).abs().max() < 1e-5
    matching = shuffled(3, 5)
    found = joint(matching, *given[2:])
    for g in range(3):
        assert torch.equal(found[g], slow_masks(matching[g], given.edges_s[g], given.edges_t[g])[1])


def test_the_loss_is_the_equation_and_twice_the_number_of_errors():
    found, truth = shuffled(30, 7), shuffled(30, 7, seed=1)
    v, true = one_hot(found, 7), one_hot(truth, 7)
    assert torch.equal(hamming(found, truth), (v * (1 - true) + true * (1 - v)).sum((1, 2)).float())
    assert torch.equal(hamming(found.view(5, 6, 7), truth[:6]).flatten()[:6], hamming(found[:6], truth[:6]))
    assert hamming(truth, truth).max() == 0


def test_the_greatest_value_has_the_gradient_of_the_objective_at_its_matching(problem, values, exact):
    noisy = perturbed(problem(1, 6, k=2), torch.arange(6)[None], "gumbel", 1.0, seeded())  # Danskin's theorem
    given, step = leaves(noisy), 1e-3
    entries = noisy.vertex.numel() + noisy.edge.numel()

    def greatest(change):
        batch = [x.double().repeat(entries, *(1,) * (x.dim() - 1)) for x in noisy[:2]]
        vertex, edge = (x + d.view_as(x) for x, d in zip(batch, change.split([36, entries - 36], dim=1), strict=True))
        return values(vertex, edge, *(x.repeat(entries, 1, 1) for x in noisy[2:]))[1].amax(1)

    slope = (greatest(step * torch.eye(entries)) - greatest(-step * torch.eye(entries))) / (2 * step)
    assert (slope - gradient_of(given, objective(given, exact(*noisy)).sum())).abs().max() < 1e-6
    assert slope.abs().sum() >= 6


def test_noise_is_gumbels():
    noise = gumbel(1000, 1000, generator=seeded()).double()
    assert noise.mean().item() == pytest.approx(EULER, abs=0.01)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, rel=0.01)
    for x in (-1.0, 0.0, 1.0, 4.0):
        assert (noise < x).double().mean().item() == pytest.approx(math.exp(-math.exp(-x)), abs=0.002)
    assert noise.isfinite().all()


def test_a_uniform_number_of_zero_gives_finite_noise(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))
    assert gumbel(3, generator=seeded()).isfinite().all()


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_every_affinity_has_noise_of_its_own(problem, temperature):
    given = leaves(problem(300, 8))
    noisy = perturbed(given, identity(given), "gumbel", temperature, seeded())
    assert not noisy.vertex.requires_grad
    assert not noisy.edge.requires_grad
    for a, b in zip(noisy[:2], given[:2], strict=True):
        noise = (a - b.detach()) / temperature
        assert noise.mean().item() == pytest.approx(EULER, abs=0.03)
        assert noise.var().item() == pytest.approx(math.pi**2 / 6, rel=0.05)
        for axis in range(3):
            centred = noise - noise.mean()
            assert (centred * centred.roll(1, axis)).mean().abs() < 0.05
    assert all(a is b for a, b in zip(noisy[2:], given[2:], strict=True))


def test_margin_takes_from_the_true_vertices_and_none_takes_nothing(problem):
    given, truth = problem(3, 5), shuffled(3, 5)
    margin = perturbed(given, truth, "margin", 0.7, seeded())
    assert torch.allclose(margin.vertex, given.vertex - 0.7 * one_hot(truth, 5))
    assert torch.equal(margin.edge, given.edge)
    for a, b in zip(perturbed(given, truth, "none", 0.7, seeded()), given, strict=True):
        assert torch.equal(a, b)


def test_noise_that_is_not_centred_rewards_each_matched_node_and_each_matched_pair_of_edges(problem):
    given = problem(1, 8, k=3, spread=0.1)
    for matching in (identity(given), shuffled(1, 8)):
        pairs = joint(matching, *given[2:]).sum().item()
        drawn = Problem(*(x.repeat(3000, 1, 1) for x in given))
        noisy = perturbed(drawn, identity(drawn), "gumbel", 1.0, seeded())
        bonus = (objective(noisy, matching.expand(3000, 8)) - objective(given, matching)).mean().item()
        assert bonus == pytest.approx(EULER * (8 + pairs), abs=0.5)
        assert pairs >= 20 or not torch.equal(matching, identity(given))  # so that graphs alike win by their edges


@pytest.mark.parametrize("lambda_", [0.1, 3.0, 80.0])
def test_a_better_matching_is_the_one_solved_for_where_nothing_proves_it(problem, exact, lambda_):
    truth, solved = shuffled(200, 5), []
    noisy = perturbed(problem(200, 5, k=2, spread=3.0), truth, "gumbel", 1.0, seeded())

    def counted(*given):
        solved.append(len(given[0]))
        return exact(*given)

    found = improved(noisy, truth, lambda_, counted)
    slope = 1.0 - 2 * one_hot(truth, 5)  # of the Hamming loss
    assert torch.equal(found, exact(noisy.vertex - lambda_ * slope, *noisy[1:]))
    left = 200 - certify(noisy.vertex - lambda_ * slope, *noisy[1:], truth).sum().item()
    assert solved == [left] * (left > 0)  # the number of graphs in each call
    assert {0.1: left > 0, 3.0: 0 < left < 200, 80.0: left == 0}[lambda_]
    assert torch.equal(truth, shuffled(200, 5))


@pytest.mark.parametrize("noise", ["gumbel", "margin", "none"])
@pytest.mark.parametrize("lambda_", [2.0, 80.0])
def test_loss_and_gradient_are_those_of_the_two_matchings(problem, exact, lambda_, noise):
    given, truth = leaves(problem(6, 5, k=2, spread=1.0)), shuffled(6, 5)
    matched = matching_loss(
        given, truth, lambda_=lambda_, noise=noise, samples=4, generator=seeded(), solver=exact, temperature=0.8
    )
    assert matched.matching.shape == matched.better.shape == (4, 6, 5)
    drawn, repeated = Problem(*(x.detach().repeat(4, 1, 1) for x in given)), truth.repeat(4, 1)
    noisy = perturbed(drawn, repeated, noise, 0.8, seeded())
    assert torch.equal(matched.matching.flatten(0, 1), exact(*noisy))
    assert torch.equal(matched.better.flatten(0, 1), improved(noisy, repeated, lambda_, exact))
    assert matched.loss.item() == pytest.approx(2 * (matched.matching != truth).sum().item() / 24, rel=1e-6)
    expected = expected_gradient(given, matched.matching, matched.better, lambda_)
    assert expected.abs().max() > 0
    assert (gradient_of(given, matched.loss) - expected).abs().max() < 1e-6
    if lambda_ == 80:
        assert (matched.better == truth).all()  # so the gradient is that of the perturbed Fenchel-Young loss


def test_a_part_known_by_its_matched_pairs_has_the_gradient_of_one_known_for_all(problem, exact):
    given, truth = leaves(problem(6, 5, k=2, spread=1.0)), shuffled(6, 5)
    part = torch.randn(6, 5, 5, generator=seeded()).requires_grad_()
    options = {"lambda_": 2.0, "samples": 3, "solver": exact}
    whole = matching_loss(given._replace(vertex=given.vertex + part), truth, generator=seeded(), **options)
    split = matching_loss(
        given._replace(vertex=given.vertex + part.detach()),
        truth,
        rest=lambda matching: part.gather(2, matching[..., None]).sum((1, 2)),
        generator=seeded(),
        **options,
    )
    assert split.loss.item() == pytest.approx(whole.loss.item(), rel=1e-6)
    gradients = [torch.autograd.grad(one.loss, (*given[:2], part)) for one in (whole, split)]
    assert gradients[0][2].abs().max() > 0
    assert torch.allclose(flat(*gradients[0]), flat(*gradients[1]), atol=1e-6)


def true_gradient(given, values, seed, samples):
    """Of the mean loss under noise, each entry's own noise integrated: (L with it - without) times Gumbel's density."""
    drawn = Problem(*(x.repeat(samples, 1, 1) for x in given))
    noisy = perturbed(drawn, identity(drawn), "gumbel", 1.0, seeded(seed))
    every, worth = values(*noisy)
    loss = hamming(every, torch.arange(4)).double()
    masks = [flat(*slow_masks(matching, given.edges_s[0], given.edges_t[0])).bool() for matching in every]
    noise = torch.cat([(a - b).flatten(1) for a, b in zip(noisy[:2], drawn[:2], strict=True)], 1).double()
    slopes = []
    for own, uses in zip(noise.T, torch.stack(masks).T, strict=True):
        (with_it, one), (without, other) = worth[:, uses].max(1), worth[:, ~uses].max(1)
        needed = without - (with_it - own)  # the entry is part of the best matching if its noise is greater
        slopes.append(((loss[uses][one] - loss[~uses][other]) * (-needed - (-needed).exp()).exp()).mean())
    return torch.stack(slopes)


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_the_gradient_is_that_of_the_mean_loss_under_noise(problem, values, exact, spread):
    given = leaves(problem(1, 4, k=2, spread=spread, seed=5))
    truth, alike, scale = true_gradient(given, values, 0, 20000), {}, {}
    for lambda_ in (0.1, 0.2, 80.0):
        matched = matching_loss(
            given, identity(given), lambda_=lambda_, samples=20000, generator=seeded(), solver=exact
        )
        found = gradient_of(given, matched.loss)
        alike[lambda_] = cosine_similarity(found, truth, dim=0).item()
        scale[lambda_] = (found @ truth / (truth @ truth)).item()
    assert alike.pop(80.0) > 0.7
    assert min(alike.values()) > 0.99
    assert [scale[lambda_] for lambda_ in alike] == pytest.approx([1, 1], abs=0.1)


@pytest.mark.parametrize("lambda_", [0.2, 80.0])
def test_a_step_against_the_gradient_lowers_the_mean_loss_and_one_along_it_raises_it(problem, exact, lambda_):
    given = leaves(problem(1, 4, k=2, spread=1.0))

    def mean_loss(step, samples=4000):
        moved = given._replace(vertex=given.vertex + step[:16].view(1, 4, 4), edge=given.edge + step[16:].view(1, 8, 8))
        options = {"generator": seeded(1), "solver": exact, "samples": samples, "lambda_": lambda_}
        return matching_loss(moved, identity(given), **options).loss

    still = torch.zeros(80)
    step = 0.5 * normalize(gradient_of(given, mean_loss(still)), dim=0).float()
    assert mean_loss(-step) < mean_loss(still) - 0.2
    assert mean_loss(step) > mean_loss(still) + 0.2


@pytest.mark.parametrize("sign", [1, -1])
def test_free_embeddings_learn_to_be_matched_and_not_to_be(embeddings, pose, sign):
    z = torch.stack(embeddings(8, 16, spread=3.0)).requires_grad_()
    optimizer, noise, right = torch.optim.Adam([z], lr=0.01), seeded(), []
    for _ in range(100):
        given = pose(*normalize(z, dim=-1), 5)
        matched = matching_loss(given, identity(given), generator=noise, solver=partial(solve, iterations=200))
        optimizer.zero_grad()
        (sign * matched.loss).backward()
        optimizer.step()
        right.append((matched.matching == torch.arange(16)).float().mean().item())
    assert right[0] == pytest.approx(0.12, abs=0.06)
    last = sum(right[-10:]) / 10
    assert last >= 0.85 if sign == 1 else last <= 0.05
