"""Algorithms without a critic, which learn from whole episodes; decisions are kept until they can be learned from."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from twosome.algorithms.algorithm import Algorithm, Metrics, Progress
from twosome.algorithms.ppo.config import PPOConfig
from twosome.algorithms.ppo.losses import check_base_kl
from twosome.algorithms.rollout import Batch, act
from twosome.algorithms.runner import EnvRunner
from twosome.decision import Decision
from twosome.errors import UserError
from twosome.policies.agent import LearningAgent


@dataclass
class Played:
    """The part of an episode that has been played; the lists have an entry per decision.

    start: the number of the start that it shares with others (`EnvRunner.starts`). choices, logprobs: the actions taken and their
    log-probabilities then. rewards: of each decision, discounted inside it. durations: primitive steps.
    """

    start: int
    decisions: list[Decision] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)

    def returns(self, gamma: float) -> list[float]:
        """Return what followed each decision, discounted per primitive step from it on; the first is the episode's return."""
        found, following = [], 0.0
        for reward, duration in zip(reversed(self.rewards), reversed(self.durations), strict=True):
            following = reward + gamma**duration * following
            found.append(following)
        return found[::-1]

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors, without what learning agents must not read (`Decision`)."""
        decisions = [
            [torch.from_numpy(each.obs.copy()), each.prompt, list(each.action_ids), list(each.action_prompts)]
            for each in self.decisions
        ]
        return {**vars(self), "decisions": decisions}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "Played":
        """Return the episode of a state."""
        decisions = [
            Decision(np.array(obs.numpy()), prompt, tuple(ids), tuple(words)) for obs, prompt, ids, words in state["decisions"]
        ]
        return cls(**{**state, "decisions": decisions})


@dataclass(frozen=True)
class EpisodeBatch(Batch):
    """The decisions of whole episodes, one after the other. values are 0; returns: of the decision's episode, from its start."""

    episodes: int


class Episodic(Algorithm):
    """An algorithm without a critic that learns from whole episodes, with the agent's policy only.

    A rollout is num_steps decisions of each environment, as PPO's. An episode that has not ended at its end goes on in the next
    one, and is learned from as a whole once it has ended. So every decision of a run is learned from once, the last rollout's
    unfinished episodes apart, and long episodes count as often as they occur: to learn from the episodes that end in the rollout
    in which they began would prefer short ones. The price is that the first decisions of such an episode were chosen by an older
    policy. A time limit ends an episode as a terminal state does, since no critic values what would follow.

    config: of its options, those of the critic, bootstrap_truncated, desired_kl and gae_lambda have no effect.
    running: the unfinished episode of each environment. ended: the finished ones that wait to be learned from.
    """

    shown = ("entropy",)

    def __init__(self, config: PPOConfig) -> None:
        self.config, self.num_envs, self.batch_size = config, config.num_envs, config.batch_size
        self.running: list[Played] = []
        self.ended: list[Played] = []

    def check(self, agent: LearningAgent) -> None:
        """See Algorithm."""
        name = type(self).__name__
        if agent.joint_values:
            raise UserError(f"value_head: it learns together with the policy, and {name} has no critic; choose value_head=frozen")
        check_base_kl(self.config.base_kl_coef, agent.language_model is not None)

    def optimizers(self, agent: LearningAgent) -> list[Optimizer]:
        """AdamW without decay on the policy, as PPO's."""
        config = self.config
        return [AdamW(agent.parameter_groups()["policy"], config.learning_rate, eps=config.adam_eps, weight_decay=0.0)]

    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> EpisodeBatch:
        """num_steps decisions in every environment; returns the episodes that are learned from now."""
        for _ in range(self.config.num_steps):
            starts = runner.starts
            decisions, choices, logprobs, step = act(agent, runner, generator)
            self.running = self.running or [Played(start) for start in starts]
            for env, (decision, choice, logprob) in enumerate(zip(decisions, choices.tolist(), logprobs.tolist(), strict=True)):
                played = self.running[env]
                played.decisions.append(decision)
                played.choices.append(choice)
                played.logprobs.append(logprob)
                played.rewards.append(float(step.rewards[env]))
                played.durations.append(int(step.durations[env]))
                if env in step.final:
                    self.ended.append(played)
                    self.running[env] = Played(runner.starts[env])
        return self.take(agent)

    @abstractmethod
    def take(self, agent: LearningAgent) -> EpisodeBatch:
        """Remove from `ended` the episodes that are learned from now; return them."""

    @abstractmethod
    def learn(
        self, agent: LearningAgent, batch: EpisodeBatch, config: PPOConfig, optimizer: Optimizer, generator: torch.Generator
    ) -> Metrics:
        """Learn from a batch, which may be empty. config: with the coefficients of this update."""

    def update(
        self,
        agent: LearningAgent,
        batch: EpisodeBatch,
        optimizers: list[Optimizer],
        progress: Progress,
        generator: torch.Generator,
    ) -> Metrics:
        """See Algorithm. The learning rate and, with anneal_ent_coef, the entropy bonus fall over the run."""
        config, rate = self.config, self.config.learning_rate * self.config.lr_factor(progress)
        for group in optimizers[0].param_groups:
            group["lr"] = rate
        config = replace(config, ent_coef=config.ent_coef_at(progress), base_kl_coef=config.base_kl_coef_at(progress))
        learned = self.learn(agent, batch, config, optimizers[0], generator)
        counts = {"learned_episodes": batch.episodes, "learned_decisions": len(batch.decisions)}
        return learned | counts | {"policy_lr": rate}

    def state_dict(self) -> dict[str, Any]:
        """The episodes that have not been learned from."""
        return {name: [played.state() for played in getattr(self, name)] for name in ("running", "ended")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See Algorithm."""
        for name in ("running", "ended"):
            setattr(self, name, [Played.of_state(each) for each in state[name]])


def batch_of(episodes: Sequence[Played], advantages: Sequence[float], gamma: float, device: torch.device) -> EpisodeBatch:
    """Return the decisions of episodes, one after the other. advantages: of all their decisions, in this order."""

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    returns = [first for played in episodes for first in [played.returns(gamma)[0]] * len(played.decisions)]
    choices = torch.tensor([choice for played in episodes for choice in played.choices], dtype=torch.long, device=device)
    logprobs = column([logprob for played in episodes for logprob in played.logprobs])
    decisions = [decision for played in episodes for decision in played.decisions]
    return EpisodeBatch(
        decisions, choices, logprobs, column([0.0] * len(decisions)), column(advantages), column(returns), len(episodes)
    )
