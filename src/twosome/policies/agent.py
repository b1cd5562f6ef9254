"""What chooses actions, and what learns, behind one interface each, so that there is one evaluation and one training loop."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from twosome.decision import Decision
from twosome.errors import RunError

if TYPE_CHECKING:
    from twosome.language.loading import LanguageModel


class Agent(nn.Module, ABC):
    """A policy over the admissible actions of a decision.

    Log-policies are (n, A) tensors, log-probabilities over the decision's own actions in their order; A is the most that
    any of the n decisions has, and the slots beyond a decision's own are so negative (but finite) that their probability
    is 0.
    """

    export_folder: str | None = None
    """The folder in a run's folder that is for export and load; None where there is nothing to keep."""

    @property
    def language_model(self) -> "LanguageModel | None":
        """The language model that this agent trains; by default it trains none."""
        return None

    @abstractmethod
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """Log-policies for acting, without gradient."""

    def prepare(self) -> None:
        """Called once in a run, before the agent acts: for what it has to work out by itself, the same each time."""

    def begin_rollout(self) -> None:
        """Called before each rollout: nothing that depends on the weights may be remembered from before, so that a resumed run
        computes the same. By default nothing is."""

    def get_extra_state(self) -> dict[str, Any]:
        """What the agent remembers besides weights, as plain values and tensors; part of a checkpoint."""
        return {}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up the memories of get_extra_state."""

    def provenance(self) -> dict[str, Any]:
        """What this kind of agent adds to provenance.json, such as a model's checksum."""
        return {}

    def export(self, folder: Path) -> None:
        """Write what was learned in a form of its own (a PEFT adapter, say); nothing by default."""

    def load(self, folder: Path) -> None:
        """Take up what export wrote, in place of prepare; nothing by default. Raises UserError where that cannot be."""


class LearningAgent(Agent):
    """An agent that PPO trains: a policy with gradients, and a critic."""

    critic: nn.Module

    @abstractmethod
    def log_policy_parts(self, decisions: Sequence[Decision]) -> Iterator[tuple[list[int], Tensor]]:
        """Log-policies with gradient, in parts that fit the memory: (indices into decisions, their log-policies).

        The parts cover every index once. Go backward through one before asking for the next.
        """

    @abstractmethod
    def features(self, decisions: Sequence[Decision]) -> tuple[Tensor, Tensor]:
        """What the critic reads, without gradient: (m, features) and, for each of the n decisions, its row, (n,)."""

    @abstractmethod
    def actor_parameters(self) -> list[nn.Parameter]:
        """What the policy's optimiser trains."""

    @torch.no_grad()
    def values(self, decisions: Sequence[Decision]) -> Tensor:
        """The critic's values, (n,), without gradient."""
        features, rows = self.features(decisions)
        return self.critic(features).squeeze(-1)[rows]

    def counters(self) -> dict[str, float]:
        """What this kind of agent adds to a row of metrics, such as how many distinct decisions it scored since the last call."""
        return {}


def sample(log_policy: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a choice from each row of (n, A) log-probabilities, (n,), on the generator's device and back.

    Raises RunError where they are no log-probabilities.
    """
    _check(log_policy)
    probabilities = log_policy.to("cpu", torch.float64).exp()
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1).to(log_policy.device)


def likeliest(log_policy: Tensor, generator: torch.Generator) -> Tensor:
    """The likeliest choice of each row of (n, A) log-probabilities, (n,); drawn from several that are exactly as likely.

    Raises RunError where they are no log-probabilities.
    """
    _check(log_policy)
    best = log_policy == log_policy.amax(dim=1, keepdim=True)
    return sample(torch.where(best, 0.0, -torch.inf), generator)


def _check(log_policy: Tensor) -> None:
    if not (log_policy < torch.inf).all():  # neither is nan
        raise RunError(
            "the policy's log-probabilities are not numbers: its weights have diverged, or its numbers overflow; look at "
            "grad_norm, entropy and approx_kl in the last rows of metrics.csv, and take a smaller ppo.learning_rate or "
            "model.dtype=float32 in another run"
        )
