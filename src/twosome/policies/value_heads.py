"""Value heads: functions from a language model's hidden states to values of decisions."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from twosome.config import typed
from twosome.policies.networks import check_hidden_sizes, mlp, sigmoid_mlp


class ValueHead(nn.Module, ABC):
    """A network that computes values of decisions. Each file of conf/value_head configures one.

    joint: whether it reads the hidden states of the current model (`Scores.prompt_states`). Values are then computed with the
    policy, and their gradient flows into the model unless `forward` detaches the states. Otherwise it reads the states of the
    model before training (`Engine.features`). These never change, so they are computed once per prompt and cached.
    """

    joint: bool

    @abstractmethod
    def initialise(self, hidden_size: int, generator: torch.Generator) -> None:
        """Create the layers, with initial weights drawn from generator. hidden_size: of the states."""

    def measure(self, states: Tensor) -> None:
        """Take from the states of training's first distinct prompts, (m, hidden_size), what their standardisation needs, if any.

        It is called before values are asked for. In eval mode it changes nothing; in training mode only the first call with
        enough states does.
        """

    @abstractmethod
    def forward(self, states: Tensor) -> Tensor:
        """Compute values, (n,), from states, (n, hidden_size), float32."""


@dataclass
class HeadConfig:
    """The options that all value heads have."""

    hidden_sizes: list[int]  # of the MLP

    def __post_init__(self) -> None:
        check_hidden_sizes("value_head.hidden_sizes", self.hidden_sizes, "[1024,512]")


@dataclass
class FrozenConfig(HeadConfig):
    """The options of conf/value_head/frozen.yaml."""

    standardise: bool = True  # whether states are standardised with the mean and scale of the first rollout's


class Frozen(ValueHead):
    """TWOSOME's critic: an MLP on the frozen model's states (section 4.3; hidden layers of 1024 and 512).

    Not in the paper: states are standardised, (state - mean) / scale. mean is that of the distinct prompts of the first rollout,
    (hidden_size,); scale is the root mean square of all their deviations, one number. The states of an environment's prompts are
    nearly parallel, and Adam's steps along what they have in common switch off more than nine tenths of the first layer's ReLUs.
    """

    joint = False
    mean: Tensor
    scale: Tensor

    def __init__(self, **options: Any) -> None:
        """options: as in FrozenConfig. Raises UserError."""
        super().__init__()
        self.options: FrozenConfig = typed(FrozenConfig, OmegaConf.create(options), "value_head")
        self.layers = nn.Sequential()

    def initialise(self, hidden_size: int, generator: torch.Generator) -> None:
        """See ValueHead."""
        self.layers = mlp(hidden_size, self.options.hidden_sizes, generator)
        self.register_buffer("mean", torch.zeros(hidden_size))
        self.register_buffer("scale", torch.ones(()))

    @torch.no_grad()
    def measure(self, states: Tensor) -> None:
        """See ValueHead."""
        if self.training and self.options.standardise and len(states) > 1 and not self.mean.any():
            self.mean.copy_(states.mean(dim=0))
            self.scale.copy_((states - self.mean).square().mean().sqrt())

    def forward(self, states: Tensor) -> Tensor:
        """See ValueHead."""
        values: Tensor = self.layers((states - self.mean) / self.scale).squeeze(-1)
        return values


@dataclass
class StateConfig(HeadConfig):
    """The options of conf/value_head/state.yaml and detached.yaml."""

    detached: bool = False  # whether the gradient of the values stops at the hidden state


class State(ValueHead):
    """GLAM's value head: an MLP with sigmoids on the model's own hidden state (section 3.2; hidden layers of 1024 and 1024).

    The state is that of the prompt's last token. The gradient of the values flows into the model unless detached is true.
    """

    joint = True

    def __init__(self, **options: Any) -> None:
        """options: as in StateConfig. Raises UserError."""
        super().__init__()
        self.options: StateConfig = typed(StateConfig, OmegaConf.create(options), "value_head")
        self.layers = nn.Sequential()

    def initialise(self, hidden_size: int, generator: torch.Generator) -> None:
        """See ValueHead. Weights and biases are drawn as PyTorch does by default."""
        self.layers = sigmoid_mlp([hidden_size, *self.options.hidden_sizes, 1], generator)

    def forward(self, states: Tensor) -> Tensor:
        """See ValueHead."""
        values: Tensor = self.layers(states.detach() if self.options.detached else states).squeeze(-1)
        return values
