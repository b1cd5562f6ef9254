"""The LightningModule: each Lightning epoch is one PPO update, a rollout and what is learned from it."""

import time
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from pytorch_lightning import LightningModule

from twosome.envs.episode import Episode
from twosome.envs.vector import DecisionEnvs
from twosome.errors import UserError
from twosome.policies.agent import LearningAgent, sample
from twosome.ppo.config import PPOConfig
from twosome.ppo.rollout import Batch, Rollout
from twosome.ppo.update import update_critic, update_policy


class PPOModule(LightningModule):
    """PPO for any LearningAgent in any environment that offers decisions.

    All randomness of training comes from ``generator`` and from the environments' own generators; both, the position
    of every environment and the agent's memories are in the checkpoint, so that a resumed run is the same run.
    """

    def __init__(self, agent: LearningAgent, envs: DecisionEnvs, config: PPOConfig, num_updates: int, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.strict_loading = False  # the frozen base model is not in the checkpoint; on_load_checkpoint is strict instead
        self.agent, self.envs, self.config, self.num_updates = agent, envs, config, num_updates
        self.generator = torch.Generator().manual_seed(seed)
        self.decisions = envs.reset(seed)
        self.env_steps = 0

    def train_dataloader(self) -> list[int]:
        """One batch per epoch: the rollout is collected in training_step."""
        return [0]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """AdamW without decay on the policy (the reference's), Adam on the critic."""
        config = self.config
        return [
            torch.optim.AdamW(self.agent.actor_parameters(), config.learning_rate, eps=config.adam_eps, weight_decay=0.0),
            torch.optim.Adam(self.agent.critic.parameters(), config.value_learning_rate, eps=config.adam_eps),
        ]

    def configure_model(self) -> None:
        """Asked for by ModelParallelStrategy; a model is sharded when it is loaded, so that it is evaluated sharded as well."""

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """One update. Returns ``metrics``, a row of metrics.csv (glossary in the README), and ``episodes`` that ended."""
        remaining = self.config.remaining_lr(self.current_epoch, self.num_updates)
        start = time.perf_counter()
        samples, episodes = self.collect()
        collected = time.perf_counter()
        policy_optimizer, critic_optimizer = cast(list[torch.optim.Optimizer], self.optimizers())
        self._set_lr(policy_optimizer, self.config.learning_rate * remaining)
        self._set_lr(critic_optimizer, self.config.value_learning_rate * remaining)
        self.agent.train()
        config = replace(self.config, ent_coef=self.config.remaining_entropy(self.current_epoch, self.num_updates))
        learned = update_policy(self.agent, samples, config, policy_optimizer, self.generator)
        learned |= update_critic(self.agent, samples, self.config, critic_optimizer, self.generator)
        learned |= {"policy_lr": self.config.learning_rate * remaining,
                    "value_lr": self.config.value_learning_rate * remaining}  # fmt: skip
        done = time.perf_counter()
        timing = {"rollout_seconds": collected - start, "update_seconds": done - collected,
                  "steps_per_second": self.config.batch_size / (done - start)}  # fmt: skip
        metrics = {"update": self.current_epoch + 1, "env_steps": self.env_steps, **summarize(episodes)}
        self.log("update", float(self.current_epoch + 1), logger=False)  # what the checkpoint callback keeps the latest of
        return {"metrics": metrics | learned | self.agent.counters() | timing, "episodes": episodes}

    @torch.no_grad()
    def collect(self) -> tuple[Batch, list[Episode]]:
        """Act for num_steps decisions in every environment."""
        self.agent.eval()
        self.agent.begin_rollout()
        rollout, episodes = Rollout(), []
        for _ in range(self.config.num_steps):
            log_policy = self.agent.log_policy(self.decisions)
            choices = sample(log_policy, self.generator)
            action_ids = [d.action_ids[choice] for d, choice in zip(self.decisions, choices.tolist(), strict=True)]
            step = self.envs.step(action_ids)
            rollout.add(self.decisions, choices, log_policy.gather(1, choices.unsqueeze(1)).squeeze(1), step)
            self.env_steps += self.envs.num_envs
            episodes += [replace(episode, env_step=self.env_steps) for episode in step.episodes]
            self.decisions = step.decisions
        return rollout.finish(self.agent.values, self.config), episodes

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Without the frozen base model."""
        frozen = self._frozen()
        return {name: value for name, value in super().state_dict(*args, **kwargs).items() if name not in frozen}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is not a weight: plain values and tensors only, so that ``weights_only=True`` can load it."""
        checkpoint["run"] = {
            "env_steps": self.env_steps,
            "envs": self.envs.state(),
            "generator": self.generator.get_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go back to where the checkpoint was written.

        Raises UserError if it does not hold this run's learned weights.
        """
        if checkpoint["state_dict"].keys() - self._frozen() != self.state_dict().keys():
            raise UserError("resume: the checkpoint holds the weights of another agent or model; expected this run's own")
        state = checkpoint["run"]
        self.env_steps = state["env_steps"]
        self.decisions = self.envs.restore(state["envs"])
        self.generator.set_state(state["generator"])

    def _frozen(self) -> set[str]:
        """The names of the base model's weights, all names of those that have several (an output layer tied to the embedding)."""
        named = self.named_parameters(remove_duplicate=False)
        return {name for name, parameter in named if not parameter.requires_grad}

    @staticmethod
    def _set_lr(optimizer: Any, lr: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = lr


def summarize(episodes: list[Episode]) -> dict[str, float]:
    """Means over the episodes that ended in a rollout; nan where none did."""
    if not episodes:
        return {"episodes": 0, "return": float("nan"), "success_rate": float("nan"), "episode_decisions": float("nan")}
    return {
        "episodes": len(episodes),
        "return": float(np.mean([episode.discounted_return for episode in episodes])),
        "success_rate": float(np.mean([episode.success for episode in episodes])),
        "episode_decisions": float(np.mean([episode.decisions for episode in episodes])),
    }
