"""REINFORCE (Williams 1992) with a leave-one-out baseline (RLOO: Kool et al. 2019; Ahmadian et al. 2024, arXiv 2402.14740).

The return of episode i of the n episodes of an update, whose decisions t last d_t primitive steps:

    R_i = sum_t gamma^(d_0 + ... + d_(t-1)) r_t

Its baseline is the mean return of the others, which does not depend on its actions:

    A_i = R_i - 1 / (n - 1) sum_(j != i) R_j

The gradient of sum_i A_i sum_t log pi(a_t | s_t) / n then is an unbiased estimate of that of the expected discounted return: the
discount is in R_i, every decision of the episode has all of its return, and no factor gamma^t is left out.
"""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from twosome.algorithms.algorithm import Algorithm, Metrics
from twosome.algorithms.episodes import EpisodeBatch, Episodic, batch_of
from twosome.algorithms.finite import take_step
from twosome.algorithms.ppo.config import PPOConfig
from twosome.algorithms.ppo.losses import divergence, entropy
from twosome.policies.agent import LearningAgent

REMEDY = "algorithm.learning_rate or algorithm.max_grad_norm"


class Reinforce(Episodic):
    """One step on the episodes that ended in the rollout; a single one waits for another (see Episodic for unfinished ones).

    The estimate is unbiased in the decisions that the current policy made. Those that an episode has from earlier rollouts are
    treated like them, without a weight.

    The loss is a mean over decisions, not over episodes, so that the entropy bonus weighs as PPO's does. norm_adv: advantages are
    divided by their standard deviation over the update's decisions. Both scale the step only. Of the other options of PPOConfig,
    those of passes, minibatches, samples' weights, clip ranges and target_kl have no effect.
    """

    def take(self, agent: LearningAgent) -> EpisodeBatch:
        """See Episodic: all episodes that have ended, if there are two or more."""
        taken, self.ended = (self.ended, []) if len(self.ended) > 1 else ([], self.ended)
        gamma = self.config.gamma
        advantages = leave_one_out([played.returns(gamma)[0] for played in taken])
        each = [advantage for played, advantage in zip(taken, advantages, strict=True) for _ in played.decisions]
        return batch_of(taken, each, gamma, agent.parameter_groups()["policy"][0].device)

    def learn(
        self, agent: LearningAgent, batch: EpisodeBatch, config: PPOConfig, optimizer: Optimizer, generator: torch.Generator
    ) -> Metrics:
        """Take one optimiser step; none where nothing is to be learned."""
        if not batch.episodes:
            names = ("policy_loss", "entropy", *(("base_kl",) if self.config.base_kl_coef else ()))
            return dict.fromkeys(names, float("nan")) | {"grad_norm": 0.0, "policy_steps": 0}
        if config.norm_adv:
            batch = replace(batch, advantages=batch.advantages / (batch.advantages.std() + 1e-8))
        found = policy_gradient(agent, batch, config, bool(self.config.base_kl_coef))
        found["grad_norm"] = take_step(optimizer, config.max_grad_norm, 1, REMEDY, policy_loss=found["policy_loss"])
        return found | {"policy_steps": 1}


def leave_one_out(returns: list[float]) -> list[float]:
    """Return each return minus the mean of the others. returns: of two episodes or more, or none."""
    total = sum(returns)
    return [each - (total - each) / (len(returns) - 1) for each in returns]


def policy_gradient(agent: LearningAgent, batch: EpisodeBatch, config: PPOConfig, kl: bool) -> Metrics:
    """Add the gradient of the loss to the parameters' grad; return means over the decisions. kl: whether base_kl is computed.

    The loss is -A log pi(a | s) - ent_coef H(pi) + base_kl_coef KL(pi || policy before training).
    """
    log_base = agent.base_log_policy(batch.decisions) if kl else None
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=batch.advantages.device))
    for members, found in agent.evaluate(batch.decisions):
        index = torch.tensor(members)
        log_policy = found.log_policy
        named = {
            "policy_loss": -batch.advantages[index] * log_policy.gather(1, batch.choices[index].unsqueeze(1)).squeeze(1),
            "entropy": entropy(log_policy),
        }
        loss = named["policy_loss"] - config.ent_coef * named["entropy"]
        if log_base is not None:
            named["base_kl"] = divergence(log_policy, log_base[index, : log_policy.shape[1]])
            loss = loss + config.base_kl_coef * named["base_kl"]
        (loss.sum() / len(batch.decisions)).backward()
        for name, term in named.items():
            sums[name] = sums[name] + term.detach().sum()
    return {name: float(total / len(batch.decisions)) for name, total in sums.items()}


def build(**options: Any) -> "Algorithm":
    """Build the algorithm of conf/algorithm/reinforce.yaml."""
    from twosome.algorithms import builders

    made: Algorithm = builders.reinforce(**options)
    return made
