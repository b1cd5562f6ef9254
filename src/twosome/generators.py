"""PyTorch's generators of the named streams. (`twosome.seeding` imports no PyTorch, for the environments.)"""

import torch

from twosome import seeding


def of_stream(seed: int, name: str) -> torch.Generator:
    """Return a generator, on the CPU, of the stream with this name; see `twosome.seeding.stream`."""
    return torch.Generator().manual_seed(seeding.number(seed, name))
