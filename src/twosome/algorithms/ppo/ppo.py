"""PPO (Schulman et al. 2017) on the decisions of parallel environments."""

from dataclasses import replace
from typing import Any

import torch
from torch.optim import Adam, AdamW, Optimizer

from twosome.algorithms.algorithm import Algorithm, Metrics, Progress
from twosome.algorithms.ppo.config import Minibatch, PPOConfig
from twosome.algorithms.ppo.losses import check_base_kl
from twosome.algorithms.ppo.update import no_steps, update_critic, update_policy
from twosome.algorithms.recurrent import in_sequences
from twosome.algorithms.rollout import Batch, rollout
from twosome.algorithms.runner import EnvRunner
from twosome.errors import UserError
from twosome.policies.agent import LearningAgent


class PPO(Algorithm):
    """PPO with the agent's policy and values.

    An agent whose values come with its policy (`LearningAgent.joint_values`) has one optimiser and one loss, as in the paper. The
    value function of any other learns apart, with an optimiser, passes and minibatches of its own, as TWOSOME's.

    rate_scale: what the policy's learning rate is multiplied by in the next update (PPOConfig.desired_kl).
    """

    shown = ("approx_kl",)
    recurrent = True

    def __init__(self, config: PPOConfig) -> None:
        self.config, self.num_envs, self.batch_size = config, config.num_envs, config.batch_size
        self.rate_scale = 1.0

    def with_config(self, config: PPOConfig) -> "PPO":
        """Return the same algorithm with other options of PPOConfig."""
        return PPO(config)

    def check(self, agent: LearningAgent) -> None:
        """See Algorithm."""
        check_base_kl(self.config.base_kl_coef, agent.language_model is not None)
        if agent.recurrence > 1 and self.config.minibatch is Minibatch.decisions:
            raise UserError(
                "algorithm.minibatch=decisions: expected samples for an agent with memory; add algorithm.minibatch=samples"
            )
        if self.config.value_warmup_updates and agent.joint_values:
            raise UserError(
                f"algorithm.value_warmup_updates={self.config.value_warmup_updates}: expected 0 where values learn together with "
                "the policy; choose value_head=frozen"
            )

    def optimizers(self, agent: LearningAgent) -> list[Optimizer]:
        """AdamW without decay on the policy (the reference's), Adam on the value function."""
        config, groups = self.config, agent.parameter_groups()
        if agent.joint_values:
            groups = {"policy": [parameter for group in groups.values() for parameter in group]}
        policy = AdamW(groups["policy"], config.learning_rate, eps=config.adam_eps, weight_decay=0.0)
        if agent.joint_values:
            return [policy]
        return [policy, Adam(groups["value"], config.value_learning_rate, eps=config.adam_eps)]

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> Batch:
        """num_steps decisions in every environment, with advantages."""
        config = self.config
        collected = rollout(agent, runner, config.num_steps, generator)
        batch = collected.finish(agent.values, config.gamma, config.gae_lambda, config.bootstrap_truncated)
        return in_sequences(batch, collected.steps, agent.recurrence) if agent.recurrence > 1 else batch

    def update(
        self, agent: LearningAgent, batch: Batch, optimizers: list[Optimizer], progress: Progress, generator: torch.Generator
    ) -> Metrics:
        """See Algorithm. The learning rates and, with anneal_ent_coef, the entropy bonus fall over the run; the policy's
        rate follows the updates' KL (desired_kl)."""
        factor = self.config.lr_factor(progress)
        policy_rate = self.config.learning_rate * factor * self.rate_scale
        rates = {"policy_lr": policy_rate, "value_lr": self.config.value_learning_rate * factor}
        for optimizer, rate in zip(optimizers, rates.values(), strict=False):
            for group in optimizer.param_groups:
                group["lr"] = rate
        if progress.update < self.config.value_warmup_updates:
            learned = no_steps(self.config)
        else:
            config = replace(
                self.config, ent_coef=self.config.ent_coef_at(progress), base_kl_coef=self.config.base_kl_coef_at(progress)
            )
            learned = update_policy(agent, batch, config, optimizers[0], generator)
        self.rate_scale = self.config.following(self.rate_scale, learned["approx_kl"])
        if not agent.joint_values:
            learned |= update_critic(agent, batch, self.config, optimizers[1], generator)
        return learned | rates

    def state_dict(self) -> dict[str, Any]:
        """What the updates so far have made of the learning rate."""
        return {"rate_scale": self.rate_scale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Algorithm. A checkpoint from before desired_kl holds nothing, and had no such factor."""
        self.rate_scale = state.get("rate_scale", 1.0)
