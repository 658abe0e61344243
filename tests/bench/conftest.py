"""What tests share: images with objects and what a middling detector finds in them; intervals by plain loops."""

import numpy as np
import pytest
from scipy.stats import norm, t

from bench.detections import Found

CLASSES = ("lung nodule", "mass", "rib_fracture", "effusion")


@pytest.fixture
def scenes():
    """`scenes(seed)` gives what is found in each image, and its truth.

    Of the four classes the last has no object; `silent` ones are never found. Some images have no object, some no
    detection; `crowd` detections more, of class 0, lie in the first. Scores are distinct, or `tied` in tenths.
    """

    def draw(seed, images=12, *, silent=(), crowd=0, tied=False):
        generator = np.random.default_rng(seed)
        pairs = [_image(generator, crowd if n == 0 else 0, empty=n % 5 == 3, blind=n % 5 == 4) for n in range(images)]
        boxes, labels, truth = zip(*pairs, strict=True)
        count = sum(map(len, labels))
        scores = generator.integers(1, 10, count) / 10 if tied else (1 + generator.permutation(count)) / (1 + count)
        parted = np.split(scores, np.cumsum([len(of) for of in labels])[:-1])
        kept = [~np.isin(of, silent) for of in labels]
        found = [Found(b[k], s[k], c[k]) for b, s, c, k in zip(boxes, parted, labels, kept, strict=True)]
        return found, list(truth)

    return draw


def _image(generator, crowd, *, empty, blind):
    objects = 0 if empty else int(generator.integers(1, 6))
    corners = generator.uniform(0, 60, (objects, 2))
    truth = np.concatenate([corners, corners + generator.uniform(8, 30, (objects, 2))], 1).astype(np.float32)
    own = generator.integers(0, 3, objects)
    seen = generator.random(2 * objects) < 0.6  # some objects twice
    near = (np.tile(truth, (2, 1)) + generator.normal(0, 1.5, (2 * objects, 4)))[seen]
    far = generator.uniform(0, 50, (3 + crowd, 2))
    far = np.concatenate([far, far + generator.uniform(5, 40, (3 + crowd, 2))], 1)
    others = np.concatenate([generator.integers(0, 4, 3), np.zeros(crowd, np.int64)])
    boxes, labels = np.concatenate([near, far]).astype(np.float32), np.concatenate([np.tile(own, 2)[seen], others])
    return (boxes[:0], labels[:0], (truth, own)) if blind else (boxes, labels, (truth, own))


# ---------------------------------------------------------------------------------------------- means over seeds


@pytest.fixture(scope="session")
def squares():
    """`squares(values)`: variances of the mean of (seeds, cases) by the sums of Searle et al. 1992, section 4.2.

    They are those that seeds and cases give, each with the rest in it and its degrees of freedom; of one seed only
    cases count.
    """

    def by_loops(values):
        seeds, cases = np.shape(values)
        whole = sum(values[s][c] for s in range(seeds) for c in range(cases)) / seeds / cases
        rows = [sum(values[s][c] for c in range(cases)) / cases for s in range(seeds)]
        columns = [sum(values[s][c] for s in range(seeds)) / seeds for c in range(cases)]
        of_cases = seeds * sum((m - whole) ** 2 for m in columns) / (cases - 1)
        if seeds == 1:
            return (0.0, of_cases / cases), (0, cases - 1)
        of_seeds = cases * sum((m - whole) ** 2 for m in rows) / (seeds - 1)
        return (of_seeds / seeds / cases, of_cases / seeds / cases), (seeds - 1, cases - 1)

    return by_loops


@pytest.fixture(scope="session")
def recipe():
    """`recipe(mean, drawn, squares, free)`: the interval that `bench.crossed` says, from other random numbers.

    `drawn` are resampled means; `squares` and `free` as the fixture of that name gives; `biased` as in the package.
    """

    def ends(mean, drawn, squares, free, *, level=0.95, biased=False):
        seeds, cases = squares
        if seeds + cases == 0:
            return mean, mean
        freedom = sum(squares) ** 2 / sum(one**2 / of for one, of in zip(squares, free, strict=True) if one)
        many = np.tile(drawn, max(1, 40_000 // len(drawn)))
        noise = np.random.default_rng(99).normal(0, seeds**0.5, len(many))
        found = mean + (many - mean) * (cases / drawn.var()) ** 0.5 + noise
        shares = np.array([(1 - level) / 2, (1 + level) / 2])
        if biased:
            shares = norm.cdf(2 * norm.ppf((found < mean).mean()) + norm.ppf(shares))
        wider = t.ppf((1 + level) / 2, freedom) / norm.ppf((1 + level) / 2)
        return tuple(mean + wider * (np.quantile(found, shares) - mean))

    return ends
