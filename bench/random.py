"""Every random draw has a generator with a name: the same name gives the same draws, in any process and order."""

import hashlib

import torch


def seed_of(*name: object) -> int:
    """A seed in [0, 2^63) from a name such as ("views", seed, step)."""
    text = "/".join(map(str, name)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(*name: object) -> torch.Generator:
    """A CPU generator of that name."""
    return torch.Generator().manual_seed(seed_of(*name))


def seed_library(*name: object) -> None:
    """Seed torch's global generator, from which libraries draw weights and dropout. Only the engine calls this."""
    torch.manual_seed(seed_of(*name))
