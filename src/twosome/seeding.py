"""Independent, named streams of random numbers from one seed (numpy's SeedSequence)."""

import numpy as np


def stream(seed: int, name: str) -> np.random.SeedSequence:
    """Return the stream with this name. Streams of different names or seeds are independent.

    seed: of a run or of an evaluation, from 0 to 2**32 - 1.
    """
    return np.random.SeedSequence(seed, spawn_key=tuple(name.encode()))


def number(seed: int, name: str) -> int:
    """Return the seed of a stream, from 0 to 2**64 - 1, for generators that need an integer, such as torch.Generator."""
    return int(stream(seed, name).generate_state(1, np.uint64)[0])
