"""Builders of algorithms for the files of conf/algorithm. Their code takes seconds to import; their options are checked first."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from twosome.algorithms.ppo.config import LARGEST, PPOConfig
from twosome.config import typed
from twosome.errors import UserError

if TYPE_CHECKING:
    from twosome.algorithms.grpo import GRPO
    from twosome.algorithms.poad import POAD
    from twosome.algorithms.reinforce import Reinforce


def reinforce(**ppo: Any) -> "Reinforce":
    """Build the algorithm of conf/algorithm/reinforce.yaml. ppo: of PPOConfig. Raises UserError."""
    config = _ppo(ppo)
    from twosome.algorithms.reinforce import Reinforce

    return Reinforce(config)


@dataclass(frozen=True)
class GRPOConfig:
    """The options of conf/algorithm/grpo.yaml."""

    group_size: int
    """Episodes from one start, whose returns are compared."""
    situation_weight: float
    """Weight of the advantages within a group's recurring situations (GiGPO's omega, 1 in its experiments); 0 has none."""

    def __post_init__(self) -> None:
        if self.group_size < 2:
            raise UserError(f"algorithm.group_size={self.group_size}: expected 2 or more, since returns are compared in a group")
        if not 0 <= self.situation_weight <= LARGEST:
            raise UserError(f"algorithm.situation_weight={self.situation_weight}: expected a number from 0 to {LARGEST:g}")


def grpo(group_size: int, situation_weight: float, **ppo: Any) -> "GRPO":
    """Build the algorithm of conf/algorithm/grpo.yaml. group_size, situation_weight: as in GRPOConfig. ppo: of PPOConfig.

    Raises UserError.
    """
    own = OmegaConf.create({"group_size": group_size, "situation_weight": situation_weight})
    options: GRPOConfig = typed(GRPOConfig, own, "algorithm")
    config = _ppo(ppo)
    from twosome.algorithms.grpo import GRPO

    return GRPO(config, options)


@dataclass(frozen=True)
class POADConfig:
    """The options of conf/algorithm/poad.yaml."""

    token_lambda: float
    """Lambda of generalised advantage estimation between the tokens of an action; between decisions it is "
    "algorithm.gae_lambda."""

    def __post_init__(self) -> None:
        if not 0 <= self.token_lambda <= 1:
            raise UserError(f"algorithm.token_lambda={self.token_lambda}: expected a number from 0 to 1")


def poad(token_lambda: float, **ppo: Any) -> "POAD":
    """Build the algorithm of conf/algorithm/poad.yaml. token_lambda: as in POADConfig. ppo: of PPOConfig. Raises UserError."""
    own: POADConfig = typed(POADConfig, OmegaConf.create({"token_lambda": token_lambda}), "algorithm")
    config = _ppo(ppo)
    from twosome.algorithms.poad import POAD

    return POAD(config, own.token_lambda)


UNUSED = dict.fromkeys(
    ("update_epochs", "num_minibatches", "gradient_accumulation_steps", "value_update_epochs", "value_num_minibatches"), 1
) | {"value_learning_rate": 1e-3}


def _ppo(options: dict[str, Any]) -> PPOConfig:
    config: PPOConfig = typed(PPOConfig, OmegaConf.create({**UNUSED, **options}), "algorithm")
    return config
