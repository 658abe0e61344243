"""Pooling of regions as weighted sums: torchvision's numbers, and its gradients, for every kind of box."""

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign

from bench.protocols._pooling import POINTS, Pooling

SIDE, STRIDES = 128, (4, 8, 16, 32)
BOXES = {
    "small": [[3.0, 5.0, 11.0, 9.5], [100.0, 90.0, 112.0, 120.0]],
    "of every size": [[0.0, 0.0, 16.0, 16.0], [10.0, 20.0, 70.0, 90.0], [0.0, 0.0, 128.0, 128.0]],
    "thin": [[0.0, 64.0, 128.0, 65.0], [31.0, 0.0, 31.5, 128.0]],
    "smaller than a step of the map": [[17.0, 17.0, 17.4, 17.2]],
    "at the far edges": [[127.5, 127.5, 128.0, 128.0], [120.0, 0.0, 128.0, 8.0]],
    "without an area": [[40.0, 40.0, 40.0, 60.0]],
}


def both(boxes, strides=STRIDES, images=2):
    """Values and gradients of torchvision's pooling and of ours, of random maps that lie channels last."""
    torch.manual_seed(0)
    names = [str(number) for number in range(len(strides))]
    given = [torch.randn(images, 6, SIDE // s, SIDE // s).to(memory_format=torch.channels_last) for s in strides]
    library = MultiScaleRoIAlign(names, 7, sampling_ratio=POINTS)
    found = []
    for pool in (library, Pooling(library, strides, 7)):
        maps = [one.clone().requires_grad_() for one in given]
        values = pool(dict(zip(names, maps, strict=True)), boxes, [(SIDE, SIDE)] * images)
        (values * torch.linspace(-1, 1, values.numel()).view_as(values)).sum().backward()
        found.append((values.detach(), [torch.zeros_like(one) if one.grad is None else one.grad for one in maps]))
    return found


@pytest.mark.parametrize("boxes", BOXES.values(), ids=BOXES)
def test_values_and_gradients_are_torchvisions(boxes):
    (wanted, slopes), (found, own) = both([torch.tensor(boxes), torch.tensor(boxes[:1])])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    for one, other in zip(own, slopes, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_many_boxes_at_random_on_maps_that_start_at_stride_8():
    draws = torch.Generator().manual_seed(1)
    ends = torch.rand(2, 60, 2, 2, generator=draws) * SIDE
    boxes = torch.cat([ends.amin(2), ends.amax(2)], dim=2)
    (wanted, slopes), (found, own) = both(list(boxes), strides=(8, 16, 32))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(own[0], slopes[0], atol=1e-4, rtol=1e-4)


def test_an_image_without_regions_is_no_obstacle():
    (wanted, _), (found, _) = both([torch.zeros(0, 4), torch.tensor(BOXES["of every size"])])
    assert len(found) == 3
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_other_devices_are_left_to_the_library():
    class Library(torch.nn.Module):
        def forward(self, maps, regions, sizes):
            return torch.zeros(len(regions[0]), 6, 7, 7)

    maps = {str(n): torch.zeros(1, 6, SIDE // s, SIDE // s, device="meta") for n, s in enumerate(STRIDES)}
    assert Pooling(Library(), STRIDES, 7)(maps, [torch.zeros(5, 4, device="meta")], [(SIDE, SIDE)]).shape[0] == 5
