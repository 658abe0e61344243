"""An interval of mAP: 1000 resamples of 1000 images with 14 classes, and what faster-coco-eval takes for one of them.

A user without stored matches would evaluate each resample anew; that time is measured once and multiplied. Images have
up to four objects and as many detections as a detector of Faster R-CNN's kind may give; some are near an object.

    python benchmarks/detection_intervals.py            (--detections 100: as many an image as are ever counted)
"""

import argparse
import time

import numpy as np

from bench.detections import Found, collect
from bench.protocols._coco import average_precision

IMAGES, CLASSES, RESAMPLES = 1000, tuple(f"finding {n}" for n in range(14)), 1000


def drawn(detections):
    """What is found in each image, and its truth."""
    rng = np.random.default_rng(0)
    found, truth = [], []
    for _ in range(IMAGES):
        corners = rng.uniform(0, 400, (detections, 2))
        boxes = np.hstack([corners, corners + rng.uniform(20, 112, (detections, 2))])
        labels, scores = rng.integers(len(CLASSES), size=detections), rng.random(detections)
        objects = rng.integers(5)
        near = boxes[:objects] + rng.normal(0, 4, (objects, 4))
        scores[:objects] = np.sqrt(scores[:objects])
        found.append(Found(boxes, scores, labels))
        truth.append((near, labels[:objects]))
    return found, truth


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--detections", type=int, default=30)
    found, truth = drawn(arguments.parse_args().detections)
    began = time.perf_counter()
    kept = collect([str(n) for n in range(IMAGES)], CLASSES, found, truth)
    print(f"{len(kept.score)} detections matched in {time.perf_counter() - began:.2f} s")
    kept.resampled("map", resamples=2)  # compiled
    for metric in ("map", "map50", "froc"):
        began = time.perf_counter()
        low, high = np.quantile(kept.resampled(metric, resamples=RESAMPLES), (0.025, 0.975))
        taken = time.perf_counter() - began
        print(f"{metric} {kept.value(metric):.4f} [{low:.4f}, {high:.4f}]: {taken:.2f} s for {RESAMPLES} resamples")
    began = time.perf_counter()
    value = average_precision(found, truth, CLASSES)["map"]
    once = time.perf_counter() - began
    print(f"faster-coco-eval: map {value:.4f} in {once:.2f} s, {RESAMPLES} times {RESAMPLES * once:.0f} s; bar 10 s")


if __name__ == "__main__":
    main()
