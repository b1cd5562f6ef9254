"""Q-learning (Watkins & Dayan 1992) with a replay buffer."""

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from twosome.algorithms.q_learning.config import QLearningConfig

if TYPE_CHECKING:
    from twosome.algorithms.q_learning.q_learning import QLearning


def build(**options: Any) -> "QLearning":
    """The builder that conf/algorithm/q_learning.yaml names. options: of QLearningConfig. Raises UserError."""
    from twosome.config import typed

    config = typed(QLearningConfig, OmegaConf.create(options), "algorithm")
    from twosome.algorithms.q_learning.q_learning import QLearning  # PyTorch takes seconds to import

    return QLearning(config)
