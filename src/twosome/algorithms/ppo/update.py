"""One PPO update: the policy's optimiser steps, then the value function's where it learns apart."""

from collections import defaultdict
from collections.abc import Hashable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from twosome.algorithms.finite import check_finite, take_step
from twosome.algorithms.ppo.config import Minibatch, PPOConfig
from twosome.algorithms.ppo.losses import divergence
from twosome.algorithms.ppo.minibatches import count_weights, of_decisions, of_samples
from twosome.algorithms.rollout import Batch
from twosome.policies.agent import LearningAgent

Diagnostics = dict[str, float]
TERMS = ("policy_loss", "entropy", "approx_kl", "clipfrac")
"""The names of PolicyTerms in metrics.csv."""
CHECKED = ("policy_loss", "value_loss", "approx_kl")
REMEDY = "algorithm.learning_rate, algorithm.value_learning_rate or algorithm.max_grad_norm"


class Targets(NamedTuple):
    """What the policy's update needs of a rollout besides the batch; tensors are (samples,).

    advantages: `Batch.credit`, normalised over the rollout where minibatches are decisions. weights: of the samples, with mean 1;
    None: all 1.
    log_base: (samples, actions), the policy before training; None without the term of the loss that needs it. keys: of the
    samples' decisions (LearningAgent.identify); empty where samples are not treated by their decision.
    """

    advantages: Tensor
    weights: Tensor | None
    log_base: Tensor | None
    keys: list[Hashable]

    @classmethod
    def of(cls, agent: LearningAgent, batch: Batch, config: PPOConfig) -> "Targets":
        """Prepare the targets of a rollout."""
        advantages, weights, log_base = batch.credit, None, None
        if config.norm_adv and config.minibatch is Minibatch.decisions:
            advantages = batch.normalized([torch.arange(len(batch.decisions))], config.clip_adv)
        by_decision = config.count_exponent or config.minibatch is Minibatch.decisions
        keys = [agent.identify(decision) for decision in batch.decisions] if by_decision else []
        if config.count_exponent:
            weights = count_weights(keys, config.count_exponent).to(advantages.device)
        if config.base_kl_coef:
            log_base = agent.base_log_policy(batch.decisions)
        return cls(advantages, weights, log_base, keys)


def update_policy(
    agent: LearningAgent, batch: Batch, config: PPOConfig, optimizer: Optimizer, generator: torch.Generator
) -> Diagnostics:
    """Take up to update_epochs passes of optimiser steps, each on gradient_accumulation_steps minibatches.

    A step whose samples have moved beyond target_kl is not taken (PPOConfig.target_kl). The minibatches of a step are scored
    together, so a decision that several of them hold is computed once.
    """
    steps: list[Diagnostics] = []
    targets, taken, per_step = Targets.of(agent, batch, config), 0, config.gradient_accumulation_steps
    for _ in range(config.update_epochs):
        parts = minibatches(agent, batch, config, targets, generator)
        for first in range(0, len(parts), per_step):
            steps.append(policy_gradient(agent, batch, parts[first : first + per_step], config, targets))
            if config.target_kl is not None and steps[-1]["approx_kl"] > config.target_kl:
                optimizer.zero_grad()
                if config.minibatch is Minibatch.samples:
                    return _mean(steps) | {"policy_steps": taken, "kl_stop": 1}
                continue
            losses = {name: value for name, value in steps[-1].items() if name in CHECKED}
            steps[-1]["grad_norm"] = take_step(optimizer, config.max_grad_norm, len(steps), REMEDY, **losses)
            taken += 1
    return _mean(steps) | {"policy_steps": taken, "kl_stop": len(steps) - taken}


def no_steps(config: PPOConfig) -> Diagnostics:
    """Return the diagnostics of an update in which the policy stays as it is."""
    names = (*TERMS, *(("base_kl",) if config.base_kl_coef else ()))
    return dict.fromkeys(names, float("nan")) | {"policy_steps": 0, "kl_stop": 0, "grad_norm": 0.0}


