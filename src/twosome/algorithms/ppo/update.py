"""One PPO update: the policy's optimiser steps, then the value function's where it learns apart."""

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from twosome.algorithms.ppo.config import PPOConfig
from twosome.algorithms.ppo.finite import check_finite
from twosome.algorithms.ppo.losses import explained_variance, normalize, policy_terms, value_terms
from twosome.algorithms.rollout import Batch
from twosome.policies.agent import LearningAgent

Diagnostics = dict[str, float]
CHECKED = ("policy_loss", "value_loss", "approx_kl", "grad_norm")


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
            learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            steps[-1]["grad_norm"] = float(clip_grad_norm_(learned, config.max_grad_norm))
            check_finite(len(steps), **{name: value for name, value in steps[-1].items() if name in CHECKED})
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
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=batch.advantages.device))
    for members, found in agent.evaluate([batch.decisions[index] for index in chosen.tolist()]):
        index = chosen[torch.tensor(members)]
        terms = policy_terms(found.log_policy, batch.choices[index], batch.logprobs[index], advantages[index], config.clip_coef)
        loss = terms.loss - config.ent_coef * terms.entropy
        named = dict(zip(("policy_loss", "entropy", "approx_kl", "clipfrac"), terms, strict=True))
        if found.values is not None:
            named["value_loss"] = value_terms(
                found.values, batch.values[index], batch.returns[index], config.clip_coef, config.clip_vloss
            )
            loss = loss + config.vf_coef * named["value_loss"]
        (loss.sum() / len(chosen)).backward()
        for name, term in named.items():
            sums[name] = sums[name] + term.detach().sum()
    means = {name: float(total / len(chosen)) for name, total in sums.items()}
    if "value_loss" in means:
        means["explained_variance"] = explained_variance(batch.values, batch.returns)
    return means | {"grad_norm": float("nan")}


def update_critic(
    agent: LearningAgent, batch: Batch, config: PPOConfig, optimizer: Optimizer, generator: torch.Generator
) -> Diagnostics:
    """Take value_update_epochs passes of value_num_minibatches optimiser steps on the value function."""
    values_of, losses = agent.value_function(batch.decisions), []
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for _ in range(config.value_update_epochs):
        for index in minibatches(config.batch_size, config.value_num_minibatches, generator):
            terms = value_terms(values_of(index), batch.values[index], batch.returns[index], config.clip_coef, config.clip_vloss)
            loss = terms.mean()
            optimizer.zero_grad()
            (config.vf_coef * loss).backward()
            norm = clip_grad_norm_(learned, config.max_grad_norm)
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
