"""What a rollout holds, and how its advantages come about."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from twosome.algorithms.gae import semi_markov_gae
from twosome.algorithms.ppo.config import PPOConfig
from twosome.algorithms.ppo.losses import (
    PolicyTerms,
    clipped,
    explained_variance,
    normalize,
    pairwise_value_terms,
    policy_terms,
    value_terms,
)
from twosome.algorithms.ppo.minibatches import of_samples
from twosome.algorithms.runner import EnvRunner
from twosome.decision import Decision
from twosome.envs.vector import Step
from twosome.policies.agent import Agent, Evaluation, LearningAgent, sample

ValuesOf = Callable[[Sequence[Decision]], Tensor]


@dataclass(frozen=True)
class Batch:
    """A finished rollout, one entry per sample, step by step: sample = step * num_envs + env. Tensors are (samples,).

    The methods say what PPO's update takes as its unit: here an action has one ratio, one advantage and one value. `POAD` has a
    batch whose unit is the token. index: of m samples. config: PPO's.
    """

    decisions: list[Decision]
    choices: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    @property
    def credit(self) -> Tensor:
        """The advantages of the units, (samples, ...)."""
        return self.advantages

    def normalized(self, parts: Sequence[Tensor], most: float | None) -> Tensor:
        """Return credit, normalised within each part and clipped to within most of 0; undefined outside of the parts."""
        advantages = torch.empty_like(self.advantages)
        for part in parts:
            advantages[part] = clipped(normalize(self.advantages[part]), most)
        return advantages

    def minibatches(self, parts: int, generator: torch.Generator) -> list[Tensor]:
        """Return the indices of shuffled samples in parts of a pass."""
        return of_samples(len(self.decisions), parts, generator)

    def evaluated(self, agent: LearningAgent, chosen: Tensor) -> Iterator[tuple[list[int], Evaluation]]:
        """Evaluate the chosen samples' decisions, with what the other methods need; see `LearningAgent.evaluate`."""
        return agent.evaluate([self.decisions[index] for index in chosen.tolist()])

    def policy_terms(self, found: Evaluation, index: Tensor, advantages: Tensor, config: PPOConfig) -> PolicyTerms:
        """Return the terms of the policy loss, (m,) each. advantages: credit of these samples, or the normalised."""
        return policy_terms(
            found.log_policy, self.choices[index], self.logprobs[index], advantages, config.clip_coef, config.clip_coef_high
        )

    def values_of(self, found: Evaluation) -> Tensor:
        """Return the units' values of an agent whose values come with its policy."""
        assert found.values is not None  # by joint_values
        return found.values

    def value_function(self, agent: LearningAgent) -> Callable[[Tensor], Tensor]:
        """Return a function from the indices of samples to their units' values; see `LearningAgent.value_function`."""
        return agent.value_function(self.decisions)

    def value_terms(self, values: Tensor, index: Tensor, config: PPOConfig, step: Tensor) -> Tensor:
        """Return the terms of the value loss, (m,). index: the values' samples, (m,). step: those of the optimiser step, (n,)."""
        terms, own = (pairwise_value_terms, step) if config.pairwise_vloss else (value_terms, index)
        return terms(values, self.values[own], self.returns[own], config.clip_coef, config.clip_vloss)

    def explained_variance(self) -> float:
        """Return the share of the variance of the units' returns that their values explain."""
        return explained_variance(self.values, self.returns)


class Transitions(NamedTuple):
    """What advantages are computed from; all tensors are (steps, envs), as in `semi_markov_gae`."""

    rewards: Tensor
    values: Tensor
    next_values: Tensor
    episode_ends: Tensor
    durations: Tensor


@dataclass
class Rollout:
    """A rollout being collected: one entry per step in each list, num_envs long."""

    decisions: list[list[Decision]] = field(default_factory=list)
    choices: list[Tensor] = field(default_factory=list)
    logprobs: list[Tensor] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def add(self, decisions: list[Decision], choices: Tensor, logprobs: Tensor, step: Step) -> None:
        """Record one step of all environments."""
        self.decisions.append(decisions)
        self.choices.append(choices)
        self.logprobs.append(logprobs)
        self.steps.append(step)

    def finish(self, values_of: ValuesOf, gamma: float, gae_lambda: float = 1.0, bootstrap_truncated: bool = True) -> Batch:
        """Compute the values of all decisions at once (no weight changed meanwhile), and the advantages.

        values_of: from n decisions to their values (n,). The others: as in PPOConfig.
        """
        transitions = self.transitions(values_of, bootstrap_truncated)
        advantages, returns = semi_markov_gae(*transitions, gamma, gae_lambda)
        flat = (torch.cat(self.choices), torch.cat(self.logprobs), transitions.values, advantages, returns)
        return Batch(self.samples(), *(tensor.flatten() for tensor in flat))

    def samples(self) -> list[Decision]:
        """Return the decisions of all samples."""
        return [decision for row in self.decisions for decision in row]

    def transitions(self, values_of: ValuesOf, bootstrap_truncated: bool) -> Transitions:
        """Compute the values of all decisions at once; see `finish`."""
        shape = (len(self.steps), len(self.decisions[0]))
        decisions = self.samples()
        finals = [decision for step in self.steps for decision in step.final.values()]
        every = values_of([*decisions, *self.steps[-1].decisions, *finals])
        values = every[: len(decisions)].reshape(shape)
        next_values = every[shape[1] : len(decisions) + shape[1]].reshape(shape).clone()
        final_values = iter(every[len(decisions) + shape[1] :])
        for t, step in enumerate(self.steps):
            for env in step.final:
                value = next(final_values)
                cut = step.truncated[env] and not step.terminated[env]
                next_values[t, env] = value if cut and bootstrap_truncated else 0.0

        def stacked(name: str, dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(np.stack([getattr(step, name) for step in self.steps])).to(values.device, dtype)

        ends = stacked("terminated", torch.bool) | stacked("truncated", torch.bool)
        durations = stacked("durations", values.dtype)
        return Transitions(stacked("rewards", values.dtype), values, next_values, ends, durations)


@torch.no_grad()
def act(agent: Agent, runner: EnvRunner, generator: torch.Generator) -> tuple[list[Decision], Tensor, Tensor, Step]:
    """Sample an action from the policy in every environment and do it; return decisions, choices, logprobs and the step."""
    decisions = runner.decisions
    log_policy = agent.log_policy(decisions)
    choices = sample(log_policy, generator)
    step = runner.step(choices.tolist(), agent.remember(decisions))
    return decisions, choices, log_policy.gather(1, choices.unsqueeze(1)).squeeze(1), step


def rollout(agent: Agent, runner: EnvRunner, num_steps: int, generator: torch.Generator) -> Rollout:
    """Act for num_steps decisions in every environment; actions are sampled from the policy."""
    collected = Rollout()
    for _ in range(num_steps):
        collected.add(*act(agent, runner, generator))
    return collected
