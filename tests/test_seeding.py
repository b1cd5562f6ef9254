"""Named streams: the same for the same name, others for another name or seed."""

import re

import numpy as np
import torch
from checkout import ROOT

from twosome import generators, seeding

NAMES = ("learning", "environments", "model", "value head", "evaluation: actions", "evaluation: environments")


def draws(seed: int, name: str) -> np.ndarray:
    return np.random.default_rng(seeding.stream(seed, name)).standard_normal(2_000)


def test_a_stream_is_the_same_each_time_and_like_no_other():
    every = np.stack([draws(seed, name) for seed in (0, 1, 2**32 - 1) for name in NAMES])
    assert np.array_equal(every[0], draws(0, NAMES[0]))
    others = np.corrcoef(every) - np.eye(len(every))
    assert np.abs(others).max() < 0.1  # of independent streams: 0.02 is a standard deviation


def test_torchs_generators_take_the_numbers():
    numbers = [seeding.number(seed, name) for seed in (0, 1) for name in NAMES]
    assert len(set(numbers)) == len(numbers)
    drawn = [torch.rand(4, generator=generators.of_stream(seed, name)) for seed in (0, 1) for name in NAMES]
    assert torch.equal(drawn[0], torch.rand(4, generator=torch.Generator().manual_seed(numbers[0])))
    assert len({tuple(each.tolist()) for each in drawn}) == len(numbers)


def test_every_generator_of_the_suite_has_a_stream_of_its_own():
    """No bare seeds, and no name twice."""
    names = []
    for path in sorted((ROOT / "src" / "twosome").rglob("*.py")):
        if path.name in ("seeding.py", "generators.py") or "report" in path.parts:  # no part of a run
            continue
        text = path.read_text()
        names += re.findall(r'(?:seeding\.(?:stream|number)|generators\.of_stream)\([\w.]+, "([^"]+)"\)', text)
        for call in re.findall(r"(?:manual_seed|default_rng|SeedSequence)\(([^)]*)\)?", text):
            assert call in ("", "seed") or "seeding." in call, f"{path}: {call}"
    assert len(names) > 12
    assert len(set(names)) == len(names)
