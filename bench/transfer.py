"""Small tensors on their way to a GPU, which must not wait for each other."""

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device. To a GPU it goes from pinned memory, so that nothing waits.

    From other memory the program stops until the GPU has done all that it was asked, and the GPU then waits for the
    program: twenty times a view.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
