"""Behaviour cloning (Pomerleau 1989)."""

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from twosome.algorithms.bc.config import BCConfig

if TYPE_CHECKING:
    from twosome.algorithms.bc.bc import BC


def build(**options: Any) -> "BC":
    """The builder that conf/algorithm/bc.yaml names. options: of BCConfig. Raises UserError."""
    from twosome.config import typed

    config = typed(BCConfig, OmegaConf.create(options), "algorithm")
    from twosome.algorithms.bc.bc import BC  # PyTorch takes seconds to import

    return BC(config)
