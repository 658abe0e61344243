"""What tests of detections share: images with objects and what a detector of middling skill finds in them."""

import numpy as np
import pytest

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
