"""Proximal policy optimisation (Schulman et al. 2017)."""

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from twosome.algorithms.ppo.config import PPOConfig

if TYPE_CHECKING:
    from twosome.algorithms.ppo.ppo import PPO


def build(**options: Any) -> "PPO":
    """The builder that conf/algorithm/ppo.yaml names. options: of PPOConfig. Raises UserError."""
    from twosome.config import typed  # which imports the rules of this package's presets

    config = typed(PPOConfig, OmegaConf.create(options), "algorithm")
    from twosome.algorithms.ppo.ppo import PPO  # PyTorch takes seconds to import

    return PPO(config)
