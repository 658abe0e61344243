"""DeepCluster-v2's loss against a slow loop; its memory, its classes and its k-means by hand."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bench.checks import small, views_of
from bench.modules import spherical_k_means
from bench.registry import discover

PLUGIN = discover().get("method", "deepcluster_v2", where="tests")
IMAGES = 24


def ready_for(images=IMAGES, **settings):
    method = PLUGIN.load()(small(PLUGIN).encoder, **dict(PLUGIN.load().info.small) | settings)
    method.views = replace(method.views, local_crops=2)
    method.begin(images)
    method.double().eval().memory = method.memory.float()  # what is remembered is of single precision
    return method


def pictures_of(method, name, numbers):
    """Views of the images of these numbers in the corpus."""
    found = views_of(method, name, len(numbers))
    return [replace(view, images=view.images.double(), numbers=torch.tensor(numbers)) for view in found]


@torch.no_grad()
def units_of(method, views):
    return [F.normalize(method.head(method.encoder(view.images).pooled), dim=1) for view in views]


def cross_entropy(row, centroids, wanted, temperature=0.1):
    scores = [sum(a * b for a, b in zip(row, c, strict=True)) / temperature for c in centroids]
    return math.log(sum(math.exp(score) for score in scores)) - scores[wanted]


def test_the_loss_is_the_mean_over_heads_and_crops():
    """An image's class is found by its number in the corpus, whatever its place in the batch."""
    method, numbers = ready_for(heads=3), [7, 20, 9, 0]
    torch.manual_seed(0)
    method.centroids.copy_(F.normalize(torch.randn(3, 6, 8), dim=2))
    method.classes.copy_(torch.randint(6, (3, IMAGES)))
    views = pictures_of(method, "equation", numbers)
    terms = [
        cross_entropy(row, method.centroids[head].tolist(), int(method.classes[head, number]))
        for head in range(3)
        for units in units_of(method, views)
        for row, number in zip(units.tolist(), numbers, strict=True)
    ]
    assert len(terms) == 3 * 4 * 4
    assert method.loss(views).item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_the_memory_is_written_at_the_images_numbers_by_the_global_crops():
    method, numbers = ready_for(), [7, 20, 9, 0]
    views = pictures_of(method, "memory", numbers)
    method.loss(views).backward()
    wanted = torch.zeros(2, IMAGES, 8)
    for crop, units in enumerate(units_of(method, views)[:2]):
        wanted[crop, numbers] = units.float()
    torch.testing.assert_close(method.memory, wanted, rtol=1e-6, atol=1e-6)
    assert not method.centroids.requires_grad


def test_before_the_first_epoch_the_memory_is_filled_and_clustered():
    """Each head has the k-means of one crop's memory; the third goes with the first crop again."""
    method = ready_for(heads=3)
    batches = [pictures_of(method, f"batch {i}", list(range(8 * i, 8 * i + 8))) for i in range(3)]
    torch.manual_seed(1)
    method.before_epoch(0, iter(batches))
    for crop in range(2):
        wanted = torch.cat([units_of(method, views)[crop].float() for views in batches])
        torch.testing.assert_close(method.memory[crop], wanted, rtol=1e-6, atol=1e-6)
    torch.manual_seed(1)
    for head, crop in enumerate((0, 1, 0)):
        centroids, classes = spherical_k_means(method.memory[crop], 6, 10)
        torch.testing.assert_close(method.centroids[head].float(), centroids)
        assert torch.equal(method.classes[head], classes)
        best = [max(range(6), key=lambda k, row=row: float(row @ centroids[k])) for row in method.memory[crop]]
        assert method.classes[head].tolist() == best


def test_later_epochs_cluster_what_is_remembered_and_draw_nothing():
    method = ready_for()
    method.memory.copy_(F.normalize(torch.randn(method.memory.shape), dim=2))
    before, images = method.memory.clone(), pictures_of(method, "later", [0, 1])
    drawn = iter([images])
    method.before_epoch(1, drawn)
    assert next(drawn) is images
    assert torch.equal(method.memory, before)
    assert method.classes.unique().numel() > 1
    torch.testing.assert_close(method.centroids.norm(dim=2).float(), torch.ones(2, 6))


