"""What may not change the gradient of a matching: how the loss is scaled, reduced and shared, other random numbers."""

import subprocess
import sys

import pytest
import torch

from bench.matching.gradient import matching_loss

GRAPHS, N = 8, 6

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def learn(embeddings, pose, exact):
    """The gradient with respect to free embeddings, and what was matched."""
    start = torch.stack(embeddings(GRAPHS, N, spread=5.0))

    def run(*, graphs=slice(None), finish=lambda loss: loss, noise="gumbel", seed=0, samples=1):
        z = start[:, graphs].clone().requires_grad_()
        truth, generator = torch.arange(N).expand(z.shape[1], N), torch.Generator().manual_seed(seed)
        options = {"generator": generator, "solver": exact, "noise": noise, "lambda_": 2.0, "samples": samples}
        matched = matching_loss(pose(*z, 3), truth, **options)
        finish(matched.loss).backward()
        return z.grad, matched

    return run


def near(a, b):
    return (a - b).abs().max() < 1e-5 * b.abs().max()


def same(a, b):
    return torch.equal(a.matching, b.matching) and torch.equal(a.better, b.better)


@pytest.mark.parametrize("scale", [1e-3, 7.0, 65536.0])
def test_a_scaled_loss_has_a_scaled_gradient_and_the_same_matchings(learn, scale):
    (plain, one), (scaled, other) = learn(), learn(finish=lambda loss: scale * loss)
    assert same(one, other)
    assert near(scaled / scale, plain)
    truth = torch.arange(N)  # and not because there is nothing to find
    assert (one.better != truth).any()
    assert (one.better != one.matching).any()


def test_a_gradient_scaler_takes_back_what_it_gives(learn):
    (plain, one), scaler = learn(), torch.amp.GradScaler("cpu", init_scale=65536.0)
    gradient, other = learn(finish=scaler.scale)
    leaf = torch.zeros_like(gradient, requires_grad=True)
    leaf.grad = gradient
    scaler.unscale_(torch.optim.SGD([leaf]))
    assert same(one, other)
    assert near(leaf.grad, plain)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_accumulated_over_parts_of_a_batch_the_gradient_is_that_of_the_batch(learn, parts):
    whole, matched = learn(noise="none")
    cuts = [range(GRAPHS)[i : i + GRAPHS // parts] for i in range(0, GRAPHS, GRAPHS // parts)]
    found = [learn(noise="none", graphs=list(cut), finish=lambda loss: loss / parts) for cut in cuts]
    assert near(torch.cat([gradient for gradient, _ in found], 1), whole)
    assert torch.equal(torch.cat([m.better for _, m in found], 1), matched.better)
    assert torch.equal(torch.cat([m.matching for _, m in found], 1), matched.matching)


def test_under_autocast_the_gradient_is_the_same(learn):
    plain, one = learn()
    gradients = []

    def finish(loss):
        assert loss.dtype == torch.float32
        with torch.autocast("cpu", enabled=False):
            loss.backward(retain_graph=True)
        gradients.append(loss.item())
        return 0 * loss

    with torch.autocast("cpu", torch.bfloat16):
        inside, other = learn(finish=finish)
    assert same(one, other)
    assert gradients == [one.loss.item()]
    assert (inside - plain).abs().max() < 1e-6


def test_samples_are_averaged(learn):
    matched = learn(samples=3)[1]
    assert matched.matching.shape == (3, GRAPHS, N)
    assert len({tuple(sample.flatten().tolist()) for sample in matched.matching}) == 3
    errors = 2 * (matched.matching != torch.arange(N)).sum().item()
    assert matched.loss.item() == pytest.approx(errors / 3 / GRAPHS, rel=1e-6)


def test_a_seed_fixes_everything_and_nothing_global_is_touched(learn):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    gradient, matched = learn(seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again, matched_again = learn(seed=3)
    assert same(matched, matched_again)
    assert torch.equal(gradient, again)
    assert not torch.equal(gradient, learn(seed=4)[0])


def test_a_generator_goes_on_where_it_was(problem, exact):
    given, generator = problem(GRAPHS, N), torch.Generator().manual_seed(0)
    truth = torch.arange(N).expand(GRAPHS, N)
    first, second = (matching_loss(given, truth, generator=generator, solver=exact).matching for _ in range(2))
    assert not torch.equal(first, second)


SCRIPT = """
import sys

import torch
from torch import distributed, nn

from bench.matching.affinity import edge_affinity, vertex_affinity
from bench.matching.gradient import Problem, matching_loss
from bench.matching.graphs import nearest_neighbours


def loss(model, rank):
    generator = torch.Generator().manual_seed(rank)
    s, t = model(torch.randn(2, 3, 8, 10, generator=generator))
    edges_s, edges_t = nearest_neighbours(s, 3), nearest_neighbours(t, 3)
    problem = Problem(vertex_affinity(s, t), edge_affinity(s, edges_s, t, edges_t), edges_s, edges_t)
    return matching_loss(problem, torch.arange(8).expand(3, 8), lambda_=2.0, generator=generator).loss


rank = int(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(0)
net = nn.Linear(10, 6)
alone = [torch.autograd.grad(loss(net, rank), net.weight)[0] for rank in range(2)]
distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
shared = nn.parallel.DistributedDataParallel(net)
loss(shared, rank).backward()
distributed.barrier()  # one that leaves while the other still sends can take it down
distributed.destroy_process_group()
wanted = (alone[0] + alone[1]) / 2
assert (alone[0] - alone[1]).abs().max() > 0.1 * wanted.abs().max()
assert (net.weight.grad - wanted).abs().max() < 1e-5 * wanted.abs().max()
"""


def test_two_processes_share_the_mean_of_their_gradients(tmp_path):
    command = [sys.executable, "-c", SCRIPT]
    processes = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "store")], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [process.communicate(timeout=600)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
