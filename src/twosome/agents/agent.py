"""The interfaces of agents that act (`Agent`) and of agents that learn (`LearningAgent`), and the context of their builders."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from twosome.decision import Decision
from twosome.errors import RunError, UserError
from twosome.language.engine import Engine
from twosome.language.gate import load_engine
from twosome.language.loading import LanguageModel, ModelConfig
from twosome.language.norms import Normalization
from twosome.language.tuning import Tuning, read_weights


class Agent(nn.Module, ABC):
    """A policy over the admissible actions of a decision.

    A log-policy is an (n, A) tensor of log-probabilities of each decision's own actions, in their order. A is the largest number
    of actions of the n decisions. Padding slots are finite, and so negative that their probability is 0.
    """

    export_folder: str | None = None
    """The name of the folder for export and load, within a run's folder; None if there is nothing to export."""

    @property
    def language_model(self) -> LanguageModel | None:
        """The language model that this agent trains; None if it trains none."""
        return None

    @abstractmethod
    def log_policy(self, decisions: Sequence[Decision]) -> Tensor:
        """Return the log-policy, (n, A), for acting, without gradient."""

    def remember(self, decisions: Sequence[Decision]) -> list[Any]:
        """Return what the agent remembers after decisions, for `Decision.memory` of the next ones of the same episodes.

        Plain values or tensors on the CPU, as a checkpoint holds them. Called after log_policy, with the same decisions. By
        default None of each: there is no memory.
        """
        return [None] * len(decisions)

    def prepare(self) -> None:
        """Prepare the agent; called once in a run, before it acts. The result depends on the run's seed only."""

    def begin_rollout(self) -> None:
        """Clear all caches of values that depend on the weights, so that a resumed run computes the same; called before each
        rollout. By default there are none."""

    def get_extra_state(self) -> dict[str, Any]:
        """Return the agent's state besides its weights, for a checkpoint: plain values and tensors only."""
        return {}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the state that get_extra_state returned."""

    def provenance(self) -> dict[str, Any]:
        """Return the agent's entries of provenance.json, such as a model's checksum."""
        return {}

    def export(self, folder: Path) -> None:
        """Write the learned weights, for example as a PEFT adapter. By default write nothing."""

    def load(self, folder: Path) -> None:
        """Load what export wrote, instead of prepare. By default load nothing. Raises UserError if that fails."""


class TokenTerms(NamedTuple):
    """The tokens of the n actions taken, for algorithms that assign credit to tokens; all tensors are (n, T).

    T is the largest number of tokens of an action.
    logprobs: log P(token | prompt, earlier tokens of the action). mask: bool, true for tokens and false for padding.
    values: of the state before each token, that is the prompt and the action's earlier tokens; None if they do not come with the
        policy (`LearningAgent.joint_values`), or if the agent has values of decisions only (`token_values`).
    """

    logprobs: Tensor
    mask: Tensor
    values: Tensor | None


class Evaluation(NamedTuple):
    """An agent's policy and values in n decisions, with gradient.

    log_policy: (n, A). values: (n,), or None if joint_values of the agent is False.
    tokens: of the actions taken; None if no choices were given, or the agent's actions have no tokens.
    action_values: (n, A), the expected return of each action; None if has_action_values of the agent is False.
    """

    log_policy: Tensor
    values: Tensor | None = None
    tokens: TokenTerms | None = None
    action_values: Tensor | None = None


class LearningAgent(Agent):
    """An agent with a differentiable policy and differentiable values of decisions."""

    joint_values: bool = False
    """Whether `evaluate` returns values, which share weights with the policy and are trained with it. Otherwise `value_function`
    returns them, and they are trained separately."""
    has_action_values: bool = False
    """Whether `evaluate` returns values of actions, from which the agent's policy follows."""

    recurrence: int = 1
    """Decisions in a row of an episode through which `evaluate_sequences` lets gradients flow; 1: the agent has no memory."""

    token_values: bool = False
    """Whether the agent has values of the states before each token of an action."""

    @abstractmethod
    def evaluate(self, decisions: Sequence[Decision], choices: Tensor | None = None) -> Iterator[tuple[list[int], Evaluation]]:
        """Evaluate decisions with gradient, in parts that fit into memory; yield (indices into decisions, their evaluation).

        The parts cover every index once. Run the backward pass of a part before taking the next one. choices: (n,), the indices
        of the actions taken, if an algorithm needs their tokens.
        """

    def evaluate_sequences(self, sequences: Sequence[Sequence[Decision]]) -> Iterator[tuple[list[int], Evaluation]]:
        """Evaluate sequences of successive decisions, whose memories come from their first one, with gradient through time.

        The indices that are yielded are of the decisions of all sequences, one sequence after the other; otherwise as `evaluate`,
        in which every decision has its own memory, without gradient. Raises TypeError where recurrence is 1.
        """
        raise TypeError(f"{type(self).__name__} has no memory")

    def evaluated_values(self, decisions: Sequence[Decision]) -> Callable[[Tensor], Tensor]:
        """Return what `value_function` does, without gradient, for an agent whose `evaluate` gives the values."""
        values = torch.empty(len(decisions), device=next(self.parameters()).device)
        with torch.no_grad():
            for members, found in self.evaluate(decisions):
                assert found.values is not None
                values[members] = found.values
        return lambda index: values[index]

    @abstractmethod
    def value_function(self, decisions: Sequence[Decision]) -> Callable[[Tensor], Tensor]:
        """Return a function from indices of decisions (m,) to their values (m,), with gradient into the value group only.

        What does not depend on the weights of the value group is computed once, before the function is returned.
        """

    def token_value_function(self, decisions: Sequence[Decision], choices: Tensor) -> Callable[[Tensor], Tensor]:
        """Return a function from indices of decisions (m,) to the values of their actions' tokens, (m, T); 0 in padding slots.

        choices: (n,), the actions taken. Otherwise as `value_function`. Raises TypeError where token_values is False.
        """
        raise TypeError(f"{type(self).__name__} has no values of tokens")

    @abstractmethod
    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by group: "policy", "value", and others that an algorithm needs separately."""

    def decision_key(self, decision: Decision) -> Hashable:
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

    def warm_cache(self, decisions: Sequence[Decision]) -> None:
        """Compute what `base_log_policy` and `values` will both be asked for at once. By default do nothing."""

    @torch.no_grad()
    def values(self, decisions: Sequence[Decision]) -> Tensor:
        """Return the values of decisions, (n,), without gradient."""
        return self.value_function(decisions)(torch.arange(len(decisions)))

    def counters(self) -> dict[str, float]:
        """Return the agent's columns of a row of metrics, such as the number of distinct decisions scored since the last call."""
        return {}


