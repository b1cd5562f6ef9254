"""The critic's network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from twosome.errors import UserError


@dataclass
class CriticConfig:
    """The critic's layers; see conf/baseline/twosome.yaml."""

    hidden_sizes: list[int]

    def __post_init__(self) -> None:
        if min(self.hidden_sizes, default=1) < 1:
            raise UserError(f"baseline.critic.hidden_sizes={self.hidden_sizes}: expected numbers above 0, as in [1024,512]")


def mlp(inputs: int, hidden_sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """inputs -> hidden sizes with ReLU -> 1, without biases, as TWOSOME's critic (1024, 512); float32.

    PyTorch's default initialisation of linear layers (uniform within 1 / sqrt(inputs)), drawn from generator.
    """
    layers: list[nn.Module] = []
    sizes = [inputs, *hidden_sizes, 1]
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=False)
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
