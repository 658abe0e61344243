"""Values of test cases as short text: at most 16 bits each, so that half a million of them fit in a page.

Where a column has few distinct values, as right or wrong has, each is written by its place in their list and nothing
is lost; else its range is cut into equal steps, and a value is off by half a step at most.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

STEPS = 65_535
FEW = 256  # distinct values that a byte tells apart


@dataclass(frozen=True)
class Codes:
    """How the values of a column are written: by their place in `levels`, or as `low` + code times `step`."""

    low: float = 0.0
    step: float = 0.0
    levels: tuple[float, ...] = ()

    def facts(self) -> dict[str, object]:
        """For the script; a column has levels or a step, never both."""
        return {"levels": list(self.levels)} if self.levels else {"low": self.low, "step": self.step}


def codes(each: Sequence[Float[np.ndarray, " _"]]) -> Codes:
    """The codes that suit all of these values together. Raises ValueError where there is none."""
    if not any(map(len, each)):
        raise ValueError("no value to write")
    distinct = np.unique(np.concatenate([np.asarray(values, np.float64) for values in each]))
    if len(distinct) <= FEW:
        return Codes(levels=tuple(distinct.tolist()))
    low, high = float(distinct[0]), float(distinct[-1])
    return Codes(low, max(2 * ((high / 2 - low / 2) / STEPS), float(np.finfo(float).tiny)))  # halves do not overflow


def written(values: Float[np.ndarray, "seeds cases"], of: Codes) -> str:
    """Base64 of unsigned codes, seed after seed: bytes where there are levels, else little-endian 16 bits."""
    if of.levels:
        found = np.searchsorted(np.array(of.levels), np.asarray(values, np.float64)).astype(np.uint8)
    else:
        steps = 2 * ((np.asarray(values, np.float64) / 2 - of.low / 2) / of.step)
        found = np.clip(np.rint(steps), 0, STEPS).astype("<u2")
    return base64.b64encode(found.tobytes()).decode("ascii")
