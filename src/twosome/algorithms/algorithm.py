"""The interface of an algorithm: it collects experience with an agent, and updates the agent with it."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol

import torch
from torch.optim import Optimizer

from twosome.algorithms.runner import EnvRunner
from twosome.identity import AGENT
from twosome.policies.agent import Agent, LearningAgent
from twosome.policies.context import MakeEnv

Metrics = dict[str, float]


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
    shown: metrics of `update` that the line of progress shows. alike: episodes in a row that begin from the same seed
    (`DecisionEnvs`); 1: each has its own. recurrent: whether it trains agents with a memory (`LearningAgent.recurrence`).
    actor: who acts in training; where that is not the agent, the returns of training are no learning curve of the agent.
    """

    num_envs: int
    batch_size: int
    shown: tuple[str, ...] = ()
    alike: int = 1
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
        """The optimisers of the agent's parameter groups, the policy's first; Lightning keeps them in the checkpoint."""

    @abstractmethod
    def collect(self, agent: LearningAgent, runner: EnvRunner, generator: torch.Generator) -> Any:
        """Act for batch_size decisions; returns what `update` learns from. Called without gradient, the agent in eval mode."""

    @abstractmethod
    def update(
        self, agent: LearningAgent, batch: Any, optimizers: list[Optimizer], progress: Progress, generator: torch.Generator
    ) -> Metrics:
        """Learn from what `collect` returned; returns a row's part of metrics.csv, with the same names in every update."""

    def state_dict(self) -> dict[str, Any]:
        """What is remembered between updates (a replay buffer, say), as plain values and tensors; part of a checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  (most algorithms remember nothing)
        """Take up the state of `state_dict`."""
