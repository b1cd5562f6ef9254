"""What a rollout holds, and how its advantages come about."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from twosome.algorithms.gae import semi_markov_gae
from twosome.algorithms.runner import EnvRunner
from twosome.decision import Decision
from twosome.envs.vector import Step
from twosome.policies.agent import Agent, sample

ValuesOf = Callable[[Sequence[Decision]], Tensor]


@dataclass(frozen=True)
class Batch:
    """A finished rollout, one entry per sample, step by step: sample = step * num_envs + env. Tensors are (samples,)."""

    decisions: list[Decision]
    choices: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


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
        shape = (len(self.steps), len(self.decisions[0]))
        decisions = [decision for row in self.decisions for decision in row]
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
        advantages, returns = semi_markov_gae(
            stacked("rewards", values.dtype), values, next_values, ends, stacked("durations", values.dtype),
            gamma, gae_lambda,
        )  # fmt: skip
        flat = (torch.cat(self.choices), torch.cat(self.logprobs), values, advantages, returns)
        return Batch(decisions, *(tensor.flatten() for tensor in flat))


@torch.no_grad()
def act(agent: Agent, runner: EnvRunner, generator: torch.Generator) -> tuple[list[Decision], Tensor, Tensor, Step]:
    """Sample an action from the policy in every environment and do it; return decisions, choices, logprobs and the step."""
    decisions = runner.decisions
    log_policy = agent.log_policy(decisions)
    choices = sample(log_policy, generator)
    step = runner.step(choices.tolist())
    return decisions, choices, log_policy.gather(1, choices.unsqueeze(1)).squeeze(1), step


def rollout(agent: Agent, runner: EnvRunner, num_steps: int, generator: torch.Generator) -> Rollout:
    """Act for num_steps decisions in every environment; actions are sampled from the policy."""
    collected = Rollout()
    for _ in range(num_steps):
        collected.add(*act(agent, runner, generator))
    return collected
