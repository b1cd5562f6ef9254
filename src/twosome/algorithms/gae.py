"""Advantages of macro-actions that last several primitive steps."""

import torch
from torch import Tensor


def semi_markov_gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    episode_ends: Tensor,
    durations: Tensor,
    gamma: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16) over decisions of unequal length.

    A decision that lasts d primitive steps discounts what follows it by gamma^d (Sutton, Precup & Singh 1999); lambda
    counts decisions, as in TWOSOME. All tensors are (steps, envs).

    rewards: of each decision, discounted inside it. values: V of each decision.
    next_values: V of the decision that followed in the same episode: 0 after a terminal state, V of the last observation
    after a truncation. episode_ends: bool, where no advantage may flow back from the next row.
    durations: primitive steps.

    Returns (advantages, returns); returns = advantages + values.
    """
    discounts = gamma ** durations.to(values.dtype)
    deltas = rewards + discounts * next_values - values
    carry = discounts * gae_lambda * (~episode_ends).to(values.dtype)
    advantages = torch.zeros_like(values)
    following = torch.zeros_like(values[0])
    for step in reversed(range(len(values))):
        following = deltas[step] + carry[step] * following
        advantages[step] = following
    return advantages, advantages + values
