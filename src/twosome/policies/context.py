"""The context that an agent's builder gets.

Libraries that take seconds to import are imported in functions, after the options are checked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twosome.errors import UserError
from twosome.language.gate import load_engine
from twosome.language.loading import ModelConfig
from twosome.language.norms import Normalization
from twosome.language.tuning import Tuning

if TYPE_CHECKING:
    import gymnasium

    from twosome.language.engine import Engine

MakeEnv = Callable[[], "gymnasium.Env"]
LoadEngine = Callable[[ModelConfig, Tuning, Normalization], "Engine"]


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
            raise UserError(
                f"{group}: expected this group with this baseline; add /{group}@_global_.{group} to its defaults in conf"
            )
        return self.parts[group]

    def load_engine(self, tuning: Tuning) -> "Engine":
        """Load the run's language model with this tuning; return its engine."""
        return self.loading(self.model, tuning, self.norm)
