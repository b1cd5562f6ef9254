"""What chooses actions, and what learns, behind one interface each, so that there is one evaluation and one training loop."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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


class TokenTerms(NamedTuple):
    """The tokens of the actions taken, for algorithms that assign credit to tokens; (n, T), where T is the most that one has.

    logprobs: log P(token | prompt and the action's tokens before it). mask: bool, where there is a token.
    values: of the prompt and the action's tokens before each token; None where the agent has values of decisions only.
    """

    logprobs: Tensor
    mask: Tensor
    values: Tensor | None


class Evaluation(NamedTuple):
    """What an agent makes of n decisions, with gradient.

    log_policy: (n, A). values: (n,); None where values do not come with the policy (`LearningAgent.joint_values`).
    tokens: of the actions taken; None where they were not asked for, or the agent's actions have no tokens.
    """

    log_policy: Tensor
    values: Tensor | None = None
    tokens: TokenTerms | None = None


class LearningAgent(Agent):
    """An agent that learns: a policy and values of decisions, with gradients."""

    joint_values: bool = False
    """Whether `evaluate` gives values: they come from what the policy is made of, and learn with it. Otherwise `value_function`
    has them, and they learn apart."""

    @abstractmethod
    def evaluate(self, decisions: Sequence[Decision], choices: Tensor | None = None) -> Iterator[tuple[list[int], Evaluation]]:
        """Evaluate decisions with gradient, in parts that fit the memory: (indices into decisions, their evaluation).

        The parts cover every index once. Go backward through one before asking for the next. choices: (n,), the indices of the
        actions taken, where an algorithm needs their tokens.
        """

    @abstractmethod
    def value_function(self, decisions: Sequence[Decision]) -> Callable[[Tensor], Tensor]:
        """Prepare the values of these decisions: a function from indices (m,) to their values (m,), with gradient into the value
        group alone; what does not depend on that group's weights is computed once."""

    @abstractmethod
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """What learns, by name: "policy" and "value", and whatever else an algorithm is to treat apart."""

    def identify(self, decision: Decision) -> Hashable:
        """Return a key that is equal for decisions between which this agent's policy cannot tell."""
        return decision.obs.tobytes(), decision.action_ids

    def sizes(self, decisions: Sequence[Decision]) -> list[int]:
        """Return what it costs to evaluate each decision, in a unit of the agent's own. By default all cost the same."""
        return [1] * len(decisions)

    def base_log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """Return the log-policies, (n, A), of the agent's language model before training, without gradient.

        Raises TypeError where the agent has no language model.
        """
        raise TypeError(f"{type(self).__name__} has no language model")

    @torch.no_grad()
    def values(self, decisions: Sequence[Decision]) -> Tensor:
        """The values of decisions, (n,), without gradient."""
        return self.value_function(decisions)(torch.arange(len(decisions)))

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
