"""Independent, named streams of random numbers, all from one seed (numpy's SeedSequence)."""

import numpy as np


def stream(seed: int, name: str) -> np.random.SeedSequence:
    """The stream with this name; streams of another name or seed are independent of it.

    seed: from 0 to 2**32 - 1, of a run or of an evaluation.
    """
    return np.random.SeedSequence(seed, spawn_key=tuple(name.encode()))


def number(seed: int, name: str) -> int:
    """The seed of a stream, from 0 to 2**64 - 1, for generators that take a number, such as torch.Generator's manual_seed."""
    return int(stream(seed, name).generate_state(1, np.uint64)[0])
