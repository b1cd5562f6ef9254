"""The networks of critics and affordances."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


def mlp(inputs: int, hidden_sizes: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Return a float32 MLP, (n, inputs) to (n, 1), with ReLU and without biases, like TWOSOME's critic (1024, 512).

    Weights are drawn from generator, uniformly within 1 / sqrt(fan-in), as PyTorch does by default.
    """
    layers: list[nn.Module] = []
    sizes = [inputs, *hidden_sizes, 1]
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=False)
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
