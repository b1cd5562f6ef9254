"""What an agent's builder may use.

Libraries that take seconds to import are imported where they are used: bad options are told before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twosome.errors import UserError
from twosome.language.config import ModelConfig
from twosome.language.norms import Normalization
from twosome.language.tuning import Tuning

if TYPE_CHECKING:
    import gymnasium

    from twosome.language.engine import Engine
    from twosome.language.loading import LanguageModel

MakeEnv = Callable[[], "gymnasium.Env"]
MakeEngine = Callable[["LanguageModel", Normalization], "Engine"]
LoadEngine = Callable[[ModelConfig, Tuning, Normalization, MakeEngine], "Engine"]


def load_engine(model: ModelConfig, tuning: Tuning, norm: Normalization, make: MakeEngine) -> "Engine":
    """Load a language model, and make its engine."""
    from twosome.language.loading import load_language_model

    return make(load_language_model(model, tuning), norm)


@dataclass(frozen=True)
class AgentContext:
    """What an agent's builder (``baseline._target_``) may use.

    make_env: makes an environment of the run. model: the language model's configuration. norm: of action scores. seed: of all
    that is random about the agent. gamma: the environment's discount per primitive step. parts: what the groups of the
    configuration have chosen that only some agents use (engine, tuning, value_head). loading: loads a model, makes its engine.
    """

    make_env: MakeEnv
    model: ModelConfig
    norm: Normalization
    seed: int
    gamma: float
    parts: Mapping[str, Any] = field(default_factory=dict)
    loading: LoadEngine = load_engine

    def part(self, group: str) -> Any:
        """What a group of the configuration has chosen. Raises UserError where the baseline does not choose from it."""
        if group not in self.parts:
            raise UserError(f"{group}: expected it beside this baseline; add /{group}@_global_.{group} to its defaults in conf")
        return self.parts[group]

    def load_engine(self, tuning: Tuning) -> "Engine":
        """The engine of the run's language model, tuned so; loading takes seconds."""
        return self.loading(self.model, tuning, self.norm, self.part("engine"))
