"""The inner loops of average precision and FROC, compiled: over resamples, overlaps and ranked detections."""

import numpy as np
from jaxtyping import Bool, Float, Int

from bench.compiled import kernel


@kernel
def average_precisions(
    image: Int[np.ndarray, " k"],
    hits: Bool[np.ndarray, "k t"],
    objects: Int[np.ndarray, " r"],
    drawn: Int[np.ndarray, "r n"],
    recalls: Float[np.ndarray, " q"],
) -> Float[np.ndarray, "r t"]:
    """COCO's average precision of one class: the mean over `recalls` of the best precision from there on.

    Detections are ranked, the likeliest first; each counts as often as `drawn` has its image. nan without `objects`.
    """
    k, t = hits.shape
    found = np.full((len(drawn), t), np.nan)
    right, precision = np.empty(k), np.empty(k)
    for r in range(len(drawn)):
        if objects[r] == 0:
            continue
        for column in range(t):
            true, false = 0, 0
            for i in range(k):
                if hits[i, column]:
                    true += drawn[r, image[i]]
                else:
                    false += drawn[r, image[i]]
                right[i] = true / objects[r]
                precision[i] = true / (true + false + 2.0**-52)
            # From the end, the best precision so far holds for the recalls that are not reached before this one.
            total, best, q = 0.0, 0.0, len(recalls) - 1
            while q >= 0 and (k == 0 or recalls[q] > right[k - 1]):
                q -= 1
            for i in range(k - 1, -1, -1):
                best = max(best, precision[i])
                while q >= 0 and (i == 0 or recalls[q] > right[i - 1]):
                    total += best
                    q -= 1
            found[r, column] = total / len(recalls)
    return found


@kernel
def sensitivities(
    image: Int[np.ndarray, " k"],
    hits: Bool[np.ndarray, " k"],
    last: Bool[np.ndarray, " k"],
    objects: Int[np.ndarray, " r"],
    drawn: Int[np.ndarray, "r n"],
    allowed: Float[np.ndarray, " f"],
) -> Float[np.ndarray, "r f"]:
    """The share of objects hit with at most `allowed` false positives on all images together; nan without objects.

    `last` marks the detections of lowest rank among equal scores: a threshold lets all of those through, or none.
    """
    found = np.full((len(drawn), len(allowed)), np.nan)
    for r in range(len(drawn)):
        if objects[r] == 0:
            continue
        found[r] = 0.0
        true, false = 0, 0
        for i in range(len(image)):
            if hits[i]:
                true += drawn[r, image[i]]
            else:
                false += drawn[r, image[i]]
            if last[i]:
                for column in range(len(allowed)):
                    if false <= allowed[column]:
                        found[r, column] = true / objects[r]
    return found