def sample(log_policy: Tensor, generator: torch.Generator) -> Tensor:
    """Sample a choice from each row of (n, A) log-probabilities; return (n,). The sampling itself is done on the CPU.

    Raises RunError if a value is nan or +infinity.
    """
    _check(log_policy)
    probabilities = log_policy.to("cpu", torch.float64).exp()
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1).to(log_policy.device)


def likeliest(log_policy: Tensor, generator: torch.Generator) -> Tensor:
    """Return the most probable choice of each row of (n, A) log-probabilities, (n,); exact ties are broken at random.

    Raises RunError if a value is nan or +infinity.
    """
    _check(log_policy)
    best = log_policy == log_policy.amax(dim=1, keepdim=True)
    return sample(torch.where(best, 0.0, -torch.inf), generator)


def _check(log_policy: Tensor) -> None:
    if not (log_policy < torch.inf).all():  # also true for nan
        raise RunError(
            "the policy's log-probabilities are nan or infinite: its weights have diverged, or its numbers overflow; look at "
            "grad_norm, entropy and approx_kl in the last rows of metrics.csv, and take a smaller algorithm.learning_rate or "
            "model.dtype=float32 in another run"
        )


WEIGHTS = "model.safetensors"


def save_weights(module: nn.Module, folder: Path, name: str = WEIGHTS) -> None:
    """Write the module's state_dict to a safetensors file in a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}, folder / name)


def load_weights(module: nn.Module, folder: Path, name: str = WEIGHTS) -> None:
    """Load what save_weights wrote into the module, in place. Raises UserError if names or shapes differ from the module's."""
    module.load_state_dict(read_weights(folder / name, module.state_dict()))


class NetworkAgent(LearningAgent):
    """An agent whose networks, its modules, are all its own; a file holds their weights."""

    export_folder = "policy"

    def export(self, folder: Path) -> None:
        """See Agent."""
        save_weights(self._networks(), folder)

    def load(self, folder: Path) -> None:
        """See Agent. Raises UserError if the file does not hold exactly these networks' weights."""
        load_weights(self._networks(), folder)

    def _networks(self) -> nn.ModuleDict:
        return nn.ModuleDict(dict(self.named_children()))


MakeEnv = Callable[[], gymnasium.Env]
LoadEngine = Callable[[ModelConfig, Tuning, Normalization], Engine]


@dataclass(frozen=True)
class AgentContext:
    """The context of an agent's builder (``baseline._target_``).

    make_env: makes an environment of the run.
    model: the language model's configuration.
    norm: of action scores.
    seed: of the agent's random numbers.
    gamma: the environment's discount per primitive step.
    parts: the objects of the configuration groups that only some agents use (tuning, value_head), by group.
    loading: loads a language model and makes its engine.
    """

    make_env: MakeEnv
    model: ModelConfig
    norm: Normalization
    seed: int
    gamma: float
    parts: Mapping[str, Any] = field(default_factory=dict)
    loading: LoadEngine = load_engine

    def part(self, group: str) -> Any:
        """Return the object of a configuration group. Raises UserError if the baseline does not include the group."""
        if group not in self.parts:
            raise UserError(f"{group}: this baseline needs it; expected /{group}@_global_.{group} in the defaults of its file")
        return self.parts[group]

    def load_engine(self, tuning: Tuning) -> Engine:
        """Load the run's language model with this tuning; return its engine."""
        return self.loading(self.model, tuning, self.norm)
