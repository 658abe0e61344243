"""How often a 95 % interval of average precision holds what it is for, in a simulation with known truth.

A population of 20 000 images stands for all; samples of it are test sets. Interpolated average precision is too high on
small test sets, and a resample, in which images come twice, has still more of that: so percentiles are compared with
bias-corrected ones (Efron & Tibshirani 1993, section 14.3), which boards show.

    python benchmarks/detection_coverage.py
"""

import numpy as np

from bench.detections import Found, collect
from bench.stats import corrected, percentiles

POPULATION, SAMPLES, RESAMPLES = 20_000, 200, 500
METRICS = ("map50", "map", "froc")


def image(rng, false):
    """What a middling detector finds in an image of up to two objects, with some `false` positives; and the truth."""
    objects = rng.integers(0, 3)
    truth = boxes_at(rng, objects)
    hit, twin = rng.random(objects) < 0.8, rng.random(objects) < 0.3
    near = np.concatenate(
        [truth[hit] + rng.normal(0, 12, (hit.sum(), 4)), truth[twin] + rng.normal(0, 25, (twin.sum(), 4))]
    )
    boxes = np.concatenate([near, boxes_at(rng, rng.poisson(false))])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    scores = [rng.beta(4, 2, hit.sum()), rng.beta(2, 3, twin.sum()), rng.beta(1.5, 4, len(boxes) - len(near))]
    return Found(boxes, np.concatenate(scores), np.zeros(len(boxes), np.int64)), (truth, np.zeros(objects, np.int64))


def boxes_at(rng, count):
    corners = rng.uniform(0, 400, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(40, 150, (count, 2))], axis=1)


def detections(rng, count, false):
    found, truth = zip(*(image(rng, false) for _ in range(count)), strict=True)
    return collect([str(n) for n in range(count)], ["object"], found, truth)


def main():
    rng = np.random.default_rng(0)
    for false in (1, 6):
        truth = {metric: detections(rng, POPULATION, false).value(metric) for metric in METRICS}
        for count in (50, 200):
            held = {metric: np.zeros(2) for metric in METRICS}
            mean = dict.fromkeys(METRICS, 0.0)
            for _ in range(SAMPLES):
                sample = detections(rng, count, false)
                for metric in METRICS:
                    value, drawn = sample.value(metric), sample.resampled(metric, resamples=RESAMPLES)
                    mean[metric] += value / SAMPLES
                    for number, (low, high) in enumerate((percentiles(drawn), corrected(drawn, value))):
                        held[metric][number] += (low <= truth[metric] <= high) / SAMPLES
            for metric in METRICS:
                plain, better = held[metric]
                print(
                    f"{count} images, {false} false positives each, {metric} {truth[metric]:.3f} (mean of samples "
                    f"{mean[metric]:.3f}): percentiles hold it in {plain:.0%}, corrected in {better:.0%}"
                )


if __name__ == "__main__":
    main()
