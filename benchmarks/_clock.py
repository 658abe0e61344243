"""When a pretraining had done how many steps: its `progress`, which on a GPU waits for what was only asked of it."""

import time

import torch


def warm(device):
    """Steps that are not counted: on a GPU, kernels are loaded and memory is taken in the first few."""
    return 1 if device == "cpu" else 6


def synchronize(device):
    """Wait for a GPU."""
    if device != "cpu":
        torch.cuda.synchronize()


class Clock:
    """Images a second of the `steps` steps after those that are not counted, of batches of `batch` images."""

    def __init__(self, device, batch, steps):
        self.device, self.batch, self.steps = device, batch, steps
        self.times = {}

    def __call__(self, what, done, of):
        step = done // self.batch - warm(self.device)
        if step in (0, self.steps):
            synchronize(self.device)
            self.times[step] = time.perf_counter()

    @property
    def rate(self):
        return self.steps * self.batch / (self.times[self.steps] - self.times[0])


def needed(device, batch, steps):
    """Images of an epoch that has them all, and on a GPU one step more, so that its end is not counted."""
    return (warm(device) + steps + (device != "cpu")) * batch
