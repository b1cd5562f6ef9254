"""One PPO update: the policy's optimiser steps, then the critic's."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from twosome.policies.agent import LearningAgent
from twosome.ppo.config import PPOConfig
from twosome.ppo.finite import check_finite
from twosome.ppo.losses import explained_variance, normalize, policy_terms, value_terms
from twosome.ppo.rollout import Batch

Diagnostics = dict[str, float]


def minibatches(samples: int, parts: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The indices of a shuffled batch in equal parts; a batch in one part is not shuffled."""
    order = torch.randperm(samples, generator=generator) if parts > 1 else torch.arange(samples)
    return iter(order.chunk(parts))


def update_policy(
    agent: LearningAgent, batch: Batch, config: PPOConfig, optimizer: Optimizer, generator: torch.Generator
) -> Diagnostics:
    """Take up to update_epochs passes of optimiser steps, each on gradient_accumulation_steps minibatches.

    A step whose samples have moved beyond target_kl is not taken, and the update ends there. The minibatches of a step are
    scored together, so a decision that several of them hold is computed once.
    """
    steps: list[Diagnostics] = []
    per_step = config.gradient_accumulation_steps
    for _ in range(config.update_epochs):
        parts = list(minibatches(config.batch_size, config.num_minibatches, generator))
        for first in range(0, len(parts), per_step):
            steps.append(policy_gradient(agent, batch, parts[first : first + per_step], config))
            if config.target_kl is not None and steps[-1]["approx_kl"] > config.target_kl:
                optimizer.zero_grad()
                return _mean(steps) | {"policy_steps": len(steps) - 1, "kl_stop": 1}
            steps[-1]["grad_norm"] = float(clip_grad_norm_(agent.actor_parameters(), config.max_grad_norm))
            check_finite(len(steps), **{name: steps[-1][name] for name in ("policy_loss", "approx_kl", "grad_norm")})
            optimizer.step()
            optimizer.zero_grad()
    return _mean(steps) | {"policy_steps": len(steps), "kl_stop": 0}


def policy_gradient(agent: LearningAgent, batch: Batch, parts: list[Tensor], config: PPOConfig) -> Diagnostics:
    """Add the gradient of the policy loss on these minibatches to the parameters' grad; returns means over the samples."""
    advantages = batch.advantages
    chosen = torch.cat(parts)
    if config.norm_adv:
        advantages = torch.empty_like(advantages)
        for part in parts:
            advantages[part] = normalize(batch.advantages[part])
    sums = torch.zeros(4, device=batch.advantages.device)
    for members, log_policy in agent.log_policy_parts([batch.decisions[index] for index in chosen.tolist()]):
        index = chosen[torch.tensor(members)]
        terms = policy_terms(log_policy, batch.choices[index], batch.logprobs[index], advantages[index], config.clip_coef)
        ((terms.loss - config.ent_coef * terms.entropy).sum() / len(chosen)).backward()
        sums += torch.stack([term.detach().sum() for term in terms])
    names = ("policy_loss", "entropy", "approx_kl", "clipfrac")
    return dict(zip(names, (sums / len(chosen)).tolist(), strict=True)) | {"grad_norm": float("nan")}


def update_critic(
    agent: LearningAgent, batch: Batch, config: PPOConfig, optimizer: Optimizer, generator: torch.Generator
) -> Diagnostics:
    """Take value_update_epochs passes of value_num_minibatches optimiser steps on the critic."""
    features, rows = agent.features(batch.decisions)
    losses = []
    for _ in range(config.value_update_epochs):
        for index in minibatches(config.batch_size, config.value_num_minibatches, generator):
            values = agent.critic(features).squeeze(-1)[rows[index]]
            terms = value_terms(values, batch.values[index], batch.returns[index], config.clip_coef, config.clip_vloss)
            loss = terms.mean()
            optimizer.zero_grad()
            (config.vf_coef * loss).backward()
            norm = clip_grad_norm_(agent.critic.parameters(), config.max_grad_norm)
            losses.append(loss.item())
            check_finite(len(losses), value_loss=losses[-1], critic_grad_norm=float(norm))
            optimizer.step()
    optimizer.zero_grad()
    explained = explained_variance(batch.values, batch.returns)
    return {"value_loss": sum(losses) / len(losses), "explained_variance": explained}


def _mean(steps: list[Diagnostics]) -> Diagnostics:
    """Means over the optimiser steps; the gradient norm over those that were taken."""
    means = {name: sum(step[name] for step in steps) / len(steps) for name in steps[0] if name != "grad_norm"}
    norms = [step["grad_norm"] for step in steps if step["grad_norm"] == step["grad_norm"]]
    return means | {"grad_norm": sum(norms) / len(norms) if norms else 0.0}
