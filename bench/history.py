"""The history of a pretraining: the loss, and what else the method logs, as one mean an epoch.

A step is the mean over its parts, then over the processes, and an epoch the mean over the steps that noted the name.
"""

import itertools
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class History:
    """What was noted, by name: `means` of the finished epochs, and of the epoch under way the steps.

    An epoch in which a name was not noted is nan. `loss` is noted in every step.
    """

    means: dict[str, list[float]] = field(default_factory=dict)
    epoch: dict[str, list[float]] = field(default_factory=dict)
    unread: list[dict[str, Tensor]] = field(default_factory=list)  # by step, still on the device of this process

    def read(self, processes: int) -> list[float]:
        """Take in the steps since the last time, for which the device is waited for once, and give their losses."""
        values = iter(torch.stack([value for noted in self.unread for value in noted.values()]).tolist())
        steps = [{name: next(values) for name in noted} for noted in self.unread]
        self.unread.clear()
        if processes > 1:
            steps = _over_processes(steps, processes)
        for name, value in itertools.chain(*(noted.items() for noted in steps)):
            self.epoch.setdefault(name, []).append(value)
        return [noted["loss"] for noted in steps]

    def note(self, values: dict[str, float]) -> None:
        """Numbers of the epoch as a whole, the same in every process."""
        self.epoch |= {name: [value] for name, value in values.items()}

    def close_epoch(self) -> None:
        """The epoch under way is over: its means."""
        before = len(self.means.get("loss", ()))
        for name in self.epoch:
            self.means.setdefault(name, [math.nan] * before)
        for name, means in self.means.items():
            means.append(_mean(self.epoch[name]) if name in self.epoch else math.nan)
        self.epoch.clear()


def _over_processes(own: list[dict[str, float]], processes: int) -> list[dict[str, float]]:
    """The mean over the processes that noted a name; objects are gathered, for it need not be all of them."""
    each = [own] * processes
    torch.distributed.all_gather_object(each, own)
    return [
        {name: _mean([one[name] for one in noted if name in one]) for name in dict.fromkeys(itertools.chain(*noted))}
        for noted in zip(*each, strict=True)
    ]


def _mean(values: list[float]) -> float:
    """The mean; nan of infinities of both signs, where `fsum` would raise."""
    return sum(values) / len(values)