def minibatches(
    agent: LearningAgent, batch: Batch, config: PPOConfig, targets: Targets, generator: torch.Generator
) -> list[Tensor]:
    """Return the samples of each minibatch of a pass of the policy."""
    if config.minibatch is Minibatch.samples:
        return batch.minibatches(config.num_minibatches, generator)
    return of_decisions(targets.keys, agent.sizes(batch.decisions), config.num_minibatches, generator)


def policy_gradient(agent: LearningAgent, batch: Batch, parts: list[Tensor], config: PPOConfig, targets: Targets) -> Diagnostics:
    """Add the gradient of the policy loss on these minibatches to the parameters' grad; return means over the samples.

    The loss is divided by the samples that so many minibatches have on average, so that a pass over minibatches of unequal size
    weighs all samples alike.
    """
    advantages, chosen = targets.advantages, torch.cat(parts)
    if config.norm_adv and config.minibatch is Minibatch.samples:
        advantages = batch.normalized(parts, config.clip_adv)
    usual = len(batch.decisions) / config.num_minibatches * len(parts)
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=batch.advantages.device))
    for members, found in batch.evaluated(agent, chosen):
        index = chosen[torch.tensor(members)]
        terms = batch.policy_terms(found, index, advantages[index], config)
        loss = terms.loss - config.ent_coef * terms.entropy
        named = dict(zip(TERMS, terms, strict=True))
        if found.values is not None:
            named["value_loss"] = batch.value_terms(batch.values_of(found), index, config, chosen)
            loss = loss + config.vf_coef * named["value_loss"]
        if targets.log_base is not None:
            named["base_kl"] = divergence(found.log_policy, targets.log_base[index, : found.log_policy.shape[1]])
            loss = loss + config.base_kl_coef * named["base_kl"]
        if targets.weights is not None:
            loss = loss * targets.weights[index]
        (loss.sum() / usual).backward()
        for name, term in named.items():
            sums[name] = sums[name] + term.detach().sum()
    means = {name: float(total / len(chosen)) for name, total in sums.items()}
    if "value_loss" in means:
        means["explained_variance"] = batch.explained_variance()
    return means | {"grad_norm": float("nan"), "share": len(chosen) / usual}


def update_critic(
    agent: LearningAgent, batch: Batch, config: PPOConfig, optimizer: Optimizer, generator: torch.Generator
) -> Diagnostics:
    """Take value_update_epochs passes of value_num_minibatches optimiser steps on the value function."""
    values_of, losses = batch.value_function(agent), []
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for _ in range(config.value_update_epochs):
        for index in of_samples(config.batch_size, config.value_num_minibatches, generator):
            loss = batch.value_terms(values_of(index), index, config, index).mean()
            optimizer.zero_grad()
            (config.vf_coef * loss).backward()
            norm = clip_grad_norm_(learned, config.max_grad_norm)
            losses.append(loss.item())
            check_finite(len(losses), REMEDY, value_loss=losses[-1], critic_grad_norm=float(norm))
            optimizer.step()
    optimizer.zero_grad()
    return {"value_loss": sum(losses) / len(losses), "explained_variance": batch.explained_variance()}


def _mean(steps: list[Diagnostics]) -> Diagnostics:
    """Return means over the optimiser steps, weighted by their samples, without "share"; the gradient norm's over those taken."""
    shares = [step["share"] for step in steps]
    means = {
        name: sum(share * step[name] for share, step in zip(shares, steps, strict=True)) / sum(shares)
        for name in steps[0]
        if name not in ("grad_norm", "share")
    }
    norms = [step["grad_norm"] for step in steps if step["grad_norm"] == step["grad_norm"]]
    return means | {"grad_norm": sum(norms) / len(norms) if norms else 0.0}
