"""The signs of collapse on matrices whose answer is known, and of an encoder that is left as it was."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.checks import SIZE, pictures
from bench.collapse import effective_rank, probe, resized, signs, spread
from bench.encoders.timm import TimmEncoder


def with_singular_values(*values, rows=9, columns=6):
    torch.manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(n, len(values)))[0] for n in (rows, columns))
    return left * torch.tensor(values) @ right.T


def test_all_embeddings_along_one_line_have_rank_1():
    assert effective_rank(with_singular_values(5.0)) == pytest.approx(1, abs=1e-4)
    assert effective_rank(torch.ones(4, 7)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_orthonormal_embeddings_have_full_rank(scale):
    assert effective_rank(scale * torch.eye(8)) == pytest.approx(8, rel=1e-4)
    assert effective_rank(scale * torch.eye(8)[:3]) == pytest.approx(3, rel=1e-4)


def test_the_rank_is_the_exponential_of_the_entropy():
    """Singular values 3 and 1: shares of 3/4 and 1/4."""
    wanted = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert wanted == pytest.approx(1.7548, abs=1e-4)
    assert effective_rank(with_singular_values(3.0, 1.0)) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("collapsed", [torch.ones(5, 4), torch.zeros(5, 4), torch.tensor([[1.0, 2.0], [2.0, 4.0]])])
def test_one_direction_has_no_spread(collapsed):
    assert spread(collapsed) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_an_isotropic_gaussian_has_a_spread_of_1(scale):
    torch.manual_seed(0)
    assert spread(scale * torch.randn(4096, 16)) == pytest.approx(1, abs=0.02)


def test_the_spread_is_that_of_unit_vectors():
    """Rows along (1, 0) and (0, 1): each feature is 1 and 0, so its deviation is the root of 1/2."""
    assert spread(torch.tensor([[7.0, 0.0], [0.0, 0.2]])) == pytest.approx(math.sqrt(0.5) * math.sqrt(2))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_a_number(value):
    embeddings = torch.randn(4, 3)
    embeddings[2, 1] = value
    assert all(math.isnan(number) for number in signs(embeddings).values())


def test_a_probe_evaluates_whole_images_and_leaves_the_encoder_training():
    encoder = TimmEncoder("test_resnet", image_size=SIZE).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    images = torch.from_numpy(pictures(70))
    state = torch.get_rng_state()
    found = probe(encoder, images, SIZE)
    assert torch.equal(torch.get_rng_state(), state)
    assert encoder.training
    assert all(module.training for module in encoder.modules())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    whole = torch.nn.functional.interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=True)
    with torch.no_grad():
        embeddings = encoder.eval()(encoder.normalise(whole)).pooled
    assert found == {name: pytest.approx(value, rel=1e-4) for name, value in signs(embeddings).items()}
    assert list(found) == ["effective_rank", "embedding_std"]


class NoBytes(TorchDispatchMode):
    """Refuses to resize 8-bit images, as a GPU does."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert "upsample" not in func.__name__ or args[0].dtype != torch.uint8, func
        return func(*args, **(kwargs or {}))


def test_elsewhere_than_on_a_cpu_images_are_resized_as_floats():
    images = torch.from_numpy(pictures(4))
    with NoBytes():
        found = resized(images.to("meta"), 20)
    assert (found.shape, found.dtype) == ((4, 3, 20, 20), torch.uint8)
    rounded = torch.nn.functional.interpolate(images.float(), (20, 20), mode="bilinear", antialias=True).round()
    assert (resized(images, 20) - rounded).abs().max() <= 1
