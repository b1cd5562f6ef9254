"""Value heads: from a language model's hidden states to values of decisions."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from twosome.config import typed
from twosome.errors import UserError
from twosome.policies.networks import mlp


class ValueHead(nn.Module, ABC):
    """Values of decisions; the files of conf/value_head make one each.

    joint: which states it reads. True: those of the model as it is now (`Scores.prompt_states`). Values come with the policy, and
    their gradient reaches the model unless `forward` detaches the states. False: those of the model before training
    (`Engine.features`). They never change, so a prompt's are computed once and kept.
    """

    joint: bool

    @abstractmethod
    def initialise(self, hidden_size: int, generator: torch.Generator) -> None:
        """Make the layers, with initial weights from the generator. hidden_size: of the states."""

    @abstractmethod
    def forward(self, states: Tensor) -> Tensor:
        """The values, (n,), of states, (n, hidden_size), float32."""


@dataclass
class FrozenConfig:
    """The options of conf/value_head/frozen.yaml."""

    hidden_sizes: list[int]

    def __post_init__(self) -> None:
        if min(self.hidden_sizes, default=1) < 1:
            raise UserError(f"value_head.hidden_sizes={self.hidden_sizes}: expected numbers above 0, as in [1024,512]")


class Frozen(ValueHead):
    """TWOSOME's critic: an MLP on the frozen model's states (section 4.3; layers of 1024 and 512)."""

    joint = False

    def __init__(self, **options: Any) -> None:
        """options: as in FrozenConfig. Raises UserError."""
        super().__init__()
        self.options: FrozenConfig = typed(FrozenConfig, OmegaConf.create(options), "value_head")
        self.layers = nn.Sequential()

    def initialise(self, hidden_size: int, generator: torch.Generator) -> None:
        """See ValueHead."""
        self.layers = mlp(hidden_size, self.options.hidden_sizes, generator)

    def forward(self, states: Tensor) -> Tensor:
        """See ValueHead."""
        values: Tensor = self.layers(states).squeeze(-1)
        return values
