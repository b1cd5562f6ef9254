"""Semi-Markov GAE: worked by hand, and at duration 1 the loop that everybody knows."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from twosome.algorithms.rollout import Transitions, semi_markov_gae

GAMMA, LAMBDA = 0.5, 0.5


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def gae(rewards, values, next_values, ends, durations, gamma=GAMMA, gae_lambda=LAMBDA) -> tuple[list, list]:
    """One environment, lists in and out."""
    flags = (torch.tensor(ends).unsqueeze(1), torch.tensor(durations).unsqueeze(1))
    transitions = Transitions(column(*rewards), column(*values), column(*next_values), *flags)
    advantages, returns = semi_markov_gae(transitions, gamma, gae_lambda)
    return advantages.squeeze(1).tolist(), returns.squeeze(1).tolist()


def test_durations_discount_what_follows_and_lambda_counts_decisions() -> None:
    # delta1 = 4 + 0.5^1 * 8 - 2 = 6; delta0 = 1 + 0.5^3 * 2 - 1 = 0.25; A0 = 0.25 + 0.5^3 * 0.5 * 6 = 0.625
    advantages, returns = gae([1, 4], [1, 2], [2, 8], [False, False], [3, 1])
    assert advantages == [0.625, 6]
    assert returns == [1.625, 8]


def test_nothing_flows_back_over_a_terminal_state() -> None:
    # row 1 is terminal: delta1 = 4 + 0 - 2 = 2; row 2 belongs to the next episode: delta2 = 100 + 0.5^2 * 4 - 1 = 100
    # delta0 = 1 + 0.5^2 * 2 - 1 = 0.5; A0 = 0.5 + 0.25 * 0.5 * 2 = 0.75
    advantages, returns = gae([1, 4, 100], [1, 2, 1], [2, 0, 4], [False, True, False], [2, 5, 2])
    assert advantages == [0.75, 2, 100]
    assert returns == [1.75, 4, 101]


def test_a_truncation_is_credited_its_last_observation_but_nothing_after() -> None:
    # row 0 is cut, its last observation worth 16: delta0 = 1 + 0.5^2 * 16 - 1 = 4, whatever row 1 (another episode) is
    advantages, returns = gae([1, 100], [1, 1], [16, 0], [True, False], [2, 1])
    assert advantages == [4, 99]
    assert returns == [5, 100]


def cleanrl_gae(rewards, values, dones, next_value, next_done, gamma, gae_lambda) -> tuple[Tensor, Tensor]:
    """CleanRL's ppo.py: dones[t] says that the observation at t is an episode's first."""
    advantages, lastgaelam = torch.zeros_like(rewards), 0
    for t in reversed(range(len(rewards))):
        last = t == len(rewards) - 1
        nextnonterminal = 1.0 - (next_done if last else dones[t + 1])
        nextvalues = next_value if last else values[t + 1]
        delta = rewards[t] + gamma * nextvalues * nextnonterminal - values[t]
        advantages[t] = lastgaelam = delta + gamma * gae_lambda * nextnonterminal * lastgaelam
    return advantages, advantages + values


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0, 1), st.floats(0, 1))
def test_at_duration_one_it_is_cleanrls(seed: int, steps: int, gamma: float, gae_lambda: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(2, steps, 3, generator=generator, dtype=torch.float64)
    ends = torch.rand(steps, 3, generator=generator) < 0.3
    last_value = torch.randn(3, generator=generator, dtype=torch.float64)
    begins = torch.cat([torch.zeros(1, 3), ends.double()])
    expected = cleanrl_gae(rewards, values, begins[:-1], last_value, begins[-1], gamma, gae_lambda)
    next_values = torch.cat([values[1:], last_value.unsqueeze(0)]) * ~ends
    durations = torch.ones_like(ends, dtype=torch.long)
    found = semi_markov_gae(Transitions(rewards, values, next_values, ends, durations), gamma, gae_lambda)
    torch.testing.assert_close(found, expected)
