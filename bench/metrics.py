"""Values per test case: a mean over cases is the metric, and its interval and tests are made from the same values."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

Array = np.ndarray[Any, np.dtype[Any]]


def classification(probabilities: Float[Array, "n c"], targets: Int[Array, " n"]) -> dict[str, Array]:
    """Per case: `accuracy`, 1 if the likeliest class (the first of equals) is the target, and `log_loss`, nats >= 0."""
    chance = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return {
        "accuracy": (probabilities.argmax(axis=1) == targets).astype(np.float64),
        "log_loss": -np.log(np.clip(chance, np.finfo(np.float32).tiny, 1.0)),
    }
