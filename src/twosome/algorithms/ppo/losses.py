"""PPO's losses (Schulman et al. 2017) as pure functions of tensors, one term per sample.

They return sums that the caller divides by the batch's size, so that a batch scored in several pieces gives exactly the
gradient of the batch scored at once.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from twosome.errors import UserError


def check_base_kl(coefficient: float, has_language_model: bool) -> None:
    """Raise UserError for a weight of `divergence` from a policy before training that the agent does not have."""
    if coefficient and not has_language_model:
        raise UserError(
            f"algorithm.base_kl_coef={coefficient:g}: expected 0 for a baseline without a language model; add "
            f"algorithm.base_kl_coef=0"
        )


class PolicyTerms(NamedTuple):
    """Per sample, (n,): the clipped surrogate loss, the entropy, and two diagnostics without gradient.

    approx_kl: (ratio - 1) - log ratio (Schulman 2020, "Approximating KL divergence"). clipped: 1.0 where the ratio left
    the clip range.
    """

    loss: Tensor
    entropy: Tensor
    approx_kl: Tensor
    clipped: Tensor


def policy_terms(
    log_policy: Tensor, choices: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_coef: float,
    clip_coef_high: float | None = None,
) -> PolicyTerms:  # fmt: skip
    """Terms of the policy loss.

    log_policy: (n, actions) log-probabilities of a decision's actions (absent ones very negative, but finite).
    choices: (n,) which of them was taken. old_logprobs, advantages: (n,). The ratio is clipped to the range from 1 - clip_coef to
    1 + clip_coef_high; None: to 1 + clip_coef.
    """
    logratio = log_policy.gather(1, choices.unsqueeze(1)).squeeze(1) - old_logprobs
    loss, approx_kl, outside = surrogate(logratio, advantages, clip_coef, clip_coef_high)
    return PolicyTerms(loss, entropy(log_policy), approx_kl, outside)


def surrogate(
    logratio: Tensor, advantages: Tensor, clip_coef: float, clip_coef_high: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return loss, approx_kl and clipped, as in PolicyTerms, of ratios in any shape, which is that of advantages."""
    high = clip_coef if clip_coef_high is None else clip_coef_high
    ratio = logratio.exp()
    loss = torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip_coef, 1 + high))
    with torch.no_grad():
        approx_kl = (ratio - 1) - logratio
        outside = ((ratio < 1 - clip_coef) | (ratio > 1 + high)).to(ratio.dtype)
    return loss, approx_kl, outside


def entropy(log_policy: Tensor) -> Tensor:
    """Return the entropy of each decision's policy, (n,), in nats. log_policy: (n, actions), as in `policy_terms`."""
    return -(log_policy.exp() * log_policy).sum(dim=1)


def divergence(log_policy: Tensor, log_base: Tensor) -> Tensor:
    """KL(policy || base) of each decision, (n,), in nats. log_policy, log_base: (n, actions), as in `policy_terms`."""
    return (log_policy.exp() * (log_policy - log_base)).sum(dim=1)


def value_terms(values: Tensor, old_values: Tensor, returns: Tensor, clip_coef: float, clip_vloss: bool) -> Tensor:
    """Half the squared error of each value, (n,); with clip_vloss the worse of it and of the value clipped to within
    clip_coef of old_values (OpenAI baselines' PPO2)."""
    loss = (values - returns) ** 2
    if clip_vloss:
        clipped = old_values + (values - old_values).clamp(-clip_coef, clip_coef)
        loss = torch.maximum(loss, (clipped - returns) ** 2)
    return 0.5 * loss


def pairwise_value_terms(values: Tensor, old_values: Tensor, returns: Tensor, clip_coef: float, clip_vloss: bool) -> Tensor:
    """Return the mean of each value's terms with all n samples in place of its own, (m,): what GLAM's code (Carta et al. 2023)
    minimises. values: (m,). old_values, returns: (n,), of a minibatch that holds the m samples."""
    return value_terms(values.unsqueeze(1), old_values, returns, clip_coef, clip_vloss).mean(dim=1)


def normalize(advantages: Tensor) -> Tensor:
    """Advantages with mean 0 and standard deviation 1; a single one, or equal ones, become 0."""
    if advantages.numel() < 2:
        return torch.zeros_like(advantages)
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def clipped(advantages: Tensor, most: float | None) -> Tensor:
    """Return advantages clipped to within most of 0; None clips none."""
    return advantages if most is None else advantages.clamp(-most, most)


def explained_variance(values: Tensor, returns: Tensor) -> float:
    """1 - Var(returns - values) / Var(returns): 1 for a perfect critic, 0 for a constant one; 0 if all returns are equal."""
    variance = returns.var().item() if len(returns) > 1 else 0.0
    return 0.0 if variance == 0 else 1 - (returns - values).var().item() / variance