def test_images_that_are_not_remembered_are_neither_clustered_nor_asked_for():
    """Such as those that the last batch of an epoch left out, and those left out of the corpus."""
    method = ready_for()
    seen = pictures_of(method, "seen", list(range(20)))
    method.before_epoch(0, iter([seen]))
    assert (method.classes[:, 20:] == -100).all()
    assert (method.classes[:, :20] >= 0).all()
    torch.testing.assert_close(method.centroids.norm(dim=2).float(), torch.ones(2, 6))
    mixed = pictures_of(method, "mixed", [3, 21, 22, 5])
    terms = [
        cross_entropy(units[place].tolist(), method.centroids[head].tolist(), int(method.classes[head, number]))
        for head in range(2)
        for units in units_of(method, mixed)
        for place, number in ((0, 3), (3, 5))
    ]
    assert method.loss(mixed).item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    method.before_epoch(1, iter([]))
    assert (method.classes[:, [21, 22]] >= 0).all()


def test_a_batch_of_images_that_have_no_class_yet_is_not_an_end():
    method = ready_for()
    method.before_epoch(0, iter([pictures_of(method, "seen", list(range(20)))]))
    loss = method.loss(pictures_of(method, "new", [22, 23]))
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize(("images", "clusters"), [(4, 2), (16, 4), (23, 5), (400, 6)])
def test_there_are_never_more_clusters_than_a_quarter_of_the_images(images, clusters):
    assert ready_for(images).centroids.shape == (2, clusters, 8)


def first_rows(seed, count, clusters):
    """The rows that k-means begins at under a seed of torch's generator."""
    torch.manual_seed(seed)
    rows = torch.randperm(count)[:clusters].tolist()
    torch.manual_seed(seed)
    return rows


def test_k_means_finds_three_bundles():
    torch.manual_seed(0)
    bundles = torch.eye(3).repeat_interleave(4, 0)  # rows 0 to 3, 4 to 7, 8 to 11
    units = F.normalize(bundles + 0.1 * torch.randn(12, 3), dim=1)
    seed = next(s for s in range(100) if {row // 4 for row in first_rows(s, 12, 3)} == {0, 1, 2})
    order = [row // 4 for row in first_rows(seed, 12, 3)]
    centroids, classes = spherical_k_means(units, 3, 10)
    assert [order[k] for k in classes.tolist()] == [row // 4 for row in range(12)]
    for k, bundle in enumerate(order):
        mean = units[4 * bundle : 4 * bundle + 4].sum(0)
        torch.testing.assert_close(centroids[k], mean / mean.norm())


def test_an_empty_cluster_stays_where_it_was():
    """Two clusters begin at one vector: all rows go to the first, and the second is left alone."""
    units = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.6, 0.8]])
    seed = next(s for s in range(100) if 3 not in first_rows(s, 4, 2))
    first_rows(seed, 4, 2)
    centroids, classes = spherical_k_means(units, 2, 1)
    mean = torch.tensor([3.6, 0.8])
    torch.testing.assert_close(centroids, torch.stack([mean / mean.norm(), units[0]]))
    assert classes.tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("iterations", [1, 4])
def test_k_means_is_its_slow_loop(iterations):
    torch.manual_seed(2)
    units = F.normalize(torch.randn(40, 5, dtype=torch.float64), dim=1)
    centroids = [units[row].tolist() for row in first_rows(3, 40, 6)]
    rows = units.tolist()

    def nearest():
        return [max(range(6), key=lambda k, r=r: sum(map(float.__mul__, r, centroids[k]))) for r in rows]

    for _ in range(iterations):
        classes = nearest()
        for k in range(6):
            members = [row for row, own in zip(rows, classes, strict=True) if own == k]
            if members:
                total = [sum(column) for column in zip(*members, strict=True)]
                centroids[k] = [x / math.hypot(*total) for x in total]
    found, own = spherical_k_means(units, 6, iterations)
    torch.testing.assert_close(found, torch.tensor(centroids, dtype=torch.float64))
    assert own.tolist() == nearest()


def test_defaults_are_the_papers():
    assert PLUGIN.settings == {"clusters": 3000, "heads": 3, "temperature": 0.1, "dim": 128}
