"""Rollout buffer and advantages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from twosome.agents.agent import Agent, sample
from twosome.algorithms.algorithm import EnvRunner
from twosome.decision import Decision
from twosome.envs.vector import Step

ValuesOf = Callable[[Sequence[Decision]], Tensor]


@dataclass(frozen=True)
class Batch:
    """A finished rollout, one entry per sample, step by step: sample = step * num_envs + env. Tensors are (samples,).

    logprobs: of the actions taken, by the policy that acted. values: of the decisions then. returns: advantages + values.
    """

    decisions: list[Decision]
    choices: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


class Transitions(NamedTuple):
    """What advantages are computed from; all tensors are (steps, envs).

    rewards: of each decision, discounted inside it. values: V of each decision. next_values: V of the decision that followed in
    the same episode: 0 after a terminal state, V of the last observation after a truncation. episode_ends: bool, where no
    advantage may flow back from the next row. durations: primitive steps.
    """

    rewards: Tensor
    values: Tensor
    next_values: Tensor
    episode_ends: Tensor
    durations: Tensor


def semi_markov_gae(transitions: Transitions, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16) over decisions of unequal length.

    A decision that lasts d primitive steps discounts what follows it by gamma^d (Sutton, Precup & Singh 1999); lambda
    counts decisions, as in TWOSOME. Returns (advantages, returns), (steps, envs); returns = advantages + values.
    """
    rewards, values, next_values, episode_ends, durations = transitions
    discounts = gamma ** durations.to(values.dtype)
    deltas = rewards + discounts * next_values - values
    carry = discounts * gae_lambda * (~episode_ends).to(values.dtype)
    advantages = torch.zeros_like(values)
    following = torch.zeros_like(values[0])
    for step in reversed(range(len(values))):
        following = deltas[step] + carry[step] * following
        advantages[step] = following
    return advantages, advantages + values


@dataclass
class Rollout:
    """A rollout being collected: one entry per step in each list, num_envs long."""

    decisions: list[list[Decision]] = field(default_factory=list)
    choices: list[Tensor] = field(default_factory=list)
    logprobs: list[Tensor] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def finish(self, values_of: ValuesOf, gamma: float, gae_lambda: float = 1.0, bootstrap_truncated: bool = True) -> Batch:
        """Compute the values of all decisions at once (no weight changed meanwhile), and the advantages.

        values_of: from n decisions to their values (n,). bootstrap_truncated: whether an episode that was cut by the step limit
        is credited the value of its last observation.
        """
        transitions = self.transitions(values_of, bootstrap_truncated)
        advantages, returns = semi_markov_gae(transitions, gamma, gae_lambda)
        flat = (torch.cat(self.choices), torch.cat(self.logprobs), transitions.values, advantages, returns)
        return Batch(self.samples(), *(tensor.flatten() for tensor in flat))

    def samples(self) -> list[Decision]:
        """Return the decisions of all samples."""
        return [decision for row in self.decisions for decision in row]

    def sequences(self, length: int) -> list[list[int]]:
        """Divide the samples into sequences of one environment and one episode each, of at most length samples."""
        found = []
        for env in range(len(self.decisions[0])):
            sequence: list[int] = []
            for number, step in enumerate(self.steps):
                sequence.append(number * len(self.decisions[0]) + env)
                if step.terminated[env] or step.truncated[env] or len(sequence) == length or number == len(self.steps) - 1:
                    found.append(sequence)
                    sequence = []
        return found

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
        decisions, choices, logprobs, step = act(agent, runner, generator)
        collected.decisions.append(decisions)
        collected.choices.append(choices)
        collected.logprobs.append(logprobs)
        collected.steps.append(step)
    return collected
