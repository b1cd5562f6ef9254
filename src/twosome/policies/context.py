"""What an agent's builder may use.

Libraries that take seconds to import are imported where they are used: bad options are told before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twosome.language.config import ModelConfig
from twosome.language.norms import Normalization

if TYPE_CHECKING:
    import gymnasium

    from twosome.language.scorer import Scorer

MakeEnv = Callable[[], "gymnasium.Env"]
LoadScorer = Callable[..., "Scorer"]  # with load_scorer's arguments


def load_scorer(model: ModelConfig, norm: Normalization, **engine: Any) -> "Scorer":
    """The engine with a newly loaded model. engine: as in EngineConfig."""
    from twosome.language.loading import load_language_model
    from twosome.language.scorer import Scorer

    return Scorer(load_language_model(model), norm, **engine)


@dataclass(frozen=True)
class AgentContext:
    """What an agent's builder (``baseline._target_``) may use.

    make_env: makes an environment of the run. model: the language model's configuration (loading it is up to the builder).
    norm: the normalisation of action scores. seed: of all that is random about the agent. gamma: the environment's discount
    per primitive step. load_scorer: makes the engine of the language model.
    """

    make_env: MakeEnv
    model: ModelConfig
    norm: Normalization
    seed: int
    gamma: float
    load_scorer: LoadScorer = load_scorer
