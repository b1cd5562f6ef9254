"""The interface of an algorithm: it collects experience with an agent, and updates the agent with it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from twosome.agents.agent import Agent, LearningAgent, MakeEnv
from twosome.envs.vector import DecisionEnvs, Episode, Step
from twosome.errors import RunError, check
from twosome.identity import AGENT

Metrics = dict[str, float]


class EnvRunner:
    """Steps the environments of a run, counts the steps and keeps the episodes that end.

    decisions: what the environments offer now. env_steps: environment steps (decisions) so far. episodes: those that ended since
    `take_episodes` was last called.
    """

    def __init__(self, envs: DecisionEnvs, seed: int, group_size: int = 1) -> None:
        """seed: of the environments, which are reset. group_size: number of consecutive episodes that share a seed."""
        self.envs = envs
        self.decisions = envs.reset(seed, group_size)
        self.env_steps = 0
        self.episodes: list[Episode] = []

    def step(self, choices: Sequence[int], memories: Sequence[Any] | None = None) -> Step:
        """Take, in each environment, the action with this index among those that its decision offers.

        memories: what the agent that chose remembers (`Agent.remember`).
        """
        action_ids = [decision.action_ids[choice] for decision, choice in zip(self.decisions, choices, strict=True)]
        step = self.envs.step(action_ids, memories)
        self.env_steps += self.envs.num_envs
        self.episodes += [replace(episode, env_step=self.env_steps) for episode in step.episodes]
        self.decisions = step.decisions
        return step

    @property
    def starts(self) -> list[int]:
        """The group of each environment's episode, whose episodes share a seed; 0 if every episode has its own."""
        return [place // self.envs.alike for place in self.envs.order] or [0] * self.envs.num_envs

    def take_episodes(self) -> list[Episode]:
        """Return the episodes that ended since the last call."""
        episodes, self.episodes = self.episodes, []
        return episodes

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on from here, between two updates, as plain values."""
        return {"env_steps": self.env_steps, "envs": self.envs.state(), "order": list(self.envs.order)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        self.env_steps, self.decisions = state["env_steps"], self.envs.restore(state["envs"])
        self.envs.order = list(state.get("order", []))


class Progress(NamedTuple):
    """How far a run is: the update, counted from 0, of num_updates."""

    update: int
    num_updates: int

    @property
    def remaining(self) -> float:
        """The share of the run that is left when the update begins: 1 in the first one."""
        return 1 - self.update / self.num_updates


class LoadAgent(Protocol):
    """Loads the trained agent of a finished run, for the environments of this one.

    path: the run's folder. option: the full name of the option that holds it, for messages. Raises UserError.
    """

    def __call__(self, path: str, option: str) -> Agent: ...


class Sources(NamedTuple):
    """What an algorithm can learn from besides the agent's own experience.

    make_env: makes an environment of the run. gamma: its discount per primitive step. load_agent: see LoadAgent.
    """

    make_env: MakeEnv
    gamma: float
    load_agent: LoadAgent


class Algorithm(ABC):
    """How an agent learns.

    The LightningModule calls, in each of its epochs, `collect` and then `update` with what that returned. To add an algorithm,
    write a subclass anywhere and a YAML in ``conf/algorithm``: its ``_target_`` is called with its other entries.

    num_envs: environments that step side by side. batch_size: environment steps (decisions) in one update.
    progress_metrics: metrics of `update` in the line of progress. group_size: number of consecutive episodes that share a seed.
    recurrent: whether it trains agents with a memory (`LearningAgent.recurrence`).
    actor: who acts in training; where that is not the agent, the returns of training are no learning curve of the agent.
    """

    num_envs: int
    batch_size: int
    progress_metrics: tuple[str, ...] = ()
    group_size: int = 1
    recurrent: bool = False
    actor: str = AGENT

    def prepare(self, sources: Sources) -> None:  # noqa: B027  (most algorithms learn from the agent's experience alone)
        """Get other sources of experience, such as a demonstrator; called once in a run, before the agent is built.

        Raises UserError if there are none.
        """

    def check(self, agent: LearningAgent) -> None:  # noqa: B027  (most algorithms need nothing special)
        """Raise UserError where the agent lacks what the algorithm needs; called before anything is computed."""

    @abstractmethod
    def optimizers(self, agent: LearningAgent) -> list[Optimizer]:
        """Return the optimizers of the agent's parameter groups, the policy's first; Lightning keeps them in the checkpoint."""

    @abstractmethod
    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> Any:
        """Act for batch_size decisions; return what `update` learns from. Called without gradient, the agent in eval mode."""

    @abstractmethod
    def update(
        self, agent: LearningAgent, batch: Any, optimizers: list[Optimizer], progress: Progress, generator: torch.Generator
    ) -> Metrics:
        """Learn from what `collect` returned; return a row's part of metrics.csv, with the same names in every update."""

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept between updates (a replay buffer, say), as plain values and tensors; part of a checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  (most algorithms keep nothing)
        """Restore the state of `state_dict`."""


def require(config: object, names: Sequence[str], holds: Callable[[Any], bool], expected: str) -> None:
    """Raise UserError for the first of these options whose value is out of range; null is always in it."""
    for name in names:
        value = getattr(config, name)
        check(value is None or holds(value), f"algorithm.{name}", value, expected)


def require_divisor(config: Any, name: str, whole: str = "num_envs * num_steps") -> None:
    """Raise UserError unless an option divides the rollout, or another option (whole)."""
    size, value = getattr(config, "batch_size" if "*" in whole else whole), getattr(config, name)
    check(size % value == 0, f"algorithm.{name}", value, f"a divisor of {whole} = {size}; change one of them")


def check_finite(step: int, **quantities: float) -> None:
    """Raise RunError where a loss or a gradient's norm is not finite. step: of the optimizer within the update, from 1."""
    for name, value in quantities.items():
        if not math.isfinite(value):
            raise RunError(
                f"{name}={value} in optimizer step {step} of an update, which was not taken; look at grad_norm and the losses in "
                "the last rows of metrics.csv: a smaller algorithm.learning_rate or algorithm.max_grad_norm, or "
                "model.dtype=float32, makes another run that may hold"
            )


def take_step(optimizer: Optimizer, max_grad_norm: float, step: int, **losses: float) -> float:
    """Take an optimizer step with clipped gradients, and clear them; return their norm before clipping.

    Raises RunError, before the step, where a loss or the norm is not finite. step: as in `check_finite`.
    """
    learned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = float(clip_grad_norm_(learned, max_grad_norm))
    check_finite(step, **losses, grad_norm=norm)
    optimizer.step()
    optimizer.zero_grad()
    return norm
