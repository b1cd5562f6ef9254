"""What the tests of agents share that are drawn without a language model."""

from collections.abc import Callable

import torch

from twosome.agents.agent import Agent


def assert_drawn_from_the_seed(agent: Callable[[int], Agent], constant: tuple[str, ...] = ()) -> None:
    """Assert that weights depend on the seed alone. agent: makes one. constant: endings of the names of weights not drawn."""
    before = torch.get_rng_state()
    first = agent(7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, other = agent(7), agent(8)
    for name, weight in first.named_parameters():
        assert torch.equal(weight, second.get_parameter(name))
        assert torch.equal(weight, other.get_parameter(name)) == name.endswith(constant)
